"""An endpoint that answers one query with bytes made beforehand, so that only the client is measured.

    python tests/benchmarks/canned_org.py --rows 1000000

Prints its URL, and serves until it is ended. It knows no SOQL: every query gets all rows, or its LIMIT of them. A few
pages are made and given again and again, the JSON ones with their own totals and places.
"""

from __future__ import annotations

import argparse
import json
import re
import socketserver
import sys
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar
from urllib.parse import parse_qs, unquote, urlsplit

import polars as pl

SOBJECT = "Opportunity"
BULK_ROWS = 50_000  # of a page, as the service has it (bulk2.md 4.4)
REST_ROWS = 2_000  # rest.md 1.3
MADE = 100_000  # rows that differ
JOB = "750AB0000000001AAA"
LOCATOR = "0r8xx2kLxPgVdZiAUK"
LINKS = 5
DONE = '"done":true'

TYPES = {
    "Id": "id",
    "Name": "string",
    "AccountId": "reference",
    "Description": "textarea",
    "StageName": "picklist",
    "Amount": "currency",
    "Probability": "percent",
    "FiscalYear": "int",
    "IsWon": "boolean",
    "CloseDate": "date",
    "CreatedDate": "datetime",
    "SystemModstamp": "datetime",
}


def rows(count: int) -> pl.DataFrame:
    """The answer's values, as text and numbers in the spelling of the REST API."""
    number = pl.int_range(0, count, eager=True).alias("n").to_frame().select(n=pl.col("n"), mixed=pl.col("n").hash(7))
    stages = pl.Series(["Prospecting", "Closed Won", "Closed Lost", None])
    moment = pl.datetime(2020, 1, 1) + pl.duration(milliseconds=pl.col("mixed") % 10**11)
    stamp = "%Y-%m-%dT%H:%M:%S%.3f"
    return number.select(
        Id="001AB" + pl.col("n").cast(pl.String).str.zfill(10) + "AAA",
        Name='Müller, "Sons" & Co ' + pl.col("n").cast(pl.String),
        AccountId="001AC" + (pl.col("mixed") % 1000).cast(pl.String).str.zfill(10) + "AAA",
        Description="a longer text, with\na line break and number " + pl.col("n").cast(pl.String),
        StageName=stages.gather(number.select(pl.col("mixed") % 4).to_series()),
        Amount=((pl.col("mixed") % 10**8) / 100).round(2),
        Probability=(pl.col("mixed") % 100).cast(pl.Float64),
        FiscalYear=(2000 + pl.col("mixed") % 30).cast(pl.Int64),
        IsWon=pl.col("mixed") % 2 == 0,
        CloseDate=(pl.date(2020, 1, 1) + pl.duration(days=pl.col("mixed") % 3000)).dt.to_string("%Y-%m-%d"),
        CreatedDate=moment.dt.to_string(stamp),
        SystemModstamp=(moment + pl.duration(days=1)).dt.to_string(stamp),
    )


def csv_pages(frame: pl.DataFrame) -> list[bytes]:
    """Bulk pages: every value quoted, null as an empty one, datetimes with Z (bulk2.md 4.8)."""
    text = frame.with_columns(pl.col("CreatedDate", "SystemModstamp") + "Z")
    starts = range(0, frame.height, BULK_ROWS)
    return [text[begin : begin + BULK_ROWS].write_csv(quote_style="always").encode() for begin in starts]


def json_records(frame: pl.DataFrame) -> list[list[bytes]]:
    """The records of REST pages, with their attributes; datetimes with +0000 (rest.md 5)."""
    attributes = pl.struct(type=pl.lit(SOBJECT), url=f"/services/data/v66.0/sobjects/{SOBJECT}/" + pl.col("Id")).alias(
        "attributes"
    )
    text = frame.with_columns(pl.col("CreatedDate", "SystemModstamp") + "+0000").select(attributes, pl.all())
    starts = range(0, frame.height, REST_ROWS)
    return [text[begin : begin + REST_ROWS].write_ndjson().encode().splitlines() for begin in starts]


@dataclass(frozen=True, slots=True)
class Canned:
    """What there is to answer."""

    rows: int
    csv: list[bytes]
    records: list[list[bytes]]

    def answer(self, method: str, target: str, body: bytes) -> tuple[dict[str, str], list[bytes]]:
        """Headers and body of the answer to one request."""
        path, query = urlsplit(target).path, parse_qs(urlsplit(target).query)
        if path.endswith("/describe"):
            return {}, [_describe()]
        if path.endswith("/results"):
            return self._page(query)
        if path.lower().endswith("/resultpages"):
            return {}, [self._links(query)]
        if "/jobs/query" in path:
            asked = body.decode() if method == "POST" else ""
            return {}, [self._job(_limit(asked, self.rows))]
        place = re.search(rf"/query/{LOCATOR}-(\d+)", path)
        if place:
            return {}, self._records(int(place[1]), self.rows)
        return {}, self._records(0, _limit(unquote(query["q"][0]), self.rows))

    def _job(self, count: int) -> bytes:
        job = {"id": JOB, "operation": "query", "object": SOBJECT, "state": "JobComplete", "apiVersion": 66.0}
        return json.dumps({**job, "jobType": "V2Query", "numberRecordsProcessed": count}).encode()

    def _page(self, query: dict[str, list[str]]) -> tuple[dict[str, str], list[bytes]]:
        number = int(query.get("locator", ["0"])[0])
        last = (number + 1) * BULK_ROWS >= self.rows
        headers = {
            "Content-Type": "text/csv; charset=UTF-8",
            "Sforce-NumberOfRecords": str(min(BULK_ROWS, self.rows - number * BULK_ROWS)),
            "Sforce-Locator": "null" if last else str(number + 1),
        }
        return headers, [self.csv[number % len(self.csv)]]

    def _links(self, query: dict[str, list[str]]) -> bytes:
        begin = int(query.get("locator", ["0"])[0])
        pages = -(-self.rows // BULK_ROWS)
        end = min(begin + LINKS, pages)
        path = f"/services/data/v66.0/jobs/query/{JOB}"
        links = [{"resultUrl": f"{path}/results?locator={number}"} for number in range(begin, end)]
        following = f"{path}/resultPages?locator={end}" if end < pages else None
        return json.dumps({"resultPages": links, "nextRecordsUrl": following, "done": following is None}).encode()

    def _records(self, begin: int, total: int) -> list[bytes]:
        end = min(begin + REST_ROWS, total)
        more = f'"done":false,"nextRecordsUrl":"/services/data/v66.0/query/{LOCATOR}-{end}"'
        head = f'{{"totalSize":{total},{more if end < total else DONE},"records":['
        records = self.records[begin // REST_ROWS % len(self.records)]
        return [head.encode(), b",".join(records[: end - begin]), b"]}"]


def _limit(text: str, total: int) -> int:
    found = re.search(r"LIMIT (\d+)", text)
    return min(total, int(found[1])) if found else total


def _describe() -> bytes:
    fields = [
        {"name": name, "label": name, "type": kind, "length": 255, "precision": 18, "scale": 2, "nillable": True}
        for name, kind in TYPES.items()
    ]
    return json.dumps({"name": SOBJECT, "label": SOBJECT, "queryable": True, "fields": fields}).encode()


class Handler(socketserver.StreamRequestHandler):
    """HTTP/1.1 with connections that stay; nothing that it does not need."""

    canned: Canned
    moved: ClassVar = [0]  # bytes of answers so far
    disable_nagle_algorithm = True

    def handle(self) -> None:
        """Answer the requests of one connection, until its other end closes it."""
        with suppress(ConnectionError):
            self._serve()

    def _serve(self) -> None:
        while line := self.rfile.readline():
            method, target = line.decode("latin-1").split()[:2]
            length = 0
            while (header := self.rfile.readline()) not in (b"\r\n", b""):
                name, _, value = header.partition(b":")
                length = int(value) if name.lower() == b"content-length" else length
            if target == "/moved":
                self._send({}, [str(self.moved[0]).encode()])
                continue
            headers, pieces = self.canned.answer(method, target, self.rfile.read(length) if length else b"")
            self.moved[0] += sum(map(len, pieces))
            self._send(headers, pieces)

    def _send(self, headers: dict[str, str], pieces: list[bytes]) -> None:
        head = {"Content-Type": "application/json", **headers, "Content-Length": str(sum(map(len, pieces)))}
        lines = "".join(f"{name}: {value}\r\n" for name, value in head.items())
        self.connection.sendall(f"HTTP/1.1 200 OK\r\n{lines}\r\n".encode())
        for piece in pieces:
            self.connection.sendall(piece)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Make the pages and serve them."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, required=True)
    wanted: int = parser.parse_args().rows
    made = rows(min(MADE, wanted))
    Handler.canned = Canned(wanted, csv_pages(made), json_records(made))
    with Server(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()

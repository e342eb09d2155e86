"""An endpoint that answers loads with result files made beforehand, so that only the client is measured.

    python -m tests.benchmarks.canned_ingest

Prints its URL, and serves until it is ended. It knows the objects of write_rows.py. The first time that an upload comes
its result files are made: shuffled, with values as the org spells them (bulk2.md 2.13), one row of a hundred failed.
When the same bytes come again they are given from memory.
"""

from __future__ import annotations

import io
import json
import re
import socketserver
import sys
import zlib
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import count
from threading import Lock
from urllib.parse import urlsplit

import polars as pl

from tests.benchmarks.write_rows import FIELDS, KEY, described, record_id

SEED = 7
FAILED_OF = 100  # one row of so many
ERROR = "FIELD_CUSTOM_VALIDATION_EXCEPTION:The amount is too low:Amount__c --"
TYPES = {one["name"]: one["type"] for one in FIELDS}
BLOCK = 1 << 20


def java_double(text: pl.Expr) -> pl.Expr:
    """``Double.toString`` of a number's text."""
    number = text.cast(pl.Float64)
    plain = number.cast(pl.String)  # has no exponent between 1e-3 and 1e15
    whole, fraction = plain.str.extract(r"(\d+)\."), plain.str.extract(r"\.(\d+)$")
    digits = (whole + fraction).str.strip_chars_start("0")
    rest = digits.str.slice(1).str.strip_chars_end("0")
    rest = pl.when(rest == "").then(pl.lit("0")).otherwise(rest)
    zeros = fraction.str.len_bytes() - fraction.str.strip_chars_start("0").str.len_bytes()
    power = pl.when(whole == "0").then(-1 - zeros.cast(pl.Int64)).otherwise(whole.str.len_bytes().cast(pl.Int64) - 1)
    sign = pl.when(number < 0).then(pl.lit("-")).otherwise(pl.lit(""))
    spelled = sign + digits.str.slice(0, 1) + "." + rest + "E" + power.cast(pl.String)
    usual = (number.abs() >= 1e-3) & (number.abs() < 1e7) | (number == 0)
    return pl.when(usual).then(plain).otherwise(spelled)


def echoed(name: str) -> pl.Expr:
    """A column as the org gives it back."""
    text = pl.col(name)
    match TYPES.get(name):
        case "currency" | "double":
            return java_double(text)
        case "datetime":
            return text.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%#z", time_unit="ms").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
        case "boolean":
            return text.str.to_lowercase()
    return text


@dataclass(frozen=True, slots=True)
class Results:
    """What became of an upload: its rows, how many of them failed, and the three files."""

    rows: int
    failed: int
    files: dict[str, bytes]


def result_files(upload: bytes) -> Results:
    """The answer to an upload."""
    cells = pl.read_csv(upload, infer_schema=False, null_values=["", "#N/A"])
    names = cells.columns
    number = pl.col(KEY).str.slice(1).cast(pl.Int64)
    answers = cells.select(
        record_id(pl.col(KEY)).alias("sf__Id"),
        (number % 2 == 0).cast(pl.String).alias("sf__Created"),
        (number % FAILED_OF == 0).alias("failed"),
        *(echoed(name).alias(name) for name in names),
    ).sample(fraction=1.0, shuffle=True, seed=SEED)
    bad = answers.filter("failed").select(pl.lit("").alias("sf__Id"), pl.lit(ERROR).alias("sf__Error"), *names)
    files = {
        "successfulResults": _csv(answers.filter(~pl.col("failed")).drop("failed")),
        "failedResults": _csv(bad),
        "unprocessedrecords": _csv(cells.clear()),
    }
    return Results(cells.height, bad.height, files)


def _csv(frame: pl.DataFrame) -> bytes:
    """Every value is quoted, and null is an empty one (bulk2.md 2.9)."""
    buffer = io.BytesIO()
    frame.write_csv(buffer, quote_style="always")
    return buffer.getvalue()


@dataclass(slots=True)
class Job:
    """One ingest job; ``upload`` names what came for it."""

    id: str
    sobject: str
    operation: str
    state: str = "Open"
    upload: tuple[int, int] | None = None


@dataclass(slots=True)
class Canned:
    """The jobs, and the result files of every upload that came so far."""

    jobs: dict[str, Job] = field(default_factory=dict)
    results: dict[tuple[int, int], Results] = field(default_factory=dict)
    lock: Lock = field(default_factory=Lock)
    numbers: count[int] = field(default_factory=count)

    def answer(self, method: str, target: str, body: bytes) -> tuple[int, str, bytes]:
        """Status, content type and body of the answer to one request."""
        path = urlsplit(target).path.rstrip("/")
        found = re.search(r"/jobs/ingest(?:/(\w+))?(?:/(\w+))?$", path)
        if found is None:
            return 200, "application/json", json.dumps(_about(path)).encode()
        job_id, file = found.groups()
        if job_id is None:
            return self._told(self._new(json.loads(body)))
        job = self.jobs[job_id]
        if method == "PUT":
            job.upload = self._made(body)
            return 201, "application/json", b""
        if method == "DELETE":
            return 204, "application/json", b""
        if method == "PATCH":
            job.state = json.loads(body)["state"]
            answer = self._told(job)
            job.state = "JobComplete" if job.state == "UploadComplete" else job.state
            return answer
        if file is None:
            return self._told(job)
        assert job.upload is not None
        return 200, "text/csv; charset=UTF-8", self.results[job.upload].files[file]

    def _new(self, asked: dict[str, str]) -> Job:
        job_id = f"750AB{next(self.numbers):010}AAA"
        self.jobs[job_id] = Job(job_id, asked["object"], asked["operation"])
        return self.jobs[job_id]

    def _made(self, body: bytes) -> tuple[int, int]:
        """The name of an upload, whose files are made where it is a new one."""
        name = len(body), zlib.adler32(body)
        with self.lock:
            if name not in self.results:
                self.results[name] = result_files(body)
        return name

    def _told(self, job: Job) -> tuple[int, str, bytes]:
        results = self.results[job.upload] if job.upload else None
        told = {
            "id": job.id,
            "object": job.sobject,
            "operation": job.operation,
            "state": job.state,
            "apiVersion": 66.0,
            "jobType": "V2Ingest",
            "contentType": "CSV",
            "columnDelimiter": "COMMA",
            "lineEnding": "LF",
            "numberRecordsProcessed": results.rows if results else None,
            "numberRecordsFailed": results.failed if results else None,
        }
        return 200, "application/json", json.dumps({k: v for k, v in told.items() if v is not None}).encode()


def _about(path: str) -> object:
    """What a client asks before it sends anything."""
    described_one = re.search(r"/sobjects/(\w+)/describe$", path)
    if described_one:
        return described(described_one[1])
    if path.endswith("/userinfo"):
        who = {"user_id": "005AB0000000001AAA", "organization_id": "00DAB0000000001EAA"}
        return {**who, "preferred_username": "bench@example.org"}
    if path.endswith("/limits"):
        return {"DailyApiRequests": {"Max": 100_000, "Remaining": 99_000}}
    record = {"attributes": {"type": "Organization"}, "Id": "00DAB0000000001EAA", "Name": "Canned"}
    kind = {"IsSandbox": True, "OrganizationType": "Developer Edition", "TrialExpirationDate": None}
    return {"totalSize": 1, "done": True, "records": [{**record, **kind}]}


class Handler(socketserver.StreamRequestHandler):
    """HTTP/1.1 with connections that stay; nothing that it does not need."""

    canned = Canned()
    disable_nagle_algorithm = True
    rbufsize = BLOCK

    def handle(self) -> None:
        """Answer the requests of one connection, until its other end closes it."""
        with suppress(ConnectionError):
            while line := self.rfile.readline():
                method, target = line.decode("latin-1").split()[:2]
                status, kind, body = self.canned.answer(method, target, self._body(self._headers()))
                said = "" if status == 204 else f"Content-Type: {kind}\r\nContent-Length: {len(body)}\r\n"
                self.connection.sendall(f"HTTP/1.1 {status} OK\r\n{said}\r\n".encode())
                self.connection.sendall(body)

    def _headers(self) -> dict[str, str]:
        headers = {}
        while (line := self.rfile.readline()) not in (b"\r\n", b""):
            name, _, value = line.decode("latin-1").partition(":")
            headers[name.lower()] = value.strip().lower()
        return headers

    def _body(self, headers: dict[str, str]) -> bytes:
        if headers.get("expect") == "100-continue":
            self.connection.sendall(b"HTTP/1.1 100 Continue\r\n\r\n")
        if headers.get("transfer-encoding") != "chunked":
            length = int(headers.get("content-length", "0"))
            return self.rfile.read(length) if length else b""
        pieces = []
        while size := int(self.rfile.readline().split(b";")[0], 16):
            pieces.append(self.rfile.read(size))
            self.rfile.readline()
        self.rfile.readline()
        return b"".join(pieces)


class Server(socketserver.ThreadingTCPServer):
    """A thread for each connection."""

    allow_reuse_address = True
    daemon_threads = True


def main() -> None:
    """Serve."""
    with Server(("127.0.0.1", 0), Handler) as server:
        print(f"http://127.0.0.1:{server.server_address[1]}", flush=True)
        try:
            server.serve_forever()
        except KeyboardInterrupt:
            sys.exit(0)


if __name__ == "__main__":
    main()

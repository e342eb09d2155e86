"""The bare script beside which write_sobject is measured: the same work with nothing around it.

It checks what the describe says as plain polars expressions, writes the CSV to a spool folder, sends the bytes, fetches
the three result files, parses them to types and joins them by a hash, whose pairs it compares. It keeps no promises,
knows no rows that are alike, and dies at the first surprise.
"""

from __future__ import annotations

import http.client
import json
from pathlib import Path
from urllib.parse import urlsplit

import polars as pl
import pyarrow as pa

from tests.benchmarks.write_rows import FIELDS, KEY, NAMES, STAGES

JOBS = "/services/data/v66.0/jobs/ingest"
JSON = {"Content-Type": "application/json"}
CHUNK = 1 << 18
POLARS = {
    "Amount__c": pl.Float64,
    "Rate__c": pl.Float64,
    "Count__c": pl.Int64,
    "Active__c": pl.Boolean,
    "sf__Created": pl.Boolean,
}
ARROW = {"Day__c": pa.date32(), "Moment__c": pa.timestamp("us", "UTC")}


def checks() -> list[pl.Expr]:
    """One boolean for each rule of each field."""
    rules = []
    for one in FIELDS:
        name = one["name"]
        column = pl.col(name)
        found: list[pl.Expr] = []
        if not one.get("nillable", True):
            rules.append((column.null_count() == 0).alias(f"{name} null"))
        match one["type"]:
            case "string" | "textarea" | "email":
                found.append((column.str.len_bytes() <= one["length"]) | (column.str.len_chars() <= one["length"]))
                found.append(column != "#N/A")
            case "picklist":
                found.append(column.is_in(STAGES))
            case "reference":
                found.append(column.str.contains("^[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?$"))
            case "currency" | "double":
                found.append(column.is_finite() & (column.abs() < 10 ** (one["precision"] - one["scale"])))
            case "int":
                found.append(column.abs() < 10 ** one["digits"])
            case "date" | "datetime":
                found.append(column.dt.year().is_between(1, 9999))
        if one["type"] == "email":
            found.append(column.str.contains(r"^[^@\s]+@[^@\s]+\.[^@\s]+$"))
        rules += [rule.all().alias(f"{name} {place}") for place, rule in enumerate(found)]
    return rules


def normalised() -> list[pl.Expr]:
    """Values as they shall be sent: numbers rounded to their scale."""
    scales = {one["name"]: one["scale"] for one in FIELDS if one.get("scale")}
    return [pl.col(name).round(scales[name]) if name in scales else pl.col(name) for name in NAMES]


class Connection:
    """One connection to the endpoint."""

    def __init__(self, url: str) -> None:
        self._http = http.client.HTTPConnection(urlsplit(url).netloc)

    def ask(self, method: str, path: str, body: bytes | None = None) -> bytes:
        """The body of the answer."""
        self._http.request(method, path, body, JSON)
        return self._http.getresponse().read()

    def put(self, path: str, file: Path) -> None:
        """Sends a file."""
        size = str(file.stat().st_size)
        with file.open("rb", buffering=0) as content:
            pieces = iter(lambda: content.read(CHUNK), b"")
            self._http.request("PUT", path, pieces, {"Content-Type": "text/csv", "Content-Length": size})
        self._http.getresponse().read()

    def load(self, sobject: str, file: Path) -> list[bytes]:
        """A job from its creation to its three files."""
        made = json.loads(self.ask("POST", JOBS, json.dumps({"object": sobject, "operation": "insert"}).encode()))
        path = f"{JOBS}/{made['id']}"
        self.put(f"{path}/batches", file)
        self.ask("PATCH", path, b'{"state":"UploadComplete"}')
        while json.loads(self.ask("GET", path))["state"] != "JobComplete":
            pass
        return [
            self.ask("GET", f"{path}/{kind}") for kind in ("successfulResults", "failedResults", "unprocessedrecords")
        ]


def parsed(body: bytes, *, keyed: bool) -> pl.DataFrame:
    """One result file, typed; with a key only what is needed. Dates and datetimes are fastest by pyarrow's cast."""
    header = body[: body.index(b"\n")].decode().replace('"', "").split(",")
    wanted = [name for name in header if not keyed or name == KEY or name.startswith("sf__")]
    read_by_polars = {name: dtype for name, dtype in POLARS.items() if name in wanted}
    frame = pl.read_csv(body, columns=wanted, infer_schema=False, schema_overrides=read_by_polars, null_values="")
    return frame.with_columns(
        pl.Series(name, frame[name].to_arrow().cast(dtype)) for name, dtype in ARROW.items() if name in wanted
    )


def joined(part: pl.DataFrame, bodies: list[bytes], *, keyed: bool) -> pl.DataFrame:
    """The answers to one part in the order of its rows: found by a hash, and then compared."""
    answers = pl.concat([parsed(body, keyed=keyed) for body in bodies], how="diagonal")
    mine = part.select(KEY) if keyed else part.select(normalised())
    theirs = answers.select(mine.columns)
    found = theirs.hash_rows().alias("key").to_frame().with_row_index("right")
    right = mine.hash_rows().alias("key").to_frame().join(found, on="key", how="left", maintain_order="left")["right"]
    same = theirs[right]
    assert all((mine[name].eq_missing(same[name])).all() for name in mine.columns)
    return answers.select("sf__Id", "sf__Created", "sf__Error")[right]


def floor(frame: pl.DataFrame, url: str, sobject: str, folder: Path, *, part_rows: int) -> pl.DataFrame:
    """The frame with its answers beside it."""
    verdicts = frame.select(checks())
    assert all(verdicts.row(0)), verdicts
    files = []
    for number, start in enumerate(range(0, frame.height, part_rows)):
        files.append(folder / f"{number}.csv")
        with files[-1].open("wb") as file:
            frame[start : start + part_rows].select(normalised()).write_csv(
                file, datetime_format="%Y-%m-%dT%H:%M:%S%.3fZ", float_scientific=False
            )
    connection, told = Connection(url), []
    for number, path in enumerate(files):
        bodies = connection.load(sobject, path)
        part = frame[number * part_rows : (number + 1) * part_rows]
        told.append(joined(part, bodies, keyed=sobject == "Keyed__c"))
    return frame.hstack(pl.concat(told))

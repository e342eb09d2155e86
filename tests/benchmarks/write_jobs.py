"""The jobs that write.py measures, each for a process of its own: name, URL of the endpoint, Parquet file, rows.

Each prints what it cost, as JSON. The imports are not counted, the caller's frame is.
"""

from __future__ import annotations

import csv
import io
import json
import os
import resource
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from tests.benchmarks.write_floor import floor
from tests.benchmarks.write_rows import KEY, NAMES, record_id

PART_ROWS = 150_000
SIMPLE_ROWS = 100_000  # in a job of simple-salesforce, whose default refuses uploads over 100 MB

Answers = pl.DataFrame
Job = Callable[[Path, str, Path], Answers]  # the rows, the endpoint, an empty folder


def _floor(sobject: str) -> Job:
    def run(rows: Path, url: str, folder: Path) -> Answers:
        return floor(pl.read_parquet(rows), url, sobject, folder, part_rows=PART_ROWS)

    return run


def _sfframe(operation: str, on_invalid: str, *, keyed: bool = False, file: bool = False) -> Job:
    def run(rows: Path, url: str, folder: Path) -> Answers:
        import sfframe as sf

        org = sf.connect(instance_url=url, access_token="canned", fresh=True)
        options = sf.LoadOptions(progress=False, again=True, on_failed="ignore", api="bulk2")
        result = sf.write_sobject(
            rows if file else pl.read_parquet(rows),
            "Keyed__c" if keyed else "Plain__c",
            operation=operation,  # type: ignore[call-overload]
            external_id_field=KEY if operation == "upsert" else None,
            on_invalid=on_invalid,
            org=org,
            options=options,
            results=folder / "answers.parquet" if file else None,
        )
        if file:
            return result.scan().select(KEY, "sf__Id", "sf__Error").collect(engine="streaming")
        return result.answers

    return run


def _local(rows: Path, url: str, folder: Path) -> Answers:
    """The embedded org, which write.py serves; ``url`` has the token behind a #."""
    import sfframe as sf

    base, _, token = url.partition("#")
    org = sf.connect(instance_url=base, access_token=token, fresh=True)
    options = sf.LoadOptions(progress=False, again=True, on_failed="ignore", api="bulk2")
    return sf.write_sobject(pl.read_parquet(rows), "Plain__c", operation="insert", org=org, options=options).answers


def _simple_salesforce(rows: Path, url: str, folder: Path, *, from_file: bool) -> Answers:
    """simple-salesforce with what its user must write: values as Salesforce spells them, and the join."""
    from simple_salesforce import Salesforce

    frame = pl.read_parquet(rows)
    told = frame.with_columns(
        pl.col("Day__c").cast(pl.String), pl.col("Moment__c").dt.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
    )
    handler = Salesforce(instance_url=url, session_id="canned", version="66.0").bulk2.Plain__c
    options: dict[str, Any] = {"batch_size": SIMPLE_ROWS, "wait": 0, "concurrency": 2}
    if from_file:
        path = folder / "rows.csv"
        told.write_csv(path)
        jobs = handler.insert(csv_file=str(path), **options)
    else:
        jobs = handler.insert(records=told.to_dicts(), **options)
    answers: dict[str, tuple[str, str]] = {}
    for job in jobs:
        for text in (handler.get_successful_records(job["job_id"]), handler.get_failed_records(job["job_id"])):
            for row in csv.DictReader(io.StringIO(text, newline="")):
                answers[row[KEY]] = row["sf__Id"], row.get("sf__Error", "")
    found = [answers[code] for code in frame[KEY]]
    ids, errors = zip(*found, strict=True)
    return frame.with_columns(pl.Series("sf__Id", ids), pl.Series("sf__Error", errors))


JOBS: dict[str, Job] = {
    "floor": _floor("Plain__c"),
    "floor_key": _floor("Keyed__c"),
    "raise": _sfframe("insert", "raise"),
    "reject": _sfframe("insert", "reject"),
    "insert_key": _sfframe("insert", "reject", keyed=True),
    "upsert": _sfframe("upsert", "reject", keyed=True),
    "parquet": _sfframe("insert", "reject", file=True),
    "local": _local,
    "simple_records": lambda rows, url, folder: _simple_salesforce(rows, url, folder, from_file=False),
    "simple_file": lambda rows, url, folder: _simple_salesforce(rows, url, folder, from_file=True),
}


def memory(what: str) -> float:
    """Megabytes of this process, now (VmRSS) or at most (VmHWM). Where there is no /proc the peak stands for both.

    Not ``getrusage``: on Linux its peak begins with that of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(what))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def check(answers: Answers, rows: int, *, own_ids: bool) -> None:
    """Every row has the answer that the canned org gave to it."""
    if answers.height != rows:
        raise SystemExit(f"{answers.height:,} rows came back")
    if own_ids:
        failed = pl.col(KEY).str.slice(1).cast(pl.Int64) % 100 == 0
        given = pl.when(pl.col("sf__Id") != "").then("sf__Id")
        right = (
            pl.when(failed)
            .then(given.is_null() & pl.col("sf__Error").is_not_null())
            .otherwise(given == record_id(pl.col(KEY)))
        )
        wrong = answers.filter(~right.fill_null(False))
        if wrong.height:
            raise SystemExit(f"{wrong.height:,} rows have the answer of another: {wrong.head(3)}")


def warm(name: str) -> None:
    """The libraries load parts of themselves at first use."""
    pl.read_csv(b"a\n1\n").lazy().select(pl.col("a").cast(pl.String)).collect()
    if name not in ("floor", "floor_key") and not name.startswith("simple"):
        import pandera.polars  # noqa: F401

        import sfframe as sf

        assert sf.write_sobject


def main() -> None:
    """Run one job and print what it took."""
    name, url, rows, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("ignore")
    warm(name)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SFFRAME_HOME"] = str(Path(folder) / "state")
        before, wall, cpu = memory("VmRSS"), time.perf_counter(), time.process_time()
        answers = JOBS[name](rows, url, Path(folder))
        cost = {
            "wall": time.perf_counter() - wall,
            "cpu": time.process_time() - cpu,
            "peak": memory("VmHWM"),
            "before": before,
            "rows": count,
        }
    check(answers, count, own_ids=name != "local")
    print(json.dumps(cost))


if __name__ == "__main__":
    assert NAMES
    main()

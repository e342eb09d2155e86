"""The jobs that write.py measures, each for a process of its own: name, URL of the endpoint, Parquet file, rows.

Each prints what it cost, as JSON. The imports are not counted, the caller's frame is.
"""

from __future__ import annotations

import csv
import hashlib
import io
import json
import os
import resource
import shutil
import subprocess
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import polars as pl

from tests.benchmarks.canned_ingest import FAILED_OF
from tests.benchmarks.write_floor import floor
from tests.benchmarks.write_rows import KEY, record_id
from tests.foreign.conftest import NODE_CACHE, NODE_SCRIPTS

PART_ROWS = 150_000
SIMPLE_ROWS = 100_000  # in a job of simple-salesforce, whose default refuses uploads over 100 MB

Answers = pl.DataFrame
Cost = dict[str, float]
# The rows, the endpoint, an empty folder -> the answers, or the cost where a job takes it by itself.
Job = Callable[[Path, str, Path], Answers | Cost]
HERE = Path(__file__).parent


def _floor(sobject: str) -> Job:
    def run(rows: Path, url: str, folder: Path) -> Answers:
        return floor(pl.read_parquet(rows), url, sobject, folder, part_rows=PART_ROWS)

    return run


def twinned(frame: pl.DataFrame) -> pl.DataFrame:
    """The same, with every twentieth row like the one before it: no column tells the rows apart any more."""
    row = pl.int_range(pl.len())
    return frame.select(pl.all().gather(row - (row % 20 == 19).cast(pl.Int64)))


def _sfframe(operation: str, on_invalid: str, *, keyed: bool = False, file: bool = False, twins: bool = False) -> Job:
    def run(rows: Path, url: str, folder: Path) -> Answers:
        import sfframe as sf

        org = sf.connect(instance_url=url, access_token="canned", fresh=True)
        options = sf.LoadOptions(progress=False, again=True, on_failed="ignore", api="bulk2")
        frame = None if file else twinned(pl.read_parquet(rows)) if twins else pl.read_parquet(rows)
        result: sf.LoadResult[pl.DataFrame] = sf.write_sobject(
            rows if frame is None else frame,
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
    """The embedded org in a process of its own; without the parents, which it does not have."""
    import sfframe as sf

    with subprocess.Popen(
        [sys.executable, "-m", "tests.benchmarks.served_org"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    ) as process:
        assert process.stdout is not None
        address, token = process.stdout.readline().split()
        try:
            org = sf.connect(instance_url=address, access_token=token, fresh=True)
            options = sf.LoadOptions(progress=False, again=True, on_failed="ignore", api="bulk2")
            return sf.write_sobject(
                pl.read_parquet(rows), "Plain__c", operation="insert", org=org, options=options,
                columns={"Account__c": None},
            ).answers  # fmt: skip
        finally:
            process.terminate()


def _spelled(frame: pl.DataFrame) -> pl.DataFrame:
    """Dates and datetimes as Salesforce takes them, which the other clients leave to their users."""
    moment = pl.col("Moment__c").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")
    return frame.with_columns(pl.col("Day__c").cast(pl.String), moment)


def _simple_salesforce(rows: Path, url: str, folder: Path, *, from_file: bool) -> Answers:
    """simple-salesforce with what its user must write: values as Salesforce spells them, and the join."""
    import requests
    from requests.adapters import HTTPAdapter
    from simple_salesforce.api import Salesforce

    class PlainHttp(HTTPAdapter):
        """It writes https:// into every URL."""

        def send(self, request, *args, **options):
            request.url = request.url.replace("https://", "http://", 1)
            return super().send(request, *args, **options)

    session = requests.Session()
    session.mount("https://", PlainHttp())
    frame = pl.read_parquet(rows)
    told = frame.with_columns(
        pl.col("Day__c").cast(pl.String), pl.col("Moment__c").dt.strftime("%Y-%m-%dT%H:%M:%S.%3fZ")
    )
    client: Any = Salesforce(instance_url=url, session_id="canned", session=session, version="66.0")
    handler = client.bulk2.Plain__c
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


def _jsforce(rows: Path, url: str, folder: Path) -> Answers | Cost:
    """jsforce in a Node of its own, whose cost it tells itself; it loads the texts of a CSV file."""
    wanted = (NODE_SCRIPTS / "package.json").read_bytes()
    modules = NODE_CACHE / hashlib.sha256(wanted).hexdigest()[:16]  # as tests/foreign installs it
    node = next(iter(modules.glob("node_modules/node-*/bin/node")), shutil.which("node"))
    if node is None or not (modules / "installed").exists():
        return {}
    source, target = folder / "rows.csv", folder / "answers.csv"
    _spelled(pl.read_parquet(rows)).write_csv(source)
    command = [str(node), "--max-old-space-size=12000", str(HERE / "jsforce_load.mjs"), url, str(source), str(target)]
    run = subprocess.run(
        command, capture_output=True, text=True, check=False, env={**os.environ, "NODE_FOLDER": str(modules)}
    )
    if run.returncode:
        raise SystemExit(run.stderr)
    check_ids(pl.read_csv(target, infer_schema=False), pl.read_parquet(rows, columns=[KEY]).height)
    cost: Cost = json.loads(run.stdout)
    return cost


def _join(rows: Path, url: str, folder: Path) -> Cost:
    """The matching by itself: 5 % of the rows have a twin, in parts as a load makes them."""
    from sfframe.frames.pairing import pair_rows

    frame = pl.read_parquet(rows)
    pieces = []
    for start in range(0, frame.height, PART_ROWS):
        part = frame[start : start + PART_ROWS]
        twins = part.height // 20
        part = pl.concat([part[: part.height - twins], part[:twins]])
        pieces.append((part.rechunk(), part.sample(fraction=1.0, shuffle=True, seed=7).rechunk()))
    wall, cpu = time.perf_counter(), time.process_time()
    pairs = [pair_rows(left, right) for left, right in pieces]
    cost = {"wall": time.perf_counter() - wall, "cpu": time.process_time() - cpu, "peak": memory("VmHWM")}
    for (left, right), found in zip(pieces, pairs, strict=True):
        assert left[found["left"]].equals(right[found["right"]])
        assert found["left"].n_unique() == found["right"].n_unique() == left.height
    return cost


JOBS: dict[str, Job] = {
    "floor": _floor("Plain__c"),
    "floor_key": _floor("Keyed__c"),
    "raise": _sfframe("insert", "raise"),
    "reject": _sfframe("insert", "reject"),
    "twins": _sfframe("insert", "reject", twins=True),
    "insert_key": _sfframe("insert", "reject", keyed=True),
    "upsert": _sfframe("upsert", "reject", keyed=True),
    "parquet": _sfframe("insert", "reject", file=True),
    "local": _local,
    "join": _join,
    "jsforce": _jsforce,
    "simple_records": lambda rows, url, folder: _simple_salesforce(rows, url, folder, from_file=False),
    "simple_file": lambda rows, url, folder: _simple_salesforce(rows, url, folder, from_file=True),
}


def memory(what: str) -> float:
    """Megabytes of this process: at most (VmHWM), or now (VmRSS); without /proc the first stands for both.

    Not ``getrusage``: on Linux its peak begins with that of the process that started this one.
    """
    try:
        lines = Path("/proc/self/status").read_text().splitlines()
        return next(int(line.split()[1]) / 1e3 for line in lines if line.startswith(what))
    except OSError:
        return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1e6 if sys.platform == "darwin" else 1e3)


def check(answers: Answers, rows: int) -> None:
    """Every row has the answer that the canned org gave to it."""
    check_ids(answers, rows)
    silent = answers.filter(pl.col("sf__Id").fill_null("") == "", pl.col("sf__Error").is_null())
    if silent.height:
        raise SystemExit(f"{silent.height:,} rows have no answer: {silent.head(3)}")


def check_ids(answers: Answers, rows: int) -> None:
    """The same, of the ids: none where the row failed, else that of its code."""
    failed = pl.col(KEY).str.slice(1).cast(pl.Int64) % FAILED_OF == 0
    wanted = pl.when(~failed).then(record_id(pl.col(KEY)))
    given = pl.when(pl.col("sf__Id") != "").then("sf__Id")
    wrong = answers.filter(wanted.ne_missing(given))
    if answers.height != rows or wrong.height:
        raise SystemExit(f"{answers.height:,} rows, {wrong.height:,} with the answer of another: {wrong.head(3)}")


def warm(name: str) -> None:
    """The libraries load parts of themselves at first use."""
    pl.read_csv(b"a\n1\n").lazy().select(pl.col("a").cast(pl.String)).collect()
    if name not in ("floor", "floor_key") and not name.startswith("simple"):
        import pandera.polars  # noqa: F401

        import sfframe as sf

        assert sf.__name__


def main() -> None:
    """Run one job and print what it took."""
    name, url, rows, count = sys.argv[1], sys.argv[2], Path(sys.argv[3]), int(sys.argv[4])
    warnings.simplefilter("ignore")
    warm(name)
    with tempfile.TemporaryDirectory() as folder:
        os.environ["SFFRAME_HOME"] = str(Path(folder) / "state")
        wall, cpu = time.perf_counter(), time.process_time()
        answers = JOBS[name](rows, url, Path(folder))
        wall, cpu, peak = time.perf_counter() - wall, time.process_time() - cpu, memory("VmHWM")
        if isinstance(answers, dict):
            print(json.dumps({**answers, "rows": count} if answers else None))
            return
    if name == "local":
        assert answers["sf__Status"].unique().to_list() == ["created"]
    else:
        check(answers, count)
    print(json.dumps({"wall": wall, "cpu": cpu, "peak": peak, "rows": count}))


if __name__ == "__main__":
    main()

"""How fast frames become records, beside a bare script that does the same work in the same run, and other clients.

    python tests/benchmarks/write.py [--rows 1000000] [--slow-rows 100000] [--rounds 3] [--only "reject"]

Each job runs in a process of its own against a canned endpoint (canned_ingest.py), which made all result files in a
round before. The table has the best of ``rounds``, taken in turns. Wall and CPU are those of the job without imports;
CPU is user and system time of the process; memory is its peak (RSS), the caller's frame and the interpreter included.
From 2,000,000 rows on the rows are read from a Parquet file in pieces, and the answers go to one (``results=``).

No column of the rows is a key, but some tell all rows apart, and by one of those the answers are found. The rows with
twins have none, so that all cells are compared; the floor beside them has no twins, because it cannot join any.

Goals, at 1,000,000 rows and against the floor (write_floor.py): CPU and memory 1.3; wall 1.3 with on_invalid="raise",
1.15 with "reject", where several parts overlap. Other clients take ``slow-rows``, as their time grows with the rows;
the goal is to be five times as fast as each, by rows a second.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

ROOT = Path(__file__).parents[2]
LARGE = 2_000_000
LARGE_PEAK_MB = 1200
TIMES_FASTER = 5.0
JOIN_SECONDS = 0.4
RATIOS = {"raise": (1.3, 1.3, 1.3), "reject": (1.15, 1.3, 1.3)}  # wall, CPU, memory

TITLES = {
    "floor": "floor, join by content",
    "raise": 'write_sobject, insert, "raise"',
    "reject": 'write_sobject, insert, "reject"',
    "twins": "write_sobject, insert, 5 % twins",
    "floor_key": "floor, join by key",
    "insert_key": "write_sobject, insert with a key",
    "upsert": "write_sobject, upsert",
    "join": "the join by itself, 5 % twins",
    "parquet": "write_sobject, Parquet to Parquet",
    "local": "write_sobject, the embedded org",
    "simple_records": "simple-salesforce, records",
    "simple_file": "simple-salesforce, CSV file",
    "jsforce": "jsforce",
}
FLOORS = {"raise": "floor", "reject": "floor", "twins": "floor", "insert_key": "floor_key", "upsert": "floor_key"}
OTHERS = ("simple_records", "simple_file", "jsforce")
SLOW = (*OTHERS, "local")


@dataclass(frozen=True, slots=True)
class Cost:
    """What one job took: seconds, seconds, megabytes; and the rows of the job."""

    wall: float
    cpu: float
    peak: float
    rows: int

    def over(self, floor: Cost) -> tuple[float, float, float]:
        """Wall, CPU and memory as multiples of the floor's."""
        return self.wall / floor.wall, self.cpu / floor.cpu, self.peak / floor.peak


@dataclass(frozen=True, slots=True)
class Bench:
    """Where the jobs of one run find their rows and their endpoint."""

    url: str
    folder: Path

    def rows(self, count: int) -> Path:
        """A Parquet file with so many rows."""
        path = self.folder / f"{count}.parquet"
        if not path.exists():
            _python("tests.benchmarks.write_rows", str(count), str(path))
        return path

    def measured(self, job: str, count: int) -> Cost | None:
        """One job in a process of its own; None where what it needs is not here."""
        told = json.loads(_python("tests.benchmarks.write_jobs", job, self.url, str(self.rows(count)), str(count)))
        return Cost(told["wall"], told["cpu"], told["peak"], told["rows"]) if told else None


def _python(module: str, *arguments: str) -> str:
    """The last line that a module of ours prints."""
    command = [sys.executable, "-m", module, *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, cwd=ROOT)
    if run.returncode:
        raise SystemExit(f"{module} {' '.join(arguments)} failed:\n{run.stderr or run.stdout}")
    return run.stdout.splitlines()[-1] if run.stdout else ""


@contextmanager
def canned_ingest() -> Iterator[str]:
    """A canned endpoint in a process of its own; gives its URL."""
    command = [sys.executable, "-m", "tests.benchmarks.canned_ingest"]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def jobs_for(rows: int, slow_rows: int, only: str) -> dict[str, int]:
    """The jobs of a run, each with its rows."""
    asked = [name for name in only.split(",") if name]
    if asked:
        wanted = {*asked, *(FLOORS[name] for name in asked if name in FLOORS)}
    else:
        wanted = {*(["parquet"] if rows >= LARGE else set(TITLES) - {"parquet"}), "local", *OTHERS}
    return {name: min(rows, slow_rows) if name in SLOW else rows for name in TITLES if name in wanted}


def measure(bench: Bench, jobs: dict[str, int], rounds: int) -> dict[str, Cost]:
    """The best of each job, taken in turns so that other work on the machine strikes all alike."""
    found: dict[str, list[Cost]] = {job: [] for job in jobs}
    for turn in range(rounds + 1):
        for job, count in jobs.items():
            if (job in SLOW and turn > 1) or (job in ("local", "join") and turn == 0):
                continue
            cost = bench.measured(job, count)
            if cost is not None and turn:  # in the first turn the endpoint makes the result files
                found[job].append(cost)
    return {
        job: Cost(
            min(run.wall for run in runs), min(run.cpu for run in runs), min(run.peak for run in runs), runs[0].rows
        )
        for job, runs in found.items()
        if runs
    }


def table(found: dict[str, Cost]) -> Iterator[str]:
    """The table's lines."""
    yield "| | rows | wall s | CPU s | peak MB | rows/s | of the floor (wall, CPU, MB) | goal |"
    yield "|---|---|---|---|---|---|---|---|"
    for job, cost in found.items():
        floor = found.get(FLOORS.get(job, ""))
        ratios = ", ".join(f"{one:.2f}" for one in cost.over(floor)) if floor else ""
        said = f"| {TITLES[job]} | {cost.rows:,} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.peak:.0f} "
        yield f"{said}| {cost.rows / cost.wall:,.0f} | {ratios} | {goal(job, found)[0]} |"


def goal(job: str, found: dict[str, Cost]) -> tuple[str, bool]:
    """The goal of a line in words, and whether it is met."""
    cost, floor = found[job], found.get(FLOORS.get(job, ""))
    if job in RATIOS and floor:
        met = all(one <= most for one, most in zip(cost.over(floor), RATIOS[job], strict=True))
        return ", ".join(map(str, RATIOS[job])), met or cost.rows != 1_000_000
    if job == "parquet":
        return f"{LARGE_PEAK_MB} MB", cost.peak <= LARGE_PEAK_MB
    if job == "join":
        return (
            f"{JOIN_SECONDS} s per million",
            cost.wall <= JOIN_SECONDS * cost.rows / 1_000_000 or cost.rows < 1_000_000,
        )
    ours = max(
        (found[name].rows / found[name].wall for name in ("raise", "reject", "parquet") if name in found), default=0
    )
    if job in OTHERS and ours:
        faster = ours / (cost.rows / cost.wall)
        return f"we are {faster:.1f} times as fast ({TIMES_FASTER:g})", faster >= TIMES_FASTER
    return "", True


def main() -> int:
    """Print the table; 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--slow-rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="", help="jobs, with commas between them")
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder, canned_ingest() as url:
        jobs = jobs_for(given.rows, given.slow_rows, given.only)
        found = measure(Bench(url, Path(folder)), jobs, given.rounds)
    print(*table(found), sep="\n")
    return 0 if all(goal(job, found)[1] for job in found) else 1


if __name__ == "__main__":
    sys.exit(main())

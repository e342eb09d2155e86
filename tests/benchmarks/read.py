"""How fast queries become typed frames, beside a bare script that does the same with the same bytes in the same run.

    python tests/benchmarks/read.py [--rows 1000000] [--rounds 3] [--only "bulk"]

Each job runs in a process of its own against a canned endpoint (canned_org.py), ``rounds`` times, in turns; the table
has the best of each. Wall and CPU are those of the job without the imports; memory is the peak above the interpreter
with its imports. The ratios are sfframe's over the floor's; the goal is 1.2.

The floor is the fastest way that is known: two threads that each fetch a page whole and have pyarrow (CSV) or polars
(JSON) read it straight to its types, without a check of anything.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE = Path(__file__).parent
GOAL = 1.2
FILE_GOAL_MB = 300


@dataclass(frozen=True, slots=True)
class Cost:
    """What one job took: seconds, seconds, megabytes; the rows that it gave, and the bytes of the answers."""

    wall: float
    cpu: float
    peak: float
    rows: int
    moved: int = 0


@dataclass(frozen=True, slots=True)
class Line:
    """One line of the table."""

    what: str
    cost: Cost
    floor: Cost | None = None
    note: str = ""

    @property
    def ratios(self) -> tuple[float, float, float] | None:
        """Wall, CPU and memory as multiples of the floor's."""
        if self.floor is None:
            return None
        return tuple(
            getattr(self.cost, name) / max(getattr(self.floor, name), 0.001) for name in ("wall", "cpu", "peak")
        )


@contextmanager
def canned_org(rows: int) -> Iterator[str]:
    """A canned endpoint in a process of its own; gives its URL."""
    script = str(HERE / "canned_org.py")
    with subprocess.Popen([sys.executable, script, "--rows", str(rows)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield process.stdout.readline().strip()
        finally:
            process.terminate()


def measured(job: str, url: str, rows: int) -> Cost:
    """One job in a process of its own."""
    run = subprocess.run(
        [sys.executable, str(HERE / "read_jobs.py"), job, url, str(rows)], capture_output=True, text=True, check=False
    )
    if run.returncode:
        raise SystemExit(f"{job} failed:\n{run.stderr}")
    return Cost(**json.loads(run.stdout.splitlines()[-1]))


def best(jobs: list[str], url: str, rows: int, rounds: int) -> dict[str, Cost]:
    """The best of each job, taken in turns so that other work on the machine strikes all alike."""
    runs = [[measured(job, url, rows) for job in jobs] for _ in range(rounds)]
    return {job: _least([run[at] for run in runs]) for at, job in enumerate(jobs)}


def _least(costs: list[Cost]) -> Cost:
    return Cost(
        min(one.wall for one in costs),
        min(one.cpu for one in costs),
        min(one.peak for one in costs),
        costs[0].rows,
        costs[0].moved,
    )


def measure(rows: int, rounds: int, only: str) -> list[Line]:
    """All lines of the table."""
    with canned_org(rows) as url:
        lines: list[Line] = []
        for kind in ("bulk", "rest"):
            if only in kind:
                found = best([f"floor_{kind}", f"sfframe_{kind}"], url, rows, rounds)
                floor = found[f"floor_{kind}"]
                lines += [
                    Line(f"{kind}: the floor", floor),
                    Line(f"{kind}: read_soql", found[f"sfframe_{kind}"], floor),
                ]
                for other in ("simple_salesforce_pandas", "simple_salesforce_polars"):
                    cost = best([f"{other}_{kind}"], url, rows, 1)[f"{other}_{kind}"]
                    lines.append(Line(f"{kind}: {other.replace('_', ' ')}", cost, floor))
        for job, what in (("sink", "sink_parquet of scan_soql"), ("export", "export_soql to Parquet")):
            if only in job:
                lines.append(Line(what, best([job], url, rows, 1)[job], note=f"goal {FILE_GOAL_MB} MB"))
        if only in "scan":
            cost = best(["scan"], url, rows, 1)["scan"]
            whole = best(["scan_whole"], url, rows, 1)["scan_whole"]
            note = f"{cost.moved:,} bytes of {whole.moved:,} moved"
            lines.append(Line("scan_sobject, filter, select, head(10)", cost, note=note))
        return lines


def main() -> int:
    """Print the table; 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    lines = measure(given.rows, given.rounds, given.only)
    print(f"| {given.rows:,} x 12 | wall s | CPU s | peak MB | floors (wall, CPU, MB) |")
    print("|---|---|---|---|---|")
    for line in lines:
        ratios = line.ratios
        shown = ", ".join(f"{one:.2f}" for one in ratios) if ratios else line.note
        cost = line.cost
        print(f"| {line.what} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.peak:.0f} | {shown} |")
    missed = [line for line in lines if line.what.endswith("read_soql") and max(line.ratios or (0,)) > GOAL]
    missed += [line for line in lines if line.note.startswith("goal") and line.cost.peak > FILE_GOAL_MB]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

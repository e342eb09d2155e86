"""How fast queries become typed frames, beside a bare script that does the same with the same bytes in the same run.

    python tests/benchmarks/read.py [--rows 1000000] [--rounds 5] [--only "bulk"]

Each job runs in a process of its own against a canned endpoint (canned_org.py), ``rounds`` times, in turns whose order
changes; the table has the best of each. Wall and CPU are those of the job without the imports; memory is the peak above
the interpreter with its imports. The ratios are sfframe's over the floor's; the goal is 1.2.

Other work on the machine only ever adds to a figure, and to the wall most. So below the table stands how far the runs
lie apart: from the best to the worst of each job, and the ratio of their medians beside that of the best. Where these
two ratios differ much, the machine was busy and the table proves nothing.

The floor is the fastest way that is known: two threads that each fetch a page whole and have pyarrow (CSV) or polars
(JSON) read it straight to its types, without a check of anything.
"""

from __future__ import annotations

import argparse
import json
import statistics
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
FIGURES = {"wall": "wall s", "cpu": "CPU s", "peak": "peak MB"}
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
    """One line of the table, from all runs of one job."""

    what: str
    runs: list[Cost]
    floor: list[Cost] | None = None
    note: str = ""

    @property
    def cost(self) -> Cost:
        """The least of each figure."""
        wall, cpu, peak = (min(_all(self.runs, name)) for name in FIGURES)
        return Cost(wall, cpu, peak, self.runs[0].rows, self.runs[0].moved)

    @property
    def ratios(self) -> list[float]:
        """Wall, CPU and memory as multiples of the floor's; empty for the floor itself."""
        if self.floor is None:
            return []
        return [min(_all(self.runs, name)) / max(min(_all(self.floor, name)), 0.001) for name in FIGURES]

    @property
    def spread(self) -> str:
        """How far the runs lie apart."""
        ranges = [
            f"{name} {min(_all(self.runs, one)):.2f}-{max(_all(self.runs, one)):.2f}" for one, name in FIGURES.items()
        ]
        if self.floor is None:
            return f"{self.what}: {', '.join(ranges)}"
        medians = [
            statistics.median(_all(self.runs, one)) / max(statistics.median(_all(self.floor, one)), 0.001)
            for one in FIGURES
        ]
        return f"{self.what}: {', '.join(ranges)}; medians {shown(medians)} floors"


def _all(runs: list[Cost], name: str) -> list[float]:
    return [getattr(run, name) for run in runs]


def shown(ratios: list[float]) -> str:
    """Multiples of the floor's wall, CPU and memory."""
    return ", ".join(f"{one:.2f}" for one in ratios)


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


def runs_of(jobs: list[str], url: str, rows: int, rounds: int) -> dict[str, list[Cost]]:
    """The runs of each job, in turns so that other work on the machine strikes all alike; each second one backwards."""
    found: dict[str, list[Cost]] = {job: [] for job in jobs}
    for number in range(rounds):
        for job in jobs if number % 2 == 0 else reversed(jobs):
            found[job].append(measured(job, url, rows))
    return found


def measure(rows: int, rounds: int, only: str) -> list[Line]:
    """All lines of the table."""
    with canned_org(rows) as url:

        def once(job: str) -> list[Cost]:
            return [measured(job, url, rows)]

        lines: list[Line] = []
        for kind in ("bulk", "rest"):
            if only in kind:
                runs = runs_of([f"floor_{kind}", f"sfframe_{kind}"], url, rows, rounds)
                floor = runs[f"floor_{kind}"]
                lines += [
                    Line(f"{kind}: the floor", floor),
                    Line(f"{kind}: read_soql", runs[f"sfframe_{kind}"], floor),
                ]
                lines += [
                    Line(f"{kind}: {other.replace('_', ' ')}", once(f"{other}_{kind}"), floor)
                    for other in ("simple_salesforce_pandas", "simple_salesforce_polars")
                ]
        for job, what in (("sink", "sink_parquet of scan_soql"), ("export", "export_soql to Parquet")):
            if only in job:
                lines.append(Line(what, once(job), note=f"goal {FILE_GOAL_MB} MB"))
        if only in "scan":
            few, whole = once("scan"), once("scan_whole")
            note = f"{few[0].moved:,} bytes of {whole[0].moved:,} moved"
            lines.append(Line("scan_sobject, filter, select, head(10)", few, note=note))
        return lines


def main() -> int:
    """Print the table; 1 when a goal is missed."""
    parser = argparse.ArgumentParser()
    parser.add_argument("--rows", type=int, default=1_000_000)
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--only", default="")
    given = parser.parse_args()
    lines = measure(given.rows, given.rounds, given.only)
    print(f"| {given.rows:,} x 12 | {' | '.join(FIGURES.values())} | floors (wall, CPU, MB) |")
    print("|---|---|---|---|---|")
    for line in lines:
        cost = line.cost
        print(
            f"| {line.what} | {cost.wall:.2f} | {cost.cpu:.2f} | {cost.peak:.0f} | {shown(line.ratios) or line.note} |"
        )
    if given.rounds > 1:
        print("", *(line.spread for line in lines if len(line.runs) > 1), sep="\n")
    missed = [line for line in lines if line.what.endswith("read_soql") and max(line.ratios) > GOAL]
    missed += [line for line in lines if line.note.startswith("goal") and line.cost.peak > FILE_GOAL_MB]
    return 1 if missed else 0


if __name__ == "__main__":
    sys.exit(main())

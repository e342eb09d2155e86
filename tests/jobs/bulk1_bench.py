"""A spool of three parts for Bulk API 1.0, what the scripted org answers to it, and what a whole load looks like."""

import threading
from collections.abc import Iterable
from pathlib import Path

from sfframe.jobs.events import JobEvent
from sfframe.jobs.ingest_v1 import run_batches
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import Pacing
from sfframe.spool import Answers, Part
from tests.jobs.scripted_bulk1 import ScriptedBulk1
from tests.jobs.scripted_org import FastClock

JOB = LoadJob("Account", "insert")
FIRST, SECOND = "750AB0000000001AAA", "750AB0000000002AAA"
BATCHES = [f"751AB{number:010d}AAA" for number in range(1, 9)]
ROWS = [["a", "bad b", "c"], ["d"], ["e", "f"]]
STEPS = ["create", "add", "close", "batches", "result"]
SAVED = ["a", "c", "d", "e", "f"]
HEAD = '"Id","Success","Created","Error"\n'
RESULTS = [
    HEAD + '"001a","true","true",""\n"","false","false","X:y:--"\n"001c","true","true",""\n',
    HEAD + '"001d","true","true",""\n',
    HEAD + '"001e","true","true",""\n"001f","true","true",""\n',
]


class Bench:
    """A spool with three parts, a ledger that knows them, and a clock."""

    def __init__(self, folder: Path, rows: list[list[str]] = ROWS) -> None:
        self.folder = folder
        self.parts = []
        first_row = 0
        for number, cells in enumerate(rows):
            path = folder / f"part-{number}.csv"
            path.write_text("Name\n" + "".join(f"{cell}\n" for cell in cells), encoding="utf-8")
            self.parts.append(Part(number, path, first_row, len(cells), path.stat().st_size))
            first_row += len(cells)
        self.clock = FastClock()
        self.events: list[JobEvent] = []
        with Ledger.open(folder) as ledger:
            ledger.begin(Run("run-1", "Account", "insert", carrier="bulk1"), self.parts)

    def run(
        self,
        org: ScriptedBulk1,
        ledger_type: type[Ledger] = Ledger,
        *,
        parts: Iterable[Part] | None = None,
        job: LoadJob = JOB,
        lanes: int = 1,
        pacing: Pacing | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Answers]:
        with ledger_type.open(self.folder) as ledger:
            return run_batches(
                org, job, self.parts if parts is None else parts, folder=self.folder, ledger=ledger, run_id="run-1",
                pacing=pacing, cancel=cancel, on_event=self.events.append, lanes=lanes, clock=self.clock,
                jitter=lambda: 0.5,
            )  # fmt: skip

    def stages(self) -> list[str]:
        with Ledger.open(self.folder) as ledger:
            return [state.stage for state in ledger.parts("run-1")]


def contents(answers: list[Answers]) -> list[str | None]:
    return [one.ordered.read_text("utf-8") if one.ordered is not None else None for one in answers]


def assert_complete(answers: list[Answers]) -> None:
    assert contents(answers) == RESULTS
    assert {(one.state, one.error) for one in answers} == {("Completed", "")}
    assert [one.part.number for one in answers] == [0, 1, 2]


def assert_saved_once(org: ScriptedBulk1) -> None:
    assert sorted(org.saved) == SAVED

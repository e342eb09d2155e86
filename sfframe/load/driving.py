"""From parts to answers that are joined to their rows: one way for each API that carries them."""

from __future__ import annotations

import contextlib
import threading
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from sfframe.errors import Cancelled, SfframeError
from sfframe.jobs.events import tell
from sfframe.jobs.lanes import run_lanes
from sfframe.jobs.ledger import Ledger
from sfframe.load.preparing import Prepared
from sfframe.options import LoadOptions
from sfframe.progress import shown
from sfframe.protocol import bulk2_ingest
from sfframe.state import home

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.jobs.events import JobEvent, Listener
    from sfframe.jobs.pacing import Pacing
    from sfframe.spool import Answers, Part

ABORT_SECONDS: Final = 0.1  # that a cancelled load waits for the aborts of its open jobs; they go on without it

Joined = tuple["Answers", "Callable[[], pl.DataFrame]"]


@dataclass(frozen=True, slots=True)
class Driven:
    """What the org answered to a run: the verdicts of its parts in their order, and the raw files they came from."""

    answers: tuple[Answers, ...]
    verdicts: tuple[Callable[[], pl.DataFrame], ...]
    surplus: int = 0

    @property
    def jobs(self) -> tuple[str, ...]:
        """The ids of the jobs, each once."""
        return tuple(dict.fromkeys(one.job_id for one in self.answers if one.job_id))


def drive(prepared: Prepared, org: Org, options: LoadOptions, *, spill: bool = False) -> Driven:
    """Take every part to its end: promise, upload, close, poll, fetch, join; several at once.

    Raises JobTimeout and Cancelled while jobs go on in the org, and ConnectionFailed when it cannot be reached; what
    was begun stays in the ledger and the spool. ``spill`` keeps the verdicts on disk instead of in memory.
    """
    title = f"{prepared.job.operation} {prepared.job.sobject}"
    join = _Joining(prepared, spill)
    with (
        Ledger.open(home()) as ledger,
        shown(options.progress, title=title, rows=prepared.height, calls=lambda: org.calls) as listener,
    ):
        drives = {"bulk2": _by_bulk2, "bulk1": _by_bulk1, "collections": _by_collections}
        wires = _Wires(prepared, org, ledger, options, _both(listener, options.on_event), join)
        try:
            done = drives[prepared.run.carrier](wires)
        except (Cancelled, KeyboardInterrupt) as problem:
            _abort_open(wires)
            raise _with_way_on(problem, prepared.run.run_id) from None
        except SfframeError as problem:
            if ledger.parts(prepared.run.run_id):  # else nothing was sent, and there is nothing to go on with
                problem.run = prepared.run.run_id
            raise
    return Driven(tuple(answers for answers, _ in done), tuple(verdict for _, verdict in done), surplus=join.surplus)


def _abort_open(wires: _Wires) -> None:
    """Asks the org to drop the jobs that were not closed yet; they would do nothing, and be in the way for a day."""
    if wires.prepared.run.carrier != "bulk2":
        return
    open_jobs = [one.job_id for one in wires.ledger.parts(wires.prepared.run.run_id) if one.stage == "promised"]

    def ask() -> None:
        for job_id in open_jobs:
            with contextlib.suppress(SfframeError):
                wires.org.send(bulk2_ingest.abort(job_id))

    asking = threading.Thread(target=ask, name="sfframe-abort", daemon=True)
    asking.start()
    asking.join(ABORT_SECONDS)


def _with_way_on(problem: BaseException, run_id: str) -> BaseException:
    """The same, saying what became of the jobs and how to go on."""
    told = f"Open jobs were aborted, closed ones go on in the org. Go on with sfframe.resume({run_id!r})."
    if isinstance(problem, Cancelled):
        cancelled = Cancelled(problem.what, where=problem.where, remedy=told, job_id=problem.job_id)
        cancelled.run = run_id
        return cancelled
    problem.add_note(told)
    return problem


@dataclass(frozen=True, slots=True)
class _Wires:
    """What the carriers need of a run."""

    prepared: Prepared
    org: Org
    ledger: Ledger
    options: LoadOptions
    listener: Listener
    join: _Joining

    @property
    def pacing(self) -> Pacing | None:
        return self.options.pacing or self.org.pacing


def _by_bulk2(wires: _Wires) -> list[Joined]:
    from sfframe.jobs.ingest import run_part

    prepared, options = wires.prepared, wires.options

    def lane(part: Part) -> Callable[[threading.Event], Joined]:
        def go(stop: threading.Event) -> Joined:
            answers = run_part(
                wires.org,
                prepared.job,
                part,
                folder=prepared.folder,
                ledger=wires.ledger,
                run_id=prepared.run.run_id,
                pacing=wires.pacing,
                cancel=stop,
                on_event=wires.listener,
            )
            return answers, wires.join(answers)

        return go

    parts = prepared.parts(wires.ledger)
    return run_lanes((lane(part) for part in parts), cap=options.limits.lanes, cancel=options.cancel)


def _by_bulk1(wires: _Wires) -> list[Joined]:
    from sfframe.jobs.ingest_v1 import run_batches

    prepared, options = wires.prepared, wires.options
    told = run_batches(
        wires.org,
        prepared.job,
        prepared.parts(wires.ledger),
        folder=prepared.folder,
        ledger=wires.ledger,
        run_id=prepared.run.run_id,
        pacing=wires.pacing,
        cancel=options.cancel,
        on_event=wires.listener,
        lanes=options.limits.lanes,
    )
    return [(answers, wires.join(answers)) for answers in told]


def _by_collections(wires: _Wires) -> list[Joined]:
    from sfframe.codec.records import body
    from sfframe.jobs.collections import run_call

    prepared, options, job = wires.prepared, wires.options, wires.prepared.job

    def record_body(part: Part) -> bytes:
        return body(
            part,
            prepared.sent,
            sobject=job.sobject,
            operation=job.operation,
            external_id_field=job.external_id_field,
            all_or_none=job.all_or_none,
        )

    def lane(part: Part) -> Callable[[threading.Event], Joined]:
        def go(stop: threading.Event) -> Joined:
            answers = run_call(
                wires.org,
                job,
                part,
                record_body,
                key=prepared.key,
                folder=prepared.folder,
                ledger=wires.ledger,
                run_id=prepared.run.run_id,
                cancel=stop,
                on_event=wires.listener,
            )
            return answers, wires.join(answers)

        return go

    parts = prepared.parts(wires.ledger)
    return run_lanes((lane(part) for part in parts), cap=options.limits.lanes, cancel=options.cancel)


@dataclass(slots=True)
class _Joining:
    """Joins the answers of one part after the other to their rows: polars uses all cores for one as it is."""

    prepared: Prepared
    spill: bool
    surplus: int = 0
    _one_at_a_time: threading.Lock = field(default_factory=threading.Lock)

    def __call__(self, answers: Answers) -> Callable[[], pl.DataFrame]:
        from sfframe.frames.feed import rows_of
        from sfframe.frames.kept import read_frame, write_frame
        from sfframe.frames.verdict import part_verdict

        prepared, job = self.prepared, self.prepared.job
        with self._one_at_a_time:
            verdict = part_verdict(
                answers,
                rows_of(prepared.folder, answers.part),
                prepared.sent,
                operation=job.operation,
                external_id_field=job.external_id_field,
                delimiter=job.column_delimiter,
                typed=prepared.typed(answers.part),
            )
            self.surplus += verdict.surplus.height
        if not self.spill:
            return lambda: verdict.frame
        path = prepared.folder / f"part-{answers.part.number:05}.verdict.arrow"
        write_frame(path, verdict.frame)
        return lambda: read_frame(path)


def _both(listener: Listener, other: Listener | None) -> Listener:
    if other is None:
        return listener

    def listen(event: JobEvent) -> None:
        tell(listener, event)
        tell(other, event)

    return listen

"""Prepares a run and drives it to its end: here the data wing and the wire wing meet.

A write is ``prepare`` and then ``complete``; a resume is ``complete`` alone, after ``reopen``. There is one path.
"""

from __future__ import annotations

import json
import os
import secrets
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal

from sfframe import facts
from sfframe.errors import RowsFailedWarning, UsageError
from sfframe.jobs.ingest import run_part
from sfframe.jobs.lanes import run_lanes
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import Pacing
from sfframe.progress import Choice, Listener, shown
from sfframe.results import TROUBLE, Cost, GiveBack, LoadResult, Target, save_frame
from sfframe.state import home

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.layout import SentColumn
    from sfframe.connection.org import Org
    from sfframe.frames.contract import Checked
    from sfframe.spool import Answers, Part

OnFailed = Literal["warn", "raise", "ignore"]

# Beside the parts of a run: which of the caller's rows they hold, and what was refused of the others.
_ROWS: Final = "rows.arrow"
_FAILURES: Final = "failures.arrow"


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """How large one job may be. ``lanes`` is how many jobs run at once.

    A part of 150,000 rows can be run again by itself; it is not a limit of the platform. 100,000,000 bytes is what
    Salesforce advises for one upload (bulk2.md 2.4).
    """

    rows_per_job: int = facts.ROWS_PER_JOB
    bytes_per_job: int = facts.UPLOAD_BYTES
    lanes: int = 5

    def __post_init__(self) -> None:
        if min(self.rows_per_job, self.bytes_per_job, self.lanes) < 1:
            raise UsageError(
                "A limit of a load is below 1", remedy="rows_per_job, bytes_per_job and lanes count from 1."
            )
        if self.bytes_per_job > facts.UPLOAD_BYTES:
            raise UsageError(
                f"bytes_per_job is above {facts.UPLOAD_BYTES:,}, more than one upload may hold",
                remedy="Leave it at its default; more bytes than that become several jobs.",
            )


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What most loads leave as it is.

    ``limits`` cuts jobs; ``pacing`` says when their state is asked for and when waiting ends; ``timezone`` (such as
    "Europe/Berlin") is what a datetime without zone means; ``progress`` is True, False, "auto" or a function that gets
    the jobs' events; ``on_failed`` warns, raises or stays silent when rows did not succeed; ``keep`` leaves the sent
    files and the org's raw answers in the run's folder; ``cancel`` stops the load within half a second when it is set.
    """

    limits: LoadLimits = field(default_factory=LoadLimits)
    pacing: Pacing = field(default_factory=Pacing)
    timezone: str | None = None
    progress: Choice = "auto"
    on_failed: OnFailed = "warn"
    keep: bool = False
    cancel: threading.Event | None = None


@dataclass(frozen=True, slots=True)
class Prepared:
    """A load whose good rows lie in the spool and whose parts are promised in the ledger.

    ``rows`` says which of the caller's ``height`` rows were spooled, in the order of the parts; ``failures`` names the
    others. The spool keeps all of it until every row has its answer, so that another process can go on.
    """

    run: Run
    folder: Path
    job: LoadJob
    parts: tuple[Part, ...]
    sent: tuple[SentColumn, ...]
    height: int
    rows: pl.Series
    failures: pl.DataFrame


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of every row, and what it took. ``verdicts`` has one line per row of the caller, in order."""

    verdicts: pl.DataFrame
    failures: pl.DataFrame
    target: Target
    jobs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    run: str = ""
    cost: Cost = field(default_factory=Cost)


def prepare(
    checked: Checked,
    sent: tuple[SentColumn, ...],
    job: LoadJob,
    *,
    height: int,
    org: Org,
    options: LoadOptions,
) -> Prepared:
    """Write the good rows to the spool, as CSV files that are each one job, and promise them. No row is sent."""
    from sfframe.codec.split import spool

    who = org.identity
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
    folder = home() / "runs" / name
    run = Run(
        run_id=name,
        sobject=job.sobject,
        operation=job.operation,
        external_id_field=job.external_id_field or "",
        host=org.instance_url,
        organization_id=who.organization_id,
        username=who.username,
        settings=json.dumps({"height": height, "columns": [[one.name, one.header] for one in sent]}),
    )
    try:
        parts = list(
            spool(
                _texts(checked, sent),
                folder,
                max_bytes=options.limits.bytes_per_job,
                max_rows=options.limits.rows_per_job,
                delimiter=job.column_delimiter,
                line_ending=job.line_ending,
            )
        )
        _note(folder / _ROWS, checked.rows.to_frame("row"))
        _note(folder / _FAILURES, checked.failures)
        with Ledger.open(home()) as ledger:
            ledger.begin(run, parts)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    return Prepared(run, folder, job, tuple(parts), sent, height, checked.rows, checked.failures)


def reopen(run_id: str, org: Org) -> Prepared:
    """A run that another process prepared, from the ledger and the spool.

    Raises UsageError when there is no such run, when it is complete, and when ``org`` is not the org that it was for:
    its jobs would not be found there, and its rows would be sent to the wrong one.
    """
    import polars as pl

    from sfframe.frames.columns import match_columns

    with Ledger.open(home()) as ledger:
        run = ledger.run(run_id)
        parts = tuple(state.part for state in ledger.parts(run_id))
    folder = home() / "runs" / run_id
    if run.finished or not (folder / _ROWS).is_file():
        raise UsageError(
            f"Run {run_id!r} is complete, its rows are no longer kept"
            if run.finished
            else f"The spool of {run_id!r} is gone",
            where=str(folder),
            remedy="sfframe.history() lists the runs; those without an outcome can be resumed.",
        )
    if org.identity.organization_id != run.organization_id:
        raise UsageError(
            f"Run {run_id!r} is a load into another org ({run.host})",
            where=org.instance_url,
            remedy="Resume it with org= connected to that one.",
        )
    noted = json.loads(run.settings)
    matched = match_columns(
        [header for _, header in noted["columns"]],
        org.describe(run.sobject),
        operation=_operation(run.operation),
        external_id_field=run.external_id_field or None,
        describe=org.describe,
    )
    names = {header: name for name, header in noted["columns"]}
    return Prepared(
        run,
        folder,
        LoadJob(run.sobject, _operation(run.operation), run.external_id_field or None),
        parts,
        tuple(replace(one, name=names[one.header]) for one in matched),
        int(noted["height"]),
        pl.read_ipc(folder / _ROWS)["row"],
        pl.read_ipc(folder / _FAILURES),
    )


def complete(prepared: Prepared, org: Org, options: LoadOptions) -> Answered:
    """Drive the run to its end, join what the org answers to the caller's rows, and close the books."""
    from sfframe.frames.verdict import verdicts

    began, calls = time.perf_counter(), org.calls
    answers = drive(prepared, org, options)
    joined = verdicts(
        prepared.height,
        prepared.failures,
        prepared.rows,
        answers,
        prepared.sent,
        operation=prepared.job.operation,
        external_id_field=prepared.job.external_id_field,
    )
    notes = [f"job {answer.job_id}: {answer.error}" for answer in answers if answer.error]
    if joined.surplus.height:
        notes.append(f"{joined.surplus.height:,} answers of the org belong to no row that was sent")
    unanswered = joined.frame["sf__Status"].is_in(["unknown"]).any()
    if not unanswered:  # while rows are unknown, the spool is the only trace of what was sent
        _close_books(prepared, outcome=_outcome(joined.frame), keep=options.keep)
    return Answered(
        joined.frame,
        prepared.failures,
        _target(prepared, org),
        jobs=tuple(answer.job_id for answer in answers),
        notes=tuple(notes),
        run=prepared.run.run_id,
        cost=Cost(time.perf_counter() - began, org.calls - calls, sum(part.bytes for part in prepared.parts)),
    )


def drive(prepared: Prepared, org: Org, options: LoadOptions) -> list[Answers]:
    """Take every part to its end: promise, upload, close, poll, fetch; several at once.

    Raises JobTimeout and Cancelled while jobs go on in the org, and ConnectionFailed when it cannot be reached; what
    was begun stays in the ledger and the spool.
    """
    rows = sum(part.rows for part in prepared.parts)
    title = f"{prepared.job.operation} {prepared.job.sobject}"
    with Ledger.open(home()) as ledger, shown(options.progress, title=title, rows=rows) as listener:
        work = [
            _lane(prepared, part, org=org, ledger=ledger, options=options, listener=listener) for part in prepared.parts
        ]
        return run_lanes(work, cap=options.limits.lanes, cancel=options.cancel)


def wrap(
    frame: pl.DataFrame,
    answered: Answered,
    *,
    give_back: GiveBack | None,
    results: str | Path | None,
    on_failed: OnFailed,
) -> LoadResult[Any]:
    """The result of a load, written to the file ``results`` where one is named; failures are warned of or raised."""
    result: LoadResult[Any] = LoadResult(
        frame.hstack(answered.verdicts),
        answered.failures,
        answered.target,
        jobs=answered.jobs,
        notes=answered.notes,
        run=answered.run,
        cost=answered.cost,
        give_back=give_back,
    )
    if results is not None:
        save_frame(result.answers, Path(results))
    if on_failed == "raise":
        result.raise_for_failures()
    elif on_failed == "warn" and not result.ok:
        warnings.warn(f"{result.summary()}\nresult.triage() says why.", RowsFailedWarning, stacklevel=3)
    return result


def _close_books(prepared: Prepared, *, outcome: str, keep: bool) -> None:
    """Note in the ledger that every row has its answer, and clear the spool away: it holds record values."""
    with Ledger.open(home()) as ledger:
        ledger.finish(prepared.run.run_id, outcome)
    if not keep:
        shutil.rmtree(prepared.folder, ignore_errors=True)


def _outcome(joined: pl.DataFrame) -> str:
    return "some rows did not succeed" if joined["sf__Status"].is_in(TROUBLE).any() else "complete"


def _target(prepared: Prepared, org: Org) -> Target:
    who, job = org.identity, prepared.job
    named = who.organization_name or org.instance_url
    return Target(named, who.username, who.kind, job.sobject, job.operation, job.external_id_field)


def _operation(text: str) -> facts.Operation:
    return next(one for one in facts.OPERATIONS if one == text)


def _note(path: Path, frame: pl.DataFrame) -> None:
    """A frame into the spool, readable by its owner only."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600), "wb") as file:
        frame.write_ipc(file)


def _lane(
    prepared: Prepared, part: Part, *, org: Org, ledger: Ledger, options: LoadOptions, listener: Listener
) -> Callable[[threading.Event], Answers]:
    def go(stop: threading.Event) -> Answers:
        return run_part(
            org,
            prepared.job,
            part,
            folder=prepared.folder,
            ledger=ledger,
            run_id=prepared.run.run_id,
            pacing=options.pacing,
            cancel=stop,
            on_event=listener,
        )

    return go


def _texts(checked: Checked, sent: tuple[SentColumn, ...]) -> Iterator[pl.DataFrame]:
    """The good rows as text, a piece at a time, so that only one piece is in memory twice."""
    from sfframe.codec.encode import encode
    from sfframe.codec.split import PIECE_ROWS

    for start in range(0, checked.typed.height, PIECE_ROWS):
        rows = slice(start, start + PIECE_ROWS)
        cleared = {header: mark if isinstance(mark, bool) else mark[rows] for header, mark in checked.cleared.items()}
        yield encode(checked.typed[rows], sent, cleared)

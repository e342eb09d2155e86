"""Prepares a run and drives it to its end: here the data wing and the wire wing meet.

A write is ``prepare`` and then ``drive``; going on after a crash is ``drive`` alone. There is one path.
"""

from __future__ import annotations

import os
import secrets
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sfframe import facts
from sfframe.errors import UsageError
from sfframe.jobs.ingest import IngestJob, run_part
from sfframe.jobs.lanes import run_lanes
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.pacing import Pacing
from sfframe.progress import Choice, Listener, shown

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.layout import SentColumn
    from sfframe.connection.org import Org
    from sfframe.frames.contract import Checked
    from sfframe.spool import Answers, Part

OnFailed = Literal["warn", "raise", "ignore"]


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
    """A load whose rows lie in the spool, ready to be promised and sent."""

    run: Run
    folder: Path
    job: IngestJob
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Driven:
    """What came of a run: the org's answers by part, and what it took."""

    answers: tuple[Answers, ...]
    seconds: float
    calls: int


def home() -> Path:
    """The folder of ledger and spool: SFFRAME_HOME, else the user's state directory. Only its owner may look in."""
    import platformdirs

    named = os.environ.get("SFFRAME_HOME")
    folder = Path(named) if named else platformdirs.user_state_path("sfframe", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def prepare(
    checked: Checked, sent: tuple[SentColumn, ...], job: IngestJob, *, org: Org, options: LoadOptions
) -> Prepared:
    """Write the good rows to the spool, as CSV files that are each one job. No row is sent."""
    from sfframe.codec.split import spool

    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
    folder = home() / "runs" / name
    try:
        parts = spool(
            _texts(checked, sent),
            folder,
            max_bytes=options.limits.bytes_per_job,
            max_rows=options.limits.rows_per_job,
            delimiter=job.column_delimiter,
            line_ending=job.line_ending,
        )
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
    who = org.identity
    run = Run(
        run_id=name,
        sobject=job.sobject,
        operation=job.operation,
        external_id_field=job.external_id_field or "",
        host=org.instance_url,
        organization_id=who.organization_id,
        username=who.username,
    )
    return Prepared(run, folder, job, tuple(parts))


def drive(prepared: Prepared, org: Org, options: LoadOptions) -> Driven:
    """Take every part to its end: promise, upload, close, poll, fetch; several at once.

    Raises JobTimeout and Cancelled while jobs go on in the org, and ConnectionFailed when it cannot be reached; what
    was begun stays in the ledger and the spool.
    """
    began, calls = time.perf_counter(), org.calls
    rows = sum(part.rows for part in prepared.parts)
    title = f"{prepared.job.operation} {prepared.job.sobject}"
    with Ledger.open(home()) as ledger, shown(options.progress, title=title, rows=rows) as listener:
        ledger.begin(prepared.run, prepared.parts)
        work = [
            _lane(prepared, part, org=org, ledger=ledger, options=options, listener=listener) for part in prepared.parts
        ]
        answers = run_lanes(work, cap=options.limits.lanes, cancel=options.cancel)
    return Driven(tuple(answers), time.perf_counter() - began, org.calls - calls)


def close_books(prepared: Prepared, *, outcome: str, keep: bool) -> None:
    """Note in the ledger that every row has its answer, and clear the spool away: it holds record values."""
    with Ledger.open(home()) as ledger:
        ledger.finish(prepared.run.run_id, outcome)
    if not keep:
        shutil.rmtree(prepared.folder, ignore_errors=True)


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

"""Prepares a run and drives it to its end: here the data wing and the wire wing meet.

A write is ``prepare`` and then ``complete``; a resume is ``complete`` alone, after ``reopen``. There is one path.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
import secrets
import shutil
import threading
import time
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sfframe import facts
from sfframe.errors import Cancelled, RowsFailedWarning, SfframeError, UsageError
from sfframe.facts import Carrier
from sfframe.jobs.events import tell
from sfframe.jobs.lanes import run_lanes
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.options import LoadOptions, OnFailed
from sfframe.progress import shown
from sfframe.protocol import bulk2_ingest
from sfframe.results import SUCCEEDED, TROUBLE, Cost, GiveBack, LoadResult, Target
from sfframe.spool import writing

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.layout import SentColumn
    from sfframe.connection.org import Org
    from sfframe.frames.checking import Checker
    from sfframe.frames.feed import Cut, Feed
    from sfframe.frames.kept import Rows
    from sfframe.frames.saved import Saved
    from sfframe.jobs.events import JobEvent, Listener
    from sfframe.jobs.pacing import Pacing
    from sfframe.spool import Answers, Part

NEVER_SENT: Final = "These rows were never sent: the process that loaded them ended before it had read them all."
DRY_RUN: Final = "A dry run: nothing was sent."
ABORT_SECONDS: Final = 0.1  # that a cancelled load waits for the aborts of its open jobs; they go on without it
NEVER_BEGUN: Final = timedelta(days=2)  # how long the folder of a run stays that the ledger does not know
KEPT_BY_KEY: Final = timedelta(days=30)  # how long the answers of a load with a run_key stay, unless it says otherwise


def home() -> Path:
    """The folder of ledger and spool: SFFRAME_HOME, else the user's state directory. Only its owner may look in."""
    import platformdirs

    named = os.environ.get("SFFRAME_HOME")
    folder = Path(named) if named else platformdirs.user_state_path("sfframe", appauthor=False)
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    return folder


def _on_disk(_part: Part) -> None:
    """No part is in memory any more."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A load whose parts are on disk, or come there while it is sent.

    ``parts`` gives them, each promised in the ledger before it is handed on; ``made`` are those that were cut before.
    ``key`` is a unique field that every row of an insert fills. ``typed`` gives the cells of a part before they became
    text, where they are in memory. ``notes`` grow while parts are made. ``never_sent``
    says why rows can be in no part.
    """

    run: Run
    folder: Path
    job: LoadJob
    sent: tuple[SentColumn, ...]
    height: int
    parts: Callable[[Ledger], Iterable[Part]]
    key: str | None = None
    notes: list[str] = field(default_factory=list)
    never_sent: str = ""
    made: tuple[Part, ...] = ()
    typed: Callable[[Part], pl.DataFrame | None] = _on_disk


@dataclass(frozen=True, slots=True)
class Answered:
    """What became of every row, and what it took. ``stored`` has the caller's rows with their answers."""

    stored: pl.DataFrame | Saved
    failures: pl.DataFrame
    target: Target
    jobs: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    run: str = ""
    cost: Cost = field(default_factory=Cost)


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


@contextmanager
def new_folder() -> Iterator[Path]:
    """The folder of a new run. It is gone again when the work in it fails before the run is in the ledger."""
    purge()
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
    folder = home() / "runs" / name
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    except BaseException:
        with Ledger.open(home()) as ledger:
            begun = any(run.run_id == name for run in ledger.runs())
        if not begun:
            shutil.rmtree(folder, ignore_errors=True)
        raise


def carrier_for(options: LoadOptions, operation: facts.Operation, *, rows: int, key: str | None) -> Carrier:
    """The API that carries a load of so many rows; ``key`` is a unique field that every row of an insert fills.

    An insert by collections whose answer is lost cannot be told from one that never arrived (architecture.md 4.5).
    """
    if options.api != "auto":
        if options.api == "collections" and operation == "hardDelete":
            raise UsageError("Collections cannot delete for good", remedy='Use api="bulk2", or operation="delete".')
        return options.api
    if options.headers.serial:
        return "bulk1"
    if options.headers.for_collections:
        return "collections"
    plain = (options.column_delimiter, options.line_ending) == ("COMMA", "LF")
    safe = operation != "hardDelete" and (operation != "insert" or key is not None)
    return "collections" if rows <= facts.ROWS_FOR_COLLECTIONS and safe and plain else "bulk2"


def prepare(feed: Feed, org: Org, options: LoadOptions, *, lazily: bool, check: Callable[[Feed], None]) -> Prepared:
    """Cut the rows into parts on disk and promise them in the ledger. No row is sent.

    ``lazily`` leaves the cutting to the time of the sending, so that both go on at once; it is not done where all rows
    must be known first. ``check`` is asked before anything is promised, once all rows are known.
    """
    from sfframe.frames.feed import Cut

    checker = feed.checker
    feed.look()
    key = feed.unique_key()
    carrier = carrier_for(options, checker.operation, rows=feed.rows.height, key=key)
    job = _job(checker, options)
    limits = options.limits
    cut = Cut(limits.rows(carrier), limits.bytes(carrier), job.column_delimiter, job.line_ending)
    run = _new_run(feed, org, job, options, key=key)
    run = replace(run, carrier=carrier)
    made: list[Part] = []
    if lazily and not options.looks_first:
        parts = _cut_while_sent(feed, cut, run, options)
    else:
        made = list(feed.parts(cut))
        check(feed)
        run = replace(run, fingerprint=fingerprint(made))
        parts = _known(made)
        if not options.dry_run:
            with Ledger.open(home()) as ledger:
                earlier = _same_key(ledger, run)
                if earlier is not None:
                    shutil.rmtree(feed.folder, ignore_errors=True)
                    return reopen(earlier, org, finished=True)
                _check_again(ledger, run, options)
                ledger.begin(run, made)
    sent, height = checker.sent, feed.rows.height
    return Prepared(run, feed.folder, job, sent, height, parts, key, feed.notes, made=tuple(made), typed=feed.typed_of)


def _known(parts: Sequence[Part]) -> Callable[[Ledger], Iterable[Part]]:
    return lambda _ledger: parts


def _job(checker: Checker, options: LoadOptions) -> LoadJob:
    headers = options.headers
    return LoadJob(
        checker.sobject,
        checker.operation,
        checker.external_id_field,
        options.column_delimiter,
        options.line_ending,
        headers.assignment_rule_id,
        headers.allow_duplicates,
        headers.all_or_none,
        headers.serial,
    )


def _new_run(feed: Feed, org: Org, job: LoadJob, options: LoadOptions, *, key: str | None) -> Run:
    who = org.identity
    settings = {
        "height": feed.rows.height,
        "columns": [[one.name, one.header] for one in feed.checker.sent],
        "nulls": feed.checker.nulls if isinstance(feed.checker.nulls, str | None) else dict(feed.checker.nulls),
        "job": asdict(job),
        "key": key,
        "kept": _kept_until(options),
    }
    return Run(
        run_id=feed.folder.name,
        sobject=job.sobject,
        operation=job.operation,
        external_id_field=job.external_id_field or "",
        host=org.instance_url,
        organization_id=who.organization_id,
        username=who.username,
        run_key=options.run_key,
        settings=json.dumps(settings),
    )


def _cut_while_sent(feed: Feed, cut: Cut, run: Run, options: LoadOptions) -> Callable[[Ledger], Iterable[Part]]:
    """Parts that are promised one by one. The run stays open at its end until the last of them is known."""

    def parts(ledger: Ledger) -> Iterator[Part]:
        ledger.begin(replace(run, settings=_with(run.settings, growing=True)))
        made: list[Part] = []
        coming = feed.parts(cut)
        for part in coming:
            made.append(part)
            if part.number == 0 and ledger.begins_alike(run, part.sha256):
                # Perhaps this insert was done before: all of it must be known before any of it is sent.
                made += coming
                _check_again(ledger, replace(run, fingerprint=fingerprint(made)), options)
                for one in made:
                    ledger.add_part(run.run_id, one)
                yield from made
                break
            ledger.add_part(run.run_id, part)
            yield part
        ledger.settle(run.run_id, settings=run.settings, fingerprint=fingerprint(made))

    return parts


def fingerprint(parts: Iterable[Part]) -> str:
    """What a run sends, in one word: equal for the same cells in the same order, cut alike."""
    return hashlib.sha256(" ".join(part.sha256 for part in parts).encode()).hexdigest()


def _same_key(ledger: Ledger, run: Run) -> str | None:
    """The run that had this ``run_key`` before; raises where it sent something else (architecture.md 4.6)."""
    if not run.run_key:
        return None
    earlier = next((one for one in ledger.runs() if _named_alike(one, run)), None)
    if earlier is None:
        return None
    told = ("sobject", "operation", "external_id_field", "fingerprint")
    if [getattr(earlier, name) for name in told] != [getattr(run, name) for name in told]:
        raise UsageError(
            f"The run_key {run.run_key!r} names a load of other rows ({earlier.operation} {earlier.sobject})",
            where=f"run {earlier.run_id}, {earlier.created}",
            remedy="Nothing was sent. Use another key, or the same rows.",
        )
    return earlier.run_id


def _named_alike(one: Run, other: Run) -> bool:
    return (one.run_key, one.organization_id) == (other.run_key, other.organization_id)


def _check_again(ledger: Ledger, run: Run, options: LoadOptions) -> None:
    """Raise for an insert that was done before: a second one would double every row (architecture.md 4.6)."""
    if run.operation != "insert" or options.again or options.dry_run or options.run_key:
        return
    earlier = ledger.done_before(run)
    if earlier is None:
        return
    ledger.forget(run.run_id)
    raise UsageError(
        f"The same rows were inserted before, {earlier.succeeded:,} of them with success",
        where=f"run {earlier.run_id}, {earlier.created}",
        remedy="Nothing was sent. LoadOptions(again=True) inserts them again; of rows that failed, load result.failed.",
    )


def reopen(run_id: str, org: Org, *, finished: bool = False) -> Prepared:
    """A run that another process prepared, from the ledger and the spool; ``finished`` allows one that is complete,
    whose answers are then read once more where they were kept.

    Raises UsageError when there is no such run, when it is complete, and when ``org`` is not the org that it was for:
    its jobs would not be found there, and its rows would be sent to the wrong one.
    """
    from sfframe.frames.columns import match_columns

    with Ledger.open(home()) as ledger:
        run = ledger.run(run_id)
        parts = [state.part for state in ledger.parts(run_id)]
    folder = home() / "runs" / run_id
    gone = not folder.is_dir() or not all(part.path.is_file() for part in parts)
    if gone or (run.finished and not finished):
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
    job = LoadJob(**noted["job"])
    matched = match_columns(
        [header for _, header in noted["columns"]],
        org.describe(run.sobject),
        operation=job.operation,
        external_id_field=job.external_id_field,
        describe=org.describe,
    )
    names = {header: name for name, header in noted["columns"]}
    sent = tuple(replace(one, name=names[one.header]) for one in matched)
    never_sent = NEVER_SENT if noted.get("growing") else ""
    return Prepared(
        run,
        folder,
        job,
        sent,
        int(noted["height"]),
        _known(parts),
        noted["key"],
        never_sent=never_sent,
        made=tuple(parts),
    )


def complete(prepared: Prepared, rows: Rows, org: Org, options: LoadOptions, results: Path | None) -> Answered:
    """Drive the run to its end, join what the org answers to the caller's rows, and close the books."""
    from sfframe.frames.accounting import accounted
    from sfframe.frames.feed import failures_of
    from sfframe.frames.verdict import rejected

    began, calls = time.perf_counter(), org.calls
    from sfframe.frames.kept import KeptRows

    driven = drive(prepared, org, options, spill=results is not None and isinstance(rows, KeptRows))
    failures = failures_of(prepared.folder)
    slices = accounted(rows, (told() for told in driven.verdicts), rejected(failures), never_sent=prepared.never_sent)
    try:
        with writing(results or home()):
            stored, counts = _stored(slices, rows, results)
    except SfframeError as problem:  # the answers are kept, and a resume gives them
        problem.run = prepared.run.run_id
        raise
    notes = [f"job {answer.job_id}: {answer.error}" for answer in driven.answers if answer.error and answer.job_id]
    notes += prepared.notes
    if driven.surplus:
        notes.append(f"{driven.surplus:,} answers of the org belong to no row that was sent")
    if options.keep_raw and results is not None:
        _raw_beside(driven, results.with_name(f"{results.name}.raw"))
    if not counts.get("unknown"):  # while rows are unknown, the spool is the only trace of what was sent
        if options.cleanup:
            _delete_jobs(driven, prepared, org)
        _close_books(prepared, counts)
    cost = Cost(
        seconds=time.perf_counter() - began,
        calls=org.calls - calls,
        bytes_sent=sum(answer.part.bytes for answer in driven.answers),
        rows=sum(answer.part.rows for answer in driven.answers),
        jobs=len(driven.jobs),
        batches=sum(batches_of(prepared.run.carrier, answer.part.rows) for answer in driven.answers),
        calls_used=org.api_usage.used if org.api_usage else None,
        calls_allowed=org.api_usage.max if org.api_usage else None,
    )
    return Answered(stored, failures, target_of(prepared, org), driven.jobs, tuple(notes), prepared.run.run_id, cost)


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


Joined = tuple["Answers", "Callable[[], pl.DataFrame]"]


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


def rehearsed(prepared: Prepared, rows: Rows, org: Org) -> Answered:
    """What a load would do, after it was prepared and before anything is sent: every good row is unprocessed."""
    from sfframe.frames.accounting import accounted
    from sfframe.frames.feed import failures_of
    from sfframe.frames.verdict import rejected

    failures = failures_of(prepared.folder)
    stored, _ = _stored(accounted(rows, [], rejected(failures), never_sent=DRY_RUN), rows, None)
    shutil.rmtree(prepared.folder, ignore_errors=True)
    notes = (f"{DRY_RUN} It would go by {facts.CARRIER_NAMES[prepared.run.carrier]}.", *prepared.notes)
    return Answered(stored, failures, target_of(prepared, org), notes=notes, cost=expected(prepared, org))


def expected(prepared: Prepared, org: Org) -> Cost:
    """What a load will take. Calls are those without polls that go wrong; the org is asked what is left of its day."""
    carrier, parts = prepared.run.carrier, prepared.made
    calls = {"bulk2": 9 * len(parts), "bulk1": 2 * len(parts) + 6 if parts else 0, "collections": len(parts)}
    daily = org.limits().get("DailyApiRequests")
    return Cost(
        calls=calls[carrier],
        bytes_sent=sum(part.bytes for part in parts),
        rows=sum(part.rows for part in parts),
        jobs={"bulk2": len(parts), "bulk1": min(len(parts), 1), "collections": 0}[carrier],
        batches=sum(batches_of(carrier, part.rows) for part in parts),
        calls_used=daily.used if daily else None,
        calls_allowed=daily.max if daily else None,
    )


def batches_of(carrier: Carrier, rows: int) -> int:
    """Batches that the org counts against its 15,000 a day: it cuts a Bulk 2.0 job into 10,000 rows (bulk2.md 5)."""
    return 0 if carrier == "collections" else -(-rows // facts.BATCH_ROWS)


def purge() -> None:
    """Removes the files of runs that were kept for a time which is over, and what processes that died left behind."""
    now = datetime.now(UTC)
    with Ledger.open(home()) as ledger:
        runs = {run.run_id: run for run in ledger.runs()}
    for folder in (home() / "runs").glob("*"):
        run, over = runs.get(folder.name), False
        if run is not None:
            until = json.loads(run.settings or "{}").get("kept", "")
            over = bool(run.finished) and until < now.isoformat(timespec="seconds")
        else:  # its process died before it promised anything, or cuts rows at this moment, or clears it away
            with contextlib.suppress(FileNotFoundError):
                over = folder.stat().st_mtime < (now - NEVER_BEGUN).timestamp()
        if over:
            shutil.rmtree(folder, ignore_errors=True)


def _kept_until(options: LoadOptions) -> str:
    """Until when a run's files stay after its end: a time in ISO 8601, "" for not at all, "~" for ever."""
    keep: bool | timedelta = options.keep
    if options.run_key and keep is False:
        keep = KEPT_BY_KEY
    if isinstance(keep, timedelta):
        return (datetime.now(UTC) + keep).isoformat(timespec="seconds")
    return "~" if keep else ""


def _close_books(prepared: Prepared, counts: Mapping[str, int]) -> None:
    """Note in the ledger that every row has its answer, and clear the spool away: it holds record values."""
    trouble = any(counts.get(status) for status in TROUBLE)
    with Ledger.open(home()) as ledger:
        ledger.finish(
            prepared.run.run_id,
            "some rows did not succeed" if trouble else "complete",
            succeeded=sum(counts.get(status, 0) for status in SUCCEEDED),
        )
    if not json.loads(prepared.run.settings).get("kept"):
        shutil.rmtree(prepared.folder, ignore_errors=True)


def _stored(
    slices: Iterable[pl.DataFrame], rows: Rows, results: Path | None
) -> tuple[pl.DataFrame | Saved, dict[str, int]]:
    """The answered rows in memory, and in the file where one is named; a stream with a file is in the file only."""
    import polars as pl

    from sfframe.frames.kept import WholeRows
    from sfframe.frames.sink import sink

    counts: dict[str, int] = {}

    def counted(slices: Iterable[pl.DataFrame]) -> Iterator[pl.DataFrame]:
        for one in slices:
            for status, count in one["sf__Status"].value_counts().iter_rows():
                counts[status] = counts.get(status, 0) + count
            yield one

    if results is not None and not isinstance(rows, WholeRows):
        with sink(results) as saving:
            for one in counted(slices):
                saving.write(one)
        return saving.saved, counts
    frame = pl.concat(list(counted(slices)))
    if results is not None:
        with sink(results) as saving:
            saving.write(frame)
    return frame, counts


def _raw_beside(driven: Driven, folder: Path) -> None:
    """The org's own files, copied to where the user keeps the results."""
    folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    for answers in driven.answers:
        for file in (answers.succeeded, answers.failed, answers.unprocessed, answers.ordered):
            if file is not None:
                shutil.copy(file, folder)


def _delete_jobs(driven: Driven, prepared: Prepared, org: Org) -> None:
    """Clears the jobs out of the org; those of Bulk API 1.0 go by themselves after seven days (bulk1.md 8)."""
    if prepared.run.carrier == "bulk2":
        for job_id in driven.jobs:
            org.send(bulk2_ingest.delete(job_id))


def target_of(prepared: Prepared, org: Org) -> Target:
    """Whom and what the load was meant for."""
    who, job = org.identity, prepared.job
    named = who.organization_name or org.instance_url
    return Target(named, who.username, who.kind, job.sobject, job.operation, job.external_id_field)


def _with(settings: str, **more: object) -> str:
    return json.dumps(json.loads(settings) | more)


def wrap(answered: Answered, *, give_back: GiveBack | None, on_failed: OnFailed) -> LoadResult[Any]:
    """The result of a load; failures are warned of or raised."""
    result: LoadResult[Any] = LoadResult(
        answered.stored,
        answered.failures,
        answered.target,
        jobs=answered.jobs,
        notes=answered.notes,
        run=answered.run,
        cost=answered.cost,
        give_back=give_back,
    )
    if on_failed == "raise":
        result.raise_for_failures()
    elif on_failed == "warn" and not result.ok:
        warnings.warn(f"{result.summary()}\nresult.triage() says why.", RowsFailedWarning, stacklevel=3)
    return result

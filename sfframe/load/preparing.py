"""From the caller's rows to parts on disk that are promised in the ledger; and back to those of another process."""

from __future__ import annotations

import contextlib
import json
import secrets
import shutil
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sfframe import facts
from sfframe.errors import UsageError
from sfframe.facts import Carrier
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.options import LoadOptions
from sfframe.state import home

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.layout import SentColumn
    from sfframe.connection.org import Org
    from sfframe.frames.checking import Checker
    from sfframe.frames.feed import Cut, Feed
    from sfframe.spool import Part

NEVER_SENT: Final = "These rows were never sent: the process that loaded them ended before it had read them all."
NEVER_BEGUN: Final = timedelta(days=2)  # how long the folder of a run stays that the ledger does not know
KEPT_BY_KEY: Final = timedelta(days=30)  # how long the answers of a load with a run_key stay, unless it says otherwise


def _on_disk(_part: Part) -> None:
    """No part is in memory any more."""


@dataclass(frozen=True, slots=True)
class Prepared:
    """A load whose parts are on disk, or come there while it is sent.

    ``parts`` gives them, each promised in the ledger before it is handed on; ``made`` are those that were cut before.
    ``key`` is a unique field that every row of an insert fills. ``typed`` gives the cells of a part before they became
    text, where they are in memory. ``notes`` grow while parts are made. ``never_sent`` says why rows can be in no part.
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


@contextmanager
def new_folder() -> Iterator[Path]:
    """The folder of a new run. It is gone again when the work in it fails before the run is in the ledger."""
    purge()
    name = f"{time.strftime('%Y%m%dT%H%M%SZ', time.gmtime())}-{secrets.token_hex(3)}"
    folder = home() / "runs" / name
    folder.mkdir(mode=0o700, parents=True)
    try:
        yield folder
    except BaseException:  # Ctrl-C too: the folder holds record values
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
        try:
            if _perhaps_done(ledger, run):  # then all of it must be known before any of it is sent
                whole = list(coming)
                _check_again(ledger, replace(run, fingerprint=fingerprint(whole)), options)
                made += whole
                for part in made:
                    ledger.add_part(run.run_id, part)
                yield from made
            else:
                for part in coming:
                    made.append(part)
                    ledger.add_part(run.run_id, part)
                    yield part
        except Exception:  # of the rows, of the disk, or of the check above; not the end of the process
            if not made:  # nothing was sent, and there is nothing to go on with
                ledger.forget(run.run_id)
            raise
        ledger.settle(run.run_id, settings=run.settings, fingerprint=fingerprint(made))

    return parts


def fingerprint(parts: Sequence[Part]) -> str:
    """What a run sends, in one word: equal for the same cells in the same order, however they are cut."""
    return parts[-1].sha256 if parts else "nothing"


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


def _perhaps_done(ledger: Ledger, run: Run) -> bool:
    """Whether an insert of as many rows into the same object was done before."""
    told, height = ("organization_id", "sobject", "operation"), json.loads(run.settings)["height"]
    return run.operation == "insert" and any(
        one.finished
        and all(getattr(one, name) == getattr(run, name) for name in told)
        and json.loads(one.settings or "{}").get("height") == height
        for one in ledger.runs()
    )


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
    if "job" not in noted:
        raise UsageError(
            f"Run {run_id!r} was begun by an earlier sfframe, which kept its parts in another way",
            where=str(folder),
            remedy="Go on with it by that version, or look its jobs up with sfframe.list_jobs().",
        )
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


def _with(settings: str, **more: object) -> str:
    return json.dumps(json.loads(settings) | more)

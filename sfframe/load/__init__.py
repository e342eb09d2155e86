"""Prepares a run and drives it to its end: here the data wing and the wire wing meet.

A write is ``prepare`` and then ``complete``; a resume is ``complete`` alone, after ``reopen``. There is one path.
"""

from __future__ import annotations

import json
import shutil
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from sfframe import facts
from sfframe.errors import RowsFailedWarning, SfframeError
from sfframe.facts import Carrier
from sfframe.jobs.ledger import Ledger
from sfframe.load.driving import Driven, drive
from sfframe.load.preparing import NEVER_SENT, Prepared, new_folder, prepare, reopen
from sfframe.options import LoadOptions, OnFailed
from sfframe.protocol import bulk2_ingest
from sfframe.results import SUCCEEDED, TROUBLE, Cost, GiveBack, LoadResult, Target
from sfframe.spool import writing
from sfframe.state import home

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.frames.kept import Rows
    from sfframe.frames.saved import Saved

__all__ = [
    "NEVER_SENT",
    "Prepared",
    "complete",
    "new_folder",
    "prepare",
    "rehearsed",
    "reopen",
    "wrap",
]

DRY_RUN: Final = "A dry run: nothing was sent."


def complete(prepared: Prepared, rows: Rows, org: Org, options: LoadOptions, results: Path | None) -> LoadResult[Any]:
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
    return LoadResult(stored, failures, target_of(prepared, org), driven.jobs, tuple(notes), prepared.run.run_id, cost)


def rehearsed(prepared: Prepared, rows: Rows, org: Org) -> LoadResult[Any]:
    """What a load would do, after it was prepared and before anything is sent: every good row is unprocessed."""
    from sfframe.frames.accounting import accounted
    from sfframe.frames.feed import failures_of
    from sfframe.frames.verdict import rejected

    failures = failures_of(prepared.folder)
    stored, _ = _stored(accounted(rows, [], rejected(failures), never_sent=DRY_RUN), rows, None)
    shutil.rmtree(prepared.folder, ignore_errors=True)
    notes = (f"{DRY_RUN} It would go by {facts.CARRIER_NAMES[prepared.run.carrier]}.", *prepared.notes)
    return LoadResult(stored, failures, target_of(prepared, org), notes=notes, cost=expected(prepared, org))


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


def wrap(result: LoadResult[Any], *, give_back: GiveBack | None, on_failed: OnFailed) -> LoadResult[Any]:
    """The result in the caller's kind of frame; failures are warned of or raised."""
    result = replace(result, give_back=give_back)
    if on_failed == "raise":
        result.raise_for_failures()
    elif on_failed == "warn" and not result.ok:
        warnings.warn(f"{result.summary()}\nresult.triage() says why.", RowsFailedWarning, stacklevel=3)
    return result

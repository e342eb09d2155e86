"""One ingest job from UploadComplete to its end: read the upload, save it batch by batch, keep the results."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.faults import RETRIED, JobTrouble
from sfframe.localorg.services import chunks, coercion, columns, job_results, locks, upload_csv
from sfframe.localorg.services.columns import Column, ColumnFault
from sfframe.localorg.services.jobs import JOBS, IngestJob
from sfframe.localorg.services.task import Locks, Staged, Task
from sfframe.localorg.services.upload_csv import DELIMITERS, Header, UploadFault
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store
from sfframe.localorg.store.transactions import transaction

_LOG = logging.getLogger(__name__)
_NULL_MARK = "#N/A"  # bulk2.md 3.3
_QUOTA = "ExceededQuota : ApiBatchItems Limit exceeded"
_MOST_RETRIES = 20  # of one batch (bulk2.md 2.14)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run needs of the service.

    ``changed`` is called after each change of the job. ``go_on`` is asked before each batch with the job as it is;
    false leaves it so, for the next start. ``trouble`` tells what a setting or a declared fault
    does to the job. ``count_batches`` counts batches of the day and answers
    how many there were.
    """

    store: Store
    settings: Settings
    changed: Callable[[], None]
    go_on: Callable[[IngestJob], bool]
    trouble: Callable[[IngestJob], JobTrouble]
    count_batches: Callable[[int], int]


@dataclass(frozen=True, slots=True)
class _Upload:
    """An upload that has been read and staged; ``quotes`` tells whether there is one in any cell or around it."""

    obj: ObjectDef
    header: Header
    columns: tuple[Column, ...]
    relation: str
    rows: int
    clean: frozenset[str]
    longest: dict[str, int]
    quotes: bool


@dataclass(frozen=True, slots=True)
class _Run:
    """One run of one job."""

    around: Surroundings
    cursor: duckdb.DuckDBPyConnection
    job_id: str
    path: Path

    @property
    def store(self) -> Store:
        return self.around.store

    def job(self) -> IngestJob | None:
        """The job as it is now, unless it was deleted."""
        return JOBS.find(self.cursor, self.job_id)


class _Stopped(Exception):
    """The org is closing, or something holds the job: it stays as it is."""


def run(around: Surroundings, job_id: str, upload: Path) -> None:
    """Run the job to its end. A job that was running before goes on behind its last whole batch."""
    with around.store.cursor() as cursor:
        this = _Run(around, cursor, job_id, upload)
        job = _started(this)
        if job is None:
            return
        try:
            staged = _read(this, job)
            if staged is not None:
                _save_batches(this, staged)
            _end(this, "JobComplete")
        except UploadFault as fault:
            _end(this, "Failed", str(fault))
        except _Stopped:
            return
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a job, the worker lives on
            _LOG.exception("Ingest job %s failed", job_id)
            _end(this, "Failed", f"UnknownException : {error}")


def _started(this: _Run) -> IngestJob | None:
    with this.store.writing:
        job = this.job()
        if job is None or job.ended:
            return None
        job = replace(job, state="InProgress", modstamp=this.store.now())
        JOBS.change(this.cursor, job)
        job_results.create_table(this.cursor, job.id)
    this.around.changed()
    return job


def _read(this: _Run, job: IngestJob) -> _Upload | None:
    """Stage the upload; None for one without a header. Raises UploadFault where nothing of it can be processed."""
    obj = this.store.catalogue.find(job.object)
    if obj is None:
        raise UploadFault(f"InvalidJob : Unable to find object: {job.object}")
    if not this.path.exists():
        # Closed without any upload (bulk2.md 10), or the org's file was moved away from its uploads.
        if job.uploads:
            raise UploadFault("InternalServerError : The upload is gone")
        return None
    delimiter = DELIMITERS[job.delimiter]
    upload_csv.mend_encoding(this.path)
    header = upload_csv.read_header(this.path, delimiter)
    if header is None:
        return None
    with this.store.writing:
        JOBS.change(this.cursor, replace(this.job() or job, header=header.raw))
    upload_csv.check_header(header)
    upload_csv.check_line_endings(this.path, job.line_ending)
    try:
        resolved = columns.resolve(header.names, obj, this.store.catalogue)
        key = obj.field(job.external_id_field) if job.external_id_field else None
        columns.check(job.operation, resolved, key)
    except ColumnFault as fault:
        raise UploadFault(f"InvalidBatch : {fault}") from fault
    relation = upload_csv.stage(this.cursor, this.path, delimiter, len(header.names))
    rows = upload_csv.counted(this.cursor, relation, len(header.names))
    clean = _clean(this, relation, resolved)
    longest = upload_csv.longest(this.cursor, relation, [column.cell for column in resolved])
    return _Upload(obj, header, resolved, relation, rows, clean, longest, upload_csv.has_quotes(this.path))


def _clean(this: _Run, relation: str, resolved: tuple[Column, ...]) -> frozenset[str]:
    """The texts that can be taken as they are: to look once is quicker than to look again with every value."""
    cells = [column.cell for column in resolved if column.key is None and coercion.is_text(column.field)]
    if not cells:
        return frozenset()
    looked = ", ".join(f"coalesce(bool_or({coercion.unclean(cell, _NULL_MARK)}), false)" for cell in cells)
    found = this.cursor.execute(f"SELECT {looked} FROM {relation}").fetchall()[0]
    return frozenset(cell for cell, unclean in zip(cells, found, strict=True) if not unclean)


def _save_batches(this: _Run, upload: _Upload) -> None:
    settings, counted = this.around.settings, 0
    while True:
        job = this.job()
        if job is None or job.ended or job.processed >= upload.rows:
            return
        if not this.around.go_on(job):
            raise _Stopped
        trouble = this.around.trouble(job)
        if job.batches == trouble.fails_after:
            raise UploadFault(trouble.message)
        before = job.processed // settings.batch_rows
        left = -(-upload.rows // settings.batch_rows) - before
        batches = min(left, _batches_at_once(settings, trouble, job))
        # A batch that is tried again is none of the day's more.
        fresh = max(before + batches - max(counted, before + (job.tries > 0)), 0)
        batches -= min(fresh, max(this.around.count_batches(fresh) - settings.daily_batches, 0))
        if batches <= 0:
            with this.store.writing:
                JOBS.change(this.cursor, replace(this.job() or job, dropped=True))
            raise UploadFault(_QUOTA)
        counted = max(counted, before + batches)
        _save_some(this, upload, batches)
        this.around.changed()


def _batches_at_once(settings: Settings, trouble: JobTrouble, job: IngestJob) -> int:
    """How many batches one transaction may take without passing over a place where it has to stop."""
    if trouble.chunks_per_try is not None:
        return 1
    stops = [trouble.stuck_after, trouble.fails_after]
    ahead = [stop - job.batches for stop in stops if stop is not None and stop > job.batches]
    return min([settings.batches_at_once, *ahead])


def _save_some(this: _Run, upload: _Upload, batches: int) -> None:
    """Try to save the next batches: rows, results and counters in one transaction. Nothing happens to an aborted job.

    Raises UploadFault behind the last try of a batch, which keeps what it has saved.
    """
    began = time.perf_counter()
    store, cursor, batch_rows = this.store, this.cursor, this.around.settings.batch_rows
    with store.writing:
        job = this.job()
        if job is None or job.ended:
            return
        trouble = this.around.trouble(job)
        end = min((job.processed // batch_rows + batches) * batch_rows, upload.rows)
        last = end
        if trouble.chunks_per_try is not None:
            last = min(end, job.processed + trouble.chunks_per_try * chunks.CHUNK_ROWS)
        rows = f"(SELECT * FROM {upload.relation} WHERE record > {job.processed} AND record <= {last})"
        key = upload.obj.field(job.external_id_field) if job.external_id_field else None
        staged = Staged(rows, upload.columns, _NULL_MARK, clean=upload.clean, longest=upload.longest)
        task = Task(
            store, upload.obj, job.operation, staged, store.now(), key, _locks(this, job), chunks.number(batch_rows)
        )
        with transaction(cursor):
            processed = failed = 0
            for saved in chunks.saves(task, cursor):
                job_results.keep(cursor, job, upload.header, staged, saved, quotes=upload.quotes)
                processed, failed = processed + saved.processed, failed + saved.failed
            spent = round((time.perf_counter() - began) * 1000)
            job = replace(
                _behind_try(job, job.processed + processed, end, batch_rows),
                failed=job.failed + failed,
                active_ms=job.active_ms + spent,
                modstamp=store.now(),
            )
            JOBS.change(cursor, job)
    if job.tries > _MOST_RETRIES:
        raise UploadFault(RETRIED if job.processed == last else locks.too_many(failed))


def _behind_try(job: IngestJob, processed: int, end: int, batch_rows: int) -> IngestJob:
    """The job behind a try that wanted to come as far as ``end``, with its batches and retries counted."""
    whole = processed == end
    batches = (-(-end // batch_rows) if whole else processed // batch_rows) - job.processed // batch_rows
    job = replace(job, processed=processed, batches=job.batches + batches)
    if whole:
        return replace(job, tries=0)
    tries = 1 if batches else job.tries + 1
    return replace(job, tries=tries, retries=job.retries + (tries <= _MOST_RETRIES))


def _locks(this: _Run, job: IngestJob) -> Locks:
    """Which rows of the next batches are locked, where a setting or a fault wants any."""
    settings, share = this.around.settings, this.around.trouble(job).locked_share
    return Locks(share, settings.seed, settings.batch_rows, settings.parallel_batches_lock_parents, requeues=True)


def _end(this: _Run, state: str, error_message: str | None = None) -> None:
    """Bring the job to its end, or clean up behind one that was aborted; deleted jobs leave nothing."""
    with this.store.writing:
        job = this.job()
        if job is None:
            job_results.drop(this.cursor, this.job_id)
        elif not job.ended:
            finish(this.store, this.cursor, replace(job, state=state, error_message=error_message), this.path)
    this.around.changed()


def finish(store: Store, cursor: duckdb.DuckDBPyConnection, job: IngestJob, upload: Path) -> IngestJob:
    """Store a job that has reached its final state, and the raw records that were never run; hold ``store.writing``."""
    if job.header is None and upload.exists():
        header = upload_csv.read_header(upload, DELIMITERS[job.delimiter])
        job = replace(job, header=header.raw if header else None)
    now = store.now()
    since_creation = round((now - job.created).total_seconds() * 1000)
    total = max(since_creation, job.active_ms) if job.batches else 0
    job = replace(job, modstamp=now, total_ms=total)
    with transaction(cursor):
        if job.state != "JobComplete" and not job.dropped and upload.exists():
            job_results.keep_unprocessed(cursor, job, upload)
        JOBS.change(cursor, job)
    upload.unlink(missing_ok=True)
    return job

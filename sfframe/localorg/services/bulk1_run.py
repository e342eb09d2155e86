"""One batch of Bulk API 1.0 from Queued to its end: rows are saved, queries answered or split (bulk1.md 3, 4, 6)."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path
from typing import cast

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.faults import JobTrouble
from sfframe.localorg.services import (
    bulk1_chunks,
    bulk1_csv,
    bulk1_query,
    bulk1_results,
    bulk1_rows,
    bulk1_spec,
    bulk1_zip,
    chunks,
    columns,
    locks,
)
from sfframe.localorg.services.bulk1_errors import BatchFault
from sfframe.localorg.services.bulk1_jobs import BATCHES, JOBS, Batch, Job
from sfframe.localorg.services.columns import Column, ColumnFault
from sfframe.localorg.services.task import Locks, Operation, Staged, Task
from sfframe.localorg.store.store import Store
from sfframe.localorg.store.transactions import transaction

MOST_ROWS = 10_000  # bulk1.md 7
_MOST_RETRIES = 10  # bulk1.md 1.4
# The words are those of queries with another number (bulk1.md 3.3, 4).
_RETRIED = "InternalServerError : Retried more than ten times"
QUOTA = "ApiBatchItems Limit exceeded."  # from memory (bulk1.md 7)
_LOG = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Surroundings:
    """What a run needs of the service.

    ``path`` is where the content of a batch lies, ``result_path`` where the files of a query's result go. ``changed``
    is called after each change; ``add_chunks`` makes and starts batches for queries and answers false where the day's
    allowance does not take them. ``running`` hears of every cursor that works on a query, and of None behind it.
    ``trouble`` tells what a declared fault does to the batches of a job. ``again`` starts a batch that is back in the
    queue.
    """

    store: Store
    path: Callable[[str], Path]
    result_path: Callable[[str, int], Path]
    changed: Callable[[], None]
    add_chunks: Callable[[Job, Batch, Sequence[str]], bool]
    running: Callable[[str, duckdb.DuckDBPyConnection | None], None]
    trouble: Callable[[Job], JobTrouble]
    again: Callable[[Job, Batch], None]


def run(around: Surroundings, batch_id: str) -> None:
    """Run the batch to its end, unless its job was aborted before."""
    store = around.store
    with store.cursor() as cursor:
        started = _started(around, cursor, batch_id)
        if started is None:
            return
        job, batch = started
        began = time.perf_counter()
        try:
            trouble = around.trouble(job)
            if trouble.fails_after is not None and batch.place >= trouble.fails_after:
                raise BatchFault(trouble.message)
            if job.queries:
                _answer(around, cursor, job, batch, began)
            else:
                _save(around, cursor, job, batch, began)
        except BatchFault as fault:
            _end(around, cursor, _timed(batch, began), "Failed", str(fault))
        except duckdb.InterruptException:
            return  # the org is closing; the batch runs again when it is opened
        except Exception as error:  # noqa: BLE001 - whatever goes wrong in a batch, the worker lives on
            _LOG.exception("Batch %s failed", batch_id)
            _end(around, cursor, _timed(batch, began), "Failed", f"InternalServerError : {error}")


def _started(around: Surroundings, cursor: duckdb.DuckDBPyConnection, batch_id: str) -> tuple[Job, Batch] | None:
    with around.store.writing:
        batch = BATCHES.find(cursor, batch_id)
        job = JOBS.find(cursor, batch.job_id) if batch else None
        if batch is None or job is None or batch.state not in ("Queued", "InProgress"):
            return None
        batch = replace(batch, state="InProgress", modstamp=around.store.now())
        BATCHES.change(cursor, batch)
    around.changed()
    return job, batch


def _save(around: Surroundings, cursor: duckdb.DuckDBPyConnection, job: Job, batch: Batch, began: float) -> None:
    store = around.store
    obj = store.catalogue.find(job.object)
    if obj is None:
        raise BatchFault(f"InvalidJob : Unable to find object: {job.object}")
    staged = _stage(around, cursor, job, obj, batch)
    rows = cursor.execute(f"SELECT count(*) FROM {staged.relation}").fetchall()[0][0]
    if rows > MOST_ROWS:
        words = f"Exceeded number of records : {rows + 1}. Number of records should be less than or equal to 10001"
        raise BatchFault(f"InvalidBatch : {words}")  # the reader counts the header (bulk1.md 5)
    active, trouble, last = time.perf_counter(), around.trouble(job), rows
    if trouble.chunks_per_try is not None:
        last = min(rows, batch.processed + trouble.chunks_per_try * chunks.CHUNK_ROWS)
    relation = f"(SELECT * FROM {staged.relation} WHERE record > {batch.processed} AND record <= {last})"
    with store.writing, transaction(cursor):
        task = Task(
            store,
            obj,
            cast("Operation", job.operation),  # queries were told apart before
            replace(staged, relation=relation),
            store.now(),
            obj.field(job.external_id_field) if job.external_id_field else None,
            Locks(trouble.locked_share, store.settings.seed, MOST_ROWS, requeues=True),
            chunks.number(MOST_ROWS),
        )
        processed = failed = 0
        for saved in chunks.saves(task, cursor):
            bulk1_results.keep(cursor, batch.id, saved)
            processed, failed = processed + saved.processed, failed + saved.failed
        batch = replace(
            _timed(batch, began),
            state="Completed",
            processed=batch.processed + processed,
            failed=batch.failed + failed,
            active_ms=batch.active_ms + _milliseconds(active),
            modstamp=store.now(),
        )
        if batch.processed < rows:
            batch = _behind_try(job, batch, locks.too_many(failed) if batch.processed < last else _RETRIED)
        BATCHES.change(cursor, batch)
    around.changed()
    if batch.state == "Queued":
        around.again(job, batch)


def _behind_try(job: Job, batch: Batch, problem: str) -> Batch:
    """The batch back in the queue with what is left of it, or failed where that was its last try."""
    if not job.retried or batch.retries == _MOST_RETRIES:
        return replace(batch, state="Failed", message=problem)
    return replace(batch, state="Queued", retries=batch.retries + 1)


def _stage(around: Surroundings, cursor: duckdb.DuckDBPyConnection, job: Job, obj: ObjectDef, batch: Batch) -> Staged:
    content = around.path(batch.id).read_bytes()
    if not job.zipped:
        return _staged_rows(around.store, cursor, job, obj, batch, content=content)
    archive = bulk1_zip.read(content)
    staged = _staged_rows(around.store, cursor, job, obj, batch, content=archive.request)
    return bulk1_zip.with_files(cursor, staged, archive)


def _staged_rows(
    store: Store, cursor: duckdb.DuckDBPyConnection, job: Job, obj: ObjectDef, batch: Batch, *, content: bytes
) -> Staged:
    if job.row_format == "CSV":
        text = bulk1_csv.normal(content.decode(batch.charset, "replace"))
        normal = store.scratch / f"{batch.id}.csv"
        normal.write_text(text, encoding="utf-8", newline="")
        try:
            header = bulk1_csv.header_of(normal)
            names = header.names
            resolved = _resolved(store, job, obj, names) if job.spec is None else ()
            relation = bulk1_csv.stage(cursor, normal, len(names), line_ending=job.line_ending)
        finally:
            normal.unlink()
        if job.spec is not None:
            mapped = bulk1_spec.apply(job.spec, names, relation, obj)
            relation, resolved = mapped.relation, _resolved(store, job, obj, mapped.names)
        return Staged(relation, resolved)
    if job.row_format == "XML":
        rows = bulk1_rows.rows_of_xml(content, obj)
    else:
        rows = bulk1_rows.rows_of_json(content.decode(batch.charset, "replace"), obj)
    resolved = _resolved(store, job, obj, rows.names)
    return Staged(rows.stage(cursor, resolved), resolved, bulk1_rows.NULL_MARK)


def _resolved(store: Store, job: Job, obj: ObjectDef, names: Sequence[str]) -> tuple[Column, ...]:
    key = obj.field(job.external_id_field) if job.external_id_field else None
    try:
        resolved = columns.resolve(names, obj, store.catalogue)
        columns.check(job.operation, resolved, key)
    except ColumnFault as fault:
        raise BatchFault(f"InvalidBatch : {fault}") from fault
    return resolved


def _answer(around: Surroundings, cursor: duckdb.DuckDBPyConnection, job: Job, batch: Batch, began: float) -> None:
    text = around.path(batch.id).read_bytes().decode(batch.charset, "replace")
    statement = bulk1_query.compile_query(around.store, job, text)
    if job.chunk_rows is not None and not batch.chunk and bulk1_chunks.can_be_split(statement):
        chunks = bulk1_chunks.split(around.store, cursor, job, statement, text)
        if chunks:
            if not around.add_chunks(job, batch, chunks):
                raise BatchFault(f"ExceededQuota : {QUOTA}")
            return
    around.running(batch.id, cursor)
    try:
        files = partial(around.result_path, batch.id)
        rows, count = bulk1_query.write(cursor, job, statement, files, around.store.settings.result_file_rows)
    finally:
        around.running(batch.id, None)
    spent = _milliseconds(began)
    result_ids = [around.store.new_id("752")[:15] for _ in range(count)]
    batch = replace(_timed(batch, began), processed=rows, active_ms=spent, result_ids=result_ids)
    _end(around, cursor, batch, "Completed")


def _end(
    around: Surroundings, cursor: duckdb.DuckDBPyConnection, batch: Batch, state: str, message: str | None = None
) -> None:
    with around.store.writing:
        BATCHES.change(cursor, replace(batch, state=state, message=message, modstamp=around.store.now()))
    around.changed()


def _timed(batch: Batch, began: float) -> Batch:
    return replace(batch, total_ms=batch.total_ms + _milliseconds(began))


def _milliseconds(began: float) -> int:
    return round((time.perf_counter() - began) * 1000)

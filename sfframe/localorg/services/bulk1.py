"""Bulk1Service: jobs of Bulk API 1.0 and their batches, from creation to results (bulk1.md)."""

from __future__ import annotations

import datetime as dt
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, get_args

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.faults import Faults, JobTrouble
from sfframe.localorg.services import bulk1_chunks, bulk1_jobs, bulk1_results, bulk1_run, bulk1_spec
from sfframe.localorg.services.bulk1_errors import Bulk1Error
from sfframe.localorg.services.bulk1_jobs import BATCHES, JOBS, Batch, Job, JobOperation
from sfframe.localorg.services.bulk_query_rules import unsupported
from sfframe.localorg.services.retention import KEPT, OPEN, Retention
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store
from sfframe.localorg.store.transactions import transaction

CONTENT_TYPES = {
    "CSV": "text/csv",
    "JSON": "application/json",
    "XML": "application/xml",
    "ZIP_CSV": "zip/csv",
    "ZIP_JSON": "zip/json",
    "ZIP_XML": "zip/xml",
}
MOST_BYTES = 10_000_000  # of one batch, unpacked (bulk1.md 7); as many characters
_WORKERS = 2
_OPERATIONS: tuple[str, ...] = get_args(JobOperation)
_CONCURRENCY = {"Parallel": "Parallel", "Serial": "Serial", "0": "Parallel", "1": "Serial"}  # bulk1.md 2.1
_REQUESTED = (
    "operation",
    "object",
    "externalIdFieldName",
    "concurrencyMode",
    "contentType",
    "assignmentRuleId",
    "state",
)
_NO_HARD_DELETE = (
    "hardDelete operation requires special user profile permission, please contact your system administrator"
)


@dataclass(frozen=True, slots=True)
class Info:
    """A job, and the document about it or about one of its batches."""

    job: Job
    document: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Content:
    """A body that is handed out: text, a file, or the ids of a query's results."""

    content_type: str
    text: str | None = None
    path: Path | None = None
    ids: tuple[str, ...] = ()


class Bulk1Service:
    """Jobs of one org.

    Batches run in threads of the service as soon as they are added, those of serial jobs one after the other over all
    serial jobs. What was waiting or running when the org was last open runs again. ``count_batches`` counts batches of
    the day over all interfaces and answers how many there were.
    """

    def __init__(
        self, store: Store, settings: Settings, count_batches: Callable[[int], int], faults: Faults | None = None
    ) -> None:
        self._store = store
        self._settings = settings
        self._count_batches = count_batches
        self._faults = faults or Faults()
        # A file in the scratch directory dies with the process, one beside the org's file does not.
        beside = store.path.with_name(f"{store.path.name}.batches") if store.path else None
        self._folder = beside or store.scratch / "batches"
        self._retention = Retention(store, self._expire)
        self._changed = threading.Condition()
        self._released: set[str] = set()
        self._waiting: dict[str, list[Batch]] = {}  # by job: batches that wait for its release
        self._closing = False
        self._querying: dict[str, duckdb.DuckDBPyConnection] = {}
        self._parallel = ThreadPoolExecutor(_WORKERS, thread_name_prefix="bulk1-parallel")
        self._serial = ThreadPoolExecutor(1, thread_name_prefix="bulk1-serial")
        self._around = bulk1_run.Surroundings(
            store,
            self._request_path,
            self._result_path,
            self._tell,
            self._add_chunks,
            self._note_query,
            self._trouble,
            self._start,
        )
        with store.writing, store.cursor() as cursor:
            bulk1_jobs.create_tables(cursor)
            bulk1_results.create_table(cursor)
            unfinished = bulk1_jobs.unfinished(cursor)
            jobs = {job_id: JOBS.find(cursor, job_id) for job_id in {batch.job_id for batch in unfinished}}
        for batch in unfinished:
            job = jobs[batch.job_id]
            if job is not None:
                self._start(job, batch)

    def close(self) -> None:
        """Stop behind the batches that are being saved; the others go on when the org is opened again."""
        with self._changed:
            self._closing = True
            for cursor in self._querying.values():
                cursor.interrupt()
        for workers in (self._parallel, self._serial):
            workers.shutdown(wait=True, cancel_futures=True)

    def forget(self) -> None:
        """Remove the files of all batches; for the reset of an org, once the service is closed."""
        for file in self._folder.glob("*"):
            file.unlink()

    def create(self, version: str, document: Mapping[str, Any], headers: Mapping[str, str]) -> Info:
        """A new open job; ``version`` as in the path, ``62.0``."""
        _check_names(document, _REQUESTED)
        operation = _choice(document, "operation", {one: one for one in _OPERATIONS}, None)
        content_type = _choice(document, "contentType", {one: one for one in CONTENT_TYPES}, "XML")
        obj = self._object(document.get("object"))
        if document.get("state") not in (None, "Open"):
            raise Bulk1Error("InvalidJobState", f"A new job cannot be {document['state']}")  # a guess
        if operation == "hardDelete" and not self._settings.hard_delete_allowed:
            raise Bulk1Error("FeatureNotEnabled", _NO_HARD_DELETE)
        queries = operation in bulk1_jobs.QUERIES
        if queries and CONTENT_TYPES[content_type].startswith("zip/"):
            raise Bulk1Error("InvalidJob", f"The content type {content_type} is not for queries")  # a guess
        chunking = bulk1_chunks.read_header(headers.get("sforce-enable-pkchunking")) if queries else None
        now = self._store.now()
        job = Job(
            id=self._store.new_id("750"),
            operation=operation,  # type: ignore[arg-type]
            object=obj.name,
            created_by=self._store.user_id,
            created=now,
            modstamp=now,
            state="Open",
            concurrency=_choice(document, "concurrencyMode", _CONCURRENCY, "Parallel"),
            content_type=content_type,
            api_version=float(version),
            external_id_field=_external_id(obj, operation, document.get("externalIdFieldName")),
            assignment_rule=_text(document, "assignmentRuleId"),
            retried=headers.get("sforce-disable-batch-retry", "").upper() != "TRUE",
            line_ending="CRLF" if headers.get("sforce-line-ending", "").upper() == "CRLF" else "LF",
            chunk_rows=chunking.rows if chunking else None,
            chunk_parent=chunking.parent if chunking else None,
            chunk_start=chunking.start if chunking else None,
        )
        with self._store.writing, self._cursor() as cursor:
            JOBS.add(cursor, job)
            return Info(job, bulk1_jobs.job_document(cursor, job))

    def job(self, job_id: str) -> Info:
        """The job as it is now."""
        with self._cursor() as cursor:
            job = _found_job(cursor, job_id)
            return Info(job, bulk1_jobs.job_document(cursor, job))

    def change_state(self, job_id: str, document: Mapping[str, Any]) -> Info:
        """Close or abort a job: batches that wait are aborted with it, what runs comes to its end."""
        _check_names(document, ("id", "state"))  # WSC names the job in the body too
        state = document.get("state")
        if state not in ("Closed", "Aborted"):
            raise Bulk1Error("InvalidJobState", f"Changing the job state to {state} is not allowed")  # a guess
        with self._store.writing, self._cursor() as cursor:
            job = _found_job(cursor, job_id)
            if job.state != "Open":
                before = job.state.lower() if state == "Closed" else job.state  # bulk1.md 2.2
                raise Bulk1Error("InvalidJobState", f"{_verb(state)} already {before} Job not allowed")
            now = self._store.now()
            job = replace(job, state=state, modstamp=now)
            JOBS.change(cursor, job)
            for batch in bulk1_jobs.batches_of(cursor, job.id) if state == "Aborted" else ():
                if batch.state == "Queued":
                    BATCHES.change(cursor, replace(batch, state="NotProcessed", modstamp=now))
            info = Info(job, bulk1_jobs.job_document(cursor, job))
        self._tell()
        return info

    def set_spec(self, job_id: str, content: bytes) -> None:
        """Say how the CSV of the job's batches is to be read: once, before the first batch (bulk1.md 5.1)."""
        text = content.decode("utf-8", "replace").removeprefix("\ufeff")
        with self._store.writing, self._cursor() as cursor:
            job = _found_job(cursor, job_id)
            if job.content_type != "CSV" or job.queries:
                raise Bulk1Error("InvalidJob", "A spec is for jobs with batches of CSV")  # a guess
            if job.state != "Open" or job.spec is not None or bulk1_jobs.count_of(cursor, job.id):
                raise Bulk1Error("InvalidJobState", "A spec is given once, before the first batch")  # a guess
            bulk1_spec.check(text)
            JOBS.change(cursor, replace(job, spec=text))

    def add_batch(self, version: str, job_id: str, charset: str, content: bytes) -> Info:
        """A new batch of an open job; it counts even where the job is not open (bulk1.md 2.2)."""
        with self._cursor() as cursor:
            job = _found_job(cursor, job_id)
        if float(version) != job.api_version:
            raise Bulk1Error("InvalidVersion", f"The job was created with API version {job.api_version}")  # a guess
        if self._count_batches(1) > self._settings.daily_batches:
            raise Bulk1Error("ExceededQuota", bulk1_run.QUOTA)
        if not content.strip():
            raise Bulk1Error("InvalidBatch", "The batch is empty")  # that it is refused is known, the words are not
        try:
            b"a".decode(charset, "replace")
        except (LookupError, ValueError):  # none, or a codec of Python that is none of texts
            raise Bulk1Error("UnsupportedContentType", f"Unsupported charset: {charset}") from None  # a guess
        with self._store.writing, self._cursor() as cursor:
            job = _found_job(cursor, job_id)
            if job.state != "Open":
                # The words are a guess.
                raise Bulk1Error("InvalidJobState", f"Adding a batch to an already {job.state} Job not allowed")
            batch = self._append(cursor, job, content, charset)
        self._start(job, batch)
        return Info(job, bulk1_jobs.batch_document(batch))

    def batches(self, job_id: str) -> tuple[Job, list[dict[str, Any]]]:
        """All batches of the job, the oldest first."""
        with self._cursor() as cursor:
            job = _found_job(cursor, job_id)
            return job, [bulk1_jobs.batch_document(batch) for batch in bulk1_jobs.batches_of(cursor, job.id)]

    def batch(self, job_id: str, batch_id: str) -> Info:
        """The batch as it is now."""
        with self._cursor() as cursor:
            job, batch = _found_batch(cursor, job_id, batch_id)
        return Info(job, bulk1_jobs.batch_document(batch))

    def request(self, job_id: str, batch_id: str) -> Content:
        """What was submitted; of a chunk its own query (bulk1.md 3.4)."""
        with self._cursor() as cursor:
            job, batch = _found_batch(cursor, job_id, batch_id)
        return Content(CONTENT_TYPES[job.content_type], path=self._request_path(batch.id))

    def result(self, job_id: str, batch_id: str) -> Content:
        """The results of the rows in their order, or the ids of a query's result files."""
        with self._cursor() as cursor:
            job, batch = _found_batch(cursor, job_id, batch_id)
            _check_ended(job, batch)
            if not job.queries:
                text = bulk1_results.rows_text(cursor, batch.id, job.row_format)
                return Content(CONTENT_TYPES[job.row_format], text=text)
        kind = CONTENT_TYPES["JSON" if job.content_type == "JSON" else "XML"]
        return Content(kind, ids=tuple(batch.result_ids))

    def result_file(self, job_id: str, batch_id: str, result_id: str) -> Content:
        """One file of a query's result."""
        with self._cursor() as cursor:
            job, batch = _found_batch(cursor, job_id, batch_id)
        _check_ended(job, batch)
        if result_id[:15] not in batch.result_ids:
            raise Bulk1Error("InvalidBatch", f"Invalid result id: {result_id}")  # a guess
        path = self._result_path(batch.id, batch.result_ids.index(result_id[:15]))
        return Content(CONTENT_TYPES[job.content_type], path=path)

    def wait(self, job_id: str, timeout: float = 30.0) -> list[Batch]:
        """The batches of the job once all have ended; TimeoutError after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                with self._store.cursor() as cursor:
                    batches = bulk1_jobs.batches_of(cursor, _found_job(cursor, job_id).id)
                if all(batch.state in bulk1_jobs.ENDED for batch in batches):
                    return batches
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError(f"Batches of job {job_id} are not done after {timeout} s")

    def release(self, job_id: str) -> None:
        """Let the batches of a job go on that a setting or a fault keeps in Queued."""
        with self._store.cursor() as cursor:
            job = _found_job(cursor, job_id)
        with self._changed:  # a batch that comes at this moment is either among those that wait, or held no more
            self._released.add(job.id)
            waiting = self._waiting.pop(job.id, [])
        for batch in waiting:
            self._start(job, batch)

    def _cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor for a call, which finds nothing any more whose time is over."""
        self._retention.apply()
        return self._store.cursor()

    def _expire(self, now: dt.datetime) -> None:
        """Close jobs that are open for too long, remove those whose last batch is long done."""
        with self._store.writing, self._store.cursor() as cursor:
            for job in JOBS.select(cursor, "WHERE state = 'Open' AND created <= ?", [now - OPEN]):
                JOBS.change(cursor, replace(job, state="Closed", modstamp=now))
            for job in JOBS.select(cursor, "WHERE state <> 'Open' AND modstamp <= ?", [now - KEPT]):
                batches = bulk1_jobs.batches_of(cursor, job.id)
                if all(one.state in bulk1_jobs.ENDED and one.modstamp <= now - KEPT for one in batches):
                    self._remove(cursor, job, batches)

    def _remove(self, cursor: duckdb.DuckDBPyConnection, job: Job, batches: Sequence[Batch]) -> None:
        JOBS.remove(cursor, job.id)
        for batch in batches:
            BATCHES.remove(cursor, batch.id)
            bulk1_results.drop(cursor, batch.id)
            results = [self._result_path(batch.id, at) for at in range(len(batch.result_ids))]
            for path in (self._request_path(batch.id), *results):
                path.unlink(missing_ok=True)

    def _object(self, name: object) -> ObjectDef:
        obj = self._store.catalogue.find(name) if isinstance(name, str) else None
        if obj is None:
            raise Bulk1Error("InvalidJob", f"Unable to find object: {name}")
        problem = unsupported(obj)
        if problem is not None:
            raise Bulk1Error("InvalidEntity", problem)
        return obj

    def _append(
        self,
        cursor: duckdb.DuckDBPyConnection,
        job: Job,
        content: bytes,
        charset: str = "utf-8",
        *,
        chunk: bool = False,
    ) -> Batch:
        """Store a new batch behind those that the job has; hold ``store.writing``."""
        now, place = self._store.now(), bulk1_jobs.count_of(cursor, job.id)
        batch = Batch(self._store.new_id("751"), job.id, place, "Queued", now, now, charset, chunk)
        self._folder.mkdir(exist_ok=True)
        self._request_path(batch.id).write_bytes(content)
        BATCHES.add(cursor, batch)
        return batch

    def _add_chunks(self, job: Job, original: Batch, queries: Sequence[str]) -> bool:
        if self._count_batches(len(queries)) > self._settings.daily_batches:
            return False
        with self._store.writing, self._store.cursor() as cursor, transaction(cursor):
            chunks = [self._append(cursor, job, query.encode(), chunk=True) for query in queries]
            BATCHES.change(cursor, replace(original, state="NotProcessed", modstamp=self._store.now()))
        self._tell()
        for chunk in chunks:
            self._start(job, chunk)
        return True

    def _start(self, job: Job, batch: Batch) -> None:
        workers = self._serial if job.concurrency == "Serial" else self._parallel
        with self._changed:
            if self._held(job, batch):
                self._waiting.setdefault(job.id, []).append(batch)
            elif not self._closing:
                workers.submit(bulk1_run.run, self._around, batch.id)

    def _held(self, job: Job, batch: Batch) -> bool:
        """Whether the batch stays in Queued until it is released."""
        if batch.state != "Queued" or job.id in self._released:
            return False
        stuck = self._trouble(job).stuck_after
        return self._settings.hold_jobs or (stuck is not None and batch.place >= stuck)

    def _trouble(self, job: Job) -> JobTrouble:
        return self._faults.on_job(job.id, job.object, job.operation)

    def _note_query(self, batch_id: str, cursor: duckdb.DuckDBPyConnection | None) -> None:
        with self._changed:
            if cursor is None:
                self._querying.pop(batch_id, None)
            elif self._closing:
                raise duckdb.InterruptException
            else:
                self._querying[batch_id] = cursor

    def _request_path(self, batch_id: str) -> Path:
        return self._folder / f"{batch_id}.request"

    def _result_path(self, batch_id: str, number: int) -> Path:
        return self._folder / f"{batch_id}.result{number}"

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


def _found_job(cursor: duckdb.DuckDBPyConnection, job_id: str) -> Job:
    job = JOBS.find(cursor, id18(job_id) or "")
    if job is None:
        raise Bulk1Error("InvalidJob", f"Invalid job id: {job_id}")
    return job


def _found_batch(cursor: duckdb.DuckDBPyConnection, job_id: str, batch_id: str) -> tuple[Job, Batch]:
    job = _found_job(cursor, job_id)
    batch = BATCHES.find(cursor, id18(batch_id) or "")
    if batch is None or batch.job_id != job.id:
        raise Bulk1Error("InvalidBatch", f"Invalid batch id: {batch_id}")
    return job, batch


def _check_ended(job: Job, batch: Batch) -> None:
    as_json = job.row_format == "JSON"
    if batch.state not in bulk1_jobs.ENDED:
        raise Bulk1Error("InvalidBatch", "Batch not completed", as_json=as_json)  # from memory
    # A batch may end early behind rows that are saved (bulk1.md 3.3).
    if batch.state != "Completed" and not batch.processed:
        raise Bulk1Error("InvalidBatch", "Records not processed", as_json=as_json)  # recorded


def _verb(state: str) -> str:
    return "Closing" if state == "Closed" else "Aborting"


def _check_names(document: Mapping[str, Any], allowed: Sequence[str]) -> None:
    """Refuse what only the service may say (forceworkbench#675); nulls say nothing."""
    for name, value in document.items():
        if value is not None and name not in allowed:
            raise Bulk1Error("InvalidJob", f"{name[:1].upper()}{name[1:]} cannot be specified")


def _choice(document: Mapping[str, Any], key: str, allowed: Mapping[str, str], otherwise: str | None) -> str:
    given = document.get(key)
    if given is None and otherwise is not None:
        return otherwise
    if isinstance(given, bool) or str(given) not in allowed:
        # The words are a guess.
        raise Bulk1Error("InvalidJob", f"Unable to parse Job: {key} '{given}' is not one of {', '.join(allowed)}")
    return allowed[str(given)]


def _text(document: Mapping[str, Any], key: str) -> str | None:
    given = document.get(key)
    if given is not None and not isinstance(given, str):
        raise Bulk1Error("InvalidJob", f"Unable to parse Job: {key} is no text")  # the words are a guess
    return given


def _external_id(obj: ObjectDef, operation: str, name: object) -> str | None:
    if operation != "upsert":
        if name:
            raise Bulk1Error("InvalidJob", "ExternalIdFieldName cannot be specified")  # a guess after the others
        return None
    if not name:
        words = f"External ID was blank for {obj.name}. An External ID must be specified for upsert."
        raise Bulk1Error("InvalidJob", words)
    field = obj.field(name) if isinstance(name, str) else None
    if field is None or not (field.name == "Id" or field.external_id or field.id_lookup):
        # From memory, as in Bulk API 2.0 (bulk2.md 6.1).
        words = (
            f"Field name provided, {name} does not match an External ID, Salesforce Id, or indexed field for {obj.name}"
        )
        raise Bulk1Error("InvalidJob", words)
    return field.name

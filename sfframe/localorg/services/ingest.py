"""IngestService: Bulk API 2.0 ingest jobs, from their creation to their result files (bulk2.md 2)."""

from __future__ import annotations

import datetime as dt
import queue
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from pathlib import Path
from types import TracebackType
from typing import Any, get_args

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.faults import Faults, JobTrouble
from sfframe.localorg.services import ingest_run, job_list, job_results, jobs
from sfframe.localorg.services.bulk_query_rules import unsupported
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.job_results import ResultFile
from sfframe.localorg.services.jobs import JOBS, IngestJob
from sfframe.localorg.services.query_jobs import QUERIES
from sfframe.localorg.services.retention import KEPT, OPEN, Retention
from sfframe.localorg.services.task import Operation
from sfframe.localorg.services.upload_csv import DELIMITERS, NEWLINES
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store

_WORKERS = 2
_MULTIPART_CHARACTERS = 100_000  # bulk2.md 2.3
_NO_HARD_DELETE = (
    "hardDelete operation requires special user profile permission, please contact your system administrator"
)
_OPERATIONS: tuple[str, ...] = get_args(Operation)


class IngestService:
    """Ingest jobs of one org.

    Jobs run in threads of the service, in the order in which they were closed; what was waiting or running when the
    org was last open goes on at once. ``count_batches`` counts batches of the day over all interfaces and answers how
    many there were; without it the jobs of this service count alone.
    """

    def __init__(
        self,
        store: Store,
        settings: Settings,
        count_batches: Callable[[int], int] | None = None,
        faults: Faults | None = None,
    ) -> None:
        self._store = store
        self._settings = settings
        self._faults = faults or Faults()
        # A file in the scratch directory dies with the process, one beside the org's file does not.
        beside = store.path.with_name(f"{store.path.name}.uploads") if store.path else None
        self._uploads = beside or store.scratch / "uploads"
        self._retention = Retention(store, self._expire)
        self._changed = threading.Condition()
        self._held: set[str] = set()
        self._released: set[str] = set()
        self._closing = False
        self._waiting: queue.SimpleQueue[str | None] = queue.SimpleQueue()
        with store.writing, store.cursor() as cursor:
            job_list.create_tables(cursor)
            # By default DuckDB writes whole tables anew behind every 16 MB, which took as long as all the rest of a
            # job of a million rows; the setting is one of the database, not of the cursor.
            cursor.execute("SET checkpoint_threshold = '1GB'")
            unfinished = jobs.unfinished(cursor)
        self._around = ingest_run.Surroundings(
            store, settings, self._tell, self._may_go_on, self._trouble, count_batches or self._count_own_batches
        )
        self._threads = [
            threading.Thread(target=self._work, name=f"ingest-{number}", daemon=True) for number in range(_WORKERS)
        ]
        for thread in self._threads:
            thread.start()
        for job in unfinished:
            self._start(job)

    def __enter__(self) -> IngestService:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        """Stop behind the batches that are being saved; jobs that are not done go on when the org is opened again."""
        with self._changed:
            self._closing = True
            self._changed.notify_all()
        for _ in self._threads:
            self._waiting.put(None)
        for thread in self._threads:
            thread.join()

    def forget(self) -> None:
        """Remove all jobs and their results; for the reset of an org, once the service is closed."""
        with self._store.writing, self._store.cursor() as cursor:
            cursor.execute("DROP SCHEMA IF EXISTS jobs CASCADE")
            job_list.create_tables(cursor)
        for upload in self._uploads.glob("*"):
            upload.unlink()

    def create(self, version: str, body: object) -> dict[str, Any]:
        """A new job in state Open; ``version`` as in the path, ``v66.0``."""
        self._retention.apply()
        job = self._new_job(version, body)
        with self._store.writing, self._store.cursor() as cursor:
            JOBS.add(cursor, job)
        return jobs.created_document(job)

    def create_with_content(self, version: str, body: object, content: bytes) -> dict[str, Any]:
        """A new job with its data, already closed: the multipart create (bulk2.md 2.3)."""
        if len(content.decode("utf-8", "replace")) > _MULTIPART_CHARACTERS:
            # The code is a guess.
            raise _refused("API_ERROR", f"Multipart content exceeds {_MULTIPART_CHARACTERS} characters")
        job = replace(self._new_job(version, body), state="UploadComplete", uploads=1)
        self._uploads.mkdir(exist_ok=True)
        self._upload(job.id).write_bytes(content)
        with self._store.writing, self._store.cursor() as cursor:
            JOBS.add(cursor, job)
        self._start(job)
        return jobs.created_document(job)

    def begin_upload(self, job_id: str) -> Upload:
        """Where the content of an open job is written to; it counts once it is committed."""
        job = self._found(job_id)
        if job.state != "Open":
            raise _refused("INVALIDJOBSTATE", f"Job is not Open. Current job state is '{job.state}'")
        self._uploads.mkdir(exist_ok=True)
        return Upload(self, job.id, self._upload(job.id), self._settings.upload_bytes)

    def uploaded(self, job_id: str) -> None:
        """Count an upload whose file is in its place. A second one is taken; closing the job fails then."""
        with self._store.writing, self._store.cursor() as cursor:
            job = self._found(job_id)
            JOBS.change(cursor, replace(job, uploads=job.uploads + 1))

    def change_state(self, job_id: str, body: object) -> dict[str, Any]:
        """Close or abort the job; answers the short shape."""
        state = body.get("state") if isinstance(body, Mapping) else None
        if state == "UploadComplete":
            return jobs.short_document(self._close_job(job_id))
        if state == "Aborted":
            return jobs.short_document(self._abort(job_id))
        raise _refused("INVALIDJOBSTATE", f"Changing the job state to '{state}' is not allowed")

    def info(self, job_id: str) -> dict[str, Any]:
        """The full shape of the job."""
        return jobs.full_document(self._found(job_id))

    def list_jobs(self, version: str, asked: Mapping[str, str] | None = None) -> dict[str, Any]:
        """A page of the list; ``asked`` are the parameters of the request."""
        self._retention.apply()
        return job_list.page(self._store, version, "ingest", asked or {})

    def delete(self, job_id: str) -> None:
        """Remove a job that is not open and not running, with all its results."""
        with self._store.writing, self._store.cursor() as cursor:
            job = self._found(job_id)
            if not (job.ended or job.state == "UploadComplete"):
                words = "Error encountered when deleting the job because the job is not terminated"
                raise _refused("API_ERROR", words)
            self._remove(cursor, job)
        self._tell()

    def results(self, version: str, job_id: str, kind: str) -> ResultFile:
        """A result file: ``successfulresults``, ``failedresults`` or ``unprocessedrecords``, in any case."""
        with self._store.cursor() as cursor:
            query = QUERIES.find(cursor, id18(job_id) or "")
        if query is not None and kind.casefold() in ("successfulresults", "failedresults"):
            return job_results.file_of_query(query.columns, failed=kind.casefold() == "failedresults")
        job = self._found(job_id)
        if _number(version) != job.api_version:
            # Only the status is known (bulk2.md 6.1, 10).
            raise _refused("INVALIDJOB", f"The job was created with API version {job.api_version}", status=409)
        match kind.casefold():
            case "successfulresults":
                return job_results.processed_file(self._store, job, failed=False)
            case "failedresults":
                return job_results.processed_file(self._store, job, failed=True)
            case "unprocessedrecords":
                return job_results.unprocessed_file(self._store, job)
        raise _not_found()

    def wait(self, job_id: str, timeout: float = 30.0, *, batches: int | None = None) -> IngestJob:
        """The job once it has ended, or has run so many batches; TimeoutError after ``timeout`` seconds."""
        end = time.monotonic() + timeout
        with self._changed:
            while True:
                job = self._find(job_id)
                if job.ended or (batches is not None and job.batches >= batches):
                    return job
                if not self._changed.wait(end - time.monotonic()):
                    raise TimeoutError(f"Job {job.id} is still {job.state} after {timeout} s")

    def release(self, job_id: str) -> None:
        """Let a job go on that a setting holds, in UploadComplete or between two batches."""
        job = self._found(job_id)
        with self._changed:
            waits = job.id in self._held or (self._settings.hold_jobs and job.id not in self._released)
            self._held.discard(job.id)
            self._released.add(job.id)
        if waits and not job.ended:
            self._waiting.put(job.id)

    def _new_job(self, version: str, body: object) -> IngestJob:
        if not isinstance(body, Mapping):
            raise _unreadable("Can not deserialize: unexpected value")
        operation = _choice(body, "operation", _OPERATIONS, None)
        line_ending = _choice(body, "lineEnding", tuple(NEWLINES), "LF")
        delimiter = _choice(body, "columnDelimiter", tuple(DELIMITERS), "COMMA")
        _choice(body, "contentType", ("CSV",), "CSV")
        obj = self._object(body.get("object"))
        if operation == "hardDelete" and not self._settings.hard_delete_allowed:
            raise _refused("FEATURENOTENABLED", _NO_HARD_DELETE)
        now = self._store.now()
        return IngestJob(
            id=self._store.new_id("750"),
            operation=operation,  # type: ignore[arg-type]
            object=obj.name,
            created_by=self._store.user_id,
            created=now,
            modstamp=now,
            state="Open",
            api_version=_number(version),
            line_ending=line_ending,
            delimiter=delimiter,
            external_id_field=_external_id(obj, body) if operation == "upsert" else None,
            assignment_rule=_assignment_rule(body),
        )

    def _object(self, name: object) -> ObjectDef:
        obj = self._store.catalogue.find(name) if isinstance(name, str) else None
        if obj is None:
            raise _refused("INVALIDENTITY", f"Unable to find object: {name}")
        problem = unsupported(obj)
        if problem is not None:
            raise _refused("INVALIDENTITY", problem)
        return obj

    def _close_job(self, job_id: str) -> IngestJob:
        with self._store.writing, self._store.cursor() as cursor:
            job = self._found(job_id)
            if job.state != "Open":
                raise _refused("INVALIDJOBSTATE", "Closing already Completed Job not allowed")
            if job.uploads > 1:
                words = (
                    f"Found multipe contents for job: <{job.id[:15]}>, please 'Close' / 'Abort' / 'Delete' the current "
                    "Job then create a new Job and make sure you only do 'PUT' once on a given Job."
                )
                raise _refused("INVALIDJOB", words)
            job = replace(job, state="UploadComplete")
            JOBS.change(cursor, job)
        self._tell()
        self._start(job)
        return job

    def _abort(self, job_id: str) -> IngestJob:
        with self._store.writing, self._store.cursor() as cursor:
            job = self._found(job_id)
            if job.ended:
                raise _refused("INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
            job = self._abort_now(cursor, job)
        self._tell()
        return job

    def _abort_now(self, cursor: duckdb.DuckDBPyConnection, job: IngestJob) -> IngestJob:
        job_results.create_table(cursor, job.id)
        return ingest_run.finish(self._store, cursor, replace(job, state="Aborted"), self._upload(job.id))

    def _remove(self, cursor: duckdb.DuckDBPyConnection, job: IngestJob) -> None:
        JOBS.remove(cursor, job.id)
        job_results.drop(cursor, job.id)
        self._upload(job.id).unlink(missing_ok=True)

    def _expire(self, now: dt.datetime) -> None:
        """Abort what is open for too long (the state is a guess: bulk2.md 2.1), remove what has ended long ago."""
        with self._store.cursor() as cursor:
            forgotten = JOBS.select(cursor, "WHERE state = 'Open' AND created <= ?", [now - OPEN])
            old = [job for job in JOBS.select(cursor, "WHERE modstamp <= ?", [now - KEPT]) if job.ended]
            if not (forgotten or old):
                return
            with self._store.writing:
                for job in forgotten:
                    self._abort_now(cursor, job)
                for job in old:
                    self._remove(cursor, job)
        self._tell()

    def _found(self, job_id: str) -> IngestJob:
        """The job, unless its time is over."""
        self._retention.apply()
        return self._find(job_id)

    def _find(self, job_id: str) -> IngestJob:
        whole = id18(job_id)
        with self._store.cursor() as cursor:
            job = JOBS.find(cursor, whole) if whole else None
        if job is None:
            raise _not_found()
        return job

    def _upload(self, job_id: str) -> Path:
        return self._uploads / f"{job_id}.csv"

    def _count_own_batches(self, batches: int) -> int:
        with self._store.cursor() as cursor:
            return jobs.batches_since(cursor, self._store.now() - dt.timedelta(days=1)) + batches

    def _start(self, job: IngestJob) -> None:
        if not self._settings.hold_jobs or job.id in self._released:
            self._waiting.put(job.id)

    def _work(self) -> None:
        while (job_id := self._waiting.get()) is not None:
            if not self._closing:
                ingest_run.run(self._around, job_id, self._upload(job_id))

    def _may_go_on(self, job: IngestJob) -> bool:
        """False where the service closes and where something holds the job, which does not hold up other jobs."""
        with self._changed:
            if job.batches == self._trouble(job).stuck_after and job.id not in self._released:
                self._held.add(job.id)
                return False
            return not self._closing

    def _trouble(self, job: IngestJob) -> JobTrouble:
        """What the fault plan says of the job, and the settings where the plan says nothing."""
        trouble, settings = self._faults.on_job(job.id, job.object, job.operation), self._settings
        if trouble.stuck_after is None:
            trouble = replace(trouble, stuck_after=settings.hold_after_batches)
        if trouble.fails_after is None:
            trouble = replace(trouble, fails_after=settings.job_fails_after_batches)
        return trouble

    def _tell(self) -> None:
        with self._changed:
            self._changed.notify_all()


class Upload:
    """The content of a job while it arrives; nothing of it counts before ``commit``."""

    def __init__(self, service: IngestService, job_id: str, path: Path, most: int) -> None:
        self._service = service
        self._job_id = job_id
        self._path = path
        self._most = most
        self._size = 0
        self._part = path.with_name(f"{path.name}.{threading.get_ident()}-{time.monotonic_ns()}.part")
        self._file = self._part.open("wb")

    def __enter__(self) -> Upload:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._file.close()
        self._part.unlink(missing_ok=True)

    def write(self, chunk: bytes) -> None:
        """Add to the content; raises once it is larger than the org takes."""
        self._size += len(chunk)
        if self._size > self._most:
            # Status and code are guesses (bulk2.md 10).
            raise _refused("API_ERROR", f"Job content exceeds the limit of {self._most} bytes", status=413)
        self._file.write(chunk)

    def commit(self) -> None:
        """Make it the job's content."""
        self._file.close()
        self._part.replace(self._path)
        self._service.uploaded(self._job_id)


def _number(version: str) -> float:
    return float(version.lstrip("v"))


def _refused(code: str, message: str, *, status: int = 400) -> ServiceError:
    return ServiceError(status, code, message, code_first=True)


def _not_found() -> ServiceError:
    return _refused("NOT_FOUND", "The requested resource does not exist", status=404)


def _unreadable(what: str) -> ServiceError:
    return ServiceError(400, "JSON_PARSER_ERROR", f"{what} at [line:1, column:1]")


def _choice(body: Mapping[Any, Any], key: str, allowed: tuple[str, ...], otherwise: str | None) -> str:
    given = body.get(key, otherwise)
    if not isinstance(given, str) or given not in allowed:
        # The words are a guess; the code is that of bulk2.md 10.
        raise _unreadable(f"{key}: value '{given}' is not one of [{', '.join(allowed)}]")
    return given


def _assignment_rule(body: Mapping[Any, Any]) -> str | None:
    given = body.get("assignmentRuleId")
    if given is not None and not isinstance(given, str):
        raise _unreadable("assignmentRuleId: a text expected")
    return given


def _external_id(obj: ObjectDef, body: Mapping[Any, Any]) -> str:
    name = body.get("externalIdFieldName")
    if not name:
        words = f"External ID was blank for {obj.name}. An External ID must be specified for upsert."
        raise _refused("INVALIDJOB", words)
    field = obj.field(name) if isinstance(name, str) else None
    if field is None or not (field.name == "Id" or field.external_id or field.id_lookup):
        # From memory; bulk2.md 6.1 knows only that there is a text.
        words = (
            f"Field name provided, {name} does not match an External ID, Salesforce Id, or indexed field for {obj.name}"
        )
        raise _refused("INVALIDJOB", words)
    return str(name)

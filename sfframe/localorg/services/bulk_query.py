"""BulkQueryService: Bulk 2.0 query jobs (bulk2.md 4)."""

from __future__ import annotations

import base64
import binascii
import datetime as dt
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import duckdb

from sfframe.localorg.faults import Faults
from sfframe.localorg.services import bulk1_chunks, job_list, query_jobs
from sfframe.localorg.services.bulk_query_rules import compile_bulk, result_columns
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query_jobs import QUERIES, QueryJob
from sfframe.localorg.services.retention import KEPT, Retention
from sfframe.localorg.services.upload_csv import DELIMITERS, NEWLINES
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store

LINKS = 5  # of one call for result pages (bulk2.md 4.5)
RESULT_PAGES_SINCE = 58.0  # bulk2.md 4.5
WORKERS = 2
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class ResultPage:
    """One page of a result, a CSV file of ``size`` bytes; ``locator`` is None on the last one.

    ``chunks`` can be read once; the file is gone after that.
    """

    rows: int
    locator: str | None
    size: int
    chunks: Iterator[bytes]


class BulkQueryService:
    """Jobs of one org. They run in threads of the service, and their rows lie in tables of the org's database until the
    job is deleted; what was waiting or running when the org was last open runs anew.

    Every answer is the JSON of bulk2.md as a dictionary with the keys in their order. ``count_job`` counts the jobs of
    the day and raises where there are too many.
    """

    def __init__(
        self, store: Store, settings: Settings, count_job: Callable[[], None], faults: Faults | None = None
    ) -> None:
        self._store = store
        self._settings = settings
        self._count_job = count_job
        self._faults = faults or Faults()
        self._retention = Retention(store, self._expire)
        self._changed = threading.Condition()
        self._closing = False
        self._released: set[str] = set()
        self._running: dict[str, duckdb.DuckDBPyConnection] = {}
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="bulk-query")
        with store.writing, store.cursor() as cursor:
            job_list.create_tables(cursor)
            unfinished = QUERIES.select(cursor, "WHERE state IN ('UploadComplete', 'InProgress') ORDER BY id")
        for job in unfinished:
            self._workers.submit(self._run, job.id)

    def create(self, body: object, version: str) -> dict[str, Any]:
        """Make a job and start it; a query that cannot be compiled is refused here and makes no job."""
        self._retention.apply()
        wanted = _Wanted.read(body)
        statement = compile_bulk(self._store, wanted.query, version, all_rows=wanted.operation == "queryAll")
        self._count_job()
        now = self._store.now()
        job = QueryJob(
            id=self._store.new_id("750"),
            operation=wanted.operation,
            object=statement.obj.name,
            query=wanted.query,
            created_by=self._store.user_id,
            created=now,
            modstamp=now,
            state="UploadComplete",
            api_version=float(version.removeprefix("v")),
            line_ending=wanted.line_ending,
            delimiter=wanted.delimiter,
            columns=[name for name, _sql in result_columns(statement, version)],
            chunkable=bulk1_chunks.supports(statement.obj),
        )
        with self._store.writing, self._store.cursor() as cursor:
            QUERIES.add(cursor, job)
        self._workers.submit(self._run, job.id)
        return query_jobs.created_document(job)

    def info(self, job_id: str) -> dict[str, Any]:
        """The job as it is now."""
        return query_jobs.full_document(self._job(job_id))

    def list_jobs(self, version: str, asked: Mapping[str, str]) -> dict[str, Any]:
        """A page of the list; ``asked`` are the parameters of the request."""
        self._retention.apply()
        return job_list.page(self._store, version, "query", asked)

    def abort(self, job_id: str, body: object) -> dict[str, Any]:
        """Stop a job that runs. The only state that can be asked for is Aborted."""
        state = body.get("state") if isinstance(body, dict) else None
        with self._store.writing, self._store.cursor() as cursor:
            job = self._job(job_id)
            if state != "Aborted":
                raise _refused("INVALIDJOBSTATE", f"Changing the state of a query job to {state} not allowed")
            if job.ended:
                raise _refused("INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
            job = replace(job, state="Aborted", modstamp=self._store.now())
            QUERIES.change(cursor, job)
        with self._changed:
            if job.id in self._running:
                self._running[job.id].interrupt()
            self._changed.notify_all()
        return query_jobs.short_document(job)

    def delete(self, job_id: str) -> None:
        """Forget a job that has ended, and its rows."""
        with self._store.writing, self._store.cursor() as cursor:
            job = self._job(job_id)
            if not job.ended:
                problem = "Error encountered when deleting the job because the job is not terminated"
                raise _refused("API_ERROR", problem)
            _remove(cursor, job)

    def results(
        self, job_id: str, version: str, *, locator: str | None = None, max_records: str | None = None
    ) -> ResultPage:
        """A page of at most ``max_records`` rows, beginning where ``locator`` says."""
        job = self._finished(job_id, version)
        start = _read_offset(locator) if locator else 0
        if start >= max(job.rows, 1):
            raise _refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        size = self._settings.bulk_page_rows
        if max_records is not None:
            if not re.fullmatch(r"[0-9]{1,12}", max_records) or int(max_records) == 0:
                raise _refused("API_ERROR", f"Invalid maxRecords: {max_records}")
            size = int(max_records)
        end = min(start + size, job.rows)
        following = _locator(end) if end < job.rows else None
        head, file = self._page_file(job, start, end)
        size = len(head) + (file.stat().st_size if file else 0)
        return ResultPage(end - start, following, size, _chunks(head, file))

    def result_pages(self, job_id: str, version: str, *, locator: str | None = None) -> dict[str, Any]:
        """Links to up to five pages, so that they can be fetched at the same time."""
        job = self._finished(job_id, version)
        if job.api_version < RESULT_PAGES_SINCE:
            raise _not_found()
        start = _read_offset(locator) if locator else 0
        size = self._settings.bulk_page_rows
        starts = list(range(start, max(job.rows, 1), size))
        if not starts:
            raise _refused("INVALID_QUERY_LOCATOR", "invalid query locator")
        path = f"/services/data/{version}/jobs/query/{job.id}"
        following = f"{path}/resultpages?locator={_locator(starts[LINKS])}" if len(starts) > LINKS else None
        links = [{"resultUrl": f"{path}/results?locator={_locator(one)}"} for one in starts[:LINKS]]
        return {"resultPages": links, "nextRecordsUrl": following, "done": following is None}

    def release(self, job_id: str) -> None:
        """Let a job go on that a declared fault holds."""
        job = self._job(job_id)
        with self._changed:
            self._released.add(job.id)
        if not job.ended:
            self._workers.submit(self._run, job.id)

    def wait(self, job_id: str, seconds: float = 60.0) -> str:
        """Wait until the job has ended or the time is over; answers its state."""
        with self._changed:
            self._changed.wait_for(lambda: self._find(job_id).ended, seconds)
            return self._find(job_id).state

    def close(self) -> None:
        """Interrupt what runs and let the threads end; it runs anew when the org is opened again."""
        with self._changed:
            self._closing = True
            for cursor in self._running.values():
                cursor.interrupt()
        self._workers.shutdown(wait=True, cancel_futures=True)

    # The job's life, in a thread of its own.

    def _run(self, job_id: str) -> None:
        began = time.monotonic()
        with self._store.cursor() as cursor:
            job = self._started(cursor, job_id)
            if job is None:
                return
            try:
                rows = self._write(cursor, job)
            except duckdb.InterruptException:
                return  # aborted, or the org is closing
            except (duckdb.Error, ServiceError) as error:
                words = f"Unexpected exception encountered in query processing. {error}"
                self._end(cursor, replace(job, state="Failed", error_message=words))
            else:
                spent = round((time.monotonic() - began) * 1_000)
                self._end(cursor, replace(job, state="JobComplete", rows=rows, total_ms=spent))
            finally:
                with self._changed:
                    del self._running[job_id]

    def _started(self, cursor: duckdb.DuckDBPyConnection, job_id: str) -> QueryJob | None:
        """Begin the job; None where it goes no further, because a declared fault holds it or lets it fail."""
        with self._store.writing:
            job = QUERIES.find(cursor, job_id)
            if job is None or job.ended:
                return None
            trouble = self._faults.on_job(job.id, job.object, job.operation)
            job = replace(job, state="InProgress", modstamp=self._store.now())
            if trouble.fails_after is not None:
                job = replace(job, state="Failed", error_message=trouble.message)
            QUERIES.change(cursor, job)
        with self._changed:
            self._changed.notify_all()
            stays = trouble.stuck_after is not None and job_id not in self._released
            if job.ended or stays or self._closing or job_id in self._running:
                return None
            self._running[job_id] = cursor
        return job

    def _write(self, cursor: duckdb.DuckDBPyConnection, job: QueryJob) -> int:
        """The rows as text into a table; answers how many. Parquet took three times as long."""
        statement = compile_bulk(self._store, job.query, job.version, all_rows=job.operation == "queryAll")
        rows = statement.select_sql([sql for _name, sql in result_columns(statement, job.version)])
        counted = cursor.execute(
            f"CREATE OR REPLACE TABLE {job.table} AS SELECT row_number() OVER () - 1 AS place, * FROM ({rows})"
        ).fetchall()
        return int(counted[0][0])

    def _end(self, cursor: duckdb.DuckDBPyConnection, job: QueryJob) -> None:
        """Store how a job ended, unless it was aborted or deleted in the meantime; then its rows go too."""
        with self._store.writing:
            before = QUERIES.find(cursor, job.id)
            if before is not None and not before.ended:
                QUERIES.change(cursor, replace(job, modstamp=self._store.now()))
            else:
                cursor.execute(f"DROP TABLE IF EXISTS {job.table}")
        with self._changed:
            self._changed.notify_all()

    def _expire(self, now: dt.datetime) -> None:
        with self._store.cursor() as cursor:
            old = [job for job in QUERIES.select(cursor, "WHERE modstamp <= ?", [now - KEPT]) if job.ended]
            if old:
                with self._store.writing:
                    for job in old:
                        _remove(cursor, job)

    def _page_file(self, job: QueryJob, start: int, end: int) -> tuple[bytes, Path | None]:
        """The header, and a file with the rows from ``start`` up to ``end`` as DuckDB writes CSV (bulk2.md 4.8)."""
        delimiter, line_end = DELIMITERS[job.delimiter], NEWLINES[job.line_ending]
        head = (delimiter.join(f'"{name}"' for name in job.columns) + line_end).encode()
        if start == end:
            return head, None
        descriptor, name = tempfile.mkstemp(prefix=f"{job.id}-", suffix=".csv", dir=self._store.scratch)
        os.close(descriptor)
        file = Path(name)
        names = ", ".join(f"c{number}" for number in range(len(job.columns)))
        # DuckDB keeps the order of a table in what it writes, as long as nothing else is asked of it.
        rows = f"SELECT {names} FROM {job.table} WHERE place >= {start} AND place < {end}"
        try:
            with self._store.cursor() as cursor:
                cursor.execute(
                    f"COPY ({rows}) TO '{_sql_path(file)}' (FORMAT csv, HEADER false, FORCE_QUOTE *, QUOTE '\"', "
                    f"ESCAPE '\"', DELIMITER '{delimiter}', NEW_LINE '{line_end}')"
                )
        except BaseException:
            file.unlink(missing_ok=True)
            raise
        return head, file

    def _job(self, job_id: str) -> QueryJob:
        """The job, unless its time is over."""
        self._retention.apply()
        return self._find(job_id)

    def _find(self, job_id: str) -> QueryJob:
        with self._store.cursor() as cursor:
            job = QUERIES.find(cursor, id18(job_id) or "")
        if job is None:
            raise _not_found()
        return job

    def _finished(self, job_id: str, version: str) -> QueryJob:
        job = self._job(job_id)
        if job.version != version:
            # The status is documented, the body is not (bulk2.md 10).
            problem = (
                f"The job was created with API version {job.api_version}; ask for its results with the same version"
            )
            raise ServiceError(409, "INVALIDJOB", problem, code_first=True)
        if job.state != "JobComplete":
            raise _refused("API_ERROR", f"The job is not completed: its state is {job.state}")
        return job


def _remove(cursor: duckdb.DuckDBPyConnection, job: QueryJob) -> None:
    cursor.execute(f"DROP TABLE IF EXISTS {job.table}")
    QUERIES.remove(cursor, job.id)


def _chunks(head: bytes, path: Path | None) -> Iterator[bytes]:
    yield head
    if path is None:
        return
    try:
        with path.open("rb") as file:
            while chunk := file.read(_CHUNK):
                yield chunk
    finally:
        path.unlink(missing_ok=True)


@dataclass(frozen=True, slots=True)
class _Wanted:
    """What the body of a create call asks for."""

    operation: str
    query: str
    line_ending: str
    delimiter: str

    @classmethod
    def read(cls, body: object) -> _Wanted:
        if not isinstance(body, dict):
            raise _refused("JSON_PARSER_ERROR", "The request body has to be a JSON object")
        text = body.get("query")
        if not isinstance(text, str):
            raise _refused("INVALIDJOB", "A query job needs a query")
        _choice(body, "contentType", ["CSV"], "CSV")
        return cls(
            operation=_choice(body, "operation", ["query", "queryAll"], None),
            query=text,
            line_ending=_choice(body, "lineEnding", list(NEWLINES), "LF"),
            delimiter=_choice(body, "columnDelimiter", list(DELIMITERS), "COMMA"),
        )


def _choice(body: dict[str, Any], key: str, allowed: list[str], default: str | None) -> str:
    value = body.get(key)
    if value is None and default is not None:
        return default
    if not isinstance(value, str) or value not in allowed:
        problem = (
            f"Cannot deserialize instance of {key} from VALUE_STRING value {value} or request may be missing a "
            f"required field: one of {', '.join(allowed)}"
        )
        raise _refused("JSON_PARSER_ERROR", problem)
    return value


def _refused(code: str, message: str) -> ServiceError:
    return ServiceError(400, code, message, code_first=True)


def _not_found() -> ServiceError:
    return ServiceError(404, "NOT_FOUND", "The requested resource does not exist", code_first=True)


def _locator(offset: int) -> str:
    """A row number as an opaque word (bulk2.md 4.4)."""
    return base64.urlsafe_b64encode(str(offset).encode()).decode().rstrip("=")


def _read_offset(locator: str) -> int:
    try:
        text = base64.urlsafe_b64decode(locator + "=" * (-len(locator) % 4)).decode("ascii")
    except (binascii.Error, ValueError):
        text = ""
    if not re.fullmatch(r"[0-9]{1,15}", text):
        raise _refused("INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(text)


def _sql_path(path: Path) -> str:
    return path.as_posix().replace("'", "''")

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
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from sfframe.localorg.faults import Faults
from sfframe.localorg.services.bulk_query_rules import compile_bulk, result_columns
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.soql_sql import Statement
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
LINE_ENDINGS = {"LF": "\n", "CRLF": "\r\n"}
LIST_ROWS = 1_000  # bulk2.md 2.7
LINKS = 5  # of one call for result pages (bulk2.md 4.5)
RESULT_PAGES_SINCE = 58.0  # bulk2.md 4.5
WORKERS = 2
_RUNNING = frozenset({"UploadComplete", "InProgress"})
_CHUNK = 1 << 20


@dataclass(slots=True)
class _Job:
    """One job; what changes is changed by the service, which holds its lock then."""

    id: str
    operation: str
    statement: Statement
    version: str
    line_ending: str
    delimiter: str
    created: dt.datetime
    user_id: str
    columns: tuple[tuple[str, str], ...]
    modified: dt.datetime
    state: str = "UploadComplete"
    rows: int = 0
    milliseconds: int = 0
    error: str | None = None
    table: str | None = None
    cursor: duckdb.DuckDBPyConnection | None = None

    @property
    def number(self) -> float:
        return float(self.version.removeprefix("v"))

    def short(self) -> dict[str, Any]:
        """The keys of an answer to a change of state (bulk2.md 2.5)."""
        return {
            "id": self.id,
            "operation": self.operation,
            "object": self.statement.obj.name,
            "createdById": self.user_id,
            "createdDate": _stamp(self.created),
            "systemModstamp": _stamp(self.modified),
            "state": self.state,
            "concurrencyMode": "Parallel",
            "contentType": "CSV",
            "apiVersion": self.number,
        }

    def created_answer(self) -> dict[str, Any]:
        return self.short() | self._format()

    def listed(self) -> dict[str, Any]:
        return self.short() | {"jobType": "V2Query"} | self._format()

    def info(self) -> dict[str, Any]:
        counters: dict[str, Any] = {
            "numberRecordsProcessed": self.rows,
            "retries": 0,
            "totalProcessingTime": self.milliseconds,
            "isPkChunkingSupported": True,
        }
        return self.listed() | counters | ({} if self.error is None else {"errorMessage": self.error})

    def _format(self) -> dict[str, Any]:
        return {"lineEnding": self.line_ending, "columnDelimiter": self.delimiter}


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
    """Keeps the jobs. They run in threads of the service; their rows lie in tables of the database in memory, which
    DuckDB moves to its scratch files where they are large, until the job is deleted.

    Every answer is the JSON of bulk2.md as a dictionary with the keys in their order.
    """

    def __init__(self, store: Store, settings: Settings, faults: Faults | None = None) -> None:
        self._store = store
        self._settings = settings
        self._faults = faults or Faults()
        self._released: set[str] = set()
        self._jobs: dict[str, _Job] = {}
        self._changed = threading.Condition()
        self._workers = ThreadPoolExecutor(WORKERS, thread_name_prefix="bulk-query")
        self._futures: dict[str, Future[None]] = {}

    def create(self, body: object, version: str) -> dict[str, Any]:
        """Make a job and start it; a query that cannot be compiled is refused here and makes no job."""
        wanted = _Wanted.read(body)
        statement = compile_bulk(self._store, wanted.query, version, all_rows=wanted.operation == "queryAll")
        now = self._store.now()
        job = _Job(
            id=self._store.new_id("750"),
            operation=wanted.operation,
            statement=statement,
            version=version,
            line_ending=wanted.line_ending,
            delimiter=wanted.delimiter,
            created=now,
            modified=now,
            user_id=self._store.user_id,
            columns=tuple(result_columns(statement, version)),
        )
        answer = job.created_answer()
        with self._changed:
            self._jobs[job.id] = job
            self._futures[job.id] = self._workers.submit(self._run, job)
        return answer

    def info(self, job_id: str) -> dict[str, Any]:
        """The job as it is now."""
        with self._changed:
            return self._job(job_id).info()

    def list_jobs(self, version: str, *, job_type: str | None = None, locator: str | None = None) -> dict[str, Any]:
        """Up to 1,000 jobs; ``job_type`` other than V2Query has none here."""
        start = _read_offset(locator) if locator else 0
        with self._changed:
            jobs = [one.listed() for one in self._jobs.values()] if job_type in {None, "", "V2Query"} else []
        end = start + LIST_ROWS
        following = f"/services/data/{version}/jobs/query?queryLocator={_locator(end)}" if end < len(jobs) else None
        return {"done": following is None, "records": jobs[start:end], "nextRecordsUrl": following}

    def abort(self, job_id: str, body: object) -> dict[str, Any]:
        """Stop a job that runs. The only state that can be asked for is Aborted."""
        state = body.get("state") if isinstance(body, dict) else None
        with self._changed:
            job = self._job(job_id)
            if state != "Aborted":
                raise _refused("INVALIDJOBSTATE", f"Changing the state of a query job to {state} not allowed")
            if job.state not in _RUNNING:
                raise _refused("INVALIDJOBSTATE", "Aborting already Completed Job not allowed")
            self._move(job, "Aborted")
            if job.cursor is not None:
                job.cursor.interrupt()
            return job.short()

    def delete(self, job_id: str) -> None:
        """Forget a job that has ended, and its rows."""
        with self._changed:
            job = self._job(job_id)
            if job.state in _RUNNING:
                problem = "Error encountered when deleting the job because the job is not terminated"
                raise _refused("API_ERROR", problem)
            del self._jobs[job.id]
            self._futures.pop(job.id, None)
        self._drop(job)

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
        if job.number < RESULT_PAGES_SINCE:
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
        with self._changed:
            job = self._job(job_id)
            self._released.add(job.id)
            if job.state in _RUNNING and job.cursor is None:
                self._futures[job.id] = self._workers.submit(self._run, job)

    def wait(self, job_id: str, seconds: float = 60.0) -> str:
        """Wait until the job has ended or the time is over; answers its state."""
        with self._changed:
            self._changed.wait_for(lambda: self._job(job_id).state not in _RUNNING, seconds)
            return self._job(job_id).state

    def close(self) -> None:
        """Abort what runs, let the threads end and remove all rows; call it before the store is closed."""
        with self._changed:
            for job in self._jobs.values():
                if job.state in _RUNNING:
                    self._move(job, "Aborted")
                if job.cursor is not None:
                    job.cursor.interrupt()
        self._workers.shutdown(wait=True, cancel_futures=True)
        for job in self._jobs.values():
            self._drop(job)

    # The job's life, in a thread of its own.

    def _run(self, job: _Job) -> None:
        began = time.monotonic()
        cursor = self._store.cursor()
        try:
            with self._changed:
                if job.state not in _RUNNING or self._stays(job):
                    return
                job.cursor = cursor
            rows, table = self._write(cursor, job)
            with self._changed:
                job.table = table
                if job.state == "InProgress":
                    job.rows = rows
                    job.milliseconds = round((time.monotonic() - began) * 1_000)
                    self._move(job, "JobComplete")
        except duckdb.Error as error:
            with self._changed:
                if job.state == "InProgress":
                    job.error = f"Unexpected exception encountered in query processing. {error}"
                    self._move(job, "Failed")
        finally:
            with self._changed:
                job.cursor = None
            cursor.close()
            if job.state != "JobComplete":
                self._drop(job)

    def _stays(self, job: _Job) -> bool:
        """Begin the job; whether it goes no further, because a declared fault holds it or lets it fail."""
        if job.state == "UploadComplete":
            self._move(job, "InProgress")
        trouble = self._faults.on_job(job.id, job.statement.obj.name, job.operation)
        if trouble.fails_after is not None:
            job.error = trouble.message
            self._move(job, "Failed")
        return trouble.fails_after is not None or (trouble.stuck_after is not None and job.id not in self._released)

    def _write(self, cursor: duckdb.DuckDBPyConnection, job: _Job) -> tuple[int, str]:
        """The rows as text into a table; answers how many and where. Parquet took three times as long."""
        rows = job.statement.select_sql([sql for _name, sql in job.columns])
        table = f'memory."query_{job.id}"'
        counted = cursor.execute(
            f"CREATE TABLE {table} AS SELECT row_number() OVER () - 1 AS place, * FROM ({rows})"
        ).fetchall()
        return int(counted[0][0]), table

    def _drop(self, job: _Job) -> None:
        if job.table is not None:
            with self._store.new_cursor() as cursor:
                cursor.execute(f"DROP TABLE IF EXISTS {job.table}")
            job.table = None

    def _page_file(self, job: _Job, start: int, end: int) -> tuple[bytes, Path | None]:
        """The header, and a file with the rows from ``start`` up to ``end`` as DuckDB writes CSV (bulk2.md 4.8)."""
        delimiter, line_end = DELIMITERS[job.delimiter], LINE_ENDINGS[job.line_ending]
        head = (delimiter.join(f'"{name}"' for name, _sql in job.columns) + line_end).encode()
        if start == end or job.table is None:
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

    def _move(self, job: _Job, state: str) -> None:
        job.state = state
        job.modified = self._store.now()
        self._changed.notify_all()

    def _job(self, job_id: str) -> _Job:
        job = self._jobs.get(id18(job_id) or "")
        if job is None:
            raise _not_found()
        return job

    def _finished(self, job_id: str, version: str) -> _Job:
        with self._changed:
            job = self._job(job_id)
        if job.version != version:
            # The status is documented, the body is not (bulk2.md 10).
            problem = f"The job was created with API version {job.number}; ask for its results with the same version"
            raise ServiceError(409, "INVALIDJOB", problem, code_first=True)
        if job.state != "JobComplete":
            raise _refused("API_ERROR", f"The job is not completed: its state is {job.state}")
        return job


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
            line_ending=_choice(body, "lineEnding", list(LINE_ENDINGS), "LF"),
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


def _stamp(moment: dt.datetime) -> str:
    return moment.strftime("%Y-%m-%dT%H:%M:%S.000+0000")


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

"""IngestJob: the record of a Bulk 2.0 ingest job, its row in the database, and the JSON shapes of it (bulk2.md 2)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, fields
from typing import Any

import duckdb

from sfframe.localorg.services.task import Operation

ENDED = ("JobComplete", "Failed", "Aborted")


@dataclass(frozen=True, slots=True)
class IngestJob:
    """One job. ``uploads`` counts the PUTs; ``header`` is the raw first record, known once the upload was read.

    Times are naive UTC; ``total_ms`` and ``active_ms`` are what the job info calls totalProcessingTime and
    apiActiveProcessingTime. ``batches`` counts those that were run. ``dropped`` says that the unprocessed rows are in
    no file, as after an exceeded quota.
    """

    id: str
    operation: Operation
    object: str
    created_by: str
    created: dt.datetime
    modstamp: dt.datetime
    state: str
    api_version: float
    line_ending: str
    delimiter: str
    external_id_field: str | None = None
    assignment_rule: str | None = None
    uploads: int = 0
    processed: int = 0
    failed: int = 0
    batches: int = 0
    total_ms: int = 0
    active_ms: int = 0
    header: str | None = None
    error_message: str | None = None
    dropped: bool = False

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


_NAMES = [field.name for field in fields(IngestJob)]
_COLUMNS = """
    id VARCHAR, operation VARCHAR, object VARCHAR, created_by VARCHAR, created TIMESTAMP, modstamp TIMESTAMP,
    state VARCHAR, api_version DOUBLE, line_ending VARCHAR, delimiter VARCHAR, external_id_field VARCHAR,
    assignment_rule VARCHAR, uploads BIGINT, processed BIGINT, failed BIGINT, batches BIGINT, total_ms BIGINT,
    active_ms BIGINT, header VARCHAR, error_message VARCHAR, dropped BOOLEAN
"""


def create_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of jobs in a new org; leave those of an older one as they are."""
    cursor.execute("CREATE SCHEMA IF NOT EXISTS jobs")
    cursor.execute(f"CREATE TABLE IF NOT EXISTS jobs.ingest ({_COLUMNS})")
    cursor.execute("CREATE TABLE IF NOT EXISTS jobs.unprocessed (job_id VARCHAR, part BIGINT, content BLOB)")


def add(cursor: duckdb.DuckDBPyConnection, job: IngestJob) -> None:
    """Store a new job."""
    marks = ", ".join("?" for _ in _NAMES)
    cursor.execute(f"INSERT INTO jobs.ingest ({', '.join(_NAMES)}) VALUES ({marks})", _values(job))


def change(cursor: duckdb.DuckDBPyConnection, job: IngestJob) -> None:
    """Store what became of a job."""
    assignments = ", ".join(f"{name} = ?" for name in _NAMES)
    cursor.execute(f"UPDATE jobs.ingest SET {assignments} WHERE id = ?", [*_values(job), job.id])


def find(cursor: duckdb.DuckDBPyConnection, job_id: str) -> IngestJob | None:
    """The job of that 18-character id."""
    found = _select(cursor, "WHERE id = ?", [job_id])
    return found[0] if found else None


def among(cursor: duckdb.DuckDBPyConnection, ids: list[str]) -> list[IngestJob]:
    """Those of the ids that are jobs of this interface."""
    return _select(cursor, "WHERE list_contains(?::VARCHAR[], id)", [ids])


def unfinished(cursor: duckdb.DuckDBPyConnection) -> list[IngestJob]:
    """The jobs that wait or were running, the oldest first."""
    return _select(cursor, "WHERE state IN ('UploadComplete', 'InProgress') ORDER BY id", [])


def batches_since(cursor: duckdb.DuckDBPyConnection, moment: dt.datetime) -> int:
    """How many batches were run by jobs that changed after the moment, for the daily allowance (bulk2.md 5)."""
    query = "SELECT coalesce(sum(batches), 0) FROM jobs.ingest WHERE modstamp > ?"
    return int(cursor.execute(query, [moment]).fetchall()[0][0])


def remove(cursor: duckdb.DuckDBPyConnection, job_id: str) -> None:
    """Forget the job's record."""
    cursor.execute("DELETE FROM jobs.ingest WHERE id = ?", [job_id])


def _values(job: IngestJob) -> list[Any]:
    return [getattr(job, name) for name in _NAMES]


def _select(cursor: duckdb.DuckDBPyConnection, condition: str, values: list[Any]) -> list[IngestJob]:
    rows = cursor.execute(f"SELECT {', '.join(_NAMES)} FROM jobs.ingest {condition}", values).fetchall()
    return [IngestJob(*row) for row in rows]


def short_document(job: IngestJob) -> dict[str, Any]:
    """What a change of state answers (bulk2.md 2.5); the other shapes begin with it."""
    document: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by,
        "createdDate": _moment(job.created),
        "systemModstamp": _moment(job.modstamp),
        "state": job.state,
        "externalIdFieldName": job.external_id_field,
        "assignmentRuleId": job.assignment_rule,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": job.api_version,
    }
    return {key: value for key, value in document.items() if value is not None}


def created_document(job: IngestJob) -> dict[str, Any]:
    """What a create answers (bulk2.md 2.2, 2.3): no job type, a content URL only where content is awaited."""
    return short_document(job) | _content_url(job) | _format(job)


def listed_document(job: IngestJob) -> dict[str, Any]:
    """A row of the list (bulk2.md 2.7)."""
    return short_document(job) | {"jobType": "V2Ingest"} | _content_url(job) | _format(job)


def full_document(job: IngestJob) -> dict[str, Any]:
    """The job info (bulk2.md 2.6): counts appear with the first upload, the error only in a failed job."""
    document = listed_document(job)
    if job.uploads or job.state != "Open":
        document |= {"numberRecordsProcessed": job.processed, "numberRecordsFailed": job.failed}
    document |= {
        "retries": 0,
        "totalProcessingTime": job.total_ms,
        "apiActiveProcessingTime": job.active_ms,
        "apexProcessingTime": 0,
    }
    return document | ({"errorMessage": job.error_message} if job.state == "Failed" else {})


def _content_url(job: IngestJob) -> dict[str, Any]:
    path = f"services/data/v{job.api_version}/jobs/ingest/{job.id}/batches"
    return {"contentUrl": path} if job.state == "Open" else {}


def _format(job: IngestJob) -> dict[str, Any]:
    return {"lineEnding": job.line_ending, "columnDelimiter": job.delimiter}


def _moment(moment: dt.datetime) -> str:
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000"  # bulk2.md 1.4

"""IngestJob: the record of a Bulk 2.0 ingest job, its row in the database, and the JSON shapes of it (bulk2.md 2)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import duckdb

from sfframe.localorg.services.job_table import JobTable
from sfframe.localorg.services.task import Operation

ENDED = ("JobComplete", "Failed", "Aborted")


@dataclass(frozen=True, slots=True)
class IngestJob:
    """One job. ``uploads`` counts the PUTs; ``header`` is the raw first record, known once the upload was read.

    Times are naive UTC; ``total_ms`` and ``active_ms`` are what the job info calls totalProcessingTime and
    apiActiveProcessingTime. ``batches`` counts those that were run. ``retries`` counts how often the rest of a batch
    went back into the queue, ``tries`` how often that of the batch at hand did. ``dropped`` says that the unprocessed
    rows are in no file, as after an exceeded quota.
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
    retries: int = 0
    tries: int = 0

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED


JOBS = JobTable(
    "jobs.ingest",
    IngestJob,
    """
    id VARCHAR, operation VARCHAR, object VARCHAR, created_by VARCHAR, created TIMESTAMP, modstamp TIMESTAMP,
    state VARCHAR, api_version DOUBLE, line_ending VARCHAR, delimiter VARCHAR, external_id_field VARCHAR,
    assignment_rule VARCHAR, uploads BIGINT, processed BIGINT, failed BIGINT, batches BIGINT, total_ms BIGINT,
    active_ms BIGINT, header VARCHAR, error_message VARCHAR, dropped BOOLEAN
    """,
    later=("retries BIGINT DEFAULT 0", "tries BIGINT DEFAULT 0"),
)


def create_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of jobs and of the rows that they never ran."""
    JOBS.create(cursor)
    cursor.execute("CREATE TABLE IF NOT EXISTS jobs.unprocessed (job_id VARCHAR, part BIGINT, content BLOB)")


def unfinished(cursor: duckdb.DuckDBPyConnection) -> list[IngestJob]:
    """The jobs that wait or were running, the oldest first."""
    return JOBS.select(cursor, "WHERE state IN ('UploadComplete', 'InProgress') ORDER BY id")


def batches_since(cursor: duckdb.DuckDBPyConnection, moment: dt.datetime) -> int:
    """How many batches were run by jobs that changed after the moment, for the daily allowance (bulk2.md 5)."""
    query = "SELECT coalesce(sum(batches), 0) FROM jobs.ingest WHERE modstamp > ?"
    return int(cursor.execute(query, [moment]).fetchall()[0][0])


def short_document(job: IngestJob) -> dict[str, Any]:
    """What a change of state answers (bulk2.md 2.5); the other shapes begin with it."""
    document: dict[str, Any] = {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by,
        "createdDate": stamp(job.created),
        "systemModstamp": stamp(job.modstamp),
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
        "retries": job.retries,
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


def stamp(moment: dt.datetime) -> str:
    """A moment as job documents of Bulk API 2.0 tell it."""
    return f"{moment:%Y-%m-%dT%H:%M:%S}.000+0000"  # bulk2.md 1.4

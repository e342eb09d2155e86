"""Jobs and batches of Bulk API 1.0: their records in the database and what their documents tell (bulk1.md 2, 3)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field
from typing import Any, Literal

import duckdb

from sfframe.localorg.services.job_table import JobTable
from sfframe.localorg.services.jobs import stamp

JobOperation = Literal["insert", "update", "upsert", "delete", "hardDelete", "query", "queryAll"]
QUERIES = ("query", "queryAll")
_ZIP = "ZIP_"
ENDED = ("Completed", "Failed", "NotProcessed")


@dataclass(frozen=True, slots=True)
class Job:
    """One job. Times are naive UTC; ``modstamp`` is that of the job's own last change, batches have theirs.

    ``chunk_rows`` is set where the job asks for PK chunking; ``chunk_parent`` and ``chunk_start`` are the other two
    words of that header. ``spec`` is the transformation spec. ``retried`` says that batches which do not come to their
    end are tried again.
    """

    id: str
    operation: JobOperation
    object: str
    created_by: str
    created: dt.datetime
    modstamp: dt.datetime
    state: str
    concurrency: str
    content_type: str
    api_version: float
    external_id_field: str | None = None
    assignment_rule: str | None = None
    line_ending: str = "LF"
    chunk_rows: int | None = None
    chunk_parent: str | None = None
    chunk_start: str | None = None
    spec: str | None = None
    retried: bool = True

    @property
    def queries(self) -> bool:
        """Whether the batches are queries."""
        return self.operation in QUERIES

    @property
    def zipped(self) -> bool:
        """Whether batches are ZIP files."""
        return self.content_type.startswith(_ZIP)

    @property
    def row_format(self) -> str:
        """CSV, JSON or XML: what rows and results are written in, zipped or not."""
        return self.content_type.removeprefix(_ZIP)


@dataclass(frozen=True, slots=True)
class Batch:
    """One batch, the ``place``-th of its job from 0.

    ``charset`` is that of its content; ``chunk`` marks a query that PK chunking made. ``retries`` counts how often the
    rest of it went back into the queue.

    ``result_ids`` have 15 characters (bulk1.md 1.3); completed queries have one for each file of their result.
    """

    id: str
    job_id: str
    place: int
    state: str
    created: dt.datetime
    modstamp: dt.datetime
    charset: str = "utf-8"
    chunk: bool = False
    message: str | None = None
    processed: int = 0
    failed: int = 0
    total_ms: int = 0
    active_ms: int = 0
    retries: int = 0
    result_ids: list[str] = field(default_factory=list)


JOBS = JobTable(
    "jobs.bulk1",
    Job,
    """
    id VARCHAR, operation VARCHAR, object VARCHAR, created_by VARCHAR, created TIMESTAMP, modstamp TIMESTAMP,
    state VARCHAR, concurrency VARCHAR, content_type VARCHAR, api_version DOUBLE, external_id_field VARCHAR,
    assignment_rule VARCHAR, line_ending VARCHAR, chunk_rows BIGINT, chunk_parent VARCHAR, chunk_start VARCHAR,
    spec VARCHAR
    """,
    later=("retried BOOLEAN DEFAULT true",),
)
BATCHES = JobTable(
    "jobs.bulk1_batches",
    Batch,
    """
    id VARCHAR, job_id VARCHAR, place BIGINT, state VARCHAR, created TIMESTAMP, modstamp TIMESTAMP, charset VARCHAR,
    chunk BOOLEAN, message VARCHAR, processed BIGINT, failed BIGINT, total_ms BIGINT, active_ms BIGINT
    """,
    later=("retries BIGINT DEFAULT 0", "result_ids VARCHAR[] DEFAULT []"),
)


def create_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of jobs and batches."""
    JOBS.create(cursor)
    BATCHES.create(cursor)


def batches_of(cursor: duckdb.DuckDBPyConnection, job_id: str) -> list[Batch]:
    """The batches of a job in the order in which they were made."""
    return BATCHES.select(cursor, "WHERE job_id = ? ORDER BY place", [job_id])


def count_of(cursor: duckdb.DuckDBPyConnection, job_id: str) -> int:
    """How many batches the job has."""
    return int(cursor.execute(f"SELECT count(*) FROM {BATCHES.name} WHERE job_id = ?", [job_id]).fetchall()[0][0])


def unfinished(cursor: duckdb.DuckDBPyConnection) -> list[Batch]:
    """The batches that wait or were running, the oldest first."""
    return BATCHES.select(cursor, "WHERE state IN ('Queued', 'InProgress') ORDER BY id", [])


def job_document(cursor: duckdb.DuckDBPyConnection, job: Job) -> dict[str, Any]:
    """JobInfo in the order of its XML (bulk1.md 2.1). Its counters and times are the sums of its batches."""
    batches = batches_of(cursor, job.id)

    def count(state: str) -> int:
        return sum(batch.state == state for batch in batches)

    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by,
        "createdDate": job.created,
        # Seen to move with the job's state and with its batches (bulk1.md 2.1, 3.3).
        "systemModstamp": max([job.modstamp, *(batch.modstamp for batch in batches)]),
        "state": job.state,
        "externalIdFieldName": job.external_id_field,
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        "numberBatchesQueued": count("Queued"),
        "numberBatchesInProgress": count("InProgress"),
        "numberBatchesCompleted": count("Completed"),
        "numberBatchesFailed": count("Failed"),
        "numberBatchesTotal": len(batches),
        "numberRecordsProcessed": sum(batch.processed for batch in batches),
        "numberRetries": sum(batch.retries for batch in batches),
        "apiVersion": job.api_version,
        "assignmentRuleId": job.assignment_rule,
        "numberRecordsFailed": sum(batch.failed for batch in batches),
        "totalProcessingTime": sum(batch.total_ms for batch in batches),
        "apiActiveProcessingTime": sum(batch.active_ms for batch in batches),
        "apexProcessingTime": 0,
    }


def listed_document(job: Job) -> dict[str, Any]:
    """A row of the list of Bulk API 2.0, in its spelling (bulk2.md 2.7); which keys these jobs have is a guess."""
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
        "concurrencyMode": job.concurrency,
        "contentType": job.content_type,
        "apiVersion": job.api_version,
        "jobType": "Classic",
    }
    return {key: value for key, value in document.items() if value is not None}


def batch_document(batch: Batch) -> dict[str, Any]:
    """BatchInfo in the order of its XML (bulk1.md 3.1)."""
    return {
        "id": batch.id,
        "jobId": batch.job_id,
        "state": batch.state,
        "stateMessage": batch.message,
        "createdDate": batch.created,
        "systemModstamp": batch.modstamp,
        "numberRecordsProcessed": batch.processed,
        "numberRecordsFailed": batch.failed,
        "totalProcessingTime": batch.total_ms,
        "apiActiveProcessingTime": batch.active_ms,
        "apexProcessingTime": 0,
    }

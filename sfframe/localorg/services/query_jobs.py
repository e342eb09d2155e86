"""QueryJob: the record of a Bulk 2.0 query job, its row in the database, and the JSON shapes of it (bulk2.md 4)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

from sfframe.localorg.services.job_table import JobTable
from sfframe.localorg.services.jobs import ENDED, stamp
from sfframe.localorg.store.store import quoted

_CHUNKING_TOLD_SINCE = 58.0  # absent in what is recorded up to v57 (bulk2.md 4.3); the version is a guess


@dataclass(frozen=True, slots=True)
class QueryJob:
    """One job. Times are naive UTC; ``columns`` are the names in the header of the result, ``rows`` its rows.

    ``chunkable`` says that the object is one whose queries a real org splits.
    """

    id: str
    operation: str
    object: str
    query: str
    created_by: str
    created: dt.datetime
    modstamp: dt.datetime
    state: str
    api_version: float
    line_ending: str
    delimiter: str
    columns: list[str]
    chunkable: bool
    rows: int = 0
    total_ms: int = 0
    error_message: str | None = None

    @property
    def ended(self) -> bool:
        """Whether nothing will change any more."""
        return self.state in ENDED

    @property
    def version(self) -> str:
        """The API version as it stands in paths."""
        return f"v{self.api_version}"

    @property
    def table(self) -> str:
        """The table of the result in SQL: ``place`` from 0 and the cells c0, c1, ... as text."""
        return f"jobs.{quoted(f'query_{self.id}')}"


QUERIES = JobTable(
    "jobs.queries",
    QueryJob,
    """
    id VARCHAR, operation VARCHAR, object VARCHAR, query VARCHAR, created_by VARCHAR, created TIMESTAMP,
    modstamp TIMESTAMP, state VARCHAR, api_version DOUBLE, line_ending VARCHAR, delimiter VARCHAR, columns VARCHAR[],
    rows BIGINT, total_ms BIGINT, error_message VARCHAR
    """,
    later=("chunkable BOOLEAN DEFAULT true",),
)


def short_document(job: QueryJob) -> dict[str, Any]:
    """The keys of an answer to a change of state (bulk2.md 4.6); the other shapes begin with it."""
    return {
        "id": job.id,
        "operation": job.operation,
        "object": job.object,
        "createdById": job.created_by,
        "createdDate": stamp(job.created),
        "systemModstamp": stamp(job.modstamp),
        "state": job.state,
        "concurrencyMode": "Parallel",
        "contentType": "CSV",
        "apiVersion": job.api_version,
    }


def created_document(job: QueryJob) -> dict[str, Any]:
    """What a create answers (bulk2.md 4.2)."""
    return short_document(job) | _format(job)


def listed_document(job: QueryJob) -> dict[str, Any]:
    """A row of the list (bulk2.md 2.7)."""
    return short_document(job) | {"jobType": "V2Query"} | _format(job)


def full_document(job: QueryJob) -> dict[str, Any]:
    """The job info (bulk2.md 4.3)."""
    counters: dict[str, Any] = {
        "numberRecordsProcessed": job.rows,
        "retries": 0,
        "totalProcessingTime": job.total_ms,
    }
    if job.api_version >= _CHUNKING_TOLD_SINCE:
        counters["isPkChunkingSupported"] = job.chunkable
    return listed_document(job) | counters | ({} if job.error_message is None else {"errorMessage": job.error_message})


def _format(job: QueryJob) -> dict[str, Any]:
    return {"lineEnding": job.line_ending, "columnDelimiter": job.delimiter}

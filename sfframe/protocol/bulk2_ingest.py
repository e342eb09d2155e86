"""Ingest jobs of the Bulk API 2.0 (bulk2.md 2). Which step may be sent twice: bulk2.md 6.4."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from sfframe.facts import Delimiter, LineEnding, Operation
from sfframe.protocol.bulk2_job import (
    JSON_BODY,
    JobInfo,
    JobList,
    checked_id,
    json_body,
    read_job,
    read_job_list,
)
from sfframe.protocol.call import Call, Reply, read_bytes, read_nothing
from sfframe.protocol.json_body import UnreadableAnswer

ResultFile = Literal["successfulResults", "failedResults", "unprocessedrecords"]
RESULT_FILES: tuple[ResultFile, ...] = ("successfulResults", "failedResults", "unprocessedrecords")


def create(
    sobject: str,
    operation: Operation,
    *,
    external_id_field: str | None = None,
    column_delimiter: Delimiter = "COMMA",
    line_ending: LineEnding = "LF",
    assignment_rule_id: str | None = None,
) -> Call[JobInfo]:
    """A new, Open job. A second one stays empty, does nothing and is gone after a day, so this is repeatable."""
    body = json_body(
        {
            "object": sobject,
            "operation": operation,
            "externalIdFieldName": external_id_field,
            "contentType": "CSV",
            "columnDelimiter": column_delimiter,
            "lineEnding": line_ending,
            "assignmentRuleId": assignment_rule_id,
        }
    )
    return Call("POST", "jobs/ingest", read_job, repeatable=True, headers=JSON_BODY, body=body)


def upload(job_id: str, file: Path) -> Call[None]:
    """Sends the job's one CSV file. A second PUT spoils the job (bulk2.md 2.4), so it is never sent twice."""
    return Call(
        "PUT",
        f"jobs/ingest/{checked_id(job_id)}/batches",
        _read_uploaded,
        repeatable=False,
        headers={"Content-Type": "text/csv; charset=UTF-8"},
        body=file,
        job_id=job_id,
    )


def close(job_id: str) -> Call[JobInfo]:
    """Lets the org begin. When the answer is lost, ask the job's state before sending it again."""
    return _change(job_id, "UploadComplete", repeatable=False)


def abort(job_id: str) -> Call[JobInfo]:
    """Stops the job; rows that are saved stay saved. Refused with INVALIDJOBSTATE when it has ended."""
    return _change(job_id, "Aborted", repeatable=True)


def info(job_id: str) -> Call[JobInfo]:
    """The job's state and counters."""
    return Call("GET", f"jobs/ingest/{checked_id(job_id)}", read_job, repeatable=True, job_id=job_id)


def delete(job_id: str) -> Call[None]:
    """Deletes an ended job with its results. An answer that it is gone already counts as done."""
    return Call(
        "DELETE",
        f"jobs/ingest/{checked_id(job_id)}",
        read_nothing,
        repeatable=True,
        accepts=frozenset({404}),
        job_id=job_id,
    )


def list_jobs(*, locator: str | None = None, job_type: str | None = "V2Ingest") -> Call[JobList]:
    """One page of up to 1,000 jobs; without ``job_type`` jobs of all kinds."""
    wanted = (("jobType", job_type), ("queryLocator", locator))
    query = tuple((key, value) for key, value in wanted if value)
    return Call("GET", "jobs/ingest", read_job_list, repeatable=True, query=query)


def results(job_id: str, file: ResultFile) -> Call[bytes]:
    """One result file, whole and as CSV bytes in the job's own delimiter; to be streamed, as it has no upper size."""
    return Call("GET", f"jobs/ingest/{checked_id(job_id)}/{file}", read_bytes, repeatable=True, job_id=job_id)


def _read_uploaded(reply: Reply) -> None:
    """201 or 204 without a body (bulk2.md 2.4); a page of a proxy says nothing of the file."""
    if reply.body.strip():
        raise UnreadableAnswer("an empty answer was expected")


def _change(job_id: str, state: str, *, repeatable: bool) -> Call[JobInfo]:
    return Call(
        "PATCH",
        f"jobs/ingest/{checked_id(job_id)}",
        read_job,
        repeatable=repeatable,
        headers=JSON_BODY,
        body=json_body({"state": state}),
        job_id=job_id,
    )

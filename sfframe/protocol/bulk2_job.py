"""What ingest and query jobs of the Bulk API 2.0 share: the job's JSON in all its shapes (bulk2.md 2.5 to 2.7)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from sfframe.errors import UsageError
from sfframe.ids import is_id
from sfframe.protocol.call import Reply
from sfframe.protocol.json_body import JsonObject, flag, number_or_none, objects, read_object, required_text, text

JSON_BODY: Mapping[str, str] = {"Content-Type": "application/json"}


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as the org tells it. What an answer leaves out is the empty text, or None for a number.

    ``records_processed`` includes the failed ones; while the job is Open it is None until the upload has arrived
    (bulk2.md 2.6). Times are in milliseconds and without the time in the queue.
    """

    id: str
    state: str
    operation: str = ""
    object: str = ""
    created_by_id: str = ""
    created_date: str = ""
    system_modstamp: str = ""
    external_id_field: str = ""
    assignment_rule_id: str = ""
    api_version: float | None = None
    job_type: str = ""
    content_type: str = ""
    concurrency_mode: str = ""
    line_ending: str = ""
    column_delimiter: str = ""
    records_processed: int | None = None
    records_failed: int | None = None
    retries: int | None = None
    total_processing_time: int | None = None
    api_active_processing_time: int | None = None
    apex_processing_time: int | None = None
    pk_chunking_supported: bool | None = None
    error_message: str = ""

    @property
    def upload_arrived(self) -> bool:
        """True where the org has the data of an Open job."""
        return self.records_processed is not None


@dataclass(frozen=True, slots=True)
class JobList:
    """One page of a list of jobs, in no order; ``next_locator`` is None on the last."""

    jobs: tuple[JobInfo, ...]
    next_locator: str | None


def read_job(reply: Reply) -> JobInfo:
    """The JSON of create, change of state, or info."""
    return job_from(read_object(reply))


def read_job_list(reply: Reply) -> JobList:
    """Takes only the locator from the next URL: its path may name the other kind of job (bulk2.md 2.7)."""
    body = read_object(reply)
    locators = parse_qs(urlsplit(text(body, "nextRecordsUrl")).query).get("queryLocator", [])
    jobs = tuple(job_from(one) for one in objects(body.get("records")))
    return JobList(jobs, locators[0] if locators and not flag(body, "done") else None)


def job_from(source: JsonObject) -> JobInfo:
    """One job's JSON object."""
    version = source.get("apiVersion")
    chunking = source.get("isPkChunkingSupported")
    return JobInfo(
        id=required_text(source, "id"),
        state=required_text(source, "state"),
        operation=text(source, "operation"),
        object=text(source, "object"),
        created_by_id=text(source, "createdById"),
        created_date=text(source, "createdDate"),
        system_modstamp=text(source, "systemModstamp"),
        external_id_field=text(source, "externalIdFieldName"),
        assignment_rule_id=text(source, "assignmentRuleId"),
        api_version=float(version) if isinstance(version, int | float) else None,
        job_type=text(source, "jobType"),
        content_type=text(source, "contentType"),
        concurrency_mode=text(source, "concurrencyMode"),
        line_ending=text(source, "lineEnding"),
        column_delimiter=text(source, "columnDelimiter"),
        records_processed=number_or_none(source, "numberRecordsProcessed"),
        records_failed=number_or_none(source, "numberRecordsFailed"),
        retries=number_or_none(source, "retries"),
        total_processing_time=number_or_none(source, "totalProcessingTime"),
        api_active_processing_time=number_or_none(source, "apiActiveProcessingTime"),
        apex_processing_time=number_or_none(source, "apexProcessingTime"),
        pk_chunking_supported=chunking if isinstance(chunking, bool) else None,
        error_message=text(source, "errorMessage"),
    )


def checked_id(text: str, *, of: str = "job") -> str:
    """``text`` when it is an id and may stand in a path; anything else is refused before it is sent."""
    if not is_id(text):
        raise UsageError(f"{text!r} is not the id of a {of}.", remedy="Ids have 15 or 18 letters and digits.")
    return text


def json_body(values: Mapping[str, str | None]) -> bytes:
    """A JSON object without the keys whose value is None."""
    return json.dumps({key: value for key, value in values.items() if value is not None}).encode()

"""Jobs and batches of the Bulk API 1.0, which lies under /services/async (bulk1.md 1 to 4, 6).

Jobs are made of CSV, so that their documents come as XML (bulk1.md 1.5); documents in JSON, as jobs that somebody else
made of JSON have them, are read as well. Which step may be sent twice: bulk1.md 2.2, 8.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal, TypeVar
from xml.sax.saxutils import escape

from sfframe.errors import UsageError
from sfframe.facts import Operation
from sfframe.protocol.bulk2_job import checked_id
from sfframe.protocol.call import NO_HEADERS, Call, Method, Reply, read_bytes
from sfframe.protocol.json_body import JsonObject, UnreadableAnswer, objects, read_array, read_object
from sfframe.protocol.xml_body import Members, local_name, members, read_element

NAMESPACE = "http://www.force.com/2009/06/asyncapi/dataload"
NO_RECORDS = b"Records not found for this query"  # the whole result of a query without rows (bulk1.md 4)

T = TypeVar("T")

JobOperation = Operation | Literal["query", "queryAll"]

_XML_BODY: Mapping[str, str] = {"Content-Type": "application/xml; charset=UTF-8"}
_CSV_BODY: Mapping[str, str] = {"Content-Type": "text/csv; charset=UTF-8"}
_MOST_CHUNK_ROWS = 250_000  # bulk1.md 6


@dataclass(frozen=True, slots=True)
class JobInfo:
    """A job as the org tells it. What an answer leaves out is the empty text, or None for a number.

    ``records_processed`` includes the failed ones. Times are in milliseconds, over all batches, and without those in
    the queue.
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
    concurrency_mode: str = ""
    content_type: str = ""
    api_version: float | None = None
    batches_queued: int | None = None
    batches_in_progress: int | None = None
    batches_completed: int | None = None
    batches_failed: int | None = None
    batches_total: int | None = None
    records_processed: int | None = None
    records_failed: int | None = None
    retries: int | None = None
    total_processing_time: int | None = None
    api_active_processing_time: int | None = None
    apex_processing_time: int | None = None


@dataclass(frozen=True, slots=True)
class BatchInfo:
    """A batch as the org tells it. What an answer leaves out is the empty text, or None for a number.

    ``state`` is Queued, InProgress, Completed, Failed or NotProcessed; ``state_message`` says why a batch Failed.
    ``records_processed`` includes the failed ones.
    """

    id: str
    job_id: str
    state: str
    state_message: str = ""
    created_date: str = ""
    system_modstamp: str = ""
    records_processed: int | None = None
    records_failed: int | None = None
    total_processing_time: int | None = None
    api_active_processing_time: int | None = None
    apex_processing_time: int | None = None


@dataclass(frozen=True, slots=True)
class PkChunking:
    """Has the org split a query by ranges of ids, each a batch of its own (bulk1.md 6).

    ``rows`` is how many ids a range spans, up to 250,000; ``parent`` names the object whose ids the ranges are, for
    the objects of shares and histories; ``start_row`` is the id to begin with.
    """

    rows: int = 100_000
    parent: str = ""
    start_row: str = ""

    def __post_init__(self) -> None:
        if not 1 <= self.rows <= _MOST_CHUNK_ROWS:
            raise UsageError(
                f"A chunk of {self.rows:,} rows is none that the org makes.",
                remedy=f"Name 1 to {_MOST_CHUNK_ROWS:,} rows; 100,000 is the platform's default.",
            )

    @property
    def header(self) -> str:
        """The value of ``Sforce-Enable-PKChunking``."""
        wanted = (("chunkSize", str(self.rows)), ("parent", self.parent), ("startRow", self.start_row))
        return "; ".join(f"{name}={value}" for name, value in wanted if value)


# -- jobs -----------------------------------------------------------------------------------------------------------


def create(
    sobject: str,
    operation: JobOperation,
    *,
    external_id_field: str | None = None,
    serial: bool = False,
    assignment_rule_id: str | None = None,
    pk_chunking: PkChunking | None = None,
) -> Call[JobInfo]:
    """A new, Open job of CSV. A second one stays empty and is closed after a day, so this is repeatable.

    ``serial`` has the org work on one batch at a time, over all serial jobs. ``pk_chunking`` is for queries only.
    """
    chunking = {"Sforce-Enable-PKChunking": pk_chunking.header} if pk_chunking else {}
    body = _document(
        {
            "operation": operation,
            "object": sobject,
            "externalIdFieldName": external_id_field,
            "concurrencyMode": "Serial" if serial else "Parallel",
            "assignmentRuleId": assignment_rule_id,  # here, as others send it: the schema is a sequence (bulk1.md 2.1)
            "contentType": "CSV",
        }
    )
    return Call("POST", "job", read_job, repeatable=True, headers={**_XML_BODY, **chunking}, body=body, service="async")


def info(job_id: str) -> Call[JobInfo]:
    """The job's state and counters."""
    return _call("GET", job_id, "", read_job, repeatable=True)


def close(job_id: str) -> Call[JobInfo]:
    """Lets no more batches in; those that are there go on. A second close is refused with InvalidJobState."""
    return _change(job_id, "Closed")


def abort(job_id: str) -> Call[JobInfo]:
    """Stops an Open job: batches that wait become NotProcessed, the others go on. Refused for a closed job."""
    return _change(job_id, "Aborted")


# -- batches --------------------------------------------------------------------------------------------------------


def add_batch(job_id: str, rows: bytes | Path) -> Call[BatchInfo]:
    """Sends up to 10,000 rows of CSV, which the org begins to save at once.

    Never sent twice: when the answer is lost, list the batches and read their requests before anything else.
    """
    return _call("POST", job_id, "/batch", read_batch, repeatable=False, headers=_CSV_BODY, body=rows)


def add_query(job_id: str, soql: str) -> Call[BatchInfo]:
    """Has a query job answer a query. A second batch would answer it once more, so this is not repeatable."""
    return _call("POST", job_id, "/batch", read_batch, repeatable=False, headers=_CSV_BODY, body=soql.encode())


def batches(job_id: str) -> Call[tuple[BatchInfo, ...]]:
    """All batches of a job; there are no pages."""
    return _call("GET", job_id, "/batch", read_batches, repeatable=True)


def batch(job_id: str, batch_id: str) -> Call[BatchInfo]:
    """The batch's state and counters."""
    return _call("GET", job_id, _batch_path(batch_id), read_batch, repeatable=True)


def batch_request(job_id: str, batch_id: str) -> Call[bytes]:
    """What was sent as this batch, byte for byte (bulk1.md 3.4)."""
    return _call("GET", job_id, f"{_batch_path(batch_id)}/request", read_bytes, repeatable=True)


def batch_result(job_id: str, batch_id: str) -> Call[bytes]:
    """What became of each row, as CSV in the order of the rows: Id, Success, Created, Error (bulk1.md 3.5)."""
    return _call("GET", job_id, f"{_batch_path(batch_id)}/result", read_bytes, repeatable=True)


def query_result_ids(job_id: str, batch_id: str) -> Call[tuple[str, ...]]:
    """The ids of a query's result files. All of them make the answer; each has a header of its own (bulk1.md 4)."""
    return _call("GET", job_id, f"{_batch_path(batch_id)}/result", read_result_ids, repeatable=True)


def query_result(job_id: str, batch_id: str, result_id: str) -> Call[bytes]:
    """One result file as CSV, or ``NO_RECORDS``; to be streamed, as it has up to 1 GB."""
    path = f"{_batch_path(batch_id)}/result/{checked_id(result_id, of='result')}"
    return _call("GET", job_id, path, read_bytes, repeatable=True)


# -- answers --------------------------------------------------------------------------------------------------------


def read_job(reply: Reply) -> JobInfo:
    """The document of create, change of state, or info, in XML or JSON."""
    source = _members(reply, "jobInfo")
    return JobInfo(
        id=_required(source, "id"),
        state=_required(source, "state"),
        operation=source.get("operation", ""),
        object=source.get("object", ""),
        created_by_id=source.get("createdById", ""),
        created_date=source.get("createdDate", ""),
        system_modstamp=source.get("systemModstamp", ""),
        external_id_field=source.get("externalIdFieldName", ""),
        assignment_rule_id=source.get("assignmentRuleId", ""),
        concurrency_mode=source.get("concurrencyMode", ""),
        content_type=source.get("contentType", ""),
        api_version=_version(source.get("apiVersion", "")),
        batches_queued=_number(source, "numberBatchesQueued"),
        batches_in_progress=_number(source, "numberBatchesInProgress"),
        batches_completed=_number(source, "numberBatchesCompleted"),
        batches_failed=_number(source, "numberBatchesFailed"),
        batches_total=_number(source, "numberBatchesTotal"),
        records_processed=_number(source, "numberRecordsProcessed"),
        records_failed=_number(source, "numberRecordsFailed"),
        retries=_number(source, "numberRetries"),
        total_processing_time=_number(source, "totalProcessingTime"),
        api_active_processing_time=_number(source, "apiActiveProcessingTime"),
        apex_processing_time=_number(source, "apexProcessingTime"),
    )


def read_batch(reply: Reply) -> BatchInfo:
    """The document of a batch, in XML or JSON."""
    return _batch_from(_members(reply, "batchInfo"))


def read_batches(reply: Reply) -> tuple[BatchInfo, ...]:
    """The list of a job's batches, in XML or JSON; a job without any gives an empty element."""
    if _is_json(reply):
        return tuple(_batch_from(_texts(one)) for one in objects(read_object(reply).get("batchInfo")))
    root = read_element(reply, "batchInfoList")
    return tuple(_batch_from(members(one)) for one in root if local_name(one) == "batchInfo")


def read_result_ids(reply: Reply) -> tuple[str, ...]:
    """The list of a query's result files, in XML or JSON."""
    if _is_json(reply):
        return tuple(one for one in read_array(reply) if isinstance(one, str))
    root = read_element(reply, "result-list")
    return tuple(one.text.strip() for one in root if local_name(one) == "result" and one.text)


# -- inside ---------------------------------------------------------------------------------------------------------


def _call(
    method: Method,
    job_id: str,
    path: str,
    read: Callable[[Reply], T],
    *,
    repeatable: bool,
    headers: Mapping[str, str] = NO_HEADERS,
    body: bytes | Path | None = None,
) -> Call[T]:
    return Call(
        method,
        f"job/{checked_id(job_id)}{path}",
        read,
        repeatable=repeatable,
        headers=headers,
        body=body,
        job_id=job_id,
        service="async",
    )


def _change(job_id: str, state: str) -> Call[JobInfo]:
    # Sent twice, it is refused: the caller has to ask for the state then, as after any lost answer (bulk1.md 2.2).
    return _call("POST", job_id, "", read_job, repeatable=False, headers=_XML_BODY, body=_document({"state": state}))


def _batch_path(batch_id: str) -> str:
    return f"/batch/{checked_id(batch_id, of='batch')}"


def _document(values: Mapping[str, str | None]) -> bytes:
    """A jobInfo without the members whose value is None."""
    inner = "".join(f"<{name}>{escape(value)}</{name}>" for name, value in values.items() if value is not None)
    return f'<?xml version="1.0" encoding="UTF-8"?><jobInfo xmlns="{NAMESPACE}">{inner}</jobInfo>'.encode()


def _members(reply: Reply, name: str) -> Members:
    return _texts(read_object(reply)) if _is_json(reply) else members(read_element(reply, name))


def _is_json(reply: Reply) -> bool:
    return reply.body.lstrip()[:1] in {b"{", b"["}


def _texts(source: JsonObject) -> Members:
    """A JSON document as XML has it: every value is text, and null is left out."""
    return {key: str(value) for key, value in source.items() if isinstance(value, str | int | float) and value != ""}


def _batch_from(source: Members) -> BatchInfo:
    return BatchInfo(
        id=_required(source, "id"),
        job_id=source.get("jobId", ""),
        state=_batch_state(_required(source, "state")),
        state_message=source.get("stateMessage", ""),
        created_date=source.get("createdDate", ""),
        system_modstamp=source.get("systemModstamp", ""),
        records_processed=_number(source, "numberRecordsProcessed"),
        records_failed=_number(source, "numberRecordsFailed"),
        total_processing_time=_number(source, "totalProcessingTime"),
        api_active_processing_time=_number(source, "apiActiveProcessingTime"),
        apex_processing_time=_number(source, "apexProcessingTime"),
    )


def _batch_state(text: str) -> str:
    """The guide itself spells one state in three ways (bulk1.md 3.3)."""
    return "NotProcessed" if text.replace(" ", "").replace("_", "").lower() == "notprocessed" else text


def _required(source: Members, key: str) -> str:
    if key not in source:
        raise UnreadableAnswer(f"the answer has no {key}")
    return source[key]


def _number(source: Members, key: str) -> int | None:
    text = source.get(key, "")
    return int(text) if text.isdecimal() else None


def _version(text: str) -> float | None:
    return float(text) if text.replace(".", "", 1).isdecimal() else None

"""Query jobs of the Bulk API 2.0 (bulk2.md 4)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import unquote, urlsplit

from sfframe.facts import Delimiter, LineEnding
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
from sfframe.protocol.json_body import flag, objects, read_object, text


@dataclass(frozen=True, slots=True)
class PageHead:
    """What the headers of a result page say.

    ``rows`` counts its data rows, None where a proxy took the header away; ``locator`` names the next page, None on
    the last.
    """

    rows: int | None
    locator: str | None


@dataclass(frozen=True, slots=True)
class PageLinks:
    """Up to five pages by their locators, and where the next five are named; None on the last.

    ``available`` is False where the org does not name pages ahead; then each page names the next one.
    """

    locators: tuple[str, ...]
    next_locator: str | None = None
    available: bool = True


def create(
    soql: str, *, include_deleted: bool = False, column_delimiter: Delimiter = "COMMA", line_ending: LineEnding = "LF"
) -> Call[JobInfo]:
    """A new query job; it runs at once. ``include_deleted`` finds deleted and archived records.

    A refused query raises here, without a job. When the answer is lost and it is sent again, the first job only costs
    some of the org's daily allowance.
    """
    body = json_body(
        {
            "operation": "queryAll" if include_deleted else "query",
            "query": soql,
            "contentType": "CSV",
            "columnDelimiter": column_delimiter,
            "lineEnding": line_ending,
        }
    )
    return Call("POST", "jobs/query", read_job, repeatable=True, headers=JSON_BODY, body=body)


def info(job_id: str) -> Call[JobInfo]:
    """The job's state and counters."""
    return Call("GET", f"jobs/query/{checked_id(job_id)}", read_job, repeatable=True, job_id=job_id)


def results(job_id: str, *, locator: str | None = None, max_records: int | None = None) -> Call[bytes]:
    """One page of CSV, its header line included; without ``locator`` the first. It may have fewer rows than asked.

    The API version must be the one that made the job, else the org answers 409 (bulk2.md 4.4).
    """
    wanted = (("locator", locator), ("maxRecords", None if max_records is None else str(max_records)))
    return Call(
        "GET",
        f"jobs/query/{checked_id(job_id)}/results",
        read_bytes,
        repeatable=True,
        query=tuple((key, value) for key, value in wanted if value),
        job_id=job_id,
    )


def result_pages(job_id: str, *, locator: str | None = None) -> Call[PageLinks]:
    """The locators of the next pages, which may then be fetched at the same time (bulk2.md 4.5).

    An org without this answers 400 or 404; that is not raised, the links are then not ``available``.
    """
    return Call(
        "GET",
        f"jobs/query/{checked_id(job_id)}/resultPages",
        _read_links,
        repeatable=True,
        query=() if locator is None else (("locator", locator),),
        accepts=frozenset({400, 404}),
        job_id=job_id,
    )


def read_page_head(headers: Mapping[str, str]) -> PageHead:
    """Takes lower-case names. The text ``null``, an empty header and a missing one all end (bulk2.md 4.4)."""
    rows = headers.get("sforce-numberofrecords", "").strip()
    locator = headers.get("sforce-locator", "").strip()
    return PageHead(int(rows) if rows.isdigit() else None, locator if locator not in {"", "null"} else None)


def abort(job_id: str) -> Call[JobInfo]:
    """Stops the job. Refused with INVALIDJOBSTATE when it has ended."""
    return Call(
        "PATCH",
        f"jobs/query/{checked_id(job_id)}",
        read_job,
        repeatable=True,
        headers=JSON_BODY,
        body=json_body({"state": "Aborted"}),
        job_id=job_id,
    )


def delete(job_id: str) -> Call[None]:
    """Deletes an ended job with its results. An answer that it is gone already counts as done."""
    return Call(
        "DELETE",
        f"jobs/query/{checked_id(job_id)}",
        read_nothing,
        repeatable=True,
        accepts=frozenset({404}),
        job_id=job_id,
    )


def list_jobs(*, locator: str | None = None, job_type: str | None = "V2Query") -> Call[JobList]:
    """One page of up to 1,000 jobs; without ``job_type`` jobs of all kinds."""
    wanted = (("jobType", job_type), ("queryLocator", locator))
    query = tuple((key, value) for key, value in wanted if value)
    return Call("GET", "jobs/query", read_job_list, repeatable=True, query=query)


def _read_links(reply: Reply) -> PageLinks:
    """Takes only the locators: two shapes with links of two kinds are on record (bulk2.md 4.5)."""
    if reply.status >= 400:
        return PageLinks((), available=False)
    body = read_object(reply)
    pages = objects(body.get("resultPages") or body.get("resultChunks"))
    links = [text(page, "resultUrl") or text(page, "resultLink") for page in pages]
    following = text(body, "nextRecordsUrl") or text(body, "nextRecordUrl")
    return PageLinks(tuple(filter(None, map(_locator, links))), _locator(following) if not flag(body, "done") else None)


def _locator(link: str) -> str | None:
    values = dict(pair.partition("=")[::2] for pair in urlsplit(link).query.split("&"))
    return unquote(values.get("locator", "")) or None  # a plus is itself: locators are base64 (bulk2.md 4.4)

"""REST queries: pages of JSON, kept as bytes for the codec (rest.md 5)."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from urllib.parse import quote

from sfframe.errors import UsageError
from sfframe.protocol.call import Call, Reply
from sfframe.protocol.json_body import (
    JsonObject,
    UnreadableAnswer,
    flag,
    number_or_none,
    objects,
    read_object,
    text,
)

URI_BYTES = 16_384  # longer ones get a 414 (rest.md 1.5)
QUERY_BYTES = URI_BYTES - 384  # what is left for a query, in percent spelling: host, version and resource need room
_HEAD_BYTES = 4_096  # totalSize, done and nextRecordsUrl stand before the records (rest.md 5)


@dataclass(frozen=True, slots=True)
class QueryPage:
    """One page. ``total_size`` is the number of records of the whole query on every page, except where a LIMIT or
    a count cuts it; ``next_path`` is None on the last one; ``body`` is the answer's JSON, untouched.
    """

    total_size: int
    done: bool
    next_path: str | None
    body: bytes = field(repr=False)


def query(soql: str, *, include_deleted: bool = False, batch_size: int | None = None) -> Call[QueryPage]:
    """The first page. ``include_deleted`` finds deleted and archived records too; ``batch_size`` (200 to 2,000) is a
    hint.
    """
    headers = {} if batch_size is None else {"Sforce-Query-Options": f"batchSize={batch_size}"}
    query = (("q", _fitting(soql)),)
    return Call("GET", _resource(include_deleted), read_page, repeatable=True, query=query, headers=headers)


def query_more(next_path: str) -> Call[QueryPage]:
    """The page that ``QueryPage.next_path`` names."""
    if not next_path.startswith("/services/data/"):
        raise UsageError("This is not the next page of a query.", remedy="Hand over the next_path of a QueryPage.")
    return Call("GET", next_path, read_page, repeatable=True)


def records(soql: str, *, include_deleted: bool = False) -> Call[tuple[JsonObject, ...]]:
    """The records of a query that is known to fit on one page, as parsed JSON without their ``attributes``."""
    return Call("GET", _resource(include_deleted), _read_records, repeatable=True, query=(("q", _fitting(soql)),))


def query_bytes(soql: str) -> int:
    """How many of ``QUERY_BYTES`` the text takes."""
    return len(quote(soql, safe=""))


def fits_in_uri(soql: str) -> bool:
    """False where the text is too long for a REST query; a bulk query takes it."""
    return query_bytes(soql) <= QUERY_BYTES


def read_page(reply: Reply) -> QueryPage:
    """Reads only what stands before the records; the whole body is parsed only when that does not suffice."""
    page = _page_from(_head(reply.body), reply.body)
    if page is None:
        page = _page_from(read_object(reply), reply.body)
    if page is None:
        raise UnreadableAnswer("the answer is not a page of a query")
    return page


def _resource(include_deleted: bool) -> str:
    return "queryAll" if include_deleted else "query"


def _fitting(soql: str) -> str:
    if not fits_in_uri(soql):
        raise UsageError(
            f"The query has {len(soql):,} characters, too many for the REST API.",
            remedy="Send it as a bulk query, or split the list in its WHERE.",
        )
    return soql


def _head(body: bytes) -> JsonObject:
    """The keys before ``records``, or nothing when they cannot be cut off."""
    cut = body.find(b'"records"', 0, _HEAD_BYTES)
    try:
        value = json.loads(body[:cut] + b'"records":[]}') if cut > 0 else {}
    except ValueError:
        value = {}
    return value if isinstance(value, dict) else {}


def _page_from(source: JsonObject, body: bytes) -> QueryPage | None:
    total, done, next_path = number_or_none(source, "totalSize"), source.get("done"), text(source, "nextRecordsUrl")
    if total is None or not isinstance(done, bool) or (not done and not next_path):
        return None
    return QueryPage(total, done, next_path or None if not done else None, body)


def _read_records(reply: Reply) -> tuple[JsonObject, ...]:
    body = read_object(reply)
    if not flag(body, "done", absent=True):
        raise UnreadableAnswer("the query has more than one page")
    return tuple(
        {name: value for name, value in one.items() if name != "attributes"} for one in objects(body.get("records"))
    )

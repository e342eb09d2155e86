"""Replication: which records of an object were deleted in a span of time, and what time it is in the org (rest.md 7).

The span is cut to minutes and must be longer than one. Of updates the queries know more, and to the second.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import datetime
from urllib.parse import quote

from sfframe.protocol.call import Call, Reply
from sfframe.protocol.json_body import JsonObject, UnreadableAnswer, objects, read_object, required_text


@dataclass(frozen=True, slots=True)
class Deleted:
    """Records that went to the recycle bin or for good: each with ``id`` and ``deletedDate``, as the org writes them.

    Before ``earliest`` the org knows of no deletes any more. What was begun after ``latest`` may not be in here yet:
    the next span begins there.
    """

    records: tuple[JsonObject, ...] = field(repr=False)
    earliest: datetime
    latest: datetime


def deleted(sobject: str, start: datetime, end: datetime) -> Call[Deleted]:
    """The deletes of ``start`` to ``end``, both with a zone. The org gives 600,000 at most (EXCEEDED_ID_LIMIT).

    >>> from datetime import UTC
    >>> deleted("Account", datetime(2026, 3, 4, 5, tzinfo=UTC), datetime(2026, 3, 4, 6, tzinfo=UTC)).query
    (('start', '2026-03-04T05:00:00+00:00'), ('end', '2026-03-04T06:00:00+00:00'))
    """
    span = (("start", start.isoformat(timespec="seconds")), ("end", end.isoformat(timespec="seconds")))
    return Call("GET", f"sobjects/{quote(sobject, safe='')}/deleted", _read_deleted, repeatable=True, query=span)


def clock() -> Call[datetime | None]:
    """What time it is in the org, in whole seconds; None where the answer has no date."""
    return Call("GET", "", _read_clock, repeatable=True)  # the list of resources: the smallest answer that all may ask


def _read_deleted(reply: Reply) -> Deleted:
    body = read_object(reply)
    return Deleted(
        tuple(objects(body.get("deletedRecords"))),
        _moment(body, "earliestDateAvailable"),
        _moment(body, "latestDateCovered"),
    )


def _moment(body: JsonObject, name: str) -> datetime:
    told = required_text(body, name)
    try:
        found = datetime.fromisoformat(told)
    except ValueError as problem:
        raise UnreadableAnswer(f"{name} is no time") from problem
    if found.tzinfo is None:
        raise UnreadableAnswer(f"{name} has no zone")
    return found


def _read_clock(reply: Reply) -> datetime | None:
    return reply.clock

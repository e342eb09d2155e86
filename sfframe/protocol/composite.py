"""sObject Collections: up to 200 records in one call, answered in their order (rest.md 8.5).

No call is marked repeatable, although most may be sent twice: the second answer does not say what the first sending
did. So the transport must not repeat them by itself; ``jobs.collections`` does, and works out what both have done.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from decimal import Decimal
from urllib.parse import quote

from sfframe.protocol import query
from sfframe.protocol.bulk2_job import JSON_BODY
from sfframe.protocol.call import Call, Method, Reply
from sfframe.protocol.error_body import Problem, read_problem
from sfframe.protocol.json_body import JsonObject, UnreadableAnswer, read_array, required_text
from sfframe.soql import string_text

Key = str | Decimal

_PATH = "composite/sobjects"
_REFUSED = 400  # the whole call, and before any record was touched


@dataclass(frozen=True, slots=True)
class RowAnswers:
    """``body`` is the JSON as it came: an array with one answer for each record, in their order.

    ``refusal`` is what the org said where it took no record at all (HTTP 400); ``body`` then holds its errors.
    """

    body: bytes = field(repr=False)
    refusal: Problem | None = None


@dataclass(frozen=True, slots=True)
class Stamp:
    """Who created a record and who changed it last, by user name, and when by the org's clock, cut to seconds.

    ``key`` is the value of the field that the record was asked for by.
    """

    id: str
    key: Key = field(repr=False)
    created: datetime
    created_by: str
    modified: datetime
    modified_by: str


@dataclass(frozen=True, slots=True)
class Stamps:
    """The records that are there, in no order. ``now`` is the org's clock when it answered; None where it hid it."""

    records: tuple[Stamp, ...]
    now: datetime | None


def create(
    body: bytes, *, assignment_rule_id: str | None = None, allow_duplicates: bool | None = None
) -> Call[RowAnswers]:
    """New records. ``body`` is ``{"allOrNone": ..., "records": [...]}``, each with ``attributes.type``."""
    return _saving("POST", _PATH, body, assignment_rule_id, allow_duplicates)


def update(
    body: bytes, *, assignment_rule_id: str | None = None, allow_duplicates: bool | None = None
) -> Call[RowAnswers]:
    """Records by their ``Id``; a key that a record does not have leaves its field alone, JSON null clears it."""
    return _saving("PATCH", _PATH, body, assignment_rule_id, allow_duplicates)


def upsert(
    sobject: str,
    external_id_field: str,
    body: bytes,
    *,
    assignment_rule_id: str | None = None,
    allow_duplicates: bool | None = None,
) -> Call[RowAnswers]:
    """Records of one object by a key that each of them holds; by ``Id``, those whose Id is null are created."""
    path = f"{_PATH}/{quote(sobject, safe='')}/{quote(external_id_field, safe='')}"
    return _saving("PATCH", path, body, assignment_rule_id, allow_duplicates)


def delete(ids: str, *, all_or_none: bool = False) -> Call[RowAnswers]:
    """Into the recycle bin. ``ids`` are parted by commas; 200 of them fit into a URI (rest.md 1.5)."""
    asked = (("ids", ids), ("allOrNone", "true" if all_or_none else "false"))
    return Call("DELETE", _PATH, _read_rows, repeatable=False, query=asked, accepts=frozenset({_REFUSED}))


def stamps(sobject: str, key: str, values: Sequence[Key]) -> list[Call[Stamps]]:
    """Asks for the records that have one of these keys: mostly one query, more where the keys are too long for one.

    >>> stamps("Account", "Ext__c", ["a"])[0].query[0][1].partition("FROM ")[2]
    "Account WHERE Ext__c IN ('a')"
    """
    names = ["Id", "CreatedDate", "CreatedBy.Username", "LastModifiedDate", "LastModifiedBy.Username"]
    names += [key] if key.casefold() != "id" else []
    wanted = ", ".join(string_text(one) if isinstance(one, str) else format(one, "f") for one in values)
    soql = f"SELECT {', '.join(names)} FROM {sobject} WHERE {key} IN ({wanted})"
    if not query.fits_in_uri(soql) and len(values) > 1:
        middle = len(values) // 2
        return stamps(sobject, key, values[:middle]) + stamps(sobject, key, values[middle:])
    asked = query.records(soql)

    def read(reply: Reply) -> Stamps:
        return Stamps(tuple(_stamp(one, key) for one in asked.read(reply)), reply.clock)

    return [Call("GET", asked.path, read, repeatable=True, query=asked.query)]


def _saving(
    method: Method, path: str, body: bytes, assignment_rule_id: str | None, allow_duplicates: bool | None
) -> Call[RowAnswers]:
    # Without a word REST runs the default assignment rule (rest.md 1.3), the bulk APIs run none (bulk2.md 2.2): all
    # carriers shall do the same.
    headers = {**JSON_BODY, "Sforce-Auto-Assign": assignment_rule_id or "FALSE"}
    if allow_duplicates is not None:
        headers["Sforce-Duplicate-Rule-Header"] = f"allowSave={'true' if allow_duplicates else 'false'}"
    accepts = frozenset({_REFUSED})
    return Call(method, path, _read_rows, repeatable=False, headers=headers, body=body, accepts=accepts)


def _read_rows(reply: Reply) -> RowAnswers:
    if reply.status != _REFUSED:
        read_array(reply)
        return RowAnswers(reply.body)
    problem = read_problem(reply)
    if not problem.code:
        raise UnreadableAnswer("the request was refused without a code")  # by the edge, not by the org
    return RowAnswers(reply.body, problem)


def _stamp(record: JsonObject, key: str) -> Stamp:
    found = next((value for name, value in record.items() if name.casefold() == key.casefold()), None)
    if isinstance(found, bool) or not isinstance(found, str | int | float):
        raise UnreadableAnswer(f"a record has no {key}")
    return Stamp(
        required_text(record, "Id"),
        found if isinstance(found, str) else Decimal(str(found)),
        _time(record, "CreatedDate"),
        _username(record, "CreatedBy"),
        _time(record, "LastModifiedDate"),
        _username(record, "LastModifiedBy"),
    )


def _time(record: JsonObject, name: str) -> datetime:
    try:
        return datetime.fromisoformat(required_text(record, name))
    except ValueError as problem:
        raise UnreadableAnswer(f"{name} is no time") from problem


def _username(record: JsonObject, name: str) -> str:
    who = record.get(name)
    return str(who.get("Username") or "") if isinstance(who, dict) else ""

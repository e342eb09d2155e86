"""A query cut into parts, by equal spans of one of its fields."""

from __future__ import annotations

import datetime as dt
from dataclasses import replace
from itertools import pairwise
from typing import TYPE_CHECKING, Final

from sfframe import soql
from sfframe.errors import IncompleteAnswer, UsageError
from sfframe.fetch.fetched import fetch
from sfframe.ids import to18
from sfframe.read_options import ReadOptions

if TYPE_CHECKING:
    from sfframe.connection.org import Org
    from sfframe.fetch.plan import Plan

_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # of ids, in their order


def parts_of(org: Org, plan: Plan, partitions: int, *, by: str) -> list[Plan]:
    """Up to ``partitions`` queries that find the rows of a plan together, each row once.

    Raises UsageError for a query whose rows are no records, or that has an order or an end of its own.
    """
    if partitions < 1:
        raise UsageError(f"partitions is {partitions}", remedy="Give a number from 1.")
    from sfframe.frames.shape import is_grouped

    parsed = plan.parsed
    ended = parsed.limit is not None or parsed.offset is not None
    if parsed.count_only or is_grouped(parsed) or parsed.order_by or ended:
        raise UsageError(
            "A query with aggregates, ORDER BY, LIMIT or OFFSET cannot be cut into parts",
            remedy="Leave them out, and sort or cut the frame.",
        )
    sobject = org.describe(parsed.source.name)
    field = sobject.field(by)
    if field is None or field.type not in {"id", "date", "datetime"}:
        what = f"{sobject.name} has no field {by}" if field is None else f"{field.name} is of type {field.type}"
        raise UsageError(what, remedy="Cut by Id, or by a date or datetime field.")
    low, high = (_edge(org, plan, field.name, descending=side) for side in (False, True))
    edges = _edges(low, high, partitions) if low is not None and high is not None else []
    conditions = _spans(field.name, edges, nillable=field.nillable)
    return [plan.with_rows(replace(parsed, where=_both(parsed.where, one))) for one in conditions]


def _edge(org: Org, plan: Plan, field: str, *, descending: bool) -> object:
    """The lowest or the highest value that the query finds, None where it finds none."""
    order = "DESC NULLS LAST" if descending else "ASC NULLS LAST"
    asked = soql.parse(f"SELECT {field} FROM {plan.parsed.source.name} ORDER BY {field} {order} LIMIT 1")
    source = replace(asked, source=plan.parsed.source, related=plan.parsed.related, where=plan.parsed.where)
    one_value = replace(plan, options=ReadOptions(api="rest")).with_query(source, org)
    found = fetch(org, one_value).frame()
    value: object = found.item() if found.height else None
    return value


def _edges(low: object, high: object, partitions: int) -> list[str]:
    """The values between the parts, as SOQL writes them, in their order and each once."""
    if isinstance(low, str) and isinstance(high, str):
        first, last = _number(low), _number(high)
        places = [first + (last - first) * part // partitions for part in range(1, partitions)]
        return [f"'{one}'" for one in dict.fromkeys(map(_id, places)) if low < one <= high]
    if isinstance(low, dt.datetime) and isinstance(high, dt.datetime):
        moments = [low + (high - low) * part / partitions for part in range(1, partitions)]
        cut = dict.fromkeys(one.astimezone(dt.UTC).replace(microsecond=0) for one in moments)
        return [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in cut if low < one <= high]
    if isinstance(low, dt.date) and isinstance(high, dt.date):
        days = dict.fromkeys(low + (high - low) * part // partitions for part in range(1, partitions))
        return [one.isoformat() for one in days if low < one <= high]
    raise IncompleteAnswer("the org gives no range of this field", remedy="Cut by another one.")


def _spans(field: str, edges: list[str], *, nillable: bool) -> list[str]:
    """Conditions that cover every value once; the first has the rows without one as well."""
    if not edges:
        return [""]
    first = f"{field} < {edges[0]}"
    spans = [f"{field} >= {low} AND {field} < {high}" for low, high in pairwise(edges)]
    return [f"({first} OR {field} = null)" if nillable else first, *spans, f"{field} >= {edges[-1]}"]


def _both(where: soql.Condition | None, span: str) -> soql.Condition | None:
    if not span:
        return where
    condition = soql.parse(f"SELECT Id FROM Account WHERE {span}").where
    if where is None or condition is None:
        return condition
    return soql.Logic("AND", (where, condition))


def _number(record_id: str) -> int:
    """An id as a number: its first 15 characters are digits of base 62 (rest.md 10)."""
    value = 0
    for character in record_id[:15]:
        value = value * len(_DIGITS) + _DIGITS.index(character)
    return value


def _id(number: int) -> str:
    characters = ""
    for _ in range(15):
        number, digit = divmod(number, len(_DIGITS))
        characters = _DIGITS[digit] + characters
    return to18(characters)

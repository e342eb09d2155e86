"""A query that is too long for the service, as several; and their answers as one."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from sfframe.errors import UsageError
from sfframe.frames.shape import is_grouped
from sfframe.schema.sobject import SObject
from sfframe.soql import Condition, FieldsOf, Logic, Membership, Path, Query, Selected, SubQuery, TypeOf, Value
from sfframe.soql.text import to_text, value_text

_STAMP = "SystemModstamp"


@dataclass(frozen=True, slots=True)
class Room:
    """How long a statement may be: ``measure`` counts what ``most`` limits (characters, or bytes of a URI)."""

    measure: Callable[[str], int]
    most: int

    def has(self, query: Query) -> bool:
        """True where the query fits."""
        return self.measure(to_text(query)) <= self.most


def by_values(query: Query, room: Room) -> tuple[Query, ...]:
    """Queries that fit and together find what ``query`` finds: its longest IN list is spread over them.

    Only a list that widens the answer can be spread: not one below NOT, or after NOT IN. One record may be found by
    several of them (texts are equal without case): all of them select Id, by which ``united`` keeps it once. A query
    whose length is not that of a list is given back as it is. Raises ``UsageError`` where the parts of an answer cannot
    be put together: sorted or grouped rows, and an offset.
    """
    if room.has(query):
        return (query,)
    lists = _spreadable(query.where)
    longest = max(lists, key=lambda one: len(_values(one)), default=None)
    if longest is None or len(_values(longest)) < 2:
        return (query,)
    if query.count_only or is_grouped(query) or query.order_by or query.offset is not None:
        what = "sort" if query.order_by else "put groups and counts together" if query.offset is None else "skip rows"
        raise UsageError(
            f"the list of {len(_values(longest)):,} values is too long for one query, and several cannot {what}",
            where="WHERE",
            remedy="Leave ORDER BY, OFFSET and aggregates to the frame, or shorten the list.",
        )
    shown = _selecting_id(query)
    frame = replace(shown, where=_replaced(shown.where, longest, replace(longest, values=())))
    left = room.most - room.measure(to_text(frame))
    parts: list[list[Value]] = [[]]
    taken = 0
    for value in _values(longest):
        cost = room.measure(f"{value_text(value)}, ")
        if taken + cost > left and parts[-1]:
            parts.append([])
            taken = 0
        parts[-1].append(value)
        taken += cost
    return tuple(
        replace(shown, where=_replaced(shown.where, longest, replace(longest, values=tuple(part)))) for part in parts
    )


def united(frames: Sequence[pl.DataFrame], query: Query, names: Sequence[str]) -> pl.DataFrame:
    """The answers of ``by_values`` as the one of ``query``, with the columns ``names``."""
    whole = pl.concat(frames).unique("Id", keep="first", maintain_order=True).select(names)
    return whole if query.limit is None else whole.head(query.limit)


def by_columns(query: Query, sobject: SObject, room: Room) -> tuple[Query, ...]:
    """Queries that fit and together select what ``query`` selects, each with the Id and the time of the last change."""
    if room.has(query) or query.count_only or is_grouped(query):
        return (query,)
    keys = [name for name in ("Id", _STAMP) if sobject.field(name) is not None]
    if keys[:1] != ["Id"]:
        return (query,)
    shared = tuple(Selected(Path((name,))) for name in keys)
    parts: list[tuple[Selected | FieldsOf | TypeOf | SubQuery, ...]] = [shared]
    for item in query.select:
        if _plain(item) in {name.casefold() for name in keys}:
            continue
        if len(parts[-1]) > len(shared) and not room.has(replace(query, select=(*parts[-1], item))):
            parts.append(shared)
        parts[-1] = (*parts[-1], item)
    return tuple(replace(query, select=part) for part in parts)


def joined(frames: Sequence[pl.DataFrame], names: Sequence[str]) -> pl.DataFrame | None:
    """The answers of ``by_columns`` as one, with the columns ``names`` and the rows in the order of the first.

    None where they do not belong together, because records came, went or changed between the queries.
    """
    first = frames[0]
    keys = [name for name in ("Id", _STAMP) if name in first.columns]
    whole = first
    for frame in frames[1:]:
        if frame.height != first.height or frame.join(first, on=keys, how="anti").height:
            return None
        whole = whole.join(frame, on=keys, how="left", maintain_order="left", validate="1:1")
    return whole.select(names)


def _spreadable(condition: Condition | None) -> list[Membership]:
    """The lists of values that stand below nothing but AND and OR."""
    match condition:
        case Membership(op="IN" | "INCLUDES", values=tuple()):
            return [condition]
        case Logic(terms=terms):
            return [found for term in terms for found in _spreadable(term)]
    return []


def _values(condition: Membership) -> tuple[Value, ...]:
    return condition.values if isinstance(condition.values, tuple) else ()


def _replaced(condition: Condition | None, old: Membership, new: Membership) -> Condition | None:
    if condition is old:
        return new
    if isinstance(condition, Logic):
        terms = [_replaced(one, old, new) for one in condition.terms]
        return replace(condition, terms=tuple(one for one in terms if one is not None))
    return condition


def _selecting_id(query: Query) -> Query:
    if any(_plain(item) == "id" for item in query.select):
        return query
    return replace(query, select=(*query.select, Selected(Path(("Id",)))))


def _plain(item: Selected | FieldsOf | TypeOf | SubQuery) -> str:
    """The name of a field that is selected as it is, without case; empty for everything else."""
    if isinstance(item, Selected) and isinstance(item.expr, Path) and len(item.expr.parts) == 1:
        return item.expr.parts[0].casefold()
    return ""

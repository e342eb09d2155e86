"""A query that is too long for the org: as several that find its rows together, or refused before it is sent."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from sfframe import soql
from sfframe.errors import UsageError
from sfframe.fetch.decision import refused_by_bulk
from sfframe.protocol.query import QUERY_BYTES, query_bytes
from sfframe.soql.parser import MAX_LENGTH

if TYPE_CHECKING:
    from sfframe.connection.org import Org
    from sfframe.fetch.plan import Plan
    from sfframe.frames.statements import Room


def spread(org: Org, plan: Plan) -> list[Plan]:
    """The plan itself where the org takes its query; else one for each part of the longest list of its WHERE.

    The parts select the Id, too: several may find the same record. Raises UsageError where that is no way.
    """
    from sfframe.frames.statements import by_values

    room = _room(plan)
    if room.measure(plan.query) <= room.most:
        return [plan]
    queries = by_values(plan.parsed, room)
    if not all(map(room.has, queries)):
        raise _too_long(
            plan, room, "Name fewer fields, or read it with read_soql, which joins the parts of its rows in memory."
        )
    return [plan.with_query(one, org) for one in queries]


def refuse_too_long(plan: Plan, remedy: str) -> None:
    """Raises UsageError where the org would not take the query even with a single field."""
    room = _room(plan)
    if plan.parsed.count_only or room.measure(plan.query) <= room.most:
        return
    least = replace(plan.parsed, select=(soql.Selected(soql.Path(("Id",))),))
    if not room.has(least):
        raise _too_long(plan, room, remedy)


def _room(plan: Plan) -> Room:
    from sfframe.frames.statements import Room

    if plan.options.api == "rest" or refused_by_bulk(plan.parsed, plan.shape):
        return Room(query_bytes, QUERY_BYTES)
    return Room(len, MAX_LENGTH)


def _too_long(plan: Plan, room: Room, remedy: str) -> UsageError:
    unit = "characters" if room.measure is len else "bytes"
    return UsageError(
        f"The query has {room.measure(plan.query):,} {unit}, and the org takes {room.most:,}",
        where=f"FROM {plan.parsed.source.name}",
        remedy=remedy,
    )

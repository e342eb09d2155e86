"""How the org would run a query (rest.md 5). The query itself is not run."""

from __future__ import annotations

from dataclasses import dataclass

from sfframe.protocol.call import Call, Reply
from sfframe.protocol.json_body import JsonObject, UnreadableAnswer, number, objects, read_object, text


@dataclass(frozen=True, slots=True)
class QueryPlan:
    """One way in which the org could run a query; the first of its plans has the least cost (rest.md 5).

    ``leading`` is Index, Other, Sharing or TableScan. ``rows`` is how many records the leading operation is expected to
    give, ``of_rows`` how many there are. Below a ``relative_cost`` of 1 the query counts as selective. ``notes`` say in
    the org's words what was not considered, and for which fields.
    """

    leading: str
    sobject: str
    rows: int
    of_rows: int
    relative_cost: float
    fields: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()


def plans(soql: str) -> Call[tuple[QueryPlan, ...]]:
    """The ways that the org considers, the cheapest first."""
    return Call("GET", "query", _read_plans, repeatable=True, query=(("explain", soql),))


def _read_plans(reply: Reply) -> tuple[QueryPlan, ...]:
    return tuple(
        QueryPlan(
            leading=text(one, "leadingOperationType"),
            sobject=text(one, "sobjectType"),
            rows=number(one, "cardinality"),
            of_rows=number(one, "sobjectCardinality"),
            relative_cost=_cost(one.get("relativeCost")),
            fields=_names(one),
            notes=tuple(_note(note) for note in objects(one.get("notes"))),
        )
        for one in objects(read_object(reply).get("plans"))
    )


def _cost(value: object) -> float:
    if isinstance(value, int | float) and not isinstance(value, bool):
        return float(value)
    raise UnreadableAnswer("a query plan has no cost")


def _names(source: JsonObject) -> tuple[str, ...]:
    found = source.get("fields")
    return tuple(str(name) for name in found) if isinstance(found, list) else ()


def _note(note: JsonObject) -> str:
    named = ", ".join(_names(note))
    return f"{text(note, 'description')} ({named})" if named else text(note, "description")

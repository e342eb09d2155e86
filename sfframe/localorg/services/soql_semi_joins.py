"""What a semi-join may be (rest.md 13.3). The texts are remembered, not recorded."""

from __future__ import annotations

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.soql_names import Column, Names
from sfframe.localorg.services.soql_values import ID_TYPES
from sfframe.soql import Membership, Path, Query, Selected, Source

MAX_SEMI_JOINS = 2
_EXCLUDED = frozenset({"activityhistory", "attachment", "event", "eventattendee", "note", "openactivity", "task"})


def check_place(outer: Names, inner: Query, *, count: int, is_nested: bool) -> None:
    """Refuse a third semi-join and one inside of another."""
    if is_nested:
        raise _malformed(outer, inner.source.at, "Nesting of semi join sub-selects is not supported")
    if count > MAX_SEMI_JOINS:
        problem = f"Maximum {MAX_SEMI_JOINS} semi join sub-selects are allowed."
        raise _malformed(outer, inner.source.at, problem)


def check_left(outer: Names, left: Column, condition: Membership) -> None:
    """Refuse a left side that is no id, or that is reached by dots."""
    if left.parents or left.field.type not in ID_TYPES:
        problem = (
            "The left operand field in the where expression for outer query should be an id field, cannot use: "
            f"'{left.name}'"
        )
        raise outer.refusal("INVALID_QUERY_FILTER_OPERATOR", condition.at, problem)


def selected_path(outer: Names, inner: Query) -> Path:
    """The only field that the sub-select selects; refuses the clauses that it may not have."""
    if inner.order_by or inner.limit is not None or inner.offset is not None:
        problem = "Semi join sub-selects can not have ORDER BY, LIMIT or OFFSET"
        raise _malformed(outer, inner.source.at, problem)
    if inner.count_only or inner.group_by or inner.having or inner.for_clauses:
        problem = "Semi join sub-selects can not have COUNT, GROUP BY or FOR"
        raise _malformed(outer, inner.source.at, problem)
    item = inner.select[0] if len(inner.select) == 1 else None
    if not isinstance(item, Selected) or not isinstance(item.expr, Path):
        raise _malformed(outer, inner.source.at, "Semi join sub-selects must select exactly one field")
    return item.expr


def check_objects(outer: Names, left: Column, names: Names, column: Column, *, source: Source) -> None:
    """Refuse objects that cannot be inside, and a selected field that does not fit to the left side."""
    if names.obj.name.casefold() in _EXCLUDED:
        problem = f"Entity '{names.obj.name}' is not supported for semi join inner selects"
        raise outer.refusal("INVALID_TYPE_FOR_OPERATION", source.at, problem)
    if names.obj is outer.obj:
        problem = "The inner and outer selects should not be on the same object type"
        raise outer.refusal("INVALID_FIELD", source.at, problem)
    if column.field.type not in ID_TYPES or column.parents:
        raise _malformed(outer, source.at, "Semi join sub-selects must select an id or a reference without dots")
    if not _targets(outer.obj, left) & _targets(names.obj, column):
        problem = (
            f"The selected field '{column.field.name}' in the subquery and the left operand field in the where "
            f"expression in the outer query '{left.field.name}' should point to the same object type"
        )
        raise _malformed(outer, source.at, problem)


def _targets(obj: ObjectDef, column: Column) -> set[str]:
    """The objects that the column's ids are of."""
    return {one.casefold() for one in column.field.reference_to} or {obj.name.casefold()}


def _malformed(names: Names, at: int, problem: str) -> ServiceError:
    return names.refusal("MALFORMED_QUERY", at, problem)

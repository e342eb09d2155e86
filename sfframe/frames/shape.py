"""A parsed query and the describe -> the columns of its answer, with their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.codec.types import COMPOUNDS, rule_for
from sfframe.errors import NotFound, UsageError
from sfframe.schema.sobject import Field, SObject
from sfframe.soql import Call, FieldsOf, Path, Query, Selected

Describe = Callable[[str], SObject]

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX", "GROUPING"})
WORKED_OUT = {  # functions whose answer has a type of its own (rest.md 13.5)
    "COUNT": "int",
    "COUNT_DISTINCT": "int",
    "GROUPING": "int",
    "SUM": "double",
    "AVG": "double",
    "DISTANCE": "double",
    "DAY_ONLY": "date",
    "TOLABEL": "string",
    "FORMAT": "string",
    **dict.fromkeys(
        (
            "CALENDAR_MONTH", "CALENDAR_QUARTER", "CALENDAR_YEAR", "DAY_IN_MONTH", "DAY_IN_WEEK", "DAY_IN_YEAR",
            "FISCAL_MONTH", "FISCAL_QUARTER", "FISCAL_YEAR", "HOUR_IN_DAY", "WEEK_IN_MONTH", "WEEK_IN_YEAR",
        ),
        "int",
    ),
}  # fmt: skip
OF_ITS_FIELD = frozenset({"MIN", "MAX", "CONVERTCURRENCY", "CONVERTTIMEZONE"})
NAMED_BY_FIELD = frozenset({"TOLABEL", "FORMAT", "CONVERTCURRENCY"})  # without an alias the key is the field's name


def shape(query: Query, sobject: SObject, describe: Describe) -> Shape:
    """The columns that ``query`` answers, in SELECT order, under the fields' own names (``Account.Name``).

    ``sobject`` is the object of the query; ``describe`` is asked for parents. Functions without an alias are called
    ``expr0``, ``expr1`` and so on, as the org does. A base64 field is text, because a query answers where the bytes can
    be had, not the bytes. Raises ``UsageError`` for names that the describe does not have, and for child sub-queries
    and TYPEOF, whose answers are no columns.
    """
    if query.count_only:
        return Shape((ShapeColumn("count", ("count",), "int", pl.Int64()),), count_only=True)
    reader = _Reader(query, sobject, describe)
    for item in query.select:
        reader.add(item)
    names = [column.name for column in reader.columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"{twice} is selected twice", where="SELECT", remedy="Leave one of them out.")
    return Shape(tuple(reader.columns))


class _Reader:
    def __init__(self, query: Query, sobject: SObject, describe: Describe) -> None:
        self.columns: list[ShapeColumn] = []
        self._sobject = sobject
        self._describe = describe
        self._grouped = query.group_by is not None or any(
            isinstance(item, Selected) and isinstance(item.expr, Call) and item.expr.name.upper() in AGGREGATES
            for item in query.select
        )
        self._unnamed = 0
        self._starts: dict[str, tuple[str, ...]] = {}
        for source in (query.source, *query.related):
            path = tuple(source.name.split(".")) if source is not query.source else (source.name,)
            start = self._starts.get(path[0].casefold(), path[:1])
            whole = () if source is query.source else (*start, *path[1:])
            for name in (source.alias, source.name if source is query.source else None):
                if name is not None:
                    self._starts[name.casefold()] = whole

    def add(self, item: object) -> None:
        """One member of the select list."""
        match item:
            case Selected(expr=Path() as path, alias=alias):
                parts, field = self._field(path.parts)
                keys = (alias or parts[-1],) if self._grouped else parts
                self._append(alias or ".".join(parts), keys, field.type, field)
            case Selected(expr=Call() as call, alias=alias):
                self._function(call, alias)
            case FieldsOf(group=group):
                for field in self._sobject:
                    if group == "ALL" or field.custom == (group == "CUSTOM"):
                        self._append(field.name, (field.name,), field.type, field)
            case _:
                raise UsageError(
                    "child sub-queries and TYPEOF do not answer columns",
                    where="SELECT",
                    remedy="Query the other object by itself, and join the two frames.",
                )

    def _append(self, name: str, keys: tuple[str, ...], field_type: str, field: Field | None = None) -> None:
        rule = rule_for(field_type)
        text = rule.kind == "binary"
        dtype = COMPOUNDS.get(field_type) or (pl.String() if text else rule.dtype)
        self.columns.append(ShapeColumn(name, keys, field_type, dtype, field))

    def _function(self, call: Call, alias: str | None) -> None:
        function = call.name.upper()
        inner = call.args[0] if call.args else None
        while isinstance(inner, Call):
            inner = inner.args[0] if inner.args else None
        parts, field = self._field(inner.parts) if isinstance(inner, Path) else ((), None)
        field_type = WORKED_OUT.get(function)
        if function in OF_ITS_FIELD and field is not None:
            field_type = field.type
        if field_type is None:
            raise UsageError(
                f"{call.name} is no function whose answer has a known type",
                where="SELECT",
                remedy="Query the field itself, or check the function's name.",
            )
        if alias is None and function in NAMED_BY_FIELD and parts:
            self._append(".".join(parts), parts[-1:] if self._grouped else parts, field_type)
            return
        if alias is None:
            alias = f"expr{self._unnamed}"
            self._unnamed += 1
        self._append(alias, (alias,), field_type)

    def _field(self, typed: Sequence[str]) -> tuple[tuple[str, ...], Field]:
        """A path as typed -> its parts in the describe's spelling, and the field at its end."""
        parts = tuple(typed)
        if len(parts) > 1 and parts[0].casefold() in self._starts:
            parts = (*self._starts[parts[0].casefold()], *parts[1:])
        names: list[str] = []
        objects: Iterator[SObject] = iter((self._sobject,))
        described = self._sobject.name
        for part in parts[:-1]:
            reference = next((found for one in objects if (found := one.relationship(part))), None)
            if reference is None:
                raise UsageError(
                    f"{described} has no parent called {part!r}", where=".".join(typed), remedy=self._near(part)
                )
            names.append(reference.relationship_name or part)
            described = " or ".join(reference.reference_to)
            objects = self._parents(reference)
        field = next((found for one in objects if (found := one.field(parts[-1]))), None)
        if field is None:
            raise UsageError(
                f"{described} has no field {parts[-1]!r} that this user can see",
                where=".".join(typed),
                remedy=self._near(parts[-1]) if len(parts) == 1 else "Check the name and the user's permissions.",
            )
        return (*names, field.name), field

    def _parents(self, reference: Field) -> Iterator[SObject]:
        """The objects that a reference can mean, one after the other: a name is looked up in the first that has it."""
        for name in reference.reference_to:
            try:
                yield self._describe(name)
            except NotFound:
                continue

    def _near(self, name: str) -> str:
        near = self._sobject.near(name)
        return f"Near: {', '.join(near)}." if near else "Check the name and the user's permissions."

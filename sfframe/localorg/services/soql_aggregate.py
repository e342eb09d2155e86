"""Aggregates, GROUP BY and HAVING as SQL (rest.md 13.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services.soql_functions import NAMED_LIKE_THEIR_FIELD, column_of, formatted
from sfframe.localorg.services.soql_names import Column, Names
from sfframe.localorg.services.soql_shape import Shape
from sfframe.localorg.services.soql_values import NUMBER_TYPES
from sfframe.localorg.services.soql_where import Where, order_key
from sfframe.localorg.store.store import COMPOUND_TYPES
from sfframe.soql import Call, Path, Query, Selected, Value, expression_text

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "MIN", "MAX", "SUM", "AVG"})
_WITHOUT_EXTREMES = frozenset({"boolean", "time", "multipicklist", "base64", *COMPOUND_TYPES})


@dataclass(frozen=True, slots=True)
class Aggregate:
    """What an aggregate query adds: its record, its columns, what follows WHERE, and its ORDER BY."""

    shape: Shape
    outputs: list[Column]
    tail_sql: str
    order_sql: str


def is_aggregate(query: Query) -> bool:
    """Does the query group, or select an aggregate other than a lone ``COUNT()``?"""
    selected = (item.expr for item in query.select if isinstance(item, Selected))
    return query.group_by is not None or any(_contains_aggregate(one) for one in selected)


def compile_aggregate(names: Names, query: Query) -> Aggregate:
    """The parts of an aggregate query."""
    if query.group_by is None and query.limit is not None:
        problem = "Non-grouped query that uses overall aggregate functions cannot also use LIMIT"
        raise names.refusal("MALFORMED_QUERY", query.source.at, problem)
    grouped = _Grouped(names, query)
    shape = Shape(names, "AggregateResult", None)
    outputs: list[Column] = []
    for item in query.select:
        if not isinstance(item, Selected):
            problem = "only fields and functions can be selected in an aggregate query"
            raise names.refusal("MALFORMED_QUERY", query.source.at, problem)
        column = grouped.column(item.expr)
        name = item.alias or (column.field.name if _keeps_its_name(item.expr) else f"expr{grouped.unnamed()}")
        if any(one.name.casefold() == name.casefold() for one in shape.record.items):
            raise names.refusal("MALFORMED_QUERY", item.expr.at, f"duplicate alias: {name}")
        grouped.aliases[name.casefold()] = column
        shape.add_flat(name, column)
        outputs.append(column)
    tail = grouped.group_sql()
    if query.having is not None:
        tail += f" HAVING {Where(names, None, grouped.column).sql(query.having)}"
    return Aggregate(shape, outputs, tail, grouped.order_sql())


class _Grouped:
    """The columns that may stand beside a GROUP BY: grouped ones and aggregates."""

    def __init__(self, names: Names, query: Query) -> None:
        self.names = names
        self.query = query
        self.aliases: dict[str, Column] = {}
        self._unnamed = -1
        self._groups = [self._group(one) for one in query.group_by.exprs] if query.group_by else []

    def unnamed(self) -> int:
        """The next N of exprN, which counts only functions without alias."""
        self._unnamed += 1
        return self._unnamed

    def _group(self, expr: Path | Call) -> Column:
        column = column_of(self.names, expr)
        if not column.field.groupable or column.field.type in COMPOUND_TYPES:
            problem = f"field '{column.field.name}' can not be grouped in a query call"
            raise self.names.refusal("INVALID_FIELD", expr.at, problem)
        if column.field.type == "boolean":
            return Column(f"coalesce({column.sql}, false)", column.field, column.parents, column.alias)
        return column

    def column(self, expr: Path | Call) -> Column:
        """An aggregate, a grouped column, or a selected one by its alias."""
        if isinstance(expr, Call):
            if _is_aggregate_call(expr):
                return self._aggregate(expr)
            if expr.name.upper() == "FORMAT" and len(expr.args) == 1 and isinstance(expr.args[0], Call):
                return formatted(self.names, self.column(expr.args[0]))
            if expr.name.upper() == "GROUPING" and len(expr.args) == 1 and isinstance(expr.args[0], Path):
                inner = self.column(expr.args[0])
                return Column(f"grouping({inner.sql})", _made(expr, "int"))
        elif len(expr.parts) == 1 and expr.text.casefold() in self.aliases:
            return self.aliases[expr.text.casefold()]
        column = column_of(self.names, expr)
        for one in self._groups:
            if (one.name, one.field) == (column.name, column.field):
                return one
        problem = f"Field must be grouped or aggregated: {column.name}"
        raise self.names.refusal("MALFORMED_QUERY", expr.at, problem)

    def _aggregate(self, call: Call) -> Column:
        name = call.name.upper()
        arg = call.args[0] if len(call.args) == 1 else None
        if not isinstance(arg, Path | Call):
            raise self.names.refusal("MALFORMED_QUERY", call.at, f"{call.name} takes one field")
        column = column_of(self.names, arg)
        kind = column.field.type
        numeric = kind in NUMBER_TYPES
        fits = numeric if name in {"SUM", "AVG"} else kind not in _WITHOUT_EXTREMES
        if not fits or not column.field.aggregatable:
            problem = f"field {column.field.name} does not support aggregate operator {name}"
            raise self.names.refusal("MALFORMED_QUERY", call.at, problem)
        if name == "COUNT":
            return Column(f"count({column.sql})", _made(call, "int"))
        if name == "COUNT_DISTINCT":
            return Column(f"count(DISTINCT {column.sql})", _made(call, "int"))
        if name in {"SUM", "AVG"}:
            whole = name == "SUM" and kind in {"int", "long"}
            return Column(f"{name.lower()}({column.sql})", _made(call, kind if whole else "double"))
        keys = order_key(column)
        if keys == [column.sql]:
            return Column(f"{name.lower()}({column.sql})", _made(call, kind))
        extreme = "arg_min" if name == "MIN" else "arg_max"
        sql = f"{extreme}({column.sql}, row({', '.join(keys)})) FILTER (WHERE {column.sql} IS NOT NULL)"
        return Column(sql, _made(call, kind))

    def group_sql(self) -> str:
        """The GROUP BY clause."""
        if self.query.group_by is None:
            return ""
        listed = ", ".join(one.sql for one in self._groups)
        kind = self.query.group_by.kind
        return f" GROUP BY {kind}({listed})" if kind else f" GROUP BY {listed}"

    def order_sql(self) -> str:
        """ORDER BY as the query says; groups in the order of their keys where it says nothing."""
        keys = []
        for one in self.query.order_by:
            direction = "DESC" if one.descending else "ASC"
            keys += [
                f"{key} {direction} NULLS {one.nulls or 'FIRST'}" for key in self._sort_keys(self.column(one.expr))
            ]
        keys += [f"{one.sql} NULLS FIRST" for one in self._groups]
        return f" ORDER BY {', '.join(keys)}" if keys else ""

    def _sort_keys(self, column: Column) -> list[str]:
        return order_key(column) if column in self._groups else [column.sql]


def _is_aggregate_call(expr: Path | Call | Value) -> bool:
    return isinstance(expr, Call) and expr.name.upper() in AGGREGATES


def _contains_aggregate(expr: Path | Call | Value) -> bool:
    """An aggregate, or one inside of FORMAT()."""
    return isinstance(expr, Call) and (_is_aggregate_call(expr) or any(_contains_aggregate(one) for one in expr.args))


def _keeps_its_name(expr: Path | Call) -> bool:
    """Is the value called like its field where it has no alias?"""
    while isinstance(expr, Call) and expr.name.upper() in NAMED_LIKE_THEIR_FIELD and isinstance(expr.args[0], Call):
        expr = expr.args[0]
    return isinstance(expr, Path) or expr.name.upper() in NAMED_LIKE_THEIR_FIELD


def _made(call: Call, kind: str) -> FieldDef:
    # The name is what columns=true shows: avg(Amount) (rest.md 5).
    return FieldDef(name=expression_text(replace(call, name=call.name.lower())), label=call.name, type=kind)

"""SOQL's functions of one field as columns (rest.md 13.5)."""

from __future__ import annotations

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services.soql_names import Column, Names
from sfframe.localorg.services.soql_values import DAY_TYPES, quoted_text
from sfframe.soql import Call, Path, expression_text

# The org's fiscal year begins in January, and its time zone is UTC. DuckDB counts weekdays from Sunday = 0.
_DATE_FUNCTIONS = {
    "CALENDAR_YEAR": "year({0})",
    "CALENDAR_QUARTER": "quarter({0})",
    "CALENDAR_MONTH": "month({0})",
    "FISCAL_YEAR": "year({0})",
    "FISCAL_QUARTER": "quarter({0})",
    "FISCAL_MONTH": "month({0})",
    "DAY_IN_MONTH": "day({0})",
    "DAY_IN_WEEK": "(dayofweek({0}) + 1)",
    "DAY_IN_YEAR": "dayofyear({0})",
    "WEEK_IN_MONTH": "((day({0}) - 1) // 7 + 1)",
    "WEEK_IN_YEAR": "((dayofyear({0}) - 1) // 7 + 1)",
    "HOUR_IN_DAY": "hour({0})",
    "DAY_ONLY": "CAST({0} AS DATE)",
}
_ONLY_DATETIME = frozenset({"HOUR_IN_DAY", "DAY_ONLY"})


def column_of(names: Names, expr: Path | Call) -> Column:
    """The column that a field path or a function of one field stands for."""
    return names.column(expr) if isinstance(expr, Path) else function(names, expr)


def function(names: Names, call: Call) -> Column:
    """A date function or ``toLabel``; others are refused."""
    name = call.name.upper()
    arg = call.args[0] if len(call.args) == 1 else None
    if name == "TOLABEL" and isinstance(arg, Path):
        return _label(names.column(arg))
    template = _DATE_FUNCTIONS.get(name)
    if template is None:
        raise names.refusal("MALFORMED_QUERY", call.at, f"The embedded org does not know the function {call.name} yet")
    if isinstance(arg, Call) and arg.name.upper() == "CONVERTTIMEZONE" and len(arg.args) == 1:
        arg = arg.args[0] if isinstance(arg.args[0], Path) else None  # the user's time zone is UTC
    if not isinstance(arg, Path):
        raise names.refusal("MALFORMED_QUERY", call.at, f"{call.name} takes one field")
    column = names.column(arg)
    allowed = frozenset({"datetime"}) if name in _ONLY_DATETIME else DAY_TYPES
    if column.field.type not in allowed:
        problem = f"{call.name} can not be used with field '{column.field.name}' of type {column.field.type}"
        raise names.refusal("INVALID_FIELD", call.at, problem)
    kind = "date" if name == "DAY_ONLY" else "int"
    made = FieldDef(name=expression_text(call), label=call.name, type=kind)
    return Column(template.format(column.sql), made)


def _label(column: Column) -> Column:
    """The column with its picklist values replaced by their labels."""
    different = [entry for entry in column.field.picklist if entry.label != entry.value]
    if not different:
        return column
    cases = " ".join(f"WHEN {quoted_text(one.value)} THEN {quoted_text(one.label)}" for one in different)
    sql = f"CASE {column.sql} {cases} ELSE {column.sql} END"
    made = FieldDef(name=column.field.name, label=column.field.label, type="string", length=column.field.length)
    return Column(sql, made, column.parents, column.alias)

"""SOQL's functions of fields as columns (rest.md 13.5)."""

from __future__ import annotations

from dataclasses import replace

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services.soql_format import formatted_sql
from sfframe.localorg.services.soql_names import Column, Names
from sfframe.localorg.services.soql_shape import components
from sfframe.localorg.services.soql_values import DAY_TYPES, quoted_text
from sfframe.localorg.store.store import COMPOUND_TYPES, quoted
from sfframe.soql import Call, Path, Value, expression_text

# Of datetimes in UTC, unless convertTimezone() says else. DuckDB counts weekdays from Sunday = 0.
_DATE_FUNCTIONS = {
    "CALENDAR_YEAR": "year({0})",
    "CALENDAR_QUARTER": "quarter({0})",
    "CALENDAR_MONTH": "month({0})",
    "DAY_IN_MONTH": "day({0})",
    "DAY_IN_WEEK": "(dayofweek({0}) + 1)",
    "DAY_IN_YEAR": "dayofyear({0})",
    "WEEK_IN_MONTH": "((day({0}) - 1) // 7 + 1)",
    "WEEK_IN_YEAR": "((dayofyear({0}) - 1) // 7 + 1)",
    "HOUR_IN_DAY": "hour({0})",
    "DAY_ONLY": "CAST({0} AS DATE)",
    # A fiscal year that begins in {1} bears the number of the year in which it ends.
    "FISCAL_YEAR": "(year({0}) + CAST({1} > 1 AND month({0}) >= {1} AS BIGINT))",
    "FISCAL_QUARTER": "((month({0}) - {1} + 12) % 12 // 3 + 1)",
    "FISCAL_MONTH": "((month({0}) - {1} + 12) % 12 + 1)",
}
_ONLY_DATETIME = frozenset({"HOUR_IN_DAY", "DAY_ONLY"})
_EARTH_RADII = {"mi": 3958.7613, "km": 6371.0088}
_BOUNDS = (90.0, 180.0)  # of latitude and longitude

# Functions whose value is called like their field where it has no alias.
NAMED_LIKE_THEIR_FIELD = frozenset({"TOLABEL", "FORMAT", "CONVERTCURRENCY"})
DATE_FUNCTIONS = frozenset(_DATE_FUNCTIONS)


def column_of(names: Names, expr: Path | Call) -> Column:
    """The column that a field path or a function of one field stands for."""
    return names.column(expr) if isinstance(expr, Path) else function(names, expr)


def function(names: Names, call: Call) -> Column:
    """The column that a function makes; functions that SOQL does not have are refused."""
    name = call.name.upper()
    if name in _DATE_FUNCTIONS:
        return _date_part(names, call)
    if name == "DISTANCE":
        return _distance(names, call)
    arg = call.args[0] if len(call.args) == 1 else None
    if name == "TOLABEL" and isinstance(arg, Path):
        return _label(names.column(arg))
    if name == "CONVERTCURRENCY" and isinstance(arg, Path):
        column = names.column(arg)
        if column.field.type != "currency":
            problem = f"convertCurrency can only be used with currency fields, and '{column.field.name}' is none"
            raise names.refusal("MALFORMED_QUERY", call.at, problem)
        return column  # this org has one currency
    if name == "FORMAT" and isinstance(arg, Path | Call):
        return formatted(names, column_of(names, arg))
    raise names.refusal("MALFORMED_QUERY", call.at, f"unexpected token: '{call.name}'")


def formatted(names: Names, column: Column) -> Column:
    """The column as text in the form that the user's locale asks for."""
    sql = formatted_sql(column, names.clock)
    if sql is None:
        return column
    made = FieldDef(name=column.field.name, label=column.field.label, type="string", sortable=False, filterable=False)
    return replace(column, sql=sql, field=made)


def _date_part(names: Names, call: Call) -> Column:
    name = call.name.upper()
    arg = call.args[0] if len(call.args) == 1 else None
    local = isinstance(arg, Call) and arg.name.upper() == "CONVERTTIMEZONE" and len(arg.args) == 1
    if local:
        arg = arg.args[0]  # type: ignore[union-attr]  # it is a call, as was just asked
    if not isinstance(arg, Path):
        raise names.refusal("MALFORMED_QUERY", call.at, f"{call.name} takes one field")
    column = names.column(arg)
    allowed = frozenset({"datetime"}) if name in _ONLY_DATETIME or local else DAY_TYPES
    if column.field.type not in allowed:
        problem = f"{call.name} can not be used with field '{column.field.name}' of type {column.field.type}"
        raise names.refusal("INVALID_FIELD", call.at, problem)
    sql = names.clock.local_sql(column.sql) if local else column.sql
    kind = "date" if name == "DAY_ONLY" else "int"
    made = FieldDef(name=expression_text(call), label=call.name, type=kind)
    return Column(_DATE_FUNCTIONS[name].format(sql, names.clock.fiscal_start), made)


def _label(column: Column) -> Column:
    """The column with its picklist values replaced by their labels."""
    different = [entry for entry in column.field.picklist if entry.label != entry.value]
    if not different:
        return column
    cases = " ".join(f"WHEN {quoted_text(one.value)} THEN {quoted_text(one.label)}" for one in different)
    sql = f"CASE {column.sql} {cases} ELSE {column.sql} END"
    made = FieldDef(name=column.field.name, label=column.field.label, type="string", length=column.field.length)
    return Column(sql, made, column.parents, column.alias)


def _distance(names: Names, call: Call) -> Column:
    """DISTANCE(field, GEOLOCATION(latitude, longitude), 'mi' or 'km') on a sphere."""
    unit = call.args[2] if len(call.args) == 3 else None
    radius = _EARTH_RADII.get(unit.text.lower()) if isinstance(unit, Value) and unit.kind == "string" else None
    if radius is None:
        problem = "DISTANCE takes a location, a GEOLOCATION and the unit 'mi' or 'km'"
        raise names.refusal("MALFORMED_QUERY", call.at, problem)
    if not isinstance(call.args[0], Path):
        raise names.refusal("MALFORMED_QUERY", call.at, "DISTANCE begins with a location field")
    (latitude, longitude), (to_latitude, to_longitude) = (_location(names, call, one) for one in call.args[:2])
    half_way = (
        f"power(sin(radians(({to_latitude}) - ({latitude})) / 2), 2) + cos(radians({latitude})) * "
        f"cos(radians({to_latitude})) * power(sin(radians(({to_longitude}) - ({longitude})) / 2), 2)"
    )
    made = FieldDef(name=expression_text(call), label=call.name, type="double", aggregatable=False, groupable=False)
    return Column(f"(2 * {radius} * atan2(sqrt({half_way}), sqrt(abs(1 - ({half_way})))))", made)


def _location(names: Names, call: Call, arg: Path | Call | Value) -> tuple[str, str]:
    """The SQL of a latitude and of a longitude."""
    if isinstance(arg, Path):
        column = names.column(arg)
        if column.field.type in COMPOUND_TYPES:
            obj = column.parents[-1].obj if column.parents else names.obj
            parts = {one.name.removesuffix("__s").casefold(): one for one in components(obj, column.field)}
            found = [
                f"{column.alias}.{quoted(one.name)}"
                for word in ("latitude", "longitude")
                for name, one in parts.items()
                if name.endswith(word)
            ]
            if len(found) == 2:
                return found[0], found[1]
        raise names.refusal("INVALID_FIELD", arg.at, f"field '{column.field.name}' is not a location")
    if isinstance(arg, Call) and arg.name.upper() == "GEOLOCATION" and len(arg.args) == 2:
        numbers = [float(one.text) for one in arg.args if isinstance(one, Value) and one.kind == "number"]
        inside = [abs(number) <= bound for number, bound in zip(numbers, _BOUNDS, strict=False)]
        if inside == [True, True]:
            return repr(numbers[0]), repr(numbers[1])
        problem = "GEOLOCATION takes a latitude from -90 to 90 and a longitude from -180 to 180"
        raise names.refusal("MALFORMED_QUERY", arg.at, problem)
    raise names.refusal("MALFORMED_QUERY", call.at, "DISTANCE takes a location and a GEOLOCATION")

"""Literals of a query as SQL, checked against the type of the field that they are compared with."""

from __future__ import annotations

import datetime as dt
import re

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.soql_names import Column, Names
from sfframe.localorg.store.record_ids import id18
from sfframe.soql import Value

ID_TYPES = frozenset({"id", "reference"})
NUMBER_TYPES = frozenset({"int", "long", "double", "currency", "percent"})
DAY_TYPES = frozenset({"date", "datetime"})

_LIKE_AN_ID = re.compile(r"[0-9A-Za-z]{18}")
_YEARS = (1700, 4000)  # rest.md 13.2

# What the service calls a type that a literal does not fit (rest.md 12).
_WORDS = {"datetime": "dateTime", "int": "int", "long": "long", "currency": "double", "percent": "double"}
_PLAIN_TYPES = frozenset({"boolean", "date", "time", *_WORDS, "double"})


def quoted_text(text: str) -> str:
    """``text`` as an SQL string."""
    return "'" + text.replace("'", "''").replace("\0", "") + "'"


def is_null(value: Value) -> bool:
    """Null itself, and the empty string, which acts as null (rest.md 13.3)."""
    return value.kind == "null" or (value.kind == "string" and not value.text)


def folds_case(column: Column) -> bool:
    """Is the column's text compared without case? All but unique case-sensitive fields are (rest.md 13.3)."""
    return not (column.field.unique and column.field.case_sensitive)


def folded(column: Column, sql: str) -> str:
    """``sql`` in the form in which the column's text is compared."""
    return f"upper({sql})" if folds_case(column) else sql


def wrong_type(names: Names, column: Column, at: int) -> ServiceError:
    """The refusal of a literal of another type than the field's."""
    kind = column.field.type
    if kind in _PLAIN_TYPES:
        rule = f"{_WORDS.get(kind, kind)} and should not be enclosed in quotes"
    else:
        rule = f"{'ID' if kind in ID_TYPES else 'string'} and should be enclosed in quotes"
    problem = f"value of filter criterion for field '{column.field.name}' must be of type {rule}"
    return names.refusal("INVALID_FIELD", at, problem)


def literal(names: Names, column: Column, value: Value, at: int) -> str:
    """The SQL of a literal that is neither null nor a date literal, in the form in which the column is compared."""
    if value.kind == "bind":
        raise names.refusal("MALFORMED_QUERY", value.at, "Bind variables only allowed in Apex code")
    kind = column.field.type
    if kind in NUMBER_TYPES and value.kind == "number":
        return _number(value.text)
    if kind == "boolean" and value.kind == "boolean":
        return value.text.lower()
    if kind in DAY_TYPES or kind == "time":
        if value.kind != kind:
            raise wrong_type(names, column, at)
        return _moment(names, value)
    if kind in NUMBER_TYPES or kind == "boolean" or value.kind != "string":
        raise wrong_type(names, column, at)
    if kind in ID_TYPES:
        complete = id18(value.text)
        if complete is None and not _LIKE_AN_ID.fullmatch(value.text):
            raise names.refusal("INVALID_QUERY_FILTER_OPERATOR", at, f"invalid ID field: {value.text}")
        # Recorded (restforce-db): 18 letters and digits with a wrong suffix find nothing, and are no error.
        return quoted_text(complete or value.text)
    return folded(column, quoted_text(value.text))


def _number(text: str) -> str:
    digits = text.removeprefix("+")
    return digits if digits.lstrip("-").isdigit() and len(digits) < 18 else f"CAST('{digits}' AS DOUBLE)"


def _moment(names: Names, value: Value) -> str:
    text = value.text.upper()
    try:
        if value.kind == "time":
            return f"TIME '{dt.time.fromisoformat(text.removesuffix('Z')).isoformat()}'"
        if value.kind == "date":
            day = dt.date.fromisoformat(text)
            _check_year(day.year)
            return f"DATE '{day.isoformat()}'"
        moment = dt.datetime.fromisoformat(text).astimezone(dt.UTC).replace(tzinfo=None)
        _check_year(moment.year)
    except (ValueError, OverflowError) as error:
        raise names.refusal("MALFORMED_QUERY", value.at, f"Invalid {value.kind}: {value.text}") from error
    return f"TIMESTAMP '{moment.isoformat(sep=' ')}'"


def _check_year(year: int) -> None:
    if not _YEARS[0] <= year <= _YEARS[1]:
        raise ValueError(f"{year} is not a year between {_YEARS[0]} and {_YEARS[1]}")

"""How a cell of text becomes a typed value, in SQL (bulk2.md 3.3, 3.4), and what is said when it cannot."""

from __future__ import annotations

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Staged

_BLANKS = r"E' \t\r\n'"  # what a save trims from both ends of a text

_XSD = {
    "boolean": "xsd:boolean",
    "int": "xsd:int",
    "long": "xsd:long",
    "double": "xsd:double",
    "currency": "xsd:double",
    "percent": "xsd:double",
    "date": "xsd:date",
    "datetime": "xsd:dateTime",
    "time": "xsd:time",
    "base64": "xsd:base64Binary",
}
_NUMBERS = ("double", "currency", "percent")
_SOUND_TYPES = {"boolean": "BOOLEAN", "int": "INTEGER", "long": "BIGINT", "date": "DATE"}
_REFERENCES = ("id", "reference")
# DuckDB's casts take more than Salesforce (1_000, inf, 2024-1-5, times without a zone), so the shape is checked first.
_INTEGER = r"[+-]?[0-9]+"
_DOUBLE = r"[+-]?([0-9]+([.][0-9]*)?|[.][0-9]+)([eE][+-]?[0-9]+)?"
_CLOCK = r"[0-9]{2}:[0-9]{2}:[0-9]{2}([.][0-9]+)?"
_DAY = r"[0-9]{4}-[0-9]{2}-[0-9]{2}"
_ZONE = r"(Z|[+-][0-9]{2}:?[0-9]{2})"
_DATE = rf"{_DAY}(Z|T{_CLOCK}{_ZONE}?)?"
_DATETIME = rf"{_DAY}T{_CLOCK}{_ZONE}"
_TIME = rf"{_CLOCK}Z?"


def is_text(field: FieldDef) -> bool:
    """Whether the field takes any text, so that no cell of it can fail to be read."""
    return field.type not in _XSD and field.type not in _REFERENCES


def is_number(field: FieldDef) -> bool:
    """Whether the field holds a number with decimals."""
    return field.type in _NUMBERS


def value(field: FieldDef, cell: str, null_mark: str, *, trimmed: bool = False) -> str:
    """SQL: the typed value of a cell; null for an empty cell, the null mark, and what cannot be read.

    Of ``trimmed`` cells, which are never empty, have no blanks at their ends and hold whole ids, the SQL is much
    shorter: that counts where it is planned anew for every few rows.
    """
    if field.type in _REFERENCES and not trimmed:
        return f"id18({cell})"  # null for what is no id
    if field.type not in _XSD:
        whole = f"lower({cell})" if field.type == "email" else cell  # rest.md 11
        if trimmed:
            return f"nullif({whole}, {literal(null_mark)})"
        return (
            f"CASE WHEN {cell} = {literal(null_mark)} THEN NULL "
            f"WHEN {_has_edges(cell)} THEN nullif(trim({whole}, {_BLANKS}), '') ELSE {whole} END"
        )
    read = _READERS[field.type]
    if trimmed:
        return read(field, cell)
    # XML schema collapses blanks around all that is not a string; with blanks nothing can be read at first.
    trimmed_value = read(field, f"trim({cell}, {_BLANKS})")
    return f"coalesce({read(field, cell)}, CASE WHEN {_has_edges(cell)} THEN {trimmed_value} END)"


def sound_value(field: FieldDef, cell: str, null_mark: str) -> str:
    """SQL: the value of a cell that is known to be one of the field's (few_rows.py), or the null mark."""
    if field.type not in _XSD:
        return value(field, cell, null_mark, trimmed=True)
    if field.type == "datetime":
        return _zoned(cell)
    if field.type in _NUMBERS:
        return f"TRY_CAST({cell} AS DECIMAL(18, {field.scale}))::DOUBLE"
    return f"TRY_CAST({cell} AS {_SOUND_TYPES[field.type]})"


def _has_edges(cell: str) -> str:
    """SQL: whether there is something to trim, or nothing at all; trimming every cell takes ten times as long."""
    return f"{cell} < '!' OR {cell}[-1] < '!'"  # an exclamation mark is what follows the blank


def clean_text(field: FieldDef, cell: str) -> str:
    """SQL: the value of a text cell that is known to have nothing to trim and not to be the null mark."""
    return f"nullif(lower({cell}), '')" if field.type == "email" else f"nullif({cell}, '')"


def clean_values(staged: Staged) -> dict[str, str]:
    """SQL by name: the values that ``saving_rows`` need not hold, because they follow from its cells."""
    return {f"v{one.position}": clean_text(one.field, one.cell) for one in staged.columns if one.cell in staged.clean}


def saving_rows(staged: Staged) -> str:
    """SQL: the table ``saving_rows`` with all its values: to store a text as cell and as value takes long."""
    values = [f"{value} AS {name}" for name, value in clean_values(staged).items()]
    return f"(SELECT *, {', '.join(values)} FROM saving_rows)" if values else "saving_rows"


def unclean(cell: str, null_mark: str) -> str:
    """SQL: whether a text cell is not one of those of ``clean_text``."""
    return f"{cell} = {literal(null_mark)} OR ({cell} <> '' AND ({_has_edges(cell)}))"


def _boolean(_field: FieldDef, text: str) -> str:
    return (
        f"CASE lower({text}) WHEN 'true' THEN true WHEN '1' THEN true WHEN 'false' THEN false WHEN '0' THEN false END"
    )


def _integer(field: FieldDef, text: str) -> str:
    kind = "BIGINT" if field.type == "long" else "INTEGER"
    return f"CASE WHEN regexp_full_match({text}, '{_INTEGER}') THEN TRY_CAST({text} AS {kind}) END"


def _double(field: FieldDef, text: str) -> str:
    number = f"TRY_CAST({text} AS DOUBLE)"
    if field.precision:
        # A decimal rounds half up from the text itself; a double has lost the half already (1.005 is 1.00499...).
        scale = min(field.scale, 18)
        number = f"coalesce(TRY_CAST({text} AS DECIMAL(18, {scale}))::DOUBLE, {number})"
    return f"CASE WHEN regexp_full_match({text}, '{_DOUBLE}') THEN {number} END"


def _date(_field: FieldDef, text: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '{_DATE}') THEN TRY_CAST(left({text}, 10) AS DATE) END"


def _datetime(_field: FieldDef, text: str) -> str:
    # A bare date is midnight (bulk2.md 3.4).
    return (
        f"CASE WHEN regexp_full_match({text}, '{_DATETIME}') THEN {_zoned(text)} "
        f"WHEN regexp_full_match({text}, '{_DAY}') THEN TRY_CAST({text} AS TIMESTAMP) END"
    )


def _zoned(text: str) -> str:
    """SQL: a datetime with its zone in UTC; milliseconds are cut, not rounded (bulk2.md 2.13)."""
    return f"make_timestamp_ms(CAST(floor(epoch_us(TRY_CAST({text} AS TIMESTAMPTZ)) / 1000) AS BIGINT))"


def _time(_field: FieldDef, text: str) -> str:
    return f"CASE WHEN regexp_full_match({text}, '{_TIME}') THEN TRY_CAST(left({text}, 12) AS TIME) END"


def _base64(_field: FieldDef, text: str) -> str:
    return f"TRY(from_base64({text}))"


_READERS = {
    "boolean": _boolean,
    "int": _integer,
    "long": _integer,
    "double": _double,
    "currency": _double,
    "percent": _double,
    "date": _date,
    "datetime": _datetime,
    "time": _time,
    "base64": _base64,
}


def unreadable(field: FieldDef, cell: str, typed: str, position: int, staged: Staged) -> str | None:
    """SQL: a WHEN ... THEN that names the cell as unreadable; None for a field that takes any text."""
    if field.type not in _XSD:
        return None
    condition = f"WHEN {cell} <> '' AND {cell} <> {literal(staged.null_mark)} AND {typed} IS NULL THEN "
    if staged.source == "json":
        return condition + problem("JSON_PARSER_ERROR", literal(field.name))
    message = (
        f"{literal(f'Failed to deserialize field at col {position}. Due to, ' + chr(39))} || {cell} || "
        f"{literal(f'{chr(39)} is not a valid value for the type {_XSD[field.type]}')}"
    )
    # The recorded text ends ":CloseDate --" behind the type: the field list of the common grammar (bulk2.md 6.3).
    return condition + problem("INVALID_FIELD", message, literal(field.name))


def echo(field: FieldDef, cell: str, typed: str, null_mark: str) -> str:
    """SQL: the text in which results give a cell back (bulk2.md 2.13): typed where it could be read, else raw.

    The null mark comes back empty (bulk2.md 10 leaves it open).
    """
    raw = f"coalesce({cell}, '')"
    if field.type in _NUMBERS:
        shown = f"CASE WHEN isfinite({typed}) THEN java_double({typed}) END"
    elif field.type in ("int", "long", "boolean", "date"):
        shown = f"CAST({typed} AS VARCHAR)"
    elif field.type == "datetime":
        shown = f"strftime({typed}, '%Y-%m-%dT%H:%M:%S.%gZ')"
    elif field.type == "time":
        shown = f"strftime(DATE '1970-01-01' + {typed}, '%H:%M:%S.%gZ')"
    else:
        return f"CASE WHEN {cell} = {literal(null_mark)} THEN '' ELSE {raw} END"
    return f"coalesce({shown}, CASE WHEN {cell} = {literal(null_mark)} THEN '' END, {raw})"

"""Problems of single rows: the code, the words and the fields of an error, carried through SQL as one text."""

from __future__ import annotations

from collections.abc import Iterable

SEPARATOR = chr(31)
_SEPARATOR = "chr(31)"


def literal(text: str) -> str:
    """``text`` as an SQL string."""
    return "'" + text.replace("'", "''") + "'"


def problem(code: str, message: str, fields: str = "''") -> str:
    """SQL: a problem. ``message`` and ``fields`` are SQL; fields are API names joined by a comma and a blank."""
    return f"{literal(code)} || {_SEPARATOR} || {message} || {_SEPARATOR} || {fields}"


def first_of(whens: Iterable[str | None]) -> str:
    """SQL: the first problem that applies, null where none does."""
    present = [when for when in whens if when]
    return f"CASE {' '.join(present)} END" if present else "CAST(NULL AS VARCHAR)"


def code(column: str) -> str:
    """SQL: the status code in a problem."""
    return f"split_part({column}, {_SEPARATOR}, 1)"


def message(column: str) -> str:
    """SQL: the words of a problem."""
    return f"split_part({column}, {_SEPARATOR}, 2)"


def fields(column: str) -> str:
    """SQL: the field names of a problem."""
    return f"split_part({column}, {_SEPARATOR}, 3)"


def bulk_text(column: str, between: str = ", ") -> str:
    """SQL: a problem in the grammar of result files, ``CODE:message:Field, Field --`` (bulk2.md 6.3).

    ``between`` stands between two field names; Bulk API 1.0 has one blank there (bulk1.md 3.5).
    """
    names = fields(column)
    if between != ", ":
        names = f"replace({names}, ', ', {literal(between)})"
    tail = f"CASE WHEN {names} = '' THEN '--' ELSE {names} || ' --' END"
    return f"{code(column)} || ':' || {message(column)} || ':' || {tail}"

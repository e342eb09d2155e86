"""Transformation specs: CSV batches whose columns have names and formats of their own (bulk1.md 5.1)."""

from __future__ import annotations

import csv
import re
from collections.abc import Sequence
from dataclasses import dataclass

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.bulk1_errors import BatchFault, Bulk1Error
from sfframe.localorg.services.problems import literal

MOST_CHARACTERS = 8_192  # fewer than that
_COLUMNS = ["Salesforce Field", "Csv Header", "Value", "Hint"]
# Java's letters of dates as DuckDB's; longer ones come first.
_DATE_LETTERS = {
    **dict.fromkeys(("MM", "M"), "%m"),
    **dict.fromkeys(("dd", "d"), "%d"),
    **dict.fromkeys(("HH", "H"), "%H"),
    **dict.fromkeys(("hh", "h"), "%I"),
    "yyyy": "%Y",
    "yy": "%y",
    "MMMM": "%B",
    "MMM": "%b",
    "mm": "%M",
    "ss": "%S",
    "SSS": "%g",
    "a": "%p",
}
_DATE_LETTER = re.compile("|".join(sorted(_DATE_LETTERS, key=len, reverse=True)))


@dataclass(frozen=True, slots=True)
class _Line:
    field: str
    header: str
    value: str
    hint: str


@dataclass(frozen=True, slots=True)
class Mapped:
    """The columns that a spec makes: their names, and what stands behind FROM with record, fault, c0, c1, ..."""

    names: tuple[str, ...]
    relation: str


def check(text: str) -> None:
    """Refuse a spec that cannot be used; the codes and words are guesses."""
    if len(text) >= MOST_CHARACTERS:
        raise Bulk1Error("ClientInputError", f"The spec has to have fewer than {MOST_CHARACTERS} characters")
    if not _lines(text):
        raise Bulk1Error("InvalidJob", f"A spec has the columns {','.join(_COLUMNS)} and a line for each field")


def _lines(text: str) -> list[_Line]:
    rows = list(csv.reader(text.splitlines()))
    if not rows or [cell.strip().casefold() for cell in rows[0]] != [name.casefold() for name in _COLUMNS]:
        return []
    padded = ([*row, "", "", ""][:4] for row in rows[1:] if any(row))
    return [_Line(*(cell.strip() for cell in row)) for row in padded]


def apply(spec: str, names: Sequence[str], relation: str, obj: ObjectDef) -> Mapped:
    """The fields that the spec makes of the columns ``names``; those that it does not mention are dropped."""
    columns: dict[str, str] = {}
    for line in _lines(spec):
        if line.header and line.header not in names:
            raise BatchFault(f"InvalidBatch : Field name not found : {line.header}")
        cell = f"c{names.index(line.header)}" if line.header else literal(line.value)
        if line.header and line.value:
            cell = f"CASE WHEN coalesce({cell}, '') = '' THEN {literal(line.value)} ELSE {cell} END"
        field = obj.field(line.field)
        if field is not None and field.name == "Name" and not field.createable and obj.field("LastName"):
            columns |= _person(cell)
        else:
            columns[line.field] = _read(cell, line.hint, field.type if field else "")
    made = ", ".join(f"{sql} AS c{at}" for at, sql in enumerate(columns.values()))
    return Mapped(tuple(columns), f"(SELECT record, fault, {made} FROM {relation})")


def _person(cell: str) -> dict[str, str]:
    """``Cat, Tom`` and ``Tom Cat`` are one name."""
    turned = f"contains({cell}, ',')"
    first = f"CASE WHEN {turned} THEN trim(split_part({cell}, ',', 2)) ELSE regexp_extract({cell}, '^(.*) ', 1) END"
    last = f"CASE WHEN {turned} THEN trim(split_part({cell}, ',', 1)) ELSE regexp_extract({cell}, '([^ ]*)$', 1) END"
    return {"FirstName": first, "LastName": last}


def _read(cell: str, hint: str, kind: str) -> str:
    """A cell in the spelling that every batch has; what the hint does not fit stays as it is."""
    if not hint:
        return cell
    if kind == "boolean":
        read = f"CAST(regexp_full_match({cell}, {literal(hint)}) AS VARCHAR)"
        return f"CASE WHEN {cell} <> '' THEN {read} ELSE {cell} END"
    shown = {"date": "%Y-%m-%d", "datetime": "%Y-%m-%dT%H:%M:%S.%gZ", "time": "%H:%M:%S.%gZ"}.get(kind)
    if shown is None:
        return cell
    pattern = _DATE_LETTER.sub(lambda found: _DATE_LETTERS[found[0]], hint.replace("%", "%%").replace("'", ""))
    return f"coalesce(strftime(try_strptime({cell}, {literal(pattern)}), '{shown}'), {cell})"

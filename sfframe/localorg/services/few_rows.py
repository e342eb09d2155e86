"""What a look at the cells of a few rows tells: checks that cannot fail need no SQL, whose planning costs more.

Nothing is decided here: a cell that is not surely good is left to the SQL of coercion.py and checks.py.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services.coercion import is_number, is_text
from sfframe.localorg.services.columns import Column

Cells = Sequence[str | None]
_MAIL = re.compile(r"[\w.%+-]+@[\w-]+(\.[\w-]+)+", re.ASCII)
_DAY = re.compile(r"\d{4}-\d\d-\d\d", re.ASCII)
_MOMENT = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?(Z|[+-](0\d|1[0-4]):?[0-5]\d)", re.ASCII)


@dataclass(frozen=True, slots=True)
class Looked:
    """Cells by what is known of them, as task.Staged has it."""

    filled: frozenset[str]
    sound: frozenset[str]
    distinct: frozenset[str]


def look(columns: Sequence[Column], cells: Sequence[Cells], null_mark: str) -> Looked:
    """Look at the cells of each column; null is a cell that was not sent."""
    filled, sound, distinct = set(), set(), set()
    for column, found in zip(columns, cells, strict=True):
        given = [cell for cell in found if cell is not None and cell != null_mark]
        if len(given) == len(found):
            filled.add(column.cell)
        if column.key is None and _all_sound(column.field, given):
            sound.add(column.cell)
        if _differ(column.field, given):
            distinct.add(column.cell)
    return Looked(frozenset(filled), frozenset(sound), frozenset(distinct))


def _all_sound(field: FieldDef, cells: list[str]) -> bool:
    test = _test(field)
    return test is not None and all(map(test, cells))


def _test(field: FieldDef) -> Callable[[str], object] | None:
    """What is true of a cell only if the field takes it; None where SQL has to say."""
    if field.type == "boolean":
        return {"true", "false"}.__contains__
    if field.type == "date":
        return partial(_is_moment, _DAY)
    if field.type == "datetime":
        return partial(_is_moment, _MOMENT)
    if field.type in ("int", "long"):
        return re.compile(rf"-?[0-9]{{1,{min(field.digits or 9, 9)}}}").fullmatch
    if is_number(field):
        # A digit less than the field has, because rounding may add one.
        digits = min(field.precision, 18) - field.scale - 1
        return re.compile(rf"-?[0-9]{{1,{digits}}}(\.[0-9]{{1,18}})?").fullmatch if digits > 0 else None
    if not is_text(field):
        return None
    if field.type == "email":
        return lambda cell: len(cell) <= field.length and _MAIL.fullmatch(cell)
    if field.restricted_picklist and field.type in ("picklist", "multipicklist"):
        return {
            entry.value for entry in field.picklist if entry.active and len(entry.value) <= field.length
        }.__contains__
    return lambda cell: len(cell) <= field.length or not field.length


def _is_moment(shape: re.Pattern[str], cell: str) -> bool:
    try:
        return shape.fullmatch(cell) is not None and dt.datetime.fromisoformat(cell) is not None
    except ValueError:
        return False


def _differ(field: FieldDef, cells: list[str]) -> bool:
    """Whether no two of the values are alike, where the field is one by which rows are told apart."""
    if field.type != "id" and not ((field.id_lookup or field.unique) and is_text(field)):
        return False
    return len({cell.lower() for cell in cells}) == len(cells)

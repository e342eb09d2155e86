"""Column: which field a column of an upload means; names are resolved without case (bulk2.md 3.1, 3.5)."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef

_RELATIONSHIP = re.compile(r"(?:(?P<parent>\w+):)?(?P<relationship>\w+)\.(?P<key>\w+)")


@dataclass(frozen=True, slots=True)
class ParentKey:
    """The field by which a relationship column names its parents, and their object."""

    parent: ObjectDef
    field: FieldDef


@dataclass(frozen=True, slots=True)
class Column:
    """One column of staged rows.

    ``cell`` is its SQL name, ``position`` its place in the upload (error texts count from 0). With ``key`` the cell
    holds the parent's external id instead of a value for ``field``.
    """

    position: int
    cell: str
    field: FieldDef
    key: ParentKey | None = None


class ColumnFault(Exception):
    """The columns do not fit the object; the text is what a job says behind ``InvalidBatch : ``."""


def resolve(names: Sequence[str], obj: ObjectDef, catalogue: Catalogue) -> tuple[Column, ...]:
    """The columns of an upload to ``obj``, staged as c0, c1, ...; raises ColumnFault for the first that fits nothing.

    A field that is named twice, by its own name or through its relationship, fails too.
    """
    found: list[Column] = []
    for position, name in enumerate(names):
        column = _resolve_one(position, name, obj, catalogue)
        if any(column.field is other.field for other in found):
            # The wording is a guess: bulk2.md 3.6 knows no more than "Duplicate ...".
            raise ColumnFault(f"Duplicate field name found : {name}")
        found.append(column)
    return tuple(found)


def check(operation: str, columns: Sequence[Column], key: FieldDef | None) -> None:
    """Raise ColumnFault where the columns do not fit what is done with them; ``key`` is the field of an upsert."""
    if operation in ("delete", "hardDelete") and [column.field.name for column in columns] != ["Id"]:
        raise ColumnFault(f"The '{operation}' batch must contain only ids")
    # Without an Id column an upsert by Id creates all rows (bulk2.md 2.2).
    if operation != "upsert" or key is None or key.name == "Id":
        return
    if not any(one.field is key and one.key is None for one in columns):
        raise ColumnFault(f"Field name not found : {key.name}")


def _resolve_one(position: int, name: str, obj: ObjectDef, catalogue: Catalogue) -> Column:
    cell = f"c{position}"
    field = obj.field(name)
    if field is not None:
        return Column(position, cell, field)
    match = _RELATIONSHIP.fullmatch(name)
    field = obj.relationship(match["relationship"]) if match else None
    if match is None or field is None:
        raise ColumnFault(f"Field name not found : {name}")
    parent = _parent(field, match["parent"], catalogue)
    key = parent.field(match["key"]) if parent else None
    if parent is None or key is None or not (key.name == "Id" or key.external_id or key.id_lookup):
        raise ColumnFault(f"Field name not found : {name}")
    return Column(position, cell, field) if key.name == "Id" else Column(position, cell, field, ParentKey(parent, key))


def _parent(field: FieldDef, typed: str | None, catalogue: Catalogue) -> ObjectDef | None:
    """The object that a relationship column means; only polymorphic ones say it, and must (bulk2.md 3.5)."""
    if len(field.reference_to) > 1:
        allowed = {one.casefold() for one in field.reference_to}
        return catalogue.find(typed) if typed and typed.casefold() in allowed else None
    return catalogue.find(field.reference_to[0]) if typed is None and field.reference_to else None

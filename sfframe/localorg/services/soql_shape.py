"""Shape: how the columns of a query's rows make up a record (rest.md 5)."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services.soql_names import Column, Names, Parent
from sfframe.localorg.store.store import COMPOUND_TYPES, quoted


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: the number of its column, and its field. Of base64 the column says only whether there is a value."""

    name: str
    column: int
    field: FieldDef


@dataclass(frozen=True, slots=True)
class Compound:
    """An address or location, put together from its components."""

    name: str
    field: FieldDef
    parts: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Children:
    """A child sub-query; its column holds ``text``, the JSON of the whole answer, and ``rows``, how many there are.

    ``record`` is what stands in there.
    """

    name: str
    column: int
    record: Record


@dataclass(frozen=True, slots=True)
class Branches:
    """A TYPEOF: the first of the records that is there, each of another object."""

    name: str
    foreign_key: str
    records: tuple[Record, ...]


@dataclass(slots=True)
class Record:
    """A record, or a parent inside of one. ``id_column`` is None for aggregates, which have no URL.

    ``own_type`` is the column with the name of the object that a polymorphic parent really is, and None elsewhere;
    ``foreign_key`` names the field that points at a parent.
    """

    name: str
    type: str
    id_column: int | None
    own_type: int | None = None
    foreign_key: str | None = None
    items: list[Leaf | Compound | Children | Branches | Record] = dataclasses.field(default_factory=list)


class Shape:
    """The columns of one SELECT and the record that they make up; columns that are needed twice are there once.

    The record of a TYPEOF's branch puts its columns among those of the query.
    """

    def __init__(self, names: Names, type_name: str, id_sql: str | None, columns: list[str] | None = None) -> None:
        self.names = names
        self.columns: list[str] = [] if columns is None else columns
        self.record = Record("", type_name, None if id_sql is None else self.place(id_sql))
        self._records: dict[tuple[str, ...], Record] = {(): self.record}
        self._selected: set[str] = set()

    def place(self, sql: str) -> int:
        """The number of the column with this SQL."""
        if sql not in self.columns:
            self.columns.append(sql)
        return self.columns.index(sql)

    def add(self, column: Column, at: int, *, alias: str | None = None) -> None:
        """Select a column; its parents' objects stand where their first field was mentioned."""
        name = alias or column.name
        if name.casefold() in self._selected:
            raise self.names.refusal("INVALID_FIELD", at, f"duplicate field selected: {name}")
        self._selected.add(name.casefold())
        record = self.record
        for depth, parent in enumerate(column.parents):
            record = self._parent(record, column.parents[: depth + 1], parent)
        if column.field.type in COMPOUND_TYPES:
            obj = column.parents[-1].obj if column.parents else self.names.obj
            record.items.append(self._compound(obj, column))
        else:
            record.items.append(self._leaf(alias or column.field.name, column.sql, column.field))

    def add_flat(self, name: str, column: Column) -> None:
        """Select a value of an aggregate, whose records have no objects inside."""
        self.record.items.append(self._leaf(name, column.sql, column.field))

    def _leaf(self, name: str, sql: str, field: FieldDef) -> Leaf:
        return Leaf(name, self.place(f"{sql} IS NOT NULL" if field.type == "base64" else sql), field)

    def add_children(self, name: str, sql: str, record: Record, at: int) -> None:
        """Select a child sub-query."""
        if name.casefold() in self._selected:
            raise self.names.refusal("MALFORMED_QUERY", at, f"duplicate alias: {name}")
        self._selected.add(name.casefold())
        self.record.items.append(Children(name, self.place(sql), record))

    def add_branches(self, branches: Branches, at: int) -> None:
        """Select a TYPEOF."""
        if branches.name.casefold() in self._selected:
            raise self.names.refusal("INVALID_FIELD", at, f"duplicate field selected: {branches.name}")
        self._selected.add(branches.name.casefold())
        self.record.items.append(branches)

    def _parent(self, below: Record, path: tuple[Parent, ...], parent: Parent) -> Record:
        key = tuple(one.name for one in path)
        known = self._records.get(key)
        if known is not None:
            return known
        own_type = self.place(parent.type_sql) if parent.shown_type == "Name" else None
        made = Record(parent.name, parent.shown_type, self.place(parent.id_sql), own_type, parent.foreign_key)
        below.items.append(made)
        self._records[key] = made
        return made

    def _compound(self, obj: ObjectDef, column: Column) -> Compound:
        parts = [
            self._leaf(_component_key(column.field, one), f"{column.alias}.{quoted(one.name)}", one)
            for one in components(obj, column.field)
        ]
        return Compound(column.field.name, column.field, tuple(sorted(parts, key=lambda one: one.name)))


def components(obj: ObjectDef, compound: FieldDef) -> list[FieldDef]:
    """The fields that an address or a location is made of."""
    wanted = compound.name.casefold()
    return [one for one in obj if one.compound_field_name and one.compound_field_name.casefold() == wanted]


def _component_key(compound: FieldDef, component: FieldDef) -> str:
    """``BillingCity`` of BillingAddress is ``city``, ``Place__Latitude__s`` of Place__c is ``latitude``."""
    stem = compound.name.removesuffix("Address").removesuffix("__c")
    rest = component.name.removeprefix(stem).strip("_").removesuffix("__s")
    return rest[:1].lower() + rest[1:]

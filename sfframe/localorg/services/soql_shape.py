"""Shape: how the columns of a query's rows make up a record (rest.md 5)."""

from __future__ import annotations

from dataclasses import dataclass, field

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services.soql_names import Column, Names, Parent
from sfframe.localorg.store.store import COMPOUND_TYPES, quoted


@dataclass(frozen=True, slots=True)
class Leaf:
    """One value: the number of its column, and its Salesforce type."""

    name: str
    column: int
    type: str


@dataclass(frozen=True, slots=True)
class Compound:
    """An address or location, put together from its components."""

    name: str
    parts: tuple[Leaf, ...]


@dataclass(frozen=True, slots=True)
class Children:
    """A child sub-query; its column holds the JSON of the whole answer."""

    name: str
    column: int


@dataclass(slots=True)
class Record:
    """A record, or a parent inside of one. ``id_column`` is None for aggregates, which have no URL.

    ``own_type`` is the column with the name of the object that a polymorphic parent really is, and None elsewhere.
    """

    name: str
    type: str
    id_column: int | None
    own_type: int | None = None
    items: list[Leaf | Compound | Children | Record] = field(default_factory=list)


class Shape:
    """The columns of one SELECT and the record that they make up; columns that are needed twice are there once."""

    def __init__(self, names: Names, type_name: str, id_sql: str | None) -> None:
        self.names = names
        self.columns: list[str] = []
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
            record.items.append(Leaf(alias or column.field.name, self.place(column.sql), column.field.type))

    def add_flat(self, name: str, column: Column) -> None:
        """Select a value of an aggregate, whose records have no objects inside."""
        self.record.items.append(Leaf(name, self.place(column.sql), column.field.type))

    def add_children(self, name: str, sql: str, at: int) -> None:
        """Select a child sub-query."""
        if name.casefold() in self._selected:
            raise self.names.refusal("MALFORMED_QUERY", at, f"duplicate alias: {name}")
        self._selected.add(name.casefold())
        self.record.items.append(Children(name, self.place(sql)))

    def _parent(self, below: Record, path: tuple[Parent, ...], parent: Parent) -> Record:
        key = tuple(one.name for one in path)
        known = self._records.get(key)
        if known is not None:
            return known
        own_type = self.place(parent.type_sql) if parent.shown_type == "Name" else None
        made = Record(parent.name, parent.shown_type, self.place(parent.id_sql), own_type)
        below.items.append(made)
        self._records[key] = made
        return made

    def _compound(self, obj: ObjectDef, column: Column) -> Compound:
        parts = [
            Leaf(_component_key(column.field, one), self.place(f"{column.alias}.{quoted(one.name)}"), one.type)
            for one in components(obj, column.field)
        ]
        return Compound(column.field.name, tuple(sorted(parts, key=lambda one: one.name)))


def components(obj: ObjectDef, compound: FieldDef) -> list[FieldDef]:
    """The fields that an address or a location is made of."""
    wanted = compound.name.casefold()
    return [one for one in obj if one.compound_field_name and one.compound_field_name.casefold() == wanted]


def _component_key(compound: FieldDef, component: FieldDef) -> str:
    """``BillingCity`` of BillingAddress is ``city``, ``Place__Latitude__s`` of Place__c is ``latitude``."""
    stem = compound.name.removesuffix("Address").removesuffix("__c")
    rest = component.name.removeprefix(stem).strip("_").removesuffix("__s")
    return rest[:1].lower() + rest[1:]

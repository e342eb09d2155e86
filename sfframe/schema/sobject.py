"""SObject and Field: the describe of one object, without its JSON."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Literal

FieldType = Literal[
    "id", "reference", "string", "picklist", "multipicklist", "combobox", "textarea", "phone", "url", "email",
    "encryptedstring", "boolean", "int", "long", "double", "currency", "percent", "date", "datetime", "time",
    "base64", "address", "location", "anyType", "complexvalue", "json", "datacategorygroupreference",
]  # fmt: skip


@dataclass(frozen=True, slots=True)
class PicklistValue:
    """One value of a picklist: ``value`` is the API name that is stored, ``label`` what people see."""

    value: str
    label: str
    active: bool = True
    default: bool = False


@dataclass(frozen=True, slots=True)
class Field:
    """One field, with the words of the describe (rest.md 6.4). ``length`` counts characters; 0 where it has none.

    ``type`` is the describe's own text; a type that this version of sfframe does not know is kept as it is.
    """

    name: str
    label: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    nillable: bool = True
    createable: bool = False
    updateable: bool = False
    defaulted_on_create: bool = False
    calculated: bool = False
    auto_number: bool = False
    external_id: bool = False
    id_lookup: bool = False
    unique: bool = False
    case_sensitive: bool = False
    name_field: bool = False
    custom: bool = False
    filterable: bool = True
    sortable: bool = True
    groupable: bool = True
    aggregatable: bool = True
    restricted_picklist: bool = False
    picklist_values: tuple[PicklistValue, ...] = ()
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    polymorphic: bool = False
    compound_field_name: str | None = None
    extra_type_info: str | None = None

    @property
    def required_on_create(self) -> bool:
        """True where an insert must name a value: not nillable, createable, and nothing is put in (rest.md 6.4)."""
        return self.createable and not self.nillable and not self.defaulted_on_create and self.type != "boolean"

    @property
    def is_key(self) -> bool:
        """True where the field can find a record: an upsert by it, or a parent named by it (rest.md 6.4)."""
        return self.external_id or self.id_lookup or self.type == "id"


@dataclass(frozen=True, slots=True)
class ChildRelationship:
    """Records of ``child`` that refer to this object by their ``field``.

    ``name`` is what a sub-query calls them, None where they cannot be queried so (rest.md 6.3).
    """

    name: str | None
    child: str
    field: str
    cascade_delete: bool = False
    restricted_delete: bool = False


@dataclass(frozen=True, slots=True)
class RecordType:
    """One record type; ``developer_name`` is its API name, ``default`` the one that new records of this user get."""

    id: str
    developer_name: str
    name: str
    active: bool = True
    available: bool = True
    default: bool = False
    master: bool = False


@dataclass(frozen=True, slots=True, repr=False)
class SObject:
    """One object of the org. Fields are in the describe's order; names are found without case."""

    name: str
    label: str
    key_prefix: str | None
    fields: tuple[Field, ...]
    custom: bool = False
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    queryable: bool = True
    label_plural: str = ""
    child_relationships: tuple[ChildRelationship, ...] = ()
    record_types: tuple[RecordType, ...] = ()
    _by_name: dict[str, Field] = field(init=False, repr=False, compare=False, hash=False)
    _by_relationship: dict[str, Field] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {one.name.casefold(): one for one in self.fields})
        related = {one.relationship_name.casefold(): one for one in self.fields if one.relationship_name}
        object.__setattr__(self, "_by_relationship", related)

    def __repr__(self) -> str:
        own = sum(field.custom for field in self.fields)
        return f"<SObject {self.name}: {len(self.fields)} fields, {own} of them custom>"

    def __iter__(self) -> Iterator[Field]:
        return iter(self.fields)

    def field(self, name: str) -> Field | None:
        """The field of that name, whatever its case; None when there is none."""
        return self._by_name.get(name.casefold())

    def relationship(self, name: str) -> Field | None:
        """The reference field whose parent is called ``name`` (``Account`` gives AccountId), or None."""
        return self._by_relationship.get(name.casefold())

    def child_relationship(self, name: str) -> ChildRelationship | None:
        """The child relationship of that name (``Contacts``), whatever its case, or None."""
        wanted = name.casefold()
        return next((one for one in self.child_relationships if one.name and one.name.casefold() == wanted), None)

    def near(self, name: str) -> list[str]:
        """Up to three field names that a person may have meant by ``name``, the nearest first."""
        wanted = name.casefold().replace("_", "").replace(" ", "")
        plain = {one.name.casefold().replace("_", ""): one.name for one in self.fields}
        return [plain[hit] for hit in difflib.get_close_matches(wanted, plain, n=3, cutoff=0.6)]

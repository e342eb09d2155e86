"""ObjectDef and FieldDef: what the embedded org knows about an object. Frozen; a deploy makes new ones."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field


@dataclass(frozen=True, slots=True)
class PicklistEntry:
    """One value of a picklist."""

    value: str
    label: str
    active: bool = True
    default: bool = False


@dataclass(frozen=True, slots=True)
class FieldDef:
    """One field, with the meaning that the describe gives to each word (rest.md 6.4)."""

    name: str
    label: str
    type: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0
    nillable: bool = True
    createable: bool = True
    updateable: bool = True
    defaulted_on_create: bool = False
    default_value: str | None = None  # in CSV spelling
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
    picklist: tuple[PicklistEntry, ...] = ()
    reference_to: tuple[str, ...] = ()
    relationship_name: str | None = None
    relationship_order: int | None = None  # 0 first master, 1 second; None: a lookup
    polymorphic: bool = False
    cascade_delete: bool = False
    restricted_delete: bool = False
    compound_field_name: str | None = None
    extra_type_info: str | None = None
    html_formatted: bool = False
    help_text: str | None = None
    permissionable: bool = True
    search_prefilterable: bool = False
    child_relationship_name: str | None = None  # how the parents call the rows that point at them
    # What only the parent's describe says (recorded: the field's own cascadeDelete and restrictedDelete are false).
    deleted_with_parent: bool = False  # Contact.AccountId
    keeps_parent: bool = False  # Case.AccountId: a parent with such children cannot be deleted

    @property
    def byte_length(self) -> int:
        """The bytes that the longest value may take; a multi-select picklist counts its letters once (recorded)."""
        return self.length if self.type in {"id", "reference", "multipicklist"} else 3 * self.length


@dataclass(frozen=True, slots=True)
class ObjectDef:
    """One object; fields in the describe's order, found without case."""

    name: str
    label: str
    label_plural: str
    key_prefix: str | None
    fields: tuple[FieldDef, ...]
    custom: bool = False
    createable: bool = True
    updateable: bool = True
    deletable: bool = True
    undeletable: bool = True
    queryable: bool = True
    mergeable: bool = False
    searchable: bool = True
    layoutable: bool = True
    triggerable: bool = True
    feed_enabled: bool = False
    mru_enabled: bool = True
    deep_cloneable: bool = False
    record_types: bool = True
    _by_name: dict[str, FieldDef] = field(init=False, repr=False, compare=False, hash=False)
    _by_relationship: dict[str, FieldDef] = field(init=False, repr=False, compare=False, hash=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_name", {one.name.casefold(): one for one in self.fields})
        related = {one.relationship_name.casefold(): one for one in self.fields if one.relationship_name}
        object.__setattr__(self, "_by_relationship", related)

    def __iter__(self) -> Iterator[FieldDef]:
        return iter(self.fields)

    def field(self, name: str) -> FieldDef | None:
        """The field of that name, whatever its case."""
        return self._by_name.get(name.casefold())

    def relationship(self, name: str) -> FieldDef | None:
        """The reference field whose parent is called ``name``."""
        return self._by_relationship.get(name.casefold())

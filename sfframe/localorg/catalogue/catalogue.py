"""Catalogue: the objects that an org has, found by name, by key prefix and by who points at them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import replace
from functools import cache
from importlib import resources
from types import MappingProxyType

from sfframe.localorg.catalogue import compact, deployment
from sfframe.localorg.catalogue.deployment import Described
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef

_ALPHABET = "0123456789abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ"

# What every custom object has (rest.md 6.4 and 6.6), in the compact notation.
_CUSTOM_OBJECT = """
object Custom__c a00 "Record" "Records"
@id
OwnerId  >Group|User~Owner  CUD  polymorphic nofls
@deleted
Name  string(80)  CUND  name lookup nofls
@stamps
@activity
@viewed
"""


@cache
def _standard_objects() -> tuple[ObjectDef, ...]:
    folder = resources.files(__package__) / "standard"
    blocks = _blocks()
    texts = sorted(
        (entry.name, entry.read_text(encoding="utf-8"))
        for entry in folder.iterdir()
        if entry.name.endswith(".txt") and entry.name != "blocks.txt"
    )
    return tuple(compact.read_object(text, blocks) for _, text in texts)


@cache
def _blocks() -> compact.Blocks:
    text = (resources.files(__package__) / "standard" / "blocks.txt").read_text(encoding="utf-8")
    return compact.read_blocks(text)


@cache
def _custom_block() -> tuple[FieldDef, ...]:
    return compact.read_object(_CUSTOM_OBJECT, _blocks()).fields


class Catalogue:
    """The definitions of one org. Definitions are frozen; a deploy replaces them, so readers never see half of one."""

    def __init__(self, objects: tuple[ObjectDef, ...]) -> None:
        self._objects = {one.name.casefold(): one for one in objects}
        self.edition = 0  # counts the changes

    @classmethod
    def standard(cls) -> Catalogue:
        """The standard objects, as a new org has them; independent of every other catalogue."""
        return cls(_standard_objects())

    @property
    def objects(self) -> Mapping[str, ObjectDef]:
        """All objects by casefolded name, in alphabetical order; a view of this moment."""
        return MappingProxyType(dict(sorted(self._objects.items())))

    def find(self, name: str) -> ObjectDef | None:
        """The object of that name, whatever its case."""
        return self._objects.get(name.casefold())

    def by_prefix(self, prefix: str) -> ObjectDef | None:
        """The object whose ids begin with the three characters (case matters)."""
        return next((one for one in self._objects.values() if one.key_prefix == prefix), None)

    def children_of(self, obj: ObjectDef) -> list[tuple[ObjectDef, FieldDef]]:
        """Every field of every object that may point at ``obj``, by object name."""
        wanted = obj.name.casefold()
        return [
            (child, field)
            for child in self.objects.values()
            for field in child
            if any(target.casefold() == wanted for target in field.reference_to)
        ]

    def deploy(self, described: list[Described]) -> list[ObjectDef]:
        """Add objects and fields as a describe gives them; answers the objects as they are now.

        A new object is completed with the fields that every object has; an object that exists gains the fields, and a
        field that exists is replaced. What is left out takes the default of its type (types.py). Raises ValueError,
        with object and field named, and changes nothing then.
        """
        planned = self.planned(described)
        self.adopt(planned)
        return planned

    def planned(self, described: list[Described]) -> list[ObjectDef]:
        """The objects as they would be after ``deploy(described)``."""
        names = [deployment.object_name(one) for one in described]
        folded = [name.casefold() for name in names]
        for name in names:
            if folded.count(name.casefold()) > 1:
                raise deployment.refusal(name, "the object is described twice.", "Merge the two descriptions.")

        def known(name: str) -> bool:
            return name.casefold() in self._objects or name.casefold() in folded

        taken = {one.key_prefix for one in self._objects.values()}
        planned = []
        for one in described:
            before = self.find(one["name"])
            fields = deployment.as_parents_say(described, one["name"], deployment.read_fields(one, known))
            if before is None:
                prefix = self._prefix(one, taken)
                taken.add(prefix)
                complete = deployment.with_audit(one, fields, _custom_block())
                planned.append(_children_named(deployment.new_object(one, prefix, complete)))
            else:
                planned.append(_extended(before, fields))
        return planned

    def adopt(self, objects: list[ObjectDef]) -> None:
        """Take over objects that ``planned`` made, all at once."""
        self._objects = self._objects | {one.name.casefold(): one for one in objects}
        self.edition += 1

    def _prefix(self, described: Described, taken: set[str | None]) -> str:
        name = described["name"]
        given = described.get("keyPrefix") or deployment.STANDARD_PREFIXES.get(name)
        if given is not None:
            if not isinstance(given, str) or len(given) != 3 or not given.isalnum() or not given.isascii():
                raise deployment.refusal(name, f"keyPrefix {given!r} is not three letters or digits.", "Correct it.")
            if given not in taken:
                return given
            # aXX prefixes are dealt out by each org as it likes; all others are the same everywhere (rest.md 10).
            if described.get("keyPrefix") and not given.startswith("a"):
                raise deployment.refusal(name, f"keyPrefix {given} belongs to another object.", "Choose a free one.")
        elif not deployment.is_custom(name):
            raise deployment.refusal(
                name, "a standard object needs its keyPrefix.", 'Add "keyPrefix", or end a custom name with __c.'
            )
        candidates = ("a" + "".join(pair) for pair in itertools.product(_ALPHABET, repeat=2))
        return next(prefix for prefix in candidates if prefix not in taken)


def _extended(before: ObjectDef, fields: list[FieldDef]) -> ObjectDef:
    """``before`` with the fields; those that it has keep their place."""
    merged = {field.name.casefold(): field for field in before}
    for field in fields:
        old = merged.get(field.name.casefold())
        merged[field.name.casefold()] = field if old is None else _keeping_what_parents_say(old, field)
    values = {name: getattr(before, name) for name in ObjectDef.__dataclass_fields__ if not name.startswith("_")}
    return _children_named(ObjectDef(**(values | {"fields": tuple(merged.values())})))


def _keeping_what_parents_say(old: FieldDef, new: FieldDef) -> FieldDef:
    """The new field; a describe of the child does not say how the parent calls it nor that it goes with the parent."""
    if new.reference_to != old.reference_to:
        return new
    return replace(
        new,
        child_relationship_name=new.child_relationship_name or old.child_relationship_name,
        deleted_with_parent=new.deleted_with_parent or old.deleted_with_parent,
        keeps_parent=new.keeps_parent or old.keeps_parent,
    )


def _children_named(obj: ObjectDef) -> ObjectDef:
    """Custom lookups without a child relationship name get one made of the plural label, as Setup proposes it."""
    plural = "".join(character for character in obj.label_plural if character.isalnum() or character == "_")
    taken = {field.child_relationship_name for field in obj}
    fields = []
    for field in obj:
        named = field
        if field.custom and field.reference_to and field.child_relationship_name is None:
            proposals = (f"{plural}{number or ''}__r" for number in itertools.count())
            named = replace(field, child_relationship_name=next(each for each in proposals if each not in taken))
            taken.add(named.child_relationship_name)
        fields.append(named)
    values = {name: getattr(obj, name) for name in ObjectDef.__dataclass_fields__ if not name.startswith("_")}
    return ObjectDef(**(values | {"fields": tuple(fields)}))

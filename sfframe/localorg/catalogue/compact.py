"""The compact notation of the standard objects: one text file per object, one line per field.

    object Contact 003 "Contact" "Contacts"
    can create update delete undelete search merge
    LastName   string(80)          CU   compound=Name
    AccountId  >Account~Account    CUN  children=Contacts cascade
    LeadSource picklist(255)       CUN
      | Web | Phone Inquiry | *Other = Some other way
    @address Mailing

A field line is name, type, flags, a label in quotes where it is not the name spaced out, and words. Flags are
C(reateable) U(pdateable) N(illable) D(efaulted on create), ``-`` for none. ``>Group|User~Owner`` is a reference to
either object whose parent is called Owner. Values of a picklist follow on lines that begin with ``|``: ``*`` marks the
default, ``value = label`` where the two differ. ``@block word`` copies the lines of that block of ``blocks.txt``, with
``$`` replaced by the word. ``parent=EntityDefinition`` makes a text the key of a row that has no real id.
"""

from __future__ import annotations

import re
import shlex
from dataclasses import dataclass, field, replace
from typing import Any

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef, PicklistEntry
from sfframe.localorg.catalogue.types import FIELD_TYPES, NUMBER_TYPES, capabilities

Blocks = dict[str, list[str]]

_TYPE = re.compile(r"(?P<type>\w+)(?:\((?P<first>\d+)(?:,(?P<second>\d+))?\))?")
_WORD_START = re.compile(r"(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")

# Words that turn one attribute on, and words that set one to what stands behind the equals sign.
_MARKS: dict[str, dict[str, Any]] = {
    "name": {"name_field": True},
    "lookup": {"id_lookup": True},
    "unique": {"unique": True},
    "auto": {"auto_number": True},
    "calculated": {"calculated": True},
    "rich": {"html_formatted": True},
    "restricted": {"restricted_picklist": True},
    "polymorphic": {"polymorphic": True},
    "cascade": {"deleted_with_parent": True},
    "restrict": {"keeps_parent": True},
    "prefilter": {"search_prefilterable": True},
    "fls": {"permissionable": True},
    "nofls": {"permissionable": False},
}
_SETTINGS = {
    "compound": "compound_field_name",
    "extra": "extra_type_info",
    "default": "default_value",
    "children": "child_relationship_name",
    "help": "help_text",
}
_ABILITIES = {
    "create": "createable",
    "update": "updateable",
    "delete": "deletable",
    "undelete": "undeletable",
    "merge": "mergeable",
    "search": "searchable",
    "layout": "layoutable",
    "trigger": "triggerable",
    "feed": "feed_enabled",
    "mru": "mru_enabled",
    "clone": "deep_cloneable",
    "recordtypes": "record_types",
}


@dataclass(slots=True)
class _Draft:
    """An object while its lines are read."""

    name: str
    prefix: str
    label: str
    plural: str
    able: set[str] = field(default_factory=set)
    fields: list[FieldDef] = field(default_factory=list)


def read_blocks(text: str) -> Blocks:
    """The blocks of ``blocks.txt``: a line ``block name`` and the lines up to the next one."""
    blocks: Blocks = {}
    lines: list[str] = []
    for line in _lines(text):
        if line.startswith("block "):
            lines = blocks.setdefault(line.split()[1], [])
        else:
            lines.append(line)
    return blocks


def read_object(text: str, blocks: Blocks) -> ObjectDef:
    """The object that the text describes. Raises ValueError with the line that cannot be read."""
    draft: _Draft | None = None
    for line in _expanded(_lines(text), blocks):
        try:
            if line.startswith("object "):
                name, prefix, label, plural = shlex.split(line)[1:]
                draft = _Draft(name, prefix, label, plural)
            elif draft is None:
                raise ValueError("the first line names the object")
            elif line.startswith("can "):
                draft.able.update(_ABILITIES[word] for word in line.split()[1:])
            elif line.startswith(" "):
                draft.fields[-1] = _with_values(draft.fields[-1], line)
            else:
                draft.fields.append(_field(line, draft))
        except (KeyError, IndexError, TypeError, ValueError) as error:
            raise ValueError(f"The line cannot be read ({error}): {line}") from error
    if draft is None:
        raise ValueError("The text holds no object.")
    return ObjectDef(
        name=draft.name,
        label=draft.label,
        label_plural=draft.plural,
        key_prefix=draft.prefix,
        fields=tuple(draft.fields),
        **{ability: ability in draft.able for ability in _ABILITIES.values()},
    )


def spaced(name: str) -> str:
    """A label made from a field's name: ``LastViewedDate`` -> Last Viewed Date, ``AccountId`` -> Account ID."""
    words = _WORD_START.sub(" ", name)
    return words[:-2] + "ID" if words.endswith(" Id") else words


def _lines(text: str) -> list[str]:
    return [line.rstrip() for line in text.splitlines() if line.strip() and not line.startswith("#")]


def _expanded(lines: list[str], blocks: Blocks) -> list[str]:
    whole: list[str] = []
    for line in lines:
        if line.startswith("@"):
            block, _, word = line[1:].partition(" ")
            whole.extend(each.replace("$", word.strip()) for each in blocks[block])
        else:
            whole.append(line)
    return whole


def _field(line: str, draft: _Draft) -> FieldDef:
    name, type_text, flags, *words = shlex.split(line)
    if any(name == field.name for field in draft.fields):
        raise ValueError("the field is described twice")
    attributes = _type(type_text)
    attributes |= {
        "createable": "C" in flags,
        "updateable": "U" in flags,
        "nillable": "N" in flags,
        "defaulted_on_create": "D" in flags,
    }
    if attributes["type"] == "id":
        attributes |= {"id_lookup": True, "label": f"{draft.label} ID"}
    if attributes["type"] == "boolean" and "D" in flags:
        attributes["default_value"] = "false"
    numbered, calculated = "auto" in words, "calculated" in words
    can = capabilities(attributes["type"], attributes.get("length", 0), auto_number=numbered, calculated=calculated)
    attributes["permissionable"] = _permissionable(attributes)
    for word in words:
        key, equals, value = word.partition("=")
        if word in _MARKS:
            attributes |= _MARKS[word]
        elif key == "can":
            can = value
        elif key == "parent":
            attributes |= {"reference_to": (value,), "relationship_name": value}
        elif equals and key in _SETTINGS:
            attributes[_SETTINGS[key]] = value
        else:
            attributes["label"] = word
    attributes["label"] = attributes.get("label", spaced(name)).strip()
    return FieldDef(
        name=name,
        aggregatable="A" in can,
        filterable="F" in can,
        groupable="G" in can,
        sortable="S" in can,
        **attributes,
    )


def _type(text: str) -> dict[str, Any]:
    if text.startswith(">"):
        targets, _, relationship = text[1:].partition("~")
        return {
            "type": "reference",
            "length": 18,
            "reference_to": tuple(targets.split("|")),
            "relationship_name": relationship or None,
        }
    match = _TYPE.fullmatch(text)
    if match is None or match["type"] not in FIELD_TYPES:
        raise ValueError(f"no field type {text}")
    name, first = match["type"], int(match["first"] or 0)
    if name in NUMBER_TYPES:
        return {"type": name, "precision": first, "scale": int(match["second"] or 0)}
    if name in {"int", "long"}:
        return {"type": name, "digits": first}
    # The second number of a multi-select picklist is its visible lines, which describes call precision.
    lines = {"precision": int(match["second"])} if match["second"] else {}
    return {"type": name, "length": first or (18 if name == "id" else 0)} | lines


def _permissionable(attributes: dict[str, Any]) -> bool:
    """Field-level security applies to what may be left empty and may be written, and to addresses (recorded)."""
    writable = attributes["createable"] and attributes["updateable"]
    optional = attributes["nillable"] or attributes["type"] == "boolean"
    return bool(attributes["type"] == "address" or (writable and optional))


def _with_values(before: FieldDef, line: str) -> FieldDef:
    entries = []
    for text in line.strip().strip("|").split(" | "):
        value, _, label = text.strip().partition(" = ")
        default = value.startswith("*")
        value = value.removeprefix("*").strip()
        entries.append(PicklistEntry(value, label.strip() or value, default=default))
    chosen = next((entry.value for entry in entries if entry.default), before.default_value)
    return replace(before, picklist=(*before.picklist, *entries), default_value=chosen)

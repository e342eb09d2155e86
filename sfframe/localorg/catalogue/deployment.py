"""From a described object to an ObjectDef: defaults for what was left out, clear errors for what cannot be."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import replace
from typing import Any

from sfframe.localorg.catalogue.compact import spaced
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef, PicklistEntry
from sfframe.localorg.catalogue.types import COMPOUND_TYPES, FIELD_TYPES, NUMBER_TYPES, capabilities

Described = dict[str, Any]
"""An object or a field as a describe gives it; keys may be left out."""

_NAME = re.compile(r"[A-Za-z][A-Za-z0-9]*(?:_{1,2}[A-Za-z0-9]+)*")
# What an object with record types has, be it described or not.
_RECORD_TYPE = {
    "name": "RecordTypeId",
    "label": "Record Type ID",
    "type": "reference",
    "referenceTo": ["RecordType"],
    "relationshipName": "RecordType",
    "permissionable": False,
}
_AUDIT = frozenset(
    {
        "isdeleted",
        "createddate",
        "createdbyid",
        "lastmodifieddate",
        "lastmodifiedbyid",
        "systemmodstamp",
        "lastactivitydate",
        "lastvieweddate",
        "lastreferenceddate",
    }
)
_DIMENSION_LIMITS = {"length": 1_048_576, "precision": 18, "scale": 17, "digits": 18}

# Key prefixes of standard objects that are not in the catalogue by themselves (rest.md 10).
STANDARD_PREFIXES = {
    "OpportunityHistory": "008",
    "Quote": "0Q0",
    "QuoteLineItem": "0QL",
    "WorkOrder": "0WO",
    "WorkOrderLineItem": "1WL",
}

# Object-level words of a describe and the attribute that holds them.
OBJECT_FLAGS = {
    "createable": "createable",
    "updateable": "updateable",
    "deletable": "deletable",
    "undeletable": "undeletable",
    "queryable": "queryable",
    "mergeable": "mergeable",
    "searchable": "searchable",
    "layoutable": "layoutable",
    "triggerable": "triggerable",
    "feedEnabled": "feed_enabled",
    "mruEnabled": "mru_enabled",
    "deepCloneable": "deep_cloneable",
}


def refusal(where: str, what: str, advice: str) -> ValueError:
    """The error of a deploy: where, what happened, that nothing was changed, what to do."""
    return ValueError(f"{where}: {what} Nothing was deployed. {advice}")


def object_name(described: Described) -> str:
    """The described object's name, checked."""
    name = described.get("name")
    if not isinstance(name, str) or not name:
        raise refusal(
            "An object", "has no name.", 'Give each object a "name", for example {"name": "Thing__c", "fields": [...]}.'
        )
    if not _NAME.fullmatch(name):
        raise refusal(
            name, "is not an API name.", "Use letters, digits and single underscores, and __c for a custom object."
        )
    fields = described.get("fields", [])
    if not isinstance(fields, list) or not all(isinstance(one, dict) for one in fields):
        raise refusal(
            name, "fields is not a list of described fields.", 'Write "fields": [{"name": ..., "type": ...}].'
        )
    return name


def read_fields(described: Described, known: Callable[[str], bool]) -> list[FieldDef]:
    """The fields of a described object; ``known`` tells whether an object of that name exists or is in the deploy."""
    name = object_name(described)
    whole = any(one.get("name") == "Id" for one in described.get("fields", []))
    fields: dict[str, FieldDef] = {}
    for one in described.get("fields", []):
        # A whole describe comes from a real org, of which only some objects may be deployed.
        field = _field(name, one, (lambda _: True) if whole else known)
        if field.name.casefold() in fields:
            raise refusal(f"{name}.{field.name}", "the field is described twice.", "Remove one of the two.")
        fields[field.name.casefold()] = field
    if "recordtypeid" not in fields and _has_record_types(described):
        fields["recordtypeid"] = _field(name, _RECORD_TYPE, known)
    for parts in [_location_parts(field) for field in fields.values() if field.type == "location"]:
        for part in parts:
            fields.setdefault(part.name.casefold(), part)
    masters = [field for field in fields.values() if field.cascade_delete and field.relationship_order is None]
    for order, field in enumerate(masters):
        fields[field.name.casefold()] = replace(field, relationship_order=order)
    return list(fields.values())


def as_parents_say(described: list[Described], child: str, fields: list[FieldDef]) -> list[FieldDef]:
    """The fields of ``child`` with what the described parents say of them in their ``childRelationships``."""
    said = {
        one.get("field"): one
        for parent in described
        for one in parent.get("childRelationships") or []
        if isinstance(one, dict) and one.get("childSObject") == child
    }
    named = []
    for field in fields:
        words = said.get(field.name, {}) if field.reference_to else {}
        named.append(
            replace(
                field,
                child_relationship_name=words.get("relationshipName") or field.child_relationship_name,
                deleted_with_parent=bool(words.get("cascadeDelete")) or field.deleted_with_parent,
                keeps_parent=bool(words.get("restrictedDelete")) or field.keeps_parent,
            )
        )
    return named


def with_audit(described: Described, fields: list[FieldDef], block: Iterable[FieldDef]) -> tuple[FieldDef, ...]:
    """The fields of a new object, completed from ``block``, the fields that every custom object has.

    A description with an Id is taken as whole but for the system's stamps, in its own order. A detail of a master has
    no owner.
    """
    given = {field.name.casefold(): field for field in fields}
    whole = "id" in given
    detail = any(field.cascade_delete for field in fields)
    label = described.get("label") or _label(described["name"])
    before: list[FieldDef] = []
    after: list[FieldDef] = []
    for field in block:
        optional = field.name in {"OwnerId", "Name", "LastActivityDate", "LastViewedDate", "LastReferencedDate"}
        if field.name.casefold() in given or (optional and whole) or (detail and field.name == "OwnerId"):
            continue
        labelled = replace(field, label=f"{label} Name") if field.name == "Name" else field
        (before if field.name in {"Id", "OwnerId", "IsDeleted", "Name"} else after).append(labelled)
    if whole:
        return (*before, *fields, *after)
    named = [field for field in fields if field.name_field]
    rest = [field for field in fields if not field.name_field]
    return (*before, *named, *after, *rest)


def new_object(described: Described, prefix: str, fields: tuple[FieldDef, ...]) -> ObjectDef:
    """An object that the org has not had before."""
    name = described["name"]
    label = described.get("label") or _label(name)
    return ObjectDef(
        name=name,
        label=label,
        label_plural=described.get("labelPlural") or f"{label}s",
        key_prefix=prefix,
        fields=fields,
        custom=is_custom(name),
        record_types=bool(described.get("recordTypeInfos")),
        **{
            attribute: described[key] for key, attribute in OBJECT_FLAGS.items() if isinstance(described.get(key), bool)
        },
    )


def is_custom(name: str) -> bool:
    """Whether the name of an object or field ends as custom ones do: __c, __mdt, __e, __s."""
    return bool(re.search(r"__[a-z]{1,5}$", name))


def _has_record_types(described: Described) -> bool:
    """Whether the description brings record types besides Master, which every object has."""
    return any(isinstance(one, dict) and not one.get("master") for one in described.get("recordTypeInfos") or [])


def _label(name: str) -> str:
    stem = re.sub(r"__[a-z]{1,5}$", "", name)
    return spaced(stem.rpartition("__")[2]).replace("_", " ")


def _field(of: str, described: Described, known: Callable[[str], bool]) -> FieldDef:
    name, type_name = described.get("name"), described.get("type")
    if not isinstance(name, str) or not name:
        raise refusal(of, "a field has no name.", 'Give each field a "name" and a "type".')
    where = f"{of}.{name}"
    if not _NAME.fullmatch(name):
        raise refusal(where, "is not an API name.", "Use letters, digits and single underscores, and __c at the end.")
    if type_name not in FIELD_TYPES:
        what = "has no type." if type_name is None else f"the field type {type_name!r} is unknown."
        raise refusal(where, what, f"Use one of {', '.join(FIELD_TYPES)}.")
    attributes = _dimensions(where, described, type_name) | _reference(where, described, type_name, known)
    attributes |= _picklist(where, described, type_name)
    attributes |= _writing(described, type_name, attributes)
    auto_number, calculated = bool(described.get("autoNumber")), bool(described.get("calculated"))
    can = capabilities(type_name, attributes["length"], auto_number=auto_number, calculated=calculated)
    external = bool(described.get("externalId"))
    return FieldDef(
        name=name,
        label=described.get("label") or _label(name),
        type=type_name,
        calculated=calculated,
        auto_number=auto_number,
        external_id=external,
        id_lookup=bool(described.get("idLookup", external or type_name == "id" or _is_name(described))),
        unique=bool(described.get("unique")),
        case_sensitive=bool(described.get("caseSensitive")),
        name_field=_is_name(described),
        custom=is_custom(name),
        aggregatable=bool(described.get("aggregatable", "A" in can)),
        filterable=bool(described.get("filterable", "F" in can)),
        groupable=bool(described.get("groupable", "G" in can)),
        sortable=bool(described.get("sortable", "S" in can)),
        compound_field_name=described.get("compoundFieldName"),
        extra_type_info=described.get("extraTypeInfo", "plaintextarea" if type_name == "textarea" else None),
        html_formatted=bool(described.get("htmlFormatted")),
        help_text=described.get("inlineHelpText"),
        search_prefilterable=bool(described.get("searchPrefilterable")),
        **attributes,
    )


def _is_name(described: Described) -> bool:
    return bool(described.get("nameField", described["name"] == "Name"))


def _dimensions(where: str, described: Described, type_name: str) -> dict[str, Any]:
    defaults = FIELD_TYPES[type_name]
    values = {"length": defaults.length, "precision": defaults.precision, "scale": defaults.scale}
    values["digits"] = defaults.digits
    if _is_name(described) and type_name == "string":
        values["length"] = 80  # the name of a custom object
    if type_name in NUMBER_TYPES and described.get("precision") and "scale" not in described:
        values["scale"] = 0
    for key, limit in _DIMENSION_LIMITS.items():
        given = described.get(key)
        if given is None:
            continue
        if isinstance(given, bool) or not isinstance(given, int) or not 0 <= given <= limit:
            raise refusal(where, f"{key} {given!r} is not a whole number from 0 to {limit}.", f"Correct {key}.")
        values[key] = given
    if type_name in NUMBER_TYPES and values["scale"] > values["precision"]:
        what = f"scale {values['scale']} is larger than precision {values['precision']}."
        raise refusal(where, what, "precision counts all digits, scale those after the point.")
    return values


def _reference(where: str, described: Described, type_name: str, known: Callable[[str], bool]) -> dict[str, Any]:
    if type_name == "string" and described.get("referenceTo"):  # EntityDefinitionId: a key that is no id
        return {
            "reference_to": tuple(described["referenceTo"]),
            "relationship_name": described.get("relationshipName"),
        }
    if type_name != "reference":
        return {}
    targets = described.get("referenceTo") or []
    if isinstance(targets, str):
        targets = [targets]
    if not targets:
        raise refusal(where, "a reference names no object.", 'Add "referenceTo": ["Account"].')
    name: str = described["name"]
    for target in targets:
        # A standard lookup may point at objects that this org does not carry (Individual, Group); a custom one may not.
        if (is_custom(name) or is_custom(target)) and not known(target):
            raise refusal(
                where, f"refers to the unknown object {target}.", f"Deploy {target} first, or in the same call."
            )
    cascade = bool(described.get("cascadeDelete"))
    relationship = described.get("relationshipName")
    if relationship is None and is_custom(name):
        relationship = name[: -len("__c")] + "__r"
    elif relationship is None and "relationshipName" not in described and name.endswith("Id"):
        relationship = name.removesuffix("Id")
    return {
        "reference_to": tuple(targets),
        "relationship_name": relationship,
        "relationship_order": described.get("relationshipOrder"),
        "polymorphic": bool(described.get("polymorphicForeignKey", described.get("namePointing", len(targets) > 1))),
        "cascade_delete": cascade,
        "deleted_with_parent": cascade,
        "restricted_delete": bool(described.get("restrictedDelete")),
        "child_relationship_name": described.get("childRelationshipName"),
    }


def _picklist(where: str, described: Described, type_name: str) -> dict[str, Any]:
    entries: dict[str, PicklistEntry] = {}
    for given in described.get("picklistValues") or []:
        one = {"value": given} if isinstance(given, str) else given
        value = one.get("value")
        if not isinstance(value, str) or not value:
            raise refusal(where, "a picklist value has no value.", 'Write "A" or {"value": "A", "label": "An A"}.')
        label, active = one.get("label") or value, bool(one.get("active", True))
        # Real describes repeat a value now and then (Product2.Family, v55); the first one counts.
        entries.setdefault(value, PicklistEntry(value, label, active, bool(one.get("defaultValue"))))
    if entries and type_name not in {"picklist", "multipicklist", "combobox"}:
        raise refusal(where, f"a {type_name} has no picklist values.", 'Use "type": "picklist".')
    return {
        "picklist": tuple(entries.values()),
        "restricted_picklist": bool(described.get("restrictedPicklist")),
    }


def _writing(described: Described, type_name: str, attributes: dict[str, Any]) -> dict[str, Any]:
    name = described["name"].casefold()
    default = described.get("defaultValue")
    if default is None:
        chosen = [entry.value for entry in attributes["picklist"] if entry.default]
        default = ";".join(chosen) or (False if type_name == "boolean" else None)
    system = name in _AUDIT or type_name == "id" or type_name in COMPOUND_TYPES
    read_only = system or bool(described.get("calculated")) or bool(described.get("autoNumber"))
    master = attributes.get("cascade_delete", False)
    nillable = bool(described.get("nillable", type_name not in {"boolean", "id"} and not master))
    # rest.md 6.4: a custom name may be left empty and is then the id; a detail keeps its master.
    defaulted = default is not None or type_name == "id" or _is_name(described) or name == "ownerid"
    if system and type_name not in COMPOUND_TYPES:
        defaulted = not name.startswith(("lastactivity", "lastviewed", "lastreferenced"))
        nillable = bool(described.get("nillable", not defaulted))
    updateable = bool(described.get("updateable", not read_only and not master))
    createable = bool(described.get("createable", not read_only))
    permissionable = nillable or type_name == "boolean"
    return {
        "createable": createable,
        "updateable": updateable,
        "nillable": nillable,
        "defaulted_on_create": bool(described.get("defaultedOnCreate", defaulted)),
        "default_value": _csv(default),
        "permissionable": bool(
            described.get("permissionable", permissionable and not system and not _is_name(described))
        ),
    }


def _csv(value: object) -> str | None:
    if value is None or value == "":
        return None
    if isinstance(value, bool):
        return str(value).lower()
    return str(value)


def _location_parts(field: FieldDef) -> list[FieldDef]:
    """A geolocation's two numbers; clients write these, never the compound (rest.md 6.4)."""
    stem = field.name.removesuffix("__c")
    return [
        FieldDef(
            name=f"{stem}__{axis}__s",
            label=f"{field.label} ({axis})",
            type="double",
            precision=18,
            scale=15,
            custom=True,
            groupable=False,
            compound_field_name=field.name,
        )
        for axis in ("Latitude", "Longitude")
    ]

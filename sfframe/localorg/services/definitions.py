"""Definitions as rows: EntityDefinition, FieldDefinition and EntityParticle show the catalogue to SOQL (rest.md 9).

Their tables are ordinary ones, filled from the catalogue before a query looks into them. Two things differ from a real
org: Id and DurableId are both the name (there, Id is 000000000000000AAA throughout, and custom fields have DurableIds
with ids in them), because parents are found by Id.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.catalogue.types import COMPOUND_TYPES, LONG_TEXT
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.store.store import Store, quoted, sql_type
from sfframe.soql import Comparison, Condition, Logic, Membership, Negation, Path, Query, excerpt

NAMES = ("EntityDefinition", "FieldDefinition", "EntityParticle")
_FOLDED = frozenset(name.casefold() for name in NAMES)
# What a query has to be filtered by, unless it asks for objects (rest.md 9, from memory).
_REIFIED = frozenset({"entitydefinitionid", "entitydefinition.qualifiedapiname", "durableid", "id"})
_SUFFIX = re.compile(r"__[a-z]{1,5}$")

Row = dict[str, Any]


def prepare(store: Store, query: Query, text: str) -> None:
    """Bring the tables up to date where the query looks into them; refuses one that lacks the filter it needs."""
    if query.source.name.casefold() not in _FOLDED:
        return
    if query.source.name.casefold() != "entitydefinition" and not _is_reified(query.where):
        # The words are from memory.
        problem = "A filter on a reified column is required [EntityDefinitionId,DurableId]"
        raise ServiceError(400, "MALFORMED_QUERY", f"\n{excerpt(text, query.source.at)}\n{problem}")
    _fill(store)


def _paths(condition: Condition | None) -> Iterator[str]:
    match condition:
        case Logic(terms=terms):
            for term in terms:
                yield from _paths(term)
        case Negation(term=term):
            yield from _paths(term)
        case Comparison(left=Path() as path) | Membership(left=Path() as path):
            yield path.text.casefold()


def _is_reified(condition: Condition | None) -> bool:
    return any(path in _REIFIED for path in _paths(condition))


def _fill(store: Store) -> None:
    with store.transaction() as cursor:
        objects = list(store.catalogue.objects.values())
        counts = " UNION ALL ".join(f"SELECT count(*) FROM data.{quoted(name)}" for name in NAMES[:2])
        shown = [row[0] for row in cursor.execute(counts).fetchall()]
        expected = [len(objects), sum(1 for obj in objects for field in obj if _has_definition(field))]
        # Besides another edition, a reset or the return to a snapshot may have taken rows away.
        if store.shown_edition == store.catalogue.edition and sorted(shown) == sorted(expected):
            return
        stamps = {"LastModifiedDate": store.metadata_changed().isoformat(), "LastModifiedById": store.user_id}
        rows: dict[str, list[Row]] = {
            "EntityDefinition": [_entity(obj) | stamps for obj in objects],
            "FieldDefinition": [_field(obj, one) | stamps for obj in objects for one in obj if _has_definition(one)],
            "EntityParticle": [_particle(obj, one) for obj in objects for one in obj],
        }
        for name, found in rows.items():
            table = store.catalogue.objects[name.casefold()]
            shape = {one.name: sql_type(one) for one in table if one.type not in COMPOUND_TYPES}
            cursor.execute(f"DELETE FROM {store.table(table)}")
            cursor.execute(
                f"INSERT INTO {store.table(table)} BY NAME SELECT unnest(from_json($1, $2), recursive := true)",
                [json.dumps(found), json.dumps([shape])],
            )
        store.shown_edition = store.catalogue.edition


def _has_definition(field: FieldDef) -> bool:
    """The parts of a compound are particles of its definition, and have none of their own."""
    return field.compound_field_name is None or field.compound_field_name == field.name


def _named(name: str, label: str) -> Row:
    namespace, _, developer_name = _SUFFIX.sub("", name).rpartition("__")
    return {
        "QualifiedApiName": name,
        "NamespacePrefix": namespace or None,
        "DeveloperName": developer_name,
        "MasterLabel": label,
        "Label": label,
    }


def _entity(obj: ObjectDef) -> Row:
    return _named(obj.name, obj.label) | {
        "Id": obj.name,
        "DurableId": obj.name,
        "PluralLabel": obj.label_plural,
        "IsCustomizable": obj.layoutable,
        "IsApexTriggerable": obj.triggerable,
        "IsWorkflowEnabled": obj.triggerable,
        "IsProcessEnabled": obj.triggerable and obj.layoutable,
        "IsCompactLayoutable": obj.layoutable,
        "DeploymentStatus": "Deployed" if obj.custom else None,
        "KeyPrefix": obj.key_prefix,
        "IsReplicateable": True,
        "IsRetrieveable": True,
        "IsSearchLayoutable": obj.searchable,
        "IsSearchable": obj.searchable,
        "IsTriggerable": obj.triggerable,
        "IsIdEnabled": True,
        "IsEverCreatable": obj.createable,
        "IsEverUpdatable": obj.updateable,
        "IsEverDeletable": obj.deletable,
        "IsFeedEnabled": obj.feed_enabled,
        "IsQueryable": obj.queryable,
        "IsMruEnabled": obj.mru_enabled,
        "DetailUrl": f"/{obj.key_prefix}/{{ID}}" if obj.layoutable else None,
        "EditUrl": f"/{obj.key_prefix}/{{ID}}/e" if obj.layoutable else None,
        "NewUrl": f"/{obj.key_prefix}/e" if obj.layoutable else None,
        "IsLayoutable": obj.layoutable,
        "InternalSharingModel": "ReadWrite",
        "ExternalSharingModel": "Private",
    }


def _shared(obj: ObjectDef, field: FieldDef) -> Row:
    """What a field's definition and its particle both say."""
    return _named(field.name, field.label) | {
        "Id": f"{obj.name}.{field.name}",
        "DurableId": f"{obj.name}.{field.name}",
        "EntityDefinitionId": obj.name,
        "Length": field.length,
        "ServiceDataTypeId": field.type,
        "ValueTypeId": field.type,
        "ExtraTypeInfo": field.extra_type_info,
        "IsCalculated": field.calculated,
        "IsHtmlFormatted": field.html_formatted,
        "IsNameField": field.name_field,
        "IsNillable": field.nillable,
        "IsWorkflowFilterable": field.filterable,
        "IsCompactLayoutable": field.length <= LONG_TEXT and field.type != "base64",
        "Precision": field.precision,
        "Scale": field.scale,
        "IsApiFilterable": field.filterable,
        "IsApiGroupable": field.groupable,
        "IsApiSortable": field.sortable,
        "IsListVisible": field.type not in {"base64", "id"},
        "RelationshipName": field.relationship_name,
        "ReferenceTo": json.dumps({"referenceTo": list(field.reference_to) or None}, separators=(",", ":")),
        "IsCompound": field.type in COMPOUND_TYPES or field.compound_field_name == field.name,
    }


def _field(obj: ObjectDef, field: FieldDef) -> Row:
    indexed = field.type in {"id", "reference"} or field.external_id or field.unique
    return _shared(obj, field) | {
        "DataType": data_type(field),
        "IsIndexed": indexed,
        "IsListFilterable": field.filterable,
        "IsListSortable": field.sortable,
        "IsSearchPrefilterable": field.search_prefilterable,
        "IsPolymorphicForeignKey": field.polymorphic,
        "Description": None,
    }


def _particle(obj: ObjectDef, field: FieldDef) -> Row:
    whole = field.name if _has_definition(field) else field.compound_field_name
    return _shared(obj, field) | {
        "FieldDefinitionId": f"{obj.name}.{whole}",
        "Name": field.name,
        "DataType": field.type,
        "ByteLength": field.byte_length,
        "Digits": field.digits,
        "InlineHelpText": field.help_text,
        "IsAutonumber": field.auto_number,
        "IsCaseSensitive": field.case_sensitive,
        "IsUnique": field.unique,
        "IsCreatable": field.createable,
        "IsUpdatable": field.updateable,
        "IsDefaultedOnCreate": field.defaulted_on_create,
        "IsPermissionable": field.permissionable,
        "IsEncrypted": field.type == "encryptedstring",
        "IsIdLookup": field.id_lookup,
        "IsNamePointing": field.polymorphic,
        "IsLayoutable": obj.layoutable,
        "RelationshipOrder": field.relationship_order,
        "IsComponent": not _has_definition(field),
    }


_SIZED = {"string": "Text", "url": "URL", "encryptedstring": "Text (Encrypted)"}
_NUMBERS = {"double": "Number", "currency": "Currency", "percent": "Percent"}
_PLAIN = {
    "boolean": "Checkbox",
    "date": "Date",
    "datetime": "Date/Time",
    "time": "Time",
    "phone": "Phone",
    "email": "Email",
    "picklist": "Picklist",
    "combobox": "Picklist",
    "multipicklist": "Picklist (Multi-Select)",
    "address": "Address",
    "location": "Geolocation",
    "base64": "Base64",
    "id": "Lookup()",
}


def data_type(field: FieldDef) -> str:
    """The type as Setup words it: ``Text(40)``, ``Lookup(User)``, ``Number(16, 2)`` (rest.md 9; others from memory)."""
    if field.auto_number:
        return "Auto Number"
    if field.name_field and field.name == "Name" and not field.custom and field.compound_field_name == "Name":
        return "Name"
    if field.type == "reference":
        kind = "Master-Detail" if field.cascade_delete else "Lookup"
        shown = f"{kind}({','.join(field.reference_to)})"
    elif field.type in _NUMBERS:
        shown = f"{_NUMBERS[field.type]}({field.precision - field.scale}, {field.scale})"
    elif field.type in {"int", "long"}:
        shown = f"Number({field.digits}, 0)"
    elif field.type == "textarea":
        kind = (
            "Rich Text Area" if field.html_formatted else "Long Text Area" if field.length > LONG_TEXT else "Text Area"
        )
        shown = f"{kind}({field.length})"
    elif field.type in _SIZED:
        shown = f"{_SIZED[field.type]}({field.length})"
    else:
        shown = _PLAIN.get(field.type, field.type)
    if field.calculated:
        shown = f"Formula ({shown.partition('(')[0].strip()})"
    marks = ["External ID"] if field.external_id else []
    if field.unique:
        marks.append(f"Unique Case {'Sensitive' if field.case_sensitive else 'Insensitive'}")
    return " ".join([shown, *(f"({mark})" for mark in marks)])

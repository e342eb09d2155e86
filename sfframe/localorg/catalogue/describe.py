"""Describes: an object and its fields as the REST resources show them, key by key in the recorded order (rest.md 6)."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef, PicklistEntry
from sfframe.localorg.catalogue.types import FIELD_TYPES, NUMBER_TYPES

Json = dict[str, Any]

MASTER_RECORD_TYPE = "012000000000000AAA"  # rest.md 10


@dataclass(frozen=True, slots=True)
class RecordTypeRow:
    """A row of RecordType that belongs to the described object."""

    id: str
    name: str
    developer_name: str
    active: bool
    default: bool = False


def global_describe(catalogue: Catalogue, base: str) -> Json:
    """``GET /sobjects``; ``base`` is ``/services/data/vNN.0``."""
    return {
        "encoding": "UTF-8",
        "maxBatchSize": 200,
        "sobjects": [basic_describe(obj, base) for obj in catalogue.objects.values()],
    }


def basic_describe(obj: ObjectDef, base: str) -> Json:
    """The 28 keys of an object in the global describe and in ``GET /sobjects/X`` (rest.md 6.1)."""
    return {
        "activateable": False,
        "associateEntityType": None,
        "associateParentEntity": None,
        "createable": obj.createable,
        "custom": obj.custom,
        "customSetting": False,
        "deepCloneable": obj.deep_cloneable,
        "deletable": obj.deletable,
        "deprecatedAndHidden": False,
        "feedEnabled": obj.feed_enabled,
        "hasSubtypes": False,
        "isInterface": False,
        "isSubtype": False,
        "keyPrefix": obj.key_prefix,
        "label": obj.label,
        "labelPlural": obj.label_plural,
        "layoutable": obj.layoutable,
        "mergeable": obj.mergeable,
        "mruEnabled": obj.mru_enabled,
        "name": obj.name,
        "queryable": obj.queryable,
        "replicateable": True,
        "retrieveable": True,
        "searchable": obj.searchable,
        "triggerable": obj.triggerable,
        "undeletable": obj.undeletable,
        "updateable": obj.updateable,
        "urls": _urls(obj, base),
    }


def full_describe(
    obj: ObjectDef, catalogue: Catalogue, base: str, host: str, record_types: tuple[RecordTypeRow, ...] = ()
) -> Json:
    """``GET /sobjects/X/describe`` (rest.md 6.3); ``host`` is the org's URL, for the links into its pages."""
    pages: Json = {
        "uiDetailTemplate": f"{host}/{{ID}}",
        "uiEditTemplate": f"{host}/{{ID}}/e",
        "uiNewRecord": f"{host}/{obj.key_prefix}/e",
    }
    whole = basic_describe(obj, base) | {
        "actionOverrides": [],
        "childRelationships": [_child(child, field) for child, field in catalogue.children_of(obj)],
        "compactLayoutable": obj.layoutable,
        "defaultImplementation": None,
        "extendedBy": None,
        "extendsInterfaces": None,
        "fields": [describe_field(field) for field in obj],
        "implementedBy": None,
        "implementsInterfaces": None,
        "listviewable": None,
        "lookupLayoutable": None,
        "namedLayoutInfos": [],
        "networkScopeFieldName": None,
        "recordTypeInfos": record_type_infos(obj, base, record_types),
        "searchLayoutable": obj.searchable,
        "sobjectDescribeOption": "FULL",
        "supportedScopes": _scopes(obj),
        "urls": _urls(obj, base, pages),
    }
    return dict(sorted(whole.items()))


def describe_field(field: FieldDef) -> Json:
    """The 57 keys of a field, in alphabetical order (rest.md 6.4)."""
    return {
        "aggregatable": field.aggregatable,
        "aiPredictionField": False,
        "autoNumber": field.auto_number,
        "byteLength": field.byte_length,
        "calculated": field.calculated,
        "calculatedFormula": None,
        "cascadeDelete": field.cascade_delete,
        "caseSensitive": field.case_sensitive,
        "compoundFieldName": field.compound_field_name,
        "controllerName": None,
        "createable": field.createable,
        "custom": field.custom,
        "defaultValue": _default_value(field),
        "defaultValueFormula": None,
        "defaultedOnCreate": field.defaulted_on_create,
        "dependentPicklist": False,
        "deprecatedAndHidden": False,
        "digits": field.digits,
        "displayLocationInDecimal": False,
        "encrypted": field.type == "encryptedstring",
        "externalId": field.external_id,
        "extraTypeInfo": field.extra_type_info,
        "filterable": field.filterable,
        "filteredLookupInfo": None,
        "formulaTreatNullNumberAsZero": False,
        "groupable": field.groupable,
        "highScaleNumber": False,
        "htmlFormatted": field.html_formatted,
        "idLookup": field.id_lookup,
        "inlineHelpText": field.help_text,
        "label": field.label,
        "length": field.length,
        "mask": None,
        "maskType": None,
        "name": field.name,
        "nameField": field.name_field,
        "namePointing": field.polymorphic,
        "nillable": field.nillable,
        "permissionable": field.permissionable,
        "picklistValues": [_picklist_value(entry) for entry in field.picklist],
        "polymorphicForeignKey": field.polymorphic,
        "precision": field.precision,
        "queryByDistance": field.type in {"address", "location"},
        "referenceTargetField": None,
        "referenceTo": list(field.reference_to),
        "relationshipName": field.relationship_name,
        "relationshipOrder": field.relationship_order,
        "restrictedDelete": field.restricted_delete,
        "restrictedPicklist": field.restricted_picklist,
        "scale": field.scale,
        "searchPrefilterable": field.search_prefilterable,
        "soapType": FIELD_TYPES[field.type].soap,
        "sortable": field.sortable,
        "type": field.type,
        "unique": field.unique,
        "updateable": field.updateable,
        "writeRequiresMasterRead": False,
    }


def _byte_length(field: FieldDef) -> int:
    if field.type in {"id", "reference", "multipicklist"}:
        return field.length
    return 3 * field.length


def _default_value(field: FieldDef) -> bool | int | float | str | None:
    if field.default_value is None:
        return None
    if field.type == "boolean":
        return field.default_value == "true"
    if field.type in NUMBER_TYPES:
        return float(field.default_value)
    if field.type in {"int", "long"}:
        return int(field.default_value)
    return field.default_value


def _picklist_value(entry: PicklistEntry) -> Json:
    return {
        "active": entry.active,
        "defaultValue": entry.default,
        "label": entry.label,
        "validFor": None,
        "value": entry.value,
    }


def _child(child: ObjectDef, field: FieldDef) -> Json:
    return {
        "cascadeDelete": field.deleted_with_parent,
        "childSObject": child.name,
        "deprecatedAndHidden": False,
        "field": field.name,
        "junctionIdListNames": [],
        "junctionReferenceTo": [],
        "relationshipName": field.child_relationship_name,
        "restrictedDelete": field.keeps_parent or field.restricted_delete,
    }


def record_type_infos(obj: ObjectDef, base: str, rows: tuple[RecordTypeRow, ...]) -> list[Json]:
    """The record types as a describe lists them, Master at the end; none where the object has no record types."""
    if not obj.record_types:
        return []
    chosen = any(row.default for row in rows)
    master = RecordTypeRow(MASTER_RECORD_TYPE, "Master", "Master", active=True, default=not chosen)
    return [
        {
            "active": row.active,
            "available": row.active,
            "defaultRecordTypeMapping": row.default,
            "developerName": row.developer_name,
            "master": row is master,
            "name": row.name,
            "recordTypeId": row.id,
            "urls": {"layout": f"{base}/sobjects/{obj.name}/describe/layouts/{row.id}"},
        }
        for row in (*rows, master)
    ]


def _scopes(obj: ObjectDef) -> list[Json]:
    plural = obj.label_plural.lower()
    scopes = [{"label": f"All {plural}", "name": "everything"}]
    if obj.field("OwnerId") is not None:
        scopes.append({"label": f"My {plural}", "name": "mine"})
    return scopes


def _urls(obj: ObjectDef, base: str, pages: Json | None = None) -> Json:
    """The links in their recorded order (rest.md 6.1, 6.3); ``pages`` are those into the org's pages.

    What has no layout has no layouts to describe, what is not recently viewed no list views.
    """
    sobject = f"{base}/sobjects/{obj.name}"
    described = f"{sobject}/describe"
    pages = pages if pages and obj.layoutable else {}
    layouts, viewed = obj.layoutable, obj.layoutable and obj.mru_enabled
    links = {
        "compactLayouts": f"{described}/compactLayouts" if layouts else None,
        "rowTemplate": f"{sobject}/{{ID}}",
        "approvalLayouts": f"{described}/approvalLayouts" if viewed else None,
        "uiDetailTemplate": pages.get("uiDetailTemplate"),
        "uiEditTemplate": pages.get("uiEditTemplate"),
        "listviews": f"{sobject}/listviews" if viewed else None,
        "describe": described,
        "uiNewRecord": pages.get("uiNewRecord"),
        "quickActions": f"{sobject}/quickActions" if layouts else None,
        "layouts": f"{described}/layouts" if layouts else None,
        "sobject": sobject,
    }
    return {name: link for name, link in links.items() if link is not None}

"""Deploys: what a description may leave out, and what is refused."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.describe import full_describe
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef, PicklistEntry


def deployed(described: dict[str, Any]) -> ObjectDef:
    return Catalogue.standard().deploy([described])[0]


def field_of(**described: Any) -> FieldDef:
    field = deployed({"name": "Account", "fields": [described]}).field(described["name"])
    assert field is not None
    return field


def test_an_external_id_on_a_standard_object_is_a_key_for_upserts() -> None:
    described = {"name": "Ext_Id__c", "type": "string", "externalId": True, "unique": True, "length": 40}
    assert field_of(**described) == FieldDef(
        "Ext_Id__c", "Ext Id", "string", length=40, external_id=True, unique=True, id_lookup=True, custom=True
    )


@pytest.mark.parametrize(
    ("described", "expected"),
    [
        ({"type": "string"}, {"length": 255}),
        ({"type": "textarea", "length": 1000}, {"length": 1000, "filterable": False, "sortable": False}),
        ({"type": "double"}, {"precision": 18, "scale": 2, "groupable": False}),
        ({"type": "double", "precision": 6}, {"precision": 6, "scale": 0}),
        ({"type": "boolean"}, {"nillable": False, "defaulted_on_create": True, "default_value": "false"}),
        ({"type": "boolean", "defaultValue": True}, {"default_value": "true", "createable": True}),
        ({"type": "date"}, {"groupable": True, "aggregatable": True}),
        ({"type": "datetime"}, {"groupable": False, "sortable": True}),
        ({"type": "multipicklist", "picklistValues": ["A", "B"]}, {"length": 4099, "precision": 4, "sortable": False}),
        ({"type": "string", "calculated": True}, {"createable": False, "updateable": False, "groupable": False}),
        ({"type": "string", "autoNumber": True}, {"createable": False, "updateable": False, "auto_number": True}),
    ],
)
def test_what_is_left_out_takes_the_default_of_the_type(described: dict[str, Any], expected: dict[str, Any]) -> None:
    field = field_of(name="X__c", **described)
    assert {name: getattr(field, name) for name in expected} == expected


def test_picklist_values_may_be_plain_texts_and_a_default_makes_the_field_defaulted() -> None:
    field = field_of(name="Tier__c", type="picklist", picklistValues=["A", {"value": "B", "defaultValue": True}])
    assert field.picklist == (PicklistEntry("A", "A"), PicklistEntry("B", "B", default=True))
    assert (field.default_value, field.defaulted_on_create, field.restricted_picklist) == ("B", True, False)


def test_a_custom_lookup_names_both_ends_of_the_relationship() -> None:
    thing = deployed(
        {
            "name": "Thing__c",
            "fields": [
                {"name": "Parent__c", "type": "reference", "referenceTo": ["Account"]},
                {"name": "Other__c", "type": "reference", "referenceTo": ["Account"]},
            ],
        }
    )
    names = [(one.relationship_name, one.child_relationship_name) for one in thing if one.custom]
    assert names == [("Parent__r", "Things__r"), ("Other__r", "Things1__r")]


def test_a_custom_object_gets_what_every_custom_object_has() -> None:
    thing = deployed({"name": "Big_Thing__c", "fields": [{"name": "N__c", "type": "int"}]})
    assert (thing.label, thing.label_plural, thing.key_prefix, thing.custom) == (
        "Big Thing",
        "Big Things",
        "a00",
        True,
    )
    assert [one.name for one in thing] == [
        *("Id", "OwnerId", "IsDeleted", "Name"),
        *("CreatedDate", "CreatedById", "LastModifiedDate", "LastModifiedById", "SystemModstamp"),
        *("LastActivityDate", "LastViewedDate", "LastReferencedDate", "N__c"),
    ]
    name = thing.field("Name")
    assert name is not None
    # rest.md 6.4: recorded of custom names.
    assert (name.label, name.length, name.nillable, name.defaulted_on_create, name.id_lookup, name.name_field) == (
        *("Big Thing Name", 80, True, True, True, True),
    )


def test_a_detail_belongs_to_its_master_and_has_no_owner() -> None:
    catalogue = Catalogue.standard()
    master = {"name": "Master__c"}
    link = {"name": "Master__c", "type": "reference", "referenceTo": ["Master__c"], "cascadeDelete": True}
    _, detail = catalogue.deploy([master, {"name": "Detail__c", "fields": [link]}])
    field = detail.field("Master__c")
    assert field is not None
    assert (field.createable, field.updateable, field.nillable, field.permissionable) == (True, False, False, False)
    assert (field.cascade_delete, field.deleted_with_parent, field.relationship_order) == (True, True, 0)
    assert detail.field("OwnerId") is None
    assert (catalogue.find("Master__c"), detail.key_prefix) == (catalogue.by_prefix("a00"), "a01")


def test_a_geolocation_brings_its_two_numbers() -> None:
    thing = deployed({"name": "Thing__c", "fields": [{"name": "Place__c", "type": "location"}]})
    assert [(one.name, one.type, one.scale, one.compound_field_name) for one in thing if one.custom] == [
        ("Place__c", "location", 0, None),
        ("Place__Latitude__s", "double", 15, "Place__c"),
        ("Place__Longitude__s", "double", 15, "Place__c"),
    ]


def test_a_field_that_exists_is_replaced_in_its_place_and_stays_a_child_of_its_parent() -> None:
    catalogue = Catalogue.standard()
    before = [one.name for one in catalogue.objects["contact"]]
    link = {"name": "AccountId", "type": "reference", "referenceTo": ["Account"], "label": "Company"}
    (contact,) = catalogue.deploy([{"name": "contact", "fields": [link]}])
    field = contact.field("AccountId")
    assert field is not None
    assert [one.name for one in contact] == before
    assert (contact.name, field.label, field.relationship_name) == ("Contact", "Company", "Account")
    assert (field.child_relationship_name, field.deleted_with_parent) == ("Contacts", True)


def test_our_own_describes_can_be_deployed_and_say_the_same() -> None:
    catalogue = Catalogue.standard()
    before = {name: full_describe(obj, catalogue, "/b", "h") for name, obj in catalogue.objects.items()}
    catalogue.deploy(json.loads(json.dumps(list(before.values()))))
    assert {name: full_describe(obj, catalogue, "/b", "h") for name, obj in catalogue.objects.items()} == before


def test_a_described_standard_object_that_is_new_takes_its_known_prefix() -> None:
    quote = deployed({"name": "Quote", "fields": [{"name": "Name", "type": "string", "nillable": False}]})
    assert (quote.key_prefix, quote.custom) == ("0Q0", False)


def test_what_only_the_parents_describe_says_of_a_child_is_taken_over() -> None:
    children = [
        {"childSObject": "Part__c", "field": "Machine__c", "relationshipName": "Spares__r", "cascadeDelete": True},
        {"childSObject": "Part__c", "field": "Account__c", "relationshipName": None, "restrictedDelete": True},
    ]
    fields = [
        {"name": "Machine__c", "type": "reference", "referenceTo": ["Machine__c"]},
        {"name": "Account__c", "type": "reference", "referenceTo": ["Account"]},
    ]
    machine = {"name": "Machine__c", "childRelationships": children[:1]}
    account = {"name": "Account", "childRelationships": children[1:]}
    part = Catalogue.standard().deploy([{"name": "Part__c", "fields": fields}, machine, account])[0]
    said = [
        (field.name, field.child_relationship_name, field.deleted_with_parent, field.keeps_parent)
        for field in part
        if field.custom
    ]
    assert said == [("Machine__c", "Spares__r", True, False), ("Account__c", "Parts__r", False, True)]


def test_a_whole_describe_may_refer_to_objects_that_stayed_behind_a_sketch_may_not() -> None:
    lookup = {"name": "Machine__c", "type": "reference", "referenceTo": ["Machine__c"]}
    whole = deployed({"name": "Part__c", "fields": [{"name": "Id", "type": "id"}, lookup]})
    assert [field.reference_to for field in whole if field.custom] == [("Machine__c",)]
    with pytest.raises(ValueError, match="refers to the unknown object Machine__c"):
        deployed({"name": "Part__c", "fields": [lookup]})


def test_all_recorded_describes_deploy_at_once(reference: Callable[[str], Path]) -> None:
    files = sorted(reference("describes/full").glob("*.json"))
    described = [json.loads(file.read_text("utf-8")) for file in files]
    catalogue = Catalogue.standard()
    planned = catalogue.deploy(described)
    assert [obj.name for obj in planned] == [one["name"] for one in described]
    product = catalogue.find("Product2")
    assert product is not None
    theirs = {field["name"] for one in described if one["name"] == "Product2" for field in one["fields"]}
    assert theirs <= {field.name for field in product}


ACCOUNT = {"name": "Account"}


@pytest.mark.parametrize(
    ("described", "message"),
    [
        ([{"fields": []}], "An object: has no name."),
        ([{"name": "My Thing"}], "My Thing: is not an API name."),
        ([{"name": "Acount"}], "Acount: a standard object needs its keyPrefix."),
        ([ACCOUNT, {"name": "account"}], "Account: the object is described twice."),
        ([{"name": "Account", "fields": {"a": 1}}], "Account: fields is not a list of described fields."),
        ([{"name": "Thing__c", "keyPrefix": "a0"}], "Thing__c: keyPrefix 'a0' is not three letters or digits."),
        ([{"name": "Quote", "keyPrefix": "001"}], "Quote: keyPrefix 001 belongs to another object."),
        ([ACCOUNT | {"fields": [{"type": "string"}]}], "Account: a field has no name."),
        ([ACCOUNT | {"fields": [{"name": "X__c"}]}], "Account.X__c: has no type."),
        ([ACCOUNT | {"fields": [{"name": "X c", "type": "string"}]}], "Account.X c: is not an API name."),
        ([ACCOUNT | {"fields": [{"name": "X__c", "type": "text"}]}], "Account.X__c: the field type 'text' is unknown."),
        (
            [ACCOUNT | {"fields": [{"name": "X__c", "type": "int"}, {"name": "x__c", "type": "int"}]}],
            "Account.x__c: the field is described twice.",
        ),
        (
            [ACCOUNT | {"fields": [{"name": "X__c", "type": "reference"}]}],
            "Account.X__c: a reference names no object.",
        ),
        (
            [ACCOUNT | {"fields": [{"name": "X__c", "type": "reference", "referenceTo": ["Y__c"]}]}],
            "Account.X__c: refers to the unknown object Y__c.",
        ),
        (
            [ACCOUNT | {"fields": [{"name": "X__c", "type": "string", "length": "40"}]}],
            "Account.X__c: length '40' is not a whole number from 0 to 1048576.",
        ),
        (
            [ACCOUNT | {"fields": [{"name": "X__c", "type": "double", "precision": 2, "scale": 3}]}],
            "Account.X__c: scale 3 is larger than precision 2.",
        ),
        (
            [ACCOUNT | {"fields": [{"name": "X__c", "type": "string", "picklistValues": ["A"]}]}],
            "Account.X__c: a string has no picklist values.",
        ),
        (
            [ACCOUNT | {"fields": [{"name": "X__c", "type": "picklist", "picklistValues": [{"label": "A"}]}]}],
            "Account.X__c: a picklist value has no value.",
        ),
    ],
)
def test_a_deploy_that_cannot_be_changes_nothing_and_says_where(described: list[Any], message: str) -> None:
    catalogue = Catalogue.standard()
    before = catalogue.objects
    with pytest.raises(ValueError, match="Nothing was deployed") as refused:
        catalogue.deploy([{"name": "Fine__c"}, *described])
    assert str(refused.value).startswith(f"{message} Nothing was deployed. ")
    assert catalogue.objects == before

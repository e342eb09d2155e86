"""Describes of old and new API versions become the same plain data."""

import json

from sfframe.protocol.call import Reply
from sfframe.protocol.describe import ObjectSummary, describe, describe_global
from sfframe.schema import Field, PicklistValue, SObject

OLD = {
    "name": "Widget__c",
    "label": "Widget",
    "keyPrefix": "a01",
    "custom": True,
    "createable": True,
    "updateable": True,
    "deletable": True,
    "queryable": True,
    "fields": [{"name": "Id", "type": "id", "label": "Record ID", "length": 18, "nillable": False}],
}


def test_describe_asks_for_one_object_and_escapes_its_name():
    assert describe("Account").path == "sobjects/Account/describe"
    assert describe("A/../B").path == "sobjects/A%2F..%2FB/describe"
    assert dict(describe("Account").headers) == {}


def test_keys_that_an_old_version_lacks_take_the_value_they_mean_there():
    found = describe("Widget__c").read(Reply(200, {}, json.dumps(OLD).encode()))
    assert found == SObject(
        name="Widget__c",
        label="Widget",
        key_prefix="a01",
        fields=(Field(name="Id", label="Record ID", type="id", length=18, nillable=False),),
        custom=True,
    )


def test_every_attribute_of_a_field_is_read():
    source = {
        "aggregatable": False, "autoNumber": True, "calculated": True, "caseSensitive": True,
        "compoundFieldName": "BillingAddress", "createable": True, "custom": True, "defaultedOnCreate": True,
        "digits": 8, "externalId": True, "extraTypeInfo": "plaintextarea", "filterable": False, "groupable": False,
        "idLookup": True, "label": "L", "length": 40, "name": "N__c", "nameField": True, "nillable": False,
        "picklistValues": [
            {"active": False, "defaultValue": True, "label": None, "validFor": "gAAA", "value": "a"},
            {"active": True, "defaultValue": False, "label": "B", "validFor": None, "value": "b"},
        ],
        "polymorphicForeignKey": True, "precision": 18, "referenceTo": ["Group", "User"],
        "relationshipName": "Owner", "restrictedPicklist": True, "scale": 2, "sortable": False, "type": "novel",
        "unique": True, "updateable": True,
    }  # fmt: skip
    body = json.dumps({**OLD, "fields": [source]}).encode()
    found = describe("Widget__c").read(Reply(200, {}, body))
    assert found.fields == (
        Field(
            name="N__c", label="L", type="novel", length=40, precision=18, scale=2, digits=8, nillable=False,
            createable=True, updateable=True, defaulted_on_create=True, calculated=True, auto_number=True,
            external_id=True, id_lookup=True, unique=True, case_sensitive=True, name_field=True, custom=True,
            filterable=False, sortable=False, groupable=False, aggregatable=False, restricted_picklist=True,
            picklist_values=(PicklistValue("a", "a", active=False, default=True), PicklistValue("b", "B")),
            reference_to=("Group", "User"), relationship_name="Owner", polymorphic=True,
            compound_field_name="BillingAddress", extra_type_info="plaintextarea",
        ),
    )  # fmt: skip


def test_describe_global_lists_names_and_flags():
    one = {"name": "Account", "label": "Account", "keyPrefix": "001", "queryable": True, "createable": True}
    share = {"name": "AccountShare", "label": "Account Share", "keyPrefix": None, "queryable": True}
    body = json.dumps({"encoding": "UTF-8", "maxBatchSize": 200, "sobjects": [one, share]}).encode()
    assert describe_global().read(Reply(200, {}, body)) == (
        ObjectSummary("Account", "Account", "001", False, True, True, False, False),
        ObjectSummary("AccountShare", "Account Share", None, False, True, False, False, False),
    )

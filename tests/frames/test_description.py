"""An object's describe as frames."""

from __future__ import annotations

import polars as pl

from sfframe.frames.description import Description
from sfframe.schema import ChildRelationship, Field, PicklistValue, RecordType, SObject
from tests.frames.sample import ACCOUNT, CONTACT

STAGE = Field(
    "Stage__c",
    "<Stage>",
    "picklist",
    255,
    nillable=False,
    createable=True,
    restricted_picklist=True,
    picklist_values=(PicklistValue("a", "A", default=True), PicklistValue("b", "B", active=False)),
)
DEAL = SObject(
    "Deal__c",
    "Deal",
    None,
    (Field("Id", "Record ID", "id", 18), STAGE, Field("Sum__c", "Sum", "currency", precision=16, scale=2)),
    custom=True,
    deletable=False,
    child_relationships=(ChildRelationship("Notes__r", "Note__c", "Deal__c", cascade_delete=True),),
    record_types=(RecordType("012000000000000AAA", "Master", "Master", default=True, master=True),),
)


def test_fields_are_one_row_each_with_the_type_that_a_read_gives():
    fields = Description(ACCOUNT).fields
    assert fields["name"].to_list() == [one.name for one in ACCOUNT]
    assert fields.columns[:6] == ["name", "label", "type", "dtype", "required", "length"]
    shown = fields.filter(pl.col("name").is_in(["Name", "AnnualRevenue", "OwnerId", "BillingAddress", "Logo__c"]))
    assert shown.select("name", "type", "dtype", "required", "precision", "reference_to").rows() == [
        ("Name", "string", "String", True, 0, []),
        ("AnnualRevenue", "currency", "Float64", False, 18, []),
        ("Logo__c", "base64", "String", False, 0, []),
        ("OwnerId", "reference", "String", False, 0, ["User"]),
        ("BillingAddress", "address", "Struct", False, 0, []),
    ]


def test_picklists_children_and_record_types_are_frames():
    deal = Description(DEAL)
    assert deal.picklists.rows() == [
        ("Stage__c", True, "a", "A", True, True),
        ("Stage__c", True, "b", "B", False, False),
    ]
    assert deal.picklists.columns == ["field", "restricted", "value", "label", "active", "default"]
    assert deal.child_relationships.to_dicts() == [
        {
            "name": "Notes__r",
            "child": "Note__c",
            "field": "Deal__c",
            "cascade_delete": True,
            "restricted_delete": False,
        }
    ]
    assert deal.record_types.row(0) == ("012000000000000AAA", "Master", "Master", True, True, True, True)


def test_an_object_without_any_has_empty_frames_with_types():
    contact = Description(CONTACT)
    assert contact.picklists.schema == Description(DEAL).picklists.schema
    assert contact.child_relationships.schema == Description(DEAL).child_relationships.schema
    assert contact.record_types.is_empty()


def test_a_description_can_be_read_in_a_terminal_and_in_a_notebook():
    assert repr(Description(DEAL)) == (
        "Deal__c (Deal), key prefix none: 3 fields, 1 child relationships; this user may query, create, update\n"
        "  Id        id              read only\n"
        "  Stage__c  picklist(255)   required, 2 values\n"
        "  Sum__c    currency(16,2)  read only"
    )
    assert repr(Description(ACCOUNT)).splitlines()[-1] == "  … and 17 more: .fields has all"
    page = Description(DEAL)._repr_html_()
    assert "<td>Stage__c</td><td>picklist(255)</td><td>required, 2 values</td>" in page
    odd = SObject("Odd__c", "<b>", "a00", ())
    assert "&lt;b&gt;" in Description(odd)._repr_html_()
    assert repr(Description(odd)).startswith("Odd__c (<b>), key prefix a00: 0 fields")

"""Parents by id and by external id."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from sfframe.localorg.services.columns import ColumnFault, resolve
from tests.localorg.ingest_org import IngestOrg


@pytest.fixture
def org() -> Iterator[IngestOrg]:
    with IngestOrg() as org:
        org.load("insert", "Name,Ext__c,Serial__c,Code__c\na,K1,1,C1\nb,K2,2,C2\nc,k2,3,C3\n")
        org.load("insert", "Name\nFirm\nGone\n", "Account")
        org.load("delete", f"Id\n{org.id(2, 'Account')}\n", "Account")
        yield org


def test_a_parent_is_named_by_id_of_15_or_18_characters(org: IngestOrg) -> None:
    firm = org.id(1, "Account")
    job = org.load("insert", f"Name,Firm__c\nx,{firm}\ny,{firm[:15]}\nz,#N/A\n")
    assert org.errors(job) == []
    assert org.rows('"Firm__c"', where="\"Name\" IN ('x', 'y', 'z')") == [(firm,), (firm,), (None,)]


def test_a_parent_that_is_none_has_its_own_error_for_each_way(org: IngestOrg) -> None:
    widget, gone, missing = org.id(1), org.id(2, "Account"), org.id(9, "Account")
    job = org.load("insert", f"Name,Firm__c\nv,abc\nw,{widget}\nx,{missing}\ny,{gone}\n")
    assert org.errors(job) == [
        "MALFORMED_ID:Firm: id value of incorrect type: abc:Firm__c --",
        f"FIELD_INTEGRITY_EXCEPTION:Firm: id value of incorrect type: {widget}:Firm__c --",
        "INVALID_CROSS_REFERENCE_KEY:invalid cross reference id:--",
        "ENTITY_IS_DELETED:entity is deleted:--",
    ]


def test_a_parent_is_named_by_external_id_without_case_and_echoed_as_typed(org: IngestOrg) -> None:
    job = org.load("insert", "Name,parent__R.ext__c\nx,k1\ny,\n")
    assert org.successes(job) == [
        '"sf__Id","sf__Created",Name,parent__R.ext__c',
        f'"{org.id(4)}","true","x","k1"',
        f'"{org.id(5)}","true","y",""',
    ]
    assert org.rows('"Parent__c"', where="\"Name\" IN ('x', 'y')") == [(org.id(1),), (None,)]


def test_an_external_id_that_names_no_parent_or_several_is_a_row_error(org: IngestOrg) -> None:
    job = org.load("insert", "Name,Parent__r.Ext__c\nx,nope\ny,K2\nz,#N/A\n")
    assert org.errors(job) == [
        "INVALID_FIELD:Foreign key external ID: nope not found for field Ext__c in entity Widget__c:--",
        f"INVALID_FIELD:More than one record found for external id field: [{org.id(2)}, {org.id(3)}]:--",
        "INVALID_FIELD:Foreign key external ID: #N/A not found for field Ext__c in entity Widget__c:--",
    ]


def test_a_number_as_external_id_is_compared_as_a_number(org: IngestOrg) -> None:
    job = org.load("insert", "Name,Parent__r.Serial__c\nx,2.0\ny,7\nz,seven\n")
    assert org.errors(job) == [
        "INVALID_FIELD:Foreign key external ID: 7 not found for field Serial__c in entity Widget__c:--",
        "INVALID_FIELD:Foreign key external ID: seven not found for field Serial__c in entity Widget__c:--",
    ]
    assert org.rows('"Parent__c"', where="\"Name\" = 'x'") == [(org.id(2),)]


def test_an_empty_relationship_cell_leaves_the_parent_of_a_changed_row(org: IngestOrg) -> None:
    org.load("update", f"Id,Parent__r.Ext__c\n{org.id(2)},K1\n")
    org.load("update", f"Id,Parent__r.Ext__c,Text__c\n{org.id(2)},,x\n")
    assert org.rows('"Parent__c", "Text__c"', where="\"Name\" = 'b'") == [(org.id(1), "x")]


def test_an_owner_is_named_by_a_field_of_the_user(org: IngestOrg) -> None:
    [(username,)] = org.rows('"Username"', "User")
    job = org.load("insert", f"Name,Owner.Username\nx,{username.upper()}\n")
    assert org.errors(job) == []


def test_a_record_type_must_exist(org: IngestOrg) -> None:
    job = org.load("insert", "Name,RecordTypeId\nx,012000000000001AAA\n", "Account")
    assert org.errors(job) == [
        (
            "INVALID_CROSS_REFERENCE_KEY:"
            "Record Type ID: this ID value isn't valid for the user: 012000000000001AAA:RecordTypeId --"
        )
    ]


@pytest.mark.parametrize(
    ("names", "fault"),
    [
        (["Name", "Colour_typo__c"], "Field name not found : Colour_typo__c"),
        (["Name", ""], "Field name not found : "),
        (["Parent__r.Text__c"], "Field name not found : Parent__r.Text__c"),
        (["Parent__r.Parent__r.Ext__c"], "Field name not found : Parent__r.Parent__r.Ext__c"),
        (["Widget__c:Parent__r.Ext__c"], "Field name not found : Widget__c:Parent__r.Ext__c"),
        (["Name", "NAME"], "Duplicate field name found : NAME"),
        (["Parent__c", "Parent__r.Ext__c"], "Duplicate field name found : Parent__r.Ext__c"),
    ],
)
def test_columns_that_fit_nothing_are_refused_as_typed(org: IngestOrg, names: list[str], fault: str) -> None:
    widget = org.store.catalogue.find("Widget__c")
    assert widget is not None
    with pytest.raises(ColumnFault) as caught:
        resolve(names, widget, org.store.catalogue)
    assert str(caught.value) == fault


def test_a_polymorphic_relationship_needs_the_type_of_its_parent(org: IngestOrg) -> None:
    org.store.deploy(
        [
            {
                "name": "Note__c",
                "fields": [
                    {
                        "name": "About__c",
                        "type": "reference",
                        "referenceTo": ["Account", "Widget__c"],
                        "relationshipName": "About__r",
                    }
                ],
            }
        ]
    )
    job = org.load("insert", "Name,Widget__c:About__r.Ext__c\nx,K1\n", "Note__c")
    assert org.errors(job) == []
    assert org.rows('"About__c"', "Note__c") == [(org.id(1),)]
    refused = org.load("insert", "Name,About__r.Ext__c\nx,K1\n", "Note__c")
    assert org.info(refused)["errorMessage"] == "InvalidBatch : Field name not found : About__r.Ext__c"

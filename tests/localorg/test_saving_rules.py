"""Rules that a user declares, master-detail, deletions that are refused and taken back."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from sfframe.localorg import LocalOrg
from sfframe.localorg.services import rules
from sfframe.localorg.store.rules import DuplicateRule, ValidationRule
from tests.localorg.ingest_org import IngestOrg

NEEDS_TEXT = ValidationRule("Widget__c", "Text", "Amount__c > 100 AND Text__c = null", "Say why, please", "Text__c")


def test_a_validation_rule_refuses_the_rows_for_which_its_condition_holds() -> None:
    with IngestOrg() as org:
        rules.declare(org.store, NEEDS_TEXT)
        job = org.load("insert", "Name,Amount__c,Text__c\na,100,\nb,101,\nc,500,big\nd,,\n")
        assert org.errors(job) == ["FIELD_CUSTOM_VALIDATION_EXCEPTION:Say why, please:Text__c --"]
        assert org.rows('"Name"') == [("a",), ("c",), ("d",)]


def test_a_validation_rule_sees_a_changed_row_as_it_would_be() -> None:
    with IngestOrg() as org:
        org.load("insert", "Name,Amount__c,Text__c,Ext__c\na,500,big,A\nb,5,,B\n")
        rules.declare(org.store, NEEDS_TEXT)
        content = f"Id,Amount__c,Text__c\n{org.id(1)},,#N/A\n{org.id(2)},99,\n"
        assert org.errors(org.load("update", content)) == [
            "FIELD_CUSTOM_VALIDATION_EXCEPTION:Say why, please:Text__c --"
        ]
        upsert = org.load("upsert", "Ext__c,Amount__c\nA,400\nB,400\nC,400\n", externalIdFieldName="Ext__c")
        assert len(org.errors(upsert)) == 2
        assert org.rows('"Name", "Amount__c", "Text__c"') == [("a", 400.0, "big"), ("b", 99.0, None)]


def test_a_validation_rule_sees_parents_and_tells_no_field_where_none_is_named() -> None:
    with IngestOrg() as org:
        org.load("insert", "Name,Industry\na,Banking\nb,Retail\n", obj="Account")
        rules.declare(
            org.store, ValidationRule("Widget__c", "Bank", "Firm__r.Industry = 'banking'", "No: banks, please")
        )
        content = f"Name,Firm__c\nx,{org.id(1, 'Account')}\ny,{org.id(2, 'Account')}\nz,\n"
        job = org.load("insert", content)
        assert org.errors(job) == ["FIELD_CUSTOM_VALIDATION_EXCEPTION:No: banks, please:--"]


def test_a_row_that_a_rule_refuses_takes_no_unique_value() -> None:
    with IngestOrg() as org:
        rules.declare(org.store, NEEDS_TEXT)
        job = org.load("insert", "Name,Code__c,Amount__c\na,K,500\nb,K,5\n")
        assert len(org.errors(job)) == 1
        assert org.rows('"Name", "Code__c"') == [("b", "K")]


def test_a_duplicate_rule_compares_all_its_fields_without_case() -> None:
    with IngestOrg() as org:
        org.load("insert", "Name,Mail__c,Text__c\na,x@y.org,one\n")
        rules.declare(org.store, DuplicateRule("Widget__c", "Same", ("Mail__c", "Text__c")))
        content = "Name,Mail__c,Text__c\nb,X@Y.ORG,ONE\nc,x@y.org,two\nd,x@y.org,Two\ne,,\nf,,\n"
        assert org.errors(org.load("insert", content)) == ["DUPLICATES_DETECTED:Use one of these records?:--"] * 2
        assert org.rows('"Name"') == [("a",), ("c",), ("e",), ("f",)]
        same = f"Id,Text__c\n{org.id(1)},one\n{org.id(3)},ONE\n"
        job = org.load("update", same)
        assert org.errors(job) == ["DUPLICATES_DETECTED:Use one of these records?:--"]


def test_rules_are_kept_in_the_file_and_replaced_by_their_name(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    with LocalOrg(path) as org:
        org.validation_rule("account", name="R", when="Name = 'no'", message="first")
        org.validation_rule("Account", name="R", when="Name = 'no'", message="second")
        org.duplicate_rule("Account", name="D", fields=["Name"], message="There is one")
    with LocalOrg(path) as org:
        org.reset()
        with pytest.raises(ValueError, match="FIELD_CUSTOM_VALIDATION_EXCEPTION:second:--"):
            org.insert("Account", pl.DataFrame({"Name": ["no"]}))
        with pytest.raises(ValueError, match="DUPLICATES_DETECTED:There is one:--"):
            org.insert("Account", pl.DataFrame({"Name": ["yes", "YES"]}))


def test_a_restore_brings_back_the_rules_of_its_snapshot() -> None:
    with LocalOrg() as org:
        before = org.snapshot()
        org.validation_rule("Account", name="R", when="Name != null", message="none at all")
        org.restore(before)
        assert len(org.insert("Account", pl.DataFrame({"Name": ["yes"]}))) == 1


@pytest.mark.parametrize(
    ("when", "field", "words"),
    [
        ("Nmae = 'x'", None, "No such column 'Nmae' on entity 'Account'"),
        ("Name =", None, "unexpected"),
        ("Name = 'x'", "Nmae", "Account has no field Nmae"),
    ],
)
def test_a_rule_that_does_not_fit_its_object_is_refused(when: str, field: str | None, words: str) -> None:
    with LocalOrg() as org:
        with pytest.raises(ValueError, match=words):
            org.validation_rule("Account", name="R", when=when, message="no", field=field)
        assert len(org.insert("Account", pl.DataFrame({"Name": ["x"]}))) == 1


DETAIL: list[dict[str, Any]] = [
    {"name": "Crate__c", "fields": []},
    {
        "name": "Bottle__c",
        "fields": [
            {"name": "Crate__c", "type": "reference", "referenceTo": ["Crate__c"], "cascadeDelete": True},
            {"name": "Shelf__c", "type": "reference", "referenceTo": ["Crate__c"], "restrictedDelete": True},
        ],
    },
    {
        "name": "Label__c",
        "fields": [
            {
                "name": "Bottle__c",
                "type": "reference",
                "referenceTo": ["Bottle__c"],
                "cascadeDelete": True,
                "updateable": True,
            }
        ],
    },
]


def test_a_detail_needs_its_master_and_keeps_it_unless_it_may_be_moved() -> None:
    with IngestOrg() as org:
        org.store.deploy(DETAIL)
        org.load("insert", "Name\na\nb\n", obj="Crate__c")
        a, b = org.id(1, "Crate__c"), org.id(2, "Crate__c")
        job = org.load("insert", f"Name,Crate__c\nx,{a}\ny,\n", obj="Bottle__c")
        assert org.errors(job) == ["REQUIRED_FIELD_MISSING:Required fields are missing: [Crate__c]:Crate__c --"]
        moved = org.load("update", f"Id,Crate__c\n{org.id(1, 'Bottle__c')},{b}\n", obj="Bottle__c")
        assert [error.split(":")[0] for error in org.errors(moved)] == ["INVALID_FIELD_FOR_INSERT_UPDATE"]
        org.load("insert", f"Name,Crate__c\nz,{b}\n", obj="Bottle__c")
        first, second = org.id(1, "Bottle__c"), org.rows('"Id"', "Bottle__c")[1][0]
        org.load("insert", f"Name,Bottle__c\nl,{first}\n", obj="Label__c")
        org.load("update", f"Id,Bottle__c\n{org.id(1, 'Label__c')},{second}\n", obj="Label__c")
        assert org.rows('"Bottle__c"', "Label__c") == [(second,)]


def test_a_restricted_lookup_protects_its_parent() -> None:
    with IngestOrg() as org:
        org.store.deploy(DETAIL)
        org.load("insert", "Name\na\nb\n", obj="Crate__c")
        a, b = org.id(1, "Crate__c"), org.id(2, "Crate__c")
        org.load("insert", f"Name,Crate__c,Shelf__c\nx,{a},{b}\n", obj="Bottle__c")
        job = org.load("delete", f"Id\n{b}\n", obj="Crate__c")
        assert [error.split(":")[0] for error in org.errors(job)] == ["DELETE_FAILED"]
        assert org.rows('"IsDeleted"', "Crate__c") == [(False,), (False,)]


PARTNER = "012000000000001AAA"
TYPED: dict[str, Any] = {
    "name": "Account",
    "fields": [{"name": "RecordTypeId", "type": "reference", "referenceTo": ["RecordType"]}],
    "recordTypeInfos": [
        {"name": "Partner", "developerName": "Partner", "recordTypeId": PARTNER, "defaultRecordTypeMapping": True},
        {"name": "End Customer", "active": False},
        {"name": "Master", "master": True, "recordTypeId": "012000000000000AAA"},
    ],
}


def test_record_types_come_with_a_deploy_and_new_rows_get_the_default(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    with LocalOrg(path) as org:
        empty = org.snapshot()
        org.deploy(TYPED)
        for renew in (lambda: None, org.reset, lambda: org.restore(empty)):
            renew()
            types = org.table("RecordType").select("DeveloperName", "SobjectType", "IsActive").sort("DeveloperName")
            assert types.rows() == [("End_Customer", "Account", False), ("Partner", "Account", True)]
            other = org.table("RecordType").filter(DeveloperName="End_Customer")["Id"][0]
            org.insert("Account", pl.DataFrame({"Name": ["a"]}))
            org.insert("Account", pl.DataFrame({"Name": ["b", "c"], "RecordTypeId": [other, None]}))
            assert org.table("Account")["RecordTypeId"].to_list() == [PARTNER, other, PARTNER]
    with LocalOrg(path) as org:
        described = org._services.describes.full("Account", "/services/data/v60.0", org.url).text
        infos = {one["name"]: one for one in json.loads(described)["recordTypeInfos"]}
        assert {name: one["defaultRecordTypeMapping"] for name, one in infos.items()} == {
            "End Customer": False,
            "Partner": True,
            "Master": False,
        }
        with pytest.raises(ValueError, match="INVALID_CROSS_REFERENCE_KEY:Record Type ID: this ID value isn't valid"):
            org.insert("Account", pl.DataFrame({"Name": ["d"], "RecordTypeId": ["012000000000009AAA"]}))


@pytest.mark.parametrize("name", ["Case", "Crate__c"])
def test_an_object_with_record_types_has_the_field_for_them(name: str) -> None:
    with LocalOrg() as org:
        org.deploy({"name": name, "recordTypeInfos": [{"name": "Big", "defaultRecordTypeMapping": True}]})
        [row] = org.insert(name, pl.DataFrame({"RecordTypeId": [None]}, schema={"RecordTypeId": pl.String}))
        [kind] = org.table("RecordType")["Id"]
        assert org.table(name).select("Id", "RecordTypeId").rows() == [(row, kind)]
        field = json.loads(org._services.describes.full(name, "/services/data/v60.0", org.url).text)["fields"]
        assert [one["relationshipName"] for one in field if one["name"] == "RecordTypeId"] == ["RecordType"]


def test_what_was_deleted_together_comes_back_together() -> None:
    with LocalOrg() as org:
        org.deploy(DETAIL)
        crates = org.insert("Crate__c", pl.DataFrame({"Name": ["a", "b"]}))
        bottles = org.insert("Bottle__c", pl.DataFrame({"Name": ["x", "y"], "Crate__c": crates}))
        org.insert("Label__c", pl.DataFrame({"Bottle__c": bottles}))
        ingest = org._services.ingest
        job = ingest.create_with_content(
            "v60.0", {"object": "Crate__c", "operation": "delete"}, f"Id\n{crates[0]}\n".encode()
        )
        ingest.wait(job["id"])
        assert [org.table(name).height for name in ("Crate__c", "Bottle__c", "Label__c")] == [1, 1, 1]
        unknown = f"{crates[0][:11]}9999"
        assert org.undelete("Crate__c", [crates[0][:15], crates[1], "nothing", unknown]) == {
            crates[1]: "UNDELETE_FAILED: Entity is not in the recycle bin",
            "nothing": "MALFORMED_ID: malformed id nothing",
            unknown: "INVALID_CROSS_REFERENCE_KEY: invalid cross reference id",
        }
        assert [org.table(name).height for name in ("Crate__c", "Bottle__c", "Label__c")] == [2, 2, 2]

"""Collections of records over REST: results in order, partial success, all or none (rest.md 8.5)."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from tests.localorg.record_org import BASE, RecordOrg, body_of, org, recorded

__all__ = ["org"]

PATH = "/composite/sobjects"


def record(kind: str, **values: object) -> dict[str, object]:
    return {"attributes": {"type": kind}, **values}


def failed(code: str, message: str, *fields: str) -> dict[str, object]:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": list(fields)}]}


ROLLED_BACK = failed(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
)


def test_good_and_bad_records_of_several_objects_are_answered_in_order(org: RecordOrg) -> None:
    records = [
        record("Account", Name="a", Ext__c="A"),
        record("contact", FirstName="none"),
        record("Contact", LastName="b", Account={"Ext__c": "a"}),
        record("Account", Name="c", Nope__c=1),
        record("Nope__c", Name="d"),
        record("Movie__c", Name="e", Seats__c="many"),
        record("Movie__c", Name="f", Rating__c="Bad"),
        record("Contact", LastName="g", AccountId=None),
    ]
    text = json.dumps({"records": records})
    status, results = org.call("POST", PATH, content=text)
    account, contact, other = (results[at].pop("id") for at in (0, 2, 7))
    good = {"success": True, "errors": []}
    place = text.index('"many"') + 1
    unread = (
        "Cannot deserialize instance of int from VALUE_STRING value many or request may be missing a required field at "
        f"[line:1, column:{place}]"
    )
    assert status == 200
    assert results == [
        good,
        failed("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "LastName"),
        good,
        failed("INVALID_FIELD", "No such column 'Nope__c' on sobject of type Account"),
        failed("INVALID_TYPE", "sObject type 'Nope__c' is not supported."),
        failed("JSON_PARSER_ERROR", unread),
        failed(
            "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST",
            "Rating: bad value for restricted picklist field: Bad",
            "Rating__c",
        ),
        good,
    ]
    assert org.rows('SELECT "Id", "AccountId" FROM data."Contact" ORDER BY 1') == [(contact, account), (other, None)]


def test_records_name_a_parent_by_id_and_by_external_id_in_one_call(org: RecordOrg) -> None:
    parent = org.made("Account", Name="a", Ext__c="A")
    records = [
        record("Contact", LastName="1", AccountId=parent),
        record("Contact", LastName="2", Account={"Ext__c": "A"}),
        record("Contact", LastName="3"),
        record("Contact", LastName="4", AccountId=parent, Account={"Ext__c": "A"}),
    ]
    _, results = org.call("POST", PATH, {"records": records})
    assert [one["success"] for one in results] == [True, True, True, False]
    assert org.rows('SELECT "LastName", "AccountId" FROM data."Contact" ORDER BY 1') == [
        ("1", parent),
        ("2", parent),
        ("3", None),
    ]


def test_all_or_none_undoes_all_runs_of_a_call(org: RecordOrg) -> None:
    records = [record("Account", Name="a"), record("Contact", FirstName="b"), record("Account", Name="c")]
    status, results = org.call("POST", PATH, {"allOrNone": True, "records": records})
    missing = failed("REQUIRED_FIELD_MISSING", "Required fields are missing: [LastName]", "LastName")
    assert (status, results) == (200, [ROLLED_BACK, missing, ROLLED_BACK])
    assert [list(one) for one in results] == [["success", "errors"]] * 3
    assert org.rows('SELECT "Name" FROM data."Account"') == []
    whole = {"allOrNone": True, "records": [record("Account", Name="a"), record("Account", Name="c")]}
    assert [one["success"] for one in org.call("POST", PATH, whole)[1]] == [True, True]


def test_updates_name_their_records_by_id_in_any_spelling(org: RecordOrg) -> None:
    first, second = org.made("Account", Name="a"), org.made("Account", Name="b")
    absent = f"{second[:14]}9"
    records = [
        record("Account", id=first, Name="A"),
        record("Account", Id=second[:15], Name="B", Rating="Hot"),
        record("Account", Name="nobody"),
        record("Account", Id=absent, Name="C"),
        record("Account", Id="no id", Name="D"),
        record("Account", Id=second, Site="again"),
    ]
    _, results = org.call("PATCH", PATH, {"records": records})
    assert results == [
        {"id": first, "success": True, "errors": []},
        {"id": second, "success": True, "errors": []},
        failed("MISSING_ARGUMENT", "Id not specified in an update call"),
        {"id": results[3]["id"], **failed("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")},
        failed("MALFORMED_ID", "malformed id no id"),
        {"id": second, **failed("DUPLICATE_VALUE", f"Duplicate id specified: {second}", "Id")},
    ]
    assert results[3]["id"][:15] == absent
    assert org.rows('SELECT "Name", "Rating" FROM data."Account" ORDER BY 1') == [("A", None), ("B", "Hot")]


def test_an_upsert_tells_what_was_created(org: RecordOrg) -> None:
    first = org.made("Account", Name="a", Ext__c="A")
    records = [
        record("Account", Name="b", Ext__c="a"),
        record("Account", Name="c", Ext__c="C"),
        record("Account", Name="d"),
        record("Contact", LastName="e"),
        record("Account", Name="f", Ext__c="c"),
    ]
    status, results = org.call("PATCH", f"{PATH}/Account/Ext__c", {"records": records})
    created = results[1].pop("id")
    blank = "External ID was blank for Account. An External ID must be specified for upsert."
    assert (status, results) == (
        200,
        [
            {"id": first, "success": True, "errors": [], "created": False},
            {"success": True, "errors": [], "created": True},
            {**failed("MISSING_ARGUMENT", blank), "created": False},
            {**failed("INVALID_TYPE", "The record is not of the type Account"), "created": False},
            # The record before was saved already: a run of its own began behind the contact.
            {"id": created, "success": True, "errors": [], "created": False},
        ],
    )
    by_id = [record("Account", Id=None, Name="new"), record("Account", Id=first, Name="old")]
    _, results = org.call("PATCH", f"{PATH}/Account/Id", {"records": by_id})
    assert [one["created"] for one in results] == [True, False]
    assert org.call("PATCH", f"{PATH}/Account/Rating", {"records": by_id})[0] == 404


def test_a_delete_takes_ids_of_any_objects(org: RecordOrg) -> None:
    account, contact = org.made("Account", Name="a"), org.made("Contact", LastName="b")
    ids = f"{contact},{account[:15]},{account},nothing,001000000000000AAA"
    status, results = org.call("DELETE", f"{PATH}?ids={ids}")
    assert status == 200
    assert results == [
        {"id": contact, "success": True, "errors": []},
        {"id": account, "success": True, "errors": []},
        {"id": account, **failed("ENTITY_IS_DELETED", "entity is deleted")},
        failed("MALFORMED_ID", "malformed id nothing"),
        {"id": "001000000000000AAA", **failed("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")},
    ]
    again = org.made("Account", Name="c")
    _, results = org.call("DELETE", f"{PATH}?ids={again},{account}&allOrNone=true")
    assert [one["errors"][0]["statusCode"] for one in results] == [
        "ALL_OR_NONE_OPERATION_ROLLED_BACK",
        "ENTITY_IS_DELETED",
    ]
    assert org.rows('SELECT "Name" FROM data."Account" WHERE NOT "IsDeleted"') == [("c",)]


def test_records_are_retrieved_in_the_order_of_the_ids_with_null_for_the_absent(org: RecordOrg) -> None:
    first, second = org.made("Account", Name="a"), org.made("Account", Name="b")
    absent = "001000000000000AAA"
    found = org.call("GET", f"{PATH}/Account", params={"ids": f"{second},{absent},{first[:15]}", "fields": "name"})
    expected = [
        {"attributes": {"type": "Account", "url": f"{BASE}/sobjects/Account/{one}"}, "Name": name, "Id": one}
        for one, name in ((second, "b"), (first, "a"))
    ]
    assert found == (200, [expected[0], None, expected[1]])
    assert org.call("POST", f"{PATH}/Account", {"ids": [second, absent, first], "fields": ["Name"]}) == found
    unknown = org.call("POST", f"{PATH}/Account", {"ids": [first], "fields": ["Nope__c"]})
    words = "No such column 'Nope__c' on sobject of type Account"
    assert unknown == (400, [{"message": words, "errorCode": "INVALID_FIELD"}])


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"records": []}, "REQUIRED_FIELD_MISSING"),
        ({}, "REQUIRED_FIELD_MISSING"),
        ({"records": [record("Account", Name="a")] * 201}, "EXCEEDED_ID_LIMIT"),
        ({"records": [record(kind, Name="a") for kind in ("Account", "Movie__c") * 6]}, "LIMIT_EXCEEDED"),
        ({"records": [{"Name": "a"}]}, "REQUIRED_FIELD_MISSING"),
        ({"records": ["a"]}, "JSON_PARSER_ERROR"),
        ({"records": {"a": 1}}, "JSON_PARSER_ERROR"),
        ([1], "JSON_PARSER_ERROR"),
    ],
    ids=["no record", "no list", "201 records", "12 chunks", "no type", "text", "object", "array"],
)
def test_a_call_that_is_not_well_formed_saves_nothing(org: RecordOrg, body: Any, code: str) -> None:
    status, answer = org.call("POST", PATH, body)
    assert (status, [one["errorCode"] for one in answer]) == (400, [code])
    assert org.rows('SELECT "Id" FROM data."Account"') == []


def test_two_hundred_records_are_one_save(org: RecordOrg) -> None:
    records = [record("Account", Name=f"n{at:03}", NumberOfEmployees=at) for at in range(200)]
    _, results = org.call("POST", PATH, {"records": records})
    ids = [one["id"] for one in results]
    assert ids == sorted(set(ids))
    assert len(ids) == 200
    stored = org.rows('SELECT "Id", "Name", "NumberOfEmployees" FROM data."Account" ORDER BY "Name"')
    assert stored == [(one, f"n{at:03}", at) for at, one in enumerate(ids)]


def test_recorded_loads_of_cumulusci_succeed_with_the_recorded_keys(
    org: RecordOrg, reference: Callable[[str], Path]
) -> None:
    replayed = 0
    for one in recorded(reference, "cumulusci", "PATCH", "/composite/sobjects/Contact/Email"):
        body, expected = body_of(one["request"]), body_of(one["response"])
        for row in body["records"]:
            row.pop("AccountId", None)  # an account of the recorded org
        status, results = org.call("PATCH", f"{PATH}/Contact/Email", body)
        assert (status, [list(row) for row in results]) == (200, [list(row) for row in expected])
        assert [row["success"] for row in results] == [True] * len(expected)
        replayed += 1
    assert replayed == 4
    assert org.rows('SELECT count(*) FROM data."Contact" WHERE "Email" <> lower("Email")') == [(0,)]


def test_recorded_failures_of_a_create_come_back_to_the_letter(
    org: RecordOrg, reference: Callable[[str], Path]
) -> None:
    found = recorded(reference, "amp-labs", "POST", "/composite/sobjects")
    answers = {one["source"].rpartition("/")[2]: body_of(one["response"]) for one in found}
    half = {"allOrNone": True, "records": [record("Contact", FirstName="a"), record("Contact", LastName="b")]}
    assert answers["partial-but-allOrNone.json"] == org.call("POST", PATH, half)[1]
    nothing = [answer for answer in answers.values() if "errorCode" in answer[0]]
    assert nothing == [org.call("POST", PATH, {"records": []})[1]]

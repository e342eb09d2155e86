"""Trees of records over REST: parents with their children, whole or not at all (rest.md 8.4)."""

from __future__ import annotations

from typing import Any

import pytest

from tests.localorg.record_org import RecordOrg, org

__all__ = ["org"]


def node(kind: str, reference_id: str, **values: object) -> dict[str, Any]:
    return {"attributes": {"type": kind, "referenceId": reference_id}, **values}


def tree(*records: object) -> dict[str, object]:
    return {"records": list(records)}


def test_children_point_at_their_parents_and_results_come_by_level(org: RecordOrg) -> None:
    body = tree(
        node(
            "Account",
            "a1",
            Name="first",
            Contacts=tree(node("Contact", "c1", LastName="x", Description="d"), node("Contact", "c2", LastName="y")),
            Movies__r=tree(node("Movie__c", "m1", Name="m")),
        ),
        node("Account", "a2", Name="second", ChildAccounts=tree(node("Account", "a3", Name="below"))),
    )
    status, answer = org.call("POST", "/composite/tree/Account/", body)
    ids = {one["referenceId"]: one["id"] for one in answer["results"]}
    assert (status, answer["hasErrors"], list(ids)) == (201, False, ["a1", "a2", "c1", "c2", "m1", "a3"])
    assert [list(one) for one in answer["results"]] == [["referenceId", "id"]] * 6
    assert org.rows('SELECT "Id", "ParentId" FROM data."Account" ORDER BY "Name"') == [
        (ids["a3"], ids["a2"]),
        (ids["a1"], None),
        (ids["a2"], None),
    ]
    assert org.rows('SELECT "Id", "AccountId" FROM data."Contact" ORDER BY "LastName"') == [
        (ids["c1"], ids["a1"]),
        (ids["c2"], ids["a1"]),
    ]
    assert org.rows('SELECT "Studio__c" FROM data."Movie__c"') == [(ids["a1"],)]


def test_a_bad_child_stores_nothing_and_only_it_is_told(org: RecordOrg) -> None:
    body = tree(
        node("Account", "a1", Name="good", Contacts=tree(node("Contact", "c1", LastName="x" * 81))),
        node("Account", "a2", Name="good", Contacts=tree(node("Contact", "c2", LastName="y"))),
    )
    status, answer = org.call("POST", "/composite/tree/Account", body)
    words = f"Last Name: data value too large: {'x' * 81} (max length=80)"
    error = {"statusCode": "STRING_TOO_LONG", "message": words, "fields": ["LastName"]}
    assert (status, answer) == (400, {"hasErrors": True, "results": [{"referenceId": "c1", "errors": [error]}]})
    assert org.rows('SELECT "Id" FROM data."Account" UNION ALL SELECT "Id" FROM data."Contact"') == []
    unknown = org.call("POST", "/composite/tree/Account", tree(node("Account", "a", Name="x", Nope__c=1)))
    assert unknown[1]["results"][0]["errors"][0]["statusCode"] == "INVALID_FIELD"


def test_a_failed_tree_inside_of_a_composite_undoes_it(org: RecordOrg) -> None:
    parts = [
        {"referenceId": "one", "method": "POST", "url": "/services/data/v60.0/sobjects/Account", "body": {"Name": "a"}},
        {
            "referenceId": "two",
            "method": "POST",
            "url": "/services/data/v60.0/composite/tree/Account",
            "body": tree(node("Account", "good", Name="b", Contacts=tree(node("Contact", "bad")))),
        },
    ]
    status, answer = org.call("POST", "/composite", {"allOrNone": True, "compositeRequest": parts})
    assert (status, [one["httpStatusCode"] for one in answer["compositeResponse"]]) == (200, [400, 400])
    assert answer["compositeResponse"][1]["body"]["results"][0]["referenceId"] == "bad"
    assert org.rows('SELECT * FROM data."Account"') == []


def chain(levels: int) -> dict[str, Any]:
    top = node("Account", f"l{levels}", Name="x")
    for level in range(levels - 1, 0, -1):
        top = node("Account", f"l{level}", Name="x", ChildAccounts=tree(top))
    return top


@pytest.mark.parametrize(
    "body",
    [
        {},
        {"records": []},
        {"records": "x"},
        {"records": [1]},
        tree({"Name": "no reference"}),
        tree(node("Contact", "c", LastName="of another type")),
        tree(node("Account", "a", Name="x"), node("Account", "a", Name="twice")),
        tree(*(node("Account", f"a{at}", Name="x") for at in range(201))),
        tree(node("Account", "a", Name="x", Nothing__r=tree(node("Account", "b", Name="x")))),
        tree(node("Account", "a", Name="x", Contacts={"records": {}})),
        tree(chain(6)),
    ],
)
def test_a_tree_that_is_not_well_formed_stores_nothing(org: RecordOrg, body: dict[str, object]) -> None:
    status, answer = org.call("POST", "/composite/tree/Account", body)
    assert (status, list(answer[0])) == (400, ["message", "errorCode"])
    assert org.rows('SELECT * FROM data."Account"') == []


def test_two_hundred_records_on_five_levels_are_taken(org: RecordOrg) -> None:
    body = tree(chain(5), *(node("Account", f"a{at}", Name="x") for at in range(195)))
    status, answer = org.call("POST", "/composite/tree/Account", body)
    assert (status, len(answer["results"])) == (201, 200)
    assert org.rows('SELECT count("ParentId"), count(*) FROM data."Account"') == [(4, 200)]

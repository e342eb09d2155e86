"""simple-salesforce is content with records: one at a time, what changed, composite requests."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from tests.foreign.verdicts import judges, refusal

pytestmark = pytest.mark.slow


@judges(
    "simple-salesforce",
    "SFType.create",
    "SFType.create: errors",
    "SFType.get",
    "SFType.get_by_custom_id",
    "SFType.update",
    "SFType.upsert",
    "SFType.upsert: several matches",
    "SFType.delete",
)
def test_it_creates_reads_changes_and_deletes_a_record(client: Any) -> None:
    one = {"Name": "One, Inc.", "Ext_Id__c": "cr 1/a", "AnnualRevenue": 12.5, "BillingCity": "Rome"}
    made = client.Account.create(one)
    assert (made["success"], made["errors"], len(made["id"])) == (True, [], 18)
    read = client.Account.get(made["id"][:15])
    assert (read["Id"], read["Name"], read["AnnualRevenue"], read["IsDeleted"]) == (made["id"], "One, Inc.", 13, False)
    assert read["BillingAddress"]["city"] == "Rome"
    assert client.Account.update(made["id"], {"Name": "Two", "Site": None}) == 204
    assert client.Account.upsert("Ext_Id__c/cr2", {"Name": "Three"}) == 201
    assert client.Account.upsert("Ext_Id__c/cr2", {"Name": "Four"}) == 200
    answer = client.Account.upsert("Ext_Id__c/cr2", {"Site": "x"}, raw_response=True).json()
    assert (answer["success"], answer["created"], answer["errors"]) == (True, False, [])
    assert client.Account.get_by_custom_id("Ext_Id__c", "cr2")["Name"] == "Four"
    with pytest.raises(SalesforceMalformedRequest) as incomplete:
        client.Account.create({"Ext_Id__c": "cr3"})
    assert refusal(incomplete) == [
        {
            "message": "Required fields are missing: [Name]",
            "errorCode": "REQUIRED_FIELD_MISSING",
            "fields": ["Name"],
        }
    ]
    with pytest.raises(SalesforceMalformedRequest) as twice:
        client.Account.create({"Name": "x", "Ext_Id__c": "cr2"})
    assert [error["errorCode"] for error in refusal(twice)] == ["DUPLICATE_VALUE"]
    with pytest.raises(SalesforceMalformedRequest) as unknown:
        client.Account.create({"Nope__c": 1})
    assert refusal(unknown) == [
        {"message": "No such column 'Nope__c' on sobject of type Account", "errorCode": "INVALID_FIELD"}
    ]
    twins = [
        client.Contact.create({"LastName": "Twin", "Key__c": "same", "Email": "twins@example.com"})["id"] for _ in "ab"
    ]
    for key in ("Key__c/same", "Email/twins@example.com"):
        with pytest.raises(SalesforceMoreThanOneRecord) as several:
            client.Contact.upsert(key, {"LastName": "Which"})
        base = f"/services/data/v{client.sf_version}/sobjects/Contact"
        assert sorted(refusal(several)) == sorted(f"{base}/{twin}" for twin in twins)
    assert client.Account.delete(made["id"]) == 204
    for gone in (client.Account.get, client.Account.delete):
        with pytest.raises(SalesforceResourceNotFound) as missing:
            gone(made["id"])
        assert refusal(missing)[0]["errorCode"] in {"NOT_FOUND", "ENTITY_IS_DELETED"}


@judges("simple-salesforce", "SFType.updated", "SFType.deleted")
def test_it_asks_what_changed(client: Any) -> None:
    kept, gone = (client.Account.create({"Name": name})["id"] for name in ("Kept", "Gone"))
    client.Account.delete(gone)
    now = datetime.now(UTC)
    since, until = now - timedelta(hours=1), now + timedelta(hours=1)
    updated = client.Account.updated(since, until)
    assert kept in updated["ids"]
    assert gone not in updated["ids"]
    assert list(updated) == ["ids", "latestDateCovered"]
    deleted = client.Account.deleted(since, until)
    assert gone in {one["id"] for one in deleted["deletedRecords"]}
    assert list(deleted) == ["deletedRecords", "earliestDateAvailable", "latestDateCovered"]


@judges(
    "simple-salesforce",
    "Salesforce.restful: composite",
    "Salesforce.restful: composite, all or none",
    "Salesforce.restful: composite/sobjects",
    "Salesforce.restful: composite/tree",
    "Salesforce.restful: composite/batch",
    "Salesforce.restful: composite/graph",
)
def test_it_sends_composite_requests(client: Any) -> None:
    base = f"/services/data/v{client.sf_version}"

    def make(reference: str, name: str) -> dict[str, object]:
        body = {"Name": name}
        return {"method": "POST", "url": f"{base}/sobjects/Account", "referenceId": reference, "body": body}

    child = {
        "method": "POST",
        "url": f"{base}/sobjects/Contact",
        "referenceId": "child",
        "body": {"LastName": "Child", "AccountId": "@{made.id}"},
    }
    asked = {
        "method": "GET",
        "url": f"{base}/query?q=SELECT+LastName+FROM+Contact+WHERE+AccountId='@{{made.id}}'",
        "referenceId": "asked",
    }
    whole = client.restful("composite", method="POST", json={"compositeRequest": [make("made", "Whole"), child, asked]})
    assert [part["httpStatusCode"] for part in whole["compositeResponse"]] == [201, 201, 200]
    assert [one["LastName"] for one in whole["compositeResponse"][2]["body"]["records"]] == ["Child"]

    undone = client.restful(
        "composite",
        method="POST",
        json={"allOrNone": True, "compositeRequest": [make("first", "Undone"), make("second", "")]},
    )
    assert [part["body"][0]["errorCode"] for part in undone["compositeResponse"]] == [
        "PROCESSING_HALTED",
        "REQUIRED_FIELD_MISSING",
    ]
    assert client.query("SELECT Id FROM Account WHERE Name = 'Undone'")["totalSize"] == 0

    records = [{"attributes": {"type": "Account"}, "Name": name} for name in ("A", "", "C")]
    rows = client.restful("composite/sobjects", method="POST", json={"allOrNone": False, "records": records})
    assert [row["success"] for row in rows] == [True, False, True]
    many = [{"attributes": {"type": "Account"}, "Name": f"Row {n}"} for n in range(200)]
    full = client.restful("composite/sobjects", method="POST", json={"allOrNone": True, "records": many})
    assert [row["success"] for row in full] == [True] * 200
    ids = ",".join(row["id"] for row in full)
    gone = client.restful("composite/sobjects", method="DELETE", params={"ids": ids})
    assert [row["success"] for row in gone] == [True] * 200
    tree = {
        "attributes": {"type": "Account", "referenceId": "root"},
        "Name": "Root",
        "Contacts": {
            "records": [{"attributes": {"type": "Contact", "referenceId": "leaf"}, "LastName": "Leaf"}],
        },
    }
    planted = client.restful("composite/tree/Account", method="POST", json={"records": [tree]})
    assert (planted["hasErrors"], [one["referenceId"] for one in planted["results"]]) == (False, ["root", "leaf"])
    batch = {
        "batchRequests": [
            {
                "method": "PATCH",
                "url": f"v{client.sf_version}/sobjects/Account/{rows[0]['id']}",
                "richInput": {"Site": "x"},
            },
            {"method": "GET", "url": f"v{client.sf_version}/sobjects/Account/{rows[0]['id']}?fields=Site"},
        ]
    }
    answers = client.restful("composite/batch", method="POST", json=batch)
    assert [one["statusCode"] for one in answers["results"]] == [204, 200]
    assert answers["results"][1]["result"]["Site"] == "x"
    graph = {"graphs": [{"graphId": "one", "compositeRequest": [make("only", "Graph")]}]}
    (drawn,) = client.restful("composite/graph", method="POST", json=graph)["graphs"]
    assert (drawn["graphId"], drawn["isSuccessful"]) == ("one", True)

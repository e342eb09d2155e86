"""simple-salesforce reads and writes records, one at a time and in composites, and is content."""

from __future__ import annotations

import datetime as dt
from typing import Any

import pytest
from simple_salesforce.exceptions import (
    SalesforceMalformedRequest,
    SalesforceMoreThanOneRecord,
    SalesforceResourceNotFound,
)

from tests.foreign.test_simple_salesforce import client

__all__ = ["client"]

pytestmark = pytest.mark.slow


def test_it_creates_reads_changes_and_deletes_records(client: Any) -> None:
    made = client.Account.create({"Name": "One by one", "BillingCity": "Rome"})
    assert (made["success"], made["errors"]) == (True, [])
    assert client.Account.get(made["id"][:15])["BillingAddress"]["city"] == "Rome"
    assert client.Account.update(made["id"], {"BillingCity": None}) == 204
    assert client.Account.get(made["id"])["BillingCity"] is None
    assert client.Account.delete(made["id"]) == 204
    with pytest.raises(SalesforceResourceNotFound) as absent:
        client.Account.get(made["id"])
    content: Any = absent.value.content
    assert content[0]["errorCode"] == "NOT_FOUND"
    with pytest.raises(SalesforceMalformedRequest) as refused:
        client.Account.create({"Nope__c": 1})
    content = refused.value.content
    assert content == [{"message": "No such column 'Nope__c' on sobject of type Account", "errorCode": "INVALID_FIELD"}]


def test_it_upserts_by_external_id_and_is_told_of_several(client: Any) -> None:
    assert client.Account.upsert("Ext_Id__c/one-by-one", {"Name": "first"}) == 201
    assert client.Account.upsert("Ext_Id__c/one-by-one", {"Name": "second"}) == 200
    assert client.Account.get_by_custom_id("Ext_Id__c", "one-by-one")["Name"] == "second"
    for name in ("a", "b"):
        client.Contact.create({"LastName": name, "Email": "twins@example.com"})
    with pytest.raises(SalesforceMoreThanOneRecord) as several:
        client.Contact.upsert("Email/twins@example.com", {"LastName": "c"})
    assert len(several.value.content) == 2


def test_it_lists_what_changed_and_what_was_deleted(client: Any) -> None:
    kept, gone = (client.Contact.create({"LastName": name})["id"] for name in ("kept", "gone"))
    client.Contact.delete(gone)
    now = dt.datetime.now(dt.UTC)
    begin, end = now - dt.timedelta(hours=1), now + dt.timedelta(hours=1)
    assert kept in client.Contact.updated(begin, end)["ids"]
    assert gone in [one["id"] for one in client.Contact.deleted(begin, end)["deletedRecords"]]


def test_it_sends_collections_composites_batches_and_trees(client: Any) -> None:
    rows = [{"attributes": {"type": "Account"}, "Name": f"row {at}"} for at in range(200)]
    results = client.restful("composite/sobjects", method="POST", json={"allOrNone": True, "records": rows})
    assert all(one["success"] for one in results)
    base = f"/services/data/v{client.sf_version}"
    parts = [
        {"method": "POST", "url": f"{base}/sobjects/Account", "referenceId": "a", "body": {"Name": "outer"}},
        {
            "method": "GET",
            "url": f"{base}/query/?q=SELECT Id, Name FROM Account WHERE Id = '@{{a.id}}'",
            "referenceId": "q",
        },
    ]
    answer = client.restful("composite", method="POST", json={"allOrNone": True, "compositeRequest": parts})
    assert [one["httpStatusCode"] for one in answer["compositeResponse"]] == [201, 200]
    assert answer["compositeResponse"][1]["body"]["records"][0]["Name"] == "outer"
    batch = [{"method": "GET", "url": f"v{client.sf_version}/sobjects/Account/{results[0]['id']}?fields=Name"}]
    answer = client.restful("composite/batch", method="POST", json={"batchRequests": batch})
    assert (answer["hasErrors"], answer["results"][0]["result"]["Name"]) == (False, "row 0")
    child = {"attributes": {"type": "Contact", "referenceId": "c"}, "LastName": "child"}
    parent = {"attributes": {"type": "Account", "referenceId": "p"}, "Name": "parent", "Contacts": {"records": [child]}}
    answer = client.restful("composite/tree/Account", method="POST", json={"records": [parent]})
    assert [one["referenceId"] for one in answer["results"]] == ["p", "c"]
    ids = ",".join(one["id"] for one in results)
    assert len(client.restful("composite/sobjects", method="DELETE", params={"ids": ids})) == 200

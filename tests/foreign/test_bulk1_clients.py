"""Clients of Bulk API 1.0 that nobody here wrote: salesforce-bulk (XML documents) and simple-salesforce (JSON)."""

from __future__ import annotations

import csv
import io
import json
import time
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce import bulk as simple_bulk
from simple_salesforce.api import Salesforce
from simple_salesforce.exceptions import SalesforceGeneralError, SalesforceMalformedRequest

from sfframe.localorg import LocalOrg

pytestmark = pytest.mark.slow

FIELDS = [
    {"name": "Ext_Id__c", "type": "string", "length": 20, "externalId": True, "unique": True},
    {"name": "Opened__c", "type": "datetime"},
]
MISSING = "REQUIRED_FIELD_MISSING:Required fields are missing: [Name]:Name --"


@pytest.fixture(scope="module")
def served() -> Iterator[LocalOrg]:
    with LocalOrg() as org:
        org.deploy([{"name": "Account", "fields": FIELDS}])
        yield org


@pytest.fixture
def org(served: LocalOrg) -> Iterator[LocalOrg]:
    yield served
    served.reset()


def ids(org: LocalOrg) -> list[str]:
    return org.table("Account")["Id"].to_list()


def names(org: LocalOrg) -> list[str]:
    return org.table("Account")["Name"].to_list()


# salesforce-bulk 2.2.0

salesforce_bulk = pytest.importorskip("salesforce_bulk", reason="salesforce-bulk is not installed")


@pytest.fixture
def bulk(org: LocalOrg) -> Any:
    return salesforce_bulk.SalesforceBulk(sessionId=org.credentials.access_token, host=org.url, API_version="62.0")


def settled(bulk: Any, job: str, batch: str) -> None:
    bulk.wait_for_batch(job, batch, timeout=30, sleep_interval=0.02)


def run(bulk: Any, job: str, content: Any) -> list[Any]:
    batch = bulk.post_batch(job, content)
    settled(bulk, job, batch)
    results: list[Any] = bulk.get_batch_results(batch, job)
    return results


def rows_as_csv(rows: list[dict[str, Any]]) -> Iterator[bytes]:
    """One piece per row, as its README has it: the body is chunked."""
    return iter(salesforce_bulk.CsvDictsAdapter(iter(rows)))


def test_salesforce_bulk_loads_by_csv(bulk: Any, org: LocalOrg) -> None:
    job = bulk.create_insert_job("Account", contentType="CSV", concurrency="Parallel")
    told = run(bulk, job, rows_as_csv([{"Name": "A", "Ext_Id__c": "1"}, {"Name": "", "Ext_Id__c": "2"}, {"Name": "C"}]))
    first, third = ids(org)
    assert [tuple(row) for row in told] == [
        (first, "true", "true", ""),
        ("", "false", "false", MISSING),
        (third, "true", "true", ""),
    ]
    bulk.close_job(job)
    assert bulk.job_state(job) == "Closed"
    status = bulk.job_status(job)
    assert (status["numberRecordsProcessed"], status["numberRecordsFailed"]) == ("3", "1")

    job = bulk.create_upsert_job("Account", "Ext_Id__c", contentType="CSV", concurrency="Serial")
    told = run(bulk, job, rows_as_csv([{"Ext_Id__c": "1", "Name": "A2"}, {"Ext_Id__c": "4", "Name": "D"}]))
    assert [(row.success, row.created) for row in told] == [("true", "false"), ("true", "true")]
    job = bulk.create_update_job("Account")
    assert [row.id for row in run(bulk, job, rows_as_csv([{"Id": third, "Name": "C2"}]))] == [third]
    assert names(org) == ["A2", "C2", "D"]
    job = bulk.create_delete_job("Account")
    assert [row.success for row in run(bulk, job, rows_as_csv([{"Id": first}]))] == ["true"]
    assert names(org) == ["C2", "D"]


def test_salesforce_bulk_loads_by_json_and_xml(bulk: Any, org: LocalOrg) -> None:
    job = bulk.create_insert_job("Account", contentType="JSON")
    told = run(bulk, job, json.dumps([{"Name": "A"}, {"Ext_Id__c": "x"}]))
    assert [(row.id, row.success) for row in told] == [(ids(org)[0], True), (None, False)]
    assert told[1].error[0]["statusCode"] == "REQUIRED_FIELD_MISSING"
    bulk.close_job(job)
    assert bulk.job_state(job) == "Closed"
    assert [batch["state"] for batch in bulk.get_batch_list(job)] == ["Completed"]

    job = bulk.create_insert_job("Account", contentType="XML")
    rows = "<sObject><Name>B</Name></sObject><sObject><Ext_Id__c>y</Ext_Id__c></sObject>"
    told = run(bulk, job, f'<sObjects xmlns="{bulk.jobNS}">{rows}</sObjects>')
    error = {
        "fields": ["Name"],
        "message": "Required fields are missing: [Name]",
        "statusCode": "REQUIRED_FIELD_MISSING",
    }
    assert [(row.success, row.created, row.error) for row in told] == [(True, True, []), (False, False, [error])]
    assert names(org) == ["A", "B"]


def test_salesforce_bulk_queries(bulk: Any, org: LocalOrg) -> None:
    org.insert("Account", org.sql("SELECT 'A' || n AS Name FROM range(3) r(n)"))
    job = bulk.create_query_job("Account", contentType="CSV")
    batch = bulk.query(job, "SELECT Id, Name, Opened__c FROM Account")
    settled(bulk, job, batch)
    [result] = bulk.get_all_results_for_query_batch(batch, job)
    rows = list(csv.DictReader(io.StringIO(result.read().decode())))
    assert rows == [{"Id": one, "Name": f"A{n}", "Opened__c": ""} for n, one in enumerate(ids(org))]
    batch = bulk.query(job, "SELECT Id FROM Account WHERE Name = 'nobody'")
    settled(bulk, job, batch)
    [nothing] = bulk.get_all_results_for_query_batch(batch, job)
    assert nothing.read() == b"Records not found for this query"

    job = bulk.create_queryall_job("Account", contentType="JSON")
    batch = bulk.query(job, "SELECT Id, Name FROM Account")
    settled(bulk, job, batch)
    [result] = bulk.get_all_results_for_query_batch(batch, job)
    assert [row["Name"] for row in json.load(io.TextIOWrapper(io.BufferedReader(io.BytesIO(result.read()))))] == [
        *("A0", "A1", "A2"),
    ]
    assert bulk.get_query_batch_request(batch, job) == "SELECT Id, Name FROM Account"


def test_salesforce_bulk_reads_in_chunks(bulk: Any, org: LocalOrg) -> None:
    org.insert("Account", org.sql("SELECT 'A' || n AS Name FROM range(7) r(n)"))
    job = bulk.create_query_job("Account", contentType="CSV", pk_chunking=3)
    soql = "SELECT Name FROM Account"
    original = bulk.query(job, soql)
    with pytest.raises(salesforce_bulk.salesforce_bulk.BulkBatchFailed) as failed:
        settled(bulk, job, original)
    assert failed.value.state == "NotProcessed"
    chunks = [batch["id"] for batch in bulk.get_batch_list(job)][1:]
    assert all(bulk.get_query_batch_request(chunk, job).startswith(soql) for chunk in chunks)
    read: list[str] = []
    for chunk in chunks:
        settled(bulk, job, chunk)
        for result in bulk.get_all_results_for_query_batch(chunk, job):
            read += result.read().decode().splitlines()[1:]
    assert (len(chunks), read) == (3, [f'"A{n}"' for n in range(7)])


def test_salesforce_bulk_maps_columns(bulk: Any, org: LocalOrg) -> None:
    job = bulk.create_insert_job("Account")
    bulk.post_mapping_file(job, "Salesforce Field,Csv Header,Value,Hint\nName,Firm,,\nExt_Id__c,No,,\n")
    assert [row.success for row in run(bulk, job, "No,Firm,Remark\n1,A,x\n2,B,y\n")] == ["true", "true"]
    assert org.table("Account").select("Ext_Id__c", "Name").rows() == [("1", "A"), ("2", "B")]


def test_salesforce_bulk_hears_what_is_wrong(bulk: Any, org: LocalOrg) -> None:
    error = salesforce_bulk.BulkApiError
    with pytest.raises(error, match="Unable to find object: Video__c"):
        bulk.create_insert_job("Video__c")
    job = bulk.create_insert_job("Account")
    batch = bulk.post_batch(job, "Nme\nA\n")
    with pytest.raises(error, match="InvalidBatch : Field name not found : Nme"):
        settled(bulk, job, batch)
    with pytest.raises(error, match="Records not processed"):
        bulk.get_batch_results(batch, job)
    bulk.abort_job(job)
    assert bulk.job_state(job) == "Aborted"
    with pytest.raises(error, match="Closing already aborted Job not allowed"):
        bulk.close_job(job)
    stranger = salesforce_bulk.SalesforceBulk(sessionId="nobody", host=org.url, API_version="62.0")
    with pytest.raises(error, match="InvalidSessionId"):
        stranger.create_insert_job("Account")


# simple-salesforce


class PlainHttp(HTTPAdapter):
    """The client writes https:// into every URL (clients.md 2.15); this sends them to the same host in the clear."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **options)


@pytest.fixture
def simple(org: LocalOrg, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    monkeypatch.setattr(simple_bulk, "sleep", lambda _: time.sleep(0.02))  # the client polls every five seconds
    with requests.Session() as session:
        session.mount("https://", PlainHttp())
        client = Salesforce(instance_url=org.url, session_id=org.credentials.access_token, session=session)
        yield client.bulk


def test_simple_salesforce_loads(simple: Any, org: LocalOrg) -> None:
    rows = [{"Name": f"A{n}", "Ext_Id__c": f"K{n}"} for n in range(5)] + [{"Ext_Id__c": "K5"}]
    told = simple.Account.insert(rows, batch_size=2, use_serial=True)
    assert [(one["id"], one["success"], one["created"]) for one in told] == [
        *((one, True, True) for one in ids(org)),
        (None, False, False),
    ]
    assert told[5]["errors"][0]["fields"] == ["Name"]
    first, second, *_ = ids(org)

    told = simple.Account.upsert([{"Ext_Id__c": "K0", "Name": "B0"}, {"Ext_Id__c": "K9", "Name": "B9"}], "Ext_Id__c")
    assert [one["created"] for one in told] == [False, True]
    detailed = simple.Account.update([{"Id": first, "Name": "C0"}], include_detailed_results=True)
    assert detailed == [{"success": True, "created": False, "id": first, "errors": [], "Id": first, "Name": "C0"}]
    refused = simple.submit_dml("Account", "update", [{"Id": second, "Name": None}, {"Id": second}], batch_size="auto")
    assert [one["errors"][0]["statusCode"] for one in refused] == ["REQUIRED_FIELD_MISSING", "DUPLICATE_VALUE"]
    assert [one["success"] for one in simple.Account.delete([{"Id": first}])] == [True]
    assert [one["success"] for one in simple.Account.hard_delete([{"Id": second}])] == [True]
    assert names(org) == ["A2", "A3", "A4", "B9"]
    assert org.table("Account", deleted=True)["Name"].to_list() == ["C0", "A2", "A3", "A4", "B9"]


def test_simple_salesforce_queries(simple: Any, org: LocalOrg) -> None:
    simple.Account.insert([{"Name": "A", "Opened__c": "2026-01-02T03:04:05.678Z"}, {"Name": "B"}])
    simple.Account.delete([{"Id": ids(org)[1]}])
    read = simple.Account.query("SELECT Id, Name, Opened__c, Owner.Name FROM Account")
    url = "/services/data/v59.0/sobjects"
    [owner] = org.table("User")["Id"].to_list()
    assert read == [
        {
            "attributes": {"type": "Account", "url": f"{url}/Account/{ids(org)[0]}"},
            "Id": ids(org)[0],
            "Name": "A",
            "Opened__c": 1_767_323_045_678,
            "Owner": {"attributes": {"type": "User", "url": f"{url}/User/{owner}"}, "Name": "Integration User"},
        }
    ]
    pages = simple.Account.query_all("SELECT Name FROM Account", lazy_operation=True)
    assert [[row["Name"] for row in page] for page in pages] == [["A", "B"]]
    assert simple.Account.query("SELECT Name FROM Account WHERE Name = 'nobody'") == []


def test_simple_salesforce_hears_what_is_wrong(simple: Any) -> None:
    with pytest.raises(SalesforceMalformedRequest, match="Unable to find object: Video__c"):
        simple.Video__c.insert([{"Name": "A"}])
    with pytest.raises(SalesforceMalformedRequest, match="Records not processed"):
        simple.Account.insert([{"Nme": "A"}])
    with pytest.raises(SalesforceGeneralError, match="No such column 'Nme'"):
        simple.Account.query("SELECT Nme FROM Account")

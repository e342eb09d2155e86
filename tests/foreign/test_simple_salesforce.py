"""A client that nobody here wrote is content with the embedded org, served as a process of its own."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator
from typing import Any

import pytest
import requests
from requests.adapters import HTTPAdapter
from simple_salesforce.api import Salesforce

pytestmark = pytest.mark.slow


class PlainHttp(HTTPAdapter):
    """The client writes https:// into every URL (clients.md 2.15); this sends them to the same host in the clear."""

    def send(self, request: requests.PreparedRequest, *args: Any, **options: Any) -> requests.Response:
        assert request.url is not None
        request.url = request.url.replace("https://", "http://", 1)
        return super().send(request, *args, **options)


@pytest.fixture(scope="module")
def client(served: dict[str, str]) -> Iterator[Any]:
    """simple-salesforce, given a session id and an instance URL."""
    with requests.Session() as session:
        session.mount("https://", PlainHttp())
        yield Salesforce(instance_url=served["url"], session_id=served["access_token"], session=session)


def test_it_describes_the_org_and_an_object(client: Any) -> None:
    everything = client.describe()
    assert everything is not None
    assert {"Account", "Contact", "Opportunity"} <= {one["name"] for one in everything["sobjects"]}
    account = client.Account.describe()
    key = next(field for field in account["fields"] if field["name"] == "Ext_Id__c")
    assert (key["externalId"], key["unique"], key["length"], key["type"]) == (True, True, 20, "string")


ROWS = [{"Name": f'Wide "{number}", Inc.', "Ext_Id__c": f"K{number:05d}"} for number in range(4_500)]


@pytest.fixture(scope="module")
def loaded(client: Any, tmp_path_factory: pytest.TempPathFactory) -> str:
    """The id of a Bulk 2.0 job of the client that inserted ROWS, and one row whose key was taken."""
    file = tmp_path_factory.mktemp("rows") / "rows.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["Name", "Ext_Id__c"], lineterminator="\n")
        writer.writeheader()
        writer.writerows([*ROWS, {"Name": "Twice", "Ext_Id__c": "K00000"}])
    (job,) = client.bulk2.Account.insert(str(file), wait=0)
    assert (job["numberRecordsTotal"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (4_501, 4_501, 1)
    return str(job["job_id"])


def test_it_inserts_by_bulk_2_and_reads_all_pages(client: Any, loaded: str) -> None:
    failed = list(csv.DictReader(io.StringIO(client.bulk2.Account.get_failed_records(loaded))))
    assert [(row["Ext_Id__c"], row["sf__Error"].partition(":")[0]) for row in failed] == [("K00000", "DUPLICATE_VALUE")]
    succeeded = list(csv.DictReader(io.StringIO(client.bulk2.Account.get_successful_records(loaded))))
    assert {row["Ext_Id__c"] for row in succeeded} == {row["Ext_Id__c"] for row in ROWS}

    read = client.query_all("SELECT Id, Name, Ext_Id__c FROM Account WHERE Ext_Id__c LIKE 'K%' ORDER BY Ext_Id__c")
    assert read["totalSize"] == 4_500
    assert [(record["Name"], record["Ext_Id__c"]) for record in read["records"]] == [
        (row["Name"], row["Ext_Id__c"]) for row in ROWS
    ]
    assert {record["Ext_Id__c"]: record["Id"] for record in read["records"]} == {
        row["Ext_Id__c"]: row["sf__Id"] for row in succeeded
    }


@pytest.mark.usefixtures("loaded")
def test_it_reads_by_bulk_2_in_pages(client: Any) -> None:
    query = client.bulk2.Account.query("SELECT Name FROM Account WHERE Name LIKE 'Wide%'", max_records=2_000, wait=0)
    assert [len(list(csv.DictReader(io.StringIO(page)))) for page in query] == [2_000, 2_000, 500]

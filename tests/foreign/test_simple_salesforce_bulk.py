"""simple-salesforce is content with both bulk interfaces of the embedded org."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import pytest
import simple_salesforce.bulk
from simple_salesforce.bulk2 import ColumnDelimiter, LineEnding, Operation
from simple_salesforce.exceptions import SalesforceGeneralError, SalesforceMalformedRequest, SalesforceOperationError

from tests.foreign.verdicts import judges, refusal

pytestmark = pytest.mark.slow


@pytest.fixture
def _hurried(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bulk 1.0 of this client sleeps for five seconds between two polls and offers no other number."""
    monkeypatch.setattr(simple_salesforce.bulk, "sleep", lambda _seconds: time.sleep(0.05))


def rows_of(text: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(text)))


def stored(client: Any, prefix: str, *, deleted: bool = False) -> list[tuple[str, str]]:
    soql = f"SELECT Id, Name FROM Account WHERE Ext_Id__c LIKE '{prefix}%' ORDER BY Ext_Id__c"
    return [(one["Id"], one["Name"]) for one in client.query_all(soql, include_deleted=deleted)["records"]]


@pytest.mark.usefixtures("_hurried")
@judges(
    "simple-salesforce",
    "SFBulkType.insert",
    "SFBulkType.insert: batch_size",
    "SFBulkType.insert: include_detailed_results",
    "SFBulkType.insert: bypass_results",
    "SFBulkType.insert: batch_size='auto'",
    "SFBulkType.update",
    "SFBulkType.upsert",
    "SFBulkType.delete",
    "SFBulkType.hard_delete",
    "SFBulkType.submit_dml",
    "SFBulkHandler.submit_dml",
)
def test_it_writes_by_bulk_1(client: Any) -> None:
    account = client.bulk.Account
    rows = [{"Name": f"One {n}", "Ext_Id__c": f"b1{n}", "AnnualRevenue": n + 0.5} for n in range(5)]
    done = account.insert([*rows, {"Name": None, "Ext_Id__c": "b19"}], batch_size=2, use_serial=True)
    assert [one["success"] for one in done] == [True] * 5 + [False]
    assert [one["created"] for one in done] == [True] * 5 + [False]
    assert [(one["statusCode"], one["fields"]) for one in done[5]["errors"]] == [("REQUIRED_FIELD_MISSING", ["Name"])]
    ids = [one["id"] for one in done[:5]]
    assert stored(client, "b1") == [(key, row["Name"]) for key, row in zip(ids, rows, strict=True)]

    detailed = account.insert([{"Name": "Told", "Ext_Id__c": "b2"}], include_detailed_results=True)
    assert [(one["success"], one["Name"], one["Ext_Id__c"]) for one in detailed] == [(True, "Told", "b2")]
    bypassed = account.insert([{"Name": "Untold"}], bypass_results=True)
    assert [one.get("bypass_results") for one in bypassed][:1] == [True]
    auto = account.insert([{"Name": "Auto"}, {"Name": "Auto too"}], batch_size="auto")
    assert [one["success"] for one in auto] == [True, True]

    changed = account.update([{"Id": ids[0], "Name": "Changed"}, {"Id": ids[1], "Site": None}])
    assert [(one["id"], one["success"], one["created"]) for one in changed] == [
        (ids[0], True, False),
        (ids[1], True, False),
    ]
    upserted = account.upsert([{"Ext_Id__c": "b10", "Name": "Up"}, {"Ext_Id__c": "b3", "Name": "New"}], "Ext_Id__c")
    assert [(one["success"], one["created"]) for one in upserted] == [(True, False), (True, True)]
    assert stored(client, "b10")[0] == (ids[0], "Up")
    gone = account.delete([{"Id": ids[0]}, {"Id": "001000000000000AAA"}])
    assert [one["success"] for one in gone] == [True, False]
    assert [len(stored(client, "b10", deleted=deleted)) for deleted in (False, True)] == [0, 1]
    assert [one["success"] for one in account.hard_delete([{"Id": ids[1]}])] == [True]
    assert stored(client, "b11", deleted=True) == []
    assert [one["success"] for one in account.submit_dml("delete", [{"Id": ids[2]}])] == [True]
    by_name = client.bulk.submit_dml("Account", "upsert", [{"Ext_Id__c": "b4", "Name": "x"}], "Ext_Id__c")
    assert [(one["success"], one["created"]) for one in by_name] == [(True, True)]


@pytest.mark.usefixtures("_hurried")
@judges(
    "simple-salesforce",
    "SFBulkType.query",
    "SFBulkType.query: lazy_operation",
    "SFBulkType.query: errors",
    "SFBulkType.query_all",
)
def test_it_reads_by_bulk_1(client: Any) -> None:
    account = client.bulk.Account
    rows = [{"Name": f"Read {n}", "Ext_Id__c": f"rb{n}", "AnnualRevenue": n} for n in range(3)]
    made = account.insert(rows)
    soql = "SELECT Name, AnnualRevenue, Site, Owner.Username FROM Account WHERE Ext_Id__c LIKE 'rb%' ORDER BY Name"
    read = account.query(soql)
    assert [(one["Name"], one["AnnualRevenue"], one["Site"]) for one in read] == [
        (row["Name"], row["AnnualRevenue"], None) for row in rows
    ]
    assert [one["attributes"]["type"] for one in read] == ["Account"] * 3
    assert all(one["Owner"]["Username"] for one in read)
    (page,) = account.query(soql, lazy_operation=True)
    assert [one["Name"] for one in page] == [row["Name"] for row in rows]
    account.delete([{"Id": made[0]["id"]}])
    everything = "SELECT Id, IsDeleted FROM Account WHERE Ext_Id__c LIKE 'rb%' ORDER BY Ext_Id__c"
    assert [one["IsDeleted"] for one in account.query_all(everything)] == [True, False, False]
    with pytest.raises(SalesforceGeneralError) as failed:
        account.query("SELECT Nothing FROM Account")
    assert "No such column 'Nothing' on entity 'Account'" in str(failed.value)
    with pytest.raises(SalesforceMalformedRequest) as unknown:
        client.bulk.Nothing__c.query("SELECT Id FROM Nothing__c")
    assert refusal(unknown)["exceptionCode"] == "InvalidJob"


@judges(
    "simple-salesforce",
    "SFBulk2Type.insert: a file",
    "SFBulk2Type.get_failed_records",
    "SFBulk2Type.get_successful_records",
)
def test_it_inserts_a_file_by_bulk_2(client: Any, tmp_path: Path) -> None:
    rows = [{"Name": f'Wide "{number}", Inc.', "Ext_Id__c": f"K{number:05d}"} for number in range(4_500)]
    file = tmp_path / "rows.csv"
    with file.open("w", newline="", encoding="utf-8") as out:
        writer = csv.DictWriter(out, ["Name", "Ext_Id__c"], lineterminator="\n")
        writer.writeheader()
        writer.writerows([*rows, {"Name": "Twice", "Ext_Id__c": "K00000"}])

    (job,) = client.bulk2.Account.insert(str(file), wait=0)
    assert (job["numberRecordsTotal"], job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (4_501, 4_501, 1)
    failed = rows_of(client.bulk2.Account.get_failed_records(job["job_id"]))
    assert [(row["Ext_Id__c"], row["sf__Error"].partition(":")[0]) for row in failed] == [("K00000", "DUPLICATE_VALUE")]
    succeeded = rows_of(client.bulk2.Account.get_successful_records(job["job_id"]))
    read = client.query_all("SELECT Id, Name, Ext_Id__c FROM Account WHERE Ext_Id__c LIKE 'K%' ORDER BY Ext_Id__c")
    assert [(record["Name"], record["Ext_Id__c"]) for record in read["records"]] == [
        (row["Name"], row["Ext_Id__c"]) for row in rows
    ]
    assert {record["Ext_Id__c"]: record["Id"] for record in read["records"]} == {
        row["Ext_Id__c"]: row["sf__Id"] for row in succeeded
    }


@judges(
    "simple-salesforce",
    "SFBulk2Type.insert: records",
    "SFBulk2Type.insert: batch_size, concurrency",
    "SFBulk2Type.insert: column_delimiter, line_ending",
    "SFBulk2Type.update",
    "SFBulk2Type.upsert",
    "SFBulk2Type.delete",
    "SFBulk2Type.hard_delete",
    "SFBulk2Type.get_unprocessed_records",
    "SFBulk2Type.get_all_ingest_records",
)
def test_it_writes_by_bulk_2(client: Any, tmp_path: Path) -> None:
    account = client.bulk2.Account
    rows = [{"Name": f"Two {n}", "Ext_Id__c": f"b2w{n}"} for n in range(5)]
    jobs = account.insert(records=rows, batch_size=2, concurrency=2, wait=0)
    assert sorted(job["numberRecordsProcessed"] for job in jobs) == [1, 2, 2]
    kept = stored(client, "b2w")
    assert [name for _, name in kept] == [row["Name"] for row in rows]
    ids = [key for key, _ in kept]
    dialect = {"column_delimiter": ColumnDelimiter.SEMICOLON, "line_ending": LineEnding.CRLF}
    (job,) = account.insert(records=[{"Name": "a;b", "Ext_Id__c": "b2d"}], wait=0, **dialect)
    assert [name for _, name in stored(client, "b2d")] == ["a;b"]

    (job,) = account.update(records=[{"Id": ids[0], "Name": "New"}, {"Id": ids[1], "Name": ""}], wait=0)
    assert (job["numberRecordsProcessed"], job["numberRecordsFailed"]) == (2, 0)
    assert [name for _, name in stored(client, "b2w")[:2]] == ["New", "Two 1"]  # an empty cell leaves what is there
    more = [{"Ext_Id__c": "b2w2", "Name": "Up"}, {"Ext_Id__c": "b2x", "Name": "New"}, {"Ext_Id__c": "b2y", "Name": ""}]
    (job,) = account.upsert(records=more, external_id_field="Ext_Id__c", wait=0)
    results = account.get_all_ingest_records(job["job_id"])
    assert {row["Ext_Id__c"]: row["sf__Created"] for row in results["successfulRecords"]} == {
        "b2w2": "false",
        "b2x": "true",
    }
    assert [row["Ext_Id__c"] for row in results["failedRecords"]] == ["b2y"]
    assert results["unprocessedRecords"] == []
    assert rows_of(account.get_unprocessed_records(job["job_id"])) == []
    file = tmp_path / "failed.csv"
    assert account.get_failed_records(job["job_id"], file=str(file)) == ""
    assert [row["Ext_Id__c"] for row in rows_of(file.read_text())] == ["b2y"]
    account.delete(records=[{"Id": ids[3]}], wait=0)
    account.hard_delete(records=[{"Id": ids[4]}], wait=0)
    assert [len(stored(client, "b2w", deleted=deleted)) for deleted in (False, True)] == [3, 4]


@judges(
    "simple-salesforce",
    "SFBulk2Type.query",
    "SFBulk2Type.query: max_records",
    "SFBulk2Type.query: errors",
    "SFBulk2Type.query_all",
    "SFBulk2Type.download",
)
def test_it_reads_by_bulk_2(client: Any, tmp_path: Path) -> None:
    account = client.bulk2.Account
    account.insert(records=[{"Name": f"Down {n:04d}", "Ext_Id__c": f"dl{n:04d}"} for n in range(2_500)], wait=0)
    soql = "SELECT Id, Name FROM Account WHERE Ext_Id__c LIKE 'dl%'"
    pages = [rows_of(page) for page in account.query(soql, max_records=1_000, wait=0)]
    assert [len(page) for page in pages] == [1_000, 1_000, 500]
    names = sorted(row["Name"] for page in pages for row in page)
    assert names == [f"Down {n:04d}" for n in range(2_500)]
    files = account.download(soql, str(tmp_path), max_records=2_000, wait=0)
    assert [one["number_of_records"] for one in files] == [2_000, 500]
    assert sorted(row["Name"] for one in files for row in rows_of(Path(one["file"]).read_text())) == names
    account.delete(records=[{"Id": pages[0][0]["Id"]}], wait=0)
    assert [sum(len(rows_of(page)) for page in ask(soql, wait=0)) for ask in (account.query, account.query_all)] == [
        2_499,
        2_500,
    ]
    with pytest.raises(SalesforceMalformedRequest) as refused:
        list(account.query("SELECT Nothing FROM Account", wait=0))
    assert [one["errorCode"] for one in refusal(refused)] == ["INVALID_FIELD"]


@judges(
    "simple-salesforce",
    "Bulk2Client.create_job",
    "Bulk2Client.upload_job_data",
    "Bulk2Client.close_job",
    "Bulk2Client.wait_for_job",
    "Bulk2Client.get_job",
    "Bulk2Client.abort_job",
    "Bulk2Client.delete_job",
    "Bulk2Client.get_query_results",
    "Bulk2Client.download_job_data",
    "Bulk2Client.get_ingest_results",
    "Bulk2Client.download_ingest_results",
)
def test_it_drives_a_job_of_bulk_2_step_by_step(client: Any, tmp_path: Path) -> None:
    steps = client.bulk2.Account._client
    job = steps.create_job(Operation.insert)
    assert (job["state"], job["object"], job["operation"]) == ("Open", "Account", "insert")
    steps.upload_job_data(job["id"], "Name,Ext_Id__c\nStepped,st2\n")
    assert steps.close_job(job["id"])["state"] == "UploadComplete"
    assert steps.wait_for_job(job["id"], is_query=False, wait=0.05) == "JobComplete"
    told = steps.get_job(job["id"], is_query=False)
    assert (told["numberRecordsProcessed"], told["numberRecordsFailed"]) == (1, 0)
    assert [row["Ext_Id__c"] for row in rows_of(steps.get_ingest_results(job["id"], "successfulResults"))] == ["st2"]
    steps.download_ingest_results(str(tmp_path / "failed.csv"), job["id"], "failedResults")
    assert rows_of((tmp_path / "failed.csv").read_text()) == []

    asked = steps.create_job(Operation.query, "SELECT Name FROM Account WHERE Ext_Id__c = 'st2'")
    steps.wait_for_job(asked["id"], is_query=True, wait=0.05)
    page = steps.get_query_results(asked["id"])
    assert (rows_of(page["records"]), page["locator"], page["number_of_records"]) == ([{"Name": "Stepped"}], "", 1)
    assert steps.download_job_data(str(tmp_path), asked["id"])["number_of_records"] == 1

    aborted = steps.create_job(Operation.delete)
    assert steps.abort_job(aborted["id"], is_query=False)["state"] == "Aborted"
    with pytest.raises(SalesforceOperationError):
        steps.wait_for_job(aborted["id"], is_query=False, wait=0)
    for key, is_query in ((job["id"], False), (asked["id"], True), (aborted["id"], False)):
        with pytest.raises(ValueError, match="Expecting value"):  # it reads JSON where Salesforce answers 204
            steps.delete_job(key, is_query=is_query)
        with pytest.raises(Exception, match="NOT_FOUND"):
            steps.get_job(key, is_query=is_query)

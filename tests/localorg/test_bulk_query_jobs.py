"""Bulk 2.0 query jobs and their routes (bulk2.md 4)."""

from __future__ import annotations

import csv
import datetime as dt
import io
import re
import threading
from collections.abc import Iterator
from typing import Any

import duckdb
import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.server import make_app
from sfframe.localorg.services.bulk_query import BulkQueryService
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.settings import Settings
from tests.localorg.app_client import AppClient
from tests.localorg.query_rows import NOW, StoppedStore, insert, record_id, rows, store

__all__ = ["rows", "store"]
JOBS = "/services/data/v66.0/jobs/query"
NO_GROUPS = "Implementation restriction: aggregate functions and GROUP BY are not supported in Bulk Query"
NO_TYPEOF = "Implementation restriction: TYPEOF and FIELDS() are not supported in Bulk Query"


def served(services: Services) -> AppClient:
    return AppClient(make_app(services), services.sessions.open_session())


@pytest.fixture
def services(store: StoppedStore) -> Iterator[Services]:
    made = Services(store, Settings(bulk_page_rows=2))
    yield made
    made.close()


@pytest.fixture
def bulk(services: Services) -> BulkQueryService:
    return services.bulk_query


@pytest.fixture
def client(services: Services) -> AppClient:
    return served(services)


def ended(client: AppClient, bulk: BulkQueryService, query: str, **more: str) -> str:
    answer = client.post(JOBS, json={"operation": "query", "query": query} | more)
    assert answer.status_code == 200, answer.text
    job_id: str = answer.json()["id"]
    assert bulk.wait(job_id) == "JobComplete"
    return job_id


def test_a_job_is_created_with_json_whatever_is_accepted(client: AppClient, store: StoppedStore):
    body = {"operation": "queryAll", "query": "select Id from account", "lineEnding": "CRLF", "columnDelimiter": "PIPE"}
    answer = client.post(f"{JOBS}/", json=body, headers={"Accept": "text/csv"})
    assert (answer.status_code, answer.headers["Content-Type"]) == (200, "application/json;charset=UTF-8")
    job_id = answer.json()["id"]
    assert re.fullmatch(r"750\w{15}", job_id)
    assert answer.text == (
        f'{{"id":"{job_id}","operation":"queryAll","object":"Account","createdById":"{store.user_id}",'
        '"createdDate":"2024-05-15T10:30:00.000+0000","systemModstamp":"2024-05-15T10:30:00.000+0000",'
        '"state":"UploadComplete","concurrencyMode":"Parallel","contentType":"CSV","apiVersion":66.0,'
        '"lineEnding":"CRLF","columnDelimiter":"PIPE"}'
    )


def test_the_info_of_a_completed_job_counts_its_rows(client: AppClient, bulk: BulkQueryService, rows: StoppedStore):
    job_id = ended(client, bulk, "SELECT Id FROM Account")
    info = client.get(f"{JOBS}/{job_id[:15]}").json()
    taken = info.pop("totalProcessingTime")
    assert taken >= 0
    assert list(info.items()) == [
        ("id", job_id),
        ("operation", "query"),
        ("object", "Account"),
        ("createdById", rows.user_id),
        ("createdDate", "2024-05-15T10:30:00.000+0000"),
        ("systemModstamp", "2024-05-15T10:30:00.000+0000"),
        ("state", "JobComplete"),
        ("concurrencyMode", "Parallel"),
        ("contentType", "CSV"),
        ("apiVersion", 66.0),
        ("jobType", "V2Query"),
        ("lineEnding", "LF"),
        ("columnDelimiter", "COMMA"),
        ("numberRecordsProcessed", 3),
        ("retries", 0),
        ("isPkChunkingSupported", True),
    ]


def test_whether_a_query_could_be_split_is_told_since_version_58(
    client: AppClient, bulk: BulkQueryService, store: StoppedStore
):
    told = []
    for version, sobject in (("v57.0", "Account"), ("v58.0", "Account"), ("v58.0", "Widget__c"), ("v58.0", "Profile")):
        path = JOBS.replace("v66.0", version)
        body = {"operation": "query", "query": f"SELECT Id FROM {sobject}"}
        job_id = client.post(path, json=body).json()["id"]
        told.append(client.get(f"{path}/{job_id}").json().get("isPkChunkingSupported"))
        assert bulk.wait(job_id) == "JobComplete"
    assert told == [None, True, True, False]


def test_a_query_job_has_result_files_of_a_load_that_hold_nothing(
    client: AppClient, bulk: BulkQueryService, rows: StoppedStore
):
    job_id = ended(client, bulk, "SELECT Id, Name FROM Account")
    path = f"/services/data/v66.0/jobs/ingest/{job_id}"
    assert client.get(f"{path}/failedResults").text == '"sf__Id","sf__Error",Id,Name\n'
    assert client.get(f"{path}/successfulResults/").text == '"sf__Id","sf__Created",Id,Name\n'
    assert client.get(f"{path}/unprocessedrecords").status_code == 404
    assert client.get(path).status_code == 404


def test_results_come_in_pages_that_each_repeat_the_header(
    client: AppClient, bulk: BulkQueryService, rows: StoppedStore
):
    job_id = ended(client, bulk, "select LASTNAME, account.name from Contact")
    pages = []
    locator = None
    while locator != "null":
        answer = client.get(f"{JOBS}/{job_id}/results", params={"locator": locator} if locator else {})
        assert answer.headers["Content-Type"] == "text/csv; charset=UTF-8"
        locator = answer.headers["Sforce-Locator"]
        pages.append((answer.headers["Sforce-NumberOfRecords"], answer.text))
    assert pages == [
        ("2", '"LastName","Account.Name"\n"Ada","Acme"\n"Bob","Acme"\n'),
        ("2", '"LastName","Account.Name"\n"Cem","acme"\n"Dag",""\n'),
    ]


def test_max_records_sizes_the_page_and_pages_can_be_fetched_again(
    client: AppClient, bulk: BulkQueryService, rows: StoppedStore
):
    job_id = ended(client, bulk, "SELECT LastName FROM Contact")
    first = client.get(f"{JOBS}/{job_id}/RESULTS/", params={"maxRecords": "3"})
    assert (first.headers["Sforce-NumberOfRecords"], first.headers["Sforce-Locator"]) == ("3", "Mw")
    for _ in range(2):
        last = client.get(f"{JOBS}/{job_id}/results?locator=Mw&maxRecords=5")
        assert (last.text, last.headers["Sforce-Locator"]) == ('"LastName"\n"Dag"\n', "null")


def test_an_empty_result_is_the_header_alone(client: AppClient, bulk: BulkQueryService):
    job_id = ended(client, bulk, "SELECT Id, Name FROM Account")
    answer = client.get(f"{JOBS}/{job_id}/results")
    assert answer.text == '"Id","Name"\n'
    assert (answer.headers["Sforce-NumberOfRecords"], answer.headers["Sforce-Locator"]) == ("0", "null")


def test_cells_are_quoted_and_spelled_as_java_does(client: AppClient, bulk: BulkQueryService, store: StoppedStore):
    values: dict[str, Any] = {
        "Name": 'a "b", c\nd',
        "Amount__c": 16147805824397.0,
        "Count__c": 42,
        "Done__c": True,
        "Due__c": dt.date(2026, 3, 4),
        "Seen__c": NOW,
        "At__c": dt.time(5, 6, 7),
        "Tags__c": "a;b",
    }
    insert(store, "Widget__c", [values | {"Id": record_id("a00", 1)}, {"Id": record_id("a00", 2), "Amount__c": 100.0}])
    names = ", ".join(values)
    job_id = ended(client, bulk, f"SELECT {names} FROM Widget__c", columnDelimiter="SEMICOLON", lineEnding="CRLF")
    assert client.get(f"{JOBS}/{job_id}/results").content.decode() == (
        '"Name";"Amount__c";"Count__c";"Done__c";"Due__c";"Seen__c";"At__c";"Tags__c"\r\n'
        '"a ""b"", c\nd";"1.6147805824397E13";"42";"true";"2026-03-04";'
        '"2024-05-15T10:30:00.000Z";"05:06:07.000Z";"a;b"\r\n'
        '"";"100.0";"";"false";"";"";"";""\r\n'
    )


@pytest.mark.parametrize("delimiter", ["BACKQUOTE", "CARET", "COMMA", "PIPE", "SEMICOLON", "TAB"])
def test_every_delimiter_can_be_read_back(
    client: AppClient, bulk: BulkQueryService, store: StoppedStore, delimiter: str
):
    separator = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}[delimiter]
    insert(store, "Widget__c", [{"Id": record_id("a00", 1), "Name": "`^,|;\t"}])
    job_id = ended(client, bulk, "SELECT Name, Id FROM Widget__c", columnDelimiter=delimiter)
    text = client.get(f"{JOBS}/{job_id}/results").text
    assert list(csv.reader(io.StringIO(text), delimiter=separator)) == [
        ["Name", "Id"],
        ["`^,|;\t", record_id("a00", 1)],
    ]


def test_columns_were_sorted_before_version_50(client: AppClient, bulk: BulkQueryService, rows: StoppedStore):
    old = "/services/data/v49.0/jobs/query"
    job_id = client.post(old, json={"operation": "query", "query": "SELECT Name, Id FROM Account"}).json()["id"]
    assert bulk.wait(job_id) == "JobComplete"
    assert client.get(f"{old}/{job_id}/results").text.splitlines()[0] == '"Id","Name"'


def test_result_pages_link_to_five_pages_at_a_time(client: AppClient, bulk: BulkQueryService, store: StoppedStore):
    insert(store, "Widget__c", [{"Id": record_id("a00", number)} for number in range(11)])
    job_id = ended(client, bulk, "SELECT Id FROM Widget__c")
    first = client.get(f"{JOBS}/{job_id}/resultPages").json()
    assert (list(first), len(first["resultPages"]), first["done"]) == (
        ["resultPages", "nextRecordsUrl", "done"],
        5,
        False,
    )
    second = client.get(first["nextRecordsUrl"]).json()
    assert (len(second["resultPages"]), second["nextRecordsUrl"], second["done"]) == (1, None, True)
    texts = [client.get(one["resultUrl"]).text for one in (first["resultPages"] + second["resultPages"])]
    assert [row for text in texts for row in text.splitlines()[1:]] == [f'"{record_id("a00", n)}"' for n in range(11)]


def test_query_all_brings_deleted_rows(client: AppClient, bulk: BulkQueryService, rows: StoppedStore):
    body = {"operation": "queryAll", "query": "SELECT Name FROM Account WHERE IsDeleted = true"}
    job_id = client.post(JOBS, json=body).json()["id"]
    assert bulk.wait(job_id) == "JobComplete"
    assert client.get(f"{JOBS}/{job_id}/results").text == '"Name"\n"Gone"\n'


@pytest.mark.parametrize(
    ("query", "code", "message"),
    [
        ("SELECT BillingAddress FROM Account", "API_ERROR", "Selecting compound data not supported in Bulk Query"),
        (
            "SELECT Id, (SELECT Id FROM Contacts) FROM Account",
            "API_ERROR",
            "Aggregate Relationships not supported in Bulk V2 Query with CSV content type",
        ),
        (
            "SELECT COUNT() FROM Account",
            "API_ERROR",
            NO_GROUPS,
        ),
        (
            "SELECT Id FROM Account OFFSET 5",
            "API_ERROR",
            "Implementation restriction: OFFSET is not supported in Bulk Query",
        ),
        ("SELECT Id FROM Account GROUP BY Id", "API_ERROR", NO_GROUPS),
        ("SELECT Name FROM Account GROUP BY ROLLUP(Name)", "API_ERROR", NO_GROUPS),
        ("SELECT CALENDAR_YEAR(CreatedDate) FROM Account GROUP BY CALENDAR_YEAR(CreatedDate)", "API_ERROR", NO_GROUPS),
        ("SELECT COUNT(Id) n FROM Account", "API_ERROR", NO_GROUPS),
        ("SELECT MAX(AnnualRevenue) FROM Account", "API_ERROR", NO_GROUPS),
        ("SELECT TYPEOF Who WHEN Contact THEN LastName END FROM Task", "API_ERROR", NO_TYPEOF),
        ("SELECT FIELDS(STANDARD) FROM Account", "API_ERROR", NO_TYPEOF),
        (
            "SELECT Account.BillingAddress FROM Contact",
            "API_ERROR",
            "Selecting compound data not supported in Bulk Query",
        ),
        (
            "SELECT Id, Body FROM Attachment",
            "API_ERROR",
            "Implementation restriction: selecting binary fields is not supported in Bulk Query",
        ),
        (
            "SELECT QualifiedApiName FROM EntityDefinition",
            "INVALIDENTITY",
            "Entity 'EntityDefinition' is not supported by the Bulk API.",
        ),
        ("SELEKT", "MALFORMED_QUERY", "unexpected token: SELEKT"),
    ],
)
def test_what_bulk_refuses_makes_no_job(client: AppClient, query: str, code: str, message: str):
    answer = client.post(JOBS, json={"operation": "query", "query": query})
    assert (answer.status_code, answer.json()) == (400, [{"errorCode": code, "message": message}])
    assert client.get(JOBS).json() == {"done": True, "records": [], "nextRecordsUrl": None}


@pytest.mark.parametrize(
    "query",
    [
        "SELECT Account.Owner.Name FROM Contact",
        "SELECT Id FROM Contact WHERE AccountId IN (SELECT Id FROM Account) AND CreatedDate > LAST_N_DAYS:3",
        "SELECT Id FROM Account WHERE CALENDAR_YEAR(CreatedDate) = 2024",
        "SELECT toLabel(Industry) FROM Account",
        "SELECT Id FROM Account ORDER BY Name LIMIT 5",
    ],
)
def test_what_bulk_takes_makes_a_job(client: AppClient, bulk: BulkQueryService, query: str):
    job_id = ended(client, bulk, query)
    assert client.get(f"{JOBS}/{job_id}/results").headers["Sforce-NumberOfRecords"] == "0"


def test_objects_without_bulk_make_no_job_of_any_kind(client: AppClient, store: StoppedStore):
    store.deploy([{"name": "CaseStatus", "keyPrefix": "0zz"}])
    words = "Entity 'CaseStatus' is not supported by the Bulk API."
    insert, query = {"operation": "insert", "object": "CaseStatus"}, {"query": "SELECT Id FROM CaseStatus"}
    for path, body in (("query", query | {"operation": "query"}), ("ingest", insert)):
        answer = client.post(f"/services/data/v66.0/jobs/{path}", json=body)
        assert (answer.status_code, answer.json()) == (400, [{"errorCode": "INVALIDENTITY", "message": words}])
    classic = client.post("/services/async/66.0/job", json=insert)
    assert (classic.status_code, classic.json()) == (
        400,
        {"exceptionCode": "InvalidEntity", "exceptionMessage": words},
    )


@pytest.mark.parametrize(
    ("body", "code"),
    [
        ({"operation": "insert", "query": "SELECT Id FROM Account"}, "JSON_PARSER_ERROR"),
        ({"operation": "query", "query": "SELECT Id FROM Account", "lineEnding": "CR"}, "JSON_PARSER_ERROR"),
        ({"operation": "query"}, "INVALIDJOB"),
        ([], "JSON_PARSER_ERROR"),
    ],
)
def test_a_wrong_body_is_refused(client: AppClient, body: object, code: str):
    answer = client.post(JOBS, json=body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


@pytest.mark.parametrize("query", ["locator=%2A%2A", "locator=OTk5", "maxRecords=0", "maxRecords=x"])
def test_a_wrong_page_is_refused(client: AppClient, bulk: BulkQueryService, rows: StoppedStore, query: str):
    job_id = ended(client, bulk, "SELECT Id FROM Account")
    answer = client.get(f"{JOBS}/{job_id}/results?{query}")
    code = "INVALID_QUERY_LOCATOR" if "locator" in query else "API_ERROR"
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)


def test_results_through_another_version_are_a_conflict(client: AppClient, bulk: BulkQueryService, rows: StoppedStore):
    job_id = ended(client, bulk, "SELECT Id FROM Account")
    answer = client.get(f"/services/data/v65.0/jobs/query/{job_id}/results")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (409, "INVALIDJOB")


def test_unknown_jobs_are_not_found(client: AppClient):
    for answer in (
        client.get(f"{JOBS}/750qk0000000099"),
        client.delete(f"{JOBS}/undefined"),
        client.get(f"{JOBS}/750qk0000000099/results"),
    ):
        assert (answer.status_code, answer.json()) == (
            404,
            [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}],
        )


def test_an_ended_job_can_be_deleted_and_not_aborted(client: AppClient, bulk: BulkQueryService, rows: StoppedStore):
    job_id = ended(client, bulk, "SELECT Id FROM Account")
    aborted = client.patch(f"{JOBS}/{job_id}", json={"state": "Aborted"})
    assert (aborted.status_code, aborted.json()) == (
        400,
        [{"errorCode": "INVALIDJOBSTATE", "message": "Aborting already Completed Job not allowed"}],
    )
    assert [one["id"] for one in client.get(JOBS).json()["records"]] == [job_id]
    deleted = client.delete(f"{JOBS}/{job_id}/")
    assert (deleted.status_code, deleted.content) == (204, b"")
    assert client.get(f"{JOBS}/{job_id}").status_code == 404
    assert list(rows.scratch.glob("750*")) == []


class HeldStore(StoppedStore):
    """A store that keeps the threads of bulk queries waiting until ``release`` is set."""

    def __init__(self) -> None:
        self.release = threading.Event()
        super().__init__(None, Catalogue.standard())

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A cursor; in a thread of a bulk query not before the release."""
        if threading.current_thread().name.startswith("bulk-query"):
            assert self.release.wait(60)
        return super().cursor()


def test_a_running_job_can_be_aborted_and_not_deleted():
    store = HeldStore()
    services = Services(store, Settings())
    bulk, client = services.bulk_query, served(services)
    job_id = client.post(JOBS, json={"operation": "query", "query": "SELECT Id FROM Account"}).json()["id"]
    assert client.get(f"{JOBS}/{job_id}").json()["state"] == "UploadComplete"
    early = client.get(f"{JOBS}/{job_id}/results")
    assert (early.status_code, early.json()[0]["errorCode"]) == (400, "API_ERROR")
    kept = client.delete(f"{JOBS}/{job_id}")
    message = "Error encountered when deleting the job because the job is not terminated"
    assert (kept.status_code, kept.json()) == (400, [{"errorCode": "API_ERROR", "message": message}])
    answer = client.patch(f"{JOBS}/{job_id}", json={"state": "Aborted", "id": job_id})
    assert (answer.status_code, list(answer.json())[-1], answer.json()["state"]) == (200, "apiVersion", "Aborted")
    store.release.set()
    assert bulk.wait(job_id) == "Aborted"
    assert client.delete(f"{JOBS}/{job_id}").status_code == 204
    services.close()
    store.close()


def test_rest_queries_are_routed_with_and_without_a_slash(client: AppClient, rows: StoppedStore):
    base = "/services/data/v66.0"
    with rows.cursor() as cursor:
        cursor.execute(
            'INSERT INTO data."Account" ("Id", "IsDeleted") SELECT sf_id(\'001\', i), true FROM range(300) AS t(i)'
        )
    for path in (f"{base}/query", f"{base}/query/"):
        assert client.get(path, params={"q": "SELECT COUNT() FROM Account"}).json()["totalSize"] == 3
    headers = {"Sforce-Query-Options": "batchSize=200"}
    page = client.get(f"{base}/queryAll/", params={"q": "SELECT Id FROM Account"}, headers=headers).json()
    assert (page["totalSize"], page["done"], len(page["records"])) == (304, False, 200)
    for path in (page["nextRecordsUrl"], page["nextRecordsUrl"].replace("query", "queryAll")):
        assert len(client.get(path).json()["records"]) == 104
    columns = client.get(f"{base}/query", params={"q": "SELECT Id FROM Account", "columns": "true"}).json()
    assert (columns["entityName"], columns["idSelected"]) == ("Account", True)
    plan = client.get(f"{base}/query", params={"explain": "SELECT Id FROM Account"}).json()
    assert (plan["plans"][0]["cardinality"], plan["sourceQuery"]) == (3, "SELECT Id FROM Account")
    assert client.get(f"{base}/query").json()[0]["errorCode"] == "MALFORMED_QUERY"

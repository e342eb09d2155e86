"""Ingest jobs over HTTP: paths, shapes and errors as independent clients need them (bulk2.md 1, 2, 8)."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import Response

from sfframe.localorg.routes import ingest as routes
from sfframe.localorg.routes.answers import error_answer
from sfframe.localorg.services.errors import ServiceError
from tests.localorg.app_client import AppClient
from tests.localorg.ingest_org import IngestOrg

BASE = "/services/data/v60.0/jobs/ingest"
MULTIPE = (
    "Found multipe contents for job: <{}>, please 'Close' / 'Abort' / 'Delete' the current Job then create a new Job "
    "and make sure you only do 'PUT' once on a given Job."
)
NO_KEY = "Field name provided, Text__c does not match an External ID, Salesforce Id, or indexed field for Widget__c"
NOT_FOUND = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]


def _refuse(_request: Request, error: Exception) -> Response:
    assert isinstance(error, ServiceError)
    return error_answer(error)


class Client(AppClient):
    """Calls of the ingest routes of an org."""

    def __init__(self, org: IngestOrg) -> None:
        app = Starlette(routes=routes.routes, exception_handlers={ServiceError: _refuse})
        app.state.services = SimpleNamespace(ingest=org.ingest)
        super().__init__(app, "token")

    def create(self, **body: Any) -> httpx.Response:
        return self.post(BASE, json={"object": "Widget__c", "operation": "insert", **body})

    def new(self, **body: Any) -> str:
        return str(self.create(**body).json()["id"])

    def put(self, path: str, content: Any) -> httpx.Response:
        return self.request("PUT", BASE + path, content=content, headers={"Content-Type": "text/csv"})

    def set_state(self, job_id: str, state: str) -> httpx.Response:
        return self.patch(f"{BASE}/{job_id}", json={"state": state})


@pytest.fixture(scope="module")
def org() -> Iterator[IngestOrg]:
    with IngestOrg() as org:
        yield org


@pytest.fixture
def client(org: IngestOrg) -> Client:
    return Client(org)


def error(response: httpx.Response) -> tuple[int, str, str]:
    (only,) = response.json()
    assert list(only) == ["errorCode", "message"]
    return response.status_code, only["errorCode"], only["message"]


def stamp(text: str) -> str:
    assert len(text) == 28
    assert text.endswith(".000+0000")
    return text


def test_a_new_job_answers_its_shape_in_order_and_defaults(org: IngestOrg, client: Client) -> None:
    response = client.create(operation="upsert", externalIdFieldName="Ext__c")
    body = response.json()
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json;charset=UTF-8"
    assert list(body.items()) == [
        ("id", body["id"]),
        ("operation", "upsert"),
        ("object", "Widget__c"),
        ("createdById", org.store.user_id),
        ("createdDate", stamp(body["createdDate"])),
        ("systemModstamp", body["createdDate"]),
        ("state", "Open"),
        ("externalIdFieldName", "Ext__c"),
        ("concurrencyMode", "Parallel"),
        ("contentType", "CSV"),
        ("apiVersion", 60.0),
        ("contentUrl", f"services/data/v60.0/jobs/ingest/{body['id']}/batches"),
        ("lineEnding", "LF"),
        ("columnDelimiter", "COMMA"),
    ]
    assert '"apiVersion":60.0' in response.text
    assert len(body["id"]) == 18
    assert body["id"].startswith("750")


def test_a_job_walks_from_open_to_complete(org: IngestOrg, client: Client) -> None:
    created = client.create().json()
    path = f"/{created['id']}"
    opened = client.get(BASE + path).json()
    timings = [("retries", 0), ("totalProcessingTime", 0), ("apiActiveProcessingTime", 0), ("apexProcessingTime", 0)]
    shape = [item for item in created.items() if item[0] not in ("contentUrl", "lineEnding", "columnDelimiter")]
    formats = [("lineEnding", "LF"), ("columnDelimiter", "COMMA")]
    content = [("contentUrl", created["contentUrl"])]
    assert list(opened.items()) == [*shape, ("jobType", "V2Ingest"), *content, *formats, *timings]

    upload = client.put(f"{path}/batches", b"Name\na\nb\n")
    assert (upload.status_code, upload.content) == (201, b"")
    counts = [("numberRecordsProcessed", 0), ("numberRecordsFailed", 0)]
    uploaded = client.get(BASE + path).json()
    assert list(uploaded.items()) == [*shape, ("jobType", "V2Ingest"), *content, *formats, *counts, *timings]

    closed = client.set_state(created["id"], "UploadComplete")
    assert closed.status_code == 200
    assert list(closed.json().items()) == [(key, "UploadComplete" if key == "state" else value) for key, value in shape]

    org.ingest.wait(created["id"])
    done = client.get(BASE + path).json()
    assert (done["state"], done["numberRecordsProcessed"], done["numberRecordsFailed"]) == ("JobComplete", 2, 0)
    assert list(done) == [
        *[key for key, _ in shape], "jobType", "lineEnding", "columnDelimiter",
        "numberRecordsProcessed", "numberRecordsFailed", *[key for key, _ in timings],
    ]  # fmt: skip
    results = client.get(f"{BASE}{path}/failedResults")
    assert results.headers["content-type"] == "text/csv; charset=UTF-8"
    assert results.text == '"sf__Id","sf__Error",Name\n'


@pytest.mark.parametrize("end", ["", "/"])
def test_every_path_takes_a_slash_at_its_end_and_ids_of_15_characters(org: IngestOrg, client: Client, end: str) -> None:
    job = client.post(BASE + end, json={"object": "widget__C", "operation": "insert"}).json()
    short = f"/{job['id'][:15]}"
    assert job["object"] == "Widget__c"
    assert client.put(f"{short}/batches{end}", b"Name\na\n").status_code == 201
    assert client.patch(BASE + short + end, json={"id": short, "state": "UploadComplete"}).json()["id"] == job["id"]
    org.ingest.wait(job["id"])
    assert client.get(BASE + short + end).json()["id"] == job["id"]
    for kind in ("successfulResults", "failedResults", "unprocessedrecords", "unprocessedRecords", "FAILEDRESULTS"):
        assert client.get(f"{BASE}{short}/{kind}{end}").status_code == 200
    gone = client.delete(BASE + short + end)
    assert (gone.status_code, gone.content) == (204, b"")
    assert client.get(BASE + short).json() == NOT_FOUND


def test_a_chunked_upload_is_taken(org: IngestOrg, client: Client) -> None:
    async def chunks() -> AsyncIterator[bytes]:
        for piece in (b"Na", b"me\nchu", b"nked\n"):
            yield piece

    job = client.new()
    assert client.put(f"/{job}/batches", chunks()).status_code == 201
    client.set_state(job, "UploadComplete")
    org.ingest.wait(job)
    assert org.rows('"Name"', where="\"Name\" = 'chunked'") == [("chunked",)]


@pytest.mark.parametrize("newline", ["\r\n", "\n"])
@pytest.mark.parametrize("boundary", ["XX42", '"XX42"'])
def test_a_small_job_can_be_made_with_its_data_in_one_request(
    org: IngestOrg, client: Client, newline: str, boundary: str
) -> None:
    lines = [
        "--XX42",
        "Content-Type: application/json",
        'Content-Disposition: form-data; name="job"',
        "",
        '{"object":"Widget__c","operation":"insert","contentType":"CSV","lineEnding":"LF"}',
        "",
        "--XX42",
        "Content-Type: text/csv",
        'Content-Disposition: form-data; name="content"; filename="content"',
        "",
        "Name,Text__c\nw1,red\n",
        "--XX42--",
        "",
    ]
    headers = {"Content-Type": f"multipart/form-data; boundary={boundary}"}
    response = client.post(BASE, content=newline.join(lines).encode(), headers=headers)
    body = response.json()
    assert (response.status_code, body["state"]) == (200, "UploadComplete")
    assert list(body)[-3:] == ["apiVersion", "lineEnding", "columnDelimiter"]
    org.ingest.wait(body["id"])
    assert org.successes(body["id"])[0] == '"sf__Id","sf__Created",Name,Text__c'
    assert org.info(body["id"])["numberRecordsProcessed"] == 1


@pytest.mark.parametrize(
    ("body", "answer"),
    [
        ({"object": "Foo"}, (400, "INVALIDENTITY", "Unable to find object: Foo")),
        (
            {"operation": "upsert"},
            (
                400,
                "INVALIDJOB",
                "External ID was blank for Widget__c. An External ID must be specified for upsert.",
            ),
        ),
        (
            {"operation": "upsert", "externalIdFieldName": "Text__c"},
            (
                400,
                "INVALIDJOB",
                NO_KEY,
            ),
        ),
    ],
)
def test_a_job_that_cannot_be_is_refused(client: Client, body: dict[str, str], answer: tuple[int, str, str]) -> None:
    assert error(client.create(**body)) == answer


@pytest.mark.parametrize(
    ("key", "value"),
    [
        ("operation", "Insert"),
        ("operation", "merge"),
        ("lineEnding", "lf"),
        ("columnDelimiter", ","),
        ("contentType", "XML"),
    ],
)
def test_a_word_that_is_none_of_the_closed_lists_is_a_parser_error(client: Client, key: str, value: str) -> None:
    response = client.create(**{key: value})
    (only,) = response.json()
    assert (response.status_code, only["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert f"{key}: value '{value}' is not one of [" in only["message"]


def test_a_body_that_is_no_json_is_a_parser_error_with_its_place(client: Client) -> None:
    response = client.post(BASE, content=b'{"object":"Widget__c",')
    assert response.status_code == 400
    assert response.json()[0]["errorCode"] == "JSON_PARSER_ERROR"
    assert response.json()[0]["message"].endswith("at [line:1, column:23]")


def test_hard_delete_needs_the_permission() -> None:
    with IngestOrg(hard_delete_allowed=False) as org:
        assert error(Client(org).create(operation="hardDelete")) == (
            400,
            "FEATURENOTENABLED",
            "hardDelete operation requires special user profile permission, please contact your system administrator",
        )


def test_unknown_jobs_and_parts_are_not_found(client: Client) -> None:
    job = client.new()
    for path in ("/750000000000000AAA", "/nonsense", f"/{job}/nothing", "/undefined/batches"):
        response = client.get(BASE + path)
        assert (response.status_code, response.json()) == (404, NOT_FOUND)
    assert client.put(f"/{job}/failedResults", b"").json() == NOT_FOUND
    assert client.get(f"/services/data/v60.0/jobs/ingest//{job}").status_code == 404


def test_a_second_upload_is_taken_but_the_job_cannot_be_closed_then(client: Client) -> None:
    job = client.new()
    assert client.put(f"/{job}/batches", b"Name\na\n").status_code == 201
    assert client.put(f"/{job}/batches", b"Name\nb\n").status_code == 201
    assert error(client.set_state(job, "UploadComplete")) == (
        400,
        "INVALIDJOB",
        MULTIPE.format(job[:15]),
    )
    assert client.set_state(job, "Aborted").json()["state"] == "Aborted"


def test_each_state_refuses_what_does_not_fit(org: IngestOrg, client: Client) -> None:
    job = client.new()
    not_terminated = "Error encountered when deleting the job because the job is not terminated"
    assert error(client.delete(f"{BASE}/{job}")) == (400, "API_ERROR", not_terminated)
    assert error(client.set_state(job, "InProgress"))[:2] == (400, "INVALIDJOBSTATE")
    client.put(f"/{job}/batches", b"Name\na\n")
    client.set_state(job, "UploadComplete")
    org.ingest.wait(job)
    for state, words in (("Aborted", "Aborting"), ("UploadComplete", "Closing")):
        said = (400, "INVALIDJOBSTATE", f"{words} already Completed Job not allowed")
        assert error(client.set_state(job, state)) == said
    assert error(client.put(f"/{job}/batches", b"Name\nb\n"))[:2] == (400, "INVALIDJOBSTATE")


def test_an_upload_larger_than_allowed_is_refused_and_leaves_the_job_as_it_was(tmp_path: Path) -> None:
    with IngestOrg(tmp_path / "org", upload_bytes=10) as org:
        client = Client(org)
        job = client.new()
        assert error(client.put(f"/{job}/batches", b"Name\n" + b"a\n" * 10))[:2] == (413, "API_ERROR")
        assert "numberRecordsProcessed" not in client.get(f"{BASE}/{job}").json()
        assert client.put(f"/{job}/batches", b"Name\na\n").status_code == 201
        client.set_state(job, "UploadComplete")
        assert org.ingest.wait(job).processed == 1
    assert list((tmp_path / "org.uploads").iterdir()) == []


def test_results_are_refused_to_another_api_version(org: IngestOrg, client: Client) -> None:
    job = org.load("insert", "Name\na\n")
    response = client.get(f"/services/data/v61.0/jobs/ingest/{job}/failedResults")
    assert error(response)[:2] == (409, "INVALIDJOB")


def test_the_list_names_jobs_without_counts_and_pages_by_locator() -> None:
    with IngestOrg() as org:
        client = Client(org)
        created = [client.create().json() for _ in range(3)]
        listed = client.get(BASE).json()
        assert (listed["done"], listed["nextRecordsUrl"]) == (True, None)
        assert [job["id"] for job in listed["records"]] == [job["id"] for job in reversed(created)]
        keys = list(created[0])
        keys.insert(keys.index("contentUrl"), "jobType")
        assert [list(job) for job in listed["records"]] == [keys] * 3
        assert client.get(f"{BASE}?jobType=Classic").json() == {"done": True, "records": [], "nextRecordsUrl": None}
        assert client.get(f"{BASE}?queryLocator=rubbish").json()[0]["errorCode"] == "INVALID_QUERY_LOCATOR"
        for _ in range(998):
            org.create("insert")
        first = client.get(BASE).json()
        assert (first["done"], len(first["records"])) == (False, 1_000)
        assert first["nextRecordsUrl"].startswith(f"{BASE}?queryLocator=01g")
        last = client.get(first["nextRecordsUrl"]).json()
        assert [job["id"] for job in last["records"]] == [created[0]["id"]]
        assert (last["done"], last["nextRecordsUrl"]) == (True, None)


@pytest.mark.parametrize(
    ("method", "path", "given"),
    [("POST", "", "text/csv"), ("PATCH", "/750", "text/plain"), ("PUT", "/750/batches", "application/json")],
)
def test_a_wrong_content_type_is_refused(client: Client, method: str, path: str, given: str) -> None:
    answer = client.request(method, BASE + path, content="{}", headers={"Content-Type": f"{given}; charset=UTF-8"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_a_content_type_may_be_missing(client: Client) -> None:
    answer = client.request("POST", BASE, content='{"object": "Widget__c", "operation": "insert"}')
    assert answer.json()["state"] == "Open"
    assert client.request("PUT", f"{BASE}/{answer.json()['id']}/batches", content="Name\n").status_code == 201


def test_the_id_of_an_assignment_rule_is_a_text(client: Client) -> None:
    response = client.create(assignmentRuleId=5)
    assert (response.status_code, response.json()[0]["errorCode"]) == (400, "JSON_PARSER_ERROR")

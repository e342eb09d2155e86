"""Faults on demand: on the wire, in jobs and in rows; which requests they strike, and that they strike again alike."""

from __future__ import annotations

import asyncio
import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from starlette.types import Message

from sfframe.localorg import Clock, Fault, Faults, LocalOrg, Settings
from sfframe.localorg.faults import RETRIED
from sfframe.localorg.server import make_app
from tests.localorg.ingest_org import IngestOrg

DATA = "/services/data/v60.0"
LIMITS = f"{DATA}/limits"


@pytest.fixture(scope="module")
def shared() -> Iterator[LocalOrg]:
    with LocalOrg(seed=5) as org:
        yield org


@pytest.fixture
def org(shared: LocalOrg) -> Iterator[LocalOrg]:
    shared.reset()
    shared.faults.clear()
    yield shared
    shared.faults.clear()


@pytest.fixture
def client(org: LocalOrg) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {org.credentials.access_token}"}
    with httpx.Client(base_url=org.url, headers=headers, timeout=60) as client:
        yield client


def create(client: httpx.Client) -> str:
    job = client.post(f"{DATA}/jobs/ingest", json={"object": "Account", "operation": "insert"})
    return str(job.json()["id"])


def jobs_of(client: httpx.Client) -> list[str]:
    return [job["id"] for job in client.get(f"{DATA}/jobs/ingest").json()["records"]]


# Which of the two a client sees depends on whether the reset or the end of the stream reaches it first.
BROKEN_OFF = (httpx.ReadError, httpx.RemoteProtocolError)


def test_a_reset_before_the_request_leaves_the_org_as_it_was(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("reset_before", method="POST", path="*/jobs/ingest", nth=1))
    with pytest.raises(BROKEN_OFF):
        create(client)
    assert jobs_of(client) == []
    job = create(client)
    assert jobs_of(client) == [job]


def test_a_reset_after_the_request_leaves_what_was_done(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("reset_after", method="POST", path="*/jobs/ingest", nth=1))
    with pytest.raises(BROKEN_OFF):
        create(client)
    assert len(jobs_of(client)) == 1


def test_a_reset_in_the_middle_of_an_upload_leaves_the_job_open_and_empty(org: LocalOrg, client: httpx.Client) -> None:
    job = create(client)
    org.faults.add(Fault("reset_before", method="PUT"))
    with pytest.raises(httpx.TransportError):
        client.put(f"{DATA}/jobs/ingest/{job}/batches", content=b"Name\n" + b"x" * 5_000_000)
    assert "numberRecordsProcessed" not in client.get(f"{DATA}/jobs/ingest/{job}").json()


@pytest.mark.parametrize("kept", [0, 1, 100])
def test_a_truncated_answer_breaks_off_behind_its_bytes(org: LocalOrg, client: httpx.Client, kept: int) -> None:
    client.headers["Accept-Encoding"] = "identity"
    whole = client.get("/services/data").content
    org.faults.add(Fault("truncate", path="/services/data", bytes=kept, times=1))
    with client.stream("GET", "/services/data") as answer:
        pieces = answer.iter_raw()
        assert b"".join(next(pieces) for _ in range(min(kept, 1))) == whole[:kept]
        with pytest.raises(httpx.RemoteProtocolError, match=f"received {kept} bytes, expected {len(whole)}"):
            next(pieces)
    assert client.get("/services/data").content == whole


def test_a_truncated_stream_has_no_last_chunk(org: LocalOrg, client: httpx.Client) -> None:
    job = create(client)
    client.put(f"{DATA}/jobs/ingest/{job}/batches", content="Name\n" + "a name\n" * 50)
    org.faults.add(Fault("truncate", path="*/unprocessedrecords", bytes=3))
    client.patch(f"{DATA}/jobs/ingest/{job}", json={"state": "Aborted"})
    with pytest.raises(httpx.RemoteProtocolError, match="incomplete chunked read"):
        client.get(f"{DATA}/jobs/ingest/{job}/unprocessedrecords", headers={"Accept-Encoding": "identity"})


@pytest.mark.parametrize(
    ("fault", "status", "body"),
    [
        (Fault("answer"), 503, [{"message": "Server Unavailable", "errorCode": "SERVER_UNAVAILABLE"}]),
        (
            Fault("answer", status=403),
            403,
            [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}],
        ),
        (
            Fault("answer", status=401),
            401,
            [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}],
        ),
        (
            Fault("answer", status=400, code="TXN_SECURITY_METERING_ERROR", message="too long"),
            400,
            [{"message": "too long", "errorCode": "TXN_SECURITY_METERING_ERROR"}],
        ),
        (Fault("answer", status=406), 406, None),
        (Fault("answer", status=429), 429, None),
    ],
)
def test_an_answer_is_given_instead_of_the_orgs(
    org: LocalOrg, client: httpx.Client, fault: Fault, status: int, body: Any
) -> None:
    org.faults.add(fault)
    answer = client.get(LIMITS)
    assert (answer.status_code, answer.json() if answer.content else None) == (status, body)
    assert "Sforce-Limit-Info" not in answer.headers


def test_a_page_is_html(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("answer", html=True))
    answer = client.get(LIMITS)
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert "<title>Service Unavailable</title>" in answer.text


def test_the_edge_says_420_with_a_page_and_a_busy_org_when_to_come_back(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("answer", status=420, nth=1), Fault("answer", status=429, retry_after=7, nth=2))
    edge, busy = client.get(LIMITS), client.get(LIMITS)
    assert (edge.status_code, "<html>" in edge.text) == (420, True)
    assert (busy.status_code, busy.headers["Retry-After"]) == (429, "7")


def test_an_answer_may_come_although_the_org_has_acted(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("answer", method="POST", acted=True))
    assert client.post(f"{DATA}/jobs/ingest", json={"object": "Account", "operation": "insert"}).status_code == 503
    assert len(jobs_of(client)) == 1


def test_an_expired_session_stays_expired() -> None:
    with LocalOrg() as org, httpx.Client(base_url=org.url, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {org.credentials.access_token}"
        org.faults.add(Fault("expire_session", nth=2))
        assert [client.get(LIMITS).status_code for _ in range(3)] == [200, 401, 401]


def test_a_lost_locator_and_expired_results_are_told_as_such(org: LocalOrg, client: httpx.Client) -> None:
    job = create(client)
    org.faults.add(Fault("results_expired"), Fault("locator_lost"))
    results = client.get(f"{DATA}/jobs/ingest/{job}/successfulResults")
    assert (results.status_code, results.json()[0]["errorCode"]) == (404, "NOT_FOUND")
    for path in ("/query/0r8000000000001AAA-2000", "/jobs/query/750000000000001AAA/results?maxRecords=1&locator=MQ"):
        page = client.get(DATA + path)
        assert (page.status_code, page.json()[0]["errorCode"]) in [
            (400, "INVALID_QUERY_LOCATOR"),
            (404, "NOT_FOUND"),  # of the bulk page both faults are true; the plan's order decides
        ]
    assert client.get(f"{DATA}/query?q=SELECT+Id+FROM+Account").status_code == 200


def test_a_latent_request_is_answered_after_its_time(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("latency", seconds=0.2))
    assert client.get(LIMITS).status_code == 200
    log = org.request_log().filter(fault="latency")
    assert log.height == 1
    assert log["ms"][0] >= 200


def test_a_fault_strikes_the_requests_that_it_names() -> None:
    faults = Faults()
    faults.add(Fault("reset_before", method="get", path="*/JOBS/ingest/*", nth=(2, 3), times=1))
    asked = [
        ("GET", "/services/data/v60.0/jobs/ingest/1"),
        ("PUT", "/services/data/v60.0/jobs/ingest/1"),
        ("GET", "/services/data/v60.0/jobs/query/1"),
        ("GET", "/services/data/v60.0/jobs/ingest/2"),
        ("GET", "/services/data/v60.0/jobs/ingest/3"),
    ]
    assert [len(faults.on_request(method, path)) for method, path in asked] == [0, 0, 0, 1, 0]
    assert faults.struck == [(Fault("reset_before", method="get", path="*/JOBS/ingest/*", nth=(2, 3), times=1), 1)]


def test_a_probability_gives_the_same_faults_for_the_same_seed() -> None:
    def strikes(seed: int) -> list[int]:
        faults = Faults(seed)
        faults.add(Fault("answer", probability=0.3))
        return [len(faults.on_request("GET", f"/{number}")) for number in range(200)]

    assert strikes(1) == strikes(1) != strikes(2)
    assert 35 <= sum(strikes(1)) <= 85


def test_a_plan_can_be_read_from_a_file(tmp_path: Path) -> None:
    plan = tmp_path / "faults.json"
    plan.write_text(json.dumps([{"kind": "answer", "status": 502, "nth": [1, 3]}, {"kind": "job_stuck"}]))
    faults = Faults()
    faults.load(plan)
    assert [fault for fault, _ in faults.struck] == [Fault("answer", status=502, nth=(1, 3)), Fault("job_stuck")]


@pytest.mark.parametrize(
    ("entry", "words"),
    [
        ({"kind": "explode"}, "Fault 0 of the plan: There is no fault 'explode'"),
        ({"kind": "answer", "share": 0.1}, "share means nothing for a fault of kind answer"),
        ({"kind": "job_stuck", "path": "*"}, "path means nothing for a fault of kind job_stuck"),
        ({"kind": "answer", "probability": 2}, "probability is a share between 0 and 1, not 2"),
        ({"kind": "answer", "often": 2}, "often"),
        ("answer", "Fault 0 of the plan"),
    ],
)
def test_a_plan_that_means_nothing_is_refused_whole(entry: Any, words: str) -> None:
    faults = Faults()
    with pytest.raises(ValueError, match=words):
        faults.load([entry])
    assert faults.struck == []


ROWS = "Name\n" + "".join(f"row {number}\n" for number in range(10))


def test_a_stuck_job_holds_up_no_other_and_goes_on_when_released() -> None:
    with IngestOrg(batch_rows=3) as org:
        org.faults.add(Fault("job_stuck", operation="insert", after_batches=2, nth=(1, 2, 3)))
        stuck = [org.start("insert", ROWS) for _ in range(3)]
        for job in stuck:
            org.ingest.wait(job, batches=2)
        other = org.load("insert", ROWS)
        assert org.info(other)["state"] == "JobComplete"
        assert [(org.info(job)["state"], org.info(job)["numberRecordsProcessed"]) for job in stuck] == [
            ("InProgress", 6)
        ] * 3
        org.ingest.release(stuck[0])
        assert org.ingest.wait(stuck[0]).processed == 10


def test_a_failed_job_has_rows_in_all_three_files() -> None:
    with IngestOrg(batch_rows=4, seed=3) as org:
        org.faults.add(Fault("job_fails", object="widget__c", after_batches=2, nth=1), Fault("lock_rows", share=0.25))
        job = org.load("insert", ROWS)
        assert org.info(job)["errorMessage"] == RETRIED
        assert len(org.successes(job)) - 1 == 6
        assert len(org.failures(job)) - 1 == 2
        assert org.file(job, "unprocessedrecords") == "Name\nrow 8\nrow 9\n"
        assert set(org.errors(job)) == {"UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--"}
        assert len(org.rows('"Id"')) == 6


def test_rows_of_a_collection_can_be_locked_too(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("lock_rows", object="Account", operation="insert", share=0.5, nth=1))
    records = [{"attributes": {"type": "Account"}, "Name": f"row {number}"} for number in range(4)]
    first, second = (client.post(f"{DATA}/composite/sobjects", json={"records": records}).json() for _ in range(2))
    assert sorted(one["success"] for one in first) == [False, False, True, True]
    codes = {error["statusCode"] for one in first for error in one["errors"]}
    assert codes == {"UNABLE_TO_LOCK_ROW"}
    assert [one["success"] for one in second] == [True] * 4


def test_a_query_job_can_be_stuck_or_fail(org: LocalOrg, client: httpx.Client) -> None:
    org.faults.add(Fault("job_stuck", object="Account", operation="query", nth=1))
    org.faults.add(Fault("job_fails", object="Account", operation="query", nth=2, message="No time : none"))
    service = org._services.bulk_query
    body = {"operation": "query", "query": "SELECT Id FROM Account"}
    stuck, failed = (client.post(f"{DATA}/jobs/query", json=body).json()["id"] for _ in range(2))
    assert service.wait(failed) == "Failed"
    assert client.get(f"{DATA}/jobs/query/{failed}").json()["errorMessage"] == "No time : none"
    assert client.get(f"{DATA}/jobs/query/{stuck}").json()["state"] == "InProgress"
    org.release(stuck)
    assert service.wait(stuck) == "JobComplete"


def test_parallel_batches_lock_the_parents_they_share_and_sorted_rows_do_not() -> None:
    with IngestOrg(batch_rows=3, parallel_batches_lock_parents=True) as org:
        org.load("insert", "Name\na\nb\n", obj="Account")
        a, b = org.id(1, "Account"), org.id(2, "Account")
        mixed = org.load("insert", "Name,Firm__c\n" + "".join(f"{n},{(a, b)[n % 2]}\n" for n in range(6)))
        locked = "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record or 1 records: {}:--"
        assert org.errors(mixed) == [locked.format(b), locked.format(a), locked.format(b)]
        ordered = org.load("insert", "Name,Firm__c\n" + "".join(f"{n},{(a, b)[n // 3]}\n" for n in range(6)))
        assert org.errors(ordered) == []


def test_a_days_calls_can_be_used_up() -> None:
    settings, noon = Settings(daily_api_requests=1), Clock(dt.datetime(2026, 3, 4, 12))
    with LocalOrg(settings=settings, clock=noon) as org, httpx.Client(base_url=org.url, timeout=60) as client:
        client.headers["Authorization"] = f"Bearer {org.credentials.access_token}"
        answers = [client.get(LIMITS) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 403]
        assert answers[1].json() == [
            {"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}
        ]


def test_the_request_log_tells_what_was_asked(org: LocalOrg, client: httpx.Client) -> None:
    org._services.request_log.clear()
    job = create(client)
    client.put(f"{DATA}/jobs/ingest/{job}/batches", content=b"Name\nx\n")
    client.get("/nowhere?token=secret")
    log = org.request_log()
    assert log.select("method", "path", "status", "bytes_in", "fault").rows() == [
        ("POST", f"{DATA}/jobs/ingest", 200, 41, None),
        ("PUT", f"{DATA}/jobs/ingest/{job}/batches", 201, 7, None),
        ("GET", "/nowhere", 404, 0, None),
    ]
    assert (log["ms"] > 0).all()


@pytest.mark.parametrize("answer", ["document", "file", "error", "nothing", "page"])
def test_whoever_has_an_answer_finds_the_request_in_the_log(org: LocalOrg, answer: str) -> None:
    service = org._services.bulk_query
    job = service.create({"operation": "query", "query": "SELECT Id FROM User"}, "v60.0")["id"]
    assert service.wait(job) == "JobComplete"
    path = {
        "document": LIMITS,
        "file": f"{DATA}/jobs/query/{job}/results",
        "error": "/nowhere",
        "nothing": f"{DATA}/jobs/query/{job}",
        "page": LIMITS,
    }[answer]
    if answer == "page":
        org.faults.add(Fault("answer", status=503, html=True))
    token = f"Bearer {org.credentials.access_token}".encode()
    org.clear_request_log()
    ends: list[int] = []
    left: int | None = None

    async def receive() -> Message:
        return {"type": "http.request", "body": b"", "more_body": False}

    async def send(message: Message) -> None:
        """What a client that hears this may find in the log, at each end of the answer."""
        nonlocal left
        if message["type"] == "http.response.start":
            left = next((int(value) for name, value in message["headers"] if name == b"content-length"), None)
            return
        if left is not None:
            left -= len(message["body"])
        if left == 0 or not message.get("more_body"):
            ends.append(org.request_log().height)

    scope: dict[str, object] = {
        "type": "http",
        "http_version": "1.1",
        "scheme": "http",
        "method": "DELETE" if answer == "nothing" else "GET",
        "root_path": "",
        "path": path,
        "query_string": b"",
        "headers": [(b"authorization", token)],
    }
    asyncio.run(make_app(org._services)(scope, receive, send))
    assert set(ends) == {1}
    assert org.request_log()["path"].to_list() == [path]


def test_a_served_org_takes_a_plan_from_a_file(tmp_path: Path) -> None:
    plan, wrong = tmp_path / "plan.json", tmp_path / "wrong.json"
    plan.write_text('[{"kind": "answer", "status": 420, "nth": 1}]')
    wrong.write_text('[{"kind": "nothing"}]')
    serve = [sys.executable, "-m", "sfframe.cli", "org", "serve", "--port", "0", "--faults"]
    refused = subprocess.run([*serve, str(wrong)], capture_output=True, text=True, timeout=60, check=False)
    assert refused.returncode != 0
    assert "There is no fault 'nothing'" in " ".join(refused.stderr.split())
    with subprocess.Popen([*serve, str(plan)], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            url = json.loads(process.stdout.readline())["url"]
            assert [httpx.get(f"{url}/services/data").status_code for _ in range(2)] == [420, 200]
        finally:
            process.terminate()

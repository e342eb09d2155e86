"""The server on the wire: sessions, versions, describes, limits, and what every failure looks like."""

from __future__ import annotations

import asyncio
import datetime as dt
import gzip
import json
import re
import socket
import threading
import time
import zlib
from collections.abc import Iterator

import httpx
import pytest
from starlette.applications import Starlette
from starlette.middleware import Middleware
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import Route

from sfframe.localorg import Clock, LocalOrg, Settings
from sfframe.localorg.routes.failures import Failures

DATA = "/services/data/v60.0"
NOON = dt.datetime(2026, 3, 4, 12, tzinfo=dt.UTC)  # far from the end of a day, for what is counted by day
NOT_FOUND = [{"message": "The requested resource does not exist", "errorCode": "NOT_FOUND"}]
NO_SESSION = [{"message": "Session expired or invalid", "errorCode": "INVALID_SESSION_ID"}]


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg(seed=5, clock=Clock(NOON)) as org:
        yield org


@pytest.fixture
def client(org: LocalOrg) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {org.credentials.access_token}"}
    with httpx.Client(base_url=org.url, headers=headers, timeout=60) as client:
        yield client


@pytest.fixture
def stranger(org: LocalOrg) -> Iterator[httpx.Client]:
    with httpx.Client(base_url=org.url, timeout=60) as client:
        yield client


def test_versions_need_no_session_and_run_from_31_to_67(stranger: httpx.Client) -> None:
    versions = stranger.get("/services/data/").json()
    assert versions[0] == {"label": "Summer '14", "url": "/services/data/v31.0", "version": "31.0"}
    assert versions[-1] == {"label": "Summer '26", "url": "/services/data/v67.0", "version": "67.0"}
    labels = {one["version"]: one["label"] for one in versions}
    # rest.md 4
    assert [labels[f"{number}.0"] for number in (59, 60, 61, 62)] == [
        *("Winter '24", "Spring '24", "Summer '24", "Winter '25"),
    ]


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": "Bearer wrong"},
        {"Authorization": "Bearer"},
        {"Authorization": "Basic YTpi"},
        {"X-SFDC-Session": "wrong"},
    ],
)
def test_without_a_valid_session_every_resource_is_closed(stranger: httpx.Client, headers: dict[str, str]) -> None:
    answer = stranger.get(f"{DATA}/limits", headers=headers)
    assert (answer.status_code, answer.json()) == (401, NO_SESSION)
    assert "Sforce-Limit-Info" not in answer.headers


def test_a_session_may_be_carried_in_any_of_four_ways(stranger: httpx.Client, org: LocalOrg) -> None:
    token = org.credentials.access_token
    assert re.fullmatch(r"(00D\w{12,15})![.\w]*", token)  # the sf CLI's own pattern (clients.md 2.1)
    for headers in (
        {"Authorization": f"Bearer {token}"},
        {"authorization": f"OAuth {token}"},
        {"x-sfdc-session": token},
    ):
        assert stranger.get(DATA, headers=headers).status_code == 200
    me = stranger.get(DATA, headers={"X-SFDC-Session": token}).json()["identity"]
    known = stranger.get(f"{me}?oauth_token={token}&format=json").json()
    assert (known["username"], me) == ("integration@sfframe.example", known["id"])
    assert known["id"].endswith(f"/id/{known['organization_id']}/{known['user_id']}")
    assert stranger.get(f"{DATA}?oauth_token={token}").status_code == 401


def test_client_credentials_open_a_session_by_body_or_by_basic(stranger: httpx.Client, org: LocalOrg) -> None:
    secrets = org.credentials
    form = {"grant_type": "client_credentials", "client_id": secrets.client_id, "client_secret": secrets.client_secret}
    by_body = stranger.post("/services/oauth2/token", data=form)
    basic = (secrets.client_id, secrets.client_secret)
    by_basic = stranger.post("/services/oauth2/token", data={"grant_type": "client_credentials"}, auth=basic)
    assert list(by_body.json()) == [
        *("access_token", "signature", "scope", "token_format", "instance_url", "id"),
        *("token_type", "issued_at", "api_instance_url"),
    ]
    assert by_body.json()["instance_url"] == org.url
    assert by_body.json()["issued_at"].isdigit()
    tokens = {answer.json()["access_token"] for answer in (by_body, by_basic)}
    assert len(tokens) == 2
    for token in tokens:
        info = stranger.get("/services/oauth2/userinfo", headers={"Authorization": f"Bearer {token}"}).json()
        assert (info["preferred_username"], len(info["organization_id"])) == ("integration@sfframe.example", 18)


def test_the_password_flow_works_and_a_revoked_token_does_not(stranger: httpx.Client, org: LocalOrg) -> None:
    secrets = org.credentials
    form = {
        "grant_type": "password",
        "username": secrets.username,
        "password": secrets.password,
        "client_id": secrets.client_id,
        "client_secret": secrets.client_secret,
    }
    answer = stranger.post("/services/oauth2/token", data=form).json()
    assert list(answer) == ["access_token", "instance_url", "id", "token_type", "issued_at", "signature"]
    session = {"Authorization": f"Bearer {answer['access_token']}"}
    assert stranger.get(DATA, headers=session).status_code == 200
    revoked = stranger.post("/services/oauth2/revoke", data={"token": answer["access_token"]})
    assert (revoked.status_code, revoked.content) == (200, b"")
    assert stranger.get(DATA, headers=session).json() == NO_SESSION


@pytest.mark.parametrize(
    ("change", "error", "description"),
    [
        ({"client_id": "x"}, "invalid_client_id", "client identifier invalid"),
        ({"client_secret": "x"}, "invalid_client", "invalid client credentials"),
        ({"grant_type": "device"}, "unsupported_grant_type", "grant type not supported"),
        ({"password": "x"}, "invalid_grant", "authentication failure"),
        ({"username": "\N{LATIN SMALL LETTER E WITH ACUTE}"}, "invalid_grant", "authentication failure"),
    ],
)
def test_a_refused_login_says_why_in_oauths_words(
    stranger: httpx.Client, org: LocalOrg, change: dict[str, str], error: str, description: str
) -> None:
    secrets = org.credentials
    form = {"grant_type": "password", "client_id": secrets.client_id, "client_secret": secrets.client_secret}
    form |= {"username": secrets.username, "password": secrets.password} | change
    answer = stranger.post("/services/oauth2/token", data=form)
    assert (answer.status_code, answer.json()) == (400, {"error": error, "error_description": description})


def test_each_call_tells_the_days_usage_even_when_it_fails(client: httpx.Client) -> None:
    used = [
        client.get(path).headers["Sforce-Limit-Info"]
        for path in (DATA, f"{DATA}/sobjects/Nothing/describe", f"{DATA}/nothing")
    ]
    first = int(used[0].removeprefix("api-usage=").removesuffix("/100000"))
    assert used == [f"api-usage={first + more}/100000" for more in range(3)]


def test_when_the_days_calls_are_used_up_the_org_refuses() -> None:
    with LocalOrg(settings=Settings(daily_api_requests=1), clock=Clock(NOON)) as small:
        session = {"Authorization": f"Bearer {small.credentials.access_token}"}
        answers = [httpx.get(f"{small.url}{DATA}", headers=session) for _ in range(2)]
    assert [answer.status_code for answer in answers] == [200, 403]
    assert answers[1].json() == [{"message": "TotalRequests Limit exceeded.", "errorCode": "REQUEST_LIMIT_EXCEEDED"}]


def test_the_resources_of_a_version_are_those_that_answer(client: httpx.Client) -> None:
    resources = client.get(f"{DATA}/").json()
    assert {name: url for name, url in resources.items() if name != "identity"} == {
        name: f"{DATA}/{name}"
        for name in (
            *("actions", "appMenu", "composite", "jobs", "limits", "parameterizedSearch", "query", "queryAll"),
            *("quickActions", "recent", "search", "sobjects", "tabs", "theme", "tooling"),
        )
    }
    statuses = {name: client.get(resources[name]).status_code for name in resources if name != "identity"}
    unsaid = {name for name, status in statuses.items() if status != 200}
    assert unsaid == {"parameterizedSearch", "query", "queryAll", "search"}  # these want to know what for
    assert {statuses[name] for name in unsaid} == {400}
    assert client.get(f"{DATA}/jobs").json() == {"ingest": f"{DATA}/jobs/ingest", "query": f"{DATA}/jobs/query"}


def test_retired_versions_are_gone_and_future_ones_unknown(client: httpx.Client) -> None:
    assert [client.get(f"/services/data/v{number}/sobjects").status_code for number in ("30.0", "31.0", "67.0")] == [
        *(410, 200, 200),
    ]
    assert client.get("/services/data/v30.0/limits").json()[0]["errorCode"] == "GONE"
    for text in ("v68.0", "v6.0", "60.0", "v60", "v60.1"):
        answer = client.get(f"/services/data/{text}/sobjects")
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)


def test_describes_are_found_without_case_and_with_a_slash_at_the_end(client: httpx.Client) -> None:
    everything = client.get(f"{DATA}/sobjects/").json()
    assert (everything["encoding"], everything["maxBatchSize"], len(everything["sobjects"])) == ("UTF-8", 200, 55)
    basic = client.get(f"{DATA}/sobjects/account/").json()
    assert basic == {"objectDescribe": everything["sobjects"][0], "recentItems": []}
    assert len(basic["objectDescribe"]) == 28
    full = client.get(f"{DATA}/sobjects/ACCOUNT/describe/").json()
    assert (full["name"], full["urls"]["sobject"]) == ("Account", f"{DATA}/sobjects/Account")
    missing = client.get(f"{DATA}/sobjects/Nothing/describe")
    assert (missing.status_code, missing.json()) == (404, NOT_FOUND)


def test_a_second_slash_in_front_of_the_path_is_taken(client: httpx.Client) -> None:
    root = str(client.base_url).rstrip("/")
    assert client.get(f"{root}/{DATA}/sobjects/Account/describe").json()["name"] == "Account"
    twice_inside = client.get(f"{DATA}//sobjects/Account/describe")  # is not (bulk2.md 1.1)
    assert (twice_inside.status_code, twice_inside.json()) == (404, NOT_FOUND)


def test_a_describe_that_the_client_has_is_not_sent_again_until_a_deploy() -> None:
    with LocalOrg() as org:
        session = {"Authorization": f"Bearer {org.credentials.access_token}"}
        url = f"{org.url}{DATA}/sobjects/Account/describe"
        first = httpx.get(url, headers=session)
        since = {"If-Modified-Since": first.headers["Last-Modified"]}
        assert first.headers["ETag"].endswith('-gzip"')
        plain = httpx.get(url, headers={**session, "Accept-Encoding": "identity"}).headers["ETag"]
        assert plain == first.headers["ETag"].replace("-gzip", "")
        for other in (plain, f"W/{plain}", f'"a", {plain}', "*"):
            assert httpx.get(url, headers={**session, "If-None-Match": other}).status_code == 304
        tag = {"If-None-Match": first.headers["ETag"]}
        for condition in (since, tag):
            again = httpx.get(url, headers=session | condition)
            assert (again.status_code, again.content, again.headers["ETag"]) == (304, b"", first.headers["ETag"])
        for stale in ({"If-Modified-Since": "Thu, 01 Jan 2015 00:00:00 GMT"}, {"If-Modified-Since": "whenever"}):
            assert httpx.get(url, headers=session | stale).status_code == 200
        org.deploy([{"name": "Account", "fields": [{"name": "New__c", "type": "string"}]}])
        changed = httpx.get(url, headers=session | tag)
    assert changed.status_code == 200
    assert changed.json()["fields"][-1]["name"] == "New__c"


def test_record_types_of_the_org_stand_before_the_master(client: httpx.Client, org: LocalOrg) -> None:
    url = f"{DATA}/sobjects/Account/describe"
    before = client.get(url)
    with org._store.cursor() as cursor:
        cursor.execute(
            'INSERT INTO data."RecordType" ("Id", "Name", "DeveloperName", "IsActive", "SobjectType") '
            "VALUES ('012000000000001AAA', 'A Kind', 'A_Kind', true, 'Account')"
        )
    after = client.get(url)
    names = [(one["name"], one["master"]) for one in after.json()["recordTypeInfos"]]
    assert names == [("A Kind", False), ("Master", True)]
    assert after.headers["ETag"] != before.headers["ETag"]


def test_limits_and_record_counts_are_counted(client: httpx.Client) -> None:
    limits = client.get(f"{DATA}/limits/").json()
    assert limits["DailyBulkApiBatches"] == {"Max": 15_000, "Remaining": 15_000}
    assert limits["DailyApiRequests"]["Max"] - limits["DailyApiRequests"]["Remaining"] > 0
    counts = client.get(f"{DATA}/limits/recordCount", params={"sObjects": "user, Account,Nothing,Profile"}).json()
    # Objects without rows and unknown ones are left out (rest.md 4).
    assert counts == {"sObjects": [{"count": 1, "name": "User"}, {"count": 1, "name": "Profile"}]}
    everything = client.get(f"{DATA}/limits/recordCount").json()["sObjects"]
    assert {one["name"] for one in everything} >= {"Organization", "Profile", "User"}


def test_json_is_compact_unless_asked_otherwise(client: httpx.Client) -> None:
    url = f"{DATA}/limits/recordCount?sObjects=User"
    assert client.get(url).text == '{"sObjects":[{"count":1,"name":"User"}]}'
    pretty = client.get(url, headers={"X-PrettyPrint": "1"})
    assert pretty.text == '{\n  "sObjects" : [ {\n    "count" : 1,\n    "name" : "User"\n  } ]\n}'
    assert pretty.headers["Content-Type"] == "application/json;charset=UTF-8"
    assert int(pretty.headers["Content-Length"]) == len(pretty.content)


def test_answers_are_packed_only_when_asked(client: httpx.Client) -> None:
    url = f"{DATA}/sobjects/Account/describe"
    packed, plain = client.get(url), client.get(url, headers={"Accept-Encoding": "identity"})
    assert packed.headers["Content-Encoding"] == "gzip"
    assert "Content-Encoding" not in plain.headers
    assert packed.json() == plain.json()


JOB = {"operation": "query", "query": "SELECT Id FROM User"}


@pytest.mark.parametrize(("encoding", "pack"), [("gzip", gzip.compress), ("deflate", zlib.compress)])
def test_packed_requests_are_unpacked(client: httpx.Client, encoding: str, pack: object) -> None:
    assert callable(pack)
    body = pack(json.dumps(JOB).encode())
    headers = {"Content-Encoding": encoding, "Content-Type": "application/json"}
    assert client.post(f"{DATA}/jobs/query", content=body, headers=headers).json()["object"] == "User"
    chunks = iter([body[at : at + 1] for at in range(len(body))])
    assert client.post(f"{DATA}/jobs/query", content=chunks, headers=headers).json()["object"] == "User"


@pytest.mark.parametrize(
    ("body", "status", "words"),
    [
        (b"not packed at all", 400, "The request body cannot be decompressed"),
        (gzip.compress(json.dumps(JOB).encode(), mtime=0)[:-9], 400, "The compressed request body ends too early"),
        (gzip.compress(b" " * 5_000_000, mtime=0), 413, "The decompressed request body is too large"),
    ],
)
def test_a_packed_request_that_cannot_be_taken_is_refused(body: bytes, status: int, words: str) -> None:
    with LocalOrg(settings=Settings(upload_bytes=3_000_000)) as org:
        answer = httpx.post(
            f"{org.url}{DATA}/jobs/query",
            content=body,
            headers={"Content-Encoding": "gzip", "Authorization": f"Bearer {org.credentials.access_token}"},
        )
    assert answer.status_code == status
    assert answer.json()[0]["errorCode"] == "API_ERROR"
    assert answer.json()[0]["message"].startswith(words)


def test_an_unknown_encoding_is_no_media_type(client: httpx.Client) -> None:
    answer = client.post(f"{DATA}/jobs/query", content=b"x", headers={"Content-Encoding": "br"})
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (415, "UNSUPPORTED_MEDIA_TYPE")


def test_an_unknown_path_and_a_wrong_method_are_said_in_json(client: httpx.Client) -> None:
    for path in ("/", "/index.html", "/services", f"{DATA}/nothing", f"{DATA}//sobjects"):
        answer = client.get(path)
        assert (answer.status_code, answer.json()) == (404, NOT_FOUND)
    bulk = client.get(f"{DATA}/jobs/nothing")
    assert bulk.text == '[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]'
    wrong = client.put(f"{DATA}/sobjects")
    words = "HTTP Method 'PUT' not allowed. Allowed are HEAD,GET"
    assert (wrong.status_code, wrong.json()) == (405, [{"message": words, "errorCode": "METHOD_NOT_ALLOWED"}])
    assert wrong.headers["Allow"] == "HEAD, GET"


def test_a_post_may_mean_another_method(client: httpx.Client) -> None:
    job = client.post(f"{DATA}/jobs/query", json=JOB).json()["id"]
    meant = client.post(f"{DATA}/jobs/query/{job}?_HttpMethod=PATCH", json={"state": "Nonsense"})
    assert meant.json() == client.patch(f"{DATA}/jobs/query/{job}", json={"state": "Nonsense"}).json()
    assert client.post(f"{DATA}/sobjects?_HttpMethod=TRACE").status_code == 405


def answer_of(route: Route, body: bytes) -> httpx.Response:
    """What the route answers to a POST behind the ring that words failures, without a server."""

    async def send() -> httpx.Response:
        app = Starlette(routes=[route], middleware=[Middleware(Failures)])
        async with httpx.AsyncClient(transport=httpx.ASGITransport(app=app), base_url="http://org") as client:
            return await client.post("/x", content=body)

    return asyncio.run(send())


def test_a_failure_of_our_own_is_told_with_an_error_id(caplog: pytest.LogCaptureFixture) -> None:
    def broken(_request: Request) -> Response:
        raise RuntimeError("a fault in the org")

    answer = answer_of(Route("/x", broken, methods=["POST"]), b"")
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (500, "UNKNOWN_EXCEPTION")
    error_id = answer.json()[0]["message"].rpartition(" ")[2]
    assert error_id in caplog.text
    assert "a fault in the org" in caplog.text
    assert "a fault in the org" not in answer.text


def test_a_body_that_is_no_json_is_a_parser_error() -> None:
    async def reads(request: Request) -> Response:
        return Response(str(await request.json()))

    answer = answer_of(Route("/x", reads, methods=["POST"]), b'{"a":\n x}')
    assert (answer.status_code, answer.json()) == (
        400,
        [
            {
                "message": "Unexpected character ('x' (code 120)): Expecting value at [line:2, column:2]",
                "errorCode": "JSON_PARSER_ERROR",
            }
        ],
    )


def test_a_small_answer_does_not_wait_for_a_delayed_acknowledgement(client: httpx.Client) -> None:
    def seconds() -> float:
        began = time.perf_counter()
        client.get(DATA)
        return time.perf_counter() - began

    seconds()  # the first acknowledgement of a connection is never delayed
    # clients.md 2.12: 40 ms each where head and body go apart. A busy machine makes some slow, but not all of them.
    assert min(seconds() for _ in range(25)) < 0.04


def test_a_server_starts_and_stops_without_leaving_threads_or_its_port() -> None:
    before = {*threading.enumerate()}
    org = LocalOrg()
    port = int(org.url.rpartition(":")[2])
    with socket.create_connection(("127.0.0.1", port)):  # an idle client must not hold it up
        org.close()
    org.close()
    assert {*threading.enumerate()} <= before
    with LocalOrg(port=port) as again:
        assert again.url == f"http://127.0.0.1:{port}"
        with pytest.raises(OSError, match="in use"):
            LocalOrg(port=port)
    assert {*threading.enumerate()} <= before

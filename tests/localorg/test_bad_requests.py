"""Bad requests over all routes: a clear error of the API each time, never a 500, never a traceback, nothing lost."""

from __future__ import annotations

import contextlib
import http.client
import json
import random
import re
import socket
import time
from collections import Counter
from collections.abc import Iterator

import httpx
import polars as pl
import pytest
from starlette.routing import Route

from sfframe.localorg import LocalOrg, Settings
from sfframe.localorg.server import make_app

DATA = "/services/data/v60.0"
SECONDS = 20.0

BOMB = (
    '<?xml version="1.0"?><!DOCTYPE b [<!ENTITY a "ha">'
    + "".join(f'<!ENTITY a{n} "{"&a" + str(n - 1 or "") + ";"}{"&a" + str(n - 1 or "") + ";"}">' for n in range(1, 30))
    + "]><b>&a29;</b>"
)
BODIES: list[bytes] = [
    b"",
    b"{",
    b"[]",
    b"[[]]",
    b"null",
    b"{}",
    b'"text"',
    b"-1e999",
    b"NaN",
    b"\xff\xfe\x00",
    b"\x00",
    b"[" * 5_000,
    b'{"a":' * 3_000,
    b'{"records": [null, 1, "x", {}, {"attributes": 3}, {"attributes": {"type": "Nope"}}]}',
    b'{"records": {"attributes": {"type": "Account"}}}',
    b'{"attributes": {"type": "Account"}, "Name": {"a": [1]}, "Industry": [], "IsDeleted": "x"}',
    b'{"Name": "\\u0000", "Phone": "\\ud800", "NumberOfEmployees": 1e400}',
    b'{"Name": ' + b'"x' + b"y" * 300_000 + b'"}',
    b'{"state": "UploadComplete"}',
    b'{"state": {"a": 1}}',
    b'{"object": ["Account"], "operation": 7}',
    b'{"object": "Account", "operation": "insert", "columnDelimiter": "X", "lineEnding": []}',
    b'{"object": "Account", "operation": "upsert", "externalIdFieldName": {"a": 1}}',
    b'{"operation": "query", "query": "SELECT"}',
    b'{"operation": "query", "query": ["SELECT Id FROM Account"]}',
    b'{"compositeRequest": [{"method": "GET", "url": "/services/data/v60.0/../../etc", "referenceId": "a"}]}',
    b'{"compositeRequest": "x", "allOrNone": "y"}',
    b'{"batchRequests": [{"method": "POST", "url": "v60.0/sobjects/Account", "richInput": [1]}, 3]}',
    b'{"graphs": [{"graphId": 1, "compositeRequest": [{}]}]}',
    BOMB.encode(),
    b"<a",
    b"<jobInfo xmlns='http://www.force.com/2009/06/asyncapi/dataload'><operation/><object/></jobInfo>",
    b"<?xml version='1.0' encoding='utf-7'?><a>+ADw-</a>",
    b"<soapenv:Envelope xmlns:soapenv='x'><soapenv:Body/></soapenv:Envelope>",
    b'"a,b\n"unclosed',
    b"Name\n" + b'"' * 99,
    b"--b\r\nContent-Disposition: form-data; name=job\r\n\r\n{}\r\n--b--",
    b"grant_type=password&username=%00&password=%ff",
]
TYPES = [
    None,
    "application/json",
    "application/xml",
    "text/xml; charset=nonsense",
    "text/csv",
    "multipart/form-data",
    "multipart/form-data; boundary=b",
    "application/x-www-form-urlencoded",
    "\u00fc",
]
WORDS = [
    "Account",
    "Nope__c",
    "001000000000001AAA",
    "750000000000001AAA",
    "0",
    "%2e%2e",
    "..%2f..%2fetc%2fpasswd",
    "..;",
    "%00",
    "%ff%fe",
    "a'b\"c",
    "%F0%9F%92%A5",
    "x" * 300,
    "-1",
    "Id",
    "Name",
    "describe",
    "results",
    "batches",
    "99999999999999999999",
]
QUERIES = [
    "",
    "q=",
    "q=SELECT",
    "q=SELECT%20Id%20FROM%20Account%20WHERE%20Name%20=%20'",
    "q=" + "(" * 900,
    "q=SELECT%20Id%20FROM%20Account%20WHERE%20" + "NOT%20" * 500 + "Name=null",
    "q=SELECT%20Id%20FROM%20Account%20LIMIT%2099999999999999999999",
    "q=SELECT%20Id%20FROM%20Account%20WHERE%20CreatedDate%20=%20LAST_N_DAYS:99999999999",
    "q=SELECT%20Id%20FROM%20Account%20WHERE%20CreatedDate%20%3E%209999-99-99T99:99:99Z",
    "q=SELECT%20Id%20FROM%20Account%20WHERE%20Name%20LIKE%20'%25%5C'",
    "q=%00%ff&q=2",
    "explain=%27",
    "columns=true&q=x",
    "fields=Id,,Nope&ids=1,,2",
    "start=x&end=y",
    "start=2024-01-01T00:00:00Z&end=2023-01-01T00:00:00Z",
    "locator=%00&maxRecords=-1",
    "queryLocator=" + "A" * 500,
    "_HttpMethod=TRACE",
    "_HttpMethod=PATCH",
    "sObjects=%2c,Account'",
    "jobType=%ff",
]
METHODS = ["GET", "POST", "PUT", "PATCH", "DELETE", "HEAD", "OPTIONS", "TRACE", "BREW"]
HEADERS: list[dict[str, str]] = [
    {},
    {"X-PrettyPrint": "1"},
    {"Accept": "application/xml"},
    {"Accept-Encoding": "gzip"},
    {"Content-Encoding": "gzip"},
    {"Content-Encoding": "br"},
    {"If-Modified-Since": "yesterday"},
    {"If-None-Match": '"'},
    {"Sforce-Query-Options": "batchSize=99999999999"},
    {"Sforce-Call-Options": "client=\u00fc, defaultNamespace=%"},
    {"Sforce-Enable-PKChunking": "chunkSize=-1; parent=Nope"},
    {"X-SFDC-Session": "%00"},
]


NOISES = [
    b"\x16\x03\x01\x02\x00",
    b"GET / HTTP/9.9\r\n\r\n",
    b"GET  /  x\r\n\r\n",
    b"\r\n" * 50,
    b"POST / HTTP/1.1\r\nContent-Length: -5\r\n\r\n",
]


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    # Jobs that the fuzzer closes by chance are held: they would only take time.
    with LocalOrg(settings=Settings(upload_bytes=1_000_000, daily_api_requests=10**9, hold_jobs=True)) as org:
        org.insert("Account", pl.DataFrame({"Name": [f"sentinel {number}" for number in range(50)]}))
        yield org


def ask(
    org: LocalOrg, method: str, target: str, body: bytes = b"", headers: dict[str, str] | None = None
) -> tuple[int, bytes]:
    """One request, with its target as it stands."""
    host = org.url.removeprefix("http://")
    with contextlib.closing(http.client.HTTPConnection(host, timeout=60)) as connection:
        connection.putrequest(method, target, skip_accept_encoding=True)
        sent = {"Authorization": f"Bearer {org.credentials.access_token}", "Content-Length": str(len(body))}
        for name, value in (sent | (headers or {})).items():
            connection.putheader(name, value.encode("utf-8"))
        connection.endheaders()
        with contextlib.suppress(ConnectionError):  # refused before the body was read
            connection.send(body)
        answer = connection.getresponse()
        return answer.status, answer.read()


def told_well(status: int, body: bytes) -> bool:
    """Whether an answer is neither a failure of the server nor the sight of one."""
    return status not in (500, 502, 503) and b"Traceback" not in body and b'File "' not in body


def is_soap_fault(target: str, status: int, body: bytes) -> bool:
    """SOAP answers every fault with 500 (rest.md 3)."""
    return target.startswith("/services/Soap") and status == 500 and b"<faultcode>" in body


@pytest.mark.slow
def test_no_bad_request_makes_the_org_fail(org: LocalOrg) -> None:
    paths = sorted({route.path for route in make_app(org._services).routes if isinstance(route, Route)})
    drawn = random.Random(20)  # noqa: S311 - no secret
    failures: list[tuple[str, str, bytes, dict[str, str], int, bytes]] = []
    seen: Counter[int] = Counter()
    until = time.monotonic() + SECONDS
    while time.monotonic() < until:
        path = drawn.choice(paths)
        version = drawn.choice(["v60.0"] * 8 + ["v1.0", "60.0", "vx"])
        target = path.replace("{version}", version)
        target = re.sub(r"\{[^}]*\}", lambda _: drawn.choice(WORDS), target)
        if drawn.random() < 0.1:
            target += drawn.choice(["/", "//", "/..", "/%2e%2e/x", ";a=b", "/" + drawn.choice(WORDS)])
        query = drawn.choice(QUERIES)
        target += f"?{query}" if query else ""
        method, body = drawn.choice(METHODS), drawn.choice(BODIES)
        headers = dict(drawn.choice(HEADERS))
        kind = drawn.choice(TYPES)
        if kind is not None:
            headers["Content-Type"] = kind
        if target.startswith("/services/oauth2/revoke"):
            headers["Authorization"] = "Bearer none"
        status, answer = ask(org, method, target, body, headers)
        seen[status] += 1
        if not told_well(status, answer) and not is_soap_fault(target, status, answer):
            failures.append((method, target[:200], body[:80], headers, status, answer[:200]))
    assert failures == []
    assert {200, 400, 404, 405} <= set(seen)  # the fuzzer got further than the gate
    names = org.table("Account")["Name"].to_list()
    assert {f"sentinel {number}" for number in range(50)} <= set(names)
    assert httpx.get(f"{org.url}/services/data").status_code == 200


@pytest.mark.parametrize(
    ("target", "headers", "status", "code"),
    [
        (f"{DATA}/query?q={'x' * 16_400}", {}, 414, "URI_TOO_LONG"),
        (f"{DATA}/{'x' * 200_000}", {}, 414, "URI_TOO_LONG"),
        (f"{DATA}/limits", {"X-Long": "x" * 16_400}, 431, "REQUEST_HEADER_FIELDS_TOO_LARGE"),
        (f"{DATA}/%2e%2e/%2e%2e/limits", {}, 404, "NOT_FOUND"),
        (f"{DATA}/sobjects/..%2f..%2flimits", {}, 404, "NOT_FOUND"),
        (f"{DATA}/jobs/ingest/%00", {}, 404, "NOT_FOUND"),
    ],
)
def test_targets_that_mean_nothing_are_refused_by_their_status(
    org: LocalOrg, target: str, headers: dict[str, str], status: int, code: str
) -> None:
    answered, body = ask(org, "GET", target, headers=headers)
    assert (answered, json.loads(body)[0]["errorCode"]) == (status, code)


def test_what_is_no_http_at_all_is_refused_and_serves_nobody_less(org: LocalOrg) -> None:
    host, port = org.url.removeprefix("http://").split(":")
    for noise in NOISES:
        with socket.create_connection((host, int(port)), timeout=60) as raw:
            raw.sendall(noise)
            raw.shutdown(socket.SHUT_WR)
            with contextlib.suppress(ConnectionError):
                assert b"Traceback" not in raw.recv(65_536)
    assert ask(org, "GET", f"{DATA}/limits")[0] == 200


@pytest.mark.parametrize(
    ("path", "kind"), [("/services/async/60.0/job", "application/xml"), ("/services/Soap/u/60.0", "text/xml")]
)
def test_an_xml_bomb_is_refused_at_once(org: LocalOrg, path: str, kind: str) -> None:
    headers = {"Content-Type": kind, "SOAPAction": "login", "X-SFDC-Session": org.credentials.access_token}
    began = time.monotonic()
    status, body = ask(org, "POST", path, BOMB.encode(), headers)
    assert status in (400, 500)
    assert b"haha" not in body
    assert time.monotonic() - began < 30


def test_an_upload_that_is_too_large_is_refused_and_leaves_the_job_open(org: LocalOrg) -> None:
    body, kind = b'{"object": "Account", "operation": "insert"}', {"Content-Type": "application/json"}
    _, created = ask(org, "POST", f"{DATA}/jobs/ingest", body, kind)
    path = f"{DATA}/jobs/ingest/{json.loads(created)['id']}"
    with httpx.Client(
        base_url=org.url, headers={"Authorization": f"Bearer {org.credentials.access_token}"}, timeout=60
    ) as client:
        assert client.put(f"{path}/batches", content=b"Name\n" + b"x" * 1_000_000).status_code == 413
        assert client.get(path).json()["state"] == "Open"

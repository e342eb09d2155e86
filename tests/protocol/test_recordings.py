"""Recorded traffic of real orgs is read to the right values. The recordings are not part of this repository."""

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from sfframe import errors
from sfframe.protocol import bulk2_ingest, describe, limits, oauth, query
from sfframe.protocol.bulk2_job import read_job, read_job_list
from sfframe.protocol.call import Call, Reply, read_nothing
from sfframe.protocol.error_body import error_for
from sfframe.protocol.query import read_page

ROOT = Path(__file__).parents[2]
TRAFFIC = (ROOT / os.environ.get("SFFRAME_REFERENCE", "../shared")).resolve() / "recordings" / "traffic"

pytestmark = pytest.mark.skipif(not TRAFFIC.is_dir(), reason="the reference folder (SFFRAME_REFERENCE) is absent")


def recorded():
    for file in sorted(TRAFFIC.glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            body = entry["response"]["body"]
            raw = body if isinstance(body, str) else "" if body is None else json.dumps(body)
            headers = {name.lower(): str(value) for name, value in (entry["response"]["headers"] or {}).items()}
            yield (
                entry["request"]["method"],
                entry["request"]["path"],
                Reply(entry["response"]["status"], headers, raw.encode()),
            )


def rest_answers(part: str, status: int = 200):
    return [
        (path, reply)
        for method, path, reply in recorded()
        if method == "GET" and "/services/data/" in path and part in path.partition("?")[0] and reply.status == status
    ]


def test_every_recorded_query_page_is_read_as_a_full_parse_would_read_it():
    seen: Counter[bool] = Counter()
    for path, reply in rest_answers("/query"):
        if "tooling" in path or b"totalSize" not in reply.body:  # some captures lost their bodies
            continue
        whole = json.loads(reply.body)
        found = read_page(reply)
        assert (found.total_size, found.done, found.next_path) == (
            whole["totalSize"],
            whole["done"],
            None if whole["done"] else whole["nextRecordsUrl"],  # one capture names a next page although it is done
        )
        assert found.body is reply.body
        seen[found.done] += 1
    assert seen[True] > 100
    assert seen[False] > 0


def test_every_recorded_describe_is_read_with_all_its_fields():
    seen = 0
    for _path, reply in rest_answers("/describe"):
        whole = json.loads(reply.body)
        if "fields" not in whole:
            continue
        found = describe.read_sobject(whole)
        assert [one.name for one in found.fields] == [one["name"] for one in whole["fields"]]
        for ours, theirs in zip(found.fields, whole["fields"], strict=True):
            assert (ours.type, ours.nillable, ours.createable) == (
                theirs["type"],
                theirs.get("nillable", True),
                theirs.get("createable", False),
            )
            assert [one.value for one in ours.picklist_values] == [
                one["value"] or "" for one in theirs.get("picklistValues", [])
            ]
        seen += 1
    assert seen > 5


def test_every_recorded_bulk_2_job_is_read():
    states: Counter[tuple[str, str]] = Counter()
    for method, path, reply in recorded():
        if "/jobs/" not in path or reply.status != 200 or not reply.body.lstrip().startswith(b"{"):
            continue
        if b'"records"' in reply.body:
            listed = read_job_list(reply)
            assert listed.next_locator is None
            assert len(listed.jobs) == len(json.loads(reply.body)["records"])
            continue
        whole, found = json.loads(reply.body), read_job(reply)
        assert (found.id, found.state, found.object) == (whole["id"], whole["state"], whole["object"])
        assert found.records_processed == whole.get("numberRecordsProcessed")
        assert found.records_failed == whole.get("numberRecordsFailed")
        assert found.error_message == whole.get("errorMessage", "")
        states[method, found.state] += 1
    assert states["GET", "JobComplete"] >= 2
    assert states["GET", "Failed"] == 1
    assert states["PATCH", "UploadComplete"] == 3


def test_recorded_result_files_are_handed_on_byte_for_byte():
    seen = 0
    for _method, path, reply in recorded():
        for file in bulk2_ingest.RESULT_FILES:
            if path.endswith(file):
                call = bulk2_ingest.results("750ak000009Dl5bAAC", file)
                assert call.read(reply) == reply.body
                seen += 1
    assert seen == 4


def test_every_recorded_error_becomes_an_error_with_the_orgs_code():
    call: Call[None] = Call("GET", "x", read_nothing, repeatable=True)
    classes: Counter[type[Exception]] = Counter()
    for _method, path, reply in recorded():
        if reply.status < 400 or "/services/data/" not in path or not reply.body.startswith(b"["):
            continue
        first = json.loads(reply.body)[0]
        if "errorCode" not in first:
            continue
        found = error_for(call, reply)
        assert (found.status, found.error_code) == (reply.status, first["errorCode"])
        assert first["message"].strip()[:200] in found.said
        assert found.fields == tuple(first.get("fields") or ())
        classes[type(found)] += 1
    assert classes[errors.NotFound] > 10
    assert classes[errors.QueryError] > 5
    assert classes[errors.AuthenticationError] >= 1


def test_recorded_token_answers_are_logins_and_recorded_refusals_are_not():
    logins = refusals = 0
    for _method, path, reply in recorded():
        if not path.startswith("/services/oauth2/token"):
            continue
        if reply.status == 200 and b"access_token" in reply.body and reply.body.startswith(b"{"):
            token = oauth.client_credentials("id", "secret").read(reply)
            assert token.access_token
            assert token.instance_url.startswith("https://")
            logins += 1
        elif reply.status == 400:
            refused = error_for(oauth.client_credentials("id", "secret"), reply)
            assert type(refused) is errors.AuthenticationError
            assert refused.error_code == "invalid_grant"
            refusals += 1
    assert (logins > 0, refusals > 0) == (True, True)


def test_the_usage_header_of_every_recorded_answer_is_read():
    seen = 0
    for _method, _path, reply in recorded():
        header = reply.headers.get("sforce-limit-info", "")
        if "/" in header:
            used, most = header.split("api-usage=")[-1].split(";")[0].split("/")
            assert limits.read_api_usage(reply.headers) == limits.ApiUsage(int(used), int(most))
            seen += 1
    assert seen > 100


def test_a_recorded_cursor_leads_to_the_next_page():
    cursors = [
        page.next_path for _path, reply in rest_answers("/query") if (page := read_page_or_none(reply)) is not None
    ]
    followed = [query.query_more(cursor).path for cursor in cursors if cursor is not None]
    assert followed == [cursor for cursor in cursors if cursor is not None]
    assert followed


def read_page_or_none(reply):
    return read_page(reply) if b"totalSize" in reply.body[:200] else None

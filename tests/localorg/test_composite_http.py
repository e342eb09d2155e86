"""Composite requests over REST: references, halting, transactions, graphs, batches (rest.md 8.1 to 8.3)."""

from __future__ import annotations

import datetime as dt
import json
import re
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from sfframe.localorg import LocalOrg
from tests.localorg.record_org import BASE, RecordOrg, body_of, org, recorded

__all__ = ["org"]

HALTED = {
    "body": [
        {
            "errorCode": "PROCESSING_HALTED",
            "message": "The transaction was rolled back since another operation in the same transaction failed.",
        }
    ],
    "httpHeaders": {},
    "httpStatusCode": 400,
}


def part(reference_id: str, method: str, path: str, body: object = None, **more: object) -> dict[str, object]:
    asked: dict[str, object] = {"referenceId": reference_id, "method": method, "url": BASE + path, **more}
    return asked if body is None else asked | {"body": body}


def run(org: RecordOrg, *parts: dict[str, object], all_or_none: bool = False) -> list[dict[str, Any]]:
    status, answer = org.call("POST", "/composite", {"allOrNone": all_or_none, "compositeRequest": list(parts)})
    assert (status, list(answer)) == (200, ["compositeResponse"])
    found: list[dict[str, Any]] = answer["compositeResponse"]
    return found


def test_later_requests_use_the_answers_of_earlier_ones(org: RecordOrg) -> None:
    answers = run(
        org,
        part("account", "POST", "/sobjects/Account", {"Name": "Acmé"}),
        part("contact", "POST", "/sobjects/Contact", {"LastName": "a", "AccountId": "@{account.id}"}),
        part(
            "found", "GET", "/query/?q=SELECT Id, Name, Site FROM Account WHERE Id = '@{account.id}' AND Name = 'Acmé'"
        ),
        part("second", "POST", "/sobjects/Contact", {"LastName": "of @{found.records[0].Name}"}),
        part(
            "changed", "PATCH", "/sobjects/Account/@{account.id}", {"Site": "x", "Rating": "@{found.records[0].Site}"}
        ),
        part("gone", "DELETE", "/sobjects/Contact/@{contact.id}"),
    )
    account, contact = answers[0]["body"]["id"], answers[1]["body"]["id"]
    assert answers[0] == {
        "body": {"id": account, "success": True, "errors": []},
        "httpHeaders": {"Location": f"{BASE}/sobjects/Account/{account}"},
        "httpStatusCode": 201,
        "referenceId": "account",
    }
    assert [list(one) for one in answers] == [["body", "httpHeaders", "httpStatusCode", "referenceId"]] * 6
    assert [one["httpStatusCode"] for one in answers] == [201, 201, 200, 201, 204, 204]
    assert answers[4] == {"body": None, "httpHeaders": {}, "httpStatusCode": 204, "referenceId": "changed"}
    assert org.rows('SELECT "Id", "LastName", "AccountId", "IsDeleted" FROM data."Contact" ORDER BY 1') == [
        (contact, "a", account, True),
        (answers[3]["body"]["id"], "of Acmé", None, False),
    ]
    assert org.rows('SELECT "Site", "Rating" FROM data."Account"') == [("x", None)]


def test_without_all_or_none_only_dependent_requests_fail(org: RecordOrg) -> None:
    answers = run(
        org,
        part("bad", "POST", "/sobjects/Contact", {}),
        part("dependent", "PATCH", "/sobjects/Contact/@{bad.id}", {"LastName": "x"}),
        part("other", "POST", "/sobjects/Contact", {"LastName": "kept"}),
    )
    words = (
        "Invalid reference specified. No value for bad.id found in bad. Provided referenceId ('bad') must start with a "
        "letter or a number, and it can contain only letters, numbers and underscores ('_')."
    )
    assert [one["httpStatusCode"] for one in answers] == [400, 400, 201]
    assert answers[0]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert answers[1]["body"] == [{"errorCode": "PROCESSING_HALTED", "message": words}]
    assert org.rows('SELECT "LastName" FROM data."Contact"') == [("kept",)]


def test_all_or_none_undoes_everything_and_tells_the_failure(org: RecordOrg) -> None:
    before = org.made("Account", Name="before", Site="s")
    answers = run(
        org,
        part("made", "POST", "/sobjects/Account", {"Name": "new"}),
        part("changed", "PATCH", f"/sobjects/Account/{before}", {"Name": "after"}),
        part("seen", "GET", "/query?q=SELECT Name FROM Account ORDER BY Name"),
        part(
            "rows", "POST", "/composite/sobjects", {"records": [{"attributes": {"type": "Contact"}, "LastName": "a"}]}
        ),
        part("bad", "POST", "/sobjects/Contact", {"AccountId": "@{made.id}"}),
        part("never", "POST", "/sobjects/Account", {"Name": "never"}),
        all_or_none=True,
    )
    halted = [HALTED | {"referenceId": one} for one in ("made", "changed", "seen", "rows")]
    bad = {"message": "Required fields are missing: [LastName]", "errorCode": "REQUIRED_FIELD_MISSING"}
    failed = {"body": [bad | {"fields": ["LastName"]}], "httpHeaders": {}, "httpStatusCode": 400, "referenceId": "bad"}
    assert answers == [*halted, failed, HALTED | {"referenceId": "never"}]
    assert org.rows('SELECT "Name" FROM data."Account"') == [("before",)]
    assert org.rows('SELECT * FROM data."Contact"') == []


def test_requests_of_one_transaction_see_what_was_written_before_them(org: RecordOrg) -> None:
    contacts = [{"attributes": {"type": "Contact"}, "LastName": name, "AccountId": "@{made.id}"} for name in "ab"]
    answers = run(
        org,
        part("made", "POST", "/sobjects/Account", {"Name": "new", "Ext__c": "K"}),
        part("again", "PATCH", "/sobjects/Account/Ext__c/k", {"Name": "newer"}),
        part("rows", "POST", "/composite/sobjects", {"records": contacts}),
        part("seen", "GET", "/query?q=SELECT Account.Name FROM Contact"),
        part("read", "GET", "/sobjects/Account/@{made.id}?fields=Name"),
        all_or_none=True,
    )
    assert [one["httpStatusCode"] for one in answers] == [201, 200, 200, 200, 200]
    assert [one["Account"]["Name"] for one in answers[3]["body"]["records"]] == ["newer", "newer"]
    assert answers[4]["body"]["Name"] == "newer"
    assert org.rows('SELECT "Name" FROM data."Account"') == [("newer",)]


def test_a_bad_row_of_a_collection_undoes_the_composite_around_it(org: RecordOrg) -> None:
    rows = [{"attributes": {"type": "Contact"}, "LastName": "a"}, {"attributes": {"type": "Contact"}}]
    collection = part("rows", "POST", "/composite/sobjects", {"allOrNone": False, "records": rows})
    account = part("made", "POST", "/sobjects/Account", {"Name": "a"})
    answers = run(org, account, collection, all_or_none=True)
    codes = [one["errors"][0]["statusCode"] for one in answers[1]["body"]]
    assert (answers[0], codes) == (
        HALTED | {"referenceId": "made"},
        ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "REQUIRED_FIELD_MISSING"],
    )
    assert org.rows('SELECT "Id" FROM data."Account" UNION ALL SELECT "Id" FROM data."Contact"') == []
    answers = run(org, account, collection)
    assert [one["success"] for one in answers[1]["body"]] == [True, False]


def test_subrequests_have_headers_of_their_own_and_stay_inside_the_org(org: RecordOrg) -> None:
    late = {"If-Modified-Since": "Thu, 01 Jan 2099 00:00:00 GMT"}
    answers = run(
        org,
        part("described", "GET", "/sobjects/Account/describe", httpHeaders=late),
        part("nested", "POST", "/composite", {"compositeRequest": []}),
        part("job", "POST", "/jobs/ingest", {"object": "Account", "operation": "insert"}),
        part("away", "GET", "/../../../etc/passwd"),
        {"referenceId": "login", "method": "POST", "url": "/services/oauth2/token"},
        {"referenceId": "version", "method": "GET", "url": "/services/data/v20.0/sobjects/Account"},
        part("method", "PUT", "/sobjects/Account", {}),
    )
    assert [one["httpStatusCode"] for one in answers] == [304, 400, 400, 404, 404, 410, 405]
    assert (answers[0]["body"], list(answers[0]["httpHeaders"])) == (None, ["ETag", "Last-Modified"])


@pytest.mark.parametrize(
    "asked",
    [
        {},
        {"compositeRequest": {}},
        {"compositeRequest": ["a"]},
        {"compositeRequest": [{"method": "GET", "url": f"{BASE}/limits"}]},
        {"compositeRequest": [part("a", "get", "/limits")]},
        {"compositeRequest": [part("a-b", "GET", "/limits")]},
        {"compositeRequest": [part("a", "GET", "/limits"), part("a", "GET", "/limits")]},
        {"compositeRequest": [part("a", "GET", "/limits", httpHeaders={"Authorization": "x"})]},
        {"compositeRequest": [part("a", "GET", "/limits", httpHeaders=[])] * 2},
    ],
)
def test_a_composite_that_is_not_well_formed_runs_nothing(org: RecordOrg, asked: dict[str, object]) -> None:
    status, answer = org.call("POST", "/composite", asked)
    assert (status, list(answer[0])) == (400, ["message", "errorCode"])


def test_twenty_five_requests_are_the_most(org: RecordOrg) -> None:
    parts = [part(f"r{at}", "GET", "/sobjects/Nope__c/describe") for at in range(26)]
    assert [one["httpStatusCode"] for one in run(org, *parts[:25])] == [404] * 25
    status, answer = org.call("POST", "/composite", {"compositeRequest": parts})
    assert (status, answer["compositeResponse"][0]["body"][0]["errorCode"]) == (400, "LIMIT_EXCEEDED")


def test_each_graph_is_done_or_undone_by_itself(org: RecordOrg) -> None:
    def graph(graph_id: str, last_name: str | None) -> dict[str, object]:
        account = part("a", "POST", "/sobjects/Account", {"Name": graph_id})
        contact = part("c-1", "POST", "/sobjects/Contact", {"LastName": last_name, "AccountId": "@{a.id}"})
        return {"graphId": graph_id, "compositeRequest": [account, contact]}

    graphs = [graph("one", "x"), graph("two", None), graph("three", "y")]
    status, answer = org.call("POST", "/composite/graph", {"graphs": graphs})
    assert (status, list(answer)) == (200, ["graphs"])
    assert [list(one) for one in answer["graphs"]] == [["graphId", "graphResponse", "isSuccessful"]] * 3
    assert [(one["graphId"], one["isSuccessful"]) for one in answer["graphs"]] == [
        ("one", True),
        ("two", False),
        ("three", True),
    ]
    second = answer["graphs"][1]["graphResponse"]["compositeResponse"]
    assert second[0] == HALTED | {"referenceId": "a"}
    assert second[1]["body"][0]["errorCode"] == "REQUIRED_FIELD_MISSING"
    assert org.rows('SELECT "Name" FROM data."Account" ORDER BY 1') == [("one",), ("three",)]


def test_behind_fourteen_failed_graphs_no_graph_is_run(org: RecordOrg) -> None:
    bad = {"compositeRequest": [part("a", "POST", "/sobjects/Account", {})]}
    good = {"compositeRequest": [part("a", "POST", "/sobjects/Account", {"Name": "a"})]}
    graphs = [{"graphId": str(at), **bad} for at in range(14)] + [{"graphId": "last", **good}]
    _, answer = org.call("POST", "/composite/graph", {"graphs": graphs})
    assert [one["isSuccessful"] for one in answer["graphs"]] == [False] * 15
    assert answer["graphs"][14]["graphResponse"]["compositeResponse"] == [HALTED | {"referenceId": "a"}]


def test_a_batch_runs_independent_requests_that_count_as_calls(org: RecordOrg) -> None:
    org.store.clock.set(dt.datetime(2026, 3, 4, 12))  # no day shall end between the calls
    used = org.services.limits.overview()["DailyApiRequests"]["Remaining"]
    asked = [
        {"method": "POST", "url": "v60.0/sobjects/Account", "richInput": {"Name": "a"}},
        {"method": "GET", "url": "v60.0/query?q=SELECT count() FROM Account"},
        {"method": "PATCH", "url": "v60.0/sobjects/Account/nothing", "richInput": {}},
        {"method": "GET", "url": "v60.0/limits/recordCount?sObjects=Account"},
    ]
    status, answer = org.call("POST", "/composite/batch", {"batchRequests": asked})
    assert (status, list(answer), answer["hasErrors"]) == (200, ["hasErrors", "results"], True)
    assert [list(one) for one in answer["results"]] == [["statusCode", "result"]] * 4
    assert [one["statusCode"] for one in answer["results"]] == [201, 200, 404, 200]
    assert answer["results"][1]["result"] == {"totalSize": 1, "done": True, "records": []}
    assert used - org.services.limits.overview()["DailyApiRequests"]["Remaining"] == 5
    _, halted = org.call("POST", "/composite/batch", {"haltOnError": True, "batchRequests": asked})
    assert [one["statusCode"] for one in halted["results"]] == [201, 200, 404, 412]
    assert halted["results"][3]["result"][0]["errorCode"] == "BATCH_PROCESSING_HALTED"


def test_many_transactions_at_once_wait_for_each_other() -> None:
    def send(client: httpx.Client, at: int) -> int:
        parts = [
            part("a", "POST", "/sobjects/Account", {"Name": f"n{at}"}),
            part("b", "GET", "/sobjects/Account/@{a.id}"),
        ]
        body = {"allOrNone": at % 3 > 0, "compositeRequest": parts}
        answer = client.post(f"{BASE}/composite", json=body).json()
        return sum(one["httpStatusCode"] in (200, 201) for one in answer["compositeResponse"])

    with LocalOrg() as local:
        headers = {"Authorization": f"Bearer {local.credentials.access_token}"}
        with httpx.Client(base_url=local.url, headers=headers, timeout=60) as client, ThreadPoolExecutor(60) as pool:
            assert sum(pool.map(lambda at: send(client, at), range(90))) == 180
        assert local.table("Account").height == 90


@pytest.mark.parametrize("file", ["sf-fx-java", "sf-fx-nodejs"])
def test_recorded_graphs_are_answered_alike(org: RecordOrg, reference: Callable[[str], Path], file: str) -> None:
    franchise = {"name": "Franchise__c", "label": "Franchise", "labelPlural": "Franchises", "fields": []}
    points = {"name": "Franchise__c", "type": "reference", "referenceTo": ["Franchise__c"]}
    org.store.deploy([franchise, {"name": "Movie__c", "fields": [points]}])
    found = recorded(reference, file, "/composite/graph")
    for one in found:
        asked, expected = one["request"], one["response"]
        text = asked["body"] if isinstance(asked["body"], str) else json.dumps(asked["body"])
        for recorded_id in set(re.findall(r"/sobjects/Movie__c/(\w{18})", text)):
            text = text.replace(recorded_id, org.made("Movie__c", Name="recorded"))
        status, answer = org.call("POST", asked["path"], content=text)
        assert (status, plain(answer)) == (expected["status"], plain(body_of(expected)))
    assert len(found) == 5


def plain(value: object) -> str:
    """The JSON with all record ids alike."""
    return re.sub(r"\b[a-zA-Z0-9]{15}[A-Z0-5]{3}\b", "ID", json.dumps(value))

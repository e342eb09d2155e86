"""Search over text fields, recently viewed records, and the resources about pages."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import polars as pl
import pytest

from sfframe.localorg import LocalOrg

DATA = "/services/data/v60.0"


@pytest.fixture(scope="module")
def org() -> Iterator[LocalOrg]:
    with LocalOrg(seed=9) as org:
        names = ["Acme Rockets", "Acme Anvils (closed)", "Big {Acme}", "Rocketry", "Nothing"]
        phones = ["0123 456", None, None, None, "0999"]
        org.insert("Account", pl.DataFrame({"Name": names, "Phone": phones}))
        contacts = {"LastName": ["Acmeson", "Rockets"], "Email": ["acme@x.example", "y@acme.example"]}
        org.insert("Contact", pl.DataFrame(contacts))
        yield org


@pytest.fixture
def client(org: LocalOrg) -> Iterator[httpx.Client]:
    headers = {"Authorization": f"Bearer {org.credentials.access_token}"}
    with httpx.Client(base_url=org.url + DATA, headers=headers, timeout=60) as client:
        yield client


def names(answer: httpx.Response) -> list[str]:
    assert answer.status_code == 200, answer.text
    return [next(v for k, v in one.items() if k not in {"attributes", "Id"}) for one in answer.json()["searchRecords"]]


def search(client: httpx.Client, sosl: str) -> httpx.Response:
    return client.get("/search/", params={"q": sosl})


@pytest.mark.parametrize(
    ("term", "found"),
    [
        ("acme", ["Acme Rockets", "Acme Anvils (closed)", "Big {Acme}"]),
        ("ROCKETS acme", ["Acme Rockets"]),
        ('"acme rockets"', ["Acme Rockets"]),
        ('"rockets acme"', []),
        ("rocket*", ["Acme Rockets", "Rocketry"]),
        ("rocket?", ["Acme Rockets"]),
        ("rock", []),
        ("456", ["Acme Rockets"]),
        (r"\{acme\}", ["Big {Acme}"]),
    ],
)
def test_words_are_found_whole_whatever_their_case(client: httpx.Client, term: str, found: list[str]) -> None:
    assert sorted(names(search(client, f"FIND {{{term}}} IN ALL FIELDS RETURNING Account(Name)"))) == sorted(found)


def test_records_come_object_by_object_with_the_fields_that_were_asked_for(client: httpx.Client) -> None:
    answer = search(client, "find {acme*} returning Contact(LastName, Email), Account").json()["searchRecords"]
    assert [one["attributes"]["type"] for one in answer] == ["Contact", "Contact", "Account", "Account", "Account"]
    assert list(answer[0]) == ["attributes", "LastName", "Email"]
    assert answer[0]["attributes"]["url"].startswith(f"{DATA}/sobjects/Contact/003")
    assert list(answer[2]) == ["attributes", "Id"]


def test_a_group_of_fields_narrows_the_search(client: httpx.Client) -> None:
    def found(group: str, term: str = "acme") -> list[str]:
        sosl = f"FIND {{{term}}} IN {group} FIELDS RETURNING Contact(LastName ORDER BY LastName)"
        return names(search(client, sosl))

    assert found("EMAIL") == ["Acmeson", "Rockets"]
    assert found("NAME") == []
    assert found("Name", "acmes*") == ["Acmeson"]
    assert found("PHONE") == []


def test_clauses_behind_the_fields_are_soql(client: httpx.Client) -> None:
    clauses = "WHERE Name LIKE '%(closed)' OR (Phone != null) ORDER BY Name DESC LIMIT 5"
    assert names(search(client, f"FIND {{acme}} RETURNING Account(Name {clauses})")) == [
        "Acme Rockets",
        "Acme Anvils (closed)",
    ]
    assert names(search(client, "FIND {acme} RETURNING Account(Name ORDER BY Name LIMIT 1)")) == [
        "Acme Anvils (closed)"
    ]
    assert (
        len(search(client, "FIND {acme*} RETURNING Account(Name), Contact(Name) LIMIT 2").json()["searchRecords"]) == 2
    )


def test_without_returning_every_object_is_searched(client: httpx.Client) -> None:
    answer = search(client, "FIND {acme}").json()["searchRecords"]
    assert {one["attributes"]["type"] for one in answer} == {"Account", "Contact"}


@pytest.mark.parametrize(
    ("sosl", "code", "words"),
    [
        ("", "MALFORMED_SEARCH", "No search term found. The search term must be enclosed in braces."),
        ("FIND acme", "MALFORMED_SEARCH", "No search term found. The search term must be enclosed in braces."),
        ("FIND {a}", "MALFORMED_SEARCH", "search term must be longer than one character: a"),
        ("FIND {**}", "MALFORMED_SEARCH", "search term must be longer than one character: **"),
        ("FIND {acme OR big}", "MALFORMED_SEARCH", "The embedded org searches for words"),
        ("FIND {acme} IN SOME FIELDS", "MALFORMED_SEARCH", "unexpected token: SOME"),
        ("FIND {acme} WITH HIGHLIGHT", "MALFORMED_SEARCH", "The embedded org knows FIND"),
        ("FIND {acme} RETURNING ", "MALFORMED_SEARCH", "The embedded org knows FIND"),
        ("FIND {acme} RETURNING Account(Name", "MALFORMED_SEARCH", "unexpected token: <EOF>"),
        ("FIND {acme} RETURNING Account(Name WHERE )", "MALFORMED_SEARCH", "unexpected token"),
        ("FIND {acme} RETURNING Nothing(Id)", "INVALID_TYPE", "sObject type 'Nothing' is not supported."),
        ("FIND {xyz} RETURNING Account(Nothing)", "INVALID_FIELD", "No such column 'Nothing' on entity 'Account'."),
    ],
)
def test_what_is_no_search_is_refused_in_words(client: httpx.Client, sosl: str, code: str, words: str) -> None:
    answer = search(client, sosl)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, code)
    assert words in answer.json()[0]["message"]


def test_a_parameterized_search_says_the_same_in_parameters_and_in_json(client: httpx.Client) -> None:
    parameters = {"q": "acme", "sobject": "Account", "Account.fields": "Name", "Account.limit": "2", "in": "NAME"}
    body: dict[str, Any] = {
        "q": "acme",
        "in": "NAME",
        "sobjects": [{"name": "Account", "fields": ["Name"], "limit": 2}],
    }
    by_parameters = client.get("/parameterizedSearch", params=parameters)
    by_body = client.post("/parameterizedSearch", json=body)
    assert len(names(by_parameters)) == 2
    assert by_parameters.json() == by_body.json()
    everywhere = client.post(
        "/parameterizedSearch", json={"q": "acme", "fields": ["Id"], "sobjects": [{"name": "Contact"}]}
    )
    assert len(everywhere.json()["searchRecords"]) == 2


@pytest.mark.parametrize(
    "body",
    [
        {},
        [],
        {"q": 1},
        {"q": "acme"},
        {"q": "acme", "sobjects": 5},
        {"q": "acme", "sobjects": ["Account"]},
        {"q": "acme", "sobjects": [{"name": 1}]},
        {"q": "acme", "sobjects": [{"name": "Account", "limit": "x"}]},
        {"q": "acme", "sobjects": [{"name": "Account", "fields": "Id"}]},
    ],
)
def test_a_body_that_is_no_search_is_refused(client: httpx.Client, body: object) -> None:
    answer = client.post("/parameterizedSearch", json=body)
    assert (answer.status_code, answer.json()[0]["errorCode"]) == (400, "MALFORMED_SEARCH")


def test_recent_lists_what_was_viewed_last_first() -> None:
    with LocalOrg() as org:
        session = {"Authorization": f"Bearer {org.credentials.access_token}"}
        assert httpx.get(f"{org.url}{DATA}/recent", headers=session).json() == []
        viewed = {"Id": ["001000000000001AAA", "001000000000002AAA", "001000000000003AAA"], "Name": ["A", "B", "C"]}
        moments = ["2024-01-01T00:00:00Z", "2024-01-02T00:00:00Z", None]
        org.mirror("Account", pl.DataFrame(viewed | {"LastViewedDate": moments}))
        answer = httpx.get(f"{org.url}{DATA}/recent?limit=1", headers=session).json()
        both = httpx.get(f"{org.url}{DATA}/recent", headers=session).json()
    attributes = {"type": "Account", "url": f"{DATA}/sobjects/Account/001000000000002AAA"}
    assert answer == [{"attributes": attributes, "Id": "001000000000002AAA", "Name": "B"}]
    assert [one["Name"] for one in both] == ["B", "A"]


def test_the_limits_have_every_documented_name(client: httpx.Client) -> None:
    limits = client.get("/limits").json()
    assert len(limits) == 52
    assert list(limits) == sorted(limits)
    assert limits["PermissionSets"] == {
        "Max": 1500,
        "Remaining": 1500,
        "CreateCustom": {"Max": 1500, "Remaining": 1500},
    }


def test_pages_are_described_though_there_are_none(client: httpx.Client) -> None:
    assert client.get("/sobjects/account/listviews").json() == {
        "done": True,
        "listviews": [],
        "nextRecordsUrl": None,
        "size": 0,
        "sobjectType": "Account",
    }
    layouts = client.get("/sobjects/Account/describe/layouts").json()
    assert (layouts["layouts"], layouts["recordTypeMappings"][0]["recordTypeId"]) == ([], "012000000000000AAA")
    compact = client.get("/sobjects/Account/describe/compactLayouts").json()
    assert compact["recordTypeCompactLayoutMappings"][0]["compactLayoutName"] == "SYSTEM"
    assert client.get("/sobjects/Account/describe/approvalLayouts").json() == {"approvalLayouts": []}
    for missing in ("/sobjects/Nothing/listviews", "/sobjects/GroupMember/describe/layouts"):
        assert client.get(missing).status_code == 404
    assert client.get("/quickActions").json() == []
    empty: dict[str, dict[str, dict[str, list[str]]]] = {
        "actions": {"standard": {"actions": []}, "custom": {}},
        "appMenu": {"appSwitcher": {"appMenuItems": []}, "salesforce1": {"appMenuItems": []}},
    }
    for folder, lists in empty.items():
        links = client.get(f"/{folder}").json()
        assert {name: client.get(link.partition("/v60.0")[2]).json() for name, link in links.items()} == lists
    tabs = {one["sobjectName"]: one for one in client.get("/tabs").json()}
    assert (tabs["Account"]["name"], tabs["Account"]["label"]) == ("standard-Account", "Accounts")
    assert {one["name"] for one in client.get("/theme").json()["themeItems"]} == tabs.keys()

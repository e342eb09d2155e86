"""What REST answers about single records beyond their fields: doubles, layouts, recent items, parents that went."""

from __future__ import annotations

import datetime as dt

import pytest

from sfframe.localorg.services import rules
from sfframe.localorg.store.rules import DuplicateRule
from tests.localorg.record_org import BASE, RecordOrg, org

__all__ = ["org"]

MASTER = "012000000000000AAA"


def test_an_unknown_field_is_told_before_an_id_that_is_of_no_record(org: RecordOrg) -> None:
    words = "No such column 'Color__c' on sobject of type Movie__c"
    refused = (400, [{"message": words, "errorCode": "INVALID_FIELD"}])
    assert org.call("PATCH", "/sobjects/Movie__c/a00B000000FSjVUIB1", {"Color__c": "Red"}) == refused
    status, told = org.call("PATCH", "/sobjects/Movie__c/a00B000000FSjVUIB1", {"Name": "Red"})
    assert (status, told[0]["errorCode"]) == (400, "MALFORMED_ID")
    status, told = org.call("PATCH", "/sobjects/Movie__c/nothing", {"Color__c": "Red"})
    assert (status, told[0]["errorCode"]) == (404, "NOT_FOUND")


def test_a_refused_double_names_the_rule_and_the_records_that_it_doubles(org: RecordOrg) -> None:
    rules.declare(org.store, DuplicateRule("Account", "Names", ("Name",), "There is one"))
    there = org.made("Account", Name="Acme")
    status, told = org.call("POST", "/sobjects/Account", {"Name": "ACME"})
    record = {"attributes": {"type": "Account", "url": f"{BASE}/sobjects/Account/{there}"}, "Id": there}
    match = {
        "additionalInformation": [],
        "fieldDiffs": [{"difference": "SAME", "name": "Name"}],
        "matchConfidence": 100.0,
        "record": record,
    }
    assert (status, told) == (
        400,
        [
            {
                "duplicateResult": {
                    "allowSave": False,
                    "duplicateRule": "Names",
                    "duplicateRuleEntityType": "Account",
                    "errorMessage": "There is one",
                    "matchResults": [
                        {
                            "entityType": "Account",
                            "errors": [],
                            "matchEngine": "ExactMatchEngine",
                            "matchRecords": [match],
                            "rule": "Names",
                            "size": 1,
                            "success": True,
                        }
                    ],
                },
                "message": "There is one",
                "errorCode": "DUPLICATES_DETECTED",
                "fields": [],
            }
        ],
    )
    assert next(iter(told[0])) == "duplicateResult"
    records = [{"attributes": {"type": "Account"}, "Name": name} for name in ("acme", "New", "new")]
    _, rows = org.call("POST", "/composite/sobjects", {"records": records})
    assert [row["success"] for row in rows] == [False, True, False]
    [error] = rows[0]["errors"]
    assert list(error) == ["duplicateResult", "statusCode", "message", "fields"]
    assert error["duplicateResult"] == told[0]["duplicateResult"]
    assert [one["size"] for one in rows[2]["errors"][0]["duplicateResult"]["matchResults"]] == [0]
    tree = {"attributes": {"type": "Account", "referenceId": "one"}, "Name": "Acme"}
    _, grown = org.call("POST", "/composite/tree/Account", {"records": [tree]})
    assert grown["results"] == [{"referenceId": "one", "errors": [error]}]


def test_records_that_were_viewed_are_the_recent_items_of_their_object(org: RecordOrg) -> None:
    first, second, third = (org.made("Account", Name=name) for name in "abc")
    org.made("Contact", LastName="d")
    for one in (first, second, third):
        org.call("GET", "/query", params={"q": f"SELECT Id FROM Account WHERE Id = '{one}' FOR VIEW"})
    org.call("DELETE", f"/sobjects/Account/{third}")
    _, answer = org.call("GET", "/sobjects/Account")
    assert {one["Id"]: one["Name"] for one in answer["recentItems"]} == {first: "a", second: "b"}
    assert list(answer["recentItems"][0]) == ["attributes", "Id", "Name"]
    assert org.call("GET", "/sobjects/Contact")[1]["recentItems"] == []


def test_layouts_exist_for_every_record_type_and_for_no_other_id(org: RecordOrg) -> None:
    info = {"name": "Partner", "developerName": "Partner", "recordTypeId": "012000000000001AAA", "active": True}
    org.store.deploy([{"name": "Account", "fields": [], "recordTypeInfos": [info]}])
    _, layouts = org.call("GET", "/sobjects/Account/describe/layouts")
    assert [one["recordTypeId"] for one in layouts["recordTypeMappings"]] == ["012000000000001AAA", MASTER]
    assert list(layouts["recordTypeMappings"][0]) == sorted(layouts["recordTypeMappings"][0])
    assert layouts["recordTypeSelectorRequired"] == [True]
    for mapping in layouts["recordTypeMappings"]:
        status, layout = org.call("GET", mapping["urls"]["layout"].removeprefix(BASE))
        assert (status, layout["detailLayoutSections"], list(layout)) == (200, [], sorted(layout))
    assert org.call("GET", "/sobjects/Account/describe/layouts/012000000000002AAA")[0] == 404
    assert org.call("GET", "/sobjects/Account/describe/layouts/nothing")[0] == 404
    _, compact = org.call("GET", "/sobjects/Account/describe/compactLayouts")
    named = [one["recordTypeName"] for one in compact["recordTypeCompactLayoutMappings"]]
    assert named == ["Partner", "Master"]


def test_no_path_is_answered_by_a_redirect(org: RecordOrg) -> None:
    for path in ("/sobjects/Account//", "/query///", "/nothing//"):
        answer = org.get(f"{BASE}{path}")
        assert answer.status_code == 404
        assert [one["errorCode"] for one in answer.json()] == ["NOT_FOUND"]


def test_lookups_to_a_deleted_parent_are_cleared(org: RecordOrg) -> None:
    studio, other = org.made("Account", Name="gone"), org.made("Account", Name="kept")
    cleared = org.made("Movie__c", Name="m", Studio__c=studio)
    kept = org.made("Movie__c", Name="n", Studio__c=other)
    binned = org.made("Movie__c", Name="o", Studio__c=studio)
    org.call("DELETE", f"/sobjects/Movie__c/{binned}")
    assert org.call("DELETE", f"/sobjects/Account/{studio}")[0] == 204
    rows = dict(org.rows('SELECT "Id", "Studio__c" FROM data."Movie__c"'))
    assert rows == {cleared: None, kept: other, binned: studio}


def test_lookups_are_cleared_in_the_transaction_that_made_them(org: RecordOrg) -> None:
    def step(method: str, url: str, reference: str, body: object = None) -> dict[str, object]:
        return {"method": method, "url": f"{BASE}{url}", "referenceId": reference, "body": body}

    steps = [
        step("POST", "/sobjects/Account", "studio", {"Name": "a"}),
        step("POST", "/sobjects/Movie__c", "movie", {"Name": "m", "Studio__c": "@{studio.id}"}),
        step("DELETE", "/sobjects/Account/@{studio.id}", "gone"),
    ]
    _, answer = org.call("POST", "/composite", {"allOrNone": True, "compositeRequest": steps})
    assert [one["httpStatusCode"] for one in answer["compositeResponse"]] == [201, 201, 204]
    assert org.rows('SELECT "Name", "Studio__c" FROM data."Movie__c"') == [("m", None)]


def test_a_custom_lookup_that_must_be_filled_protects_its_parent(org: RecordOrg) -> None:
    needed = {"name": "Parent__c", "type": "reference", "referenceTo": ["Account"], "nillable": False}
    org.store.deploy([{"name": "Child__c", "label": "Child", "labelPlural": "Children", "fields": [needed]}])
    parent = org.made("Account", Name="a")
    child = org.made("Child__c", Name="c", Parent__c=parent)
    status, told = org.call("DELETE", f"/sobjects/Account/{parent}")
    assert (status, told[0]["errorCode"]) == (400, "DELETE_FAILED")
    org.call("DELETE", f"/sobjects/Child__c/{child}")
    assert org.call("DELETE", f"/sobjects/Account/{parent}")[0] == 204


def test_spans_of_changes_begin_and_end_with_whole_minutes_that_count_in(org: RecordOrg) -> None:
    day = org.store.now().replace(hour=0, minute=0, second=0) - dt.timedelta(days=2)
    ids = {}
    for seconds in (59, 60, 119, 120, 121):
        ids[seconds] = org.made("Account", Name=str(seconds))
        moment = day + dt.timedelta(seconds=seconds)
        org.rows(f"""UPDATE data."Account" SET "SystemModstamp" = '{moment}' WHERE "Id" = '{ids[seconds]}'""")
    span = {
        "start": (day + dt.timedelta(seconds=75)).isoformat() + "Z",
        "end": (day + dt.timedelta(seconds=179)).isoformat() + "Z",
    }
    _, answer = org.call("GET", "/sobjects/Account/updated", params=span)
    assert answer["ids"] == [ids[60], ids[119], ids[120]]
    assert answer["latestDateCovered"] == (day + dt.timedelta(seconds=120)).strftime("%Y-%m-%dT%H:%M:%S.000+0000")


def test_a_record_can_be_asked_for_its_headers_alone(org: RecordOrg) -> None:
    path = f"{BASE}/sobjects/Account/{org.made('Account', Name='a')}"
    read, asked = org.get(path), org.request("HEAD", path)
    assert (asked.status_code, asked.headers["etag"]) == (200, read.headers["etag"])
    assert org.request("HEAD", f"{BASE}/sobjects/Account/001000000000009AAA").status_code == 404


def test_up_to_version_57_a_path_may_name_its_format(org: RecordOrg) -> None:
    made = org.made("Account", Name="a", Ext__c="a.json")
    for path in ("query.json?q=SELECT+Id+FROM+Account", "sobjects/Account.json", f"sobjects/Account/{made}.json"):
        assert org.get(f"/services/data/v57.0/{path}").status_code == 200
        assert org.get(f"/services/data/v58.0/{path}").status_code == 404
    assert org.call("GET", "/sobjects/Account/Ext__c/a.json")[0] == 200


@pytest.mark.parametrize(
    ("path", "accept", "status"),
    [
        ("v57.0/sobjects/Account.xml", "*/*", 406),
        ("v58.0/sobjects/Account.xml", "*/*", 404),
        ("v58.0/sobjects/Account", "application/xml", 406),
        ("v58.0/sobjects/Account", "text/xml;q=0.9, text/html", 406),
        ("v58.0/sobjects/Account", "application/xml, application/json;q=0.5", 200),
        ("v58.0/sobjects/Account", "text/html, application/xml;q=0.9, */*;q=0.8", 200),
        ("v58.0/sobjects/Account", "text/html", 200),
    ],
)
def test_who_wants_nothing_but_xml_is_told_that_there_is_none(
    org: RecordOrg, path: str, accept: str, status: int
) -> None:
    answer = org.get(f"/services/data/{path}", headers={"Accept": accept})
    assert answer.status_code == status
    if status == 406:
        words = "The embedded org answers in JSON, not in XML. Accept application/json"
        assert answer.json() == [{"message": words, "errorCode": "NOT_ACCEPTABLE"}]


@pytest.mark.parametrize("kind", ["text/plain", "application/x-www-form-urlencoded"])
def test_a_body_that_is_not_called_json_is_refused(org: RecordOrg, kind: str) -> None:
    answer = org.post(f"{BASE}/sobjects/Account", content=b'{"Name":"a"}', headers={"Content-Type": kind})
    words = f"Content-Type header specified in HTTP request is not supported: {kind}"
    assert (answer.status_code, answer.json()) == (415, [{"message": words, "errorCode": "UNSUPPORTED_MEDIA_TYPE"}])
    spelled = {"Content-Type": "Application/JSON; charset=utf-8"}
    assert org.post(f"{BASE}/sobjects/Account", content=b'{"Name":"a"}', headers=spelled).status_code == 201


def test_links_of_files_are_found_by_what_they_link(org: RecordOrg) -> None:
    owner = org.store.user_id

    def asked(where: str) -> int:
        return org.call("GET", "/query", params={"q": f"SELECT Id FROM ContentDocumentLink {where}"})[0]

    assert asked(f"WHERE LinkedEntityId = '{owner}'") == 200
    assert asked(f"WHERE ShareType = 'I' AND contentdocumentid IN ('{owner}')") == 200
    for where in ("", "WHERE ShareType = 'I'", f"WHERE LinkedEntityId != '{owner}'"):
        assert asked(where) == 400
    assert asked(f"WHERE LinkedEntityId = '{owner}' OR ShareType = 'I'") == 400


def test_there_are_no_quick_actions(org: RecordOrg) -> None:
    assert org.call("GET", "/sobjects/Account/quickActions") == (200, [])

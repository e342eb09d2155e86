"""Single records over REST: what is answered, what is stored, and how errors are worded (rest.md 7 and 12)."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.localorg.record_org import BASE, RecordOrg, body_of, org, recorded

__all__ = ["org"]

READ_ONLY = "Please check the security settings of this field and verify that it is read/write for your profile or "


def test_a_record_is_created_read_changed_and_deleted(org: RecordOrg) -> None:
    answer = org.post(f"{BASE}/sobjects/Account/", json={"Name": " Acme ", "BillingCity": "Rome", "attributes": {}})
    record = answer.json()["id"]
    assert answer.status_code == 201
    assert answer.text == f'{{"id":"{record}","success":true,"errors":[]}}'
    assert answer.headers["location"] == f"{BASE}/sobjects/Account/{record}"
    fields = "?fields=Name,BillingCity,Owner.Name"
    owner = {"attributes": {"type": "User", "url": f"{BASE}/sobjects/User/{org.store.user_id}"}}
    assert org.call("GET", f"/sobjects/account/{record[:15]}{fields}") == (
        200,
        {
            "attributes": {"type": "Account", "url": f"{BASE}/sobjects/Account/{record}"},
            "Name": "Acme",
            "BillingCity": "Rome",
            "Owner": owner | {"Name": "Integration User"},
            "Id": record,
        },
    )
    changed = org.patch(f"{BASE}/sobjects/Account/{record[:15]}", json={"BillingCity": None, "Rating": "", "Site": "x"})
    assert (changed.status_code, changed.content, "content-type" in changed.headers) == (204, b"", False)
    assert org.rows('SELECT "Name", "BillingCity", "Rating", "Site" FROM data."Account"') == [("Acme", None, None, "x")]
    assert org.call("DELETE", f"/sobjects/Account/{record}") == (204, None)
    gone = [{"message": "entity is deleted", "errorCode": "ENTITY_IS_DELETED", "fields": []}]
    nowhere = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
    assert org.call("DELETE", f"/sobjects/Account/{record}") == (404, gone)
    assert org.call("PATCH", f"/sobjects/Account/{record}", {"Name": "y"}) == (404, gone)
    assert org.call("GET", f"/sobjects/Account/{record}") == (404, nowhere)


def test_a_whole_record_has_all_fields_of_the_describe_in_its_order(org: RecordOrg) -> None:
    record = org.made("Account", Name="Acme", BillingCity="Rome", NumberOfEmployees="5", AnnualRevenue=2)
    _, described = org.call("GET", "/sobjects/Account/describe")
    _, whole = org.call("GET", f"/sobjects/Account/{record}")
    assert list(whole) == ["attributes", *(field["name"] for field in described["fields"])]
    assert (whole["NumberOfEmployees"], whole["AnnualRevenue"], whole["ShippingAddress"]) == (5, 2.0, None)
    assert whole["BillingAddress"] == {
        "city": "Rome",
        "country": None,
        "geocodeAccuracy": None,
        "latitude": None,
        "longitude": None,
        "postalCode": None,
        "state": None,
        "street": None,
    }


def test_values_are_taken_in_json_types_and_as_text(org: RecordOrg) -> None:
    org.made("Movie__c", Name="a", Takings__c="100", Seats__c=7, Sold__c="true", Shown__c="2024-03-11T13:05:20-0700")
    org.made("Movie__c", Name="b", Takings__c=1.005, Seats__c="8", Sold__c=None, ReleaseDate__c="1980-05-21")
    assert org.rows(
        'SELECT "Takings__c", "Seats__c", "Sold__c", "Shown__c", "ReleaseDate__c" FROM data."Movie__c"'
    ) == [
        (100.0, 7, True, dt.datetime(2024, 3, 11, 20, 5, 20), None),
        (1.01, 8, False, None, dt.date(1980, 5, 21)),
    ]


@pytest.mark.parametrize(
    ("body", "said"),
    [
        (
            '{"Name":"x",\n "Shown__c":"2017-10-17 00:00:00"}',
            (
                "Cannot deserialize instance of datetime from VALUE_STRING value 2017-10-17 00:00:00 or request may be "
                "missing a required field at [line:2, column:13]"
            ),
        ),
        (
            '{"Takings__c":"N010000000"}',
            (
                "Cannot deserialize instance of double from VALUE_STRING value N010000000 or request may be missing a "
                "required field at [line:1, column:15]"
            ),
        ),
        (
            '{"Seats__c":1.5}',
            (
                "Cannot deserialize instance of int from VALUE_NUMBER_FLOAT value 1.5 or request may be missing a "
                "required field at [line:1, column:13]"
            ),
        ),
        (
            '{"Name":["a"]}',
            (
                "Cannot deserialize instance of string from START_ARRAY value [ or request may be missing a required "
                "field at [line:1, column:9]"
            ),
        ),
        ("[]", "Can not deserialize: unexpected array at [line:1, column:1]"),
        ('{"Name"}', "Unexpected character ('}' (code 125)): Expecting ':' delimiter at [line:1, column:8]"),
        ("", "Unexpected end-of-input: Expecting value at [line:1, column:1]"),
        ("[" * 100_000, "The request body is nested too deeply or too large"),
    ],
    ids=["datetime", "double", "int", "array", "no object", "no JSON", "nothing", "nested"],
)
def test_what_cannot_be_read_is_refused_with_its_place(org: RecordOrg, body: str, said: str) -> None:
    error = {"message": said, "errorCode": "JSON_PARSER_ERROR"}
    assert org.call("POST", "/sobjects/Movie__c", content=body) == (400, [error])
    assert org.rows('SELECT * FROM data."Movie__c"') == []


def test_control_characters_of_a_value_come_back_in_its_error(org: RecordOrg) -> None:
    status, answer = org.call("POST", "/sobjects/Movie__c", {"Rating__c": "a\x1fb\x1d"})
    words = "Rating: bad value for restricted picklist field: a\x1fb\x1d"
    code = "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST"
    assert (status, answer) == (400, [{"message": words, "errorCode": code, "fields": ["Rating__c"]}])


def test_errors_have_the_words_the_keys_and_the_status_of_the_service(org: RecordOrg) -> None:
    record = org.made("Movie__c", Name="a")
    other = org.made("Account", Name="b")
    unknown = f"{record[:14]}9"
    refused = f"Unable to create/update fields: CreatedDate, IsDeleted. {READ_ONLY}permission set."
    cases: list[tuple[str, str, object, int, dict[str, object]]] = [
        ("PATCH", record, {"Nope__c": 1}, 400, {"message": "No such column 'Nope__c' on sobject of type Movie__c",
                                              "errorCode": "INVALID_FIELD"}),
        ("PATCH", record, {"CreatedDate": "2024-01-01", "IsDeleted": True}, 400,
         {"message": refused, "errorCode": "INVALID_FIELD_FOR_INSERT_UPDATE", "fields": ["CreatedDate", "IsDeleted"]}),
        ("PATCH", record, {"Id": record}, 400,
         {"message": "The Id field should not be specified in the sobject data.", "errorCode": "INVALID_FIELD",
          "fields": ["Id"]}),
        ("PATCH", record, {"Studio__c": f"{other[:14]}9"}, 400,
         {"message": "invalid cross reference id", "errorCode": "INVALID_CROSS_REFERENCE_KEY", "fields": []}),
        ("PATCH", unknown, {}, 404,
         {"message": "invalid cross reference id", "errorCode": "INVALID_CROSS_REFERENCE_KEY", "fields": []}),
        ("DELETE", unknown, None, 404,
         {"message": "invalid cross reference id", "errorCode": "INVALID_CROSS_REFERENCE_KEY", "fields": []}),
        ("DELETE", other, None, 400,
         {"message": f"Record ID: id value of incorrect type: {other}", "errorCode": "MALFORMED_ID",
          "fields": ["Id"]}),
        ("DELETE", "nothing", None, 404,
         {"errorCode": "NOT_FOUND",
          "message": "Provided external ID field does not exist or is not accessible: nothing"}),
        ("PATCH", record, {"Studio__r": {"Ext__c": "none"}}, 400,
         {"message": "Foreign key external ID: none not found for field Ext__c in entity Account",
          "errorCode": "INVALID_FIELD", "fields": []}),
        ("PATCH", record, {"Studio__r": {"Nope": "x"}}, 400,
         {"message": "No such column 'Nope' on sobject of type Account", "errorCode": "INVALID_FIELD"}),
        ("PATCH", record, {"Who__r": {"Email": "x@example.com"}}, 400,
         {"message": "Nested object for polymorphic foreign key must have an attributes field before any other "
          "fields.", "errorCode": "JSON_PARSER_ERROR"}),
    ]  # fmt: skip
    for method, word, body, status, error in cases:
        answer = org.call(method, f"/sobjects/Movie__c/{word}", body)
        assert answer == (status, [error])
        assert list(answer[1][0]) == list(error)
    nowhere = [{"errorCode": "NOT_FOUND", "message": "The requested resource does not exist"}]
    assert org.call("POST", "/sobjects/Nope__c", {"Name": "a"}) == (404, nowhere)
    assert org.call("GET", f"/sobjects/Movie__c/{unknown}") == (404, nowhere)
    assert org.call("GET", f"/sobjects/Movie__c/{record}?fields=Nope__c") == (
        400,
        [{"message": "No such column 'Nope__c' on sobject of type Movie__c", "errorCode": "INVALID_FIELD"}],
    )
    allowed = "HTTP Method 'PATCH' not allowed. Allowed are HEAD,GET,POST"
    not_here = [{"message": allowed, "errorCode": "METHOD_NOT_ALLOWED"}]
    assert org.call("PATCH", "/sobjects/Account", {}) == (405, not_here)


def test_an_upsert_creates_then_changes_by_a_key_without_case(org: RecordOrg) -> None:
    status, created = org.call("PATCH", "/sobjects/Account/Ext__c/A%201", {"Name": "one"})
    record = created["id"]
    assert (status, created) == (201, {"id": record, "success": True, "errors": [], "created": True})
    changed = (200, {"id": record, "success": True, "errors": [], "created": False})
    assert org.call("PATCH", "/sobjects/account/ext__c/a%201", {"Name": "two"}) == changed
    old = "/services/data/v45.0/sobjects/Account/Ext__c"
    assert org.call("PATCH", f"{old}/a%201", {"Name": "three"}) == (204, None)
    status, older = org.call("PATCH", f"{old}/a%202", {"Name": "four"})
    assert (status, list(older)) == (201, ["id", "success", "errors"])
    assert org.rows('SELECT "Ext__c", "Name" FROM data."Account" ORDER BY 1') == [("a 1", "three"), ("a 2", "four")]
    assert org.call("GET", "/sobjects/Account/Ext__c/a%202?fields=Name")[1]["Name"] == "four"
    assert org.call("DELETE", "/sobjects/Account/Ext__c/a%202") == (204, None)
    assert org.call("GET", "/sobjects/Account/Ext__c/a%202")[0] == 404
    by_id = org.call("PATCH", f"/sobjects/Account/Id/{record}", {"Name": "five"})
    assert by_id == (200, {"id": record, "success": True, "errors": [], "created": False})
    assert org.call("POST", "/sobjects/Account/Id", {"Name": "six", "Id": None})[0] == 201


def test_an_upsert_that_is_not_clear_changes_nothing(org: RecordOrg) -> None:
    first, second = org.made("Account", Name="one", Ext__c="K"), org.made("Account", Name="two", Ext__c="k")
    several = org.call("PATCH", "/sobjects/Account/Ext__c/k", {"Name": "three"})
    urls = [f"{BASE}/sobjects/Account/{one}" for one in (first, second)]
    assert several == (300, urls)
    assert org.call("GET", "/sobjects/Account/Ext__c/k") == (300, urls)
    words = "The Ext__c field should not be specified in the sobject data."
    twice = org.call("PATCH", "/sobjects/Account/Ext__c/new", {"Ext__c": "new", "Name": "x"})
    assert twice == (400, [{"message": words, "errorCode": "INVALID_FIELD", "fields": ["Ext__c"]}])
    assert org.call("PATCH", "/sobjects/Account/Ext__c/new?updateOnly=true", {"Name": "x"})[0] == 404
    no_key = "Provided external ID field does not exist or is not accessible: Rating"
    assert org.call("PATCH", "/sobjects/Account/Rating/Hot", {}) == (
        404,
        [{"errorCode": "NOT_FOUND", "message": no_key}],
    )
    number = org.call("PATCH", "/sobjects/Movie__c/Number__c/abc", {"Name": "x"})
    assert (number[0], number[1][0]["errorCode"]) == (400, "JSON_PARSER_ERROR")
    assert org.rows('SELECT "Name" FROM data."Account" ORDER BY 1') == [("one",), ("two",)]


def test_relationships_are_named_by_external_ids_and_walked_in_paths(org: RecordOrg) -> None:
    studio = org.made("Account", Name="Studio", Ext__c="S")
    person = org.made("Contact", LastName="Star", Email="star@example.com")
    movie = org.made("Movie__c", Name="a", Studio__r={"Ext__c": "s"},
                     Who__r={"attributes": {"type": "Contact"}, "Email": "STAR@example.com"})  # fmt: skip
    assert org.rows('SELECT "Studio__c", "Who__c" FROM data."Movie__c"') == [(studio, person)]
    assert org.call("GET", f"/sobjects/Movie__c/{movie}/Studio__r?fields=Name")[1]["Name"] == "Studio"
    status, children = org.call("GET", f"/sobjects/Account/{studio}/Movies__r?fields=Name")
    assert (status, children["totalSize"], [one["Id"] for one in children["records"]]) == (200, 1, [movie])
    assert org.call("PATCH", f"/sobjects/Movie__c/{movie}/Studio__r", {"Name": "Renamed"}) == (204, None)
    org.call("PATCH", f"/sobjects/Movie__c/{movie}", {"Studio__c": None})
    assert org.call("GET", f"/sobjects/Movie__c/{movie}/Studio__r")[0] == 404
    assert org.call("GET", f"/sobjects/Account/{studio}/Movies__r")[1] == {"totalSize": 0, "done": True, "records": []}
    assert org.call("GET", f"/sobjects/Account/{studio}/Nothing__r")[0] == 404


def test_a_blob_comes_in_as_base64_or_as_a_part_and_goes_out_as_bytes(org: RecordOrg) -> None:
    content = b"\x00\xff\r\n--not-the-boundary\r\n\x01"
    movie = org.made("Movie__c", Name="a", Poster__c="AAEC")
    blob = org.get(f"{BASE}/sobjects/Movie__c/{movie}/Poster__c")
    assert (blob.content, blob.headers["content-type"]) == (b"\x00\x01\x02", "application/octetstream")
    files = {
        "entity": (None, json.dumps({"Name": "b"}), "application/json"),
        "Poster__c": ("p.png", content, "image/png"),
    }
    status, created = org.call("POST", "/sobjects/Movie__c", files=files)
    assert status == 201
    assert org.get(f"{BASE}/sobjects/Movie__c/{created['id']}/Poster__c").content == content
    _, whole = org.call("GET", f"/sobjects/Movie__c/{created['id']}")
    assert whole["Poster__c"] == f"{BASE}/sobjects/Movie__c/{created['id']}/Poster__c"


def test_changes_and_deletions_of_a_span_are_listed(org: RecordOrg) -> None:
    kept, gone = org.made("Account", Name="a"), org.made("Account", Name="b")
    org.call("DELETE", f"/sobjects/Account/{gone}")
    now = org.store.now()
    span = {
        "start": (now - dt.timedelta(days=1)).isoformat() + "Z",
        "end": (now + dt.timedelta(days=1)).isoformat() + "Z",
    }
    status, updated = org.call("GET", "/sobjects/Account/updated/", params=span)
    assert (status, list(updated), updated["ids"]) == (200, ["ids", "latestDateCovered"], [kept])
    status, deleted = org.call("GET", "/sobjects/Account/deleted", params=span)
    assert list(deleted) == ["deletedRecords", "earliestDateAvailable", "latestDateCovered"]
    assert [list(one) for one in deleted["deletedRecords"]] == [["id", "deletedDate"]]
    assert deleted["deletedRecords"][0]["id"] == gone
    assert org.call("GET", "/sobjects/Account/updated", params=span | {"start": "2001-01-01T00:00:00Z"})[0] == 400
    assert org.call("GET", "/sobjects/Account/updated", params=span | {"end": span["start"]})[0] == 400
    assert org.call("GET", "/sobjects/Account/updated", params={"start": "yesterday"})[0] == 400


def test_a_record_is_read_or_changed_only_if_it_is_as_the_client_knows_it(org: RecordOrg) -> None:
    path = f"{BASE}/sobjects/Account/{org.made('Account', Name='a')}"
    marks = org.get(path).headers
    assert org.get(path, headers={"If-None-Match": marks["etag"]}).status_code == 304
    assert org.get(path, headers={"If-Modified-Since": marks["last-modified"]}).status_code == 304
    early = "Sat, 01 Jan 2000 00:00:00 GMT"
    assert org.get(path, headers={"If-Modified-Since": early}).status_code == 200
    assert org.patch(path, json={"Name": "b"}, headers={"If-Unmodified-Since": early}).status_code == 412
    assert org.delete(path, headers={"If-Match": '"other"'}).status_code == 412
    assert org.patch(path, json={"Name": "c"}, headers={"If-Match": marks["etag"]}).status_code == 204
    assert org.rows('SELECT "Name", "IsDeleted" FROM data."Account"') == [("c", False)]


def test_headers_for_automation_are_taken(org: RecordOrg) -> None:
    headers = {
        "Sforce-Duplicate-Rule-Header": "allowSave=true",
        "Sforce-Auto-Assign": "FALSE",
        "Sforce-Mru": "updateMru=true",
    }
    assert org.call("POST", "/sobjects/Account", {"Name": "a"}, headers=headers)[0] == 201


@pytest.mark.parametrize("file", ["sf-fx-java", "sf-fx-nodejs"])
def test_recorded_refusals_come_back_to_the_letter(org: RecordOrg, reference: Callable[[str], Path], file: str) -> None:
    required = {"name": "Website__c", "label": "Website", "type": "url", "nillable": False}
    org.store.deploy(
        [{"name": "Spaceship__c", "label": "Spaceship", "labelPlural": "Spaceships", "fields": [required]}]
    )
    found = [
        *recorded(reference, file, "POST", "/sobjects/", " 400"),
        *recorded(reference, file, "POST", "PlayingCard"),
    ]
    for one in found:
        asked = one["request"]
        status, answer = org.call("POST", asked["path"], body_of(asked))
        assert (status, json.dumps(answer)) == (one["response"]["status"], json.dumps(body_of(one["response"])))
    assert len(found) >= 4

"""Golden exchanges with sObject Collections, in both directions."""

import json
from collections.abc import Callable
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import cast

import pytest

from sfframe.errors import ApiError, NotFound, QueryError
from sfframe.protocol import composite
from sfframe.protocol.call import Reply
from sfframe.protocol.composite import RowAnswers, Stamp, Stamps
from sfframe.protocol.error_body import Problem, answer
from sfframe.protocol.query import fits_in_uri

BODY = b'{"allOrNone":false,"records":[{"attributes":{"type":"Widget__c"},"Name":"A"}]}'
SAVED = b'[{"id":"a01AB00000QrS02YAD","success":true,"errors":[]}]'
JSON = "application/json"


def test_create_update_and_upsert_carry_the_body_and_run_no_assignment_rule():
    calls = [composite.create(BODY), composite.update(BODY), composite.upsert("Widget__c", "Ext_Key__c", BODY)]
    assert [(one.method, one.path, one.body, one.repeatable) for one in calls] == [
        ("POST", "composite/sobjects", BODY, False),
        ("PATCH", "composite/sobjects", BODY, False),
        ("PATCH", "composite/sobjects/Widget__c/Ext_Key__c", BODY, False),
    ]
    assert [dict(one.headers) for one in calls] == [{"Content-Type": JSON, "Sforce-Auto-Assign": "FALSE"}] * 3


@pytest.mark.parametrize(("allowed", "said"), [(True, "allowSave=true"), (False, "allowSave=false")])
def test_headers_name_the_assignment_rule_and_what_duplicate_rules_may_do(allowed, said):
    options = {"assignment_rule_id": "01QAB000000abcdEFG", "allow_duplicates": allowed}
    for call in (
        composite.create(BODY, **options),
        composite.update(BODY, **options),
        composite.upsert("Lead", "Ext__c", BODY, **options),
    ):
        assert dict(call.headers) == {
            "Content-Type": JSON,
            "Sforce-Auto-Assign": "01QAB000000abcdEFG",
            "Sforce-Duplicate-Rule-Header": said,
        }


def test_delete_names_the_ids_in_the_query():
    ids = "001AB00000QrS02YAD,001AB00000QrS03YAD"
    call = composite.delete(ids, all_or_none=True)
    assert (call.method, call.path, call.body, call.repeatable) == ("DELETE", "composite/sobjects", None, False)
    assert call.query == (("ids", ids), ("allOrNone", "true"))
    assert composite.delete(ids).query == (("ids", ids), ("allOrNone", "false"))
    assert call.where == "DELETE composite/sobjects"  # no record's id in a message


def test_the_answer_is_kept_as_it_came():
    assert answer(composite.create(BODY), Reply(200, {}, SAVED)) == RowAnswers(SAVED)
    assert repr(RowAnswers(SAVED)) == "RowAnswers(refusal=None)"


def test_a_call_that_was_refused_as_a_whole_is_an_answer():
    body = b'[{"message":"No such column","errorCode":"INVALID_FIELD","fields":["X"]}]'
    refusal = Problem(400, "INVALID_FIELD", "No such column", ("X",))
    for call in (composite.create(BODY), composite.delete("x")):
        assert answer(call, Reply(400, {}, body)) == RowAnswers(body, refusal)


@pytest.mark.parametrize(
    ("status", "body", "error"),
    [
        (200, b"<html>login</html>", "a|cannot be understood"),
        (200, b'{"done":true}', "a|cannot be understood"),
        (200, b'[{"id":"a01', "a|cannot be understood"),
        (400, b"<h1>Bad Message 400</h1>", "a|cannot be understood"),
        (404, b'[{"errorCode":"NOT_FOUND","message":"gone"}]', "n|nothing of that name"),
    ],
)
def test_what_is_no_answer_for_rows_is_raised(status, body, error):
    kind, words = error.split("|")
    with pytest.raises({"a": ApiError, "n": NotFound}[kind], match=words) as raised:
        answer(composite.create(BODY), Reply(status, {}, body))
    assert raised.value.status == status


def test_recorded_answers_are_understood(reference: Callable[[str], Path]):
    """Real traffic (amp-labs): successes, failures, roll-backs, and a refused call."""
    found = []
    for line in (reference("recordings") / "traffic/amp-labs.jsonl").read_text("utf-8").splitlines():
        exchange = json.loads(line)
        if exchange["request"]["path"].endswith("/composite/sobjects"):
            reply = Reply(exchange["response"]["status"], {}, exchange["response"]["body"].encode())
            found.append(answer(composite.create(BODY), reply))
    codes = [one.refusal.code if one.refusal else len(json.loads(one.body)) for one in found]
    assert sorted(map(str, codes)) == ["2", "2", "2", "2", "2", "REQUIRED_FIELD_MISSING"]


PAGE = {
    "totalSize": 1,
    "done": True,
    "records": [
        {
            "attributes": {"type": "Widget__c"},
            "Id": "a01AB00000QrS02YAD",
            "CreatedDate": "2026-03-04T05:06:07.000+0000",
            "CreatedBy": {"attributes": {"type": "User"}, "Username": "eve@acme.com"},
            "LastModifiedDate": "2026-03-04T05:06:08.000+0000",
            "LastModifiedBy": {"attributes": {"type": "User"}, "Username": "bob@acme.com"},
            "Ext_Key__c": "it's",
        }
    ],
}


def test_stamps_are_asked_by_key_and_read_with_the_orgs_clock():
    (call,) = composite.stamps("Widget__c", "Ext_Key__c", ["it's", "b\n", Decimal(5), Decimal("1E+3"), Decimal("2.50")])
    assert (call.method, call.path, call.repeatable) == ("GET", "query", True)
    assert call.query == (
        (
            "q",
            (
                "SELECT Id, CreatedDate, CreatedBy.Username, LastModifiedDate, LastModifiedBy.Username, Ext_Key__c "
                r"FROM Widget__c WHERE Ext_Key__c IN ('it\'s', 'b\n', 5, 1000, 2.50)"
            ),
        ),
    )
    headers = {"date": "Wed, 04 Mar 2026 05:06:09 GMT"}
    assert answer(call, Reply(200, headers, json.dumps(PAGE).encode())) == Stamps(
        (
            Stamp(
                "a01AB00000QrS02YAD",
                "it's",
                datetime(2026, 3, 4, 5, 6, 7, tzinfo=UTC),
                "eve@acme.com",
                datetime(2026, 3, 4, 5, 6, 8, tzinfo=UTC),
                "bob@acme.com",
            ),
        ),
        datetime(2026, 3, 4, 5, 6, 9, tzinfo=UTC),
    )
    assert answer(call, Reply(200, {}, b'{"totalSize":0,"done":true,"records":[]}')) == Stamps((), None)


def test_stamps_by_id_ask_for_the_id_once():
    (call,) = composite.stamps("Account", "id", ["001AB00000QrS02YAD"])
    assert call.query[0][1].startswith("SELECT Id, CreatedDate, CreatedBy.Username,")
    assert call.query[0][1].endswith("LastModifiedBy.Username FROM Account WHERE id IN ('001AB00000QrS02YAD')")


def test_stamps_of_long_keys_are_asked_in_several_queries():
    keys = [f"{number:03d}" + "ü" * 100 for number in range(200)]
    calls = composite.stamps("Account", "Ext__c", keys)
    assert len(calls) == 8
    assert all(fits_in_uri(call.query[0][1]) for call in calls)
    assert [key for call in calls for key in keys if f"'{key}'" in call.query[0][1]] == keys
    assert len(composite.stamps("Account", "Id", ["001AB00000QrS02YAD"] * 200)) == 1


@pytest.mark.parametrize("record", [{"Id": None}, {"Ext_Key__c": None}, {"CreatedDate": "yesterday"}])
def test_stamps_without_what_was_asked_for_are_refused(record):
    (call,) = composite.stamps("Widget__c", "Ext_Key__c", ["x"])
    first, *_ = cast("list[dict[str, object]]", PAGE["records"])
    page = {**PAGE, "records": [{**first, **record}]}
    with pytest.raises(ApiError, match="cannot be understood"):
        answer(call, Reply(200, {}, json.dumps(page).encode()))
    with pytest.raises(QueryError):
        answer(call, Reply(400, {}, b'[{"errorCode":"INVALID_FIELD","message":"No such column"}]'))

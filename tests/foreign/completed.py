"""Requests that a recording does not hold whole, completed by what their answers tell.

Fixtures of other projects often keep an answer and the resource alone. Which fields a query selected, which record was
read, and which kind of mistake a body made stands in the answer; only that is filled in, and counted apart.
"""

from __future__ import annotations

import json
import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from sfframe.localorg.store.record_ids import id18
from tests.foreign.recordings import Interaction

_URL = re.compile(r"/services/data/[^/]*/sobjects/(\w+)/(\w+)")
_PLACEHOLDER = re.compile(r"/query/?(\?q=(?!sele[a-z]*[ +%]).*)?$", re.IGNORECASE)
_ID = "001000000000001AAA"


def _contacts(*records: dict[str, Any], all_or_none: bool = False) -> str:
    return json.dumps(
        {"allOrNone": all_or_none, "records": [{"attributes": {"type": "Contact"}} | one for one in records]}
    )


_FIELDS_UNKNOWN = {"salesforcepy"}  # files whose requests lack the parameters
# By the end of the source: the path behind the version, or None where it is recorded, and the body.
_REQUESTS: dict[str, tuple[str | None, str | None]] = {
    # amp-labs
    "bulk/write/launch-job-opportunity.json": (
        None,
        '{"object": "Opportunity", "operation": "upsert", "externalIdFieldName": "external_id__c"}',
    ),
    "bulk/write/update-job-opportunity.json": (None, '{"state": "UploadComplete"}'),
    "bulk/delete/launch-job-opportunity.json": (None, '{"object": "Opportunity", "operation": "delete"}'),
    "bulk/delete/update-job-opportunity.json": ("jobs/ingest/750ak000009BkrxAAC", '{"state": "UploadComplete"}'),
    "bulk/info/in-progress.json": ("jobs/ingest/750ak000009Bq9OAAS", None),
    "bulk/read-launch-job-account.json": (None, '{"operation": "query", "query": "SELECT Id FROM Account"}'),
    "batch/create/contacts/err-bad-request.json": (None, '{"records": []}'),
    "batch/create/contacts/partial-but-allOrNone.json": (
        None,
        _contacts({"FirstName": "a"}, {"LastName": "b"}, all_or_none=True),
    ),
    "batch/create/contacts/success.json": (None, _contacts({"LastName": "a"}, {"LastName": "b"})),
    "batch/update/contacts/err-each-no-ids.json": (None, _contacts({"LastName": "a"}, {"LastName": "b"})),
    "batch/update/contacts/partial-but-allOrNone.json": (
        None,
        _contacts(
            {"Id": "003ak00000jvIfpAAE", "LastName": "a"},
            {"Id": "003ak00000jvIfqAAE", "unknownField_LastName": "b"},
            all_or_none=True,
        ),
    ),
    "batch/update/contacts/success.json": (
        None,
        _contacts({"Id": "003ak00000jvIfpAAE", "LastName": "a"}, {"Id": "003ak00000jvIfqAAE", "LastName": "b"}),
    ),
    "test/invalid-field-upsert.json": (f"sobjects/Account/{_ID}", json.dumps({"MasterRecordId": _ID})),
    "test/create-ok.json": (None, '{"Name": "a"}'),
    "crm/delete/not-found.json": ("sobjects/Account/001000000000002AAA", None),
    "test/unknown-field.json": (f"sobjects/Account/{_ID}", '{"AccountNumer": "1"}'),
    "test/unknown-object.json": (f"query?q={quote('SELECT Id,Name,BillingCity,IsDeleted FROM Accout')}", None),
    # salesforcepy
    "fixtures/insert_response_201.json": (None, '{"Name": "a"}'),
    "fixtures/update_response_204.json": (None, '{"Name": "b"}'),
    "fixtures/update_response_204_v42.json": (None, '{"Name": "b"}'),
    "fixtures/upsert_non_existing_record_response_201.json": (None, '{"Name": "a"}'),
    "fixtures/jobs_batches_201.json": (None, "Name\nSalesforce.com\nUniversal Containers\n"),
    "fixtures/jobs_update_close_200.json": (None, '{"state": "UploadComplete"}'),
    "fixtures/jobs_create_200.json": (None, '{"object": "Account", "operation": "insert"}'),
    # java-spring-social: the answer is that of the object, not of the record that its mapping names
    "resources/account.json": ("sobjects/Account", None),
    # ruby-restforce
    "sobject/query_empty_response.json": (f"query?q={quote('SELECT Id FROM Account')}", None),
    "sobject/search_error_response.json": ("search?q=FIND", None),
    "sobject/get_deleted_success_response.json": (
        "sobjects/Whizbang/deleted?start=2013-05-05T00:00:00Z&end=2013-05-08T21:20:00Z",
        None,
    ),
    "sobject/get_updated_success_response.json": (
        "sobjects/Whizbang/updated?start=2015-08-05T00:00:00Z&end=2015-08-19T08:17:00Z",
        None,
    ),
}


def completed(one: Interaction) -> Interaction:
    """The interaction with a whole request, where its answer tells enough; else itself."""
    found = next((request for end, request in _REQUESTS.items() if one.source.endswith(end)), None)
    if found is not None:
        return _with(one, *found)
    if one.method == "GET" and one.status == 200:
        if isinstance(answer := one.answered(), dict) and "debug" in answer:
            return _noted(one, answer)
        path = _query(one) if _PLACEHOLDER.search(one.path) else _record(one)
        if path is not None:
            return _with(one, path, one.body)
    return one


def _with(one: Interaction, path: str | None, body: str | None) -> Interaction:
    version = one.path.split("/")[3]
    whole = one.path if path is None else f"/services/data/{version}/{path}"
    return replace(one, path=whole, body=body if body is not None else one.body, completed=True)


def _noted(one: Interaction, answer: dict[str, Any]) -> Interaction:
    """With the query that stands in the answer, where its author put it; without this member."""
    kept = json.dumps({name: value for name, value in answer.items() if name != "debug"})
    if "nextRecordsUrl" in answer:
        return one  # cut to one page by hand
    return replace(_with(one, f"query?q={quote(answer['debug'])}", None), answer=kept)


def _record(one: Interaction) -> str | None:
    """The record that was read, with the fields that the answer shows: other editions have others."""
    if "{id}" not in one.path and one.file not in _FIELDS_UNKNOWN:
        return None
    record = one.answered()
    url = _URL.fullmatch(str(record.get("attributes", {}).get("url"))) if isinstance(record, dict) else None
    if url is None or id18(url[2]) is None:
        return None
    return f"sobjects/{url[1]}/{url[2]}?fields={','.join(_selected([record]))}"


def _query(one: Interaction) -> str | None:
    """A query for the fields that the records of the answer show, and for these records where not all are shown."""
    answer = one.answered()
    records = answer.get("records") if isinstance(answer, dict) else None
    # A locator behind the last page tells of an answer edited by hand.
    if not records or ("nextRecordsUrl" in answer) is answer["done"]:
        return None
    kind = records[0]["attributes"]["type"]
    fields = _selected(records)
    if kind == "AggregateResult" or not fields:
        return None
    ids = [url[2] for one in records if (url := _URL.fullmatch(str(one["attributes"].get("url")))) is not None]
    if len({id18(one) for one in ids} - {None}) != len(records):
        return None  # made-up ids
    text = f"SELECT {', '.join(fields)} FROM {kind}"
    if answer["done"]:
        if len(records) != answer["totalSize"]:
            return None
        among = ", ".join(f"'{one}'" for one in ids)
        text += f" WHERE Id IN ({among})"
    return f"query?q={quote(text)}"


def _selected(records: list[dict[str, Any]]) -> list[str]:
    """The select list that makes the members of the records, in their order."""
    fields: list[str] = []
    for name in records[0]:
        if name == "attributes":
            continue
        shown = [record[name] for record in records if record.get(name) is not None]
        within = [one for one in shown if isinstance(one, dict)]
        children = [child for one in within for child in one.get("records", [])]
        if children:
            fields.append(f"(SELECT {', '.join(_selected(children))} FROM {name})")
        elif within and "attributes" in within[0]:
            fields += [f"{name}.{inner}" for inner in _selected(within)]
        else:
            fields.append(name)
    return fields

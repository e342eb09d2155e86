"""Whatever is sent to Bulk API 1.0, the answer is one of the service and no batch breaks inside."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.localorg.bulk1_org import TYPES, Bulk1Org, bulk1_org

CONTENT_TYPES = st.sampled_from(
    ["", "text/csv; charset=utf-16", "application/json", "text/xml", ";;", "text/csv; charset"]
)
CSV = st.text(st.sampled_from('Name,Ext__c\n\r"#N/A;\x00é ')).map(str.encode)
JSON = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(), st.floats(), st.text(max_size=4)),
    lambda inner: (
        st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(["Name", "Id", "Parent__r", "x"]), inner)
    ),
)
TAGS = [
    "<Name>",
    "</Name>",
    "<Name/>",
    "<Parent__r>",
    "</Parent__r>",
    "<sObject>",
    "</sObject>",
    "a",
    "&amp;",
    "&",
    "\x00",
]
XML = st.lists(st.sampled_from(TAGS), max_size=8).map(lambda words: "".join(words).encode())


@pytest.fixture(scope="module")
def org() -> Iterator[Bulk1Org]:
    with bulk1_org() as org:
        yield org


@settings(max_examples=40)
@given(
    path=st.sampled_from(["job", "job/750", "job/{job}", "job/{job}/spec", "job/{job}/batch"]),
    body=st.binary(max_size=40) | CSV | XML | JSON.map(lambda value: repr(value).encode()),
    content_type=CONTENT_TYPES,
)
def test_no_body_breaks_the_service(org: Bulk1Org, path: str, body: bytes, content_type: str) -> None:
    org.create("insert")
    answer = org.post(path.format(job=org.job_id), body, content_type)
    assert answer.status_code in (200, 201, 400)
    for batch in org.wait():
        assert not (batch.message or "").startswith("InternalServerError"), batch.message


@settings(max_examples=40)
@given(
    operation=st.sampled_from(["insert", "update", "delete", "upsert", "query"]),
    content=st.one_of(
        st.tuples(st.just("CSV"), CSV | st.binary(max_size=40)),
        st.tuples(st.just("JSON"), JSON.map(lambda value: json.dumps([value]).encode())),
        st.tuples(st.just("XML"), XML.map(lambda inner: b"<sObjects><sObject>" + inner + b"</sObject></sObjects>")),
    ),
)
def test_no_batch_breaks_inside(org: Bulk1Org, operation: str, content: tuple[str, bytes]) -> None:
    more = {"externalIdFieldName": "Ext__c"} if operation == "upsert" else {}
    org.create(operation, content_type=content[0], **more)
    org.add(content[1], TYPES[content[0]])
    for batch in org.wait():
        assert not (batch.message or "").startswith("InternalServerError"), batch.message

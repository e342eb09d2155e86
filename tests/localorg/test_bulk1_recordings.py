"""Recorded traffic of Bulk API 1.0 sent again: the org's documents have the recorded shape."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from xml.etree import ElementTree as ET

import pytest

from tests.localorg.bulk1_org import Bulk1Org, bulk1_org, xml_of

Exchange = dict[str, Any]


@pytest.fixture(scope="module")
def recorded(reference: Callable[[str], Path]) -> list[Exchange]:
    """All exchanges of Bulk API 1.0, in their order."""
    traffic = reference("recordings/traffic")
    texts = [(traffic / f"{name}.jsonl").read_text("utf-8") for name in ("cumulusci", "ruby-salesforce_bulk-v1")]
    found = [json.loads(line) for text in texts for line in text.splitlines()]
    return [one for one in found if "/services/async/" in one["request"]["path"]]


@pytest.fixture(scope="module")
def org() -> Iterator[Bulk1Org]:
    with bulk1_org() as org:
        org.org.deploy([{"name": "VideoEvent__c", "fields": [{"name": "Id__c", "type": "double", "externalId": True}]}])
        yield org


def shape(text: str) -> list[tuple[int, str]]:
    """Names and depths of the elements, without what a document may leave out."""

    def walk(element: ET.Element, depth: int) -> Iterator[tuple[int, str]]:
        yield depth, element.tag
        for one in element:
            yield from walk(one, depth + 1)

    # A completed batch with the message "Success" is of 2012, later ones have none.
    return [pair for pair in walk(xml_of(text), 0) if not pair[1].endswith("stateMessage")]


def bare(text: str) -> str:
    """A document without its values: the layout to the blank."""
    return re.sub(r">[^<\n]+<", "><", text)


def test_job_and_batch_documents_have_the_recorded_layout(recorded: list[Exchange], org: Bulk1Org) -> None:
    compared = 0
    for exchange in recorded:
        path, body = exchange["request"]["path"], exchange["request"]["body"]
        told = exchange["response"]["body"]
        if exchange["request"]["method"] != "POST" or not path.endswith("/job") or not body:
            continue
        answer = org.post("job", body)
        assert answer.status_code == 201
        job_id = xml_of(answer.text)[0].text
        assert bare(answer.text) == bare(told)
        assert xml_of(answer.text)[1].text == xml_of(told)[1].text
        listed = org.http.get(f"job/{job_id}/batch")
        closed = org.post(f"job/{job_id}", '<jobInfo xmlns="x"><state>Closed</state></jobInfo>')
        assert (listed.status_code, closed.status_code) == (200, 200)
        compared += 1
    assert compared == 14


def test_documents_without_a_recorded_request_have_the_recorded_elements(
    recorded: list[Exchange], org: Bulk1Org
) -> None:
    org.create("upsert", "VideoEvent__c", externalIdFieldName="Id__c")
    added = org.add("Id__c\n1\n").text
    org.wait()
    info = org.http.get(f"job/{org.job_id}/batch/{org.batch_id}").text
    org.run("Id__c\n2\n")
    ours = {
        "jobInfo": org.http.get(f"job/{org.job_id}").text,
        "batchInfo": added,
        "batchInfoList": org.http.get(f"job/{org.job_id}/batch").text,
        "error": org.http.get("job/bad").text,
    }
    assert shape(info) == shape(added)
    compared = set()
    for exchange in recorded:
        told = exchange["response"]["body"]
        if exchange["source"].startswith("javierjulio") and told.startswith("<?xml"):
            root = xml_of(told).tag.rpartition("}")[2]
            if root in ours:
                compared.add(root)
                assert shape(ours[root]) == shape(told), exchange["source"]
    assert compared == {"jobInfo", "batchInfo", "batchInfoList", "error"}


def loads(recorded: list[Exchange]) -> Iterator[tuple[str, str, str, str]]:
    """Source, job document, rows and results of the loads whose rows name no record of the recorded org."""
    job = rows = ""
    for exchange in recorded:
        path, body = exchange["request"]["path"], exchange["request"]["body"] or ""
        if path.endswith("/job"):
            job = body
        elif path.endswith("/batch") and body:
            rows = body
        elif path.endswith("/result") and "<operation>query" not in job and rows and "003P000" not in rows:
            yield exchange["source"], job, rows, exchange["response"]["body"]
            rows = ""


def test_recorded_loads_give_the_recorded_results(recorded: list[Exchange], org: Bulk1Org) -> None:
    source, compared = "", 0
    for of, job, rows, told in loads(recorded):
        if of != source:
            org.org.reset()
        source = of
        org.job_id = xml_of(org.post("job", job).text)[0].text or ""
        assert org.run(rows, "text/csv").state == "Completed"
        # Ids are those of another org, but of the same objects.
        ours, theirs = (re.sub(r'(?m)^"(\w{3})\w{15}"', r'"\1"', text) for text in (org.result().text, told))
        assert ours == theirs, of
        compared += 1
    assert compared == 5

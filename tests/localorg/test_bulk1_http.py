"""Bulk API 1.0 on the wire: its documents in both formats, its errors, and the liberties that clients take."""

from __future__ import annotations

import gzip
import re
from collections.abc import Iterator

import httpx
import pytest

from tests.localorg.bulk1_org import NAMESPACE, NOON, Bulk1Org, bulk1_org, error_of, members_of

PROLOG = '<?xml version="1.0" encoding="UTF-8"?>'
CSV = "Name\nA\n"


@pytest.fixture(scope="module")
def shared() -> Iterator[Bulk1Org]:
    with bulk1_org() as org:
        yield org


@pytest.fixture
def org(shared: Bulk1Org) -> Iterator[Bulk1Org]:
    yield shared
    shared.org.reset()


def normal(text: str) -> str:
    """The text with ids, moments and durations of a kind."""
    text = re.sub(r"\b(005|750|751)[A-Za-z0-9]{15}\b", r"\1", text)
    text = re.sub(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d\.000(Z|\+0000)", r"moment\1", text)
    return re.sub(r"(ProcessingTime(?:>|\":))\d+", r"\g<1>0", text)


JOB = f"""{PROLOG}<jobInfo
   xmlns="{NAMESPACE}">
 <id>750</id>
 <operation>upsert</operation>
 <object>Widget__c</object>
 <createdById>005</createdById>
 <createdDate>momentZ</createdDate>
 <systemModstamp>momentZ</systemModstamp>
 <state>Open</state>
 <externalIdFieldName>Ext__c</externalIdFieldName>
 <concurrencyMode>Serial</concurrencyMode>
 <contentType>CSV</contentType>
 <numberBatchesQueued>0</numberBatchesQueued>
 <numberBatchesInProgress>0</numberBatchesInProgress>
 <numberBatchesCompleted>0</numberBatchesCompleted>
 <numberBatchesFailed>0</numberBatchesFailed>
 <numberBatchesTotal>0</numberBatchesTotal>
 <numberRecordsProcessed>0</numberRecordsProcessed>
 <numberRetries>0</numberRetries>
 <apiVersion>62.0</apiVersion>
 <assignmentRuleId>01Q000000000001AAA</assignmentRuleId>
 <numberRecordsFailed>0</numberRecordsFailed>
 <totalProcessingTime>0</totalProcessingTime>
 <apiActiveProcessingTime>0</apiActiveProcessingTime>
 <apexProcessingTime>0</apexProcessingTime>
</jobInfo>"""


def test_a_job_document_in_xml_has_the_recorded_layout(org: Bulk1Org) -> None:
    more = {"externalIdFieldName": "ext__C", "concurrencyMode": "Serial", "assignmentRuleId": "01Q000000000001AAA"}
    created = org.create("upsert", "widget__C", **more)
    assert (created.status_code, created.headers["Content-Type"]) == (201, "application/xml")
    assert normal(created.text) == JOB
    assert org.http.get(f"job/{org.job_id}").text == created.text
    assert org.http.get(f"job/{org.job_id[:15]}/").text == created.text  # a short id, and a slash at the end
    closed = org.close_job()
    assert (closed.status_code, normal(closed.text)) == (200, JOB.replace("Open", "Closed"))


def test_a_job_document_in_json_has_its_members_in_order(org: Bulk1Org) -> None:
    wanted = {"operation": "insert", "object": "Widget__c", "concurrencyMode": 1, "contentType": "JSON"}
    created = org.http.post("job", json=wanted)
    assert (created.status_code, created.headers["Content-Type"]) == (201, "application/json")
    expected = (
        '{"apexProcessingTime":0,"apiActiveProcessingTime":0,"apiVersion":62.0,"assignmentRuleId":null,'
        '"concurrencyMode":"Serial","contentType":"JSON","createdById":"005","createdDate":"moment+0000",'
        '"externalIdFieldName":null,"fastPathEnabled":false,"id":"750","numberBatchesCompleted":0,'
        '"numberBatchesFailed":0,"numberBatchesInProgress":0,"numberBatchesQueued":0,"numberBatchesTotal":0,'
        '"numberRecordsFailed":0,"numberRecordsProcessed":0,"numberRetries":0,"object":"Widget__c",'
        '"operation":"insert","state":"Open","systemModstamp":"moment+0000","totalProcessingTime":0}'
    )
    assert normal(created.text) == expected
    job = created.json()["id"]
    assert normal(org.http.get(f"job/{job}", headers={"X-PrettyPrint": "1"}).text).startswith(
        '{\n  "apexProcessingTime" : 0,'
    )
    closed = org.http.post(f"job/{job}", json={"state": "Closed"})
    assert normal(closed.text) == expected.replace("Open", "Closed")


def test_a_batch_and_the_list_of_batches_have_the_recorded_layout(org: Bulk1Org) -> None:
    org.create("insert")
    empty = org.http.get(f"job/{org.job_id}/batch")
    assert empty.text == f'{PROLOG}<batchInfoList\n   xmlns="{NAMESPACE}" />'
    added = org.add(CSV)
    assert (added.status_code, added.headers["Content-Type"]) == (201, "application/xml")
    assert added.headers["Location"] == f"/services/async/62.0/job/{org.job_id}/batch/{members_of(added)['id']}"
    assert (
        normal(added.text)
        == f"""{PROLOG}<batchInfo
   xmlns="{NAMESPACE}">
 <id>751</id>
 <jobId>750</jobId>
 <state>Queued</state>
 <createdDate>momentZ</createdDate>
 <systemModstamp>momentZ</systemModstamp>
 <numberRecordsProcessed>0</numberRecordsProcessed>
 <numberRecordsFailed>0</numberRecordsFailed>
 <totalProcessingTime>0</totalProcessingTime>
 <apiActiveProcessingTime>0</apiActiveProcessingTime>
 <apexProcessingTime>0</apexProcessingTime>
</batchInfo>"""
    )
    org.run("Nonsense__c\nA\n")
    assert (
        normal(org.http.get(f"job/{org.job_id}/batch").text)
        == f"""{PROLOG}<batchInfoList
   xmlns="{NAMESPACE}">
 <batchInfo>
  <id>751</id>
  <jobId>750</jobId>
  <state>Completed</state>
  <createdDate>momentZ</createdDate>
  <systemModstamp>momentZ</systemModstamp>
  <numberRecordsProcessed>1</numberRecordsProcessed>
  <numberRecordsFailed>0</numberRecordsFailed>
  <totalProcessingTime>0</totalProcessingTime>
  <apiActiveProcessingTime>0</apiActiveProcessingTime>
  <apexProcessingTime>0</apexProcessingTime>
 </batchInfo>
 <batchInfo>
  <id>751</id>
  <jobId>750</jobId>
  <state>Failed</state>
  <stateMessage>InvalidBatch : Field name not found : Nonsense__c</stateMessage>
  <createdDate>momentZ</createdDate>
  <systemModstamp>momentZ</systemModstamp>
  <numberRecordsProcessed>0</numberRecordsProcessed>
  <numberRecordsFailed>0</numberRecordsFailed>
  <totalProcessingTime>0</totalProcessingTime>
  <apiActiveProcessingTime>0</apiActiveProcessingTime>
  <apexProcessingTime>0</apexProcessingTime>
 </batchInfo>
</batchInfoList>"""
    )


def test_a_json_job_answers_in_json_even_where_it_was_created_in_xml(org: Bulk1Org) -> None:
    assert org.create("insert", content_type="JSON").headers["Content-Type"] == "application/xml"
    added = org.add('[{"Name":"A"}]', "application/json; charset=UTF-8")
    assert normal(added.text) == (
        '{"apexProcessingTime":0,"apiActiveProcessingTime":0,"createdDate":"moment+0000","id":"751","jobId":"750",'
        '"numberRecordsFailed":0,"numberRecordsProcessed":0,"state":"Queued","stateMessage":null,'
        '"systemModstamp":"moment+0000","totalProcessingTime":0}'
    )
    org.wait()
    listed = org.http.get(f"job/{org.job_id}/batch", headers={"Content-Type": "application/xml"})
    assert [one["state"] for one in listed.json()["batchInfo"]] == ["Completed"]
    assert org.result().headers["Content-Type"] == "application/json"
    assert org.http.get(f"job/{org.job_id}").json()["numberBatchesCompleted"] == 1
    # salesforce-bulk reads job documents as XML, whatever the job is.
    asked_in_xml = org.http.get(f"job/{org.job_id}", headers={"Content-Type": "application/xml; charset=UTF-8"})
    assert members_of(asked_in_xml)["numberRecordsProcessed"] == "1"


def test_the_format_of_an_error_is_that_of_the_request(org: Bulk1Org) -> None:
    asked = org.http.get("job/750000000000000AAA")
    assert (asked.status_code, asked.headers["Content-Type"]) == (400, "application/xml")
    assert asked.text == (
        f'{PROLOG}<error\n   xmlns="{NAMESPACE}">\n <exceptionCode>InvalidJob</exceptionCode>\n'
        " <exceptionMessage>Invalid job id: 750000000000000AAA</exceptionMessage>\n</error>"
    )
    asked = org.http.get("job/750000000000000AAA", headers={"Content-Type": "application/json"})
    assert (asked.status_code, asked.headers["Content-Type"]) == (400, "application/json")
    assert asked.text == '{"exceptionCode":"InvalidJob","exceptionMessage":"Invalid job id: 750000000000000AAA"}'


@pytest.mark.parametrize("name", ["X-SFDC-Session", "x-sfdc-SESSION"])
def test_the_session_comes_in_its_own_header_in_any_case(org: Bulk1Org, name: str) -> None:
    path = f"{org.org.url}/services/async/62.0/job/750000000000000AAA"
    assert error_of(httpx.get(path)) == (400, "InvalidSessionId", "Unable to find session id")
    assert error_of(httpx.get(path, headers={name: "nobody"})) == (400, "InvalidSessionId", "Invalid session id")
    known = httpx.get(path, headers={name: org.org.credentials.access_token})
    assert error_of(known) == (400, "InvalidJob", "Invalid job id: 750000000000000AAA")
    bearer = httpx.get(path, headers={"Authorization": f"Bearer {org.org.credentials.access_token}"})
    assert error_of(bearer) == error_of(known)


def test_retired_and_unknown_versions_are_refused(org: Bulk1Org) -> None:
    for version in ("24.0", "v62.0", "99.0", "x"):
        answer = org.http.get(f"{org.org.url}/services/async/{version}/job")
        assert error_of(answer)[:2] == (400, "InvalidVersion")


def test_paths_that_are_none_of_the_api_are_refused(org: Bulk1Org) -> None:
    assert error_of(org.http.get("job")) == (400, "InvalidUrl", "Create Job must be a POST request")
    for method, path in (
        ("GET", "jobs"),
        ("DELETE", "job/x"),
        ("PUT", "job/x/batch"),
        ("GET", "job/a/b/c/d"),
    ):
        assert error_of(org.http.request(method, path))[:2] == (400, "InvalidOperation")


def test_slashes_may_be_doubled_and_bodies_compressed_or_chunked(org: Bulk1Org) -> None:
    base = f"{org.org.url}//services/async//62.0"
    document = f'\n  <jobInfo xmlns="{NAMESPACE}"><operation>insert</operation><object>Widget__c</object>'
    document += "<contentType>CSV</contentType></jobInfo>"
    headers = {"Content-Type": "application/xml", "Content-Encoding": "gzip"}
    created = org.http.post(f"{base}/job/", content=gzip.compress(document.encode()), headers=headers)
    org.job_id = members_of(created)["id"] or ""

    def lines() -> Iterator[bytes]:
        yield b"Name,Ext__c\r\n"
        yield b"A,1\r\n"

    added = org.http.post(f"{base}/job/{org.job_id}/batch/", content=lines(), headers={"Content-Type": "text/csv"})
    assert "content-length" not in added.request.headers
    org.batch_id = members_of(added)["id"] or ""
    org.wait()
    assert org.rows("Name", "Ext__c") == [("A", "1")]
    request = org.http.get(f"{base}/job/{org.job_id}/batch/{org.batch_id}/request")
    assert (request.headers["Content-Type"], request.content) == ("text/csv", b"Name,Ext__c\r\nA,1\r\n")


@pytest.mark.parametrize(
    ("members", "code", "message"),
    [
        ({"object": "Video__c"}, "InvalidJob", "Unable to find object: Video__c"),
        ({"operation": "INSERT"}, "InvalidJob", None),
        ({"operation": None}, "InvalidJob", None),
        (
            {"contentType": "ZIP_CSV", "operation": "query"},
            "InvalidJob",
            "The content type ZIP_CSV is not for queries",
        ),
        ({"concurrencyMode": "Fast"}, "InvalidJob", None),
        ({"concurrencyMode": True}, "InvalidJob", None),
        ({"createdById": "005000000000001AAA"}, "InvalidJob", "CreatedById cannot be specified"),
        ({"externalIdFieldName": "Ext__c"}, "InvalidJob", "ExternalIdFieldName cannot be specified"),
        ({"operation": "upsert"}, "InvalidJob", None),
        ({"operation": "upsert", "externalIdFieldName": "Text__c"}, "InvalidJob", None),
        ({"state": "Closed"}, "InvalidJobState", "A new job cannot be Closed"),
    ],
)
def test_jobs_that_cannot_be_are_refused(
    org: Bulk1Org, members: dict[str, object], code: str, message: str | None
) -> None:
    wanted = {"operation": "insert", "object": "Widget__c", "contentType": "JSON"} | members
    refused = error_of(org.http.post("job", json=wanted))
    assert refused[:2] == (400, code)
    assert message is None or refused[2] == message


@pytest.mark.parametrize(
    ("body", "content_type", "code"),
    [
        ("{", "application/json", "InvalidJob"),
        ("[1]", "application/json", "InvalidJob"),
        ("[" * 50_000, "application/json", "InvalidJob"),
        ("", "application/json", "InvalidJob"),
        ("", "application/xml", "InvalidXML"),
        ("<jobInfo>", "application/xml", "InvalidXML"),
        ("<other/>", "application/xml", "InvalidXML"),
        ("\x00", "application/xml", "InvalidXML"),
        ('<!DOCTYPE a [<!ENTITY b "c">]><jobInfo>&b;</jobInfo>', "application/xml", "InvalidXML"),
        ("<jobInfo/>", "text/cs; charset=UTF-8", "UnsupportedContentType"),
        ("x" * 10_000_001, "application/xml", "ClientInputError"),
    ],
)
def test_bodies_that_are_no_job_are_refused(org: Bulk1Org, body: str, content_type: str, code: str) -> None:
    assert error_of(org.post("job", body, content_type))[:2] == (400, code)


def test_the_words_for_an_unknown_content_type_are_the_recorded_ones(org: Bulk1Org) -> None:
    refused = error_of(org.post("job", "<jobInfo/>", "text/cs; charset=UTF-8"))
    assert refused == (400, "UnsupportedContentType", "Unsupported content type: text/cs; charset=UTF-8")


def test_a_job_is_closed_once(org: Bulk1Org) -> None:
    org.create("insert")
    assert org.close_job().status_code == 200
    assert error_of(org.close_job()) == (400, "InvalidJobState", "Closing already closed Job not allowed")
    assert error_of(org.close_job("Aborted")) == (400, "InvalidJobState", "Aborting already Closed Job not allowed")
    assert error_of(org.add(CSV)) == (400, "InvalidJobState", "Adding a batch to an already Closed Job not allowed")
    org.create("insert")
    assert error_of(org.close_job("Open"))[:2] == (400, "InvalidJobState")
    more = f'<jobInfo xmlns="{NAMESPACE}"><state>Closed</state><operation>insert</operation></jobInfo>'
    assert error_of(org.post(f"job/{org.job_id}", more)) == (400, "InvalidJob", "Operation cannot be specified")
    named = f'<jobInfo xmlns="{NAMESPACE}"><id>{org.job_id}</id><state>Closed</state></jobInfo>'
    assert members_of(org.post(f"job/{org.job_id}", named, "text/csv"))["state"] == "Closed"


def test_batches_that_cannot_be_are_refused(org: Bulk1Org) -> None:
    org.create("insert")
    assert error_of(org.add(" \n"))[:2] == (400, "InvalidBatch")
    assert error_of(org.add("[]", "application/json"))[:2] == (400, "InvalidBatch")
    for charset in ("klingon", "base64", "idna"):
        assert error_of(org.add(CSV, f"text/csv; charset={charset}"))[:2] == (400, "UnsupportedContentType")
    too_much = error_of(org.add("Name\n" + "x" * 10_000_000))
    assert too_much == (400, "ClientInputError", "Failed to read request. Exceeded max size limit of 10000000")
    other = org.http.post(f"{org.org.url}/services/async/61.0/job/{org.job_id}/batch", content=CSV)
    assert error_of(other)[:2] == (400, "InvalidVersion")
    assert error_of(org.http.get(f"job/{org.job_id}/batch/bad")) == (400, "InvalidBatch", "Invalid batch id: bad")
    assert org.wait() == []
    org.run(CSV)
    before = org.job_id, org.batch_id
    org.create("insert")
    assert error_of(org.http.get(f"job/{org.job_id}/batch/{before[1]}"))[:2] == (400, "InvalidBatch")


def test_each_call_counts_as_an_api_call() -> None:
    with bulk1_org(daily_api_requests=2) as org:
        org.org.clock.set(NOON)
        org.create("insert")
        org.http.get(f"job/{org.job_id}")
        assert error_of(org.http.get(f"job/{org.job_id}")) == (400, "ExceededQuota", "TotalRequests Limit exceeded.")

"""Golden exchanges with the Bulk API 1.0, in both directions, and the recorded ones."""

import json
from collections import Counter
from pathlib import Path

import pytest

from sfframe.errors import ApiError, UsageError
from sfframe.protocol import bulk1
from sfframe.protocol.bulk1 import BatchInfo, JobInfo, PkChunking
from sfframe.protocol.call import Reply
from sfframe.protocol.error_body import answer, error_for

JOB, BATCH, RESULT = "750AB00000XyZ01YAF", "751AB00000XyZ02YAG", "752AB00000XyZ03"
XMLNS = 'xmlns="http://www.force.com/2009/06/asyncapi/dataload"'
JOB_XML = f"""<?xml version="1.0" encoding="UTF-8"?><jobInfo
   {XMLNS}>
 <id>{JOB}</id>
 <operation>upsert</operation>
 <object>Widget__c</object>
 <createdById>005AB00000QrS02YAD</createdById>
 <createdDate>2026-03-04T05:06:07.000Z</createdDate>
 <systemModstamp>2026-03-04T05:06:31.000Z</systemModstamp>
 <state>Closed</state>
 <externalIdFieldName>Ext_Key__c</externalIdFieldName>
 <concurrencyMode>Serial</concurrencyMode>
 <contentType>CSV</contentType>
 <numberBatchesQueued>1</numberBatchesQueued>
 <numberBatchesInProgress>2</numberBatchesInProgress>
 <numberBatchesCompleted>3</numberBatchesCompleted>
 <numberBatchesFailed>4</numberBatchesFailed>
 <numberBatchesTotal>10</numberBatchesTotal>
 <numberRecordsProcessed>12000</numberRecordsProcessed>
 <numberRetries>5</numberRetries>
 <apiVersion>66.0</apiVersion>
 <assignmentRuleId>01QAB000000abcdEFG</assignmentRuleId>
 <numberRecordsFailed>37</numberRecordsFailed>
 <totalProcessingTime>9120</totalProcessingTime>
 <apiActiveProcessingTime>8011</apiActiveProcessingTime>
 <apexProcessingTime>4</apexProcessingTime>
</jobInfo>"""
BATCH_MEMBERS = f"""<id>{BATCH}</id>
 <jobId>{JOB}</jobId>
 <state>Failed</state>
 <stateMessage>InvalidBatch : Field name not found : Colour &amp; Co__c</stateMessage>
 <createdDate>2026-03-04T05:06:08.000Z</createdDate>
 <systemModstamp>2026-03-04T05:06:09.000Z</systemModstamp>
 <numberRecordsProcessed>200</numberRecordsProcessed>
 <numberRecordsFailed>3</numberRecordsFailed>
 <totalProcessingTime>72</totalProcessingTime>
 <apiActiveProcessingTime>28</apiActiveProcessingTime>
 <apexProcessingTime>0</apexProcessingTime>"""
BATCH_INFO = BatchInfo(
    id=BATCH,
    job_id=JOB,
    state="Failed",
    state_message="InvalidBatch : Field name not found : Colour & Co__c",
    created_date="2026-03-04T05:06:08.000Z",
    system_modstamp="2026-03-04T05:06:09.000Z",
    records_processed=200,
    records_failed=3,
    total_processing_time=72,
    api_active_processing_time=28,
    apex_processing_time=0,
)


def xml(text: str) -> Reply:
    return Reply(200, {"content-type": "application/xml"}, text.encode())


def test_a_job_is_made_by_an_xml_document_in_the_schemas_order():
    call = bulk1.create(
        "Lead", "upsert", external_id_field="A&B__c", serial=True, assignment_rule_id="01QAB000000abcdEFG"
    )
    assert (call.method, call.path, call.service, call.repeatable) == ("POST", "job", "async", True)
    assert dict(call.headers) == {"Content-Type": "application/xml; charset=UTF-8"}
    assert (
        call.body
        == (
            f'<?xml version="1.0" encoding="UTF-8"?><jobInfo {XMLNS}><operation>upsert</operation><object>Lead</object>'
            "<externalIdFieldName>A&amp;B__c</externalIdFieldName><concurrencyMode>Serial</concurrencyMode>"
            "<assignmentRuleId>01QAB000000abcdEFG</assignmentRuleId><contentType>CSV</contentType></jobInfo>"
        ).encode()
    )


def test_a_plain_job_names_only_what_it_must():
    call = bulk1.create("Account", "insert")
    assert (
        call.body
        == (
            f'<?xml version="1.0" encoding="UTF-8"?><jobInfo {XMLNS}><operation>insert</operation>'
            "<object>Account</object><concurrencyMode>Parallel</concurrencyMode><contentType>CSV</contentType></jobInfo>"
        ).encode()
    )


@pytest.mark.parametrize(
    ("chunking", "header"),
    [
        (PkChunking(), "chunkSize=100000"),
        (
            PkChunking(250_000, "Account", "001AB00000XyZ01"),
            "chunkSize=250000; parent=Account; startRow=001AB00000XyZ01",
        ),
    ],
)
def test_a_query_job_may_be_split_by_ids(chunking, header):
    call = bulk1.create("Account", "queryAll", pk_chunking=chunking)
    assert call.headers["Sforce-Enable-PKChunking"] == header


@pytest.mark.parametrize("rows", [0, 250_001])
def test_a_chunk_that_the_org_does_not_make_is_refused(rows):
    with pytest.raises(UsageError, match="chunk of"):
        PkChunking(rows)


def test_a_job_is_read_with_all_its_counters():
    assert bulk1.info(JOB).read(xml(JOB_XML)) == JobInfo(
        id=JOB,
        state="Closed",
        operation="upsert",
        object="Widget__c",
        created_by_id="005AB00000QrS02YAD",
        created_date="2026-03-04T05:06:07.000Z",
        system_modstamp="2026-03-04T05:06:31.000Z",
        external_id_field="Ext_Key__c",
        assignment_rule_id="01QAB000000abcdEFG",
        concurrency_mode="Serial",
        content_type="CSV",
        api_version=66.0,
        batches_queued=1,
        batches_in_progress=2,
        batches_completed=3,
        batches_failed=4,
        batches_total=10,
        records_processed=12000,
        records_failed=37,
        retries=5,
        total_processing_time=9120,
        api_active_processing_time=8011,
        apex_processing_time=4,
    )


def test_a_job_of_json_is_read_from_json():
    body = {"id": JOB, "state": "Open", "apiVersion": 36.0, "assignmentRuleId": None, "numberBatchesTotal": 0}
    found = bulk1.info(JOB).read(Reply(200, {}, json.dumps(body).encode()))
    assert found == JobInfo(id=JOB, state="Open", api_version=36.0, batches_total=0)


def test_close_and_abort_say_only_the_state_and_are_never_sent_twice():
    calls = (bulk1.close(JOB), bulk1.abort(JOB))
    bodies = [
        f'<?xml version="1.0" encoding="UTF-8"?><jobInfo {XMLNS}><state>{state}</state></jobInfo>'.encode()
        for state in ("Closed", "Aborted")
    ]
    assert [call.body for call in calls] == bodies
    assert {(call.method, call.path, call.repeatable, call.service) for call in calls} == {
        ("POST", f"job/{JOB}", False, "async")
    }


@pytest.mark.parametrize("rows", [b"Name\na\n", Path("part.csv")])
def test_a_batch_is_sent_as_csv_and_never_twice(rows):
    call = bulk1.add_batch(JOB, rows)
    assert (call.method, call.path, call.body) == ("POST", f"job/{JOB}/batch", rows)
    assert (call.repeatable, call.job_id, call.service) == (False, JOB, "async")
    assert dict(call.headers) == {"Content-Type": "text/csv; charset=UTF-8"}


def test_a_query_is_sent_bare():
    call = bulk1.add_query(JOB, "SELECT Id FROM Account WHERE Name = 'ü & Co'")
    assert call.body == "SELECT Id FROM Account WHERE Name = 'ü & Co'".encode()
    assert (call.path, call.repeatable) == (f"job/{JOB}/batch", False)


def test_a_batch_is_read_with_its_message_and_counters():
    assert bulk1.batch(JOB, BATCH).read(xml(f"<batchInfo {XMLNS}>{BATCH_MEMBERS}</batchInfo>")) == BATCH_INFO


def test_a_list_of_batches_is_read_whether_it_has_none_one_or_several():
    empty = f'<?xml version="1.0" encoding="UTF-8"?><batchInfoList\n   {XMLNS} />'
    one = f"<batchInfo>{BATCH_MEMBERS}</batchInfo>"
    for count in (0, 1, 3):
        body = f"<batchInfoList {XMLNS}>{one * count}</batchInfoList>" if count else empty
        assert bulk1.batches(JOB).read(xml(body)) == (BATCH_INFO,) * count
    listed = {"batchInfo": [{"id": BATCH, "jobId": JOB, "state": "Queued", "stateMessage": None}]}
    assert bulk1.batches(JOB).read(Reply(200, {}, json.dumps(listed).encode())) == (BatchInfo(BATCH, JOB, "Queued"),)


@pytest.mark.parametrize("spelling", ["NotProcessed", "Not Processed", "NOT_PROCESSED"])
def test_a_batch_that_was_not_processed_is_told_in_one_spelling(spelling):
    body = f"<batchInfo {XMLNS}><id>{BATCH}</id><state>{spelling}</state></batchInfo>"
    assert bulk1.batch(JOB, BATCH).read(xml(body)).state == "NotProcessed"


def test_request_and_results_are_asked_at_their_places():
    calls = [
        bulk1.batches(JOB), bulk1.batch(JOB, BATCH), bulk1.batch_request(JOB, BATCH), bulk1.batch_result(JOB, BATCH),
        bulk1.query_result_ids(JOB, BATCH), bulk1.query_result(JOB, BATCH, RESULT),
    ]  # fmt: skip
    of_batch = f"job/{JOB}/batch/{BATCH}"
    assert [call.path for call in calls] == [
        f"job/{JOB}/batch", of_batch, f"{of_batch}/request", f"{of_batch}/result", f"{of_batch}/result",
        f"{of_batch}/result/{RESULT}",
    ]  # fmt: skip
    assert {(call.method, call.repeatable, call.service, call.job_id) for call in calls} == {
        ("GET", True, "async", JOB)
    }


@pytest.mark.parametrize("head", ['<?xml version="1.0" encoding="UTF-8"?>', "", "\n"])
def test_the_list_of_result_files_is_read_with_and_without_a_prolog(head):
    body = f"{head}<result-list {XMLNS}><result>{RESULT}</result><result>752AB00000XyZ04</result></result-list>"
    assert bulk1.query_result_ids(JOB, BATCH).read(xml(body)) == (RESULT, "752AB00000XyZ04")
    as_json = Reply(200, {}, json.dumps([RESULT]).encode())
    assert bulk1.query_result_ids(JOB, BATCH).read(as_json) == (RESULT,)


@pytest.mark.parametrize("bad", ["", "751", "751AB00000XyZ02/..", "751AB00000XyZ02?x=1"])
def test_what_is_no_id_never_gets_into_a_path(bad):
    with pytest.raises(UsageError, match="is not the id of a job"):
        bulk1.info(bad)
    with pytest.raises(UsageError, match="is not the id of a batch"):
        bulk1.batch_result(JOB, bad)
    with pytest.raises(UsageError, match="is not the id of a result"):
        bulk1.query_result(JOB, BATCH, bad)


@pytest.mark.parametrize(
    ("body", "what"),
    [
        (b"<html><title>Log in</title></html>", "an element jobInfo was expected, but html came"),
        (b"", "the answer is not XML"),
        (b'<?xml version="1.0" encoding="nonsense"?><jobInfo/>', "the answer is not XML"),
        (b'<!DOCTYPE x [<!ENTITY a "b">]><jobInfo>&a;</jobInfo>', "the answer is XML with a document type"),
        (b"<jobInfo><id>7</id></jobInfo>", "the answer has no state"),
        (b"{}", "the answer has no id"),
    ],
)
def test_what_is_no_job_is_an_error_that_says_so(body, what):
    with pytest.raises(ApiError) as caught:
        answer(bulk1.info(JOB), Reply(200, {}, body))
    assert what in caught.value.what
    assert caught.value.job_id == JOB


def test_an_error_document_with_a_good_status_is_told_in_the_orgs_words():
    body = f"<error {XMLNS}><exceptionCode>InvalidBatch</exceptionCode><exceptionMessage>x</exceptionMessage></error>"
    with pytest.raises(ApiError) as caught:
        answer(bulk1.batch(JOB, BATCH), xml(body))
    assert caught.value.said == "InvalidBatch: x"


# -- recorded traffic -----------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def recorded(reference) -> list[tuple[str, str, Reply]]:
    found = []
    for file in sorted(reference("recordings/traffic").glob("*.jsonl")):
        for line in file.read_text(encoding="utf-8").splitlines():
            entry = json.loads(line)
            path, body = entry["request"]["path"], entry["response"]["body"]
            if "/services/async/" in path:
                raw = body if isinstance(body, str) else json.dumps(body)
                found.append((entry["request"]["method"], path, Reply(entry["response"]["status"], {}, raw.encode())))
    return found


@pytest.mark.slow
def test_recorded_documents_are_read_to_what_they_say(recorded):
    seen: Counter[str] = Counter()
    for method, path, reply in recorded:
        text = reply.body.decode()
        if reply.status >= 400:
            code, message = (text.split(f"<exception{word}>")[1].split("<")[0] for word in ("Code", "Message"))
            assert error_for(bulk1.info(JOB), reply).said == f"{code}: {message}"
            seen["error"] += 1
        elif path.endswith("/job") or path.rpartition("/")[0].endswith("/job"):
            job = bulk1.read_job(reply)
            told = [text.split(f"<{name}>")[1].split("<")[0] for name in ("id", "state", "numberBatchesTotal")]
            assert [job.id, job.state, str(job.batches_total)] == told
            seen[f"{method} job"] += 1
        elif path.endswith("/batch") and method == "GET":
            batches = bulk1.read_batches(reply)
            assert [one.id for one in batches] == [piece.split("<")[0] for piece in text.split("<id>")[1:]]
            assert sum(one.records_processed or 0 for one in batches) == sum(
                int(piece.split("<")[0]) for piece in text.split("<numberRecordsProcessed>")[1:]
            )
            seen["list"] += 1
        elif path.endswith("/batch") or path.rpartition("/")[0].endswith("/batch"):
            batch = bulk1.read_batch(reply)
            assert batch.id in text
            assert batch.state in {"Queued", "Completed"}
            seen["batch"] += 1
        elif "result-list" in text or text.startswith('["752'):
            assert all(one in text and len(one) == 15 for one in bulk1.read_result_ids(reply))
            seen["result list"] += 1
    assert seen == {"error": 4, "POST job": 27, "GET job": 12, "list": 12, "batch": 11, "result list": 2}

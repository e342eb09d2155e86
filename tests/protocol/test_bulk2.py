"""Golden exchanges with the Bulk API 2.0, in both directions."""

import json
from pathlib import Path

import pytest

from sfframe.errors import UsageError
from sfframe.protocol import bulk2_ingest, bulk2_query
from sfframe.protocol.bulk2_job import JobInfo, JobList
from sfframe.protocol.bulk2_query import PageHead, PageLinks
from sfframe.protocol.call import Reply

JOB = "750AB00000XyZ01YAF"
DONE = {
    "id": JOB,
    "operation": "upsert",
    "object": "Widget__c",
    "createdById": "005AB00000QrS02YAD",
    "createdDate": "2026-03-04T05:06:07.000+0000",
    "systemModstamp": "2026-03-04T05:06:31.000+0000",
    "state": "JobComplete",
    "externalIdFieldName": "Ext_Key__c",
    "concurrencyMode": "Parallel",
    "contentType": "CSV",
    "apiVersion": 66.0,
    "jobType": "V2Ingest",
    "lineEnding": "LF",
    "columnDelimiter": "COMMA",
    "numberRecordsProcessed": 12000,
    "numberRecordsFailed": 37,
    "retries": 1,
    "totalProcessingTime": 9120,
    "apiActiveProcessingTime": 8011,
    "apexProcessingTime": 4,
}


def reply(value: object) -> Reply:
    return Reply(200, {}, json.dumps(value).encode())


def test_create_names_object_operation_and_format():
    call = bulk2_ingest.create("Widget__c", "upsert", external_id_field="Ext_Key__c")
    assert (call.method, call.path, call.repeatable) == ("POST", "jobs/ingest", True)
    assert isinstance(call.body, bytes)
    assert json.loads(call.body) == {
        "object": "Widget__c",
        "operation": "upsert",
        "externalIdFieldName": "Ext_Key__c",
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }


def test_upload_streams_a_file_and_is_never_sent_twice():
    call = bulk2_ingest.upload(JOB, Path("part.csv"))
    assert (call.method, call.path, call.body) == ("PUT", f"jobs/ingest/{JOB}/batches", Path("part.csv"))
    assert (call.repeatable, call.job_id) == (False, JOB)
    assert dict(call.headers) == {"Content-Type": "text/csv; charset=UTF-8"}
    assert [call.accepts_status(status) for status in (200, 201, 204, 400)] == [True, True, True, False]


def test_close_may_be_sent_again_only_after_asking_and_abort_at_once():
    close, abort = bulk2_ingest.close(JOB), bulk2_ingest.abort(JOB)
    assert (close.method, close.path, close.body) == ("PATCH", f"jobs/ingest/{JOB}", b'{"state": "UploadComplete"}')
    assert (abort.method, abort.path, abort.body) == ("PATCH", f"jobs/ingest/{JOB}", b'{"state": "Aborted"}')
    assert (close.repeatable, abort.repeatable) == (False, True)


def test_info_reads_all_counters():
    assert bulk2_ingest.info(JOB).read(reply(DONE)) == JobInfo(
        id=JOB,
        state="JobComplete",
        operation="upsert",
        object="Widget__c",
        created_by_id="005AB00000QrS02YAD",
        created_date="2026-03-04T05:06:07.000+0000",
        system_modstamp="2026-03-04T05:06:31.000+0000",
        external_id_field="Ext_Key__c",
        api_version=66.0,
        job_type="V2Ingest",
        content_type="CSV",
        concurrency_mode="Parallel",
        line_ending="LF",
        column_delimiter="COMMA",
        records_processed=12000,
        records_failed=37,
        retries=1,
        total_processing_time=9120,
        api_active_processing_time=8011,
        apex_processing_time=4,
    )


def test_an_open_job_has_counters_only_once_the_upload_has_arrived():
    fresh = bulk2_ingest.info(JOB).read(reply({"id": JOB, "state": "Open"}))
    filled = bulk2_ingest.info(JOB).read(reply({"id": JOB, "state": "Open", "numberRecordsProcessed": 0}))
    assert (fresh.upload_arrived, filled.upload_arrived) == (False, True)
    assert (fresh.records_processed, filled.records_processed) == (None, 0)


def test_a_failed_job_gives_its_reason():
    body = {**DONE, "state": "Failed", "errorMessage": "InvalidBatch : Field name not found : Colour_typo__c"}
    assert bulk2_ingest.info(JOB).read(reply(body)).error_message == body["errorMessage"]


def test_a_list_takes_only_the_locator_of_the_next_page_even_from_the_other_path():
    body = {
        "done": False,
        "records": [DONE, {"id": JOB, "state": "Closed", "jobType": "Classic", "apiVersion": 37}],
        "nextRecordsUrl": "/services/data/v66.0/jobs/ingest?queryLocator=01gAB%2B1-1000",
    }
    found = bulk2_query.list_jobs().read(reply(body))
    assert found.next_locator == "01gAB+1-1000"
    assert [job.job_type for job in found.jobs] == ["V2Ingest", "Classic"]
    assert bulk2_ingest.list_jobs(locator="01gAB+1-1000").query == (
        ("jobType", "V2Ingest"),
        ("queryLocator", "01gAB+1-1000"),
    )


def test_the_last_page_of_a_list_has_no_next():
    assert bulk2_ingest.list_jobs().read(reply({"done": True, "records": [], "nextRecordsUrl": None})) == JobList(
        (), None
    )


def test_a_deleted_job_that_is_gone_already_counts_as_deleted():
    for call in (bulk2_ingest.delete(JOB), bulk2_query.delete(JOB)):
        assert (call.method, call.accepts_status(204), call.accepts_status(404)) == ("DELETE", True, True)


@pytest.mark.parametrize("bad", ["", "750", "750AB00000XyZ01/..", "750AB00000XyZ01?x=1"])
def test_what_is_no_id_never_gets_into_a_path(bad):
    with pytest.raises(UsageError):
        bulk2_ingest.info(bad)
    with pytest.raises(UsageError):
        bulk2_query.results(bad)


def test_result_files_are_asked_by_their_names():
    assert [bulk2_ingest.results(JOB, file).path for file in bulk2_ingest.RESULT_FILES] == [
        f"jobs/ingest/{JOB}/successfulResults",
        f"jobs/ingest/{JOB}/failedResults",
        f"jobs/ingest/{JOB}/unprocessedrecords",
    ]


def test_a_query_job_carries_the_query_and_the_format():
    call = bulk2_query.create("SELECT Id FROM Account", include_deleted=True, column_delimiter="PIPE")
    assert isinstance(call.body, bytes)
    assert json.loads(call.body) == {
        "operation": "queryAll",
        "query": "SELECT Id FROM Account",
        "contentType": "CSV",
        "columnDelimiter": "PIPE",
        "lineEnding": "LF",
    }


def test_a_result_page_is_asked_by_its_locator():
    assert bulk2_query.results(JOB).query == ()
    assert bulk2_query.results(JOB, locator="MDo+", max_records=2).query == (("locator", "MDo+"), ("maxRecords", "2"))


@pytest.mark.parametrize(
    ("headers", "expected"),
    [
        ({"sforce-numberofrecords": "2", "sforce-locator": "MDowUjNY"}, PageHead(2, "MDowUjNY")),
        ({"sforce-numberofrecords": "1", "sforce-locator": "null"}, PageHead(1, None)),
        ({"sforce-numberofrecords": "0", "sforce-locator": ""}, PageHead(0, None)),
        ({}, PageHead(None, None)),
    ],
)
def test_the_text_null_an_empty_locator_and_a_missing_one_all_end(headers, expected):
    assert bulk2_query.read_page_head(headers) == expected


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (
            {
                "resultPages": [
                    {"resultUrl": f"/services/data/v66.0/jobs/query/{JOB}/results?locator=MDo%2BMQ"},
                    {"resultUrl": f"/services/data/v66.0/jobs/query/{JOB}/results?locator=MDo+Mg"},
                ],
                "nextRecordsUrl": f"/services/data/v66.0/jobs/query/{JOB}/resultpages?locator=FFF",
                "done": False,
            },
            PageLinks(("MDo+MQ", "MDo+Mg"), "FFF"),
        ),
        (
            {
                "resultChunks": [{"resultLink": f"/jobs/query/{JOB}/results?locator=AAA"}],
                "nextRecordUrl": f"/jobs/query/{JOB}/resultPages?locator=BBB",
                "done": False,
            },
            PageLinks(("AAA",), "BBB"),
        ),
        ({"resultPages": [], "nextRecordsUrl": None, "done": True}, PageLinks(())),
    ],
)
def test_links_to_pages_come_in_two_shapes(body, expected):
    assert bulk2_query.result_pages(JOB).read(reply(body)) == expected


def test_an_org_that_names_no_pages_ahead_says_so():
    call = bulk2_query.result_pages(JOB, locator="FFF")
    assert (call.path, call.query) == (f"jobs/query/{JOB}/resultPages", (("locator", "FFF"),))
    assert [call.accepts_status(status) for status in (400, 404, 401)] == [True, True, False]
    assert call.read(Reply(404, {}, b"[]")) == PageLinks((), available=False)

"""Handles on jobs and batches of the Bulk API 1.0: all that jsforce's Job and Batch offer, on frames."""

from __future__ import annotations

import io
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, cast

import polars as pl
import pytest

import sfframe as sf
from sfframe.jobs.events import JobEvent
from sfframe.protocol import bulk1
from sfframe.protocol.call import Call, Reply, Streamed
from tests.handles.widgets import ROWS, SOQL, loaded


def test_batches_of_a_bulk_1_job_answer_in_the_order_of_their_rows(local_org, org) -> None:
    local_org.validation_rule("Widget__c", name="Low", when="Amount__c < 0", message="Too low.", field="Amount__c")
    job = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    assert isinstance(job, sf.Bulk1Job)
    assert (job.state, job.info.concurrency_mode) == ("Open", "Parallel")
    rows = pl.DataFrame({"Ext__c": ["a", "b", "c"], "Amount__c": [1.0, -1.0, 3.0]})
    batch = job.create_batch()
    assert (batch.id, batch.state) == ("", "")
    assert batch.execute(rows) is batch
    assert (batch.id[:3], batch.job_id) == ("751", job.id)
    info = batch.poll()
    assert (info.state, info.records_processed, info.records_failed) == ("Completed", 3, 1)
    answers = rows.hstack(batch.retrieve())
    assert answers.select(
        "Ext__c", "sf__Status", "sf__Created", "sf__ErrorCode", "sf__ErrorFields", "sf__Error"
    ).rows() == [
        ("a", "created", True, None, None, None),
        ("b", "failed", None, "FIELD_CUSTOM_VALIDATION_EXCEPTION", "Amount__c", "Too low."),
        ("c", "created", True, None, None, None),
    ]
    ids = dict(answers.filter(pl.col("sf__Id").is_not_null()).select("sf__Id", "Ext__c").iter_rows())
    assert ids == dict(local_org.table("Widget__c").select("Id", "Ext__c").rows())
    assert batch.request().equals(rows)


def test_a_bulk_1_job_is_closed_listed_checked_and_polled(org) -> None:
    job = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    first, second = job.add_batch("Ext__c\na\nb\n"), job.add_batch([{"Ext__c": "c"}])
    assert job.close().state == "Closed"
    info = job.poll()
    assert (info.batches_total, info.batches_completed, info.records_processed) == (2, 2, 3)
    listed = job.batches()
    assert listed.select("id", "state", "state_message", "processed", "failed").rows() == [
        (first.id, "Completed", None, 2, 0),
        (second.id, "Completed", None, 1, 0),
    ]
    assert listed.schema["created"] == pl.Datetime("ms", "UTC")
    with pytest.raises(sf.ApiError):
        job.add_batch([{"Ext__c": "d"}])
    with pytest.raises(sf.UsageError, match="cannot delete a job"):
        job.delete()


def test_rows_of_more_than_one_batch_are_cut_in_order_and_one_batch_refuses_them(org) -> None:
    job = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    rows = pl.DataFrame({"Ext__c": [f"k{row}" for row in range(10_001)]})
    with pytest.raises(sf.UsageError, match="more than one batch may have"):
        job.add_batch(rows)
    batches = job.add_batches(rows[:25], rows=10)
    job.poll()
    assert [batch.check().records_processed for batch in batches] == [10, 10, 5]
    assert pl.concat([batch.request() for batch in batches]).equals(rows[:25])
    with pytest.raises(sf.UsageError, match="A batch cannot have 10,001 rows"):
        job.add_batches(rows, rows=10_001)
    with pytest.raises(sf.UsageError, match="There are no rows"):
        job.add_batch(rows.clear())


@pytest.mark.parametrize("operation", ["update", "upsert", "delete", "hardDelete"])
def test_bulk_1_has_all_operations(local_org, org, operation) -> None:
    records = loaded(org).successful().sort("Ext__c")
    rows = {
        "update": records.select(pl.col("sf__Id").alias("Id"), pl.lit("new").alias("Text__c")),
        "upsert": pl.DataFrame({"Ext__c": ["a", "z"], "Text__c": ["new", "new"]}),
    }.get(operation, records.select(pl.col("sf__Id").alias("Id")))
    key = "Ext__c" if operation == "upsert" else None
    job = sf.create_job("Widget__c", operation=operation, api="bulk1", external_id_field=key, serial=True, org=org)
    batch = job.add_batch(rows)
    batch.poll()
    assert job.info.concurrency_mode == "Serial"
    assert (
        batch.retrieve()["sf__Status"].to_list()
        == {
            "update": ["updated"] * 3,
            "upsert": ["updated", "created"],
            "delete": ["deleted"] * 3,
            "hardDelete": ["deleted"] * 3,
        }[operation]
    )


def test_an_aborted_bulk_1_job_leaves_its_waiting_batches_not_processed(holding) -> None:
    _, org = holding
    job = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    batch = job.add_batch([{"Ext__c": "a"}])
    assert job.abort().state == "Aborted"
    assert batch.poll().state == "NotProcessed"
    with pytest.raises(sf.JobAborted) as aborted:
        batch.retrieve()
    assert (aborted.value.job_id, aborted.value.batch_id) == (job.id, batch.id)


def test_a_timeout_of_a_batch_names_job_and_batch(holding) -> None:
    _, org = holding
    job = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    batch = job.add_batch([{"Ext__c": "a"}])
    calls = org.calls
    with pytest.raises(sf.JobTimeout) as late:
        batch.poll(timeout=0)
    assert (late.value.job_id, late.value.batch_id, org.calls) == (job.id, batch.id, calls)
    with pytest.raises(sf.JobTimeout):
        job.poll(interval=0.01, timeout=0.03)
    with pytest.raises(sf.UsageError, match="The batch is Queued"):
        batch.retrieve()


def test_a_batch_that_the_org_gave_up_says_why(org) -> None:
    job = sf.create_job("Widget__c", operation="query", api="bulk1", org=org)
    batch = job.add_batch("SELECT Nothing__c FROM Widget__c")
    assert batch.poll().state == "Failed"
    with pytest.raises(sf.JobFailed) as failed:
        batch.retrieve()
    assert (failed.value.job_id, failed.value.batch_id) == (job.id, batch.id)
    assert "Nothing__c" in failed.value.said


def test_a_bulk_1_query_has_result_ids_frames_and_raw_files(org, tmp_path: Path) -> None:
    loaded(org)
    job = sf.create_job("Widget__c", operation="query", api="bulk1", org=org)
    batch = job.add_batch(SOQL)
    batch.poll()
    assert batch.soql() == SOQL
    (result_id,) = batch.results()
    assert result_id.startswith("752")
    rows = batch.retrieve()
    assert rows.select("Ext__c", "Amount__c", "Flag__c").rows() == ROWS.rows()
    assert batch.result(result_id).equals(rows)
    assert batch.raw(tmp_path / "rows.csv") == tmp_path / "rows.csv"
    buffer = io.BytesIO()
    batch.raw(buffer, result_id=result_id)
    assert (tmp_path / "rows.csv").read_bytes() == buffer.getvalue()
    assert buffer.getvalue().startswith(b'"Ext__c","Amount__c","Flag__c","CreatedBy.Name"\n')
    with pytest.raises(sf.UsageError, match=r"soql\(\) gives its query"):
        batch.request()
    with pytest.raises(sf.UsageError, match="Give SOQL as text"):
        job.add_batch(ROWS)


def test_a_bulk_1_query_is_cut_by_its_ids_on_request(org) -> None:
    loaded(org)
    with pytest.raises(sf.UsageError, match="250,000"):
        sf.create_job("Widget__c", operation="query", api="bulk1", pk_chunking=250_001, org=org)
    job = sf.create_job("Widget__c", operation="query", api="bulk1", pk_chunking=1, org=org)
    asked = job.add_batch(SOQL.removesuffix(" ORDER BY Ext__c"))  # sorted queries are not cut (bulk1.md 6)
    job.poll()
    batches = job.batches()
    assert batches["state"].to_list() == ["NotProcessed", *["Completed"] * ROWS.height]
    with pytest.raises(sf.JobAborted, match=r"a query that was split: job\.batches\(\) lists the others"):
        asked.retrieve()
    chunks = [job.batch(one) for one in batches.filter(state="Completed")["id"]]
    assert "Id >= '" in chunks[0].soql()
    rows = pl.concat(one for chunk in chunks if (one := chunk.retrieve()).height)
    assert rows.select("Ext__c", "Amount__c", "Flag__c").sort("Ext__c").rows() == ROWS.rows()


def test_a_bulk_1_query_without_rows_is_a_frame_without_rows(org) -> None:
    job = sf.create_job("Widget__c", operation="queryAll", api="bulk1", org=org)
    batch = job.add_batch(SOQL)
    batch.poll()
    assert batch.retrieve().height == 0


class ScriptedOrg:
    """The part of an org that a batch asks, for answers that the embedded org does not give."""

    pacing = None

    def __init__(self, org: sf.Org, answers: dict[str, bytes]) -> None:
        self._org = org
        self._answers = answers

    def describe(self, sobject: str) -> sf.SObject:
        return self._org.describe(sobject)

    def send(self, call: Call[Any], **_: object) -> Any:
        return call.read(Reply(200, {}, self._answers[call.path.rpartition("/")[2]]))

    @contextmanager
    def stream(self, call: Call[Any], **_: object) -> Iterator[Streamed]:
        yield Streamed(200, {}, iter([self._answers[call.path.rpartition("/")[2]]]))


def test_a_query_with_several_result_files_is_all_of_them(org, tmp_path: Path) -> None:
    ids = ["752000000000001", "752000000000002", "752000000000003"]
    listed = "".join(f"<result>{one}</result>" for one in ids)
    answers = {
        "result": f'<result-list xmlns="{bulk1.NAMESPACE}">{listed}</result-list>'.encode(),
        ids[0]: b'"Ext__c","Amount__c"\n"a","1.0"\n',
        ids[1]: b"Records not found for this query",
        ids[2]: b'"Ext__c","Amount__c"\n"b",""\n',
    }
    job = bulk1.JobInfo("750000000000001AAA", "Open", "query", "Widget__c", content_type="CSV")
    info = bulk1.BatchInfo("751000000000001AAA", job.id, "Completed")
    scripted = cast("sf.Org", ScriptedOrg(org, answers))
    batch = sf.Bulk1Batch(scripted, job, info)
    assert batch.results() == tuple(ids)
    assert batch.retrieve().rows() == [("a", 1.0), ("b", None)]
    assert batch.result(ids[2]).rows() == [("b", None)]
    with pytest.raises(sf.UsageError, match="has 3 result files"):
        batch.raw(tmp_path / "all.csv")
    batch.raw(tmp_path / "third.csv", result_id=ids[2])
    assert (tmp_path / "third.csv").read_bytes() == answers[ids[2]]


def test_a_batch_that_failed_half_way_gives_the_answers_that_there_are(org) -> None:
    answers = {"result": b'"Id","Success","Created","Error"\n"001000000000001AAA","true","true",""\n'}
    job = bulk1.JobInfo("750000000000001AAA", "Closed", "insert", "Widget__c", content_type="CSV")
    info = bulk1.BatchInfo("751000000000001AAA", job.id, "Failed", "InternalServerError : Retried", records_processed=1)
    batch = sf.Bulk1Batch(cast("sf.Org", ScriptedOrg(org, answers)), job, info)
    assert batch.retrieve().select("sf__Id", "sf__Status").rows() == [("001000000000001AAA", "created")]


def test_a_result_with_other_rows_than_the_org_counted_is_refused(org) -> None:
    answers = {"result": b'"Id","Success","Created","Error"\n"001000000000001AAA","true","true",""\n'}
    job = bulk1.JobInfo("750000000000001AAA", "Closed", "insert", "Widget__c", content_type="CSV")
    info = bulk1.BatchInfo("751000000000001AAA", job.id, "Completed", records_processed=2)
    with pytest.raises(sf.IncompleteAnswer):
        sf.Bulk1Batch(cast("sf.Org", ScriptedOrg(org, answers)), job, info).retrieve()


def test_results_in_json_are_given_raw_and_not_as_a_frame(org) -> None:
    answers = {"result": b'[{"success":true}]'}
    job = bulk1.JobInfo("750000000000001AAA", "Closed", "insert", "Widget__c", content_type="JSON")
    info = bulk1.BatchInfo("751000000000001AAA", job.id, "Completed", records_processed=1)
    batch = sf.Bulk1Batch(cast("sf.Org", ScriptedOrg(org, answers)), job, info)
    with pytest.raises(sf.UsageError, match=r"made of JSON.*\n?.*raw\(\)"):
        batch.retrieve()
    buffer = io.BytesIO()
    batch.raw(buffer)
    assert buffer.getvalue() == answers["result"]


def test_events_of_batches_carry_both_ids_and_counters(org) -> None:
    events: list[JobEvent] = []
    job = sf.create_job("Widget__c", operation="insert", api="bulk1", on_event=events.append, org=org)
    batch = job.add_batch(ROWS)
    batch.poll(interval=0.01)
    batch.retrieve()
    job.close()
    told = [
        (one.kind, one.batch_id, one.state, one.processed)
        for one in events
        if one.kind not in ("in_progress", "queued")
    ]
    assert told == [
        ("open", "", "Open", 0),
        ("uploaded", batch.id, "Queued", 0),
        ("ended", batch.id, "Completed", 3),
        ("response", batch.id, "Completed", 3),
        ("closed", "", "Closed", 3),
    ]
    assert ("queued", batch.id) in [(one.kind, one.batch_id) for one in events]
    assert {one.job_id for one in events} == {job.id}

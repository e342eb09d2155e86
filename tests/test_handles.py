"""Handles on single jobs and batches, against an embedded org: all that jsforce's Job and Batch offer, on frames."""

from __future__ import annotations

import datetime as dt
import io
import pickle
import threading
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sfframe as sf
from sfframe.jobs.events import JobEvent
from sfframe.localorg import Fault, Settings
from tests.localorg.ingest_org import DEPLOYED

ROWS = pl.DataFrame({"Ext__c": ["a", "b", "c"], "Amount__c": [1.5, None, 3.0], "Flag__c": [True, False, True]})


@pytest.fixture
def local_org() -> Iterator[sf.LocalOrg]:
    """An org with widgets."""
    with sf.LocalOrg() as local:
        local.deploy(DEPLOYED)
        yield local


@pytest.fixture
def holding() -> Iterator[tuple[sf.LocalOrg, sf.Org]]:
    """An org whose jobs wait until they are released."""
    with sf.LocalOrg(settings=Settings(hold_jobs=True)) as local, sf.connect(local) as org:
        local.deploy(DEPLOYED)
        yield local, org


def stored(local: sf.LocalOrg, *columns: str) -> list[tuple[object, ...]]:
    return sorted(local.table("Widget__c").select(columns).rows())


def loaded(org: sf.Org, rows: object = ROWS) -> sf.IngestJob:
    """An ingest job that has ended."""
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(rows)
    job.close()
    job.poll()
    return job


# -- Bulk API 2.0: ingest -------------------------------------------------------------------------------------------


def test_an_ingest_job_goes_from_open_to_its_typed_results(local_org: sf.LocalOrg, org: sf.Org) -> None:
    job = sf.create_job("Widget__c", operation="insert", org=org)
    assert (job.state, job.sobject, job.operation, job.id[:3]) == ("Open", "Widget__c", "insert", "750")
    assert job.upload(ROWS) == 3
    assert job.close().state == "UploadComplete"
    info = job.poll()
    assert (info.state, info.records_processed, info.records_failed) == ("JobComplete", 3, 0)
    saved = job.successful().sort("Ext__c")
    assert saved.drop("sf__Id").equals(
        pl.DataFrame(
            {
                "sf__Created": [True] * 3,
                "Ext__c": ["a", "b", "c"],
                "Amount__c": [1.5, None, 3.0],
                "Flag__c": [True, False, True],
            }
        )
    )
    assert sorted(saved["sf__Id"]) == local_org.table("Widget__c")["Id"].sort().to_list()
    assert (job.failed().height, job.unprocessed().height) == (0, 0)


CSV = "Ext__c,Count__c\na,1\nb,2\n"


@pytest.mark.parametrize(
    "give",
    [
        lambda _: pl.DataFrame({"Ext__c": ["a", "b"], "Count__c": [1, 2]}),
        lambda _: pl.LazyFrame({"Ext__c": ["a", "b"], "Count__c": [1, 2]}),
        lambda _: pd.DataFrame({"Ext__c": ["a", "b"], "Count__c": [1, 2]}),
        lambda _: pa.table({"Ext__c": ["a", "b"], "Count__c": [1, 2]}),
        lambda _: [{"Ext__c": "a", "Count__c": 1}, {"Ext__c": "b", "Count__c": 2}],
        lambda _: CSV,
        lambda _: CSV.encode(),
        lambda _: io.BytesIO(CSV.encode()),
        lambda folder: folder / "rows.csv",
        lambda folder: str(folder / "rows.csv"),
        lambda _: iter([pl.DataFrame({"Ext__c": [key], "Count__c": [count]}) for key, count in (("a", 1), ("b", 2))]),
        lambda _: ([{"Ext__c": key, "Count__c": count}] for key, count in (("a", 1), ("b", 2))),
    ],
    ids=[
        "polars", "lazy", "pandas", "pyarrow", "dicts", "CSV text", "bytes", "binary stream", "path", "path as text",
        "iterator of frames", "generator of lists",
    ],
)  # fmt: skip
def test_an_upload_takes_all_that_people_have(local_org, org, tmp_path: Path, give) -> None:
    (tmp_path / "rows.csv").write_text(CSV)
    job = sf.create_job("Widget__c", operation="insert", org=org)
    assert job.upload(give(tmp_path)) == 2
    job.close()
    assert job.poll().records_processed == 2
    assert stored(local_org, "Ext__c", "Count__c") == [("a", 1), ("b", 2)]


def test_columns_nulls_and_time_zone_mean_what_they_mean_in_write_sobject(local_org, org) -> None:
    old = loaded(org, [{"Ext__c": "a", "Text__c": "old", "Count__c": 7}]).successful()["sf__Id"].item()
    job = sf.create_job("Widget__c", operation="update", org=org)
    frame = pl.DataFrame({"key": [old], "Text__c": [None], "Count__c": [None], "when": [dt.datetime(2026, 1, 2, 3)]})
    frame = frame.with_columns(pl.col("Text__c").cast(pl.String), pl.col("Count__c").cast(pl.Int64))
    job.upload(
        frame,
        columns={"key": "Id", "when": "Moment__c"},
        nulls={"Count__c": "ignore"},
        timezone="Europe/Berlin",
    )
    job.close()
    assert job.poll().records_failed == 0
    moment = dt.datetime(2026, 1, 2, 2, tzinfo=dt.UTC)
    assert stored(local_org, "Text__c", "Count__c", "Moment__c") == [(None, 7, moment)]


def test_values_that_the_org_would_refuse_are_refused_before_anything_is_sent(local_org, org) -> None:
    job = sf.create_job("Widget__c", operation="insert", org=org)
    frames = [pl.DataFrame({"Ext__c": ["a", "b"]}), pl.DataFrame({"Ext__c": ["c", "x" * 21]})]
    with pytest.raises(sf.ContractError) as refused:
        job.upload(iter(frames))
    assert refused.value.failures is not None
    assert refused.value.failures.select("row", "column", "rule").rows() == [(3, "Ext__c", "max_length")]
    assert (job.check().state, job.info.records_processed) == ("Open", None)
    assert job.upload(frames[0]) == 2  # nothing was sent, so the job still takes its one upload


def test_a_key_that_stands_in_two_frames_of_an_iterator_is_refused(org) -> None:
    job = sf.create_job("Widget__c", operation="upsert", external_id_field="Ext__c", org=org)
    frames = [pl.DataFrame({"Ext__c": ["a", "b"]}), pl.DataFrame({"Ext__c": ["c", "A"]})]
    with pytest.raises(sf.ContractError) as refused:
        job.upload(iter(frames))
    assert refused.value.failures is not None
    assert refused.value.failures.select("row", "rule").rows() == [(0, "duplicate_key"), (3, "duplicate_key")]


def test_a_second_upload_is_refused_before_it_spoils_the_job(org) -> None:
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(ROWS)
    for handle in (job, sf.get_job(job.id, org=org)):
        assert isinstance(handle, sf.IngestJob)
        with pytest.raises(sf.UsageError, match="takes no other one"):
            handle.upload(ROWS)
    job.close()
    assert job.poll().records_processed == 3


def test_an_upload_larger_than_a_job_may_have_is_refused(org) -> None:
    job = sf.create_job("Widget__c", operation="insert", org=org)
    long = pl.DataFrame({"Long__c": ["x" * 131_000]})
    with pytest.raises(sf.UsageError, match="more than the 100,000,000 bytes"):
        job.upload(long for _ in range(800))
    assert job.check().records_processed is None


def test_a_frame_without_rows_is_a_job_without_records(org) -> None:
    job = sf.create_job("Widget__c", operation="insert", org=org)
    assert job.upload(ROWS.clear()) == 0
    job.close()
    assert (job.poll().state, job.info.records_processed) == ("JobComplete", 0)
    assert job.successful().height == 0


def test_an_upload_whose_answer_is_lost_is_found_in_the_job(local_org, org) -> None:
    local_org.faults.add(Fault("reset_after", method="PUT", times=1))
    job = sf.create_job("Widget__c", operation="insert", org=org)
    assert job.upload(ROWS) == 3
    job.close()
    assert job.poll().records_processed == 3


def test_an_upload_that_did_not_arrive_says_what_to_do(local_org, org) -> None:
    local_org.faults.add(Fault("reset_before", method="PUT", times=1))
    job = sf.create_job("Widget__c", operation="insert", org=org)
    with pytest.raises(sf.ConnectionFailed) as lost:
        job.upload(ROWS)
    assert "Abort it, and create another one" in str(lost.value)
    assert job.abort().state == "Aborted"


def test_a_close_whose_answer_is_lost_is_not_sent_again(local_org, org) -> None:
    local_org.faults.add(Fault("reset_after", method="PATCH", times=1))
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(ROWS)
    assert job.close().state in {"UploadComplete", "InProgress", "JobComplete"}
    assert job.poll().records_processed == 3


def test_failed_rows_come_with_their_error_in_parts_and_raw_cells_as_text(local_org, org) -> None:
    local_org.validation_rule("Widget__c", name="Low", when="Amount__c < 0", message="Too low.", field="Amount__c")
    job = loaded(org, pl.DataFrame({"Ext__c": ["a", "b"], "Amount__c": [-1.0, 1.0]}))
    assert (job.info.records_processed, job.info.records_failed) == (2, 1)
    failed = job.failed()
    assert failed.rows(named=True) == [
        {
            "sf__Id": None,
            "sf__ErrorCode": "FIELD_CUSTOM_VALIDATION_EXCEPTION",
            "sf__ErrorFields": "Amount__c",
            "sf__Error": "Too low.",
            "Ext__c": "a",
            "Amount__c": -1.0,
        }
    ]
    assert job.successful()["Ext__c"].to_list() == ["b"]


def test_raw_results_are_the_orgs_own_bytes(org, tmp_path: Path) -> None:
    job = loaded(org, [{"Ext__c": "a"}])
    record = job.successful()["sf__Id"].item()
    expected = f'"sf__Id","sf__Created",Ext__c\n"{record}","true","a"\n'.encode()
    assert job.raw("successful", tmp_path / "saved.csv") == tmp_path / "saved.csv"
    assert (tmp_path / "saved.csv").read_bytes() == expected
    buffer = io.BytesIO()
    assert job.raw("successful", buffer) is None
    assert buffer.getvalue() == expected
    with pytest.raises(sf.UsageError, match="There is no folder"):
        job.raw("failed", tmp_path / "nowhere" / "failed.csv")
    with pytest.raises(sf.UsageError, match="Use one of successful, failed, unprocessed"):
        job.raw("all", tmp_path / "all.csv")  # type: ignore[arg-type]


def test_an_aborted_job_has_its_rows_unprocessed_and_can_be_deleted(holding) -> None:
    local, org = holding
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(ROWS)
    job.close()
    assert job.abort().state == "Aborted"
    assert job.poll().state == "Aborted"
    assert job.unprocessed().equals(ROWS)
    assert local.table("Widget__c").height == 0
    job.delete()
    with pytest.raises(sf.NotFound):
        job.check()


def test_polling_a_job_that_was_never_closed_says_so(org) -> None:
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(ROWS)
    with pytest.raises(sf.UsageError, match="close\\(\\) it first"):
        job.poll(interval=0.01)


def test_a_timeout_of_0_raises_at_once_without_asking_and_names_the_job(holding) -> None:
    _, org = holding
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(ROWS)
    job.close()
    calls = org.calls
    with pytest.raises(sf.JobTimeout) as late:
        job.poll(timeout=0)
    assert (late.value.job_id, org.calls) == (job.id, calls)
    assert f"sfframe.get_job('{job.id}').poll()" in str(late.value)
    assert pickle.loads(pickle.dumps(late.value)).job_id == job.id  # noqa: S301 - our own bytes


def test_a_timeout_leaves_the_job_in_the_org_and_it_is_polled_again_by_its_id(holding) -> None:
    local, org = holding
    job = sf.create_job("Widget__c", operation="insert", org=org)
    job.upload(ROWS)
    job.close()
    with pytest.raises(sf.JobTimeout):
        job.poll(interval=0.01, timeout=0.05)
    local._services.ingest.release(job.id)
    assert sf.get_job(job.id, org=org).poll(interval=0.01).state == "JobComplete"


def test_a_cancel_event_stops_the_waiting_and_not_the_job(holding) -> None:
    _, org = holding
    cancel = threading.Event()
    seen: list[str] = []

    def stop(event: JobEvent) -> None:
        seen.append(event.kind)
        if event.kind == "queued":
            cancel.set()

    job = sf.create_job("Widget__c", operation="insert", on_event=stop, org=org)
    job.upload(ROWS)
    job.close()
    with pytest.raises(sf.Cancelled) as stopped:
        job.poll(interval=0.01, cancel=cancel)
    assert stopped.value.job_id == job.id
    assert job.check().state == "UploadComplete"


def test_pacing_can_be_set_for_a_whole_connection(holding) -> None:
    local, _ = holding
    with sf.connect(local, fresh=True) as org:
        org.pacing = sf.Pacing(timeout=0)
        job = sf.create_job("Widget__c", operation="insert", org=org)
        job.upload(ROWS)
        job.close()
        with pytest.raises(sf.JobTimeout):
            job.poll()
        local._services.ingest.release(job.id)
        assert job.poll(interval=0.01, timeout=60).state == "JobComplete"


@pytest.mark.parametrize("options", [{"interval": 0}, {"timeout": -1}])
def test_pauses_that_are_none_are_refused(org, options) -> None:
    job = sf.create_job("Widget__c", operation="insert", org=org)
    with pytest.raises(sf.UsageError, match="are no pauses"):
        job.poll(**options)


def test_events_tell_the_walk_of_a_job_with_its_counters(holding) -> None:
    local, org = holding
    events: list[JobEvent] = []
    released = threading.Event()

    def listen(event: JobEvent) -> None:
        events.append(event)
        if event.kind == "queued" and not released.is_set():
            released.set()
            local._services.ingest.release(event.job_id)

    job = sf.create_job("Widget__c", operation="insert", on_event=listen, org=org)
    job.upload(ROWS)
    job.close()
    job.poll(interval=0.01)
    job.successful()
    told = [(one.kind, one.state, one.rows, one.processed, one.failed) for one in events if one.kind != "in_progress"]
    assert list(dict.fromkeys(told)) == [
        ("open", "Open", 0, 0, 0),
        ("uploaded", "Open", 3, 0, 0),
        ("closed", "UploadComplete", 0, 0, 0),
        ("queued", "UploadComplete", 0, 0, 0),
        ("ended", "JobComplete", 0, 3, 0),
        ("response", "JobComplete", 3, 3, 0),
    ]
    assert {one.job_id for one in events} == {job.id}
    assert events[1].bytes_sent == len("Ext__c,Amount__c,Flag__c\na,1.5,true\nb,,false\nc,3.0,true\n")


def test_an_abort_and_a_poll_that_failed_are_told(holding) -> None:
    local, org = holding
    events: list[JobEvent] = []
    job = sf.create_job("Widget__c", operation="insert", on_event=events.append, org=org)
    job.upload(ROWS)
    job.close()
    local.faults.add(Fault("answer", status=500, method="GET", path="*/jobs/ingest/*", times=20))
    with pytest.raises(sf.JobTimeout):
        job.poll(interval=0.01, timeout=1)
    assert [one.kind for one in events if one.kind == "error"]
    local.faults.clear()
    job.abort()
    assert (events[-1].kind, events[-1].state) == ("aborted", "Aborted")


# -- Bulk API 2.0: queries ------------------------------------------------------------------------------------------

SOQL = "SELECT Ext__c, Amount__c, Flag__c, CreatedBy.Name FROM Widget__c ORDER BY Ext__c"


def test_a_query_job_gives_typed_rows_pages_and_raw_csv(org, tmp_path: Path) -> None:
    loaded(org)
    job = sf.create_job("Widget__c", operation="query", soql=SOQL, org=org)
    assert isinstance(job, sf.QueryJob)
    assert job.poll().state == "JobComplete"
    rows = job.retrieve()
    assert rows.schema == pl.Schema(
        {"Ext__c": pl.String, "Amount__c": pl.Float64, "Flag__c": pl.Boolean, "CreatedBy.Name": pl.String}
    )
    assert rows.select("Ext__c", "Amount__c", "Flag__c").rows() == ROWS.rows()
    pages = list(job.pages(max_rows=2))
    assert [page.height for page in pages] == [2, 1]
    assert pl.concat(pages).equals(rows)
    assert job.raw(tmp_path / "rows.csv") == tmp_path / "rows.csv"
    text = (tmp_path / "rows.csv").read_text()
    assert text.splitlines()[:2] == [
        '"Ext__c","Amount__c","Flag__c","CreatedBy.Name"',
        '"a","1.5","true","Integration User"',
    ]
    job.delete()
    with pytest.raises(sf.NotFound):
        job.check()


def test_raw_pages_stand_under_one_header() -> None:
    with sf.LocalOrg(settings=Settings(bulk_page_rows=1)) as local, sf.connect(local) as org:
        local.deploy(DEPLOYED)
        loaded(org)
        job = sf.create_job(
            "Widget__c", operation="query", soql="SELECT Ext__c FROM Widget__c ORDER BY Ext__c", org=org
        )
        job.poll()
        buffer = io.BytesIO()
        job.raw(buffer)
        assert buffer.getvalue() == b'"Ext__c"\n"a"\n"b"\n"c"\n'
        assert job.retrieve()["Ext__c"].to_list() == ["a", "b", "c"]


def test_query_all_sees_deleted_records_and_a_refused_query_makes_no_job(local_org, org) -> None:
    record = loaded(org, [{"Ext__c": "a"}]).successful()["sf__Id"]
    gone = sf.create_job("Widget__c", operation="delete", org=org)
    gone.upload({"Id": record})
    gone.close()
    gone.poll()
    counts = []
    for operation in ("query", "queryAll"):
        job = sf.create_job("Widget__c", operation=operation, soql="SELECT Ext__c FROM Widget__c", org=org)
        job.poll()
        counts.append(job.retrieve().height)
    assert counts == [0, 1]
    with pytest.raises(sf.QueryError):
        sf.create_job("Widget__c", operation="query", soql="SELECT Nothing__c FROM Widget__c", org=org)


# -- Bulk API 1.0 ---------------------------------------------------------------------------------------------------


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


def test_a_bulk_1_query_without_rows_is_a_frame_without_rows(org) -> None:
    job = sf.create_job("Widget__c", operation="queryAll", api="bulk1", org=org)
    batch = job.add_batch(SOQL)
    batch.poll()
    assert batch.retrieve().height == 0


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


# -- jobs and batches that exist ------------------------------------------------------------------------------------


def test_existing_jobs_and_batches_are_found_by_their_ids(org) -> None:
    ingest = loaded(org)
    query = sf.create_job("Widget__c", operation="query", soql=SOQL, org=org)
    query.poll()
    classic = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    batch = classic.add_batch([{"Ext__c": "z"}])
    batch.poll()
    asking = sf.create_job("Widget__c", operation="query", api="bulk1", org=org)
    asking.add_batch(SOQL).poll()

    found = sf.get_job(ingest.id[:15], org=org)
    assert isinstance(found, sf.IngestJob)
    assert found.successful().height == 3
    found_query = sf.get_job(query.id, org=org)
    assert isinstance(found_query, sf.QueryJob)
    assert found_query.retrieve().height == 3
    found_classic = sf.get_job(classic.id, org=org)
    assert isinstance(found_classic, sf.Bulk1Job)
    again = found_classic.batch(batch.id)
    assert again.state == "Completed"
    assert again.retrieve().equals(batch.retrieve())
    found_asking = sf.get_job(asking.id, org=org)
    assert isinstance(found_asking, sf.Bulk1Job)
    assert found_asking.operation == "query"
    (listed,) = found_asking.batches()["id"]
    assert found_asking.batch(listed).retrieve().height == 4


def test_a_job_of_another_client_with_semicolons_and_crlf_is_read_and_continued(org) -> None:
    from sfframe.protocol import bulk2_ingest

    made = org.send(bulk2_ingest.create("Widget__c", "insert", column_delimiter="SEMICOLON", line_ending="CRLF"))
    job = sf.get_job(made.id, org=org)
    assert isinstance(job, sf.IngestJob)
    job.upload([{"Ext__c": "a;b", "Text__c": "x,y"}])
    job.close()
    assert job.poll().records_failed == 0
    assert job.successful().select("Ext__c", "Text__c").rows() == [("a;b", "x,y")]


def test_ids_that_name_no_job_are_refused(org) -> None:
    with pytest.raises(sf.NotFound) as missing:
        sf.get_job("750000000000001AAA", org=org)
    assert missing.value.job_id == "750000000000001AAA"
    with pytest.raises(sf.UsageError, match="begin with 750"):
        sf.get_job("001000000000001AAA", org=org)


def test_all_jobs_of_the_org_are_one_frame(org) -> None:
    ingest = loaded(org)
    upsert = sf.create_job("Widget__c", operation="upsert", external_id_field="Ext__c", org=org)
    query = sf.create_job("Widget__c", operation="query", soql=SOQL, org=org)
    query.poll()
    classic = sf.create_job("Account", operation="update", api="bulk1", serial=True, org=org)
    asking = sf.create_job("Account", operation="query", api="bulk1", org=org)
    jobs = sf.list_jobs(org=org)
    assert dict(zip(jobs["id"], jobs.select("api", "operation", "object", "state").rows(), strict=True)) == {
        ingest.id: ("bulk2", "insert", "Widget__c", "JobComplete"),
        upsert.id: ("bulk2", "upsert", "Widget__c", "Open"),
        query.id: ("bulk2", "query", "Widget__c", "JobComplete"),
        classic.id: ("bulk1", "update", "Account", "Open"),
        asking.id: ("bulk1", "query", "Account", "Open"),
    }
    one = jobs.filter(id=upsert.id)
    told = one.select("external_id_field", "concurrency_mode", "content_type", "column_delimiter", "line_ending")
    assert told.row(0) == ("Ext__c", "Parallel", "CSV", "COMMA", "LF")
    assert jobs.filter(id=classic.id).select("concurrency_mode", "column_delimiter").row(0) == ("Serial", None)
    assert jobs["created"].is_sorted(descending=True)
    assert jobs.schema["created"] == jobs.schema["modified"] == pl.Datetime("ms", "UTC")


def test_the_list_of_jobs_follows_its_pages(local_org, org) -> None:
    ids = {
        local_org._services.ingest.create("v66.0", {"object": "Account", "operation": "insert"})["id"]
        for _ in range(1_003)
    }
    jobs = sf.list_jobs(org=org)
    assert set(jobs["id"]) == ids
    assert jobs.height == 1_003


def test_an_org_without_jobs_lists_none(org) -> None:
    jobs = sf.list_jobs(org=org)
    assert (jobs.height, jobs.columns[:5]) == (0, ["id", "api", "operation", "object", "state"])


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"operation": "merge"}, "There is no operation 'merge'"),
        ({"operation": "insert", "api": "rest"}, "There is no api 'rest'"),
        ({"operation": "upsert"}, "needs external_id_field"),
        ({"operation": "insert", "external_id_field": "Ext__c"}, "nothing else takes it"),
        ({"operation": "query"}, "needs soql"),
        ({"operation": "query", "api": "bulk1", "soql": SOQL}, r"takes no soql.*\n.*add_batch"),
        ({"operation": "insert", "serial": True}, "no serial mode"),
    ],
)
def test_what_does_not_go_together_is_refused_before_anything_is_made(org, options, message) -> None:
    with pytest.raises(sf.UsageError, match=message):
        sf.create_job("Widget__c", org=org, **options)
    assert org.calls == 0


def test_handles_show_ids_states_and_counters_and_no_values(org) -> None:
    job = loaded(org, [{"Ext__c": "secret"}])
    assert repr(job) == f"<IngestJob id={job.id}, job=insert Widget__c, state=JobComplete, processed=1, failed=0>"
    classic = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    batch = classic.create_batch()
    assert repr(batch) == f"<Bulk1Batch job={classic.id}, state=not sent>"
    batch.execute([{"Ext__c": "secret"}]).poll()
    assert repr(batch) == f"<Bulk1Batch id={batch.id}, job={classic.id}, state=Completed, processed=1, failed=0>"
    query = sf.create_job(
        "Widget__c", operation="query", soql="SELECT Id FROM Widget__c WHERE Ext__c = 'secret'", org=org
    )
    query.poll()
    assert repr(query) == f"<QueryJob id={query.id}, job=query Widget__c, state=JobComplete, rows=2>"
    for handle in (job, classic, batch, query):
        html = handle._repr_html_()
        assert f"<tr><th>id</th><td>{handle.id}</td></tr>" in html
        assert "secret" not in html + repr(handle)


def test_columns_that_are_no_fields_and_values_that_do_not_fit_stay_text(org) -> None:
    job = sf.create_job("Widget__c", operation="insert", api="bulk1", org=org)
    from sfframe.protocol import bulk1

    sent = org.send(bulk1.add_batch(job.id, b"Ext__c,Count__c,Parent__r.Ext__c\na,seven,p\nb,8,\n"))
    batch = job.batch(sent.id)
    batch.poll()
    assert batch.request().rows() == [("a", "seven", "p"), ("b", "8", None)]
    assert batch.retrieve()["sf__ErrorCode"].null_count() < 2

"""Handles on single jobs of the Bulk API 2.0, against an embedded org."""

from __future__ import annotations

import datetime as dt
import io
import pickle
import threading
from pathlib import Path

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

import sfframe as sf
from sfframe.jobs.events import JobEvent
from sfframe.localorg import Fault, Settings
from tests.handles.widgets import ROWS, SOQL, loaded, stored
from tests.localorg.ingest_org import DEPLOYED

# -- Bulk API 2.0: ingest ----------------------------------------------------------------------------------------------


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


# -- Bulk API 2.0: queries ---------------------------------------------------------------------------------------------


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

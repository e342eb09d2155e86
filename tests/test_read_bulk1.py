"""Reads by Bulk API 1.0, on request: several result files, chunks by id, and what becomes of the job."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import replace

import polars as pl
import pytest

import sfframe as sf
from sfframe.errors import Cancelled, JobFailed, UsageError
from sfframe.fetch.bulk1_answer import batch_query
from sfframe.fetch.plan import planned
from sfframe.jobs.events import JobEvent
from sfframe.jobs.pacing import Pacing
from sfframe.localorg import Fault
from sfframe.localorg.store.settings import Settings
from sfframe.schema import Field, SObject
from tests.mirrored_accounts import mirrored_accounts

ROWS = 1_000
QUERY = "SELECT Id, Name, CreatedDate, NumberOfEmployees FROM account WHERE NumberOfEmployees >= :least"
WHOLE = sf.ReadOptions(api="bulk1", pacing=Pacing(first=0.01), progress=False)
CHUNKS = replace(WHOLE, pk_chunking=300)
WANTED = mirrored_accounts(ROWS)


@pytest.fixture(scope="module")
def served() -> Iterator[sf.LocalOrg]:
    with sf.LocalOrg(settings=Settings(result_file_rows=100)) as local:
        local.mirror("Account", WANTED)
        yield local


@pytest.fixture
def org(served: sf.LocalOrg) -> Iterator[sf.Org]:
    served.faults.clear()
    with sf.connect(served) as connection:
        yield connection
    served.faults.clear()


def last_job(org: sf.Org) -> sf.Bulk1Job:
    job = sf.get_job(sf.list_jobs(org=org)["id"][0], org=org)
    assert isinstance(job, sf.Bulk1Job)
    return job


@pytest.mark.parametrize("options", [WHOLE, CHUNKS, replace(CHUNKS, api="auto")], ids=["whole", "chunks", "auto"])
def test_all_result_files_of_all_batches_are_the_answer(org, options):
    frame = sf.read_soql(QUERY, params={"least": 10}, org=org, options=options)
    assert frame.drop("CreatedDate").sort("Id").equals(WANTED.slice(10))
    assert frame.schema["CreatedDate"] == pl.Datetime("ms", "UTC")
    job = last_job(org)
    assert (job.state, job.sobject, job.operation) == ("Closed", "Account", "query")
    states = job.batches()["state"].to_list()
    assert states == (["NotProcessed", *["Completed"] * 4] if options.pk_chunking else ["Completed"])


@pytest.mark.parametrize("api", ["bulk2", "bulk1"])
def test_the_pacing_of_the_connection_is_that_of_its_reads_unless_they_have_their_own(api):
    options = sf.ReadOptions(api=api, progress=False)
    with sf.LocalOrg() as local, sf.connect(local, pacing=Pacing(timeout=0)) as org:
        with pytest.raises(sf.JobTimeout) as late:
            sf.read_soql("SELECT Id FROM User", org=org, options=options)
        assert f"sfframe.get_job('{late.value.job_id}')" in late.value.remedy
        own = replace(options, pacing=Pacing(first=0.01))
        assert sf.read_soql("SELECT Id FROM User", org=org, options=own).height >= 1


def test_chunks_without_rows_and_empty_answers_have_the_types(org):
    few = sf.read_soql(QUERY, params={"least": 999}, org=org, options=CHUNKS)
    assert few["NumberOfEmployees"].to_list() == [999]
    for options in (WHOLE, CHUNKS):
        none = sf.read_soql(QUERY, params={"least": 1_000}, org=org, options=options)
        assert (none.height, none.schema) == (0, few.schema)


def test_deleted_records_come_when_they_are_asked_for(local_org):
    (gone, _) = local_org.insert("Account", pl.DataFrame({"Name": ["gone", "here"]}))
    with sf.connect(local_org) as org:
        sf.write_sobject(pl.DataFrame({"Id": [gone]}), "Account", operation="delete", org=org)
        query = "SELECT Name FROM Account ORDER BY Name"
        assert sf.read_soql(query, org=org, options=WHOLE).rows() == [("here",)]
        deleted = sf.read_soql(query, org=org, include_deleted=True, options=WHOLE)
        assert deleted.rows() == [("gone",), ("here",)]
        assert last_job(org).operation == "queryAll"


def test_scans_and_exports_go_this_way_too(org, tmp_path):
    scan = sf.scan_soql(QUERY, params={"least": 0}, org=org, options=CHUNKS)
    few = scan.filter(pl.col("NumberOfEmployees") < 500).select("Id", "NumberOfEmployees")
    told = sf.explain(few).scans[0].queries[0]
    assert told.transport == "Bulk API 1.0: asked for"
    assert told.calls == "a job: 3 and its polls, 1 for each batch, and 1 for each file of its result"
    assert few.collect().sort("Id").equals(WANTED.head(500).select("Id", "NumberOfEmployees"))
    (read,) = sf.explain(few).scans[0].reads
    assert (read.transport, read.rows, read.job_id) == ("Bulk API 1.0", 500, last_job(org).id)
    path = tmp_path / "all.parquet"
    saved = sf.export_soql(QUERY, path, params={"least": 0}, org=org, options=CHUNKS)
    assert saved.scan().collect().drop("CreatedDate").sort("Id").equals(WANTED)
    assert list(tmp_path.iterdir()) == [path]


def test_progress_tells_the_rows_of_the_batches(org):
    events: list[JobEvent] = []
    sf.read_soql(QUERY, params={"least": 0}, org=org, options=replace(CHUNKS, progress=events.append))
    assert [event.processed for event in events if event.processed] == [300, 600, 900, 1_000]
    assert {event.rows for event in events if event.processed} == {1_000}


# -- what goes wrong --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("options", [WHOLE, CHUNKS], ids=["whole", "chunks"])
def test_what_the_org_refuses_is_an_error_in_its_words_and_the_job_is_aborted(org, options):
    with pytest.raises(JobFailed) as caught:
        sf.read_soql("SELECT Id FROM Account WHERE NoSuch__c = 1", org=org, options=options)
    assert "InvalidBatch : Failed to process query: INVALID_FIELD" in caught.value.said
    assert caught.value.batch_id.startswith("751")
    assert last_job(org).state == "Aborted"


def test_what_no_bulk_query_has_is_refused_by_name_before_anything_is_sent(org):
    with pytest.raises(UsageError, match="A bulk query cannot have aggregates"):
        sf.read_soql("SELECT COUNT(Id) FROM Account", org=org, options=WHOLE)
    auto = replace(CHUNKS, api="auto")
    assert sf.read_soql("SELECT COUNT() FROM Account", org=org, options=auto).item() == ROWS
    with pytest.raises(UsageError, match=r"Only Bulk API 1\.0 has PK chunking"):
        sf.ReadOptions(api="bulk2", pk_chunking=True)
    with pytest.raises(UsageError, match="A chunk of 250,001 rows"):
        sf.ReadOptions(pk_chunking=250_001)


def test_a_cancel_ends_the_read_and_aborts_the_job(served, org):
    served.faults.add(Fault("latency", seconds=60.0, path="*/result/*"))
    cancel = threading.Event()

    def cancelled_when_ended(event: JobEvent) -> None:
        if event.kind == "ended":  # the files are fetched now
            threading.Timer(0.1, cancel.set).start()

    began = time.monotonic()
    options = replace(CHUNKS, cancel=cancel, progress=cancelled_when_ended)
    with pytest.raises(Cancelled):
        sf.read_soql(QUERY, params={"least": 0}, org=org, options=options)
    assert time.monotonic() - began < 30
    served.faults.clear()
    deadline = time.monotonic() + 60
    while last_job(org).state != "Aborted":
        assert time.monotonic() < deadline


@pytest.mark.parametrize(
    ("sobject", "field", "parent"),
    [
        ("Thing__Share", "ParentId", "Thing__c"),
        ("Thing__History", "ParentId", "Thing__c"),
        ("AccountHistory", "AccountId", "Account"),
        ("AccountShare", "AccountId", "Account"),
        ("LoginHistory", "UserId", ""),
        ("OpportunityHistory", "OpportunityId", ""),
        ("Account", "OwnerId", ""),
    ],
)
def test_shares_and_histories_are_cut_by_the_ids_of_their_object(org, sobject, field, parent):
    plan = planned(org, "SELECT Id FROM Account", options=replace(CHUNKS, pk_chunking=True))
    asked = batch_query(plan, SObject(sobject, sobject, None, (Field(field, field, "reference"),)))
    assert asked.chunking is not None
    assert (asked.chunking.rows, asked.chunking.parent) == (100_000, parent)

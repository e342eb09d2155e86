"""Jobs and batches that exist: by id, as a frame, and as they are shown."""

from __future__ import annotations

import polars as pl
import pytest

import sfframe as sf
from sfframe.protocol import bulk1, bulk2_ingest
from tests.handles.widgets import SOQL, loaded


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
        ({"operation": "query", "soql": SOQL, "pk_chunking": True}, "operation='query' of bulk2 has no PK chunking"),
        ({"operation": "insert", "api": "bulk1", "pk_chunking": 500}, r"has no PK chunking\nIt is for queries of"),
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
    sent = org.send(bulk1.add_batch(job.id, b"Ext__c,Count__c,Parent__r.Ext__c\na,seven,p\nb,8,\n"))
    batch = job.batch(sent.id)
    batch.poll()
    assert batch.request().rows() == [("a", "seven", "p"), ("b", "8", None)]
    assert batch.retrieve()["sf__ErrorCode"].null_count() < 2

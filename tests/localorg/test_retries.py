"""Batches that do not come to their end: what is put back into the queue, what is counted, and when it is given up.

And what is seen of the chunks of 200 rows in which a batch is saved (bulk2.md 2.14, bulk1.md 3.3).
"""

from __future__ import annotations

import random
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from sfframe.localorg import Fault
from sfframe.localorg.faults import RETRIED
from tests.localorg.bulk1_org import bulk1_org
from tests.localorg.ingest_org import IngestOrg

LOCK_STORM = re.compile(r"TooManyLockFailure : Too many lock failure\(1[0-9]{2}\)\. Trying again later\.")


@pytest.fixture
def org() -> Iterator[IngestOrg]:
    with IngestOrg() as made:
        yield made


def names(count: int) -> str:
    return "Name\n" + "".join(f"row {number}\n" for number in range(count))


def counts(org: IngestOrg, job: str) -> tuple[str, int, int, int]:
    info = org.info(job)
    return info["state"], info["numberRecordsProcessed"], info["numberRecordsFailed"], info["retries"]


def test_a_slow_batch_is_retried_behind_the_chunks_that_it_has_saved(org: IngestOrg) -> None:
    org.faults.add(Fault("slow_batches", chunks=2))
    job = org.load("insert", names(1_900))
    assert counts(org, job) == ("JobComplete", 1_900, 0, 4)
    assert [name for (name,) in org.rows('"Name"')] == [f"row {number}" for number in range(1_900)]
    assert len(org.successes(job)) == 1_901


def test_each_batch_has_its_own_tries() -> None:
    with IngestOrg(batch_rows=1_000) as org:
        org.faults.add(Fault("slow_batches", chunks=2))
        assert counts(org, org.load("insert", names(2_500))) == ("JobComplete", 2_500, 0, 2 + 2 + 1)


def test_a_job_fails_behind_twenty_retries_of_a_batch_and_leaves_the_rest_unprocessed(org: IngestOrg) -> None:
    org.faults.add(Fault("slow_batches", chunks=1))
    job = org.load("insert", names(5_000))
    assert counts(org, job) == ("Failed", 21 * 200, 0, 20)
    assert org.info(job)["errorMessage"] == RETRIED
    assert org.file(job, "unprocessedrecords") == "Name\n" + "".join(f"row {n}\n" for n in range(4_200, 5_000))
    org.faults.clear()
    org.faults.add(Fault("slow_batches", chunks=0))
    nothing = org.load("insert", names(3))
    assert counts(org, nothing) == ("Failed", 0, 0, 20)


def test_a_retried_batch_counts_once_in_the_allowance_of_the_day() -> None:
    with IngestOrg(batch_rows=1_000, daily_batches=2) as org:
        org.faults.add(Fault("slow_batches", chunks=2))
        assert counts(org, org.load("insert", names(2_000))) == ("JobComplete", 2_000, 0, 4)


def test_what_was_tried_is_not_forgotten_when_the_process_ends(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    with IngestOrg(path, batch_rows=600) as org:
        org.faults.add(Fault("slow_batches", chunks=1), Fault("job_stuck", after_batches=1))
        job = org.start("insert", names(1_200))
        org.ingest.wait(job, batches=1)
        assert counts(org, job) == ("InProgress", 600, 0, 2)
    with IngestOrg(path, batch_rows=600) as org:
        org.ingest.wait(job)
        assert counts(org, job) == ("JobComplete", 1_200, 0, 2)


def test_a_few_locked_rows_fail_without_a_retry(org: IngestOrg) -> None:
    org.faults.add(Fault("lock_rows", share=0.01))
    assert counts(org, org.load("insert", names(10_000))) == ("JobComplete", 10_000, 100, 0)


def test_behind_a_hundred_locked_rows_the_rest_of_the_batch_is_put_back(org: IngestOrg) -> None:
    org.faults.add(Fault("lock_rows", share=0.5))
    job = org.load("insert", names(2_000))
    state, processed, failed, retries = counts(org, job)
    assert (state, processed) == ("JobComplete", 2_000)
    assert 1_000 <= failed <= 1_010  # each try rounds its share up
    assert retries in (4, 5, 6)  # a try is over with the second or third chunk
    assert len(org.rows('"Id"')) == 2_000 - failed


def test_a_lock_storm_fails_the_job_and_fills_all_three_files(org: IngestOrg) -> None:
    org.faults.add(Fault("lock_rows", share=0.9))
    job = org.load("insert", names(6_000))
    state, processed, failed, retries = counts(org, job)
    assert (state, processed, retries) == ("Failed", 21 * 200, 20)
    assert LOCK_STORM.fullmatch(org.info(job)["errorMessage"])
    assert (len(org.successes(job)) - 1, len(org.failures(job)) - 1) == (processed - failed, failed)
    assert len(org.file(job, "unprocessedrecords").splitlines()) - 1 == 6_000 - processed


def test_parallel_batches_meet_their_locks_once_and_then_go_on() -> None:
    with IngestOrg(batch_rows=1_000, parallel_batches_lock_parents=True) as org:
        org.load("insert", "Name\na\n", obj="Account")
        content = "Name,Firm__c\n" + "".join(f"{n},{org.id(1, 'Account')}\n" for n in range(2_000))
        # The parent of the second batch is locked by the first one, until the second comes again.
        assert counts(org, org.load("insert", content)) == ("JobComplete", 2_000, 200, 1)


@pytest.mark.parametrize("distance", [1, 199, 200, 450])
def test_a_key_that_comes_again_in_a_later_chunk_means_the_row_of_the_earlier_one(
    org: IngestOrg, distance: int
) -> None:
    keys = [f"K{number}" for number in range(distance)] + ["k0"]
    content = "Ext__c,Name\n" + "".join(f"{key},row {at}\n" for at, key in enumerate(keys))
    job = org.load("upsert", content, externalIdFieldName="Ext__c")
    if distance < 200:
        assert org.errors(job) == ["DUPLICATE_VALUE:Duplicate external id specified: k0:Ext__c --"]
        assert org.rows('"Name"', where="\"Ext__c\" = 'K0'") == [("row 0",)]
    else:
        assert org.errors(job) == []
        created = [line.split(",")[1] for line in org.successes(job)[1:]]
        assert (created.count('"true"'), created.count('"false"')) == (distance, 1)
        assert org.rows('"Name"', where="\"Ext__c\" = 'k0'") == [(f"row {distance}",)]


def test_an_update_that_names_a_row_in_several_chunks_leaves_the_last_value(org: IngestOrg) -> None:
    org.load("insert", names(401))
    ids = [org.id(number) for number in range(1, 402)]
    ids[200] = ids[400] = ids[0][:15]
    content = "Id,Text__c\n" + "".join(f"{one},{at}\n" for at, one in enumerate(ids))
    job = org.load("update", content)
    assert counts(org, job) == ("JobComplete", 401, 0, 0)
    assert org.rows('"Text__c"')[0] == ("400",)
    assert org.rows('"Text__c"', where=f"\"Id\" = '{org.id(201)}'") == [(None,)]


def test_keys_that_repeat_at_random_end_as_if_chunk_came_after_chunk(org: IngestOrg) -> None:
    drawn = random.Random(5)  # noqa: S311 - no secret
    keys = [f"K{drawn.randrange(300)}" for _ in range(3_000)]
    expected: dict[str, str] = {}
    for start in range(0, len(keys), 200):
        chunk: dict[str, str] = {}
        for at, key in enumerate(keys[start : start + 200], start):
            chunk.setdefault(key, f"row {at}")
        expected |= chunk
    content = "Ext__c,Name\n" + "".join(f"{key},row {at}\n" for at, key in enumerate(keys))
    org.load("upsert", content, externalIdFieldName="Ext__c")
    assert dict(org.rows('"Ext__c", "Name"')) == expected


def test_locks_and_repeated_keys_lose_no_row(org: IngestOrg) -> None:
    org.faults.add(Fault("lock_rows", share=0.3))
    content = "Ext__c,Name\n" + "".join(f"K{at % 700},row {at}\n" for at in range(3_000))
    job = org.load("upsert", content, externalIdFieldName="Ext__c")
    state, processed, failed, retries = counts(org, job)
    assert (state, processed) == ("JobComplete", 3_000)
    assert retries > 0
    assert (len(org.successes(job)) - 1, len(org.failures(job)) - 1) == (3_000 - failed, failed)


def test_a_unique_value_of_an_earlier_chunk_is_told_with_its_record(org: IngestOrg) -> None:
    codes = [f"C{number}" for number in range(250)]
    codes[1], codes[249] = codes[0], codes[0]
    job = org.load("insert", "Name,Code__c\n" + "".join(f"row,{code}\n" for code in codes))
    words = "DUPLICATE_VALUE:duplicate value found: Code__c duplicates value on record with id: {}:--"
    assert org.errors(job) == [words.format("<unknown>"), words.format(org.id(1)[:15])]


def test_batches_of_bulk_1_are_retried_ten_times_and_tell_what_they_have_saved() -> None:
    with bulk1_org() as org:
        org.org.faults.add(Fault("slow_batches", chunks=1))
        org.load("insert", names(900))
        info = org.service.job(org.job_id).document
        assert (info["numberBatchesCompleted"], info["numberRecordsProcessed"], info["numberRetries"]) == (1, 900, 4)
        assert org.result().text.count('"true","true"') == 900
        org.create("insert")
        batch = org.run(names(3_000))
        assert (batch.state, batch.processed, batch.retries) == ("Failed", 11 * 200, 10)
        assert batch.message == "InternalServerError : Retried more than ten times"
        assert org.result().text.count('"true","true"') == 11 * 200
        org.create("insert", Sforce_Disable_Batch_Retry="TRUE")
        batch = org.run(names(900))
        assert (batch.state, batch.processed, batch.retries) == ("Failed", 200, 0)
        assert len(org.rows("Id")) == 900 + 2_200 + 200


def test_a_lock_storm_fails_a_batch_of_bulk_1() -> None:
    with bulk1_org() as org:
        org.org.faults.add(Fault("lock_rows", share=0.9))
        org.create("insert")
        batch = org.run(names(6_000))
        assert (batch.state, batch.processed) == ("Failed", 2_200)
        assert LOCK_STORM.fullmatch(batch.message or "")

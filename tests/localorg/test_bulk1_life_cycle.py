"""Jobs of Bulk API 1.0 in time: parallel and serial batches, aborts, faults, quotas, an org that is opened again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sfframe.localorg import Fault
from tests.localorg.bulk1_org import NOON, Bulk1Org, bulk1_org, error_of, members_of


def states(org: Bulk1Org) -> list[str]:
    _, documents = org.service.batches(org.job_id)
    return [document["state"] for document in documents]


def test_an_abort_leaves_what_waits_unprocessed() -> None:
    with bulk1_org(hold_jobs=True) as org:
        org.create("insert")
        org.add("Name\nA\n")
        org.add("Name\nB\n")
        assert states(org) == ["Queued", "Queued"]
        assert error_of(org.result()) == (400, "InvalidBatch", "Batch not completed")
        aborted = members_of(org.close_job("Aborted"))
        assert [aborted[name] for name in ("state", "numberBatchesQueued", "numberBatchesTotal")] == [
            "Aborted",
            "0",
            "2",
        ]
        assert states(org) == ["NotProcessed", "NotProcessed"]
        org.org.release(org.job_id)
        assert org.rows("Name") == []
        assert error_of(org.close_job()) == (400, "InvalidJobState", "Closing already aborted Job not allowed")
        assert error_of(org.result()) == (400, "InvalidBatch", "Records not processed")


def test_serial_batches_run_one_after_the_other_over_all_serial_jobs() -> None:
    with bulk1_org(hold_jobs=True) as org:
        jobs = []
        for number in range(2):
            org.create("insert", concurrencyMode="Serial")
            jobs.append(org.job_id)
            for batch in range(3):
                org.add(f"Name,Count__c\nJ{number}B{batch},1\n")
        for job_id in jobs:
            org.org.release(job_id)
        for job_id in jobs:
            org.service.wait(job_id)
        assert [name for (name,) in org.rows("Name")] == [f"J{job}B{batch}" for job in range(2) for batch in range(3)]


def test_progress_depends_on_nobody_who_looks() -> None:
    with bulk1_org() as org:
        org.create("insert")
        for at in range(4):
            org.add(f"Name\nN{at}\n")
        assert org.close_job().status_code == 200
        assert {batch.state for batch in org.wait()} == {"Completed"}
        done = members_of(org.http.get(f"job/{org.job_id}"))
        assert [done[name] for name in ("numberBatchesCompleted", "numberBatchesTotal", "numberRecordsProcessed")] == [
            *("4", "4", "4"),
        ]


def test_the_times_of_a_job_are_the_sums_of_its_batches() -> None:
    with bulk1_org() as org:
        org.create("insert")
        for _ in range(2):
            org.run("Name\n" + "N\n" * 500)
        batches = org.wait()
        job = members_of(org.http.get(f"job/{org.job_id}"))
        assert job["totalProcessingTime"] == str(sum(batch.total_ms for batch in batches))
        assert job["apiActiveProcessingTime"] == str(sum(batch.active_ms for batch in batches))
        assert all(batch.total_ms >= batch.active_ms > 0 for batch in batches)


def test_batches_that_waited_go_on_when_the_org_is_opened_again(tmp_path: Path) -> None:
    file = tmp_path / "org.duckdb"
    with bulk1_org(file, hold_jobs=True) as org:
        org.create("insert")
        job_id = org.job_id
        org.add("Name\nA\n")
        org.create("query")
        query_id = org.job_id
        org.add("SELECT Name FROM Widget__c")
    with bulk1_org(file) as org:
        [batch] = org.service.wait(job_id)
        assert (batch.state, batch.processed, org.rows("Name")) == ("Completed", 1, [("A",)])
        [query] = org.service.wait(query_id)
    with bulk1_org(file) as org:
        told = org.http.get(f"job/{job_id}/batch/{batch.id}/result").text
        assert told.splitlines()[1:] == [f'"{org.rows("Id")[0][0]}","true","true",""']
        assert org.http.get(f"job/{job_id}/batch/{batch.id}/request").text == "Name\nA\n"
        answer = org.http.get(f"job/{query_id}/batch/{query.id}/result/{query.result_ids[0]}")
        assert answer.status_code == 200
        assert members_of(org.http.get(f"job/{job_id}"))["state"] == "Open"


def test_a_reset_forgets_jobs_and_their_files(tmp_path: Path) -> None:
    with bulk1_org(tmp_path / "org.duckdb") as org:
        org.load("insert", "Name\nA\n")
        assert len(list(tmp_path.glob("*.batches/*"))) == 1
        org.org.reset()
        assert list(tmp_path.glob("*.batches/*")) == []
        assert error_of(org.http.get(f"job/{org.job_id}"))[:2] == (400, "InvalidJob")
        org.load("insert", "Name\nB\n")
        assert org.rows("Name") == [("B",)]


def test_batches_count_in_the_limits_of_the_day_even_for_a_closed_job() -> None:
    with bulk1_org(daily_batches=2) as org:
        org.org.clock.set(NOON)
        org.create("insert")
        org.run("Name\nA\n")
        org.close_job()
        assert error_of(org.add("Name\nB\n"))[1] == "InvalidJobState"
        assert error_of(org.add("Name\nB\n")) == (400, "ExceededQuota", "ApiBatchItems Limit exceeded.")


def test_the_list_of_bulk_2_shows_these_jobs_as_classic() -> None:
    with bulk1_org() as org:
        base = f"{org.org.url}/services/data/v62.0/jobs/ingest"
        org.create("insert", content_type="XML", concurrencyMode="Serial")
        first = org.job_id
        org.create("query")
        second = org.http.post(base, json={"operation": "insert", "object": "Widget__c"}).json()["id"]
        listed = org.http.get(base).json()["records"]
        assert [(one["id"], one["jobType"]) for one in listed] == [(second, "V2Ingest"), (first, "Classic")]
        [classic] = org.http.get(base, params={"jobType": "Classic"}).json()["records"]
        assert classic == listed[1]
        names = ("operation", "object", "state", "concurrencyMode", "contentType", "apiVersion")
        assert [classic[name] for name in names] == ["insert", "Widget__c", "Open", "Serial", "XML", 62.0]
        assert org.http.get(base, params={"jobType": "V2Ingest"}).json()["records"] == listed[:1]
        assert org.http.get(base, params={"jobType": "BigObjectIngest"}).json()["records"] == []


def test_declared_faults_strike_batches_too() -> None:
    with bulk1_org() as org:
        org.org.faults.add(
            Fault("job_fails", after_batches=1, message="TooManyLockFailure : Too many lock failure(200).")
        )
        org.create("insert")
        org.run("Name\nA\n")
        failed = org.run("Name\nB\n")
        assert (failed.state, failed.message) == ("Failed", "TooManyLockFailure : Too many lock failure(200).")
        assert states(org) == ["Completed", "Failed"]
        org.org.faults.clear()
        org.org.faults.add(Fault("answer", status=503, code="InternalServerError", message="later", retry_after=2))
        refused = org.http.get(f"job/{org.job_id}")
        assert (error_of(refused), refused.headers["Retry-After"]) == ((503, "InternalServerError", "later"), "2")
        org.org.faults.clear()
        org.org.faults.add(Fault("lock_rows", share=1.0))
        told = org.load("insert", "Name\nC\n")
        assert "UNABLE_TO_LOCK_ROW:unable to obtain exclusive access to this record:--" in told
        org.org.faults.clear()
        org.org.faults.add(Fault("job_stuck", after_batches=1))
        org.create("insert")
        org.run("Name\nD\n")
        org.add("Name\nE\n")
        assert states(org) == ["Completed", "Queued"]
        org.org.release(org.job_id)
        assert [batch.state for batch in org.wait()] == ["Completed", "Completed"]
        assert [name for (name,) in org.rows("Name")] == ["A", "D", "E"]


_KILLED = """
import os, signal, sys
from pathlib import Path
from tests.localorg.bulk1_org import bulk1_org
with bulk1_org(Path(sys.argv[1])) as org:
    org.create("insert", concurrencyMode="Serial")
    for batch in range(20):
        org.add("Name,Code__c\\n" + "".join(f"N,C{batch * 50 + row}\\n" for row in range(50)))
    with org.service._changed:
        org.service._changed.wait_for(lambda: org.service.job(org.job_id).document["numberBatchesCompleted"] >= 7)
    print(org.job_id, flush=True)
    os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_a_killed_process_leaves_whole_batches_and_the_others_run_again(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    command = [sys.executable, "-c", _KILLED, str(path)]
    job_id = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    with bulk1_org(path, hold_jobs=True) as org:
        # What ran when the process died runs again at once, what waited is held.
        done = [one for one in org.service.batches(job_id)[1] if one["state"] != "Queued"]
        org.org.release(job_id)
        assert {batch.state for batch in org.service.wait(job_id)} == {"Completed"}
        assert len(done) >= 7
        assert [code for (code,) in org.rows("Code__c")] == [f"C{row}" for row in range(1_000)]

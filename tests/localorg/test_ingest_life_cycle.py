"""Jobs over time: waiting, running, aborted, deleted, and found again when the org is opened again."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from sfframe.localorg.services.errors import ServiceError
from tests.localorg.ingest_org import IngestOrg

ROWS = "Name\n" + "".join(f"row {number}\n" for number in range(10))


def test_a_held_job_stays_in_upload_complete_until_it_is_released() -> None:
    with IngestOrg(hold_jobs=True) as org:
        job = org.start("insert", ROWS)
        assert org.info(job)["state"] == "UploadComplete"
        assert org.file(job, "successfulResults") == '"sf__Id","sf__Created"\n'
        assert org.file(job, "unprocessedrecords") == ""
        with pytest.raises(TimeoutError, match=f"Job {job} is still UploadComplete"):
            org.ingest.wait(job, timeout=0.01)
        org.ingest.release(job)
        assert org.ingest.wait(job).processed == 10


def test_a_running_job_shows_its_progress_and_an_abort_leaves_the_rest_unprocessed() -> None:
    with IngestOrg(batch_rows=3, hold_after_batches=2) as org:
        job = org.start("insert", ROWS)
        org.ingest.wait(job, batches=2)
        info = org.info(job)
        assert (info["state"], info["numberRecordsProcessed"], info["totalProcessingTime"]) == ("InProgress", 6, 0)
        assert org.file(job, "successfulResults") == '"sf__Id","sf__Created",Name\n'
        with pytest.raises(ServiceError, match="the job is not terminated"):
            org.ingest.delete(job)
        assert org.ingest.change_state(job, {"state": "Aborted"})["state"] == "Aborted"
        assert org.info(job)["numberRecordsProcessed"] == 6
        assert "errorMessage" not in org.info(job)
        assert len(org.successes(job)) == 7
        assert org.file(job, "unprocessedrecords") == "Name\nrow 6\nrow 7\nrow 8\nrow 9\n"
        assert len(org.rows('"Id"')) == 6


def test_a_held_job_goes_on_behind_its_batches_when_it_is_released() -> None:
    with IngestOrg(batch_rows=3, hold_after_batches=2) as org:
        job = org.start("insert", ROWS)
        org.ingest.wait(job, batches=2)
        org.ingest.release(job)
        assert org.ingest.wait(job).processed == 10
        assert org.rows('"Name"') == [(f"row {number}",) for number in range(10)]


def test_an_open_job_can_be_aborted_and_then_deleted_with_its_upload() -> None:
    with IngestOrg() as org:
        job = org.create("insert")
        org.upload(job, ROWS)
        org.ingest.change_state(job, {"state": "Aborted"})
        assert org.file(job, "unprocessedrecords") == ROWS
        assert list((org.store.scratch / "uploads").iterdir()) == []
        org.ingest.delete(job)
        with pytest.raises(ServiceError, match="does not exist"):
            org.info(job)
        assert org.rows('"Id"') == []


def test_a_waiting_job_that_is_deleted_never_runs() -> None:
    with IngestOrg(hold_jobs=True) as org:
        job = org.start("insert", ROWS)
        other = org.start("insert", "Name\nother\n")
        org.ingest.delete(job)
        org.ingest.release(other)
        org.ingest.wait(other)
        assert org.rows('"Name"') == [("other",)]


def test_finished_jobs_keep_their_results_in_the_file_of_the_org(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    kinds = ("successfulResults", "failedResults", "unprocessedrecords")
    with IngestOrg(path, batch_rows=3, job_fails_after_batches=2) as org:
        job = org.load("insert", ROWS)
        before = [org.info(job), *(org.file(job, kind) for kind in kinds)]
    with IngestOrg(path) as org:
        assert [org.info(job), *(org.file(job, kind) for kind in kinds)] == before


def test_a_job_whose_process_ended_goes_on_with_its_remaining_batches(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    with IngestOrg(path, batch_rows=3, hold_after_batches=2) as org:
        job = org.start("insert", ROWS)
        waiting = org.create("insert")
        org.upload(waiting, "Name\nlater\n")
        org.ingest.wait(job, batches=2)
        assert org.info(job)["state"] == "InProgress"
    with IngestOrg(path) as org:
        assert org.ingest.wait(job).processed == 10
        assert len(org.successes(job)) == 11
        org.close_job(waiting)
        assert org.ingest.wait(waiting).processed == 1
        assert org.rows('"Name"') == [*((f"row {number}",) for number in range(10)), ("later",)]
    assert list((tmp_path / "org.duckdb.uploads").iterdir()) == []


def test_a_batch_that_breaks_is_undone_and_fails_the_job_with_what_was_saved_before() -> None:
    with IngestOrg(batch_rows=5, batches_at_once=1, hold_after_batches=1) as org:
        job = org.start("insert", ROWS)
        org.ingest.wait(job, batches=1)
        with org.store.writing, org.store.cursor() as cursor:
            cursor.execute('ALTER TABLE data."Widget__c" DROP COLUMN "LastModifiedById"')
        org.ingest.release(job)
        org.ingest.wait(job)
        info = org.info(job)
        assert (info["state"], info["numberRecordsProcessed"]) == ("Failed", 5)
        assert info["errorMessage"].startswith("UnknownException : ")
        assert org.file(job, "unprocessedrecords") == "Name\n" + "".join(f"row {n}\n" for n in range(5, 10))
        assert len(org.rows('"Id"')) == 5


def test_all_jobs_are_forgotten_when_an_org_is_reset() -> None:
    with IngestOrg() as org:
        job = org.load("insert", ROWS)
        org.ingest.close()
        org.ingest.forget()
        with pytest.raises(ServiceError, match="does not exist"):
            org.info(job)
        with org.store.cursor() as cursor:
            tables = cursor.execute(
                "SELECT table_name, estimated_size FROM duckdb_tables() WHERE schema_name = 'jobs' ORDER BY 1"
            ).fetchall()
        assert tables == [(name, 0) for name in ("bulk1", "bulk1_batches", "ingest", "queries", "unprocessed")]


_KILLED = """
import os, signal, sys
import subprocess
import sys
from pathlib import Path
from tests.localorg.ingest_org import IngestOrg
org = IngestOrg(Path(sys.argv[1]), batch_rows=10, batches_at_once=1)
job = org.start("insert", "Name,Code__c\\n" + "".join(f"row {n},C{n}\\n" for n in range(3_000)))
org.ingest.wait(job, batches=int(sys.argv[2]))
print(job, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
@pytest.mark.parametrize("batches", [1, 17, 120])
def test_a_killed_process_leaves_whole_batches_and_the_job_goes_on_behind_them(tmp_path: Path, batches: int) -> None:
    path = tmp_path / "org.duckdb"
    command = [sys.executable, "-c", _KILLED, str(path), str(batches)]
    job = subprocess.run(command, capture_output=True, text=True, check=False).stdout.strip()
    with IngestOrg(path, hold_jobs=True, batch_rows=10) as org:
        info = org.info(job)
        saved = org.rows('"Id"')
        with org.store.cursor() as cursor:
            results = cursor.execute(f'SELECT id FROM jobs."rows_{job}" ORDER BY id').fetchall()
        assert info["state"] == "InProgress"
        assert results == saved
        assert info["numberRecordsProcessed"] == len(saved) >= 10 * batches
        org.ingest.release(job)
        assert org.ingest.wait(job).processed == 3_000
        assert org.rows('"Name"') == [(f"row {number}",) for number in range(3_000)]
        assert len(org.successes(job)) == 3_001

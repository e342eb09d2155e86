"""Bulk 2.0 query jobs over time: found again when the org is opened again, listed, and limited."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import httpx
import polars as pl
import pytest

from sfframe.localorg import Clock, Fault, LocalOrg, Settings

DATA = "/services/data/v66.0"
JOBS = f"{DATA}/jobs/query"
QUERY = {"operation": "query", "query": "SELECT Name FROM Account ORDER BY Name", "columnDelimiter": "PIPE"}
RESULT = '"Name"\n"a"\n"b"\n'


def client_of(org: LocalOrg) -> httpx.Client:
    return httpx.Client(
        base_url=org.url, headers={"Authorization": f"Bearer {org.credentials.access_token}"}, timeout=60
    )


def test_a_job_its_state_and_its_result_stay_in_the_file_of_the_org(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    with LocalOrg(path, settings=Settings(bulk_page_rows=1)) as org, client_of(org) as client:
        org.insert("Account", pl.DataFrame({"Name": ["b", "a"]}))
        org.faults.add(Fault("job_fails", operation="queryAll", message="No time : none"))
        job = client.post(JOBS, json=QUERY).json()["id"]
        failed = client.post(JOBS, json=QUERY | {"operation": "queryAll"}).json()["id"]
        assert [org._services.bulk_query.wait(one) for one in (job, failed)] == ["JobComplete", "Failed"]
        before = [client.get(f"{JOBS}/{one}").json() for one in (job, failed)]
        locator = client.get(f"{JOBS}/{job}/results").headers["Sforce-Locator"]
        org.insert("Account", pl.DataFrame({"Name": ["later"]}))
    with LocalOrg(path) as org, client_of(org) as client:
        assert [client.get(f"{JOBS}/{one}").json() for one in (job, failed)] == before
        assert before[1]["errorMessage"] == "No time : none"
        assert client.get(f"{JOBS}/{job}/results").text == RESULT
        assert client.get(f"{JOBS}/{job}/results", params={"locator": locator}).text == '"Name"\n"b"\n'
        assert client.delete(f"{JOBS}/{job}").status_code == 204
        assert org.sql("SELECT table_name FROM duckdb_tables() WHERE table_name LIKE 'query_%'").is_empty()


def test_a_job_that_was_running_when_the_org_was_closed_runs_anew(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    with LocalOrg(path) as org, client_of(org) as client:
        org.insert("Account", pl.DataFrame({"Name": ["b", "a"]}))
        org.faults.add(Fault("job_stuck", operation="query"))
        job = client.post(JOBS, json=QUERY).json()["id"]
    with LocalOrg(path) as org, client_of(org) as client:
        assert org._services.bulk_query.wait(job) == "JobComplete"
        assert client.get(f"{JOBS}/{job}/results").text == RESULT


_KILLED = """
import os, signal, sys
import httpx, polars as pl
from sfframe.localorg import Fault, LocalOrg
from tests.localorg.test_bulk_query_kept import JOBS, QUERY, client_of
org = LocalOrg(sys.argv[1])
client = client_of(org)
org.insert("Account", pl.DataFrame({"Name": ["b", "a"]}))
done = client.post(JOBS, json=QUERY).json()["id"]
org._services.bulk_query.wait(done)
big = {"operation": "query", "query": "SELECT Id, Name FROM Account WHERE Name != 'x'"}
running = [client.post(JOBS, json=big).json()["id"] for _ in range(20)]
print(done, *running, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


@pytest.mark.slow
def test_query_jobs_survive_the_end_of_their_process(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    command = [sys.executable, "-c", _KILLED, str(path)]
    done, *running = subprocess.run(command, capture_output=True, text=True, check=False).stdout.split()
    with LocalOrg(path) as org, client_of(org) as client:
        assert client.get(f"{JOBS}/{done}/results").text == RESULT
        assert {org._services.bulk_query.wait(one) for one in running} == {"JobComplete"}
        assert {client.get(f"{JOBS}/{one}").json()["numberRecordsProcessed"] for one in running} == {2}


def test_the_list_shows_queries_of_both_bulk_interfaces_and_can_be_narrowed() -> None:
    with LocalOrg() as org, client_of(org) as client:
        job = client.post(JOBS, json=QUERY).json()["id"]
        ingest = client.post(f"{DATA}/jobs/ingest", json={"object": "Account", "operation": "insert"}).json()["id"]
        document = {"operation": "query", "object": "Account", "contentType": "CSV", "concurrencyMode": "Serial"}
        headers = {"X-SFDC-Session": org.credentials.access_token, "Sforce-Enable-PKChunking": "chunkSize=10"}
        classic = client.post("/services/async/66.0/job", json=document, headers=headers).json()["id"]

        def listed(**asked: str) -> list[str]:
            return [one["id"] for one in client.get(JOBS, params=asked).json()["records"]]

        assert listed() == [classic, job]
        assert listed(jobType="V2Query") == [job]
        assert listed(jobType="Classic") == [classic]
        assert listed(jobType="V2Ingest") == [ingest]
        assert listed(jobType="BigObjectIngest") == []
        assert listed(isPkChunkingEnabled="true") == [classic]
        assert listed(isPkChunkingEnabled="false") == [job]
        assert listed(concurrencyMode="parallel") == [job]
        assert listed(queryLocator=f"01g{'0' * 15}-1") == [job]
        refused = client.get(JOBS, params={"queryLocator": "x"})
        assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALID_QUERY_LOCATOR")


def test_the_query_jobs_of_a_day_can_be_used_up() -> None:
    noon = Clock(dt.datetime(2026, 3, 4, 12))
    with LocalOrg(settings=Settings(daily_query_jobs=1), clock=noon) as org, client_of(org) as client:
        answers = [client.post(JOBS, json=QUERY) for _ in range(2)]
        assert [answer.status_code for answer in answers] == [200, 400]
        words = "Max bulk v2 query jobs (1) per 24 hrs has been reached"
        assert answers[1].json() == [{"errorCode": "LIMIT_EXCEEDED", "message": words}]
        assert client.get(f"{DATA}/limits").json()["DailyBulkV2QueryJobs"] == {"Max": 1, "Remaining": 0}

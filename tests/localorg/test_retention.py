"""What is left open and what has ended long ago goes, by the org's clock (bulk2.md 2.1, 5; bulk1.md 2.2, 7)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.server import make_app
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.clock import Clock
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store
from tests.localorg.app_client import AppClient
from tests.localorg.query_rows import NOW

DATA = "/services/data/v66.0"
INGEST, QUERY, BULK1 = f"{DATA}/jobs/ingest", f"{DATA}/jobs/query", "/services/async/66.0/job"
JSON = {"Content-Type": "application/json"}


@pytest.fixture
def store() -> Iterator[Store]:
    made = Store(None, Catalogue.standard(), clock=Clock(NOW))
    yield made
    made.close()


def pass_by(store: Store, **time: int) -> None:
    """Let time go by since the beginning."""
    store.clock.set(NOW + dt.timedelta(**time))


@pytest.fixture
def services(store: Store) -> Iterator[Services]:
    made = Services(store, Settings())
    yield made
    made.close()


@pytest.fixture
def client(services: Services) -> AppClient:
    return AppClient(make_app(services), services.sessions.open_session(lasting=True))


def files_and_tables(store: Store) -> tuple[list[str], list[Any]]:
    """The files of jobs, and the tables of their rows."""
    files = [path.name for folder in ("uploads", "batches") for path in (store.scratch / folder).glob("*")]
    with store.cursor() as cursor:
        query = "SELECT table_name FROM duckdb_tables() WHERE table_name SIMILAR TO '(rows|query)_.*'"
        return files, cursor.execute(query).fetchall()


def new_ingest(client: AppClient) -> str:
    job: str = client.post(INGEST, json={"object": "Account", "operation": "insert"}).json()["id"]
    upload = client.request("PUT", f"{INGEST}/{job}/batches", content="Name\na\n", headers={"Content-Type": "text/csv"})
    assert upload.status_code == 201
    return job


def test_an_open_job_is_aborted_after_a_day(store: Store, client: AppClient) -> None:
    job = new_ingest(client)
    pass_by(store, hours=24, minutes=-1)
    assert client.get(f"{INGEST}/{job}").json()["state"] == "Open"
    pass_by(store, hours=24)
    assert client.get(f"{INGEST}/{job}").json()["state"] == "Aborted"
    assert client.get(f"{INGEST}/{job}/unprocessedrecords").text == "Name\na\n"
    refused = client.patch(f"{INGEST}/{job}", json={"state": "UploadComplete"})
    assert (refused.status_code, refused.json()[0]["errorCode"]) == (400, "INVALIDJOBSTATE")


def test_a_job_and_its_results_are_gone_seven_days_after_its_end(
    store: Store, services: Services, client: AppClient
) -> None:
    job = new_ingest(client)
    client.patch(f"{INGEST}/{job}", json={"state": "UploadComplete"})
    services.ingest.wait(job)
    pass_by(store, days=1)
    later = new_ingest(client)
    pass_by(store, days=7, minutes=-1)
    assert client.get(f"{INGEST}/{job}/successfulResults").status_code == 200
    pass_by(store, days=7)
    assert client.get(f"{INGEST}/{job}/successfulResults").json()[0]["errorCode"] == "NOT_FOUND"
    assert [one["id"] for one in client.get(INGEST).json()["records"]] == [later]
    pass_by(store, days=20)
    assert client.get(INGEST).json()["records"] == []
    assert files_and_tables(store) == ([], [])


def test_a_query_job_and_its_result_are_gone_seven_days_after_its_end(
    store: Store, services: Services, client: AppClient
) -> None:
    job = client.post(QUERY, json={"operation": "query", "query": "SELECT Id FROM Account"}).json()["id"]
    assert services.bulk_query.wait(job) == "JobComplete"
    pass_by(store, days=7, minutes=-1)
    assert client.get(f"{QUERY}/{job}/results").status_code == 200
    pass_by(store, days=7)
    assert client.get(f"{QUERY}/{job}").json()[0]["errorCode"] == "NOT_FOUND"
    assert client.get(QUERY).json()["records"] == []
    assert files_and_tables(store) == ([], [])


def test_a_job_of_bulk_1_is_closed_after_a_day_and_gone_seven_days_after_its_last_batch(
    store: Store, services: Services, client: AppClient
) -> None:
    document = {"object": "Account", "operation": "insert", "contentType": "CSV"}
    job = client.post(BULK1, json=document).json()["id"]
    pass_by(store, hours=23)
    batch = client.post(f"{BULK1}/{job}/batch", content="Name\na\n", headers={"Content-Type": "text/csv"})
    assert batch.status_code == 201
    [done] = services.bulk1.wait(job)
    pass_by(store, hours=24)
    refused = client.post(f"{BULK1}/{job}/batch", content="Name\nb\n", headers={"Content-Type": "text/csv"})
    assert "<exceptionCode>InvalidJobState</exceptionCode>" in refused.text
    assert "<state>Closed</state>" in client.get(f"{BULK1}/{job}").text
    pass_by(store, days=8, minutes=-1)
    assert client.get(f"{BULK1}/{job}/batch/{done.id}/result").status_code == 200
    pass_by(store, days=8)
    assert "<exceptionCode>InvalidJob</exceptionCode>" in client.get(f"{BULK1}/{job}").text
    assert files_and_tables(store) == ([], [])


def test_what_a_hard_delete_took_is_told_among_the_deleted(store: Store, services: Services, client: AppClient) -> None:
    account, contact = (store.catalogue.find(name) for name in ("Account", "Contact"))
    assert account is not None
    assert contact is not None
    rows = services.insert(account, pl.DataFrame({"Name": ["a", "b", "c"]}))
    child = services.insert(contact, pl.DataFrame({"LastName": ["x"], "AccountId": [rows[1]]}))
    pass_by(store, minutes=5)
    for operation, row in (("hardDelete", rows[1]), ("delete", rows[2])):
        job = client.post(INGEST, json={"object": "Account", "operation": operation}).json()["id"]
        client.request("PUT", f"{INGEST}/{job}/batches", content=f"Id\n{row}\n", headers={"Content-Type": "text/csv"})
        client.patch(f"{INGEST}/{job}", json={"state": "UploadComplete"})
        assert services.ingest.wait(job).failed == 0
    pass_by(store, minutes=10)
    span = {"start": f"{NOW:%Y-%m-%dT%H:%M:%SZ}", "end": f"{store.now():%Y-%m-%dT%H:%M:%SZ}"}

    def deleted(name: str) -> list[str]:
        answer = client.get(f"{DATA}/sobjects/{name}/deleted", params=span)
        return [one["id"] for one in answer.json()["deletedRecords"]]

    assert deleted("Account") == rows[1:]
    assert deleted("Contact") == child  # gone with its parent
    asked = {"q": "SELECT Id FROM Account WHERE IsDeleted = true"}
    assert [one["Id"] for one in client.get(f"{DATA}/queryAll", params=asked).json()["records"]] == rows[2:]
    services.reset()
    assert deleted("Account") == []

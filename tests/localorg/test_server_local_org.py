"""LocalOrg: what a user holds in hands."""

from __future__ import annotations

import datetime as dt
import gc
import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import polars as pl
import pytest

from sfframe.localorg import LocalOrg, OrgFileUnusable


@pytest.fixture
def org() -> Iterator[LocalOrg]:
    with LocalOrg() as org:
        yield org


def test_nothing_that_is_shown_tells_a_secret(org: LocalOrg) -> None:
    known = org.credentials
    shown = f"{org!r} {known!r} {org._services.sessions.secrets!r}"
    for secret in (known.access_token, known.password, known.client_id, known.client_secret):
        assert secret not in shown
    assert repr(org) == f"<LocalOrg in memory, at {org.url}>"


def test_a_deploy_takes_a_list_an_object_or_a_file(org: LocalOrg, tmp_path: Path) -> None:
    file = tmp_path / "objects.json"
    file.write_text(json.dumps([{"name": "Two__c"}, {"name": "Three__c"}]))
    assert org.deploy({"name": "One__c"}) == ["One__c"]
    assert org.deploy(file) == ["Two__c", "Three__c"]
    assert org.deploy(str(file)) == ["Two__c", "Three__c"]
    with pytest.raises(ValueError, match="A deploy takes described objects"):
        org.deploy(["Account"])  # type: ignore[list-item]


def test_a_table_is_a_typed_frame_in_the_order_of_ids(org: LocalOrg) -> None:
    org.deploy({"name": "Thing__c", "fields": [{"name": "At__c", "type": "datetime"}, {"name": "N__c", "type": "int"}]})
    moment = dt.datetime(2026, 1, 2, 3, 4, 5, 678_000)
    with org._store.cursor() as cursor:
        cursor.executemany(
            'INSERT INTO data."Thing__c" ("Id", "At__c", "N__c", "IsDeleted") VALUES (?, ?, ?, ?)',
            [("b", moment, 1, False), ("a", None, None, False), ("c", None, 3, True)],
        )
    frame = org.table("thing__c").select("Id", "At__c", "N__c", "IsDeleted")
    expected = pl.DataFrame(
        {"Id": ["a", "b"], "At__c": [None, moment], "N__c": [None, 1], "IsDeleted": [False, False]},
        schema={"Id": pl.String, "At__c": pl.Datetime("ms"), "N__c": pl.Int64, "IsDeleted": pl.Boolean},
    ).with_columns(pl.col("At__c").dt.replace_time_zone("UTC"))
    assert frame.equals(expected)
    assert frame.schema == expected.schema
    assert org.table("Thing__c", deleted=True)["Id"].to_list() == ["a", "b", "c"]
    with pytest.raises(KeyError, match="no object Nothing"):
        org.table("Nothing")
    assert org.sql('SELECT sum("N__c") AS total FROM data."Thing__c"').to_dicts() == [{"total": 4}]


def test_a_reset_empties_the_org_but_keeps_definitions_and_sessions(org: LocalOrg) -> None:
    org.deploy({"name": "Thing__c"})
    session = {"Authorization": f"Bearer {org.credentials.access_token}"}
    job = {"operation": "query", "query": "SELECT Id FROM User"}
    jobs = f"{org.url}/services/data/v60.0/jobs/query"
    created = httpx.post(jobs, json=job, headers=session).json()["id"]
    with org._store.cursor() as cursor:
        cursor.execute('INSERT INTO data."Thing__c" ("Id") VALUES (\'a\')')
    org.reset()
    assert org.table("Thing__c").height == 0
    assert org.table("User").height == 1
    assert httpx.get(f"{jobs}/{created}", headers=session).status_code == 404
    assert httpx.post(jobs, json=job, headers=session).json()["id"] == created


def test_a_file_holds_the_org_and_is_free_after_close(tmp_path: Path) -> None:
    path = tmp_path / "data.duckdb"  # the name of one of the schemas
    with LocalOrg(path, seed=4) as org:
        org.deploy({"name": "Thing__c"})
        known = org.table("Organization")["Id"].to_list()
        assert repr(org) == f"<LocalOrg file {path}, at {org.url}>"
        with pytest.raises(OrgFileUnusable):
            LocalOrg(path)
    assert repr(org) == f"<LocalOrg file {path}, closed>"
    with LocalOrg(str(path)) as org:
        assert org.table("Organization")["Id"].to_list() == known
        assert org.table("Thing__c").height == 0


PROGRAM = """
import sys
from sfframe.localorg import LocalOrg
with LocalOrg(sys.argv[1]) as org:
    print(org.url, flush=True)
    org.wait()
"""


def test_an_org_that_nobody_closes_lets_go_of_its_file_when_it_is_forgotten(tmp_path: Path) -> None:
    path = tmp_path / "org.duckdb"
    org: LocalOrg | None = LocalOrg(path)
    assert org is not None
    url, scratch = org.url, org._store.scratch
    org = None
    gc.collect()
    assert not scratch.exists()
    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/services/data")
    LocalOrg(path).close()


def test_a_process_that_ends_without_closing_its_org_ends_quietly(tmp_path: Path) -> None:
    program = "import sys; from sfframe.localorg import LocalOrg; org = LocalOrg(sys.argv[1])"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", program, str(tmp_path / "org.duckdb")]
    ended = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60)
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "", "")


@pytest.mark.skipif(os.name != "posix", reason="Windows has no SIGTERM to send")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_serving_ends_cleanly_when_the_process_is_told_to_stop(tmp_path: Path, number: signal.Signals) -> None:
    path = tmp_path / "org.duckdb"
    command = [sys.executable, "-X", "dev", "-W", "error", "-c", PROGRAM, str(path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        url = process.stdout.readline().strip()
        assert httpx.get(f"{url}/services/data").status_code == 200
        process.send_signal(number)
        printed, complained = process.communicate(timeout=60)
    assert (process.returncode, printed, complained) == (0, "", "")
    LocalOrg(path).close()

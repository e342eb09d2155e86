"""sfframe.testing as its users have it: a test suite of its own, run by pytest in a process of its own."""

from __future__ import annotations

import datetime as dt
import subprocess
import sys
from pathlib import Path

import pandas as pd
import polars as pl
import pytest

from sfframe.localorg import LocalOrg, Settings
from sfframe.testing import seed

CONFTEST = """
import pytest
from sfframe.testing import seed

pytest_plugins = ["sfframe.testing"]

@pytest.fixture(scope="session")
def local_org_setup():
    def prepare(org):
        size = {"name": "Size__c", "type": "double", "precision": 9, "scale": 2}
        org.deploy({"name": "Thing__c", "fields": [size]})
        seed(org, {"Account": [{"Name": "Standing"}]})
    return prepare
"""
SUITE = """
import httpx
import pytest
import sfframe as sf
from sfframe.testing import Fault, seed

names = []

@pytest.mark.parametrize("turn", [1, 2, 3])
def test_each_test_finds_the_org_as_it_was_prepared(local_org, turn):
    assert local_org.table("Account")["Name"].to_list() == ["Standing"]
    seeded = seed(local_org, {"Account": [{"Name": f"Turn {turn}"}], "Thing__c": [{"Size__c": 1.5}]})
    names.append(seeded["Account"]["Id"][0])
    assert set(names) == {names[0]}  # ids begin anew as well
    assert local_org.table("Thing__c")["Size__c"].to_list() == [1.5]
    local_org.faults.add(Fault("answer"))

def test_the_log_tells_the_requests_of_this_test_alone(local_org, request_log):
    assert request_log().height == 0
    with sf.connect(local_org) as org:
        assert sf.read_soql("SELECT Name FROM Account", org=org).to_dicts() == [{"Name": "Standing"}]
    assert request_log().filter(status=200)["path"].str.ends_with("/query").any()

def test_orgs_with_faults_are_the_tests_own(org_with_faults, tmp_path):
    plan = tmp_path / "faults.json"
    plan.write_text('{"kind": "answer", "status": 502, "html": true, "nth": 2}')
    first = org_with_faults(Fault("reset_before", nth=1), plan, seed=3)
    second = org_with_faults()
    with pytest.raises(httpx.ReadError):
        httpx.get(first.url + "/services/data")
    assert [httpx.get(first.url + "/services/data").status_code for _ in range(2)] == [502, 200]
    assert httpx.get(second.url + "/services/data").status_code == 200
"""


def test_a_users_suite_passes_with_the_fixtures_in_any_order(tmp_path: Path) -> None:
    (tmp_path / "conftest.py").write_text(CONFTEST)
    (tmp_path / "test_suite.py").write_text(SUITE)
    run = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-W", "error", str(tmp_path)],
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "5 passed" in run.stdout


DEPLOYED = [
    {
        "name": "Parcel__c",
        "fields": [
            {"name": "Code__c", "type": "string", "length": 20, "externalId": True, "unique": True},
            {"name": "Weight__c", "type": "double", "precision": 12, "scale": 3},
            {"name": "Count__c", "type": "int", "digits": 8},
            {"name": "Fragile__c", "type": "boolean"},
            {"name": "Sent__c", "type": "datetime"},
            {"name": "Day__c", "type": "date"},
            {"name": "Clock__c", "type": "time"},
            {"name": "Tags__c", "type": "multipicklist"},
            {"name": "Within__c", "type": "reference", "referenceTo": ["Parcel__c"], "relationshipName": "Within__r"},
        ],
    }
]


def test_frames_of_all_kinds_are_seeded_with_their_types() -> None:
    moment = dt.datetime(2024, 5, 1, 12, 0, 0, 123_000, tzinfo=dt.UTC)
    values = {
        "Code__c": ["A", None],
        "Weight__c": [1e6, 0.125],
        "Count__c": [7, None],
        "Fragile__c": [True, None],
        "Sent__c": [moment, None],
        "Day__c": [dt.date(2024, 5, 1), None],
        "Clock__c": [dt.time(1, 2, 3), None],
        "Tags__c": [["x", "y"], None],
    }
    with LocalOrg() as org:
        org.deploy(DEPLOYED)
        seeded = seed(org, {"Parcel__c": pl.DataFrame(values)})["Parcel__c"]
        stored = org.table("Parcel__c")
        assert stored["Id"].to_list() == seeded["Id"].to_list()
        expected = {**values, "Fragile__c": [True, False], "Tags__c": ["x;y", None]}
        assert {name: stored[name].to_list() for name in values} == expected
        below = seed(org, {"Parcel__c": pd.DataFrame({"Code__c": ["B"], "Within__r.Code__c": ["a"]})})["Parcel__c"]
        assert org.table("Parcel__c").filter(Id=below["Id"][0])["Within__c"].to_list() == [seeded["Id"][0]]


def test_seeding_refuses_what_the_org_refuses_and_inserts_nothing_then() -> None:
    with LocalOrg() as org:
        org.deploy(DEPLOYED)
        with pytest.raises(ValueError, match=r"Parcel__c: 1 of 2 rows were refused, nothing was inserted. row 1: DUPL"):
            seed(org, {"Parcel__c": [{"Code__c": "A"}, {"Code__c": "a"}]})
        with pytest.raises(ValueError, match="Account: Field name not found : Nmae"):
            seed(org, {"Account": [{"Nmae": "A"}]})
        with pytest.raises(KeyError, match="The org has no object Acount"):
            seed(org, {"Acount": [{"Name": "A"}]})
        assert org.table("Parcel__c").height == 0


def test_a_snapshot_brings_rows_back_and_takes_later_ones_away(tmp_path: Path) -> None:
    with LocalOrg(tmp_path / "org.duckdb", settings=Settings(seed=4)) as org:
        seed(org, {"Account": [{"Name": "before"}]})
        start = org.snapshot()
        for _ in range(2):
            (added,) = org.insert("Account", pl.DataFrame({"Name": ["after"]}))
            org.insert("Contact", pl.DataFrame({"LastName": ["Roe"], "AccountId": [added]}))
            org.restore(start)
            assert org.table("Account")["Name"].to_list() == ["before"]
            assert org.table("Contact").height == 0
        assert org.insert("Account", pl.DataFrame({"Name": ["after"]})) == [added]

"""``sfframe query`` as a person calls it."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf

Command = Callable[..., subprocess.CompletedProcess[str]]
ORG = ("--org", "local:org.duckdb")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with sf.LocalOrg(tmp_path / "org.duckdb") as local:
        local.deploy([{"name": "Account", "fields": [{"name": "Tags__c", "type": "multipicklist", "length": 99}]}])
        names = ["Acme", "O'Neill", 'Zoë "Z"', "none"]
        tags = ["A;B", "A", None, None]
        local.insert("Account", pl.DataFrame({"Name": names, "AnnualRevenue": [1.5, 2.0, None, None], "Tags__c": tags}))
    return tmp_path


def test_values_go_in_by_name_and_files_of_them_make_lists(folder: Path, command: Command) -> None:
    query = "SELECT Name FROM Account WHERE Name {} ORDER BY Name"
    one = command("query", query.format("= :name"), "--param", "name=O'Neill", *ORG)
    assert (one.returncode, one.stdout) == (0, "Name\nO'Neill\n")
    two = command("query", query.format("IN :names"), "--param", "names=Acme", "--param", "names=O'Neill", *ORG)
    assert (two.returncode, two.stdout) == (0, "Name\nAcme\nO'Neill\n")
    (folder / "names.txt").write_text('Zoë "Z"\n\nAcme\n', "utf-8")
    listed = command("query", query.format("IN :names"), "--param", "names=@names.txt", *ORG)
    assert (listed.returncode, listed.stdout) == (0, 'Name\nAcme\n"Zoë ""Z"""\n')
    wrong = command("query", query.format("= :name"), "--param", "O'Neill", *ORG)
    assert (wrong.returncode, wrong.stderr.splitlines()[-2:]) == (
        2,
        ['sfframe: --param "O\'Neill" is not name=text', "Write it as --param name=Acme."],
    )
    missing = command("query", query.format("IN :names"), "--param", "names=@no.txt", *ORG)
    assert (missing.returncode, missing.stderr.splitlines()[-1]) == (2, "Name a text file with one value a line.")


def test_types_are_asked_for_by_flags(folder: Path, command: Command) -> None:
    query = "SELECT AnnualRevenue, Tags__c FROM Account WHERE Name = 'Acme'"
    words = ("query", query, "--decimals", "--split-multipicklists", "--output", "typed.parquet")
    assert command(*words, *ORG).returncode == 0
    found = pl.read_parquet(folder / "typed.parquet")
    assert found.schema == pl.Schema({"AnnualRevenue": pl.Decimal(18, 0), "Tags__c": pl.List(pl.String)})
    assert found["Tags__c"].to_list() == [["A", "B"]]


def test_a_query_is_cut_by_its_ids_or_by_a_field_on_request(folder: Path, command: Command) -> None:
    query = "SELECT Name FROM Account"
    chunked = command("query", query, "--pk-chunking", "2", "--output", "chunks.csv", *ORG)
    assert (chunked.returncode, chunked.stderr.splitlines()[-1]) == (0, "4 rows in chunks.csv")
    parts = command("query", query, "--partitions", "3", "--by", "Id", "--output", "parts.csv", *ORG)
    assert (parts.returncode, parts.stderr.splitlines()[-1]) == (0, "4 rows in parts.csv")
    by_name = command("query", query, "--partitions", "3", "--by", "Name", "--output", "no.csv", *ORG)
    assert (by_name.returncode, "Name is of type string" in by_name.stderr) == (2, True)
    with sf.LocalOrg(folder / "org.duckdb") as local, sf.connect(local) as org:
        assert sf.list_jobs(org=org).filter(api="bulk1").height == 1


def test_waiting_for_a_job_ends_when_it_is_told_to(folder: Path, command: Command) -> None:
    late = command("query", "SELECT Name FROM Account", "--api", "bulk2", "--timeout", "0", *ORG)
    assert late.returncode == 2
    assert "sfframe.get_job('750" in late.stderr

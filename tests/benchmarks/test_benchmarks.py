"""The benchmark runs and counts its rows; what it measures for few rows says nothing about the goals."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.slow
def test_the_benchmark_of_the_embedded_org_prints_its_table() -> None:
    script = Path(__file__).with_name("localorg.py")
    run = subprocess.run(
        [sys.executable, str(script), "--rows", "5000"], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode in (0, 1), run.stderr
    assert [line.split("|")[1].strip() for line in run.stdout.splitlines()[2:]] == [
        "insert of 5,000 x 12, results ready",
        "upsert of 1,250 x 12",
        "bulk query of 5,250 x 12 to CSV",
        "collections of 200",
        "upload of 1 MB",
    ]


@pytest.mark.slow
def test_the_benchmark_of_reads_prints_its_table() -> None:
    pytest.importorskip("simple_salesforce")
    script = Path(__file__).with_name("read.py")
    run = subprocess.run(
        [sys.executable, str(script), "--rows", "5100", "--rounds", "1"],
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
    assert run.returncode in (0, 1), run.stderr
    assert [line.split("|")[1].strip() for line in run.stdout.splitlines()[2:]] == [
        "bulk: the floor",
        "bulk: read_soql",
        "bulk: simple salesforce pandas",
        "bulk: simple salesforce polars",
        "rest: the floor",
        "rest: read_soql",
        "rest: simple salesforce pandas",
        "rest: simple salesforce polars",
        "sink_parquet of scan_soql",
        "export_soql to Parquet",
        "scan_sobject, filter, select, head(10)",
    ]


def printed(script: str, *options: str) -> list[list[str]]:
    """The cells of the table that a benchmark prints."""
    path = Path(__file__).with_name(script)
    run = subprocess.run(
        [sys.executable, str(path), *options], capture_output=True, text=True, timeout=300, check=False
    )
    assert run.returncode in (0, 1), run.stderr
    return [[cell.strip() for cell in line.split("|")[1:-1]] for line in run.stdout.splitlines()[2:]]


@pytest.mark.slow
def test_the_benchmark_of_writes_loads_the_same_rows_in_every_way() -> None:
    ours = "floor,raise,reject,twins,floor_key,insert_key,upsert,join,local,parquet"
    lines = printed("write.py", "--rows", "3000", "--rounds", "1", "--only", ours)
    assert [line[:2] for line in lines] == [
        ["floor, join by content", "3,000"],
        ['write_sobject, insert, "raise"', "3,000"],
        ['write_sobject, insert, "reject"', "3,000"],
        ["write_sobject, insert, 5 % twins", "3,000"],
        ["floor, join by key", "3,000"],
        ["write_sobject, insert with a key", "3,000"],
        ["write_sobject, upsert", "3,000"],
        ["the join by itself, 5 % twins", "3,000"],
        ["write_sobject, Parquet to Parquet", "3,000"],
        ["write_sobject, the embedded org", "3,000"],
    ]


@pytest.mark.slow
def test_the_benchmark_of_writes_measures_simple_salesforce_beside_it() -> None:
    lines = printed("write.py", "--rows", "3000", "--rounds", "1", "--only", "reject,simple_records,simple_file")
    assert [line[0] for line in lines] == [
        "floor, join by content",
        'write_sobject, insert, "reject"',
        "simple-salesforce, records",
        "simple-salesforce, CSV file",
    ]
    assert "times as fast" in lines[-1][-1]

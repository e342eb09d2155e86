"""``sfframe load`` and ``sfframe retry`` as a person calls them."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf
from sfframe.localorg import Settings

Command = Callable[..., subprocess.CompletedProcess[str]]
WORDS = ("load", "rows.csv", "Account", "--operation", "insert", "--org", "local:org.duckdb")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("SFFRAME_HOME", str(tmp_path / "home"))
    (tmp_path / "rows.csv").write_text("Name,Phone\nA,1\nB,\n", newline="")
    return tmp_path


def stored(folder: Path) -> list[str]:
    with sf.LocalOrg(folder / "org.duckdb") as local:
        return sorted(local.table("Account")["Name"].to_list())


def test_a_dry_run_tells_the_cost_and_a_guard_stops_and_a_load_loads_once(folder: Path, command: Command) -> None:
    dry = command(*WORDS, "--dry-run")
    assert (dry.returncode, "A dry run: nothing was sent. It would go by Bulk API 2.0." in dry.stderr) == (0, True)
    assert "0.01% of a day" in dry.stderr
    guarded = command(*WORDS, "--max-creates", "1")
    assert (guarded.returncode, "would create 2 records, and max_creates allows 1" in guarded.stderr) == (2, True)
    done = command(*WORDS, "--serial", "--keep-raw", "--results", "answers.parquet")
    assert (done.returncode, "2 rows: 2 created" in done.stderr) == (0, True)
    assert pl.read_parquet(folder / "answers.parquet")["sf__Status"].to_list() == ["created", "created"]
    (raw,) = (folder / "answers.parquet.raw").iterdir()
    assert raw.read_text().splitlines()[0] == '"Id","Success","Created","Error"'
    twice = command(*WORDS)
    assert (twice.returncode, "The same rows were inserted before" in twice.stderr) == (2, True)
    assert stored(folder) == ["A", "B"]


def test_retry_sends_the_rows_of_a_kept_load_that_failed(folder: Path, command: Command) -> None:
    with sf.LocalOrg(folder / "org.duckdb") as local:
        local.validation_rule("Account", name="Phone", when="Phone = null", message="A phone?")
    first = command(*WORDS, "--keep")
    assert (first.returncode, "1 created, 1 failed" in first.stderr) == (1, True)
    run = command("history").stdout.split()[0]
    still = command("retry", run, "--org", "local:org.duckdb")
    assert (still.returncode, "1 created, 1 failed" in still.stderr) == (1, True)
    with sf.LocalOrg(folder / "org.duckdb") as local:
        local.validation_rule("Account", name="Phone", when="Phone = 'x'", message="No")
    again = command("retry", run, "--part", "0", "--org", "local:org.duckdb")
    assert (again.returncode, "2 rows: 2 created" in again.stderr) == (0, True)
    assert stored(folder) == ["A", "B"]


def test_options_of_loads_are_flags(folder: Path, command: Command) -> None:
    with sf.LocalOrg(folder / "org.duckdb") as local:
        ids = local.insert("Account", pl.DataFrame({"Name": ["A", "B"], "Phone": ["1", "2"], "Fax": ["3", "4"]}))
    pl.DataFrame({"Id": ids, "Phone": [None, "5"], "Fax": [None, "6"]}).write_parquet(folder / "rows.parquet")
    update = ("load", "rows.parquet", "Account", "--operation", "update", "--org", "local:org.duckdb")
    uploads = ("--api", "bulk2", "--column-delimiter", "TAB", "--line-ending", "CRLF", "--keep-days", "2")
    done = command(*update, *uploads, "--nulls", "Phone=ignore", "--nulls", "Fax=clear")
    assert (done.returncode, "2 rows: 2 updated" in done.stderr) == (0, True)
    with sf.LocalOrg(folder / "org.duckdb") as local:
        assert local.table("Account").sort("Name").select("Phone", "Fax").rows() == [("1", None), ("5", "6")]
        with sf.connect(local) as org:
            job = sf.get_job(sf.list_jobs(org=org)["id"][0], org=org)
            assert isinstance(job, sf.IngestJob)
            assert (job.info.column_delimiter, job.info.line_ending) == ("TAB", "CRLF")
    both = command(*update, "--nulls", "clear", "--nulls", "Fax=clear")
    assert (both.returncode, both.stderr.splitlines()[-2]) == (
        2,
        "sfframe: --nulls is given for all columns and for some",
    )
    wrong = command(*update, "--nulls", "keep")
    assert (wrong.returncode, "nulls='keep' is not known" in wrong.stderr) == (2, True)
    late = command(*update, "--api", "bulk2", "--timeout", "0")
    assert (late.returncode, "sfframe.resume(" in late.stderr) == (2, True)


def test_ctrl_c_says_what_became_of_the_jobs_and_how_to_go_on(folder: Path) -> None:
    with sf.LocalOrg(settings=Settings(hold_jobs=True)) as local, sf.connect(local) as org:
        given = local.credentials
        environment = {**os.environ, "SF_INSTANCE_URL": given.url, "SF_ACCESS_TOKEN": given.access_token}
        words = [sys.executable, "-m", "sfframe.cli", *WORDS[:-2], "--api", "bulk2"]
        process = subprocess.Popen(words, env=environment, cwd=folder, stderr=subprocess.PIPE, text=True)
        until = time.monotonic() + 60
        while "UploadComplete" not in sf.list_jobs(org=org)["state"] and time.monotonic() < until:
            assert process.poll() is None
        process.send_signal(signal.SIGINT)
        _, told = process.communicate(timeout=60)
    assert process.returncode == 130
    stopped, how = told.splitlines()[-2:]
    assert stopped == "sfframe: interrupted"
    assert how.startswith("Open jobs were aborted, closed ones go on in the org. Go on with sfframe.resume('")

"""What cannot be loaded is refused in words that help, and nothing is lost or sent twice by it."""

from __future__ import annotations

import datetime as dt
import json
import sqlite3
import subprocess
import sys
import threading
import time
from collections import Counter
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import sfframe as sf
from sfframe.localorg import Clock, Fault, Settings
from sfframe.options import Api

NAMES = pl.DataFrame({"Name": [f"n{row}" for row in range(30)]})
THREE_PARTS = sf.LoadLimits(rows_per_job=10, lanes=1)
BRISK = sf.Pacing(first=0.01, longest=0.05)


@pytest.fixture(autouse=True)
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A ledger of the test's own."""
    monkeypatch.setenv("SFFRAME_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def inserted(org: sf.Org, frame: pl.DataFrame = NAMES, *, lazily: bool = False, **options: Any) -> pl.DataFrame:
    told = sf.LoadOptions(on_failed="ignore", pacing=BRISK, **options)
    if lazily:
        return sf.write_sobject(frame, "Account", operation="insert", org=org, on_invalid="reject", options=told).frame
    return sf.write_sobject(frame, "Account", operation="insert", org=org, options=told).frame


def resumed(org: sf.Org, run: str) -> sf.LoadResult[pl.DataFrame]:
    return sf.resume(run, org=org, options=sf.LoadOptions(on_failed="ignore", pacing=BRISK))


def stored(local: sf.LocalOrg) -> list[str]:
    return sorted(local.table("Account")["Name"].to_list())


def come_to(local: sf.LocalOrg, names: list[str]) -> bool:
    """Whether the org has these rows, when the batches that it has taken are done."""
    pause, deadline = threading.Event(), time.monotonic() + 60
    while stored(local) != names and time.monotonic() < deadline:
        pause.wait(0.02)
    return stored(local) == names


def spooled(home: Path) -> list[str]:
    """The runs that have files on this disk."""
    return sorted(folder.name for folder in (home / "runs").iterdir())


# -- too large -------------------------------------------------------------------------------------------------------


def test_more_bytes_than_an_upload_may_have_are_refused_as_an_option() -> None:
    with pytest.raises(sf.UsageError) as told:
        sf.LoadLimits(bytes_per_job=100_000_001)
    assert str(told.value) == (
        "bytes_per_job is above 100,000,000, more than one upload may hold\n"
        "Leave it at its default; more bytes than that become several jobs."
    )


def test_a_part_that_is_too_large_for_the_org_is_told_and_leaves_no_open_job() -> None:
    with sf.LocalOrg(settings=Settings(upload_bytes=60)) as local, sf.connect(local) as org:
        with pytest.raises(sf.ApiError) as told:
            inserted(org, api="bulk2")
        assert (told.value.status, told.value.said) == (413, "API_ERROR: Job content exceeds the limit of 60 bytes")
        assert sf.list_jobs(org=org)["state"].to_list() == ["Aborted"]
        assert stored(local) == []
        assert sf.history().select("run", "finished").rows() == [(told.value.run, None)]
        assert set(inserted(org, api="bulk2", limits=THREE_PARTS)["sf__Status"]) == {"created"}


@pytest.mark.parametrize("api", ["bulk2", "bulk1", "collections"])
@pytest.mark.parametrize("lazily", [False, True])
def test_a_row_that_is_larger_than_a_part_is_named_and_nothing_is_sent(
    local_org: sf.LocalOrg, org: sf.Org, home: Path, api: Api, lazily: bool
) -> None:
    long = pl.when(pl.int_range(pl.len()) == 25).then(pl.lit("x" * 90))
    with pytest.raises(sf.FrameError) as told:
        inserted(
            org,
            NAMES.with_columns(Name=long.otherwise("Name")),
            lazily=lazily,
            api=api,
            limits=sf.LoadLimits(bytes_per_job=60),
        )
    assert str(told.value) == (
        "row 25 of those to be sent: the record is 91 bytes long; with its header, one upload takes 60\n"
        "Shorten its texts, or leave its largest column out with columns={...: None}."
    )
    assert stored(local_org) == []
    assert (told.value.run, spooled(home), sf.history().height) == ("", [], 0)


# -- the day's batches -----------------------------------------------------------------------------------------------


def two_batches_a_day() -> sf.LocalOrg:
    """At noon, so that no day ends meanwhile."""
    return sf.LocalOrg(settings=Settings(daily_batches=2), clock=Clock(dt.datetime(2026, 3, 4, 12)))


def test_more_batches_than_the_day_has_are_told_and_those_before_are_kept() -> None:
    with two_batches_a_day() as local, sf.connect(local) as org:
        with pytest.raises(sf.LimitExceeded) as told:
            inserted(org, api="bulk1", limits=THREE_PARTS)
        assert told.value.said == "ExceededQuota: ApiBatchItems Limit exceeded."
        assert told.value.remedy.startswith("Wait until the org's 24-hour window has moved")
        assert come_to(local, sorted(NAMES["Name"][:20]))
        with pytest.raises(sf.LimitExceeded):
            resumed(org, told.value.run)
        assert stored(local) == sorted(NAMES["Name"][:20])


def test_a_load_goes_on_when_the_day_has_batches_again(local_org: sf.LocalOrg, org: sf.Org) -> None:
    local_org.faults.add(Fault("answer", status=400, code="ExceededQuota", method="POST", path="*/batch", nth=2))
    with pytest.raises(sf.LimitExceeded) as told:
        inserted(org, api="bulk1", limits=THREE_PARTS)
    result = resumed(org, told.value.run)
    assert result.frame["sf__Status"].to_list() == ["created"] * 30
    assert stored(local_org) == sorted(NAMES["Name"])


def test_batches_of_bulk2_that_the_day_does_not_have_leave_rows_unknown_with_the_orgs_words() -> None:
    """The rows of such batches are in no file of results (bulk2.md 9), so nobody knows."""
    with two_batches_a_day() as local, sf.connect(local) as org:
        answers = inserted(org, api="bulk2", limits=THREE_PARTS)
        assert Counter(answers.select("sf__Status", "sf__Error").rows()) == {
            ("created", None): 20,
            ("unknown", "ExceededQuota : ApiBatchItems Limit exceeded"): 10,
        }
        assert stored(local) == sorted(answers.filter(sf__Status="created")["Name"])
        assert sf.history()["finished"].to_list() == [None]


# -- the disk --------------------------------------------------------------------------------------------------------

# No file of this process grows beyond 200,000 bytes: to it, that is a full disk.
CRAMPED = """
import json, resource, sys
import polars as pl, sfframe as sf
org = sf.connect(instance_url=sys.argv[1], access_token=sys.argv[2])
resource.setrlimit(resource.RLIMIT_FSIZE, (200_000, 200_000))
frame = pl.DataFrame({"Name": [f"{'y' * 50}{row}" for row in range(120_000)]})
def tell(data, **more):
    limits = sf.LoadLimits(rows_per_job=1_000)
    try:
        sf.write_sobject(data, "Account", operation="insert", org=org, **more)
    except sf.SfframeError as problem:
        told = [type(problem).__name__, problem.what, problem.remedy, problem.run]
        print(json.dumps(told), flush=True)
tell(frame[:20_000])
tell(iter([frame]))
tell(frame[:2_000], results=sys.argv[3], options=sf.LoadOptions(limits=sf.LoadLimits(rows_per_job=500)))
"""


def test_a_disk_that_is_full_is_told_and_nothing_is_lost(
    local_org: sf.LocalOrg, org: sf.Org, home: Path, tmp_path: Path
) -> None:
    pytest.importorskip("resource", reason="only POSIX limits the size of files")
    target = tmp_path / "answers.csv"
    words = [local_org.url, local_org.credentials.access_token, str(target)]
    loader = subprocess.run(
        [sys.executable, "-c", CRAMPED, *words], capture_output=True, text=True, timeout=300, check=False
    )
    assert loader.returncode == 0, loader.stderr
    in_parts, as_stream, at_results = [json.loads(line) for line in loader.stdout.splitlines()]
    assert in_parts[:2] == ["FrameError", "the rows cannot be written to the spool: File too large"]
    assert as_stream[0] == "SfframeError"
    assert as_stream[1].startswith("a file cannot be written: File too large")
    assert as_stream[2].startswith("Make room")
    assert at_results[1].startswith("a file cannot be written: File too large")
    assert spooled(home) == [at_results[3]]
    assert not target.exists()
    result = sf.resume(at_results[3], org=org, results=target)
    assert result.counts == {"created": 2_000}
    assert stored(local_org) == sorted(pl.read_csv(target)["Name"])


# -- the ledger ------------------------------------------------------------------------------------------------------


def test_a_ledger_of_a_newer_sfframe_is_refused_before_anything_is_sent(
    local_org: sf.LocalOrg, org: sf.Org, home: Path
) -> None:
    inserted(org)
    with sqlite3.connect(home / "ledger.sqlite") as database:
        database.execute("PRAGMA user_version = 99")
    database.close()
    before = local_org.request_log().height
    with pytest.raises(sf.LedgerError) as told:
        inserted(org, NAMES.reverse())
    assert told.value.what.startswith("the ledger has form 99, this sfframe knows form")
    assert told.value.remedy == "Use the sfframe that wrote it, or another folder."
    assert (local_org.request_log().height, local_org.table("Account").height) == (before, 30)


@pytest.mark.slow  # a locked ledger is waited for, for five seconds
def test_a_ledger_that_another_process_holds_stops_a_load_before_it_begins(
    local_org: sf.LocalOrg, org: sf.Org, home: Path
) -> None:
    inserted(org)
    holder = sqlite3.connect(home / "ledger.sqlite", isolation_level=None)
    holder.execute("BEGIN EXCLUSIVE")
    with pytest.raises(sf.LedgerError) as told:
        inserted(org, NAMES.reverse())
    holder.execute("ROLLBACK")
    holder.close()
    assert told.value.what == "another process holds the ledger"
    assert told.value.remedy == "Wait until it has ended, or use another folder."
    assert local_org.table("Account").height == 30
    assert spooled(home) == []
    assert set(inserted(org, NAMES.reverse())["sf__Status"]) == {"created"}


# -- a job that is gone ----------------------------------------------------------------------------------------------


def test_a_run_whose_job_is_gone_leaves_its_rows_unknown_and_sends_nothing_again(
    local_org: sf.LocalOrg, org: sf.Org, home: Path
) -> None:
    hasty = sf.LoadOptions(api="bulk2", pacing=sf.Pacing(timeout=0), limits=sf.LoadLimits(rows_per_job=15))
    with pytest.raises(sf.JobTimeout) as told:
        sf.write_sobject(NAMES, "Account", operation="insert", org=org, options=hasty)
    run = told.value.run
    closed = sf.history()["jobs"].item().to_list()
    for number in closed:
        job = sf.get_job(number, org=org)
        assert isinstance(job, sf.IngestJob)
        job.poll()
        job.delete()
    local_org.clear_request_log()
    result = resumed(org, run)
    gone = "The org does not know this job any more (it keeps them for 7 days): what became of its rows is unknown."
    told_of = Counter(result.frame.select("sf__Status", "sf__Error").rows())
    assert told_of[("unknown", gone)] == 15 * len(closed)
    assert f"job {closed[0]}: {gone}" in result.notes
    assert stored(local_org) == sorted(NAMES["Name"])[: len(stored(local_org))]
    assert local_org.table("Account")["Name"].is_unique().all()
    assert spooled(home) == [run]


def test_a_run_whose_job_is_gone_before_it_was_closed_goes_on_with_a_new_one(
    local_org: sf.LocalOrg, org: sf.Org
) -> None:
    local_org.faults.add(Fault("answer", status=400, code="INVALIDJOB", method="PUT", nth=1))
    with pytest.raises(sf.ApiError) as told:
        inserted(org, api="bulk2")
    (aborted,) = sf.list_jobs(org=org)["id"]
    sf.get_job(aborted, org=org).delete()
    assert resumed(org, told.value.run).counts == {"created": 30}
    assert stored(local_org) == sorted(NAMES["Name"])

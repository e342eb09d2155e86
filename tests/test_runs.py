"""A load that broke off goes on where it was: nothing is lost, nothing is sent twice."""

from __future__ import annotations

import os
import signal
import sqlite3
import subprocess
import sys
import threading
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf
from sfframe.localorg import Fault, Settings
from sfframe.state import home as load_home

IMPATIENT = sf.LoadOptions(pacing=sf.Pacing(timeout=0), on_failed="ignore")
FRAME = pl.DataFrame(
    {"Name": ["a", "b", None, "d"], "AnnualRevenue": [1.0, None, 3.0, 4e7], "note": ["w", "x", "y", "z"]}
)


@pytest.fixture(autouse=True)
def _own_home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SFFRAME_HOME", str(tmp_path / "home"))


def broken_off(org: sf.Org) -> str:
    """A load that nobody waited for; the number of its run."""
    with pytest.raises(sf.JobTimeout, match="resume") as raised:
        sf.write_sobject(
            FRAME,
            "Account",
            operation="insert",
            columns={"note": None},
            on_invalid="reject",
            org=org,
            options=IMPATIENT,
        )
    run = sf.history()["run"].item(0)
    assert run in raised.value.remedy
    assert (raised.value.run, raised.value.job_id[:3]) == (run, "750")
    assert sf.history()["finished"].item(0) is None
    return str(run)


def test_resume_answers_the_callers_own_rows(org: sf.Org) -> None:
    run = broken_off(org)
    result = sf.resume(run, rows=FRAME, org=org, options=sf.LoadOptions(on_failed="ignore"))
    assert result.frame.select(FRAME.columns).equals(FRAME)
    assert result.frame["sf__Status"].to_list() == ["created", "created", "rejected", "created"]
    assert result.run == run
    read = sf.read_soql("SELECT Id, Name, AnnualRevenue FROM Account ORDER BY Name", org=org)
    assert read.rows() == result.succeeded.select("sf__Id", "Name", "AnnualRevenue").rows()
    assert sf.history().filter(run=run)["outcome"].to_list() == ["some rows did not succeed"]


def test_resume_without_rows_answers_what_was_sent(org: sf.Org) -> None:
    result = sf.resume(broken_off(org), org=org, options=sf.LoadOptions(on_failed="ignore"))
    assert result.frame.select("Name", "AnnualRevenue", "sf__Status").rows() == [
        ("a", "1.0", "created"),
        ("b", None, "created"),
        (None, None, "rejected"),
        ("d", "40000000.0", "created"),
    ]
    assert sf.read_soql("SELECT COUNT() FROM Account", org=org).item() == 3


def test_resume_refuses_other_rows_another_org_and_a_run_that_is_complete(org: sf.Org) -> None:
    run = broken_off(org)
    with pytest.raises(sf.UsageError, match="not the rows that were sent"):
        sf.resume(run, rows=FRAME.with_columns(Name=pl.lit("other")), org=org)
    with pytest.raises(sf.UsageError, match="no column 'AnnualRevenue'"):
        sf.resume(run, rows=FRAME.drop("AnnualRevenue"), org=org)
    with (
        sf.LocalOrg() as other,
        sf.connect(other) as elsewhere,
        pytest.raises(sf.UsageError, match="another org"),
    ):
        sf.resume(run, org=elsewhere)
    with pytest.raises(sf.UsageError, match="no run"):
        sf.resume("nothing", org=org)
    sf.resume(run, org=org, options=sf.LoadOptions(on_failed="ignore"))
    with pytest.raises(sf.UsageError, match="complete"):
        sf.resume(run, org=org)


def test_a_cancelled_load_can_be_resumed() -> None:
    with sf.LocalOrg(settings=Settings(hold_jobs=True)) as local, sf.connect(local) as org:
        cancel = threading.Event()

        def stop_when_queued(event: object) -> None:
            if getattr(event, "kind", "") == "queued":
                cancel.set()

        with pytest.raises(sf.Cancelled):
            sf.write_sobject(
                FRAME.head(2).drop("note"),
                "Account",
                operation="insert",
                org=org,
                options=sf.LoadOptions(cancel=cancel, progress=stop_when_queued),
            )
        run, jobs = sf.history().select("run", "jobs").row(0)
        local._services.ingest.release(jobs[0])
        assert sf.resume(run, org=org).counts == {"created": 2}
        assert sf.read_soql("SELECT COUNT() FROM Account", org=org).item() == 2


LOADER = """
import sys, polars as pl, sfframe as sf
org = sf.connect(instance_url=sys.argv[1], access_token=sys.argv[2])
frame = pl.DataFrame({"Name": [f"n{row}" for row in range(3_000)]})
def tell(event):
    print(event.kind, flush=True)
    if event.kind == sys.argv[3]:
        sys.stdin.readline()  # wait here to be killed
sf.write_sobject(frame, "Account", operation="insert", org=org,
                 options=sf.LoadOptions(progress=tell, limits=sf.LoadLimits(rows_per_job=1_000, lanes=1)))
"""


@pytest.mark.slow
@pytest.mark.parametrize("moment", ["open", "uploaded", "closed", "queued", "ended", "response"])
def test_a_killed_process_leaves_a_load_that_goes_on_and_inserts_nothing_twice(moment: str) -> None:
    with sf.LocalOrg() as local, sf.connect(local) as org:
        words = [sys.executable, "-c", LOADER, local.url, local.credentials.access_token, moment]
        with subprocess.Popen(
            words, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env=dict(os.environ)
        ) as loader:
            assert loader.stdout is not None
            for line in loader.stdout:
                if line.strip() == moment:
                    break
            loader.send_signal(signal.SIGKILL)
        run = sf.history()["run"].item(0)
        frame = pl.DataFrame({"Name": [f"n{row}" for row in range(3_000)]})
        result = sf.resume(run, rows=frame, org=org)
        assert result.counts == {"created": 3_000}
        stored = local.table("Account").select("Id", "Name")
        assert stored.height == 3_000
        assert dict(stored.rows()) == dict(result.frame.select("sf__Id", "Name").rows())


def test_retry_sends_what_may_pass_and_keeps_the_place_of_every_row() -> None:
    with sf.LocalOrg() as local, sf.connect(local) as org:
        local.validation_rule("Account", name="Phone", when="Phone = null", message="UNABLE_TO_LOCK_ROW: busy")
        local.deploy([{"name": "Account", "fields": [{"name": "Note__c", "type": "string", "length": 9}]}])
        frame = pl.DataFrame({"Name": ["a", "b", "c"], "Phone": ["1", None, "3"], "mine": [1, 2, 3]})
        silent = sf.LoadOptions(on_failed="ignore", keep=True)
        first = sf.write_sobject(frame, "Account", operation="insert", columns={"mine": None}, org=org, options=silent)
        assert first.frame["sf__Status"].to_list() == ["created", "failed", "created"]
        assert sf.retry(first, org=org) is first  # the error does not pass by itself
        local.validation_rule("Account", name="Phone", when="Phone = 'never'", message="no")
        second = sf.retry(first.run, part=0, org=org, options=silent)
        assert second.frame.select("Name", "Phone").rows() == [("a", "1"), ("b", None), ("c", "3")]
        assert second.counts == {"created": 3}
        with pytest.raises(sf.UsageError, match="The same rows were inserted before"):
            sf.retry(first, part=0, org=org)
        third = sf.retry(first, part=0, org=org, options=sf.LoadOptions(again=True))
        assert third.frame.select(frame.columns).equals(frame)
        assert third.frame["sf__Id"].to_list()[::2] == first.frame["sf__Id"].to_list()[::2]
        with pytest.raises(sf.UsageError, match="has no part 1"):
            sf.retry(first, part=1, org=org)


def test_retry_sends_unprocessed_rows_of_a_job_that_failed_half_way() -> None:
    with sf.LocalOrg() as local, sf.connect(local) as org:
        local.faults.add(Fault("job_fails", after_batches=1))
        frame = pl.DataFrame({"Name": [f"n{n}" for n in range(10_002)]})
        first = sf.write_sobject(
            frame, "Account", operation="insert", org=org, options=sf.LoadOptions(on_failed="ignore")
        )
        assert first.counts == {"created": 10_000, "unprocessed": 2}
        local.faults.clear()
        second = sf.retry(first, org=org)
        assert second.counts == {"created": 10_002}
        assert sf.read_soql("SELECT COUNT() FROM Account", org=org).item() == 10_002


def test_a_spooled_part_that_was_cut_is_never_sent() -> None:
    with sf.LocalOrg() as local, sf.connect(local) as org:
        local.faults.add(Fault("answer", status=403, method="POST", path="*/jobs/ingest"))
        quick = sf.LoadOptions(pacing=sf.Pacing(timeout=0), on_failed="ignore")
        with pytest.raises(sf.LimitExceeded) as told:
            sf.write_sobject(
                FRAME.head(1), "Account", operation="insert", columns={"note": None}, org=org, options=quick
            )
        local.faults.clear()
        run = told.value.run
        (part,) = (load_home() / "runs" / run).glob("part-?????.csv")
        part.write_bytes(part.read_bytes()[:-3])
        with pytest.raises(sf.LedgerError, match=r"bytes, and .* were written"):
            sf.resume(run, org=org)
        assert sf.read_soql("SELECT COUNT() FROM Account", org=org).item() == 0


def test_a_run_of_an_earlier_sfframe_is_told_and_left_alone(org: sf.Org) -> None:
    run = broken_off(org)
    with sqlite3.connect(load_home() / "ledger.sqlite") as database:
        database.execute("UPDATE run SET settings = ?", ['{"height": 4, "columns": [["Name", "Name"]]}'])
    database.close()
    with pytest.raises(sf.UsageError, match="begun by an earlier sfframe"):
        sf.resume(run, org=org)
    assert sf.history()["finished"].to_list() == [None]

"""Loads by Bulk API 1.0 against the embedded org: faults of the network, real kills, held and failing jobs."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from collections.abc import Iterable, Iterator
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf
from sfframe.codec.outcomes import read_ordered
from sfframe.errors import Cancelled
from sfframe.facts import Operation
from sfframe.jobs.events import JobEvent
from sfframe.jobs.ingest_v1 import run_batches
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import Pacing, SystemClock
from sfframe.localorg import Fault, Settings
from sfframe.protocol import bulk1
from sfframe.spool import Answers, Part

ROWS = 120
NAMES = [f"{part} näme, {row}" for part in range(4) for row in range(ROWS)]


class BriskClock(SystemClock):
    """Waits, but never long."""

    def wait(self, seconds: float, cancel: threading.Event | None) -> bool:
        return super().wait(min(seconds, 0.02), cancel)


def spooled(folder: Path, texts: list[str]) -> list[Part]:
    parts, first = [], 0
    for number, text in enumerate(texts):
        path = folder / f"part-{number}.csv"
        path.write_text(text, encoding="utf-8")
        rows = text.count("\n") - 1
        parts.append(Part(number, path, first, rows, path.stat().st_size))
        first += rows
    with Ledger.open(folder) as ledger:
        ledger.begin(Run("run-1", "Account", "insert", carrier="bulk1"), parts)
    return parts


def of_names(folder: Path) -> list[Part]:
    lines = [f'"{name}"\n' for name in NAMES]
    return spooled(folder, ["Name\n" + "".join(lines[start : start + ROWS]) for start in range(0, len(lines), ROWS)])


def run(
    org: sf.Org,
    folder: Path,
    parts: Iterable[Part],
    operation: Operation = "insert",
    *,
    serial: bool = False,
    key: str | None = None,
    lanes: int = 3,
    cancel: threading.Event | None = None,
    events: list[JobEvent] | None = None,
) -> list[Answers]:
    job = LoadJob("Account", operation, key, serial=serial)
    with Ledger.open(folder) as ledger:
        return run_batches(
            org, job, parts, folder=folder, ledger=ledger, run_id="run-1", lanes=lanes, cancel=cancel,
            pacing=Pacing(first=0.01, longest=0.05), clock=BriskClock(),
            on_event=events.append if events is not None else None,
        )  # fmt: skip


def assert_each_row_is_there_once(local: sf.LocalOrg, answers: list[Answers]) -> None:
    told = pl.concat([read_ordered(one) for one in answers])
    assert told["sf__Outcome"].to_list() == ["succeeded"] * len(NAMES)
    stored = local.table("Account").select("Id", "Name")
    assert sorted(stored.rows()) == sorted(zip(told["sf__Id"], NAMES, strict=True))


@pytest.mark.parametrize("serial", [False, True])
def test_pain_cli_1759_all_batches_are_reported_and_each_answer_is_that_of_its_own_row(
    local_org, org, tmp_path, serial
):
    answers = run(org, tmp_path, of_names(tmp_path), serial=serial)
    assert_each_row_is_there_once(local_org, answers)
    info = org.send(bulk1.info(answers[0].job_id))
    assert (info.state, info.concurrency_mode) == ("Closed", "Serial" if serial else "Parallel")
    assert (info.batches_total, info.batches_completed, info.records_processed) == (4, 4, len(NAMES))


def test_pain_jsforce_1033_a_session_that_ends_between_batches_is_renewed(local_org, tmp_path):
    login = local_org.credentials
    with sf.connect(
        instance_url=local_org.url, client_id=login.client_id, client_secret=login.client_secret, fresh=True
    ) as org:
        assert org.identity.organization_id
        local_org.faults.add(Fault("expire_session", path="*/job*", nth=(2, 5, 9)))
        answers = run(org, tmp_path, of_names(tmp_path), lanes=1)
        assert [times for _, times in local_org.faults.struck] == [3]
    assert_each_row_is_there_once(local_org, answers)


def test_failed_rows_upserts_and_deletes_are_told_in_order(local_org, org, tmp_path):
    local_org.deploy([{"name": "Account", "fields": [{"name": "Ext__c", "type": "string", "externalId": True}]}])
    first, second, third = (tmp_path / name for name in ("1", "2", "3"))
    for folder in (first, second, third):
        folder.mkdir()
    (made,) = run(org, first, spooled(first, ["Ext__c,Name\nx,X\ny,\nz,Z\n"]))
    told = read_ordered(made)
    assert told.select("sf__Outcome", "sf__Created", "sf__ErrorCode", "sf__ErrorFields").rows() == [
        ("succeeded", True, None, None),
        ("failed", None, "REQUIRED_FIELD_MISSING", "Name"),
        ("succeeded", True, None, None),
    ]
    (merged,) = run(org, second, spooled(second, ["Ext__c,Name\nz,Zett\nw,W\n"]), "upsert", key="Ext__c")
    assert read_ordered(merged).select("sf__Outcome", "sf__Created").rows() == [
        ("succeeded", False),
        ("succeeded", True),
    ]
    gone = told["sf__Id"][0]
    (deleted,) = run(org, third, spooled(third, [f"Id\n{gone}\n001000000000000AAA\n"]), "delete")
    assert read_ordered(deleted)["sf__Outcome"].to_list() == ["succeeded", "failed"]
    assert sorted(local_org.table("Account")["Name"]) == ["W", "Zett"]


def test_pain_simple_salesforce_717_a_batch_that_cannot_be_read_says_why_and_the_others_go_on(local_org, org, tmp_path):
    good, bad = run(org, tmp_path, spooled(tmp_path, ["Name\na\n", "Name,Nonsense__c\nb,1\n"]))
    assert read_ordered(good)["sf__Outcome"].to_list() == ["succeeded"]
    assert (bad.state, bad.ordered) == ("Failed", None)
    assert "Nonsense__c" in bad.error
    assert read_ordered(bad).select("sf__Outcome", "sf__Error").rows() == [("unprocessed", bad.error)]
    assert local_org.table("Account")["Name"].to_list() == ["a"]


FAULTS = {
    "lost batch": Fault("reset_after", method="POST", path="*/batch", nth=2),
    "lost on the way": Fault("reset_before", method="POST", path="*/batch", nth=(1, 3)),
    "batch taken, edge busy": Fault("answer", method="POST", path="*/batch", nth=1, status=503, acted=True),
    "edge busy": Fault("answer", method="POST", path="*/batch", nth=(1, 2), status=503),
    "lost close": Fault("reset_after", method="POST", path="*/job/750???????????????", nth=1),
    "lost create": Fault("reset_after", method="POST", path="*/job", nth=1),
    "lost list": Fault("reset_after", method="GET", path="*/batch", nth=(1, 2)),
    "short result": Fault("truncate", method="GET", path="*/result", nth=(1, 3), bytes=100),
    "any": Fault("reset_after", probability=0.2, times=8),
}


@pytest.mark.slow
@pytest.mark.parametrize("name", FAULTS)
def test_every_fault_of_the_network_leaves_each_row_saved_once(name, tmp_path):
    with sf.LocalOrg(seed=7) as local, sf.connect(local) as org:
        assert org.identity.organization_id
        local.faults.add(FAULTS[name])
        parts = of_names(tmp_path)
        for _ in range(10):
            try:
                answers = run(org, tmp_path, parts)
                break
            except (sf.ConnectionFailed, sf.ApiError):
                continue
        else:
            pytest.fail("ten processes did not bring the load to its end")
        assert all(times for _, times in local.faults.struck)
        local.faults.clear()
        assert_each_row_is_there_once(local, answers)


def test_a_cancel_aborts_what_waits_and_a_resume_saves_each_row_once(tmp_path):
    with sf.LocalOrg(settings=Settings(hold_jobs=True)) as local, sf.connect(local) as org:
        cancel, events = threading.Event(), list[JobEvent]()
        parts = of_names(tmp_path)

        def supply() -> Iterator[Part]:
            yield from parts[:2]
            cancel.set()
            yield from parts[2:]

        with pytest.raises(Cancelled):
            run(org, tmp_path, supply(), cancel=cancel, events=events)
        job_id = events[0].job_id
        deadline = time.monotonic() + 60
        while org.send(bulk1.info(job_id)).state != "Aborted":  # it may be after the load has returned
            assert time.monotonic() < deadline
        assert local.table("Account").height == 0

        def release_all() -> None:
            while not done.wait(0.02):
                for job in {event.job_id for event in events}:
                    local._services.bulk1.release(job)

        done = threading.Event()
        releasing = threading.Thread(target=release_all)
        releasing.start()
        try:
            answers = run(org, tmp_path, parts, events=events)
        finally:
            done.set()
            releasing.join()
        assert_each_row_is_there_once(local, answers)


def test_a_cancel_returns_at_once_though_the_org_hangs(tmp_path):
    with sf.LocalOrg() as local, sf.connect(local) as org:
        assert org.identity.organization_id
        local.faults.add(Fault("latency", method="POST", path="*/batch", seconds=60))
        cancel = threading.Event()
        parts = of_names(tmp_path)

        def cancelled_when_sent(event: JobEvent) -> None:
            if event.kind == "open":
                threading.Timer(0.1, cancel.set).start()

        began = time.monotonic()
        with Ledger.open(tmp_path) as ledger, pytest.raises(Cancelled):
            run_batches(
                org, LoadJob("Account", "insert"), parts, folder=tmp_path, ledger=ledger, run_id="run-1",
                cancel=cancel, on_event=cancelled_when_sent,
            )  # fmt: skip
        assert time.monotonic() - began < 20  # half a second on a machine that is not busy, and far below the 60
        local.faults.clear()
        assert_each_row_is_there_once(local, run(org, tmp_path, parts))


LOADER = """
import os, signal, sys
from pathlib import Path
import sfframe as sf
from sfframe.jobs.ingest_v1 import run_batches
from sfframe.jobs.ledger import Ledger
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import Pacing

url, token, folder, step, when, nth, lanes = sys.argv[1:]
left = int(nth)

def note(self, *values, **named):
    global left
    left -= 1
    if when == "after" or left:
        getattr(Ledger, step)(self, *values, **named)
    if not left:
        os.kill(os.getpid(), signal.SIGKILL)

dying = type("DyingLedger", (Ledger,), {step: note})
org = sf.connect(instance_url=url, access_token=token)
with dying.open(Path(folder)) as ledger:
    parts = [state.part for state in ledger.parts("run-1")]
    run_batches(org, LoadJob("Account", "insert"), parts, folder=Path(folder), ledger=ledger, run_id="run-1",
                lanes=int(lanes), pacing=Pacing(first=0.01, longest=0.05))
"""


@pytest.mark.slow
@pytest.mark.parametrize("lanes", [1, 3])
@pytest.mark.parametrize("step", ["promise_job", "note_batch", "note_closed", "note_ended", "note_fetched"])
def test_a_process_that_is_killed_at_any_note_leaves_a_load_that_goes_on_and_saves_each_row_once(step, lanes, tmp_path):
    with sf.LocalOrg() as local, sf.connect(local) as org:
        parts = of_names(tmp_path)
        for when in ("before", "after"):
            for nth in (1, 2):  # four deaths of one load, each where the one before had brought it
                words = [local.url, local.credentials.access_token, tmp_path, step, when, nth, lanes]
                loader = subprocess.run(
                    [sys.executable, "-c", LOADER, *map(str, words)], env=dict(os.environ), timeout=120, check=False
                )
                assert loader.returncode in {-signal.SIGKILL, 0}
                if when == "before" and nth == 1:
                    assert loader.returncode == -signal.SIGKILL
        assert_each_row_is_there_once(local, run(org, tmp_path, parts))

"""The ledger: what it keeps, what it refuses, and who may read it."""

import sqlite3
import threading
from pathlib import Path

import pytest

from sfframe.errors import LedgerError, UsageError
from sfframe.jobs import ledger as ledger_module
from sfframe.jobs.ledger import FILE, Ledger, PartState, Run
from sfframe.spool import Answers, Part

RUN = Run(
    "run-1",
    "Account",
    "upsert",
    external_id_field="Ext__c",
    host="acme.my.salesforce.com",
    organization_id="00DAB0000000abc2AA",
    username="eve@acme.com",
    fingerprint="f" * 32,
    run_key="nightly",
    settings='{"lanes": 4}',
)
NOW = "2026-03-04T05:06:07.000+00:00"


def opened(folder: Path) -> Ledger:
    return Ledger.open(folder, now=lambda: NOW)


def part(folder: Path, number: int = 0) -> Part:
    return Part(number, folder / f"part-{number}.csv", number * 10, 10, 200)


@pytest.fixture
def ledger(tmp_path):
    with opened(tmp_path) as made:
        made.begin(RUN, [part(tmp_path, 0), part(tmp_path, 1)])
        yield made


def test_a_run_and_its_parts_are_kept_over_processes(tmp_path):
    with opened(tmp_path) as first:
        begun = first.begin(RUN, [part(tmp_path, 0)])
        first.add_part("run-1", part(tmp_path, 1))
    assert begun.created == NOW
    with opened(tmp_path) as second:
        assert second.runs() == [begun]
        assert second.run("run-1") == begun
        assert second.parts("run-1") == [PartState(part(tmp_path, 0)), PartState(part(tmp_path, 1))]


def test_a_part_walks_through_its_stages(tmp_path, ledger):
    job = "750AB0000000001AAA"
    seen = []
    for step in (
        lambda: ledger.promise_job("run-1", 1, job),
        lambda: ledger.note_uploaded("run-1", 1, job),
        lambda: ledger.note_closed("run-1", 1, job),
        lambda: ledger.note_ended("run-1", 1, job, state="Failed", error="InvalidBatch : x"),
    ):
        step()
        state = ledger.part_state("run-1", 1)
        seen.append((state.stage, state.job_id, state.state, state.error))
    assert seen == [
        ("promised", job, "Open", ""),
        ("uploaded", job, "Open", ""),
        ("closed", job, "UploadComplete", ""),
        ("ended", job, "Failed", "InvalidBatch : x"),
    ]
    file = tmp_path / "succeeded.csv"
    file.write_text("x")
    answers = Answers(part(tmp_path, 1), job, "Failed", file, None, None, "InvalidBatch : x")
    ledger.note_fetched("run-1", answers)
    assert ledger.part_state("run-1", 1).answers == answers
    assert ledger.part_state("run-1", 0) == PartState(part(tmp_path, 0))


def test_answers_are_there_only_while_their_files_are(tmp_path, ledger):
    file = tmp_path / "succeeded.csv"
    file.write_text("x")
    ledger.promise_job("run-1", 0, "j")
    ledger.note_fetched("run-1", Answers(part(tmp_path), "j", "JobComplete", file, None, None))
    file.unlink()
    assert ledger.part_state("run-1", 0).answers is None


def test_a_finished_run_says_when_and_how(ledger):
    ledger.finish("run-1", "12 failed")
    assert [(one.finished, one.outcome) for one in ledger.runs()] == [(NOW, "12 failed")]


def test_the_folder_can_be_moved(tmp_path):
    old, new = tmp_path / "old", tmp_path / "new"
    with opened(old) as ledger:
        ledger.begin(RUN, [part(old)])
    old.rename(new)
    with opened(new) as ledger:
        assert ledger.part_state("run-1", 0).part.path == new / "part-0.csv"


def test_files_elsewhere_are_kept_by_their_whole_path(tmp_path):
    with opened(tmp_path / "ledger") as ledger:
        ledger.begin(RUN, [part(tmp_path / "spool")])
        assert ledger.part_state("run-1", 0).part.path == tmp_path / "spool" / "part-0.csv"


def test_a_run_begins_once_and_all_or_nothing(tmp_path, ledger):
    with pytest.raises(UsageError, match="already"):
        ledger.begin(RUN)
    with pytest.raises(LedgerError):
        ledger.begin(Run("run-2", "Account", "insert"), [part(tmp_path), part(tmp_path)])
    assert [one.run_id for one in ledger.runs()] == ["run-1"]


def test_a_promise_replaces_only_the_job_that_the_caller_knew(ledger):
    ledger.promise_job("run-1", 0, "first")
    ledger.promise_job("run-1", 0, "second", instead_of="first")
    with pytest.raises(LedgerError, match="not carried by job first"):
        ledger.promise_job("run-1", 0, "third", instead_of="first")
    with pytest.raises(LedgerError):
        ledger.note_uploaded("run-1", 0, "first")
    assert ledger.part_state("run-1", 0).job_id == "second"


def test_unknown_runs_and_parts_are_named(ledger):
    for ask in (lambda: ledger.run("nope"), lambda: ledger.finish("nope"), lambda: ledger.part_state("nope", 0)):
        with pytest.raises(UsageError, match="nope"):
            ask()


def test_only_the_owner_may_look_in(tmp_path):
    folder = tmp_path / "state"
    with opened(folder) as ledger:
        ledger.begin(RUN)
        assert folder.stat().st_mode & 0o777 == 0o700
        assert {one.stat().st_mode & 0o777 for one in folder.iterdir()} == {0o600}


def test_a_ledger_of_a_newer_sfframe_is_refused(tmp_path):
    opened(tmp_path).close()
    database = sqlite3.connect(tmp_path / FILE)
    database.execute("PRAGMA user_version = 99")
    database.close()
    with pytest.raises(LedgerError, match="form 99"):
        opened(tmp_path)


def test_a_file_that_is_no_ledger_is_refused(tmp_path):
    (tmp_path / FILE).write_bytes(b"not a database at all" * 100)
    with pytest.raises(LedgerError, match="cannot be used"):
        opened(tmp_path)


def test_a_locked_ledger_says_so(tmp_path, ledger):
    ledger._connection.execute("PRAGMA busy_timeout = 0")
    other = sqlite3.connect(tmp_path / FILE, isolation_level=None)
    other.execute("BEGIN IMMEDIATE")
    with pytest.raises(LedgerError, match="another process holds the ledger"):
        ledger.finish("run-1")
    other.execute("ROLLBACK")
    other.close()
    ledger.finish("run-1")


def test_threads_may_write_at_once(tmp_path):
    with opened(tmp_path) as ledger:
        ledger.begin(RUN, [part(tmp_path, number) for number in range(8)])
        threads = [threading.Thread(target=_walk, args=(ledger, number)) for number in range(8)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert [(one.stage, one.job_id) for one in ledger.parts("run-1")] == [
            ("closed", f"job-{number}") for number in range(8)
        ]


def _walk(ledger: Ledger, number: int) -> None:
    ledger.promise_job("run-1", number, f"job-{number}")
    ledger.note_uploaded("run-1", number, f"job-{number}")
    ledger.note_closed("run-1", number, f"job-{number}")


def test_a_ledger_of_the_first_form_is_brought_up_to_date(tmp_path):
    database = sqlite3.connect(tmp_path / FILE)
    for statement in ledger_module._SCHEMA.split(";"):
        database.execute(statement)
    database.execute("INSERT INTO run VALUES ('r1', 'Account', 'insert', '', '', '', '', '', '', '', 'c', '', '')")
    database.execute(
        "INSERT INTO part (run_id, number, path, first_row, rows, bytes) VALUES ('r1', 0, 'p.csv', 0, 3, 9)"
    )
    database.execute("PRAGMA user_version = 1")
    database.commit()
    database.close()
    with opened(tmp_path) as ledger:
        assert ledger.runs() == [Run("r1", "Account", "insert", created="c", carrier="bulk2")]
        assert ledger.parts("r1") == [PartState(Part(0, tmp_path / "p.csv", 0, 3, 9))]


def test_a_collections_call_is_promised_by_one_process_only(tmp_path):
    part = Part(0, tmp_path / "p.csv", 0, 3, 9)
    with opened(tmp_path) as ledger:
        ledger.begin(RUN, [part])
        first = ledger.promise_call(RUN.run_id, 0)
        assert ledger.part_state(RUN.run_id, 0) == PartState(part, stage="promised", promised=first)
        with pytest.raises(LedgerError, match="not carried by the promise"):
            ledger.promise_call(RUN.run_id, 0)


def test_a_promise_is_taken_back_by_who_made_it(tmp_path):
    part = Part(0, tmp_path / "p.csv", 0, 3, 9)
    with opened(tmp_path) as ledger:
        ledger.begin(RUN, [part])
        first = ledger.promise_call(RUN.run_id, 0)
        with pytest.raises(LedgerError, match="not carried by the promise"):
            ledger.withdraw_call(RUN.run_id, 0, "another time")
        ledger.withdraw_call(RUN.run_id, 0, first)
        assert ledger.part_state(RUN.run_id, 0) == PartState(part)


def test_a_batch_and_its_answer_in_order_are_kept(tmp_path):
    part, answer = Part(0, tmp_path / "p.csv", 0, 3, 9), tmp_path / "p.result.csv"
    answer.touch()
    with opened(tmp_path) as ledger:
        ledger.begin(RUN, [part])
        ledger.promise_job(RUN.run_id, 0, "750")
        ledger.note_batch(RUN.run_id, 0, "750", "751")
        assert (ledger.part_state(RUN.run_id, 0).stage, ledger.part_state(RUN.run_id, 0).batch_id) == (
            "uploaded",
            "751",
        )
        answers = Answers(part, "750", "Completed", None, None, None, ordered=answer, batch_id="751")
        ledger.note_fetched(RUN.run_id, answers)
        assert ledger.part_state(RUN.run_id, 0).answers == answers

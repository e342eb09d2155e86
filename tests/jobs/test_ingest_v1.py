"""A load by batches of Bulk API 1.0: the walk, what the org refuses, how batches end, waiting and cancelling."""

import threading
from collections.abc import Iterator

import pytest

from sfframe.errors import (
    ApiError,
    AuthenticationError,
    Cancelled,
    FrameError,
    JobAborted,
    JobTimeout,
    LedgerError,
    LimitExceeded,
)
from sfframe.jobs.events import JobEvent
from sfframe.jobs.ingest_v1 import UNKNOWN
from sfframe.jobs.ledger import Ledger
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import Pacing
from sfframe.spool import Part
from tests.jobs.bulk1_bench import (
    BATCHES,
    FIRST,
    HEAD,
    RESULTS,
    ROWS,
    SAVED,
    SECOND,
    STEPS,
    Bench,
    assert_complete,
    assert_saved_once,
    contents,
)
from tests.jobs.scripted_bulk1 import ScriptedBulk1
from tests.jobs.scripted_org import Failure, lost


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# -- the walk -------------------------------------------------------------------------------------------------------


def test_all_parts_are_batches_of_one_job_and_one_list_asks_for_all_of_them(bench):
    org = ScriptedBulk1()
    answers = bench.run(org)
    assert_complete(answers)
    assert [(one.job_id, one.batch_id) for one in answers] == [(FIRST, batch) for batch in BATCHES[:3]]
    assert org.steps == [
        "create", "add", "add", "add", "close", "batches", "batches", "batches", "result", "result", "result",
    ]  # fmt: skip
    assert bench.stages() == ["fetched"] * 3
    assert org.saved == SAVED


def test_the_job_carries_key_mode_and_assignment_rule(bench):
    org = ScriptedBulk1()
    bench.run(org, job=LoadJob("Lead", "upsert", "Ext__c", assignment_rule_id="01QAB000000abcdEFG", serial=True))
    assert org.jobs1[FIRST].document == {
        "operation": "upsert",
        "object": "Lead",
        "externalIdFieldName": "Ext__c",
        "concurrencyMode": "Serial",
        "assignmentRuleId": "01QAB000000abcdEFG",
        "contentType": "CSV",
    }


def test_events_name_part_and_batch_in_order(tmp_path):
    bench = Bench(tmp_path, ROWS[:1])
    bench.run(ScriptedBulk1())
    size, batch = bench.parts[0].bytes, BATCHES[0]
    assert bench.events == [
        JobEvent("open", 0, 1, FIRST, "Open", 3),
        JobEvent("uploaded", 0, 1, FIRST, "Queued", 3, 0, 0, size, batch_id=batch),
        JobEvent("closed", 0, 1, FIRST, "Closed", 3, 0, 0, size, batch_id=batch),
        JobEvent("in_progress", 0, 1, FIRST, "InProgress", 3, 0, 0, size, batch_id=batch),
        JobEvent("ended", 0, 1, FIRST, "Completed", 3, 3, 1, size, batch_id=batch),
        JobEvent("response", 0, 1, FIRST, "Completed", 3, 3, 1, size, batch_id=batch),
    ]


@pytest.mark.parametrize("lanes", [2, 8])
def test_several_lanes_answer_in_the_order_of_the_parts(tmp_path, lanes):
    bench = Bench(tmp_path, [[f"row {number}"] for number in range(25)])
    org = ScriptedBulk1()
    answers = bench.run(org, lanes=lanes)
    assert contents(answers) == [f'{HEAD}"001row {number}","true","true",""\n' for number in range(25)]
    assert sorted(org.saved) == sorted(f"row {number}" for number in range(25))
    assert len(org.jobs1) == 1


def test_parts_are_taken_in_the_callers_thread_while_earlier_ones_are_sent(bench):
    org, arrived = ScriptedBulk1(), threading.Event()
    org.failures.append(Failure("add", True, arrived.set))
    threads = set()

    def produced() -> Iterator[Part]:
        for part in bench.parts:
            threads.add(threading.current_thread())
            yield part
            assert arrived.wait(60)  # the first one is sent before the second is there

    assert_complete(bench.run(org, parts=produced()))
    assert threads == {threading.current_thread()}


def test_no_parts_are_no_job(bench):
    org = ScriptedBulk1()
    assert bench.run(org, parts=[]) == []
    assert org.steps == []


def test_a_finished_run_is_answered_from_the_disk_without_a_call(bench):
    first = bench.run(ScriptedBulk1())
    silent = ScriptedBulk1()
    assert bench.run(silent) == first
    assert silent.steps == []


def test_a_result_file_that_vanished_is_fetched_again(bench):
    org = ScriptedBulk1()
    first = bench.run(org)
    assert first[1].ordered is not None
    first[1].ordered.unlink()
    org.steps.clear()
    assert bench.run(org) == first
    assert org.steps == ["batches", "result"]


def test_the_files_are_readable_by_their_owner_only(bench):
    for one in bench.run(ScriptedBulk1()):
        assert one.ordered is not None
        assert one.ordered.stat().st_mode & 0o777 == 0o600


# -- refusals -------------------------------------------------------------------------------------------------------


def test_a_job_that_cannot_be_made_raises_and_promises_nothing(bench):
    org = ScriptedBulk1()
    org.refused["create"] = (400, "InvalidJob")
    with pytest.raises(ApiError):
        bench.run(org)
    assert bench.stages() == ["planned"] * 3


def test_a_quota_that_is_used_up_closes_the_job_so_that_its_batches_end_and_a_resume_sends_the_rest(bench):
    def used_up() -> None:
        raise LimitExceeded("a limit of the org is used up", status=400, error_code="ExceededQuota")

    org = ScriptedBulk1(Failure("add", False, used_up, 2))
    with pytest.raises(LimitExceeded):
        bench.run(org)
    assert org.jobs1[FIRST].state == "Closed"
    assert_complete(bench.run(org))
    assert_saved_once(org)
    assert org.sent == {FIRST: BATCHES[:1], SECOND: BATCHES[1:3]}


def test_a_job_that_the_system_closed_is_followed_by_another(bench):
    org = ScriptedBulk1()

    def closed_by_age() -> None:
        org.jobs1[FIRST].state = "Closed"

    org.failures.append(Failure("add", True, closed_by_age, 1))
    assert_complete(bench.run(org))
    assert org.sent == {FIRST: BATCHES[:1], SECOND: BATCHES[1:3]}


def test_a_job_that_somebody_aborts_stops_the_load_and_a_resume_sends_what_was_not_processed(bench):
    org = ScriptedBulk1()
    org.processes = False

    def abort() -> None:
        org._end("abort", org.jobs1[FIRST])

    org.failures.append(Failure("add", True, abort, 1))
    with pytest.raises(JobAborted) as caught:
        bench.run(org)
    assert caught.value.job_id == FIRST
    assert "sfframe.resume('run-1')" in caught.value.remedy
    org.processes = True
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_job_that_somebody_aborts_after_all_was_sent_leaves_its_rows_unprocessed(bench):
    org = ScriptedBulk1()
    org.processes = False

    def abort() -> None:
        org._end("abort", org.jobs1[FIRST])

    org.failures.append(Failure("close", False, abort))
    answers = bench.run(org)
    assert [(one.state, one.ordered) for one in answers] == [("NotProcessed", None)] * 3
    assert answers[0].error == "The org did not process the batch: its job was aborted or failed before."
    assert bench.run(ScriptedBulk1()) == answers


def test_a_second_process_that_takes_the_run_over_stops_the_first(bench):
    org = ScriptedBulk1()

    def other_process() -> None:
        with Ledger.open(bench.folder) as ledger:
            ledger.promise_job("run-1", 1, SECOND)

    org.failures.append(Failure("add", True, other_process))
    with pytest.raises(LedgerError):
        bench.run(org)
    assert org.saved == ["a", "c"]


# -- ends -----------------------------------------------------------------------------------------------------------


def test_a_failed_batch_that_saved_nothing_has_the_orgs_words_and_no_file(bench):
    org = ScriptedBulk1()
    org.batch_ends, org.batch_processed = ["Failed"], 0
    org.batch_message = "InvalidBatch : Field name not found : Foo__c"
    answers = bench.run(org)
    assert [(one.state, one.error, one.ordered) for one in answers] == [("Failed", org.batch_message, None)] * 3
    assert "result" not in org.steps
    assert bench.run(ScriptedBulk1()) == answers


def test_a_failed_batch_that_saved_rows_gives_its_result(tmp_path):
    bench = Bench(tmp_path, ROWS[:1])
    org = ScriptedBulk1()
    org.batch_ends, org.batch_processed, org.batch_message = ["Failed"], 2, "InternalServerError : Retried too often"
    (answer,) = bench.run(org)
    assert contents([answer]) == ["".join(RESULTS[0].splitlines(keepends=True)[:3])]
    assert (answer.state, answer.error) == ("Failed", "InternalServerError : Retried too often")


def test_a_count_that_differs_is_noted_and_the_file_is_kept(tmp_path):
    bench = Bench(tmp_path, ROWS[:1])
    org = ScriptedBulk1()
    org.batch_processed = 2
    (answer,) = bench.run(org)
    assert answer.error == "The org counted 2 rows, 3 were sent."
    assert answer.ordered is not None


def test_a_result_that_the_org_does_not_give_is_unknown_and_asked_for_again_next_time(bench):
    org = ScriptedBulk1()
    org.refused["result"] = (400, "InvalidBatch")
    answers = bench.run(org)
    assert [(one.state, one.ordered) for one in answers] == [(UNKNOWN, None)] * 3
    assert answers[0].error == "The org does not give the result (HTTP 400 InvalidBatch)."
    assert bench.stages() == ["ended"] * 3
    org.refused.clear()
    assert_complete(bench.run(org))


@pytest.mark.parametrize(("status", "code"), [(400, "InvalidSessionId"), (400, "ExceededQuota"), (503, "")])
def test_a_refusal_that_may_pass_is_raised_so_that_the_results_are_not_given_up(bench, status, code):
    org = ScriptedBulk1()
    org.refused["result"] = (status, code)
    with pytest.raises(ApiError) as caught:
        bench.run(org)
    assert isinstance(caught.value, AuthenticationError) is (code == "InvalidSessionId")
    org.refused.clear()
    assert_complete(bench.run(org))


def test_results_are_fetched_as_batches_complete(bench):
    org = ScriptedBulk1()
    org.batch_ends = ["Completed"]

    def first_is_slow() -> None:
        org.jobs1[FIRST].batches[BATCHES[0]].state = "InProgress"

    org.failures.append(Failure("batches", False, first_is_slow))
    original = org._listed

    def listed(job):
        slow = org.steps.count("batches") == 1
        if slow:
            job.batches[BATCHES[0]].polls = 0
            org.batch_ends = ["InProgress", "Completed"]
            for batch in list(job.batches.values())[1:]:
                batch.state = "Completed"
        return original(job)

    org._listed = listed  # type: ignore[method-assign]
    assert_complete(bench.run(org))
    assert org.steps[-5:] == ["batches", "result", "result", "batches", "result"]


# -- waiting and cancelling -----------------------------------------------------------------------------------------


def test_pain_jsforce_298_a_timeout_loses_nothing_and_names_what_goes_on(bench):
    org = ScriptedBulk1()
    with pytest.raises(JobTimeout) as caught:
        bench.run(org, pacing=Pacing(timeout=0))
    assert org.steps == ["create", "add", "add", "add", "close"]
    assert bench.stages() == ["closed"] * 3
    assert (caught.value.job_id, caught.value.batch_id) == (FIRST, BATCHES[0])
    assert caught.value.remedy == "Wait for it again with sfframe.resume('run-1')."
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_polls_that_fail_say_nothing_about_the_batches(bench):
    org = ScriptedBulk1(*[Failure("batches", False, lost, nth) for nth in range(1, 9)])
    assert_complete(bench.run(org))
    assert [event.kind for event in bench.events].count("error") == 8


def test_a_cancel_aborts_the_open_job_and_a_resume_sends_what_was_not_processed(bench):
    cancel = threading.Event()
    org = ScriptedBulk1(Failure("add", True, cancel.set, 2))
    org.processes = False
    with pytest.raises(Cancelled):
        bench.run(org, cancel=cancel)
    assert org.jobs1[FIRST].state == "Aborted"
    assert [event.kind for event in bench.events][-1] == "aborted"
    org.processes = True
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_cancel_leaves_closed_jobs_alone(bench):
    cancel = threading.Event()
    org = ScriptedBulk1(Failure("close", True, cancel.set))
    with pytest.raises(Cancelled):
        bench.run(org, cancel=cancel)
    assert (org.jobs1[FIRST].state, "abort" in org.steps) == ("Closed", False)
    assert_complete(bench.run(org))


@pytest.mark.parametrize("step", STEPS)
def test_a_cancel_at_any_point_stops_and_a_resume_saves_each_row_once(bench, step):
    cancel = threading.Event()
    org = ScriptedBulk1(Failure(step, True, cancel.set))
    with pytest.raises(Cancelled):
        bench.run(org, cancel=cancel)
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_ctrl_c_aborts_the_open_job(bench):
    def interrupted() -> Iterator[Part]:
        yield bench.parts[0]
        raise KeyboardInterrupt

    org = ScriptedBulk1()
    with pytest.raises(KeyboardInterrupt):
        bench.run(org, parts=interrupted())
    assert org.jobs1[FIRST].state == "Aborted"
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_parts_that_cannot_be_made_raise_and_what_was_sent_is_taken_up_by_a_resume(bench):
    def broken() -> Iterator[Part]:
        yield bench.parts[0]
        raise FrameError("the frame's file is gone")

    org = ScriptedBulk1()
    with pytest.raises(FrameError):
        bench.run(org, parts=broken())
    assert org.jobs1[FIRST].state == "Closed"  # so that the batch that is in it comes to its end
    assert_complete(bench.run(org))
    assert_saved_once(org)

"""A load by batches of Bulk API 1.0: a death at every promise, every answer lost; no row is saved twice."""

import tempfile
import threading
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.errors import (
    ApiError,
    ConnectionFailed,
    JobTimeout,
    PermissionDenied,
)
from sfframe.jobs.ingest import GONE
from sfframe.jobs.ingest_v1 import UNKNOWN
from sfframe.jobs.ledger import Ledger
from sfframe.jobs.pacing import Pacing
from tests.jobs.bulk1_bench import (
    BATCHES,
    FIRST,
    HEAD,
    RESULTS,
    SECOND,
    STEPS,
    Bench,
    assert_complete,
    assert_saved_once,
    contents,
)
from tests.jobs.scripted_bulk1 import ScriptedBulk1
from tests.jobs.scripted_org import Failure, Killed, killed, lost


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


# -- death and lost answers -----------------------------------------------------------------------------------------

NOTES = ["promise_job", "note_batch", "note_closed", "note_ended", "note_fetched"]


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_is_killed_around_a_request_goes_on_and_saves_each_row_once(bench, step, after, nth):
    org = ScriptedBulk1(Failure(step, after, killed, nth))
    if nth == 1 or step not in {"create", "close"}:
        with pytest.raises(Killed):
            bench.run(org)
    assert_complete(bench.run(org))
    assert_saved_once(org)


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_lost_answer_is_survived_or_survivable_and_saves_each_row_once(bench, step, after, nth):
    org = ScriptedBulk1(Failure(step, after, lost, nth))
    try:
        answers = bench.run(org)
    except ConnectionFailed:
        answers = bench.run(org)
    assert_complete(answers)
    assert_saved_once(org)


@pytest.mark.parametrize("step", ["close", "batches", "request", "info"])
@pytest.mark.parametrize("after", [False, True])
def test_a_second_fault_while_a_lost_answer_is_settled_saves_each_row_once(bench, step, after):
    org = ScriptedBulk1(Failure("add", True, lost), Failure(step, after, killed))
    if step == "info":  # asked where the answer to the close is lost as well
        org.failures.append(Failure("close", True, lost))
    with pytest.raises(Killed):
        bench.run(org)
    assert_complete(bench.run(org))
    assert_saved_once(org)


def dying_at(step: str, when: str, nth: int) -> type[Ledger]:
    """A ledger whose process ends before or after it has written that note for the nth time."""
    times = iter(range(1, 99))

    def note(self, *values, **named):
        dies = next(times) == nth
        if when == "after" or not dies:
            getattr(Ledger, step)(self, *values, **named)
        if dies:
            raise Killed

    return type("DyingLedger", (Ledger,), {step: note})


@pytest.mark.parametrize("nth", [1, 2, 3])
@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", NOTES)
def test_a_process_that_is_killed_around_a_promise_goes_on_and_saves_each_row_once(bench, step, when, nth):
    org = ScriptedBulk1()
    with pytest.raises(Killed):
        bench.run(org, dying_at(step, when, nth))
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_process_that_dies_again_and_again_still_saves_each_row_once(bench):
    org, deaths = ScriptedBulk1(), 0
    for step in NOTES:
        for when in ("before", "after"):
            try:
                bench.run(org, dying_at(step, when, 1))
            except Killed:
                deaths += 1
    assert deaths >= 9
    assert_complete(bench.run(org))
    assert_saved_once(org)


TROUBLES = st.lists(
    st.tuples(
        st.sampled_from([*STEPS, "info", "request"]), st.booleans(), st.sampled_from([lost, killed]), st.integers(1, 12)
    ),
    max_size=12,
)


@settings(max_examples=50)
@given(TROUBLES, st.integers(1, 3))
def test_whatever_is_lost_and_however_often_it_dies_each_row_is_saved_once_and_answered(troubles, lanes):
    with tempfile.TemporaryDirectory() as folder:
        bench = Bench(Path(folder), [["a", "bad b"], ["same"], ["same"], ["c", "d"], ["bad e"]])
        org = ScriptedBulk1(*[Failure(*trouble) for trouble in troubles])
        for _ in range(len(troubles) + 1):  # each trouble comes once, so it ends
            try:
                answers = bench.run(org, lanes=lanes)
                break
            except (Killed, ConnectionFailed):
                continue
        assert sorted(org.saved) == ["a", "c", "d", "same", "same"]
        assert contents(answers) == [
            HEAD + '"001a","true","true",""\n"","false","false","X:y:--"\n',
            HEAD + '"001same","true","true",""\n',
            HEAD + '"001same","true","true",""\n',
            HEAD + '"001c","true","true",""\n"001d","true","true",""\n',
            HEAD + '"","false","false","X:y:--"\n',
        ]
        assert len({one.batch_id for one in answers}) == 5


def test_a_batch_that_had_arrived_is_found_by_its_bytes_and_not_sent_again(bench):
    org = ScriptedBulk1(Failure("add", True, lost, 2))
    answers = bench.run(org)
    assert_complete(answers)
    assert org.steps.count("add") == 3
    assert org.sent == {FIRST: BATCHES[:2], SECOND: BATCHES[2:3]}
    assert [(one.job_id, one.batch_id) for one in answers] == [
        (FIRST, BATCHES[0]), (FIRST, BATCHES[1]), (SECOND, BATCHES[2]),
    ]  # fmt: skip
    # closed before it is listed: what is not there then never comes
    assert org.steps[3:6] == ["close", "batches", "request"]


def test_a_batch_that_had_not_arrived_is_sent_again_in_a_new_job(bench):
    org = ScriptedBulk1(Failure("add", False, lost, 2))
    answers = bench.run(org)
    assert_complete(answers)
    assert org.sent == {FIRST: BATCHES[:1], SECOND: BATCHES[1:3]}
    assert [event.kind for event in bench.events].count("error") == 1


def test_parts_with_the_same_bytes_are_found_one_for_one(tmp_path):
    bench = Bench(tmp_path, [["same"], ["same"], ["same"]])
    org = ScriptedBulk1(Failure("add", True, killed, 2))
    with pytest.raises(Killed):
        bench.run(org)
    answers = bench.run(org)
    assert org.saved == ["same"] * 3
    assert len({one.batch_id for one in answers}) == 3


def test_several_lost_answers_at_once_are_all_settled(tmp_path):
    bench = Bench(tmp_path, [[f"row {number}"] for number in range(12)])
    gate = threading.Barrier(3, timeout=60)

    def together() -> None:
        org.lock.release()  # the lanes wait for each other outside of the org
        try:
            gate.wait()
        finally:
            org.lock.acquire()
        lost()

    org = ScriptedBulk1()
    org.failures += [Failure("add", nth != 2, together, nth) for nth in (1, 2, 3)]
    answers = bench.run(org, lanes=3)
    assert sorted(org.saved) == sorted(f"row {number}" for number in range(12))
    assert contents(answers) == [f'{HEAD}"001row {number}","true","true",""\n' for number in range(12)]


def test_a_batch_that_never_arrives_raises_after_some_tries_and_can_be_resumed(bench):
    org = ScriptedBulk1(*[Failure("add", False, lost, nth) for nth in range(1, 5)])
    with pytest.raises(ConnectionFailed):
        bench.run(org)
    assert org.steps.count("add") == 4
    assert_complete(bench.run(org))
    assert_saved_once(org)


@pytest.mark.parametrize("after", [False, True])
def test_an_edge_that_is_busy_says_nothing_about_the_batch(bench, after):
    def busy() -> None:
        raise ApiError("the org could not answer", status=503)

    org = ScriptedBulk1(Failure("add", after, busy))
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_an_edge_that_is_busy_at_the_close_is_asked_again(bench):
    org = ScriptedBulk1()
    org.refused["close"] = (503, "")
    bench.clock.meanwhile = org.refused.clear
    assert_complete(bench.run(org))
    assert org.steps[4:8] == ["close", "info", "close", "info"]
    assert_saved_once(org)


def test_a_close_that_is_never_answered_raises_and_a_resume_goes_on(bench):
    org = ScriptedBulk1(*[Failure("close", False, lost, nth) for nth in range(1, 5)])
    with pytest.raises(ConnectionFailed):
        bench.run(org)
    assert bench.stages() == ["uploaded"] * 3
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_close_that_the_org_refuses_raises(bench):
    org = ScriptedBulk1()
    org.refused["close"] = (400, "InvalidUser")
    with pytest.raises(PermissionDenied):
        bench.run(org)
    org.refused.clear()
    assert_complete(bench.run(org))
    assert_saved_once(org)


@pytest.mark.parametrize("step", ["close", "info", "batches"])
def test_a_job_that_the_org_forgets_under_our_hands_leaves_its_rows_unknown(bench, step):
    org = ScriptedBulk1()
    if step != "close":
        org.failures.append(Failure("close", False, lost))
    org.failures.append(Failure(step, False, org.jobs1.clear))
    assert [one.state for one in bench.run(org)] == [GONE] * 3


def test_a_batch_that_is_not_given_back_as_it_was_sent_is_unknown_and_never_sent_again(bench):
    org = ScriptedBulk1(Failure("add", True, lost, 2))
    org.garbled.add(BATCHES[1])
    answers = bench.run(org)
    assert contents(answers) == [RESULTS[0], None, RESULTS[2]]
    assert (answers[1].state, answers[1].job_id) == (UNKNOWN, FIRST)
    assert answers[1].error.startswith("The answer to this batch was lost")
    assert_saved_once(org)
    org.garbled.clear()  # another day the org gives it back: nothing was noted, so it is asked again
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_batch_that_is_not_given_back_at_all_is_unknown_and_never_sent_again(bench):
    org = ScriptedBulk1(Failure("add", True, lost, 2))
    org.refused["request"] = (400, "InvalidBatch")
    assert [one.state for one in bench.run(org)] == ["Completed", UNKNOWN, "Completed"]
    org.refused.clear()
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_list_that_is_shorter_than_the_jobs_count_settles_nothing(bench):
    org = ScriptedBulk1(Failure("add", True, lost, 1))
    org.hidden.add(BATCHES[0])
    answers = bench.run(org)
    assert [one.state for one in answers] == [UNKNOWN, "Completed", "Completed"]
    org.hidden.clear()
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_request_that_cannot_be_read_for_a_while_breaks_off_and_nothing_is_sent_meanwhile(bench):
    org = ScriptedBulk1(Failure("add", True, killed, 1))
    with pytest.raises(Killed):
        bench.run(org)
    org.refused["request"] = (503, "")
    with pytest.raises(ApiError):
        bench.run(org)
    assert org.steps.count("add") == 1
    org.refused.clear()
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_job_that_the_org_forgot_leaves_its_rows_unknown_even_those_that_may_not_have_been_sent(bench):
    org = ScriptedBulk1(Failure("add", False, killed, 2))
    with pytest.raises(Killed):
        bench.run(org)
    kept = dict(org.jobs1)
    org.jobs1.clear()
    org.jobs1["750AB000000000XAAA"] = kept[FIRST]  # so that the next job has another id
    answers = bench.run(org)
    assert [one.state for one in answers] == [GONE, GONE, "Completed"]
    assert all(one.error.startswith("The org does not know this batch any more") for one in answers[:2])
    org.jobs1[FIRST] = org.jobs1.pop("750AB000000000XAAA")  # the wrong org had been asked
    assert_complete(bench.run(org))
    assert_saved_once(org)


def test_a_closed_job_that_the_org_forgot_leaves_its_rows_unknown(bench):
    org = ScriptedBulk1()
    with pytest.raises(JobTimeout):
        bench.run(org, pacing=Pacing(timeout=0))
    org.jobs1.clear()
    assert [one.state for one in bench.run(org)] == [GONE] * 3
    assert org.steps.count("add") == 3

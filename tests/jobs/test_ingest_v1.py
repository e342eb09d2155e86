"""A load by batches of Bulk API 1.0: every lost answer, every refusal, a death at every promise; no row saved twice."""

import tempfile
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.errors import (
    ApiError,
    AuthenticationError,
    Cancelled,
    ConnectionFailed,
    FrameError,
    JobAborted,
    JobTimeout,
    LedgerError,
    LimitExceeded,
    PermissionDenied,
)
from sfframe.jobs.events import JobEvent
from sfframe.jobs.ingest import GONE
from sfframe.jobs.ingest_v1 import UNKNOWN, run_batches
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import Pacing
from sfframe.spool import Answers, Part
from tests.jobs.scripted_bulk1 import ScriptedBulk1
from tests.jobs.scripted_org import Failure, FastClock, Killed, killed, lost

JOB = LoadJob("Account", "insert")
FIRST, SECOND = "750AB0000000001AAA", "750AB0000000002AAA"
BATCHES = [f"751AB{number:010d}AAA" for number in range(1, 9)]
ROWS = [["a", "bad b", "c"], ["d"], ["e", "f"]]
SAVED = ["a", "c", "d", "e", "f"]
HEAD = '"Id","Success","Created","Error"\n'
RESULTS = [
    HEAD + '"001a","true","true",""\n"","false","false","X:y:--"\n"001c","true","true",""\n',
    HEAD + '"001d","true","true",""\n',
    HEAD + '"001e","true","true",""\n"001f","true","true",""\n',
]


class Bench:
    """A spool with three parts, a ledger that knows them, and a clock."""

    def __init__(self, folder: Path, rows: list[list[str]] = ROWS) -> None:
        self.folder = folder
        self.parts = []
        first_row = 0
        for number, cells in enumerate(rows):
            path = folder / f"part-{number}.csv"
            path.write_text("Name\n" + "".join(f"{cell}\n" for cell in cells), encoding="utf-8")
            self.parts.append(Part(number, path, first_row, len(cells), path.stat().st_size))
            first_row += len(cells)
        self.clock = FastClock()
        self.events: list[JobEvent] = []
        with Ledger.open(folder) as ledger:
            ledger.begin(Run("run-1", "Account", "insert", carrier="bulk1"), self.parts)

    def run(
        self,
        org: ScriptedBulk1,
        ledger_type: type[Ledger] = Ledger,
        *,
        parts: Iterable[Part] | None = None,
        job: LoadJob = JOB,
        lanes: int = 1,
        pacing: Pacing | None = None,
        cancel: threading.Event | None = None,
    ) -> list[Answers]:
        with ledger_type.open(self.folder) as ledger:
            return run_batches(
                org, job, self.parts if parts is None else parts, folder=self.folder, ledger=ledger, run_id="run-1",
                pacing=pacing, cancel=cancel, on_event=self.events.append, lanes=lanes, clock=self.clock,
                jitter=lambda: 0.5,
            )  # fmt: skip

    def stages(self) -> list[str]:
        with Ledger.open(self.folder) as ledger:
            return [state.stage for state in ledger.parts("run-1")]


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def contents(answers: list[Answers]) -> list[str | None]:
    return [one.ordered.read_text("utf-8") if one.ordered is not None else None for one in answers]


def assert_complete(answers: list[Answers]) -> None:
    assert contents(answers) == RESULTS
    assert {(one.state, one.error) for one in answers} == {("Completed", "")}
    assert [one.part.number for one in answers] == [0, 1, 2]


def assert_saved_once(org: ScriptedBulk1) -> None:
    assert sorted(org.saved) == SAVED


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
            assert arrived.wait(10)  # the first one is sent before the second is there

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


# -- death and lost answers -----------------------------------------------------------------------------------------

STEPS = ["create", "add", "close", "batches", "result"]
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
    gate = threading.Barrier(3, timeout=10)

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

"""One part of a load: every stage, every lost answer, and a death at every promise. No row is ever saved twice."""

import logging
import pickle
import threading
from pathlib import Path

import pytest

from sfframe.errors import (
    ApiError,
    AuthenticationError,
    Cancelled,
    ConnectionFailed,
    JobTimeout,
    LedgerError,
    PermissionDenied,
    SfframeError,
)
from sfframe.jobs.events import JobEvent
from sfframe.jobs.ingest import GONE, run_part
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import Pacing
from sfframe.spool import Answers, Part
from tests.jobs.scripted_org import Failure, FastClock, Killed, ScriptedOrg, killed, lost

JOB = LoadJob("Account", "insert")
FIRST, SECOND = "750AB0000000001AAA", "750AB0000000002AAA"
ROWS = ["a", "bad b", "c"]
SUCCEEDED = b'"sf__Id","sf__Created",Name\n"001","true","a"\n"001","true","c"\n'
FAILED = b'"sf__Id","sf__Error",Name\n"","X:y:--","bad b"\n'


class Bench:
    """A spool with one part, a ledger that knows it, and a clock."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        path = folder / "part-0.csv"
        path.write_text("Name\n" + "".join(f"{row}\n" for row in ROWS), encoding="utf-8")
        self.part = Part(0, path, 0, len(ROWS), path.stat().st_size)
        self.clock = FastClock()
        self.events: list[JobEvent] = []
        with Ledger.open(folder) as ledger:
            ledger.begin(Run("run-1", "Account", "insert"), [self.part])

    def run(self, org: ScriptedOrg, ledger_type: type[Ledger] = Ledger, **options) -> Answers:
        with ledger_type.open(self.folder) as ledger:
            return run_part(
                org, options.pop("job", JOB), self.part, folder=self.folder, ledger=ledger, run_id="run-1",
                clock=self.clock, jitter=lambda: 0.5, on_event=options.pop("on_event", self.events.append), **options,
            )  # fmt: skip

    def stage(self) -> tuple[str, str]:
        with Ledger.open(self.folder) as ledger:
            state = ledger.part_state("run-1", 0)
        return state.stage, state.job_id

    def forget_events(self) -> None:
        self.events.clear()


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def contents(answers: Answers) -> list[bytes | None]:
    return [
        file.read_bytes() if file is not None else None
        for file in (answers.succeeded, answers.failed, answers.unprocessed)
    ]


def assert_complete(answers: Answers) -> None:
    assert contents(answers) == [SUCCEEDED, FAILED, b"Name\n"]
    assert (answers.state, answers.error) == ("JobComplete", "")


def test_a_part_walks_from_create_to_its_three_files(bench):
    org = ScriptedOrg()
    answers = bench.run(org)
    assert_complete(answers)
    assert answers.job_id == FIRST
    assert org.steps == [
        "create", "upload", "close", "info", "info", "info", "successfulResults", "failedResults", "unprocessedrecords",
    ]  # fmt: skip
    assert org.jobs[FIRST].body == {
        "object": "Account",
        "operation": "insert",
        "contentType": "CSV",
        "columnDelimiter": "COMMA",
        "lineEnding": "LF",
    }
    assert bench.stage() == ("fetched", FIRST)


def test_the_job_carries_key_format_and_assignment_rule(bench):
    org = ScriptedOrg()
    bench.run(org, job=LoadJob("Lead", "upsert", "Ext__c", "TAB", "CRLF", "01QAB000000abcdEFG"))
    assert org.jobs[FIRST].body == {
        "object": "Lead",
        "operation": "upsert",
        "externalIdFieldName": "Ext__c",
        "contentType": "CSV",
        "columnDelimiter": "TAB",
        "lineEnding": "CRLF",
        "assignmentRuleId": "01QAB000000abcdEFG",
    }


def test_events_tell_the_walk_in_order(bench):
    bench.run(ScriptedOrg())
    size = bench.part.bytes
    assert bench.events == [
        JobEvent("open", 0, 1, FIRST, "Open", 3, 0, 0, 0),
        JobEvent("uploaded", 0, 1, FIRST, "Open", 3, 0, 0, size),
        JobEvent("closed", 0, 1, FIRST, "UploadComplete", 3, 0, 0, size),
        JobEvent("queued", 0, 1, FIRST, "UploadComplete", 3, 0, 0, size),
        JobEvent("in_progress", 0, 1, FIRST, "InProgress", 3, 0, 0, size),
        JobEvent("ended", 0, 1, FIRST, "JobComplete", 3, 3, 1, size),
        JobEvent("response", 0, 1, FIRST, "JobComplete", 3, 3, 1, size),
    ]


def test_a_listener_that_fails_does_not_lose_the_job(bench, caplog):
    def broken(_event: JobEvent) -> None:
        raise RuntimeError("a token in a message")

    with caplog.at_level(logging.WARNING):
        assert_complete(bench.run(ScriptedOrg(), on_event=broken))
    assert "RuntimeError" in caplog.text
    assert "a token in a message" not in caplog.text


def test_an_upload_that_is_answered_with_204_counts_as_well(bench):
    org = ScriptedOrg()
    org.upload_status = 204
    assert_complete(bench.run(org))


def test_a_finished_part_is_answered_from_the_disk_without_a_call(bench):
    first = bench.run(ScriptedOrg())
    silent = ScriptedOrg()
    assert bench.run(silent) == first
    assert silent.steps == []


def test_result_files_that_vanished_are_fetched_again(bench):
    org = ScriptedOrg()
    first = bench.run(org)
    assert first.failed is not None
    first.failed.unlink()
    org.steps.clear()
    assert bench.run(org) == first
    assert org.steps == ["successfulResults", "failedResults", "unprocessedrecords"]


def test_the_files_are_readable_by_their_owner_only(bench):
    answers = bench.run(ScriptedOrg())
    assert answers.succeeded is not None
    assert answers.succeeded.stat().st_mode & 0o777 == 0o600
    assert sorted(one.name for one in bench.folder.iterdir() if one.suffix == ".partial") == []


# -- death and lost answers -----------------------------------------------------------------------------------------

STEPS = ["create", "upload", "close", "info", "successfulResults", "failedResults", "unprocessedrecords"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_process_that_is_killed_around_a_request_goes_on_and_saves_each_row_once(bench, step, after):
    org = ScriptedOrg(Failure(step, after, killed))
    with pytest.raises(Killed):
        bench.run(org)
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", STEPS)
def test_a_lost_answer_is_survived_or_survivable_and_saves_each_row_once(bench, step, after):
    org = ScriptedOrg(Failure(step, after, lost))
    try:
        answers = bench.run(org)
    except ConnectionFailed:
        answers = bench.run(org)
    assert_complete(answers)
    assert org.saved == ["a", "c"]


def test_answers_that_are_lost_in_upload_close_polls_and_results_need_no_help(bench):
    # the third info: the first two ask after the lost upload and the lost close, and the transport repeats those
    org = ScriptedOrg(*[Failure(step, True, lost, 3 if step == "info" else 1) for step in STEPS if step != "create"])
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def dying_at(step: str, when: str) -> type[Ledger]:
    """A ledger whose process ends before or after it has written that note."""

    def note(self, *values, **named):
        if when == "after":
            getattr(Ledger, step)(self, *values, **named)
        raise Killed

    return type("DyingLedger", (Ledger,), {step: note})


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("step", ["promise_job", "note_uploaded", "note_closed", "note_ended", "note_fetched"])
def test_a_process_that_is_killed_around_a_promise_goes_on_and_saves_each_row_once(bench, step, when):
    org = ScriptedOrg()
    with pytest.raises(Killed):
        bench.run(org, ledger_type=dying_at(step, when))
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_process_that_dies_again_and_again_still_saves_each_row_once(bench):
    org = ScriptedOrg()
    for step in ("promise_job", "note_uploaded", "note_closed", "note_ended", "note_fetched"):
        for when in ("before", "after"):
            with pytest.raises(Killed):
                bench.run(org, ledger_type=dying_at(step, when))
            if step == "note_fetched" and when == "before":
                break
        else:
            continue
        break
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_an_upload_that_had_arrived_is_not_sent_again(bench):
    org = ScriptedOrg(Failure("upload", True, lost))
    assert_complete(bench.run(org))
    assert (org.steps.count("upload"), list(org.jobs)) == (1, [FIRST])


def test_an_upload_that_had_not_arrived_goes_into_a_new_job_and_the_old_one_is_aborted(bench):
    org = ScriptedOrg(Failure("upload", False, lost))
    answers = bench.run(org)
    assert_complete(answers)
    assert answers.job_id == SECOND
    assert {job.id: (job.state, len(job.uploads)) for job in org.jobs.values()} == {
        FIRST: ("Aborted", 0),
        SECOND: ("JobComplete", 1),
    }
    assert [event.kind for event in bench.events][:3] == ["open", "error", "aborted"]


def test_an_upload_that_never_arrives_raises_after_some_tries_and_can_be_resumed(bench):
    org = ScriptedOrg(*[Failure("upload", False, lost, nth) for nth in range(1, 5)])
    with pytest.raises(ConnectionFailed):
        bench.run(org)
    assert (org.steps.count("upload"), bench.stage()[0]) == (4, "promised")
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_an_upload_that_the_org_refuses_clears_its_job_away_and_raises(bench):
    org = ScriptedOrg()
    org.refused["upload"] = (413, "API_ERROR")
    with pytest.raises(ApiError) as caught:
        bench.run(org)
    assert (caught.value.status, caught.value.job_id, org.jobs[FIRST].state) == (413, FIRST, "Aborted")
    org.refused.clear()
    assert_complete(bench.run(org))


@pytest.mark.parametrize("step", ["upload", "close", "info"])
@pytest.mark.parametrize("status", [429, 503])
def test_an_edge_that_is_busy_says_nothing_about_the_job(bench, step, status):
    org = ScriptedOrg()
    org.refused[step] = (status, "")
    bench.clock.meanwhile = org.refused.clear
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_promised_job_that_the_org_forgot_is_replaced_because_it_was_never_closed(bench):
    org = ScriptedOrg(Failure("upload", False, killed))
    with pytest.raises(Killed):
        bench.run(org)
    org.jobs.clear()
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_promised_job_that_somebody_closed_by_hand_is_followed_not_repeated(bench):
    org = ScriptedOrg(Failure("upload", True, killed))
    with pytest.raises(Killed):
        bench.run(org)
    org._close(None, org.jobs[FIRST])  # type: ignore[arg-type]
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_closed_job_that_the_org_forgot_leaves_its_rows_unknown_and_is_asked_again_next_time(bench):
    org = ScriptedOrg(Failure("info", False, killed))
    with pytest.raises(Killed):
        bench.run(org)
    kept = dict(org.jobs)
    org.jobs.clear()
    answers = bench.run(org)
    assert contents(answers) == [None, None, None]
    assert (answers.state, answers.job_id) == (GONE, FIRST)
    assert answers.error.startswith("The org does not know this job any more")
    org.jobs.update(kept)  # the wrong org had been asked
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_second_process_that_takes_a_part_over_stops_the_first_before_it_closes(bench):
    org = ScriptedOrg()

    def other_process() -> None:
        with Ledger.open(bench.folder) as ledger:
            ledger.promise_job("run-1", 0, SECOND, instead_of=FIRST)

    org.failures.append(Failure("upload", True, other_process))
    with pytest.raises(LedgerError) as caught:
        bench.run(org)
    assert caught.value.job_id == FIRST
    assert org.saved == []


# -- ends -----------------------------------------------------------------------------------------------------------


def test_a_failed_job_still_gives_its_files_and_says_why(bench):
    org = ScriptedOrg()
    org.ends, org.error_message = ["InProgress", "Failed"], "InternalServerError : Retried more than 20 times"
    answers = bench.run(org)
    assert contents(answers) == [SUCCEEDED, FAILED, b"Name\n"]
    assert (answers.state, answers.error) == ("Failed", "InternalServerError : Retried more than 20 times")


def test_a_job_that_somebody_aborted_still_gives_its_files(bench):
    org = ScriptedOrg()
    org.ends = ["InProgress", "Aborted"]
    answers = bench.run(org)
    assert contents(answers) == [SUCCEEDED, FAILED, b"Name\n"]
    assert (answers.state, answers.error) == ("Aborted", "The job was aborted.")


def test_a_count_that_differs_is_noted_and_the_files_are_kept(bench):
    org = ScriptedOrg()
    org.counted = 2
    answers = bench.run(org)
    assert contents(answers) == [SUCCEEDED, FAILED, b"Name\n"]
    assert answers.error == "The org counted 2 rows, 3 were sent."
    assert bench.run(ScriptedOrg()) == answers


def test_a_result_file_that_the_org_does_not_give_is_none_with_a_note(bench):
    org = ScriptedOrg()
    org.refused["unprocessedrecords"] = (404, "NOT_FOUND")
    answers = bench.run(org)
    assert contents(answers) == [SUCCEEDED, FAILED, None]
    assert answers.error == "The org does not give unprocessedrecords (HTTP 404 NOT_FOUND)."
    assert bench.stage() == ("ended", FIRST)
    org.refused.clear()
    assert_complete(bench.run(org))


def test_a_page_of_a_proxy_is_no_result_file(bench):
    org = ScriptedOrg()
    org.proxied["failedResults"] = 1
    assert_complete(bench.run(org))


def test_a_page_of_a_proxy_is_no_upload(bench):
    org = ScriptedOrg()
    org.proxied["upload"] = 1
    with pytest.raises(ApiError, match="an empty answer was expected"):
        bench.run(org)
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_refusal_that_may_pass_is_raised_so_that_the_results_are_not_given_up(bench):
    org = ScriptedOrg()
    org.refused["failedResults"] = (401, "INVALID_SESSION_ID")
    with pytest.raises(AuthenticationError):
        bench.run(org)
    org.refused.clear()
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_result_file_that_breaks_off_is_fetched_again_and_never_left_half(bench):
    org = ScriptedOrg()
    org.broken["successfulResults"] = 3
    assert_complete(bench.run(org))
    assert org.steps.count("successfulResults") == 4


def test_a_result_file_that_always_breaks_off_raises_and_leaves_no_file(bench):
    org = ScriptedOrg()
    org.broken["failedResults"] = 99
    with pytest.raises(ConnectionFailed):
        bench.run(org)
    assert {one.name for one in bench.folder.glob("*.csv")} == {f"part-00000.{FIRST}.succeeded.csv", "part-0.csv"}
    assert bench.stage()[0] == "ended"
    org.broken.clear()
    assert_complete(bench.run(org))


def test_a_job_that_cannot_be_made_raises_and_promises_nothing(bench):
    org = ScriptedOrg()
    org.refused["create"] = (400, "FEATURENOTENABLED")
    with pytest.raises(PermissionDenied):
        bench.run(org)
    assert bench.stage() == ("planned", "")


# -- waiting --------------------------------------------------------------------------------------------------------


def test_polls_come_soon_and_then_ever_later(bench):
    org = ScriptedOrg()
    org.ends = ["InProgress"] * 18 + ["JobComplete"]
    bench.run(org)
    assert bench.clock.waits[:6] == pytest.approx([0.05, 0.08, 0.128, 0.2048, 0.32768, 0.524288], abs=0.001)
    assert bench.clock.waits[14:] == [30.0] * 5


def test_a_timeout_names_the_job_and_how_to_go_on_and_a_resume_goes_on(bench):
    org = ScriptedOrg()
    org.ends = ["InProgress"] * 5 + ["JobComplete"]
    with pytest.raises(JobTimeout) as caught:
        bench.run(org, pacing=Pacing(timeout=0.5))
    assert str(caught.value) == (
        f"job {FIRST}: the job has not ended within 0.5 seconds; it goes on in the org\n"
        "Wait for it again with sfframe.resume('run-1')."
    )
    assert caught.value.job_id == FIRST
    assert sum(bench.clock.waits) == pytest.approx(0.5)
    assert_complete(bench.run(org))
    assert org.saved == ["a", "c"]


def test_a_timeout_of_zero_closes_the_job_and_does_not_ask_once(bench):
    org = ScriptedOrg()
    with pytest.raises(JobTimeout):
        bench.run(org, pacing=Pacing(timeout=0))
    assert org.steps == ["create", "upload", "close"]
    assert bench.stage()[0] == "closed"


def test_polls_that_fail_say_nothing_about_the_job(bench):
    org = ScriptedOrg(*[Failure("info", False, lost, nth) for nth in range(1, 9)])
    assert_complete(bench.run(org))
    assert [event.kind for event in bench.events].count("error") == 8
    assert "abort" not in org.steps


def test_polls_that_fail_for_ever_raise_and_the_job_is_left_alone(bench):
    org = ScriptedOrg(*[Failure("info", False, lost, nth) for nth in range(1, 99)])
    with pytest.raises(ConnectionFailed):
        bench.run(org)
    assert (org.steps.count("info"), "abort" in org.steps) == (20, False)


@pytest.mark.parametrize("step", STEPS)
def test_a_cancel_at_any_point_stops_and_a_resume_saves_each_row_once(bench, step):
    cancel = threading.Event()
    org = ScriptedOrg(Failure(step, True, cancel.set))
    with pytest.raises(Cancelled):
        bench.run(org, cancel=cancel)
    done = len(org.steps)
    assert org.steps[-1] == step
    assert_complete(bench.run(org))
    assert len(org.steps) > done
    assert org.saved == ["a", "c"]


def test_all_errors_are_picklable_and_keep_the_job(bench):
    org = ScriptedOrg()
    with pytest.raises(SfframeError) as caught:
        bench.run(org, pacing=Pacing(timeout=0))
    again = pickle.loads(pickle.dumps(caught.value))  # noqa: S301 - our own bytes
    assert (str(again), again.__dict__) == (str(caught.value), caught.value.__dict__)

"""One collections call: every lost answer, every death, and what the records then say. No row is ever saved twice."""

from __future__ import annotations

import json
import stat
import threading
from datetime import UTC, datetime, timedelta
from functools import partial
from pathlib import Path

import pytest

from sfframe.codec.records import body
from sfframe.errors import (
    ApiError,
    AuthenticationError,
    Cancelled,
    ConnectionFailed,
    LedgerError,
    LimitExceeded,
    NotFound,
    SfframeError,
    UsageError,
)
from sfframe.jobs.collections import ANSWERED, UNKNOWN, run_call
from sfframe.jobs.events import JobEvent
from sfframe.jobs.ledger import Ledger, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.spool import Answers, Part
from tests.codec.test_encode import column
from tests.jobs.scripted_org import Failure, FastClock, Killed, killed, lost
from tests.jobs.scripted_records import ME, OTHER, ScriptedRecords, number

INSERT = LoadJob("Widget__c", "insert")
UPSERT = LoadJob("Widget__c", "upsert", "Ext__c")
UPDATE = LoadJob("Widget__c", "update")
DELETE = LoadJob("Widget__c", "delete")
KEYED = "Ext__c,Name\nk1,a\nk2,bad b\nk3,c\n"
COLUMNS = {"Id": "id", "Ext__c": "string", "Name": "string", "CreatedDate": "datetime"}
HOUR = timedelta(hours=1)


def refused() -> None:
    raise ConnectionFailed("acme.my.salesforce.com cannot be reached", sent=False)


def unreadable() -> None:
    raise ApiError("the answer cannot be understood", status=200)


def gateway() -> None:
    raise ApiError("the org could not answer (HTTP 502)", status=502)


class Bench:
    """A spool with one part, a ledger that knows it, and a clock."""

    def __init__(self, folder: Path, text: str = KEYED) -> None:
        self.folder = folder
        path = folder / "part-00000.csv"
        path.write_text(text, encoding="utf-8")
        self.part = Part(0, path, 0, text.count("\n") - 1, len(text))
        self.sent = [column(name, COLUMNS[name]) for name in text.partition("\n")[0].split(",")]
        self.clock = FastClock()
        self.events: list[JobEvent] = []
        with Ledger.open(folder) as ledger:
            ledger.begin(Run("run-1", "Widget__c", "insert", username=ME.upper()), [self.part])

    def run(self, org: ScriptedRecords, job: LoadJob = INSERT, *, key: str | None = "Ext__c", **options) -> Answers:
        made = partial(
            body, sent=self.sent, sobject=job.sobject, operation=job.operation,
            external_id_field=job.external_id_field, all_or_none=job.all_or_none,
        )  # fmt: skip
        with options.pop("ledger_type", Ledger).open(self.folder) as ledger:
            return run_call(
                org, job, self.part, made, key=key, folder=self.folder, ledger=ledger, run_id="run-1",
                clock=self.clock, jitter=lambda: 0.5, on_event=self.events.append, **options,
            )  # fmt: skip

    def stage(self) -> str:
        with Ledger.open(self.folder) as ledger:
            return ledger.part_state("run-1", 0).stage

    def promised_ago(self, ago: timedelta) -> None:
        """A process promised the call, and died, that long ago."""
        when = (datetime.now(UTC) - ago).isoformat(timespec="milliseconds")
        with Ledger.open(self.folder, now=lambda: when) as ledger:
            ledger.promise_call("run-1", 0)


@pytest.fixture
def bench(tmp_path):
    return Bench(tmp_path)


def told(answers: Answers) -> list[object]:
    """Per row: the id, the code, or None; with created where it is told."""
    assert answers.ordered is not None
    words = {True: " created", False: " updated", None: " either", "": ""}
    return [
        row and (row["id"] + words[row.get("created", "")] if row["success"] else row["errors"][0]["statusCode"])
        for row in json.loads(answers.ordered.read_bytes())
    ]


REFUSED = "FIELD_CUSTOM_VALIDATION_EXCEPTION"
DONE = [number(1), REFUSED, number(2)]


# -- the usual way ------------------------------------------------------------------------------------------------


def test_a_part_is_one_call_and_its_answer_is_kept_as_it_came(bench):
    org = ScriptedRecords()
    answers = bench.run(org)
    assert answers == Answers(
        bench.part, "", ANSWERED, None, None, None, ordered=bench.folder / "part-00000.answers.json"
    )
    assert (told(answers), org.steps, org.names()) == (DONE, ["create"], ["a", "c"])
    assert stat.S_IMODE(answers.ordered.stat().st_mode) == 0o600
    assert sorted(one.name for one in bench.folder.glob("*.json")) == ["part-00000.answers.json"]
    assert bench.stage() == "fetched"
    assert bench.run(org) == answers  # asked again: from the disk
    assert org.steps == ["create"]


def test_events_tell_the_call_and_its_counters(bench):
    bench.run(ScriptedRecords())
    opened, response = bench.events
    assert opened == JobEvent("open", 0, 1, "", rows=3)
    assert response == JobEvent("response", 0, 1, "", rows=3, processed=3, failed=1, bytes_sent=response.bytes_sent)
    assert response.bytes_sent > 100


@pytest.mark.parametrize(
    ("job", "text", "steps", "expected"),
    [
        (UPDATE, f"Id,Name\n{number(1)},x\n{number(9)},y\n", "update", [number(1), "ENTITY_IS_DELETED"]),
        (UPSERT, "Ext__c,Name\nk1,x\nk2,y\n", "upsert", [f"{number(1)} updated", f"{number(2)} created"]),
        (DELETE, f"Id\n{number(1)}\n", "delete", [number(1)]),
    ],
)
def test_each_operation_is_one_call(tmp_path, job, text, steps, expected):
    org = ScriptedRecords()
    org.add("k1")
    assert told(Bench(tmp_path, text).run(org, job)) == expected
    assert org.steps == [steps]


def test_the_job_carries_its_headers_and_all_or_none(bench):
    job = LoadJob("Widget__c", "insert", assignment_rule_id="01Q", allow_duplicates=True, all_or_none=True)
    org = ScriptedRecords()
    back = "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert told(bench.run(org, job)) == [back, REFUSED, back]
    assert org.names() == []
    assert org.headers == [
        {
            "Content-Type": "application/json",
            "Sforce-Auto-Assign": "01Q",
            "Sforce-Duplicate-Rule-Header": "allowSave=true",
        }
    ]


def test_what_collections_cannot_do_is_said_before_anything_is_sent(bench):
    org = ScriptedRecords()
    with pytest.raises(UsageError, match="collections cannot hardDelete 3 rows"):
        bench.run(org, LoadJob("Widget__c", "hardDelete"))
    bench.part = Part(0, bench.part.path, 0, 201, 1)
    with pytest.raises(UsageError, match="parts of up to 200 rows"):
        bench.run(org)
    assert (org.steps, bench.stage()) == ([], "planned")


def test_the_promise_is_on_disk_before_the_call_goes_out(bench):
    seen = []
    bench.run(ScriptedRecords(Failure("create", False, lambda: seen.append(bench.stage()))))
    assert seen == ["promised"]


# -- it is certain that the org did nothing -------------------------------------------------------------------------


def test_a_call_that_was_refused_as_a_whole_is_the_answer_of_every_row(bench):
    org = ScriptedRecords()
    org.refused["create"] = [(400, "INVALID_FIELD")]
    answers = bench.run(org)
    assert told(answers) == ["INVALID_FIELD"] * 3
    assert answers.error == "The org refused the whole call: INVALID_FIELD: as scripted"
    raw = answers.ordered.with_suffix(".raw.json")
    assert json.loads(raw.read_bytes()) == [{"errorCode": "INVALID_FIELD", "message": "as scripted"}]
    assert stat.S_IMODE(raw.stat().st_mode) == 0o600


@pytest.mark.parametrize(
    ("status", "code", "error"),
    [
        (401, "INVALID_AUTH_HEADER", AuthenticationError),
        (403, "REQUEST_LIMIT_EXCEEDED", LimitExceeded),
        (404, "NOT_FOUND", NotFound),
    ],
)
@pytest.mark.parametrize("key", [None, "Ext__c"])
def test_a_refusal_that_concerns_no_row_takes_the_promise_back(bench, status, code, error, key):
    org = ScriptedRecords()
    org.refused["create"] = [(status, code)]
    with pytest.raises(error):
        bench.run(org, key=key)
    assert bench.stage() == "planned"
    assert told(bench.run(org, key=key)) == DONE
    assert org.steps == ["create", "create"]


@pytest.mark.parametrize(("status", "code"), [(429, ""), (420, ""), (400, "UNABLE_TO_LOCK_ROW")])
@pytest.mark.parametrize("key", [None, "Ext__c"])
def test_an_org_that_is_busy_is_asked_again(bench, status, code, key):
    org = ScriptedRecords()
    org.refused["create"] = [(status, code)] * 2
    assert told(bench.run(org, key=key)) == DONE
    assert (org.steps, org.names(), bench.clock.waits) == (["create"] * 3, ["a", "c"], [0.75, 1.5])
    assert [one.kind for one in bench.events] == ["open", "error", "open", "error", "open", "response"]


def test_an_org_that_stays_busy_has_refused_the_rows(bench):
    org = ScriptedRecords()
    org.refused["create"] = [(400, "UNABLE_TO_LOCK_ROW")] * 5
    assert told(bench.run(org, key=None)) == ["UNABLE_TO_LOCK_ROW"] * 3
    assert org.steps == ["create"] * 5


@pytest.mark.parametrize("key", [None, "Ext__c"])
def test_an_org_that_was_not_reached_has_done_nothing(bench, key):
    org = ScriptedRecords(Failure("create", False, refused))
    with pytest.raises(ConnectionFailed):
        bench.run(org, key=key)
    assert (bench.stage(), bench.clock.waits) == ("planned", [])
    assert told(bench.run(org, key=key)) == DONE


def test_a_cancel_before_the_call_leaves_the_part_untouched(bench):
    cancel, org = threading.Event(), ScriptedRecords()
    cancel.set()
    with pytest.raises(Cancelled):
        bench.run(org, cancel=cancel)
    assert (bench.stage(), org.steps) == ("planned", [])


def test_a_cancel_that_the_transport_notices_takes_the_promise_back(bench):
    def cancelled() -> None:
        raise Cancelled("cancelled")

    org = ScriptedRecords(Failure("create", False, cancelled))
    with pytest.raises(Cancelled):
        bench.run(org, key=None)
    assert bench.stage() == "planned"


# -- it is not certain ----------------------------------------------------------------------------------------------

LOST = [lost, gateway, unreadable]


@pytest.mark.parametrize("happens", LOST)
@pytest.mark.parametrize("after", [False, True])
def test_an_insert_without_a_key_is_never_sent_again(bench, happens, after):
    org = ScriptedRecords(Failure("create", after, happens))
    answers = bench.run(org, key=None)
    assert (answers.state, answers.ordered, org.steps) == (UNKNOWN, None, ["create"])
    assert answers.error.startswith(
        "The answer to this call was lost, and rows without a unique key are not sent twice"
    )
    assert org.names() == (["a", "c"] if after else [])
    assert bench.run(org, key=None) == answers
    assert org.steps == ["create"]


@pytest.mark.parametrize("text", ["Ext__c,Name\nk1,a\n,b\n", "Ext__c,Name\nk1,a\nk1,b\n", "Ext__c,Name\nk1 ,a\nK1,b\n"])
def test_a_key_that_does_not_tell_every_row_apart_is_none(tmp_path, text):
    org = ScriptedRecords(Failure("create", True, lost))
    assert Bench(tmp_path, text).run(org).state == UNKNOWN
    assert org.steps == ["create"]


def test_an_upsert_by_id_that_creates_is_never_sent_again(tmp_path):
    org = ScriptedRecords(Failure("upsert", True, lost))
    made = Bench(tmp_path, f"Id,Name\n{number(1)},a\n,b\n").run(org, LoadJob("Widget__c", "upsert", "Id"))
    assert (made.state, org.steps) == (UNKNOWN, ["upsert"])


@pytest.mark.parametrize("happens", [lost, gateway])
def test_a_keyed_insert_whose_call_did_not_arrive_is_sent_again(bench, happens):
    org = ScriptedRecords(Failure("create", False, happens))
    assert told(bench.run(org)) == DONE
    assert (org.steps, org.names()) == (["create", "create", "query"], ["a", "c"])


@pytest.mark.parametrize("happens", [lost, gateway])
@pytest.mark.parametrize("ahead", [timedelta(), -HOUR, HOUR])
def test_a_keyed_insert_whose_answer_was_lost_ends_as_created(bench, happens, ahead):
    org = ScriptedRecords(Failure("create", True, happens), ahead=ahead)
    answers = bench.run(org)
    assert (told(answers), answers.error) == (DONE, "")
    assert (org.steps, org.names()) == (["create", "create", "query"], ["a", "c"])
    raw = json.loads(answers.ordered.with_suffix(".raw.json").read_bytes())
    assert [row["errors"][0]["statusCode"] for row in raw] == ["DUPLICATE_VALUE", REFUSED, "DUPLICATE_VALUE"]


def test_a_record_that_was_there_before_stays_a_duplicate(bench):
    org = ScriptedRecords(Failure("create", True, lost))
    org.add("k1", ago=timedelta(seconds=10))
    assert told(bench.run(org)) == ["DUPLICATE_VALUE", REFUSED, number(2)]
    assert org.names() == ["old", "c"]


def test_a_record_of_another_user_stays_a_duplicate(bench):
    org = ScriptedRecords(Failure("create", True, lost))
    org.add("k3", user=OTHER)
    assert told(bench.run(org)) == [number(2), REFUSED, "DUPLICATE_VALUE"]
    assert org.names() == ["old", "a"]


def test_an_org_without_a_clock_is_believed_to_have_ours(bench):
    org = ScriptedRecords(Failure("create", True, lost))
    org.tells_time = False
    assert told(bench.run(org)) == DONE


def test_a_key_that_the_org_has_changed_on_the_way_is_found(tmp_path):
    org = ScriptedRecords(Failure("create", True, lost))
    assert told(Bench(tmp_path, "Ext__c,Name\nk1 ,a\nk2,b\n").run(org)) == [number(1), number(2)]
    assert [one["Ext__c"] for one in org.live()] == ["k1", "k2"]


def test_a_duplicate_rule_that_finds_the_record_of_the_first_sending_does_not_hide_it(bench):
    org = ScriptedRecords(Failure("create", True, lost))
    org.failures.append(
        Failure("create", False, lambda: org.errors.update(k3=[("DUPLICATES_DETECTED", "Use?")]), nth=2)
    )
    assert told(bench.run(org)) == DONE


def test_a_first_sending_that_still_runs_is_waited_for(bench):
    """Its record has no id yet, and what it holds locks the row; in the end it is there."""
    org = ScriptedRecords(Failure("create", False, lost))
    org.errors["k1"] = [("DUPLICATE_VALUE", "... on record with id: <unknown>")]
    org.errors["k3"] = [("UNABLE_TO_LOCK_ROW", "held"), ("UNABLE_TO_LOCK_ROW", "held")]

    def saves() -> None:
        org.add("k1", "a")

    org.failures.append(Failure("create", False, saves, nth=3))
    assert told(bench.run(org)) == [number(1), REFUSED, number(2)]
    assert (org.steps.count("create"), org.names()) == (4, ["a", "c"])


def test_what_a_first_sending_may_still_hold_in_the_end_is_unknown(bench):
    org = ScriptedRecords(Failure("create", False, lost))
    org.errors["k1"] = [("DUPLICATE_VALUE", "... on record with id: <unknown>")] * 5
    answers = bench.run(org)
    assert told(answers) == [None, REFUSED, number(1)]
    assert answers.error == (
        "An answer to this call was lost, and it was sent again; what became of 1 of its rows cannot be known."
    )


def test_a_failure_that_is_not_of_a_repeated_call_is_a_failure(bench):
    org = ScriptedRecords()
    org.errors["k1"] = [("UNABLE_TO_LOCK_ROW", "held")]
    assert told(bench.run(org)) == ["UNABLE_TO_LOCK_ROW", REFUSED, number(1)]
    assert org.steps == ["create"]


def test_records_that_tell_nothing_leave_the_failed_rows_unknown(bench):
    org = ScriptedRecords(Failure("create", True, lost))
    org.refused["query"] = [(400, "INVALID_FIELD")]
    answers = bench.run(org)
    assert told(answers) == [None, None, None]
    assert "what became of 3 of its rows cannot be known" in answers.error


def test_rows_that_set_audit_fields_prove_nothing(tmp_path):
    org = ScriptedRecords(Failure("create", True, lost))
    answers = Bench(tmp_path, "Ext__c,Name,CreatedDate\nk1,a,2020-01-01T00:00:00.000Z\n").run(org)
    assert (told(answers), org.steps) == ([None], ["create", "create"])


def test_an_upsert_whose_answer_was_lost_says_what_it_created(tmp_path):
    org = ScriptedRecords(Failure("upsert", True, lost))
    org.add("k1", ago=HOUR)
    bench = Bench(tmp_path, "Ext__c,Name\nk1,x\nk2,y\nk3,bad\n")
    assert told(bench.run(org, UPSERT)) == [f"{number(1)} updated", f"{number(2)} created", REFUSED]
    assert org.names() == ["x", "y"]
    assert org.steps == ["upsert", "upsert", "query"]


def test_an_upsert_that_fails_the_second_time_says_what_the_first_did(tmp_path):
    """k1 was created by the first sending; k2 was changed then, or by a trigger; k3 was not touched."""
    org = ScriptedRecords(Failure("upsert", True, lost))
    org.add("k2", ago=HOUR)
    org.add("k3", ago=HOUR)
    refusal = [("FIELD_CUSTOM_VALIDATION_EXCEPTION", "only once")]
    org.errors["k3"] = refusal * 2
    org.failures.append(Failure("upsert", False, lambda: org.errors.update(k1=refusal * 1, k2=refusal * 1), nth=2))
    answers = Bench(tmp_path, "Ext__c,Name\nk1,x\nk2,y\nk3,z\n").run(org, UPSERT)
    assert told(answers) == [f"{number(3)} created", None, REFUSED]


def test_an_upsert_without_evidence_is_saved_and_nobody_knows_how(tmp_path):
    org = ScriptedRecords(Failure("upsert", True, lost))
    org.refused["query"] = [(400, "INVALID_FIELD")]
    answers = Bench(tmp_path, "Ext__c,Name\nk1,x\n").run(org, UPSERT)
    assert told(answers) == [f"{number(1)} either"]
    assert answers.error == "It cannot be told of 1 rows whether they were created or updated."


def test_an_update_is_sent_again_and_a_failure_is_believed_where_nothing_was_changed(tmp_path):
    org = ScriptedRecords(Failure("update", True, lost))
    for key in ("k1", "k2", "k3"):
        org.add(key, ago=HOUR)
    text = f"Id,Name\n{number(1)},x\n{number(2)},bad\n{number(3)},z\n"
    org.failures.append(
        Failure("update", False, lambda: org.errors.update({number(3): [("LATE_CODE", "only once")]}), nth=2)
    )
    assert told(Bench(tmp_path, text).run(org, UPDATE)) == [number(1), REFUSED, None]
    assert org.names() == ["x", "old", "z"]


def test_a_delete_whose_answer_was_lost_ends_as_deleted(tmp_path):
    org = ScriptedRecords(Failure("delete", True, lost))
    org.add("k1")
    org.add("k2")
    bench = Bench(tmp_path, f"Id\n{number(1)}\n{number(2)}\n{number(7)}\n")
    org.errors[number(7)] = [("INVALID_CROSS_REFERENCE_KEY", "none")] * 2
    assert told(bench.run(org, DELETE)) == [number(1), number(2), "INVALID_CROSS_REFERENCE_KEY"]
    assert (org.steps, org.names()) == (["delete", "delete"], [])


def test_a_delete_of_what_was_gone_before_fails_when_no_answer_was_lost(tmp_path):
    bench = Bench(tmp_path, f"Id\n{number(1)}\n")
    assert told(bench.run(ScriptedRecords(), DELETE)) == ["ENTITY_IS_DELETED"]


@pytest.mark.parametrize("gone", [False, True])
def test_all_or_none_has_deleted_all_or_nothing(tmp_path, gone):
    org = ScriptedRecords(Failure("delete", True, lost))
    org.add("k1")
    org.add("k2")
    org.records[number(2)]["deleted"] = gone
    job = LoadJob("Widget__c", "delete", all_or_none=True)
    answers = Bench(tmp_path, f"Id\n{number(1)}\n{number(2)}\n").run(org, job)
    rolled_back = ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "ENTITY_IS_DELETED"]
    assert told(answers) == (rolled_back if gone else [number(1), number(2)])
    assert len(org.live()) == (1 if gone else 0)


def test_an_all_or_none_insert_whose_answer_was_lost_ends_as_created(tmp_path):
    org = ScriptedRecords(Failure("create", True, lost))
    job = LoadJob("Widget__c", "insert", all_or_none=True)
    answers = Bench(tmp_path, "Ext__c,Name\nk1,a\nk2,b\n").run(org, job)
    assert (told(answers), org.names()) == ([number(1), number(2)], ["a", "b"])


def test_an_org_that_never_answers_is_given_up_and_asked_at_the_next_resume(bench):
    org = ScriptedRecords(*(Failure("create", True, lost, nth=time) for time in range(1, 6)))
    with pytest.raises(ConnectionFailed):
        bench.run(org)
    assert (bench.stage(), bench.clock.waits) == ("promised", [0.75, 1.5, 3.0, 6.0])
    assert told(bench.run(org)) == DONE
    assert org.names() == ["a", "c"]


def test_a_refusal_after_a_lost_answer_does_not_take_the_promise_back(bench):
    org = ScriptedRecords(Failure("create", True, lost))
    org.failures.append(
        Failure("create", False, lambda: org.refused.update(create=[(403, "REQUEST_LIMIT_EXCEEDED")]), 2)
    )
    with pytest.raises(LimitExceeded):
        bench.run(org)
    assert bench.stage() == "promised"
    assert told(bench.run(org)) == DONE


def test_an_answer_for_another_number_of_rows_is_kept_for_the_codec_to_refuse(bench):
    org = ScriptedRecords(Failure("create", True, lost))
    org.cut = 1
    assert len(told(bench.run(org))) == 2


# -- deaths -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("step", ["create", "query"])
def test_a_keyed_insert_survives_a_death_at_any_request(bench, step, after):
    org = ScriptedRecords(Failure("create", True, lost), Failure(step, after, killed, nth=2 if step == "create" else 1))
    with pytest.raises(Killed):
        bench.run(org)
    assert bench.stage() == "promised"
    assert told(bench.run(org)) == DONE
    assert org.names() == ["a", "c"]


@pytest.mark.parametrize("after", [False, True])
def test_an_insert_without_a_key_is_unknown_after_a_death(bench, after):
    org = ScriptedRecords(Failure("create", after, killed))
    with pytest.raises(Killed):
        bench.run(org, key=None)
    answers = bench.run(org, key=None)
    assert (answers.state, org.steps) == (UNKNOWN, ["create"])
    assert "the process that sent it ended before it had the answer" in answers.error


def test_a_load_that_goes_on_days_later_still_knows_its_records(bench):
    org = ScriptedRecords(ahead=HOUR)
    bench.promised_ago(timedelta(days=2, seconds=-0.5))  # first, so that a slow machine makes no record older
    org.add("k1", "a", ago=timedelta(days=2))
    org.add("k3", "c", ago=timedelta(days=2, seconds=-1))
    assert told(bench.run(org)) == DONE


def test_and_tells_them_from_records_of_a_day_before(bench):
    org = ScriptedRecords(ahead=HOUR)
    org.add("k1", "a", ago=timedelta(days=3))
    bench.promised_ago(timedelta(days=2))
    assert told(bench.run(org)) == ["DUPLICATE_VALUE", REFUSED, number(2)]


class DiesAt(Ledger):
    """Dies instead of noting that the answers are here."""

    def note_fetched(self, run_id, answers):
        assert (run_id, answers.state) == ("run-1", ANSWERED)
        raise Killed


@pytest.mark.parametrize("key", [None, "Ext__c"])
def test_answers_that_are_on_the_disk_are_taken_from_there(bench, key):
    org = ScriptedRecords()
    with pytest.raises(Killed):
        bench.run(org, key=key, ledger_type=DiesAt)
    assert bench.stage() == "promised"
    answers = bench.run(org, key=key)
    assert (told(answers), org.steps, bench.stage()) == (DONE, ["create"], "fetched")


def test_answers_that_have_gone_from_the_disk_are_asked_for_again(bench):
    org = ScriptedRecords()
    bench.run(org).ordered.unlink()
    assert told(bench.run(org)) == DONE
    assert org.names() == ["a", "c"]


def test_a_full_disk_leaves_the_promise(bench):
    """Not even a directory is left to write into."""
    org = ScriptedRecords()
    bench.folder, kept = bench.folder / "gone", bench.folder
    with pytest.raises(SfframeError, match="a file cannot be written"), Ledger.open(kept) as ledger:
        run_call(
            org, INSERT, bench.part, partial(body, sent=bench.sent, sobject="Widget__c", operation="insert"),
            key="Ext__c", folder=bench.folder, ledger=ledger, run_id="run-1", clock=bench.clock,
        )  # fmt: skip
    bench.folder = kept
    assert bench.stage() == "promised"
    assert told(bench.run(org)) == DONE


def test_another_process_that_has_the_part_is_respected(bench):
    class Twice(Ledger):
        def promise_call(self, run_id, number, *, instead_of=""):
            super().promise_call(run_id, number, instead_of=instead_of)
            return super().promise_call(run_id, number, instead_of=instead_of)

    org = ScriptedRecords()
    with pytest.raises(LedgerError, match="Another process works on this run"):
        bench.run(org, ledger_type=Twice)
    assert org.steps == []


def test_no_error_holds_a_record_value(bench):
    org = ScriptedRecords(*(Failure("create", True, lost, nth=time) for time in range(1, 6)))
    with pytest.raises(SfframeError) as raised:
        bench.run(org)
    assert not any(value in str(raised.value) for value in ("k1", "bad b"))
    assert not any(value in repr(bench.events) for value in ("k1", "bad b"))

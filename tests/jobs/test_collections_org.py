"""Collections against a real embedded org: frame to spool, spool to body, body to rows, and back; with its faults."""

from __future__ import annotations

import datetime as dt
import json
import random
import signal
import subprocess
import sys
from collections.abc import Callable
from functools import partial
from pathlib import Path

import polars as pl
import pytest

import sfframe as sf
from sfframe.codec.encode import encode
from sfframe.codec.outcomes import read_ordered
from sfframe.codec.outcomes_json import read_json
from sfframe.codec.records import body
from sfframe.codec.split import spool
from sfframe.errors import AuthenticationError, ConnectionFailed
from sfframe.facts import COLLECTION_ROWS, Operation
from sfframe.frames.columns import match_columns
from sfframe.frames.contract import check
from sfframe.jobs.collections import UNKNOWN, run_call
from sfframe.jobs.ledger import Ledger, PartState, Run
from sfframe.jobs.load_job import LoadJob
from sfframe.localorg import Fault
from sfframe.spool import Answers
from tests.jobs.scripted_org import FastClock

KEY = {"name": "Ext__c", "type": "string", "length": 40, "externalId": True, "unique": True, "idLookup": True}
PLAIN = [
    {"name": "Score__c", "type": "double", "precision": 18, "scale": 4},
    {"name": "Count__c", "type": "int", "digits": 8},
    {"name": "Hot__c", "type": "boolean"},
    {"name": "Day__c", "type": "date"},
    {"name": "Seen__c", "type": "datetime"},
    {"name": "At__c", "type": "time"},
    {"name": "Tags__c", "type": "multipicklist", "picklistValues": [{"value": "A"}, {"value": "B"}]},
]
NASTY = [
    'quo"te',
    "back\\slash",
    "line\nbreak",
    "tab\there",
    "comma, here",
    "Ünïcödé 🎈",
    "\u2028",
    "</script>",
    "null",
    "{}",
]


@pytest.fixture
def bench(local_org: sf.LocalOrg, org: sf.Org, tmp_path: Path) -> Bench:
    local_org.deploy([{"name": "Account", "fields": [KEY, *PLAIN]}, {"name": "Contact", "fields": [KEY]}])
    return Bench(local_org, org, tmp_path)


class Bench:
    """Loads frames, one call for every 200 rows, each load in a folder of its own."""

    def __init__(self, local: sf.LocalOrg, org: sf.Org, folder: Path) -> None:
        self.local, self.org, self.folder = local, org, folder
        self.loads = 0

    def begin(self, frame: pl.DataFrame, operation: Operation, *, sobject: str = "Account", **options) -> Load:
        self.loads += 1
        most = options.pop("max_rows", COLLECTION_ROWS)
        return Load(self, frame, LoadJob(sobject, operation, options.pop("by", None), **options), self.loads, most)

    def load(self, frame: pl.DataFrame, operation: Operation, **options) -> pl.DataFrame:
        """The answers, one for each row, in their order."""
        return self.begin(frame, operation, **options).answers()

    def made_an_hour_ago(self, key: str) -> str:
        """A record that was there before."""
        made, when = "001AB00000QrS02YAD", dt.datetime.now(dt.UTC) - dt.timedelta(hours=1)
        row = {
            "Id": made,
            "Name": "old",
            "Ext__c": key,
            "CreatedDate": when,
            "LastModifiedDate": when,
            "IsDeleted": False,
        }
        self.local.mirror("Account", pl.DataFrame([row]))
        return made

    def stored(self, *names: str, sobject: str = "Account") -> list[tuple[object, ...]]:
        return self.local.table(sobject).sort("Id").select(names).rows()

    def calls(self) -> list[str]:
        log = self.local.request_log().filter(pl.col("path").str.contains("composite/sobjects"))
        return log["method"].to_list()


class Load:
    def __init__(self, bench: Bench, frame: pl.DataFrame, job: LoadJob, number: int, most: int) -> None:
        self.bench, self.job = bench, job
        self.folder = bench.folder / f"load-{number}"
        described = bench.org.describe(job.sobject)
        operation, key, describe = job.operation, job.external_id_field, bench.org.describe
        self.sent = match_columns(
            frame.columns, described, operation=operation, external_id_field=key, describe=describe
        )
        checked = check(frame, self.sent, described, operation=operation, external_id_field=key)
        assert checked.failures.rows() == []
        self.parts = list(spool(encode(checked.typed, self.sent, checked.cleared), self.folder, max_rows=most))
        with Ledger.open(self.folder) as ledger:
            ledger.begin(Run("run", job.sobject, job.operation, username=bench.org.identity.username), self.parts)

    def run(self, *, key: str | None = "Ext__c") -> list[Answers]:
        made = partial(
            body, sent=self.sent, sobject=self.job.sobject, operation=self.job.operation,
            external_id_field=self.job.external_id_field, all_or_none=self.job.all_or_none,
        )  # fmt: skip
        with Ledger.open(self.folder) as ledger:
            return [
                run_call(
                    self.bench.org, self.job, part, made, key=key, folder=self.folder, ledger=ledger, run_id="run",
                    clock=FastClock(), jitter=lambda: 0.5,
                )
                for part in self.parts
            ]  # fmt: skip

    def states(self) -> list[PartState]:
        with Ledger.open(self.folder) as ledger:
            return ledger.parts("run")

    def answers(self, *, key: str | None = "Ext__c") -> pl.DataFrame:
        return pl.concat([read_json(one.ordered, one.part.rows) for one in self.run(key=key) if one.ordered])


def outcomes(frame: pl.DataFrame) -> list[str | None]:
    """Per row: the outcome, or the code where there is one."""
    return frame.select(pl.coalesce("sf__ErrorCode", "sf__Outcome")).to_series().to_list()


# -- operations ------------------------------------------------------------------------------------------------------


def test_all_types_come_to_the_org_as_they_were(bench: Bench):
    frame = pl.DataFrame(
        {
            "Name": NASTY,
            "Ext__c": [f"k{row}" for row in range(10)],
            "Score__c": [0.1 * row for row in range(9)] + [None],
            "Count__c": pl.Series([*range(9), None], dtype=pl.Int64),
            "Hot__c": [row % 2 == 0 for row in range(10)],
            "Day__c": [dt.date(2026, 3, 1 + row) for row in range(9)] + [None],
            "Seen__c": [dt.datetime(2026, 3, 4, 5, 6, row, tzinfo=dt.UTC) for row in range(9)] + [None],
            "At__c": [dt.time(1, 2, row) for row in range(9)] + [None],
            "Tags__c": ["A;B", "A", None, "B", *["A"] * 6],
        }
    )
    found = bench.load(frame, "insert")
    assert outcomes(found) == ["succeeded"] * 10
    read = sf.read_soql(f"SELECT Id, {', '.join(frame.columns)} FROM Account ORDER BY Ext__c", org=bench.org)
    assert read["Id"].to_list() == found["sf__Id"].to_list()
    scores = pl.col("Score__c").round(4)
    assert read.drop("Id").with_columns(scores).rows() == frame.with_columns(scores).rows()


def test_two_hundred_rows_are_one_call(bench: Bench):
    frame = pl.DataFrame({"Name": [f"n{row}" for row in range(401)], "Ext__c": [f"k{row}" for row in range(401)]})
    found = bench.load(frame, "insert")
    assert bench.calls() == ["POST"] * 3
    assert bench.stored("Id", "Name") == list(zip(found["sf__Id"], frame["Name"], strict=True))


def test_update_upsert_and_delete_find_their_rows(bench: Bench):
    ids = bench.load(pl.DataFrame({"Name": ["a", "b", "c"], "Ext__c": ["k1", "k2", "k3"]}), "insert")["sf__Id"]
    changed = bench.load(pl.DataFrame({"Id": [ids[2], ids[0]], "Name": ["C", "A"]}), "update")
    assert changed.rows() == [("succeeded", one, None, None, None, None) for one in (ids[2], ids[0])]
    merged = bench.load(pl.DataFrame({"Ext__c": ["k4", "k2"], "Name": ["d", "B"]}), "upsert", by="Ext__c")
    assert merged["sf__Created"].to_list() == [True, False]
    assert merged["sf__Id"][1] == ids[1]
    assert bench.stored("Name") == [("A",), ("B",), ("C",), ("d",)]
    gone = bench.load(pl.DataFrame({"Id": ids.head(2)}), "delete")
    assert gone.rows() == [("succeeded", one, None, None, None, None) for one in ids.head(2)]
    assert bench.stored("Name") == [("C",), ("d",)]


def test_an_upsert_by_id_creates_the_rows_that_have_none(bench: Bench):
    ids = bench.load(pl.DataFrame({"Name": ["a"], "Ext__c": ["k1"]}), "insert")["sf__Id"]
    found = bench.load(pl.DataFrame({"Id": [None, ids[0]], "Name": ["new", "A"]}), "upsert", by="Id")
    assert (outcomes(found), found["sf__Created"].to_list()) == (["succeeded"] * 2, [True, False])
    assert bench.stored("Name") == [("A",), ("new",)]


def test_a_null_clears_on_update_and_is_left_to_the_default_on_insert(bench: Bench):
    rows = {"Name": ["a", "b"], "Ext__c": ["k1", "k2"], "Score__c": [1.5, 2.5], "Day__c": [dt.date(2026, 1, 2)] * 2}
    ids = bench.load(pl.DataFrame(rows), "insert")["sf__Id"]
    frame = pl.DataFrame({"Id": ids, "Score__c": [None, 3.5], "Day__c": [dt.date(2026, 5, 6), None]})
    assert outcomes(bench.load(frame, "update")) == ["succeeded"] * 2
    assert bench.stored("Name", "Score__c", "Day__c") == [("a", None, dt.date(2026, 5, 6)), ("b", 3.5, None)]
    found = bench.load(
        pl.DataFrame({"Name": ["c"], "Ext__c": ["k3"], "Hot__c": pl.Series([None], dtype=pl.Boolean)}), "insert"
    )
    assert outcomes(found) == ["succeeded"]
    assert bench.stored("Hot__c")[2] == (False,)


def test_parents_are_found_by_their_keys_and_cleared_by_their_field(bench: Bench):
    accounts = bench.load(pl.DataFrame({"Name": ["a", "b"], "Ext__c": ["k1", "k2"]}), "insert")["sf__Id"]
    contacts = pl.DataFrame(
        {
            "LastName": ["x", "y", "z"],
            "Account.Ext__c": ["k2", None, "nowhere"],
            "User:Owner.Username": [bench.org.identity.username, None, None],
        }
    )
    if len(bench.org.describe("Contact").field("OwnerId").reference_to) == 1:  # type: ignore[union-attr]
        contacts = contacts.rename({"User:Owner.Username": "Owner.Username"})
    found = bench.load(contacts, "insert", sobject="Contact")
    assert outcomes(found) == ["succeeded", "succeeded", "INVALID_FIELD"]
    assert bench.stored("LastName", "AccountId", sobject="Contact") == [("x", accounts[1]), ("y", None)]
    frame = pl.DataFrame({"Id": found["sf__Id"].head(1), "AccountId": pl.Series([None], dtype=pl.String)})
    assert outcomes(bench.load(frame, "update", sobject="Contact")) == ["succeeded"]
    assert bench.stored("LastName", "AccountId", sobject="Contact") == [("x", None), ("y", None)]


def test_a_parent_of_several_kinds_is_named_with_its_kind(bench: Bench):
    case = pl.DataFrame({"Subject": ["a"], "User:Owner.Username": [bench.org.identity.username]})
    assert outcomes(bench.load(case, "insert", sobject="Case")) == ["succeeded"]
    owner = sf.read_soql("SELECT Owner.Username FROM Case", org=bench.org)
    assert owner.item() == bench.org.identity.username


def test_some_rows_fail_and_the_others_are_saved(bench: Bench):
    bench.local.validation_rule("Account", name="no_bad", when="Name = 'bad'", message="Not this one.", field="Name")
    bench.load(pl.DataFrame({"Name": ["old"], "Ext__c": ["k2"]}), "insert")
    found = bench.load(pl.DataFrame({"Name": ["a", "b", "bad"], "Ext__c": ["k1", "k2", "k3"]}), "insert")
    assert outcomes(found) == ["succeeded", "DUPLICATE_VALUE", "FIELD_CUSTOM_VALIDATION_EXCEPTION"]
    assert found.select("sf__ErrorFields", "sf__Error").row(2) == ("Name", "Not this one.")
    assert bench.stored("Name") == [("old",), ("a",)]


def test_all_or_none_saves_nothing_when_one_row_fails(bench: Bench):
    bench.load(pl.DataFrame({"Name": ["old"], "Ext__c": ["k2"]}), "insert")
    frame = pl.DataFrame({"Name": ["a", "b"], "Ext__c": ["k1", "k2"]})
    found = bench.load(frame, "insert", all_or_none=True)
    assert outcomes(found) == ["ALL_OR_NONE_OPERATION_ROLLED_BACK", "DUPLICATE_VALUE"]
    assert bench.stored("Name") == [("old",)]
    ids = sf.read_soql("SELECT Id FROM Account", org=bench.org)["Id"]
    gone = pl.DataFrame({"Id": [ids[0], "001000000000001AAA"]})
    assert outcomes(bench.load(gone, "delete", all_or_none=True))[0] == "ALL_OR_NONE_OPERATION_ROLLED_BACK"
    assert bench.stored("Name") == [("old",)]


def test_a_call_that_is_refused_as_a_whole_is_the_answer_of_every_row(bench: Bench):
    bench.local.faults.add(
        Fault("answer", status=400, code="INVALID_FIELD", message="No such column", path="*/sobjects")
    )
    found = bench.load(pl.DataFrame({"Name": ["a", "b"], "Ext__c": ["k1", "k2"]}), "insert")
    assert found.rows() == [("failed", None, None, "INVALID_FIELD", None, "No such column")] * 2


# -- faults ----------------------------------------------------------------------------------------------------------

COLLECTIONS = "*/composite/sobjects*"
ONCE = [
    Fault("reset_before", path=COLLECTIONS, nth=1),
    Fault("reset_after", path=COLLECTIONS, nth=1),
    Fault("truncate", path=COLLECTIONS, nth=1, bytes=30),
    Fault("answer", path=COLLECTIONS, nth=1, status=503),
    Fault("answer", path=COLLECTIONS, nth=1, status=503, acted=True),
    Fault("answer", path=COLLECTIONS, nth=1, status=502, html=True, acted=True),
    Fault("answer", path=COLLECTIONS, nth=1, status=500, acted=True),
    Fault("answer", path=COLLECTIONS, nth=1, status=429),
]


def named(fault: Fault) -> str:
    return f"{fault.kind}-{fault.status}{'-acted' if fault.acted else ''}" if fault.kind == "answer" else fault.kind


@pytest.fixture(params=ONCE, ids=named)
def troubled(request: pytest.FixtureRequest, bench: Bench) -> Callable[[], Bench]:
    """A bench whose next collections call meets a fault."""

    def begin() -> Bench:
        bench.local.faults.add(request.param)
        return bench

    return begin


def rows() -> pl.DataFrame:
    return pl.DataFrame({"Name": ["a", "b", "c"], "Ext__c": ["k1", "k2", "k3"]})


def test_a_keyed_insert_is_saved_once_whatever_happens(bench: Bench, troubled):
    old = bench.made_an_hour_ago("K2")
    load = bench.begin(rows(), "insert")
    troubled()
    found = load.answers()
    assert outcomes(found) == ["succeeded", "DUPLICATE_VALUE", "succeeded"]
    assert set(bench.stored("Name", "Id")) == {("old", old), ("a", found["sf__Id"][0]), ("c", found["sf__Id"][2])}


def test_an_upsert_says_what_it_created_whatever_happens(bench: Bench, troubled):
    bench.made_an_hour_ago("K2")
    load = bench.begin(rows(), "upsert", by="Ext__c")
    troubled()
    found = load.answers()
    assert found["sf__Created"].to_list() == [True, False, True]
    assert sorted(bench.stored("Name")) == [("a",), ("b",), ("c",)]


def test_a_delete_and_an_update_are_done_whatever_happens(bench: Bench, troubled):
    ids = bench.load(rows(), "insert")["sf__Id"]
    update = bench.begin(pl.DataFrame({"Id": ids, "Name": ["A", "B", "C"]}), "update")
    troubled()
    assert outcomes(update.answers()) == ["succeeded"] * 3
    assert bench.stored("Name") == [("A",), ("B",), ("C",)]
    delete = bench.begin(pl.DataFrame({"Id": ids.head(2)}), "delete")
    bench.local.faults.clear()
    troubled()
    assert outcomes(delete.answers()) == ["succeeded"] * 2
    assert bench.stored("Name") == [("C",)]


def test_an_insert_without_a_key_is_saved_once_at_most(bench: Bench, troubled):
    load = bench.begin(rows().drop("Ext__c"), "insert")
    troubled()
    (answers,) = load.run(key=None)
    if answers.state == UNKNOWN:
        assert bench.calls() == ["POST"]
        assert len(bench.stored("Name")) in {0, 3}
    else:
        assert bench.stored("Name") == [("a",), ("b",), ("c",)]
    assert load.run(key=None) == [answers]


def test_a_duplicate_rule_does_not_hide_what_the_first_sending_created(bench: Bench):
    bench.local.duplicate_rule("Account", name="twins", fields=["Name"])
    bench.local.faults.add(Fault("reset_after", path=COLLECTIONS, nth=1))
    load = bench.begin(rows(), "insert")
    answers = load.answers()
    assert outcomes(answers) == ["succeeded"] * 3
    raw = json.loads((load.folder / "part-00000.answers.raw.json").read_bytes())
    assert {row["errors"][0]["statusCode"] for row in raw} == {"DUPLICATES_DETECTED"}
    assert bench.stored("Id") == [(one,) for one in answers["sf__Id"]]


def test_rows_that_are_locked_fail_and_no_other(bench: Bench):
    bench.local.faults.add(Fault("lock_rows", object="Account", share=1.0, times=1))
    load = bench.begin(rows(), "insert")
    assert outcomes(load.answers()) == ["UNABLE_TO_LOCK_ROW"] * 3
    assert bench.calls() == ["POST"]


def test_rows_that_are_locked_at_a_second_sending_are_asked_for_until_it_is_known(bench: Bench):
    bench.local.faults.add(Fault("reset_before", path=COLLECTIONS, nth=1), Fault("lock_rows", share=1.0, nth=1))
    assert outcomes(bench.begin(rows(), "insert").answers()) == ["succeeded"] * 3
    assert bench.calls() == ["POST"] * 3


def test_an_org_that_never_answers_is_asked_again_when_the_load_goes_on(bench: Bench):
    load = bench.begin(rows(), "insert")
    bench.local.faults.add(Fault("reset_after", path=COLLECTIONS))
    with pytest.raises(ConnectionFailed):
        load.run()
    bench.local.faults.clear()
    assert outcomes(load.answers()) == ["succeeded"] * 3
    assert len(bench.stored("Id")) == 3


def test_a_session_that_has_ended_leaves_the_part_untouched(bench: Bench):
    load = bench.begin(rows().drop("Ext__c"), "insert")
    bench.local.faults.add(Fault("expire_session", path=COLLECTIONS, nth=1))
    with pytest.raises(AuthenticationError):
        load.run(key=None)
    with Ledger.open(load.folder) as ledger:
        assert ledger.part_state("run", 0).stage == "planned"
    assert bench.local.table("Account").height == 0


# -- kills -----------------------------------------------------------------------------------------------------------

LOADER = """
import sys
from functools import partial
from pathlib import Path
import sfframe as sf
from sfframe.codec.records import body
from sfframe.frames.columns import match_columns
from sfframe.jobs.collections import run_call
from sfframe.jobs.ledger import Ledger
from sfframe.jobs.load_job import LoadJob
folder, url, token, operation, key = Path(sys.argv[1]), *sys.argv[2:]
by = key if operation == "upsert" else None
with sf.connect(instance_url=url, access_token=token) as org, Ledger.open(folder) as ledger:
    described = org.describe("Account")
    names = [key, "Name"] if key else ["Name"]
    sent = match_columns(names, described, operation=operation, external_id_field=by, describe=org.describe)
    made = partial(body, sent=sent, sobject="Account", operation=operation, external_id_field=by)
    for state in ledger.parts("run"):
        run_call(org, LoadJob("Account", operation, by), state.part, made, key=key or None, folder=folder,
                 ledger=ledger, run_id="run", on_event=lambda event: print(event.kind, flush=True))
"""


@pytest.mark.slow
@pytest.mark.parametrize(("operation", "key"), [("insert", "Ext__c"), ("upsert", "Ext__c"), ("insert", "")])
def test_a_load_that_is_killed_again_and_again_saves_every_row_once(bench: Bench, operation: Operation, key: str):
    height = 60
    frame = pl.DataFrame({"Ext__c": [f"k{row}" for row in range(height)], "Name": [f"n{row}" for row in range(height)]})
    frame = frame if key else frame.drop("Ext__c")
    load = bench.begin(frame, operation, by=key if operation == "upsert" else None, max_rows=3)
    bench.local.faults.add(Fault("reset_after", path=COLLECTIONS, probability=0.1))
    draw, kills, ended = random.Random(7), 0, False  # noqa: S311
    words = [sys.executable, "-c", LOADER, str(load.folder), bench.local.url, bench.local.credentials.access_token]
    while not ended:
        with subprocess.Popen([*words, operation, key], stdout=subprocess.PIPE, text=True) as loader:
            assert loader.stdout is not None
            for _ in range(draw.randint(1, 6)):
                loader.stdout.readline()
            loader.send_signal(signal.SIGKILL)
            ended = loader.wait() == 0
            kills += not ended
        ended = ended or all(state.stage == "fetched" for state in load.states())
    bench.local.faults.clear()
    assert kills >= 5
    found = load.run(key=key or None)
    assert [one.part.rows for one in found] == [3] * (height // 3)
    told = pl.concat(read_ordered(one) for one in found).with_columns(frame["Name"])
    saved = told.filter(pl.col("sf__Outcome") == "succeeded")
    stored = {name: id_ for id_, name in bench.local.table("Account").select("Id", "Name").iter_rows()}
    assert len(stored) == bench.local.table("Account").height  # no row twice
    assert {name: stored.get(name) for name in saved["Name"]} == dict(saved.select("Name", "sf__Id").iter_rows())
    assert told.filter(pl.col("sf__Outcome") == "failed").height == 0
    if key:
        assert (saved.height, set(stored)) == (height, set(frame["Name"]))
    else:
        assert 0 < saved.height < height
    if operation == "upsert":
        assert saved["sf__Created"].to_list() == [True] * height

"""read_changes and deletes: the org's log of them, the recycle bin, what is forgotten, comparisons of all Ids."""

from __future__ import annotations

import datetime as dt

import polars as pl
import pytest

import sfframe as sf
from sfframe.localorg.faults import Fault
from tests.changes_mirror import COLUMNS, changes, gone, names
from tests.clocked_org import NOON, answering

# -- the org's log of deletes -----------------------------------------------------------------------------------------

LOG = "*/sobjects/account/deleted*"


def test_too_many_deletes_for_one_answer_are_asked_for_in_parts(clocked):
    one, two = clocked.insert("one", "two")
    mark = changes(clocked).commit()
    clocked.tick(minutes=1)
    clocked.purge(one)
    clocked.tick(hours=1)
    clocked.purge(two)
    clocked.tick(minutes=1)
    clocked.add_fault(Fault("answer", status=400, path=LOG, code="EXCEEDED_ID_LIMIT", nth=1))
    assert gone(changes(clocked, mark)) == sorted([one, two])


def test_deletes_for_good_of_an_object_without_a_log_are_said_to_be_missing(clocked):
    (one,) = clocked.insert("one")
    mark = changes(clocked).commit()
    clocked.delete(one)
    clocked.add_fault(Fault("answer", status=400, path=LOG, code="INVALID_TYPE"))
    read = changes(clocked, mark)
    assert (gone(read), read.notes) == (
        [one],
        ("The org keeps no log of deletes: those for good are not told (INVALID_TYPE).",),
    )


def test_other_troubles_of_the_log_are_troubles_of_the_read(clocked):
    clocked.add_fault(Fault("answer", status=403, path=LOG, code="REQUEST_LIMIT_EXCEEDED"))
    with pytest.raises(sf.LimitExceeded):
        changes(clocked)


@pytest.mark.parametrize("purged", [False, True], ids=["older than fifteen days", "a log that was purged"])
def test_a_since_whose_deletes_are_forgotten_asks_for_a_comparison_of_all_ids(clocked, purged):
    kept, changed, deleted = clocked.insert("kept", "changed", "deleted")
    mark = changes(clocked).commit()
    clocked.purge(deleted)
    if purged:
        clocked.tick(days=1)
        clocked.add_fault(Fault("answer", status=400, path=LOG, code="INVALID_REPLICATION_DATE"))
    else:
        clocked.tick(days=16)
    clocked.update(changed, Rating="Hot")
    (new,) = clocked.insert("new")
    with pytest.raises(sf.IncompleteAnswer, match="no longer tells which records were deleted") as problem:
        changes(clocked, mark)
    assert "known=" in problem.value.remedy
    read = changes(clocked, mark, known=[kept, changed, deleted])
    assert (names(read), read.deleted.rows()) == (["changed", "new"], [(deleted, None)])
    assert read.notes == ("All 3 Ids were compared: 1 of yours are missing, 0 of the org's you do not have.",)
    clocked.end_faults()
    assert not changes(clocked, read.commit())
    assert new in read.rows["Id"]


def test_a_log_that_begins_behind_since_has_not_told_all(clocked):
    clocked.insert("one")
    mark = changes(clocked).commit()
    log = {
        "deletedRecords": [],
        "earliestDateAvailable": "2026-03-04T11:51:00.000+0000",
        "latestDateCovered": "2026-03-04T12:00:00.000+0000",
    }
    org = answering(clocked.connection, log, lambda call: call.path.endswith("/deleted"))
    with pytest.raises(sf.IncompleteAnswer, match="no longer tells"):
        sf.read_changes("Account", since=mark, columns=COLUMNS, org=org)


def test_without_a_log_the_recycle_bin_has_told_all_of_fifteen_days(clocked):
    clocked.add_fault(Fault("answer", status=400, path=LOG, code="INVALID_TYPE"))
    assert gone(changes(clocked, NOON - dt.timedelta(days=14))) == []
    with pytest.raises(sf.IncompleteAnswer, match="no longer tells"):
        changes(clocked, NOON - dt.timedelta(days=16))


def test_with_known_ids_a_count_finds_the_gap_and_a_comparison_fills_it(clocked):
    one, two, three = clocked.insert("one", "two", "three")
    clocked.tick(hours=1)
    mark = changes(clocked).commit()
    clocked.tick(hours=1)
    stored = pl.DataFrame({"Id": [one, two, "001000000000009AAA"], "Name": ["one", "two", "never was"]})
    read = changes(clocked, mark, known=stored)
    assert read.deleted.height == 0, "a count alone does not find one that is missing and one too many"
    read = changes(clocked, mark, known=stored.filter(pl.col("Id") != two))
    assert (names(read), read.deleted.rows()) == (["three", "two"], [("001000000000009AAA", None)])
    assert (read.since, clocked.time) == (mark.since, NOON + dt.timedelta(hours=2))
    held = read.applied_to(stored.head(1))
    assert sorted(held["Id"]) == sorted([one, two, three])
    asked = len(clocked.requests)
    assert not changes(clocked, read.commit(), known=held["Id"])
    assert not any("IN" in one for one in clocked.requests[asked:])


def test_with_known_ids_what_did_not_arrive_comes_again(clocked):
    one, _, three = clocked.insert("one", "two", "three")
    mark = changes(clocked).commit()
    clocked.delete(three)
    mark = changes(clocked, mark).commit()
    read = changes(clocked, mark, known={one, three})
    assert (names(read), gone(read)) == (["two"], [three])


def test_a_first_read_with_known_ids_tells_which_of_them_are_gone(clocked):
    (one,) = clocked.insert("one")
    read = changes(clocked, known=pl.Series([one, "001000000000009AAA"]))
    assert (names(read), gone(read)) == (["one"], ["001000000000009AAA"])


@pytest.mark.parametrize("known", [["short"], pl.DataFrame({"Name": ["one"]})], ids=["not an Id", "no Ids"])
def test_what_holds_no_ids_is_refused(clocked, known):
    with pytest.raises(sf.FrameError):
        changes(clocked, known=known)


def test_a_transaction_that_runs_on_keeps_the_beginning_of_the_next_read_before_it(clocked):
    clocked.insert("one")
    began = NOON - dt.timedelta(hours=3)
    log = {
        "deletedRecords": [],
        "earliestDateAvailable": "2026-02-20T00:00:00.000+0000",
        "latestDateCovered": "2026-03-04T09:00:07.000+0000",
    }
    org = answering(clocked.connection, log, lambda call: call.path.endswith("/deleted"))
    read = sf.read_changes("Account", columns=COLUMNS, org=org)
    assert read.watermark.since == began - dt.timedelta(minutes=10)
    assert read.notes == (
        "A transaction that began 2026-03-04 09:00:07 UTC still runs in the org: the next read begins before it.",
    )
    assert names(changes(clocked, read.commit())) == []


def test_an_org_that_does_not_tell_the_time_cannot_be_read(clocked):
    clocked.tells_time = False
    with pytest.raises(sf.IncompleteAnswer, match="clock is not known"):
        changes(clocked)

"""read_changes against the embedded org: ties, deletes, crashes before the commit, states of others, old beginnings."""

from __future__ import annotations

import datetime as dt
import json
import pickle
import stat
from functools import partial

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sfframe as sf
from tests.changes_mirror import COLUMNS, NEXT, Mirror, changes, gone, names
from tests.clocked_org import NOON, answering

# -- one change after the other ---------------------------------------------------------------------------------------


def test_the_first_read_gives_all_and_the_next_what_is_new_changed_or_deleted(clocked):
    one, two, three, four = clocked.insert("one", "two", "three", "four")
    first = changes(clocked)
    assert (first.rows.columns, names(first), first.deleted.height, first.since) == (
        ["Id", "Name", "Rating", "SystemModstamp"],
        ["four", "one", "three", "two"],
        0,
        None,
    )
    assert first.rows.schema["SystemModstamp"] == pl.Datetime("ms", "UTC")
    clocked.tick(hours=1)
    clocked.update(one, Rating="Hot")
    clocked.delete(two)
    clocked.purge(three)
    (five,) = clocked.insert("five")
    clocked.tick(minutes=1)
    second = changes(clocked, first.commit())
    assert second.rows.select("Id", "Name", "Rating", "SystemModstamp").sort("Name").rows() == [
        (five, "five", None, NOON + dt.timedelta(hours=1)),
        (one, "one", "Hot", NOON + dt.timedelta(hours=1)),
    ]
    assert second.deleted.sort("Id").rows() == sorted(
        [(two, NOON + dt.timedelta(hours=1)), (three, NOON + dt.timedelta(hours=1))]
    )
    assert second.since == NEXT
    third = changes(clocked, second.commit())
    assert (names(third), gone(third), bool(third)) == ([], [], False)
    assert four in first.rows["Id"]


@pytest.mark.parametrize("api", ["rest", "bulk2"])
def test_both_apis_give_the_same_changes(clocked, api):
    one, two = clocked.insert("one", "two")
    options = sf.ReadOptions(api=api)
    mark = changes(clocked, options=options).commit()
    clocked.update(one, Rating="Hot")
    clocked.delete(two)
    read = changes(clocked, mark, options=options)
    assert (read.rows.rows(), read.deleted.rows()) == ([(one, "one", "Hot", NOON)], [(two, NOON)])
    other = sf.ReadOptions(api="bulk2" if api == "rest" else "rest")
    assert not changes(clocked, read.commit(), options=other)


def test_nothing_is_moved_before_the_commit(clocked, tmp_path):
    state = tmp_path / "accounts.json"
    clocked.insert("one")
    assert names(changes(clocked, state=state)) == ["one"]
    assert not state.exists()
    clocked.tick(seconds=5)
    clocked.insert("two")
    read = changes(clocked, state=str(state))
    assert names(read) == ["one", "two"]
    read.commit()
    assert stat.S_IMODE(state.stat().st_mode) == 0o600
    assert [path.name for path in tmp_path.iterdir()] == ["accounts.json"]
    kept = state.read_text()
    read.commit()  # a second time changes nothing
    assert state.read_text() == kept
    assert names(changes(clocked, state=state)) == []
    assert state.read_text() == kept


def test_a_datetime_gives_what_changed_from_then_on(clocked):
    clocked.insert("before")
    clocked.tick(minutes=5)
    clocked.insert("at")
    clocked.tick(minutes=5)
    clocked.insert("after")
    since = NOON + dt.timedelta(minutes=5)
    assert names(changes(clocked, since)) == ["after", "at"]
    assert names(changes(clocked, since.astimezone(dt.timezone(dt.timedelta(hours=-7))))) == ["after", "at"]
    naive = since.replace(tzinfo=None) + dt.timedelta(hours=1)
    assert names(changes(clocked, naive, options=sf.ReadOptions(timezone="Europe/Berlin"))) == ["after", "at"]


def test_since_is_where_to_begin_until_there_is_a_state(clocked, tmp_path):
    clocked.insert("old")
    clocked.tick(days=1)
    clocked.insert("new")
    begin = clocked.time - dt.timedelta(hours=1)
    first = changes(clocked, begin, state=tmp_path / "s.json")
    assert names(first) == ["new"]
    first.commit()
    assert names(changes(clocked, begin, state=tmp_path / "s.json")) == []


def test_a_watermark_is_a_text_and_can_be_pickled(clocked):
    clocked.insert("one", "two")
    mark = changes(clocked).commit()
    again = sf.Watermark.parse(str(mark))
    assert again == mark
    assert pickle.loads(pickle.dumps(mark)) == mark  # noqa: S301
    assert names(changes(clocked, again)) == []
    assert (mark.sobject, mark.at, mark.since) == ("Account", NOON, NEXT)
    assert "one" not in str(mark)


def test_rows_at_the_edge_come_again_when_another_polars_made_their_hashes(clocked):
    """Twice rather than never."""
    clocked.insert("settled")
    clocked.tick(minutes=5)
    clocked.insert("edge")
    told = json.loads(str(changes(clocked).commit()))
    assert names(changes(clocked, sf.Watermark.parse(json.dumps({**told, "hashes": "0.1"})))) == ["edge"]


# -- ties, and what comes late ----------------------------------------------------------------------------------------


def test_pain_airbyte_27146_records_of_the_same_second_as_the_last_read_are_not_missed(clocked):
    """https://github.com/airbytehq/airbyte/issues/27146, 42490, 42537, 77627"""
    clocked.insert("one")
    mark = changes(clocked).commit()
    clocked.insert("two")
    second = changes(clocked, mark)
    assert names(second) == ["two"]
    assert names(changes(clocked, second.commit())) == []


def test_a_record_that_changes_twice_within_a_second_is_given_twice(clocked):
    """Its stamp is the same; only its cells tell."""
    (one,) = clocked.insert("one")
    mark = changes(clocked).commit()
    clocked.update(one, Rating="Hot")
    second = changes(clocked, mark)
    assert second.rows.select("Name", "Rating").rows() == [("one", "Hot")]
    clocked.tick(minutes=5)
    assert names(changes(clocked, second.commit())) == []


def test_deleted_and_undeleted_within_a_second_is_as_it_was(clocked):
    (one,) = clocked.insert("one")
    mark = changes(clocked).commit()
    clocked.delete(one)
    second = changes(clocked, mark)
    assert (names(second), gone(second)) == ([], [one])
    clocked.undelete(one)
    third = changes(clocked, second.commit())
    assert (names(third), gone(third)) == (["one"], [])
    clocked.delete(one)
    fourth = changes(clocked, third.commit())
    assert (names(fourth), gone(fourth)) == ([], [one])
    assert gone(changes(clocked, fourth.commit())) == []


def test_pain_airbyte_9883_what_a_long_transaction_wrote_is_found_though_its_time_is_past(clocked):
    """https://github.com/airbytehq/airbyte/issues/9883: a record with a time before the watermark appears later."""
    clocked.insert("one")
    clocked.tick(minutes=30)
    mark = changes(clocked).commit()
    (late,) = clocked.insert("late")
    clocked.stamped(late, clocked.time - dt.timedelta(minutes=9))
    clocked.tick(minutes=3)
    read = changes(clocked, mark)
    assert names(read) == ["late"]
    assert names(changes(clocked, read.commit())) == []


def test_pain_airbyte_37528_old_records_are_in_the_first_read(clocked):
    """https://github.com/airbytehq/airbyte/issues/37528: a default beginning two years ago lost older records."""
    (old,) = clocked.insert("old")
    clocked.stamped(old, dt.datetime(1999, 1, 1, tzinfo=dt.UTC))
    assert names(changes(clocked)) == ["old"]


def test_pain_airbyte_10155_and_dlt_3655_deletes_are_told(clocked):
    """https://github.com/airbytehq/airbyte/issues/10155, https://github.com/dlt-hub/dlt/issues/3655"""
    one, two = clocked.insert("one", "two")
    mark = changes(clocked).commit()
    clocked.tick(minutes=30)
    clocked.delete(one)
    clocked.purge(two)
    clocked.tick(minutes=1)
    assert gone(changes(clocked, mark)) == sorted([one, two])


def test_a_delete_for_good_is_told_once_its_minute_is_over(clocked):
    (one,) = clocked.insert("one")
    mark = changes(clocked).commit()
    clocked.purge(one)
    second = changes(clocked, mark)
    clocked.tick(minutes=1)
    third = changes(clocked, second.commit())
    assert (gone(second), gone(third)) == ([], [one])
    assert gone(changes(clocked, third.commit())) == []


def test_undeleted_between_the_question_for_deletes_and_that_for_rows_is_there(clocked):
    one, two = clocked.insert("one", "two")
    mark = changes(clocked).commit()
    clocked.tick(minutes=20)
    clocked.delete(one)
    clocked.meanwhile[3] = partial(clocked.undelete, one)  # behind the clock, the recycle bin and the log
    read = changes(clocked, mark)
    assert (clocked.meanwhile, names(read), gone(read)) == ({}, ["one"], [])
    clocked.meanwhile[3] = partial(clocked.delete, two)
    second = changes(clocked, read.commit())
    assert (clocked.meanwhile, names(second), gone(second)) == ({}, [], [])
    assert gone(changes(clocked, second.commit())) == [two]


def test_a_record_that_leaves_the_recycle_bin_before_the_log_tells_of_it_is_told_once(clocked):
    (one,) = clocked.insert("one")
    mark = changes(clocked).commit()
    clocked.delete(one)
    second = changes(clocked, mark)
    clocked.purge(one)
    third = changes(clocked, second.commit())
    clocked.tick(minutes=1)
    assert (gone(second), gone(third), gone(changes(clocked, third.commit()))) == ([one], [], [])


@pytest.mark.parametrize(("times", "given"), [(1, ["one", "two"]), (99, None)], ids=["once", "always"])
def test_rows_that_an_answer_lacks_are_noticed_by_the_count(clocked, times, given):
    """They are asked for again, and in the end the read gives up."""
    clocked.insert("one", "two")
    clocked.tick(minutes=1)
    nothing = {"totalSize": 0, "done": True, "records": []}
    org = answering(
        clocked.connection, nothing, lambda call: "SELECT Id, Name" in dict(call.query).get("q", ""), times=times
    )
    if given:
        assert names(sf.read_changes("Account", columns=COLUMNS, org=org)) == given
        return
    with pytest.raises(sf.IncompleteAnswer, match="counts 2 records that changed, and gives 0"):
        sf.read_changes("Account", columns=COLUMNS, org=org)


# -- any sequence -----------------------------------------------------------------------------------------------------

WRITES = st.one_of(
    st.tuples(st.just("insert"), st.sampled_from(["Hot", "Cold"])),
    st.tuples(st.sampled_from(["update", "delete", "undelete", "purge"]), st.integers(0, 5)),
)
STEPS = st.one_of(
    WRITES,
    st.tuples(st.just("write during a read"), st.tuples(st.integers(0, 6), WRITES)),
    st.tuples(st.just("tick"), st.sampled_from([1, 30, 60, 300, 900])),
    st.tuples(st.just("read"), st.sampled_from(["commit", "commit", "crash before storing", "crash before commit"])),
)


def act(clocked, made, step, value):
    """One thing that may happen to an org; what is not possible just now does not happen."""
    if step == "insert":
        made.extend(clocked.insert(f"name {len(made)}", Rating=value))
        return
    record_id = made[value % len(made)] if made else ""
    live = record_id in clocked.accounts()
    if step == "update" and live:
        rating = clocked.accounts()[record_id][1]
        clocked.update(record_id, Rating="Cold" if rating == "Hot" else "Hot")
    elif step == "delete" and live:
        clocked.delete(record_id)
    elif step == "undelete" and record_id and not live and record_id not in clocked.purged:
        clocked.undelete(record_id)
    elif step == "purge" and record_id and record_id not in clocked.purged:
        clocked.purge(record_id)


@pytest.mark.parametrize("where", ["", "Rating = :rating"], ids=["all", "some"])
@settings(max_examples=25)
@given(steps=st.lists(STEPS, min_size=6, max_size=24))
def test_any_sequence_of_writes_reads_and_crashes_leaves_a_mirror_that_equals_the_org(
    shared_org, tmp_path_factory, where, steps
):
    shared_org.reset()
    options = {"where": where, "params": {"rating": "Hot"}} if where else {}
    mirror = Mirror(shared_org, tmp_path_factory.mktemp("state") / "state.json", **options)
    made: list[str] = []

    def wanted():
        return {key: value for key, value in shared_org.accounts().items() if not where or value[1] == "Hot"}

    for step, value in steps:
        if step == "tick":
            shared_org.tick(seconds=value)
        elif step == "read":
            mirror.take(store=value != "crash before storing", commit=value == "commit")
            if value == "commit":  # only deletes for good come a minute late
                more = mirror.records().keys() - wanted().keys()
                assert {key: value for key, value in mirror.records().items() if key not in more} == wanted()
                assert more <= shared_org.purged
        elif step == "write during a read":
            shared_org.meanwhile[value[0]] = partial(act, shared_org, made, *value[1])
            mirror.take()
            shared_org.meanwhile.clear()
        else:
            act(shared_org, made, step, value)
    shared_org.tick(minutes=2)
    mirror.take()
    assert mirror.records() == wanted()
    last = mirror.take()
    assert (last.rows.height, last.deleted.height) == (0, 0)


# -- conditions and columns -------------------------------------------------------------------------------------------


def test_a_record_that_no_longer_meets_the_condition_is_told_as_deleted_without_a_date(clocked):
    one, two = clocked.insert("one", "two", Rating="Hot")
    hot = {"where": "Rating = :rating OR Rating = 'Warm'", "params": {"rating": "Hot"}}
    mark = changes(clocked, **hot).commit()
    clocked.tick(minutes=5)
    clocked.update(one, Rating="Cold")
    clocked.update(two, Rating="Warm")
    read = changes(clocked, mark, **hot)
    assert (read.deleted.rows(), names(read)) == ([(one, None)], ["two"])
    assert gone(changes(clocked, read.commit(), **hot)) == []


def test_a_long_list_in_the_condition_is_taken_without_a_count(clocked):
    clocked.insert("one", "two")
    wanted = {"where": "Name IN :names", "params": {"names": ["one", *(f"{at:030}" for at in range(900))]}}
    read = changes(clocked, **wanted)
    assert names(read) == ["one"]
    assert any(note.startswith("Not checked by COUNT()") for note in read.notes)


def test_all_columns_come_unless_some_are_named_and_formulas_are_told(clocked):
    clocked.insert("one")
    read = sf.read_changes("account", org=clocked.connection)
    assert {"Id", "Name", "SystemModstamp", "BillingCity", "Twice__c"} <= set(read.rows.columns)
    assert "BillingAddress" not in read.rows.columns
    assert any("Twice__c" in note for note in read.notes)
    read = sf.read_changes("Account", columns=["Owner.Name", "id", "Twice__c"], org=clocked.connection)
    assert read.rows.columns == ["Id", "Owner.Name", "Twice__c", "SystemModstamp"]
    (note,) = read.notes
    assert note == (
        "Not covered: Owner.Name, Twice__c (formulas, or fields of parents). Their changes leave no trace in the "
        "record; read all from time to time."
    )


def test_new_columns_are_told_because_stored_rows_lack_them(clocked):
    clocked.insert("one")
    mark = changes(clocked).commit()
    read = sf.read_changes("Account", since=mark, columns=["Name", "Site"], org=clocked.connection)
    assert read.notes == ("New columns: Site. The rows that you stored before do not have them.",)


def test_an_object_that_cannot_be_deleted_has_no_tombstones(clocked):
    mark = sf.read_changes("User", columns=["Name"], org=clocked.connection).commit()
    read = sf.read_changes("User", since=mark, columns=["Name"], org=clocked.connection)
    assert (read.rows.height, read.deleted.height, read.notes) == (0, 0, ())


# -- states of others -------------------------------------------------------------------------------------------------


def test_the_state_of_another_object_org_or_condition_is_refused(clocked, local_org, tmp_path):
    state = tmp_path / "state.json"
    changes(clocked, state=state).commit()
    kept = state.read_text()
    with pytest.raises(sf.UsageError, match="another object: Account, not Contact"):
        sf.read_changes("Contact", state=state, org=clocked.connection)
    with sf.connect(local_org) as other, pytest.raises(sf.UsageError, match="another org: 00D"):
        sf.read_changes("Account", columns=COLUMNS, state=state, org=other)
    with pytest.raises(sf.UsageError, match="another condition"):
        changes(clocked, state=state, where="Rating = 'Hot'")
    assert state.read_text() == kept


def test_a_condition_with_other_values_is_another_one(clocked):
    mark = changes(clocked, where="Rating = :r", params={"r": "Hot"}).commit()
    assert "Hot" not in str(mark)
    with pytest.raises(sf.UsageError, match="another condition"):
        changes(clocked, mark, where="Rating = :r", params={"r": "Cold"})
    assert not changes(clocked, mark, where="Rating='Hot'")


def test_a_state_that_another_process_moved_is_not_moved_back(clocked, tmp_path):
    state = tmp_path / "state.json"
    mine, theirs = changes(clocked, state=state), changes(clocked, state=state)
    clocked.tick(minutes=1)
    later = changes(clocked, state=state)
    later.commit()
    with pytest.raises(sf.UsageError, match="another process has moved this watermark"):
        mine.commit()
    assert sf.Watermark.parse(state.read_text()) == later.watermark
    assert theirs.watermark == mine.watermark


@pytest.mark.parametrize("text", ["", "{}", "[]", "\xff", '{"form": 99}', '{"form": 1, "org": 1}'])
def test_a_file_that_is_no_state_is_refused_and_stays_as_it_is(clocked, tmp_path, text):
    state = tmp_path / "state.json"
    state.write_bytes(text.encode("latin-1"))
    with pytest.raises(sf.UsageError) as problem:
        changes(clocked, state=state)
    assert str(state) in problem.value.where
    assert state.read_bytes() == text.encode("latin-1")


def test_a_state_whose_memory_is_damaged_is_refused(clocked):
    told = json.loads(str(changes(clocked).commit()))
    with pytest.raises(sf.FrameError):
        changes(clocked, sf.Watermark.parse(json.dumps({**told, "given": "AAAA"})))


@pytest.mark.parametrize(
    ("options", "said"),
    [
        ({"since": NOON.replace(tzinfo=None)}, "no zone"),
        ({"since": NOON + dt.timedelta(days=1)}, "ahead of the org's clock"),
        ({"since": "2026-03-04"}, "since is a str"),
        ({"columns": "Name"}, "columns is a text"),
        ({"columns": ["Name FROM Account --"]}, "no name of a field"),
        ({"columns": ["Nmae"]}, "Nmae"),
        ({"where": "Rating = 'Hot' LIMIT 1"}, "more than a condition"),
        ({"where": "Rating = "}, "SOQL"),
        ({"where": "Rating = :r"}, "no value for :r"),
        ({"params": {"r": 1}}, "no :r"),
        ({"state": "/no/such/folder/state.json"}, "no folder"),
    ],
    ids=lambda one: next(iter(one)) if isinstance(one, dict) else None,
)
def test_wrong_arguments_are_refused(clocked, options, said):
    with pytest.raises(sf.UsageError, match=said):
        sf.read_changes("Account", org=clocked.connection, **options)


# -- what people see --------------------------------------------------------------------------------------------------


def test_changes_tell_what_they_are(clocked):
    (one,) = clocked.insert("<b>one</b>")
    first = changes(clocked)
    assert repr(first) == (
        "<Changes of Account from the beginning: 1 rows new or changed, 0 deleted; "
        "next read from 2026-03-04 11:50:00 UTC, when this one is committed>"
    )
    clocked.delete(one)
    second = changes(clocked, first.commit())
    assert "Account since 2026-03-04 11:50:00 UTC: 0 rows new or changed, 1 deleted" in repr(second)
    assert "<table" in first._repr_html_()
    assert "<b>one" not in first._repr_html_()


def test_rows_are_applied_to_a_frame_with_other_columns(clocked):
    one, two = clocked.insert("one", "two")
    stored = pl.DataFrame({"Id": [one, "x"], "Name": ["old", "kept"], "mine": [1, 2]})
    assert sorted(changes(clocked).applied_to(stored)["Id"]) == sorted([one, two]), "the first read has all there is"
    after = changes(clocked, NOON).applied_to(stored).select("Id", "Name", "mine")
    assert sorted(after.rows()) == sorted([("x", "kept", 2), (one, "one", None), (two, "two", None)])

"""Every answer finds its own row, whatever the org does to order and spelling."""

from __future__ import annotations

import csv
import datetime as dt
import random
from collections import Counter
from typing import Any

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.codec.encode import encode
from sfframe.codec.split import spool
from sfframe.errors import IncompleteAnswer, SfframeError
from sfframe.facts import DELIMITERS, RESULT_COLUMNS
from sfframe.frames.accounting import accounted
from sfframe.frames.columns import match_columns
from sfframe.frames.contract import check
from sfframe.frames.intake import Stream
from sfframe.frames.kept import KeptRows, WholeRows, read_places, write_places
from sfframe.frames.pairing import pair_rows
from sfframe.frames.verdict import RESULT_SCHEMA, PartVerdict, part_verdict, rejected
from tests.frames.echo import Org, normalised
from tests.frames.sample import ACCOUNT, describe

TYPES = {one.name: (one.type, one.scale) for one in ACCOUNT}


def done(_row: int) -> str:
    return "done"


def verdicts(height, failures, rows, parts_answers, sent, **options):
    """What became of every row of a whole frame, and the answers that belong to none."""
    parts = [
        part_verdict(
            answers, rows[answers.part.first_row : answers.part.first_row + answers.part.rows], sent, **options
        )
        for answers in parts_answers
    ]
    frame = pl.DataFrame({"row": range(height)})
    (whole,) = accounted(WholeRows(frame), [part.frame for part in parts], rejected(failures))
    surplus = [part.surplus for part in parts] or [pl.DataFrame()]
    return PartVerdict(whole.drop("row"), pl.concat(surplus, how="diagonal"))


def load(tmp_path, data, fate=done, *, operation="insert", key=None, delimiter="COMMA", prepare=None, **options):
    """The way of a frame to the stand-in and back."""
    frame = data if isinstance(data, pl.DataFrame) else pl.DataFrame(data)
    sent = match_columns(frame.columns, ACCOUNT, operation=operation, external_id_field=key, describe=describe)
    checked = check(frame, sent, ACCOUNT, operation=operation, external_id_field=key)
    text = encode(checked.typed, sent, checked.cleared)
    spooled = list(spool(text, tmp_path / "spool", max_rows=options.pop("max_rows", 1000), delimiter=delimiter))
    org = Org(tmp_path, TYPES, fate, delimiter=DELIMITERS[delimiter], **options)
    if prepare:
        prepare(org)
    answers = [org.answer(part) for part in spooled]
    return verdicts(
        frame.height,
        checked.failures,
        checked.rows,
        answers,
        sent,
        operation=operation,
        external_id_field=key,
        delimiter=delimiter,
    )


def plain_id(row: int) -> str:
    return f"a00{row:012}AAA"


MIXED = {
    "Name": ["a", "b", "", "d", "e"],
    "AnnualRevenue": [912260031.0, 1.005, 2.0, None, 1e-2],
    "Seen__c": [dt.datetime(2026, 1, 1, 1, 1, 1, 999999, dt.UTC)] * 5,
    "Active__c": [True, False, None, None, True],
    "NumberOfEmployees": [1, 2, 3, None, 5],
    "Description": ["two\nlines", 'a "quote"', " blank ", None, "é\r\n"],
}


def test_every_row_has_its_answer_and_the_columns_are_exactly_those_of_a_result(tmp_path):
    answer = load(tmp_path, MIXED, lambda row: ["done", "failed", "unprocessed", "lost"][row])
    assert answer.frame.columns == list(RESULT_COLUMNS)
    assert answer.frame.rows() == [
        (plain_id(0), "created", True, None, None, None, "content", "750000000000000000"),
        (None, "failed", None, "SOME_CODE", "Name", "it went wrong", "content", "750000000000000000"),
        (None, "rejected", None, "required", "Name", "Name is required on insert.", None, None),
        (
            None,
            "unprocessed",
            None,
            None,
            None,
            "InternalServerError : Retried more than 20 times",
            "content",
            "750000000000000000",
        ),
        (
            None,
            "unknown",
            None,
            None,
            None,
            "InternalServerError : Retried more than 20 times",
            None,
            "750000000000000000",
        ),
    ]
    assert answer.surplus.height == 0


CELLS = {
    "Name": st.sampled_from(["x", "y", "z ", "a,b", 'q"', "n\n", "#", "true"]),
    "AnnualRevenue": st.none() | st.sampled_from([0.0, 1.0, 1e7, 912260031.0, 0.01, -5.5, 1e-2, 123456789012.34]),
    "NumberOfEmployees": st.none() | st.integers(0, 2),
    "Active__c": st.none() | st.booleans(),
    "Seen__c": st.none() | st.datetimes(dt.datetime(2020, 1, 1), dt.datetime(2020, 1, 2), timezones=st.just(dt.UTC)),
    "Since__c": st.none() | st.sampled_from([dt.date(1999, 12, 31), dt.date(2026, 1, 1)]),
    "Industry": st.none() | st.sampled_from(["Farming", "Media"]),
}
SCHEMA: dict[str, Any] = {
    "Name": pl.String,
    "AnnualRevenue": pl.Float64,
    "NumberOfEmployees": pl.Int64,
    "Active__c": pl.Boolean,
    "Seen__c": pl.Datetime("us", "UTC"),
    "Since__c": pl.Date,
    "Industry": pl.String,
}


@settings(max_examples=80)
@given(
    st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=40),
    st.integers(0, 1000),
    st.sampled_from(list(DELIMITERS)),
    st.integers(1, 20),
)
def test_rows_and_answers_agree_whatever_the_order_duplicates_losses_and_raw_rows(
    tmp_path_factory, rows, seed, delimiter, max_rows
):
    frame = pl.DataFrame(rows, schema=SCHEMA)
    chance = random.Random(seed)  # noqa: S311  an order, not a secret
    fates = [chance.choice(["done", "done", "done", "failed", "raw", "unprocessed", "lost"]) for _ in rows]
    answer = load(
        tmp_path_factory.mktemp("load"),
        frame,
        lambda row: fates[row],
        delimiter=delimiter,
        seed=seed,
        max_rows=max_rows,
    )
    names = {"done": "created", "raw": "failed", "lost": "unknown"}
    # Rows that are alike in every cell (and in one part) are interchangeable: compare them as groups.
    alike = [(place // max_rows, tuple(row.items())) for place, row in enumerate(normal(frame))]
    expected = Counter(
        (alike[place], names.get(fate, fate), plain_id(place) if fate == "done" else None)
        for place, fate in enumerate(fates)
    )
    got = Counter(zip(alike, answer.frame["sf__Status"], answer.frame["sf__Id"], strict=True))
    assert got == expected
    assert answer.surplus.height == 0


def normal(frame: pl.DataFrame) -> list[dict[str, object]]:
    """The rows as the org can tell them apart."""
    return frame.with_columns(pl.col("Seen__c").dt.truncate("1ms")).to_dicts()


@pytest.mark.parametrize("operation", ["update", "delete"])
def test_updates_and_deletes_are_joined_by_id_of_15_or_18_characters(tmp_path, operation):
    ids = [f"001{row:012}" + ("AAA" if row % 2 else "") for row in range(30)]
    data = {"Id": ids, "Name": ["same"] * 30}

    def prepare(org):
        org.record_id = lambda row: f"001{row:012}AAA"

    answer = load(
        tmp_path, data, lambda row: "failed" if row % 3 == 0 else "done", operation=operation, prepare=prepare
    )
    assert answer.frame["sf__Match"].unique().to_list() == ["id"]
    done = "updated" if operation == "update" else "deleted"
    assert answer.frame["sf__Status"].to_list() == ["failed" if row % 3 == 0 else done for row in range(30)]
    assert [one[:15] for one in answer.frame["sf__Id"]] == [one[:15] for one in ids]


@pytest.mark.parametrize("key", ["Ext__c", "Number__c", "Code__c"])
def test_upserts_are_joined_by_their_key_even_when_other_cells_changed(tmp_path, key):
    keys: list[object] = [row * 1e6 for row in range(20)] if key == "Number__c" else [f"K{row}" for row in range(20)]
    data = {key: keys, "Description": [f"text {row}" for row in range(20)]}

    def prepare(org):
        org.normalise = lambda text, kind, scale: (
            "changed" if text.startswith("text") else normalised(text, kind, scale)
        )

    answer = load(tmp_path, data, operation="upsert", key=key, prepare=prepare, created=lambda row: row % 2 == 0)
    assert answer.frame["sf__Id"].to_list() == [plain_id(row) for row in range(20)]
    assert answer.frame["sf__Status"].to_list() == ["created", "updated"] * 10
    assert answer.frame["sf__Match"].unique().to_list() == ["external_id"]


def test_an_insert_with_a_unique_field_is_joined_by_it(tmp_path):
    answer = load(tmp_path, {"Name": ["n"] * 9, "Ext__c": [f"k{row}" for row in range(9)]})
    assert answer.frame["sf__Id"].to_list() == [plain_id(row) for row in range(9)]
    assert answer.frame["sf__Match"].unique().to_list() == ["key"]


def test_a_column_that_tells_all_rows_apart_finds_them_even_when_other_cells_came_back_changed(tmp_path):
    def prepare(org):
        org.normalise = lambda cell, kind, _scale: "3.0" if kind == "currency" else cell

    data = {"Name": ["a", "b", "c"], "AnnualRevenue": [1.0, 2.0, None]}
    answer = load(tmp_path, data, prepare=prepare)
    assert answer.frame["sf__Id"].to_list() == [plain_id(row) for row in range(3)]
    assert answer.frame["sf__Match"].to_list() == ["content"] * 3
    assert answer.surplus.height == 0


def test_twins_share_their_answers_and_the_others_have_their_own(tmp_path):
    data = {"Name": ["a", "b", "a", "c", "d"], "AnnualRevenue": [1.0, 2.0, 1.0, 3.0, 3.0]}
    answer = load(tmp_path, data, lambda row: "lost" if row == 2 else "done")
    assert answer.frame["sf__Id"].drop_nulls().sort().to_list() == [plain_id(row) for row in (0, 1, 3, 4)]
    assert answer.frame["sf__Id"].to_list()[1::2] == [plain_id(1), plain_id(3)]
    assert answer.frame["sf__Status"].value_counts(sort=True).rows() == [("created", 4), ("unknown", 1)]
    assert answer.frame["sf__Status"][[1, 3, 4]].unique().to_list() == ["created"]


def test_a_name_that_two_different_rows_share_does_not_tell_them_apart(tmp_path):
    data = {"Name": ["a", "a", "b", "c", "d"], "AnnualRevenue": [1.0, 2.0, 3.0, 4.0, 5.0]}
    answer = load(tmp_path, data, lambda row: "done" if row else "lost")
    assert answer.frame["sf__Id"].to_list() == [None, *map(plain_id, range(1, 5))]


@pytest.mark.parametrize(("one", "other"), [("a", "a "), ("a\nb", "a\r\nb")])
def test_texts_that_an_org_could_make_alike_do_not_tell_rows_apart(tmp_path, one, other):
    def prepare(org):
        org.normalise = lambda cell, kind, scale: normalised(cell.strip().replace("\r\n", "\n"), kind, scale)

    data = {"Name": [one, other, "c"], "AnnualRevenue": [1.0, 2.0, 3.0]}
    answer = load(tmp_path, data, lambda row: "done" if row else "lost", prepare=prepare)
    assert answer.frame["sf__Id"].to_list() == [None, plain_id(1), plain_id(2)]
    assert answer.frame["sf__Status"].to_list() == ["unknown", "created", "created"]


def test_a_field_that_is_unique_by_name_only_is_no_key(tmp_path):
    answer = load(tmp_path, {"Name": ["a", "b", "c"], "Ext__c": ["k", "k", None]})
    assert answer.frame["sf__Id"].to_list() == [plain_id(row) for row in range(3)]
    assert answer.frame["sf__Match"].unique().to_list() == ["content"]


def test_pain_dataloader_428_the_id_of_a_row_is_its_own(tmp_path):
    rows = 3000
    data = pl.DataFrame(
        {"Name": [f"n{row}" for row in range(rows)], "AnnualRevenue": [row * 1e5 for row in range(rows)]}
    )
    answer = load(tmp_path, data, lambda row: "failed" if row % 7 == 0 else "done", max_rows=1234)
    assert answer.frame["sf__Id"].to_list() == [None if row % 7 == 0 else plain_id(row) for row in range(rows)]
    assert answer.frame["sf__Job"].unique(maintain_order=True).len() == 3


def test_pain_sfdmu_932_upserts_with_blank_ids_are_found_by_content(tmp_path):
    data = {"Id": ["001000000000001AAA", None, None], "Name": ["a", "b", "c"]}
    answer = load(tmp_path, data, operation="upsert", key="Id", created=lambda row: row > 0)
    assert answer.frame["sf__Id"].to_list() == [plain_id(row) for row in range(3)]
    assert answer.frame["sf__Status"].to_list() == ["updated", "created", "created"]
    assert sorted(answer.frame["sf__Match"].to_list()) == ["content", "content", "id"]


def test_pain_rudder_server_7074_normalised_values_are_found(tmp_path):
    data = {
        "Name": ["a"] * 4,
        "AnnualRevenue": [1.23456, 1.24, 71664061.0, 30.0],
        "Seen__c": [dt.datetime(2025, 11, 25, 3, 45, 21, 142870, dt.UTC)] * 4,
    }
    answer = load(tmp_path, data)
    assert answer.frame["sf__Id"].to_list() == [plain_id(row) for row in range(4)]


def test_answers_to_rows_that_were_never_sent_are_surplus(tmp_path):
    def prepare(org):
        org.foreign = [["somebody else's", "7.0"]]

    data = {"Name": ["a", "b"], "AnnualRevenue": [1.0, 2.0]}
    answer = load(tmp_path, data, lambda row: "lost" if row else "done", prepare=prepare)
    assert answer.frame["sf__Status"].to_list() == ["created", "unknown"]
    assert answer.surplus.select("sf__Job", "sf__Outcome", "sf__Id", "Name").rows() == [
        ("750000000000000000", "succeeded", "a00999999999999AAA", "somebody else's")
    ]


def test_trimmed_texts_sorted_picklists_and_lower_case_mails_are_found_in_a_second_look(tmp_path):
    data = {"Name": [" a ", " b"], "Tags__c": ["B;A", "C"], "Email__c": ["Me@Example.com", None]}
    frame = pl.DataFrame(data)
    sent = match_columns(frame.columns, ACCOUNT, operation="insert", describe=describe)
    checked = check(frame, sent, ACCOUNT, operation="insert")
    (part,) = list(spool(encode(checked.typed, sent), tmp_path))
    answers = Org(tmp_path, TYPES, done).answer(part)
    assert answers.succeeded is not None
    answers.succeeded.write_text(
        '"sf__Id","sf__Created","Name","Tags__c","Email__c"\n"2","true","b","C",""\n"1","true","a","A;B","me@example.com"\n'
    )
    answer = verdicts(2, checked.failures, checked.rows, [answers], sent, operation="insert")
    assert answer.frame["sf__Id"].to_list() == ["1", "2"]


def test_a_cell_that_the_org_could_not_read_is_found_by_its_text(tmp_path):
    frame = pl.DataFrame({"Name": ["a", "a", "a"], "Since__c": ["2026-01-01"] * 3})
    sent = match_columns(frame.columns, ACCOUNT, operation="insert", describe=describe)
    checked = check(frame, sent, ACCOUNT, operation="insert")
    (part,) = list(spool(encode(checked.typed, sent), tmp_path))
    part.path.write_text("Name,Since__c\na,2026-01-01\na,garbage\na,other\n")
    answers = Org(tmp_path, {}, lambda row: "raw" if row else "done").answer(part)
    answer = verdicts(3, checked.failures, checked.rows, [answers], sent, operation="insert")
    assert answer.frame.select("sf__Status", "sf__Match").rows() == [
        ("created", "content"),
        ("failed", "raw"),
        ("failed", "raw"),
    ]


def test_a_job_without_result_files_leaves_its_rows_unknown(tmp_path):
    from sfframe.spool import Answers, Part

    path = tmp_path / "part"
    path.write_text("Name\na\nb\n")
    answers = Answers(Part(0, path, 0, 2, 9), "750x", "InProgress", None, None, None)
    sent = match_columns(["Name"], ACCOUNT, operation="insert", describe=describe)
    checked = check(pl.DataFrame({"Name": ["a", "b"]}), sent, ACCOUNT, operation="insert")
    answer = verdicts(2, checked.failures, checked.rows, [answers], sent, operation="insert")
    assert answer.frame["sf__Status"].to_list() == ["unknown", "unknown"]
    assert answer.frame["sf__Job"].to_list() == ["750x", "750x"]


def test_rows_that_were_never_reached_are_unprocessed_and_say_why():
    sent = match_columns(["Name"], ACCOUNT, operation="insert", describe=describe)
    frame = pl.DataFrame({"Name": ["a", None, "c"]})
    refused = rejected(check(frame, sent, ACCOUNT, operation="insert").failures)
    (whole,) = accounted(WholeRows(frame), [], refused, never_sent="The process had ended.")
    assert whole.select("sf__Status", "sf__Error").rows() == [
        ("unprocessed", "The process had ended."),
        ("rejected", "Name is required on insert."),
        ("unprocessed", "The process had ended."),
    ]


def test_the_account_must_balance():
    frame = pl.DataFrame({"Name": ["a", "b"]})
    twice = pl.DataFrame({"row": [0, 0, 1]}).select(
        "row", *(pl.lit(None, dtype).alias(name) for name, dtype in RESULT_SCHEMA.items())
    )
    none = twice.clear()
    for told in (twice, twice[:1]):
        with pytest.raises(SfframeError, match="a row has two answers, or none"):
            list(accounted(WholeRows(frame), [told], none))
    with pytest.raises(SfframeError, match="a row has two answers, or none"):
        list(accounted(WholeRows(frame), [twice], none, never_sent="The process had ended."))


@given(
    heights=st.lists(st.integers(1, 7), min_size=1, max_size=6),
    cut=st.integers(1, 9),
    refuse=st.integers(2, 5),
)
def test_slices_of_any_size_get_the_answers_of_parts_of_any_other_size(tmp_path_factory, heights, cut, refuse):
    height = sum(heights)
    numbers = pl.DataFrame({"n": range(height)})
    kept = KeptRows.of(
        Stream(iter([numbers[sum(heights[:k]) : sum(heights[: k + 1])] for k in range(len(heights))]), "frames"),
        tmp_path_factory.mktemp("kept"),
        lambda _first, _batch: None,
    )
    answers = numbers.select(pl.col("n").cast(pl.Int64).alias("row")).with_columns(
        *(pl.lit(None, dtype).alias(name) for name, dtype in RESULT_SCHEMA.items())
    )
    answers = answers.with_columns(sf__Id=pl.col("row").cast(pl.String))
    refused, told = answers.filter(pl.col("row") % refuse == 0), answers.filter(pl.col("row") % refuse != 0)
    parts = [told[start : start + cut] for start in range(0, told.height, cut)]
    slices = list(accounted(kept, parts, refused))
    assert [one.height for one in slices] == heights
    assert pl.concat(slices).select("n", "sf__Id").rows() == [(n, str(n)) for n in range(height)]


@given(rows=st.lists(st.integers(0, 60), unique=True, min_size=1))
def test_the_places_of_rows_are_kept_in_any_order(tmp_path_factory, rows):
    path = tmp_path_factory.mktemp("places") / "places.arrow"
    write_places(path, pl.Series(rows, dtype=pl.Int64))
    assert read_places(path).to_list() == rows


def test_a_changed_spool_is_noticed(tmp_path):
    from sfframe.spool import Answers, Part

    path = tmp_path / "part"
    path.write_text("Name\na\n")
    sent = match_columns(["Name"], ACCOUNT, operation="insert", describe=describe)
    checked = check(pl.DataFrame({"Name": ["a", "b"]}), sent, ACCOUNT, operation="insert")
    answers = Answers(Part(0, path, 0, 2, 9), "750x", "JobComplete", None, None, None)
    with pytest.raises(IncompleteAnswer, match="it has 1 records, and 2 were written"):
        verdicts(2, checked.failures, checked.rows, [answers], sent, operation="insert")


ROWS = st.lists(st.tuples(st.sampled_from([None, "a", "b", "ab"]), st.none() | st.integers(0, 2)), max_size=30)


@settings(max_examples=200)
@given(ROWS, ROWS, st.sampled_from([0, 1, 2, 38]))
def test_pairs_are_one_to_one_and_as_many_as_can_be_even_when_every_hash_lies(left, right, bits):
    schema = {"x": pl.String, "y": pl.Int64}
    pairs = pair_rows(
        pl.DataFrame(left, schema=schema, orient="row"),
        pl.DataFrame(right, schema=schema, orient="row"),
        hash_bits=bits,
    )
    assert all(left[one] == right[other] for one, other in pairs.rows())
    assert pairs["left"].n_unique() == pairs["right"].n_unique() == pairs.height
    assert pairs.height == sum((Counter(left) & Counter(right)).values())


def test_the_stand_in_reads_what_a_strict_reader_reads(tmp_path):
    load(tmp_path, {"Name": ["a"], "AnnualRevenue": [912260031.0]})
    with (tmp_path / "0-succeeded.csv").open(newline="") as file:
        assert list(csv.reader(file))[1] == [plain_id(0), "true", "a", "9.12260031E8"]

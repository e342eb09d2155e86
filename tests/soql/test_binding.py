"""Values take the places of names, and can never be anything but values."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from zoneinfo import ZoneInfo

import numpy as np
import pandas as pd
import polars as pl
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.errors import UsageError
from sfframe.soql import Comparison, Logic, Membership, Path, Value, bind, parse, to_text

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=40) | st.text("'\\%_:\"\n;() OR=", max_size=20)


def where(condition: str, timezone: str | None = None, **params: object) -> str:
    text = f"SELECT Id FROM Account WHERE {condition}"
    return to_text(bind(parse(text), params, text=text, timezone=timezone)).partition(" WHERE ")[2]


@pytest.mark.parametrize(
    ("value", "expected"),
    [
        ("O'Neill", r"'O\'Neill'"),
        ("", "''"),
        (None, "null"),
        (True, "true"),
        (5, "5"),
        (-2.5, "-2.5"),
        (1e21, "1000000000000000000000"),
        (1e-7, "0.0000001"),
        (Decimal("1E+3"), "1000"),
        (Decimal("12345678901234567.89"), "12345678901234567.89"),
        (np.int64(7), "7"),
        (np.float64(0.5), "0.5"),
        (np.bool_(True), "true"),
        (dt.date(2026, 3, 4), "2026-03-04"),
        (dt.datetime(2026, 3, 4, 5, 6, 7, 89_999, dt.UTC), "2026-03-04T05:06:07.089Z"),
        (dt.datetime(2026, 3, 4, 5, tzinfo=ZoneInfo("Europe/Berlin")), "2026-03-04T04:00:00.000Z"),
        (dt.datetime(1700, 1, 1, tzinfo=dt.UTC), "1700-01-01T00:00:00.000Z"),
        (dt.time(5, 6, 7, 890_000), "05:06:07.890Z"),
    ],
)
def test_each_kind_of_value_has_its_literal(value, expected):
    assert where("X__c = :value", value=value) == f"X__c = {expected}"


def test_a_datetime_without_zone_takes_the_one_that_is_named():
    naive = dt.datetime(2026, 7, 1, 12)
    assert where("At__c > :at", timezone="Europe/Berlin", at=naive) == "At__c > 2026-07-01T10:00:00.000Z"
    with pytest.raises(UsageError, match="the datetime has no zone"):
        where("At__c > :at", at=naive)


@pytest.mark.parametrize("given_as", [list, tuple, pl.Series, np.array, iter])
def test_lists_of_all_kinds_become_members_and_repeated_ones_are_sent_once(given_as):
    assert where("Name IN :names", names=given_as(["a", "b", "a"])) == "Name IN ('a', 'b')"


def test_members_and_names_mix_in_a_written_list():
    assert where("Name NOT IN ('x', :one, :more)", one="y", more=["z"]) == "Name NOT IN ('x', 'y', 'z')"
    assert where("Tags__c INCLUDES (:tags)", tags=["A;B", "C"]) == "Tags__c INCLUDES ('A;B', 'C')"


@pytest.mark.parametrize(
    ("condition", "expected"),
    [
        ("Name IN :none", "Id = null"),
        ("Tags__c INCLUDES (:none)", "Id = null"),
        ("Name NOT IN :none", "Id != null"),
        ("Tags__c EXCLUDES (:none)", "Id != null"),
        ("NOT Name IN :none OR Id = 'x'", "NOT Id = null OR Id = 'x'"),
    ],
)
def test_an_empty_list_finds_nothing_or_everything_outside_of_it(condition, expected):
    assert where(condition, none=[]) == expected


def test_names_are_bound_in_sub_queries_sub_selects_and_having():
    text = (
        "SELECT Name, (SELECT Id FROM Contacts WHERE LastName = :who) FROM Account "
        "WHERE Id IN (SELECT AccountId FROM Contact WHERE LastName LIKE :like)"
    )
    assert to_text(bind(parse(text), {"who": "x", "like": "A%"})) == text.replace(":who", "'x'").replace(
        ":like", "'A%'"
    )
    grouped = "SELECT Name, COUNT(Id) FROM Account GROUP BY Name HAVING COUNT(Id) > :least"
    assert to_text(bind(parse(grouped), {"least": 2})).endswith("HAVING COUNT(Id) > 2")


@given(texts)
def test_a_text_can_only_be_a_text(text):
    """Injection: whatever the text is, the query that is sent parses to this one comparison with this one value."""
    bound = bind(
        parse("SELECT Id FROM A WHERE (Name = :x OR Name IN :xs) AND Owned__c = true"), {"x": text, "xs": [text]}
    )
    found = parse(to_text(bound)).where
    assert isinstance(found, Logic)
    first, second = found.terms
    assert isinstance(first, Logic)
    one, many = first.terms
    assert isinstance(one, Comparison)
    assert isinstance(many, Membership)
    assert isinstance(many.values, tuple)
    assert [(value.kind, value.text) for value in (one.right, *many.values)] == [("string", text)] * 2
    assert (first.op, found.op) == ("OR", "AND")
    assert isinstance(second, Comparison)
    assert (second.left, second.right.text) == (Path(("Owned__c",), second.at), "true")


@given(texts)
def test_a_pattern_can_only_be_a_pattern(text):
    sent = to_text(bind(parse("SELECT Id FROM A WHERE Name LIKE :x AND Owned__c = true"), {"x": text}))
    found = parse(sent).where
    assert isinstance(found, Logic)
    first, second = found.terms
    assert isinstance(first, Comparison)
    assert isinstance(second, Comparison)
    assert (first.op, first.right.kind, second.right.text) == ("LIKE", "string", "true")
    assert to_text(parse(sent)) == sent


def test_a_name_that_looks_like_a_query_is_no_name():
    for name in ("x OR Id != null", "x.y", "x[0]"):
        with pytest.raises(UsageError):
            where(f"Name = :{name}", **{name: "a"})


@pytest.mark.parametrize(
    ("condition", "params", "message"),
    [
        (
            "Name = :who",
            {},
            'SOQL row 1, column 37: there is no value for :who\nAdd params={"who": ...}.',
        ),
        (
            "Name = 'x'",
            {"who": "y"},
            "params: The query has no :who\nLeave 'who' out of params, or write :who where its value belongs.",
        ),
        (
            "Name = :who",
            {"who": ["x"]},
            (
                "SOQL row 1, column 37: a list can only be compared by IN, NOT IN, INCLUDES or EXCLUDES\n"
                "Write IN :who, or give a single value."
            ),
        ),
        (
            "Name = :a.b",
            {"a": 1},
            "SOQL row 1, column 37: :a.b is an expression of Apex\nGive it a plain name, such as :x.",
        ),
        (
            "Name = :who",
            {"who": b"x"},
            (
                ":who: SOQL has no value for a bytes\n"
                "Give a text, number, boolean, date, datetime, time or None, or a list of them."
            ),
        ),
        (
            "Name IN :who",
            {"who": [["x"]]},
            (
                ":who: SOQL has no value for a list\n"
                "Give a text, number, boolean, date, datetime, time or None, or a list of them."
            ),
        ),
        (
            "Name = :who",
            {"who": np.datetime64("2026-03-04")},
            (
                ":who: SOQL has no value for a datetime64\n"
                "Give a text, number, boolean, date, datetime, time or None, or a list of them."
            ),
        ),
        ("Name = :who", {"who": pd.NaT}, ":who: NaT is no datetime of SOQL\nGive a datetime, or None."),
        ("Name = :who", {"who": float("nan")}, ":who: nan is no number of SOQL\nGive a finite number, or None."),
        (
            "Name = :who",
            {"who": "x" * 4_001},
            (
                ":who: the text has 4,001 characters, and a WHERE compares at most 4,000\n"
                "Compare a shorter text, or read the rows and filter the frame."
            ),
        ),
        (
            "Name = :who",
            {"who": "\ud800"},
            ":who: the text holds half of a surrogate pair, which no request can carry\nCorrect the text.",
        ),
        (
            "Name = :who",
            {"who": dt.time(1, tzinfo=dt.UTC)},
            ":who: a time of the day has no zone\nLeave its tzinfo out.",
        ),
    ],
)
def test_what_cannot_be_bound_is_named(condition, params, message):
    with pytest.raises(UsageError) as raised:
        where(condition, **params)
    assert str(raised.value) == message


def test_the_tree_that_was_bound_is_left_alone():
    query = parse("SELECT Id FROM A WHERE Name = :x")
    bind(query, {"x": 1})
    assert query.where == Comparison(Path(("Name",), 23), "=", Value("bind", "x", None, 30), 23)


def test_the_star_is_only_taken_where_it_is_asked_for():
    query = parse("SELECT *, Owner.Name FROM Account", star=True)
    assert to_text(query) == "SELECT *, Owner.Name FROM Account"
    with pytest.raises(UsageError, match=r"unexpected token: '\*'"):
        parse("SELECT Id FROM Account WHERE Id = *", star=True)

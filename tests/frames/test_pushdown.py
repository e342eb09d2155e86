"""Predicates as SOQL: the text that is pushed, whether it is exact, and what stays."""

from __future__ import annotations

import datetime as dt
import math
from decimal import Decimal

import polars as pl
import pytest

from sfframe.codec.layout import ShapeColumn
from sfframe.codec.types import rule_for
from sfframe.frames.predicate import Opaque, read, trusted
from sfframe.frames.pushdown import Residual, Slice, push, spread
from sfframe.schema import Field
from sfframe.soql import Condition, condition_text

C = pl.col
ID = "001000000000001AAA"
CASE = "SOQL compares text without case"


def column(name: str, kind: str, **more: object) -> ShapeColumn:
    field = Field(name.rpartition(".")[2], name, kind, **more)  # type: ignore[arg-type]
    return ShapeColumn(name, tuple(name.split(".")), kind, rule_for(kind).dtype, field)


COLUMNS = [
    column("Id", "id"),
    column("Name", "string"),
    column("Long", "textarea", filterable=False),
    column("Picks", "multipicklist"),
    column("Flag", "boolean"),
    column("Int", "int"),
    column("Num", "double", precision=10, scale=2),
    column("Wide", "double", precision=18, scale=6),
    column("Sum", "currency", precision=18, scale=2, calculated=True),
    column("Day", "date"),
    column("At", "datetime"),
    column("Clock", "time"),
    column("Owner.Name", "string"),
    column("Owner.Flag", "boolean"),
    ShapeColumn("expr0", ("expr0",), "string", pl.String()),
]


def pushed(predicate: pl.Expr) -> tuple[str, bool]:
    found = push(predicate, COLUMNS)
    assert found.exact == (found.residuals == ())
    return (str(found.condition) if isinstance(found.condition, bool) else condition_text(found.condition)), found.exact


MOMENT = dt.datetime(2024, 2, 29, 12, 0, 30, tzinfo=dt.UTC)
MILLIS = MOMENT.replace(microsecond=250_000)


@pytest.mark.parametrize(
    ("predicate", "soql"),
    [
        (C("Int") > 5, "Int > 5"),
        (pl.lit(5) > C("Int"), "Int < 5"),
        (C("Int") != 5, "Int != 5 AND Int != null"),
        (~(C("Int") >= 5), "Int < 5"),
        (C("Int") > 1.5, "Int > 1"),
        (C("Int") <= -1.5, "Int <= -2"),
        (C("Int") == 1.5, "False"),
        (C("Int").is_between(1, 3), "Int >= 1 AND Int <= 3"),
        (~C("Int").is_between(1, 3, closed="left"), "Int < 1 OR Int >= 3"),
        (C("Int").is_in([1, None, 2, 1]), "Int IN (1, 2)"),
        (C("Int").is_in([1, None], nulls_equal=True), "Int = 1 OR Int = null"),
        (~C("Int").is_in([1, 2]), "Int NOT IN (1, 2) AND Int != null"),
        (~C("Int").is_in([1, 2], nulls_equal=True), "(Int NOT IN (1, 2) AND Int != null) OR Int = null"),
        (C("Int").is_in([]), "False"),
        (C("Int").eq_missing(5), "Int = 5"),
        (C("Int").ne_missing(5), "(Int != 5 AND Int != null) OR Int = null"),
        (C("Int").eq_missing(None), "Int = null"),
        (C("Int") == pl.lit(None), "False"),
        (~(C("Int") == pl.lit(None)), "False"),
        (C("Num") == 0.1, "Num = 0.1"),
        (C("Num") < 1e7, "Num < 10000000.0"),
        (C("Num") == -0.0, "Num = 0"),
        (C("Num") == Decimal("1.50"), "Num = 1.50"),
        (C("Flag"), "Flag = true"),
        (~C("Flag"), "Flag = false"),
        (C("Flag") == False, "Flag = false"),  # noqa: E712
        (C("Owner.Flag"), "Owner.Flag = true"),
        (C("Name").is_null(), "Name = null"),
        (C("Owner.Name").is_not_null(), "Owner.Name != null"),
        (C("Picks").is_null(), "Picks = null"),
        (C("Day") >= dt.date(2024, 2, 29), "Day >= 2024-02-29"),
        (C("Day").is_in([dt.date(2024, 2, 29)]), "Day = 2024-02-29"),
        (C("At") >= MOMENT, "At >= 2024-02-29T12:00:30Z"),
        (C("At") < MOMENT, "At < 2024-02-29T12:00:30Z"),
        (C("Id") == ID, f"Id = '{ID}'"),
        (C("Id") != ID, f"Id != '{ID}' AND Id != null"),
        ((C("Int") == 1).fill_null(False), "Int = 1"),
        (C("Flag").alias("literal").fill_null(False), "Flag = true"),
        ((C("Int") == 1) & ((C("Num") == 2.5) | C("Flag")), "Int = 1 AND (Num = 2.5 OR Flag = true)"),
        (~((C("Int") == 1) & C("Flag")), "(Int != 1 AND Int != null) OR Flag = false"),
        ((C("Int") == 1) | pl.lit(True), "True"),
        ((C("Int") == 1) & pl.lit(False), "False"),
    ],
)
def test_what_soql_says_alike_is_pushed_whole(predicate, soql):
    assert pushed(predicate) == (soql, True)


@pytest.mark.parametrize(
    ("predicate", "soql"),
    [
        (C("Name") == "Acme", "Name = 'Acme'"),
        (C("Name") == "O'Neill\\", r"Name = 'O\'Neill\\'"),
        (C("Name") != "Acme", "Name != null"),
        (C("Name") < "Acme", "Name != null"),
        (C("Name").is_in(["a", "A"]), "Name IN ('a', 'A')"),
        (C("Name") == "", "Name = null"),
        (C("Name").str.starts_with("50%_\\"), r"Name LIKE '50\%\_\\%'"),
        (C("Name").str.ends_with("x"), "Name LIKE '%x'"),
        (C("Name").str.contains("a.b", literal=True), "Name LIKE '%a.b%'"),
        (C("Name").str.contains("^ab"), "Name LIKE 'ab%'"),
        (C("Name").str.contains("^ab$"), "Name = 'ab'"),
        (~C("Name").str.contains("ab"), "Name != null"),
        (C("Owner.Flag").not_(), "Owner.Flag = false"),
        (C("Picks") == "A;B", "Picks INCLUDES ('A;B')"),
        (C("Picks").list.contains("A"), "Picks INCLUDES ('A')"),
        (C("Picks").str.contains("A"), "Picks != null"),
        (C("Wide") == 123456789012.345678, "Wide >= 123456789012.34566 AND Wide <= 123456789012.34569"),
        (C("Num") < 0.1 + 0.2, "Num <= 0.31"),
        (C("At") == MOMENT, "At >= 2024-02-29T12:00:30Z AND At <= 2024-02-29T12:00:30Z"),
        (C("At") > MILLIS, "At >= 2024-02-29T12:00:30Z"),
        (C("At") < MILLIS, "At <= 2024-02-29T12:00:31Z"),
        (C("At") != MOMENT, "At != null"),
        (C("Clock") == dt.time(10, 15), "Clock >= 10:15:00.000Z AND Clock <= 10:15:01.000Z"),
        (C("Id") == ID[:15], f"Id = '{ID}'"),
        (C("Id").is_in([ID[:15], ID]), f"Id = '{ID}'"),
        (C("Id") < ID, "Id != null"),
        ((C("Int") == 1) & (C("Name").str.len_chars() > 3), "Int = 1"),
    ],
)
def test_what_soql_says_more_loosely_narrows_the_answer_and_is_filtered_again(predicate, soql):
    assert pushed(predicate) == (soql, False)


@pytest.mark.parametrize(
    "predicate",
    [
        C("Name").str.to_lowercase() == "acme",
        C("Name").str.contains("(?i)acme"),
        C("Name").str.contains("a.b"),
        (C("Int") == 1) | (C("Name").str.len_chars() > 3),
        ~((C("Int") == 1) & (C("Name").str.len_chars() > 3)),
        C("Int") > C("Num"),
        C("Int").is_in(C("Num").implode()),
        C("Flag").is_null(),
        C("Long") == "a",
        C("Long").is_null(),
        C("Sum") > 1,
        C("expr0") == "a",
        C("absent") == 1,
        (C("Int") == 1) ^ C("Flag"),
        (C("Int") == 1).fill_null(True),
        C("Num") > pl.lit(math.nan),
        C("At") > dt.datetime(2024, 1, 1, tzinfo=dt.UTC).replace(tzinfo=None),
    ],
)
def test_what_soql_cannot_say_stays(predicate):
    text, exact = pushed(predicate)
    assert (text.replace("Num != null", "True").replace("At != null", "True"), exact) == ("True", False)


def test_the_reason_is_told_for_each_part_that_stays():
    found = push((C("Name") == "a") & (C("Int") == 1) & (C("Long") == "b"), COLUMNS)
    assert found.residuals == (
        Residual('[(col("Name")) == ("a")]', CASE, narrowed=True),
        Residual('[(col("Long")) == ("b")]', "the org does not filter by Long", narrowed=False),
    )


def test_this_polars_serialises_expressions_as_they_are_read():
    assert trusted()


def test_a_predicate_nested_too_deeply_stays_as_a_whole():
    deep = C("Int") == 0
    for number in range(5_000):
        deep = deep | (C("Int") == number)
    assert isinstance(read(deep), Opaque)


@pytest.mark.parametrize(
    "predicate",
    [
        C("Day") > pl.lit(10_000_000).cast(pl.Int32).cast(pl.Date),
        C("Day") > pl.lit(pl.Series([10_000_000], dtype=pl.Int32).cast(pl.Date)),
        C("At") > pl.lit(pl.Series([2**62]).cast(pl.Datetime("ms", "UTC"))),
        C("Day").is_in(pl.Series([10_000_000, 1], dtype=pl.Int32).cast(pl.Date).implode()),
        C("Name") == pl.lit(dt.timedelta(days=1)),
        C("Int").is_in(pl.int_range(1_000_000, eager=True).implode()),
    ],
)
def test_values_that_cannot_be_told_stay(predicate):
    text, exact = pushed(predicate)
    assert (text.replace("Name != null", "True"), exact) == ("True", False)


# -- lists that are too long for a query ------------------------------------------------------------------------------


def shorter_than(most: int):
    def fits(condition: Condition | bool) -> bool:
        return isinstance(condition, bool) or len(condition_text(condition)) <= most

    return fits


def texts(slices: tuple[Slice, ...]) -> list[str]:
    return [str(one.condition) if isinstance(one.condition, bool) else condition_text(one.condition) for one in slices]


def test_a_list_is_spread_over_as_few_queries_as_hold_it_and_each_row_belongs_to_one():
    found = push(C("Name").is_in(["a", "A", "b", "c", "d"]) & (C("Int") > 1), COLUMNS)
    slices = spread(found, shorter_than(36))
    assert texts(slices) == ["Int > 1 AND Name IN ('a', 'A', 'b')", "Int > 1 AND Name IN ('c', 'd')"]
    assert all(one.whole for one in slices)
    rows = pl.DataFrame({"Name": ["a", "A", "C", "d"]})
    kept = [rows.filter(one.only)["Name"].to_list() for one in slices if one.only is not None]
    assert kept == [["a", "A"], ["d"]]


def test_what_fits_is_one_query_and_what_cannot_be_spread_is_left_out():
    found = push(C("Name").is_in(["a", "b", "c"]) & (C("Int") > 1), COLUMNS)
    assert spread(found, shorter_than(100)) == (Slice(found.condition),)
    negative = push(~C("Int").is_in([100, 200, 300]) & (C("Num") > 1), COLUMNS)
    assert texts(spread(negative, shorter_than(30))) == ["Int != null AND Num > 1"]
    assert not spread(negative, shorter_than(30))[0].whole
    assert spread(found, shorter_than(3)) == (Slice(True, whole=False),)


def test_a_list_that_would_need_too_many_queries_is_left_out():
    found = push(C("Int").is_in(list(range(1000, 2000))) & (C("Num") > 1), COLUMNS)
    assert texts(spread(found, shorter_than(100))) == ["Num > 1"]


def test_a_list_beyond_all_queries_is_not_made_into_soql():
    found = push(C("Int").is_in(list(range(30_000))), COLUMNS)
    assert pushed(C("Int").is_in(list(range(30_000)))) == ("Int != null", False)
    assert [one.why for one in found.residuals] == ["the list is too long for a query"]

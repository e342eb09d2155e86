"""An object with a field of every kind, rows that are hard to compare, and predicates over them, for hypothesis."""

from __future__ import annotations

import datetime as dt
import random
from collections.abc import Callable
from typing import Any

import polars as pl
from hypothesis import strategies as st

ROOT: dict[str, Any] = {
    "name": "Root__c",
    "fields": [
        {"name": "Label__c", "type": "string", "length": 80},
        {"name": "Open__c", "type": "boolean"},
        {"name": "Sum__c", "type": "currency", "precision": 12, "scale": 2},
    ],
}
LEAF: dict[str, Any] = {
    "name": "Leaf__c",
    "fields": [
        {"name": "Root__c", "type": "reference", "referenceTo": ["Root__c"]},
        {"name": "Text__c", "type": "string", "length": 80},
        {"name": "Key__c", "type": "string", "length": 40, "externalId": True, "unique": True, "caseSensitive": True},
        {"name": "Area__c", "type": "textarea", "length": 255},
        {"name": "Story__c", "type": "textarea", "length": 1000},  # not filterable
        {"name": "Pick__c", "type": "picklist", "picklistValues": ["New", "Won", "On_Hold"]},
        {"name": "Picks__c", "type": "multipicklist", "picklistValues": ["A", "B", "Cé"]},
        {"name": "Flag__c", "type": "boolean"},
        {"name": "Whole__c", "type": "int"},
        {"name": "Number__c", "type": "double", "precision": 10, "scale": 2},
        {"name": "Wide__c", "type": "double", "precision": 18, "scale": 6},
        {"name": "Day__c", "type": "date"},
        {"name": "Moment__c", "type": "datetime"},
        {"name": "Clock__c", "type": "time"},
    ],
}
PARENTS = ["Root__r.Label__c", "Root__r.Open__c", "Root__r.Sum__c"]

TEXTS = ["acme", "ACME", "Acme", "a%c", "a_c", "abc", "a\\c", "O'Neill", "İstanbul", "straße", "STRASSE", "Ärger",
         "ärger", "K", "\u212a", "ſ", "é", "e\u0301", "日本", "🙂", "null", "#N/A", "x;y", "line\nbreak", "tab\tstop",
         '"quoted"', "a,b", "New", "new", "007"]  # fmt: skip
WHOLES = [-99_999_999, -2, -1, 0, 1, 2, 3, 500, 99_999_999]
NUMBERS = [-1.5, -0.01, 0.0, 0.1, 0.3, 1.0, 1.01, 2.5, 99999999.99]
WIDES = [0.1, 0.3, 123456789012.345678, 123456789012.345673, 999999999998.5, -123456789012.345678]
DAYS = [dt.date(1700, 1, 1), dt.date(1969, 12, 31), dt.date(2024, 2, 29), dt.date(2024, 3, 1), dt.date(4000, 12, 31)]
MOMENTS = [
    dt.datetime(2024, 2, 29, 12, 0, second, millis * 1000, dt.UTC)
    for second in (0, 1, 59)
    for millis in (0, 1, 500, 999)
]
CLOCKS = [
    dt.time(0),
    dt.time(10, 15, 30),
    dt.time(10, 15, 30, 500_000),
    dt.time(23, 59, 59),
    dt.time(23, 59, 59, 999_000),
]
PICKS = ["A", "B", "A;B", "A;B;Cé", "Cé"]

UTC_MS = pl.Datetime("ms", "UTC")
TEXT: tuple[pl.DataType, list[str]] = (pl.String(), TEXTS)
POOLS: dict[str, tuple[pl.DataType, list[Any]]] = {
    "Text__c": (pl.String(), TEXTS),
    "Area__c": (pl.String(), TEXTS),
    "Story__c": (pl.String(), TEXTS),
    "Pick__c": (pl.String(), ["New", "Won", "On_Hold"]),
    "Picks__c": (pl.String(), PICKS),
    "Flag__c": (pl.Boolean(), [True, False]),
    "Whole__c": (pl.Int64(), WHOLES),
    "Number__c": (pl.Float64(), NUMBERS),
    "Wide__c": (pl.Float64(), WIDES),
    "Day__c": (pl.Date(), DAYS),
    "Moment__c": (UTC_MS, MOMENTS),
    "Clock__c": (pl.Time(), CLOCKS),
}
ROOTS = pl.DataFrame(
    {
        "Label__c": ["acme", "ACME", None, "a_c"],
        "Open__c": [True, False, True, False],
        "Sum__c": [1.5, None, -2.25, 0.0],
    }
)


def leaves(seed: int, rows: int, roots: list[str]) -> pl.DataFrame:
    """Rows made of the pools; about a fifth of the cells, checkboxes aside, has no value."""
    chance = random.Random(seed)  # noqa: S311 - rows of a test, no secret
    columns: dict[str, pl.Series] = {}
    for name, (dtype, pool) in POOLS.items():
        nulls = [] if name == "Flag__c" else [None] * (len(pool) // 4 + 1)
        columns[name] = pl.Series(name, chance.choices([*pool, *nulls], k=rows), dtype=dtype)
    keys = [f"Key{number}" if number % 2 else f"kEY{number - 1}" for number in range(rows)]
    columns["Key__c"] = pl.Series("Key__c", [key if number % 5 else None for number, key in enumerate(keys)])
    columns["Root__c"] = pl.Series("Root__c", chance.choices([*roots, None], k=rows), dtype=pl.String)
    return pl.DataFrame(columns)


# -- predicates -------------------------------------------------------------------------------------------------------

Made = st.SearchStrategy[pl.Expr]
_COMPARE: list[Callable[[pl.Expr, Any], pl.Expr]] = [
    lambda column, value: column == value,
    lambda column, value: column != value,
    lambda column, value: column < value,
    lambda column, value: column <= value,
    lambda column, value: column > value,
    lambda column, value: value >= column,
    lambda column, value: column.eq_missing(value),
    lambda column, value: column.ne_missing(value),
]
_CLOSED = st.sampled_from(["both", "left", "right", "none"])


def _values(name: str, ids: list[str]) -> st.SearchStrategy[Any]:
    """Literals for a column: what is stored, what is nearly that, and what cannot be stored."""
    texts = st.one_of(st.sampled_from([*TEXTS, "", " acme", "acme ", "Key1", "kEY1", "zzz"]), st.text(max_size=6))
    match name:
        case "Id" | "Root__c":
            return st.one_of(st.sampled_from(ids), st.sampled_from(ids).map(lambda one: one[:15]), st.just("no id"))
        case "Whole__c":
            fractions = st.sampled_from([1.5, -0.5, 2.0, 1e10, float("inf"), float("nan")])
            return st.one_of(st.sampled_from(WHOLES), st.integers(-5, 5), st.sampled_from([2**31, -(2**40)]), fractions)
        case "Number__c" | "Wide__c" | "Root__r.Sum__c":
            near = st.sampled_from([0.1 + 0.2, 1e300, 1e-300, -0.0, 5, 123456789012.34567, float("nan"), float("-inf")])
            return st.one_of(st.sampled_from(NUMBERS), st.sampled_from(WIDES), near, st.floats(-10, 10))
        case "Day__c":
            return st.one_of(st.sampled_from(DAYS), st.dates(dt.date(2024, 2, 27), dt.date(2024, 3, 3)), st.dates())
        case "Moment__c":
            micros = st.sampled_from(MOMENTS).map(lambda one: one + dt.timedelta(microseconds=1))
            return st.one_of(st.sampled_from(MOMENTS), micros, st.just(dt.datetime(1600, 1, 1, tzinfo=dt.UTC)))
        case "Clock__c":
            return st.one_of(st.sampled_from(CLOCKS), st.times())
        case "Picks__c":
            return st.one_of(st.sampled_from([*PICKS, "B;A", "a", ""]), texts)
        case "Flag__c" | "Root__r.Open__c":
            return st.booleans()
    return texts


def _leaves(name: str, ids: list[str]) -> Made:
    column, values = pl.col(name), _values(name, ids)
    dtype = {"Root__r.Open__c": pl.Boolean(), "Root__r.Sum__c": pl.Float64()}.get(name) or POOLS.get(name, TEXT)[0]
    members = values.filter(lambda one: isinstance(one, int)) if dtype == pl.Int64 else values
    members = members.map(float) if dtype == pl.Float64 else members
    found: list[Made] = [
        st.builds(lambda make, value: make(column, value), st.sampled_from(_COMPARE), values),
        st.sampled_from([column.is_null(), column.is_not_null()]),
        st.builds(
            lambda members, nulls_equal: column.is_in(
                pl.Series(members, dtype=dtype).implode(), nulls_equal=nulls_equal
            ),
            st.lists(st.one_of(members, st.none()), max_size=4),
            st.booleans(),
        ),
    ]
    if name in {"Flag__c", "Root__r.Open__c"}:
        return st.one_of(st.just(column), *found)
    found.append(
        st.builds(
            lambda low, high, closed: column.is_between(pl.lit(low), pl.lit(high), closed), values, values, _CLOSED
        )
    )
    if name in {"Text__c", "Key__c", "Area__c", "Story__c", "Pick__c", "Picks__c", "Root__r.Label__c"}:
        parts = st.one_of(
            st.sampled_from(["a", "A", "cm", "_", "%", "\\", "e", "", "K", "ß", "ſ"]), st.text(max_size=3)
        )
        found += [
            st.builds(column.str.starts_with, parts),
            st.builds(column.str.ends_with, parts),
            st.builds(lambda part: column.str.contains(part, literal=True), parts),
            st.sampled_from([column.str.contains("^a"), column.str.contains("e$"), column.str.contains("(?i)ACME")]),
            st.sampled_from([column.str.to_lowercase() == "acme", column.str.len_chars() > 3]),
        ]
    return st.one_of(found)


def plain_predicates(name: str, stored: pl.Series) -> list[pl.Expr]:
    """One of each kind for a column, with up to three of its values, and the negation of each."""
    column = pl.col(name)
    values = stored.drop_nulls().unique(maintain_order=True)
    asked = [column.is_null(), *([column] if stored.dtype == pl.Boolean else [])]
    asked += [make(column, pl.lit(value, stored.dtype)) for make in _COMPARE for value in values.head(3)]
    if stored.dtype == pl.Int64:
        asked += [make(column, value) for make in _COMPARE for value in (0.5, -1.5, 2.0)]
    for nulls_equal in (True, False):
        asked.append(column.is_in(values.head(2).implode(), nulls_equal=nulls_equal))
        asked.append(column.is_in(values.head(1).extend_constant(None, 1).implode(), nulls_equal=nulls_equal))
    if stored.dtype == pl.String:
        parts = values.str.slice(1, 2).head(40).unique(maintain_order=True)
        asked += [column.str.contains(part, literal=True) for part in parts]
    return [one for predicate in asked for one in (predicate, ~predicate)]


def predicates(ids: list[str]) -> Made:
    """Predicates over the leaves' columns and their parents'."""
    names = ["Id", "Root__c", "Key__c", *POOLS, *PARENTS]
    leaf = st.sampled_from(names).flatmap(lambda name: _leaves(name, ids))
    others = st.sampled_from(
        [pl.col("Whole__c") > pl.col("Number__c"), pl.col("Moment__c").dt.year() == 2024, pl.lit(True), pl.lit(False)]
    )
    return st.recursive(
        st.one_of(leaf, leaf, leaf, others),
        lambda inner: st.one_of(
            st.builds(lambda left, right: left & right, inner, inner),
            st.builds(lambda left, right: left | right, inner, inner),
            st.builds(lambda term: ~term, inner),
            st.builds(lambda term, filling: term.fill_null(filling), inner, st.booleans()),
            st.builds(lambda left, right: left ^ right, inner, inner),
        ),
        max_leaves=5,
    )

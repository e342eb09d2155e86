"""Date literals (rest.md 13.2), on Wednesday 15 May 2024."""

from __future__ import annotations

import datetime as dt

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.localorg.services.date_literals import days_of
from sfframe.soql.literals import DATE_LITERALS, DATE_LITERALS_N

WEDNESDAY = dt.date(2024, 5, 15)


@pytest.mark.parametrize(
    ("name", "n", "first", "last"),
    [
        ("today", None, "2024-05-15", "2024-05-15"),
        ("YESTERDAY", None, "2024-05-14", "2024-05-14"),
        ("TOMORROW", None, "2024-05-16", "2024-05-16"),
        ("THIS_WEEK", None, "2024-05-12", "2024-05-18"),
        ("LAST_WEEK", None, "2024-05-05", "2024-05-11"),
        ("NEXT_MONTH", None, "2024-06-01", "2024-06-30"),
        ("THIS_QUARTER", None, "2024-04-01", "2024-06-30"),
        ("LAST_FISCAL_QUARTER", None, "2024-01-01", "2024-03-31"),
        ("NEXT_FISCAL_YEAR", None, "2025-01-01", "2025-12-31"),
        ("LAST_90_DAYS", None, "2024-02-15", "2024-05-15"),
        ("NEXT_90_DAYS", None, "2024-05-16", "2024-08-13"),
        ("LAST_N_DAYS", 3, "2024-05-12", "2024-05-15"),
        ("NEXT_N_DAYS", 3, "2024-05-16", "2024-05-18"),
        ("N_DAYS_AGO", 3, "2024-05-12", "2024-05-12"),
        ("LAST_N_WEEKS", 2, "2024-04-28", "2024-05-11"),
        ("NEXT_N_MONTHS", 2, "2024-06-01", "2024-07-31"),
        ("N_QUARTERS_AGO", 2, "2023-10-01", "2023-12-31"),
        ("LAST_N_YEARS", 1, "2023-01-01", "2023-12-31"),
        ("N_FISCAL_YEARS_AGO", 0, "2024-01-01", "2024-12-31"),
    ],
)
def test_a_literal_names_its_days(name: str, n: int | None, first: str, last: str):
    start, end = days_of(name, n, WEDNESDAY)
    assert (start.isoformat(), (end - dt.timedelta(days=1)).isoformat()) == (first, last)


@given(st.sampled_from(sorted(DATE_LITERALS)), st.dates(dt.date(1800, 1, 1), dt.date(3900, 1, 1)))
def test_every_literal_names_at_least_one_day(name: str, today: dt.date):
    start, end = days_of(name, None, today)
    assert start < end


@given(st.sampled_from(sorted(DATE_LITERALS_N)), st.integers(1, 50), st.dates(dt.date(1800, 1, 1), dt.date(3900, 1, 1)))
def test_every_literal_with_a_number_names_at_least_one_day(name: str, n: int, today: dt.date):
    start, end = days_of(name, n, today)
    assert start < end

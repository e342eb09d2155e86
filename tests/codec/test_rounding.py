"""Rounding gives the float that is nearest to the decimal, so that what is sent is what comes back."""

from __future__ import annotations

from decimal import ROUND_HALF_UP, Decimal

import polars as pl
from hypothesis import given
from hypothesis import strategies as st

from sfframe.codec.types import rounded


def exactly(number: float, scale: int) -> float:
    return float(Decimal(repr(number)).quantize(Decimal(1).scaleb(-scale), ROUND_HALF_UP))


@given(
    st.lists(st.floats(-1e8, 1e8).map(lambda number: float(f"{number:.6f}")), min_size=1, max_size=50),
    st.integers(0, 6),
)
def test_rounding_is_that_of_the_digits_that_people_see(numbers: list[float], scale: int) -> None:
    frame = pl.DataFrame({"x": numbers})
    assert frame.select(rounded(pl.col("x"), scale))["x"].to_list() == [
        exactly(number, scale) + 0.0 for number in numbers
    ]


def test_a_neighbour_that_needs_rounding_changes_no_number() -> None:
    clean, noisy = pl.Series([911123329.0]) / 10_000, pl.Series([1.00005])  # polars divides by a reciprocal here
    assert clean.to_list() == [91112.33290000001]
    frame = pl.DataFrame({"x": pl.concat([clean, noisy])})
    assert frame.select(rounded(pl.col("x"), 4))["x"].to_list() == [91112.3329, 1.0001]

"""The names of SOQL's date literals (rest.md 13.2)."""

from __future__ import annotations

_UNITS = ("WEEK", "MONTH", "QUARTER", "YEAR", "FISCAL_QUARTER", "FISCAL_YEAR")

DATE_LITERALS = frozenset(
    ["YESTERDAY", "TODAY", "TOMORROW", "LAST_90_DAYS", "NEXT_90_DAYS"]
    + [f"{which}_{unit}" for which in ("LAST", "THIS", "NEXT") for unit in _UNITS]
)

# With a number: LAST_N_DAYS:30, N_WEEKS_AGO:2.
DATE_LITERALS_N = frozenset(
    spelling.format(unit) for spelling in ("LAST_N_{}S", "NEXT_N_{}S", "N_{}S_AGO") for unit in ("DAY", *_UNITS)
)

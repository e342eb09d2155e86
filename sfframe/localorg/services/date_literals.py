"""The days that a date literal names (rest.md 13.2); weeks begin on Sunday, as in the locale en_US."""

from __future__ import annotations

import datetime as dt

_DAY = dt.timedelta(days=1)
_MONTHS = {"MONTH": 1, "QUARTER": 3, "YEAR": 12, "FISCAL_QUARTER": 3, "FISCAL_YEAR": 12}
_FIXED = {"YESTERDAY": (-1, 0), "TODAY": (0, 1), "TOMORROW": (1, 2), "LAST_90_DAYS": (-90, 1), "NEXT_90_DAYS": (1, 91)}


def days_of(name: str, n: int | None, today: dt.date, fiscal_start: int = 1) -> tuple[dt.date, dt.date]:
    """The first day of the literal and the day after its last one; ``fiscal_start`` is the fiscal year's first month.

    ``LAST_N_DAYS`` includes today; every other ``LAST_N_...`` ends before the current unit and every ``NEXT_N_...``
    begins after it. Raises OverflowError for days that no calendar has.
    """
    word = name.upper()
    if word in _FIXED:
        first, end = _FIXED[word]
        return today + first * _DAY, today + end * _DAY

    def start(unit: str, shift: int) -> dt.date:
        return _start(unit, shift, today, fiscal_start if unit.startswith("FISCAL") else 1)

    if n is None:
        which, _, unit = word.partition("_")
        shift = {"LAST": -1, "THIS": 0, "NEXT": 1}[which]
        return start(unit, shift), start(unit, shift + 1)
    if word.endswith("_AGO"):
        unit = word.removeprefix("N_").removesuffix("S_AGO")
        return start(unit, -n), start(unit, 1 - n)
    unit = word[len("LAST_N_") : -1]
    if word.startswith("NEXT"):
        return start(unit, 1), start(unit, n + 1)
    return start(unit, -n), start(unit, 1 if unit == "DAY" else 0)


def _start(unit: str, shift: int, today: dt.date, first_month: int) -> dt.date:
    """The first day of the unit that lies ``shift`` units after the one that holds ``today``."""
    if unit == "DAY":
        return today + shift * _DAY
    if unit == "WEEK":
        sunday = today - (today.isoweekday() % 7) * _DAY
        return sunday + 7 * shift * _DAY
    size = _MONTHS[unit]
    months = today.year * 12 + today.month - first_month  # since a year's first month, which need not be January
    months += shift * size - months % size + first_month - 1
    if not dt.MINYEAR <= months // 12 <= dt.MAXYEAR:
        raise OverflowError(f"{unit} {shift} lies outside the calendar")
    return dt.date(months // 12, months % 12 + 1, 1)

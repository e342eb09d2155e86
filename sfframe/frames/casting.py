"""The caller's column in its own type -> the field's type, and which cells have no place there."""

from __future__ import annotations

from dataclasses import dataclass
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.codec.types import EXACT_FLOAT, UTC_MS, has_scale, rounded, rule_for
from sfframe.errors import UsageError
from sfframe.facts import NULL_MARK

CLOCK = r"^\d{4}-\d{2}-\d{2}[T ]\d{2}:\d{2}"
NO_ZONE = r"^\d{4}-\d{2}-\d{2}(?:[T ]\d{2}:\d{2}(?::\d{2}(?:\.\d+)?)?)?$"
DECIMAL_DIGITS = 38

SPELLINGS = {
    "int": "a whole number, such as 1200 (no separators)",
    "number": "a number, such as 1234.5 (a point for decimals, no separators, no currency sign)",
    "boolean": "true or false",
    "date": "a date, such as 2026-01-31",
    "datetime": "a date and time with its zone, such as 2026-01-31T09:30:00Z",
    "time": "a time, such as 09:30:00",
    "binary": "base64 text",
}


@dataclass(frozen=True, slots=True)
class Problem:
    """A rule that some cells break: ``where`` is true in their rows, never null."""

    rule: str
    where: pl.Expr
    message: str


@dataclass(frozen=True, slots=True)
class Cast:
    """How to make a column typed. ``refused`` (rule, message) says that no cell of it can be used.

    ``typed`` is null where the source is null (or the empty text), and where a problem lies.
    """

    typed: pl.Expr
    problems: tuple[Problem, ...] = ()
    refused: tuple[str, str] | None = None


def check_zone(timezone: str | None) -> None:
    """Raises ``UsageError`` for a time zone that does not exist."""
    try:
        ZoneInfo(timezone or "UTC")
    except (ZoneInfoNotFoundError, ValueError) as error:
        remedy = 'Give a name of the tz database, such as "Europe/Berlin".'
        raise UsageError(f"there is no time zone {timezone!r}", where="timezone", remedy=remedy) from error


def cast_column(column: SentColumn, source: pl.Series, *, timezone: str | None, from_csv: bool) -> Cast:
    """The way from ``source`` to the field's type. Expressions name the caller's column."""
    values, dtype = pl.col(column.name), source.dtype
    rule = rule_for(column.field.type)
    if dtype == pl.Null:
        return Cast(values.cast(rule.dtype))
    if dtype == pl.String or isinstance(dtype, (pl.Categorical, pl.Enum)):
        text = values.cast(pl.String)
        empty = ["", NULL_MARK] if from_csv else [""]
        if dtype != pl.String or any((source == one).any() for one in empty):  # else the caller's own column will do
            text = pl.when(~text.is_in(empty)).then(text)
        return _from_text(column, text, timezone)
    match rule.kind:
        case "int":
            return _whole(column, values, dtype)
        case "number":
            return _number(column, values, dtype)
        case "boolean":
            return _boolean(values, dtype)
        case "date" | "datetime":
            return _calendar(column, source, timezone)
        case "multipicklist" if isinstance(dtype, pl.List):
            joined = values.cast(pl.List(pl.String)).list.join(";", ignore_nulls=True)
            return Cast(pl.when(joined != "").then(joined))
        case "text" | "multipicklist" if dtype.is_integer() or dtype.is_decimal():
            return Cast(values.cast(pl.String))
        case "time" | "binary" if dtype == rule.dtype:
            return Cast(values)
    return _refused(column, dtype)


def _refused(column: SentColumn, dtype: pl.DataType) -> Cast:
    field = column.field
    remedy = (
        "Cast it to text first, in the spelling that you want" if rule_for(field.type).kind == "text" else "Cast it"
    )
    message = f"A column of {dtype} does not fit {field.name}, a field of type {field.type}. {remedy}."
    return Cast(pl.lit(None, rule_for(field.type).dtype), refused=("type", message))


def _from_text(column: SentColumn, text: pl.Expr, timezone: str | None) -> Cast:
    """Each text must be a spelling that Salesforce takes (bulk2.md 3.4)."""
    field = column.field
    rule = rule_for(field.type)
    if rule.kind in ("text", "id", "multipicklist"):
        return Cast(text)
    typed = rule.read(text)
    wrong = text.is_not_null() & typed.is_null()
    message = f"The text is not {SPELLINGS[rule.kind]}."
    if rule.kind == "number":
        typed = rounded(typed, field.scale) if has_scale(field) else typed
    if rule.kind == "date":
        clock = text.str.contains(CLOCK).fill_null(False)
        return Cast(
            typed,
            (
                Problem("type", wrong & ~clock, message),
                Problem("clock_time", clock, f"{field.name} is a date; leave the time of day out."),
            ),
        )
    if rule.kind != "datetime":
        return Cast(typed, (Problem("type", wrong, message),))
    naive = text.str.contains(NO_ZONE).fill_null(False)
    if timezone is None:
        return Cast(typed, (Problem("type", wrong & ~naive, message), Problem("timezone", naive, _zone_remedy("text"))))
    here = text.str.replace(" ", "T", literal=True)
    clock = pl.coalesce(
        here.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f", time_unit="us", strict=False),
        here.str.to_datetime("%Y-%m-%dT%H:%M", time_unit="us", strict=False),
        pl.when(naive).then(here.str.to_date("%Y-%m-%d", strict=False).cast(pl.Datetime("us"))),
    )
    local, skipped = _located(clock, timezone)
    typed = pl.coalesce(typed, local)
    wrong = text.is_not_null() & typed.is_null() & ~skipped.where
    return Cast(typed, (Problem("type", wrong, message), skipped))


def _whole(column: SentColumn, values: pl.Expr, dtype: pl.DataType) -> Cast:
    if not dtype.is_numeric():
        return _refused(column, dtype)
    if dtype.is_float():
        whole = (values == values.floor()) & (values.abs() <= EXACT_FLOAT)
    elif dtype.is_decimal():
        whole = values == values.round(0)
    else:
        whole = pl.lit(True)
    typed = pl.when(whole).then(values).cast(pl.Int64, strict=False)
    wrong = values.is_not_null() & typed.is_null()
    message = f"{column.field.name} takes whole numbers; round the value first."
    return Cast(typed, (Problem("type", wrong, message),))


def _number(column: SentColumn, values: pl.Expr, dtype: pl.DataType) -> Cast:
    field = column.field
    scaled = has_scale(field)
    if dtype.is_decimal():
        if not scaled:
            return Cast(values)
        places = values.round(field.scale, mode="half_away_from_zero")
        typed = places.cast(pl.Decimal(DECIMAL_DIGITS, field.scale), strict=False)
        wrong = values.is_not_null() & typed.is_null()
        return Cast(typed, (Problem("precision", wrong, f"{field.name} has fewer digits than this number."),))
    if dtype.is_float():
        number = values.cast(pl.Float64)
        return Cast(rounded(number, field.scale) if scaled else pl.when(number == 0).then(0.0).otherwise(number))
    if dtype.is_integer():
        large = values.cast(pl.Int128).abs() > EXACT_FLOAT
        message = "The number has more digits than a double keeps; cast the column to Decimal to send them all."
        return Cast(values.cast(pl.Float64), (Problem("precision", large.fill_null(False), message),))
    return _refused(column, dtype)


def _boolean(values: pl.Expr, dtype: pl.DataType) -> Cast:
    if dtype == pl.Boolean:
        return Cast(values)
    typed = pl.when(values == 1).then(True).when(values == 0).then(False)
    if not dtype.is_numeric():
        message = f"A column of {dtype} does not fit a checkbox. Make it true or false."
        return Cast(pl.lit(None, pl.Boolean), refused=("type", message))
    wrong = values.is_not_null() & typed.is_null()
    return Cast(typed, (Problem("type", wrong, "A checkbox takes true and false, or 1 and 0."),))


def _calendar(column: SentColumn, source: pl.Series, timezone: str | None) -> Cast:
    """Dates and datetimes, for a field of either type."""
    values, dtype, field = pl.col(column.name), source.dtype, column.field
    day_wanted = field.type == "date"
    if day_wanted and dtype == pl.Date:
        return Cast(values)
    if day_wanted and isinstance(dtype, pl.Datetime):
        # pandas has no type for dates, so its dates arrive as midnights.
        local = values.dt.replace_time_zone(None)
        clock = (local != local.dt.truncate("1d")).fill_null(False)
        message = (
            f"{field.name} is a date, and this is a time of day. Cast the column to dates, in the zone that you mean."
        )
        return Cast(pl.when(~clock).then(local.dt.date()), (Problem("clock_time", clock, message),))
    if isinstance(dtype, pl.Datetime) and dtype.time_zone is not None:
        return Cast(values.dt.convert_time_zone("UTC").dt.truncate("1ms").cast(UTC_MS))
    if not isinstance(dtype, pl.Datetime) and dtype != pl.Date:
        return _refused(column, dtype)
    if timezone is None:
        count = len(source) - source.null_count()
        if not count:
            return Cast(pl.lit(None, UTC_MS))
        first = source.is_not_null().arg_max()
        what = "dates have no time and no zone" if dtype == pl.Date else "datetimes have no zone"
        message = f"{count:,} {what} (first: row {first}). {_zone_remedy('column')}"
        return Cast(pl.lit(None, UTC_MS), refused=("timezone", message))
    typed, skipped = _located(values.cast(pl.Datetime("us")), timezone)
    return Cast(typed, (skipped,))


def _located(naive: pl.Expr, timezone: str) -> tuple[pl.Expr, Problem]:
    """Clock times of a zone as instants, and those that a clock change repeats or skips."""
    placed = naive.dt.replace_time_zone(timezone, ambiguous="null", non_existent="null")
    typed = placed.dt.convert_time_zone("UTC").dt.truncate("1ms").cast(UTC_MS)
    message = f"A clock change of {timezone} repeats or skips this time. Give it with its offset, such as +02:00."
    return typed, Problem("timezone", naive.is_not_null() & typed.is_null(), message)


def _zone_remedy(what: str) -> str:
    start = "The text has no zone. " if what == "text" else ""
    return f'{start}Add timezone="Europe/Berlin", or set it in the profile.'

"""One row per Salesforce field type: its polars type, how it is written to CSV, how text is read back.

A reader gives null for a text that does not fit; who calls it compares the nulls before and after, and raises or
reports. So no value is ever nulled in silence.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import polars as pl
import pyarrow as pa

from sfframe.schema.sobject import Field

UTC_MS = pl.Datetime("ms", "UTC")
EXACT_FLOAT = 2**53  # whole numbers up to here have a float of their own
ID_CHARACTERS = 15  # the part of an id that names the record; the suffix only repeats its case (rest.md 10)
SIGNIFICANT = 15  # decimal digits that every float keeps

_DATETIME = (
    r"^(?P<day>\d{4}-\d{2}-\d{2})[T ](?P<hour>\d{2})(?::(?P<minute>\d{2})(?::(?P<second>\d{2})"
    r"(?:\.(?P<fraction>\d{1,3})\d*)?)?)?(?P<zone>Z|[+-]\d{2}(?::?\d{2})?)$"
)

Transform = Callable[[pl.Expr], pl.Expr]


@dataclass(frozen=True, slots=True)
class TypeRule:
    """How values of one field type look in a frame and in a file.

    ``write`` takes the typed column to text, ``read`` takes text (no empty texts among it) to the typed column.
    """

    kind: str
    dtype: pl.DataType
    write: Transform
    read: Transform


def as_is(column: pl.Expr) -> pl.Expr:
    """Text stays text."""
    return column


def plain_text(numbers: pl.Series) -> pl.Series:
    """Floats as digits without an exponent: 1e-7 is ``0.0000001`` (data loaders' users lose digits to exponents)."""
    text = numbers.cast(pl.String)
    if not text.str.contains("e", literal=True).any():
        return text
    frame = text.to_frame("text").with_columns(
        sign=pl.when(pl.col("text").str.starts_with("-")).then(pl.lit("-")).otherwise(pl.lit("")),
        whole=pl.col("text").str.extract(r"^-?(\d+)"),
        fraction=pl.col("text").str.extract(r"\.(\d+)e").fill_null(""),
        exponent=pl.col("text").str.extract(r"e([+-]?\d+)$").str.strip_prefix("+").cast(pl.Int64),
    )
    zeros = pl.lit("0" * 400)  # a double has at most 309 digits before and 324 after the point
    digits = pl.col("whole") + pl.col("fraction")
    behind = (pl.col("exponent") - pl.col("fraction").str.len_chars().cast(pl.Int64)).clip(lower_bound=0)
    large = digits + zeros.str.slice(0, behind) + ".0"
    small = "0." + zeros.str.slice(0, (-pl.col("exponent") - 1).clip(lower_bound=0)) + digits
    spelled = pl.when(pl.col("exponent") < 0).then(small).otherwise(large)
    return frame.select(
        pl.when(pl.col("exponent").is_null()).then(pl.col("text")).otherwise(pl.col("sign") + spelled)
    ).to_series()


def _write_number(column: pl.Expr) -> pl.Expr:
    return column.map_batches(plain_text, return_dtype=pl.String)


def _write_text(column: pl.Expr) -> pl.Expr:
    return column.cast(pl.String)


def _write_datetime(column: pl.Expr) -> pl.Expr:
    # Without the conversion polars prints local time under a literal Z.
    return column.dt.convert_time_zone("UTC").dt.strftime("%Y-%m-%dT%H:%M:%S%.3fZ")


def _write_time(column: pl.Expr) -> pl.Expr:
    return column.dt.strftime("%H:%M:%S%.3fZ")


def _write_binary(column: pl.Expr) -> pl.Expr:
    return column.bin.encode("base64")


def _write_multipicklist(column: pl.Expr) -> pl.Expr:
    return column


def _usual_first(usual: Transform, every: Transform, dtype: pl.DataType) -> Transform:
    """Reads by ``usual``, which is fast, and by ``every`` only where that leaves something unread."""

    def read(text: pl.Series) -> pl.Series:
        frame, column = text.to_frame(), pl.col(text.name)
        typed = frame.select(usual(column).alias(text.name)).to_series()
        if typed.null_count() == text.null_count():
            return typed
        return frame.select(every(column).alias(text.name)).to_series()

    return lambda text: text.map_batches(read, return_dtype=dtype)


def _by_arrow(every: Transform, arrow: pa.DataType, dtype: pl.DataType) -> Transform:
    """Reads by pyarrow, which takes the usual spellings about ten times as fast as polars and raises at others."""

    def read(text: pl.Series) -> pl.Series:
        try:
            return pl.Series(text.name, text.to_arrow().cast(arrow)).cast(dtype)
        except pa.ArrowInvalid:
            return text.to_frame().select(every(pl.col(text.name)).alias(text.name)).to_series()

    return lambda text: text.map_batches(read, return_dtype=dtype)


def _plain_int(text: pl.Expr) -> pl.Expr:
    return text.cast(pl.Int64, strict=False)


def _any_int(text: pl.Expr) -> pl.Expr:
    # Salesforce itself sends 5.0 for whole-number fields at times (bulk2.md 4.8).
    number = text.cast(pl.Float64, strict=False)
    whole = pl.when((number == number.floor()) & (number.abs() <= EXACT_FLOAT)).then(number)
    return pl.coalesce(_plain_int(text), whole.cast(pl.Int64, strict=False))


def _read_number(text: pl.Expr) -> pl.Expr:
    number = text.cast(pl.Float64, strict=False)
    return pl.when(number.is_finite()).then(number)  # polars also reads "inf" and "nan"


def _plain_boolean(text: pl.Expr) -> pl.Expr:
    return pl.when(text == "true").then(True).when(text == "false").then(False)


def _any_boolean(text: pl.Expr) -> pl.Expr:
    lower = text.str.to_lowercase()
    return pl.when(lower.is_in(["true", "1"])).then(True).when(lower.is_in(["false", "0"])).then(False)


def _any_date(text: pl.Expr) -> pl.Expr:
    # The guide's own sample has a date with a trailing Z (bulk2.md 3.4).
    plain = text.str.strip_suffix("Z")
    return pl.when(plain.str.len_bytes() == len("2026-01-31")).then(plain.str.to_date("%Y-%m-%d", strict=False))


def _any_datetime(text: pl.Expr) -> pl.Expr:
    """Any xsd:dateTime with a zone. Digits after the third are cut, as Salesforce does (bulk2.md 2.13)."""
    parts = text.str.extract_groups(_DATETIME)
    clock = [parts.struct.field(name).fill_null("00") for name in ("hour", "minute", "second")]
    zone = pl.when(parts.struct.field("zone") == "Z").then(pl.lit("+0000")).otherwise(parts.struct.field("zone"))
    zone = zone.str.replace(":", "", literal=True).str.pad_end(len("+0000"), "0")
    fraction = parts.struct.field("fraction").fill_null("0")
    whole = pl.format("{}T{}:{}:{}.{}{}", parts.struct.field("day"), *clock, fraction, zone)
    return whole.str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="ms", strict=False)


def _read_time(text: pl.Expr) -> pl.Expr:
    return text.str.strip_suffix("Z").str.to_time("%H:%M:%S%.f", strict=False)


def _read_binary(text: pl.Expr) -> pl.Expr:
    return text.str.decode("base64", strict=False)


TEXT = TypeRule("text", pl.String(), as_is, as_is)
ID = TypeRule("id", pl.String(), as_is, as_is)
INT = TypeRule("int", pl.Int64(), _write_text, _usual_first(_plain_int, _any_int, pl.Int64()))
NUMBER = TypeRule("number", pl.Float64(), _write_number, _read_number)
BOOLEAN = TypeRule("boolean", pl.Boolean(), _write_text, _usual_first(_plain_boolean, _any_boolean, pl.Boolean()))
DATE = TypeRule("date", pl.Date(), _write_text, _by_arrow(_any_date, pa.date32(), pl.Date()))
DATETIME = TypeRule("datetime", UTC_MS, _write_datetime, _by_arrow(_any_datetime, pa.timestamp("ms", "UTC"), UTC_MS))

TYPES: dict[str, TypeRule] = {  # every other type is text
    "id": ID,
    "reference": ID,
    "int": INT,
    "long": INT,
    "double": NUMBER,
    "currency": NUMBER,
    "percent": NUMBER,
    "boolean": BOOLEAN,
    "date": DATE,
    "datetime": DATETIME,
    "time": TypeRule("time", pl.Time(), _write_time, _read_time),
    "multipicklist": TypeRule("multipicklist", pl.String(), _write_multipicklist, as_is),
    "base64": TypeRule("binary", pl.Binary(), _write_binary, _read_binary),
}

ADDRESS = pl.Struct(  # rest.md 5
    {
        "street": pl.String,
        "city": pl.String,
        "state": pl.String,
        "stateCode": pl.String,
        "postalCode": pl.String,
        "country": pl.String,
        "countryCode": pl.String,
        "latitude": pl.Float64,
        "longitude": pl.Float64,
        "geocodeAccuracy": pl.String,
    }
)
LOCATION = pl.Struct({"latitude": pl.Float64, "longitude": pl.Float64})
COMPOUNDS: dict[str, pl.Struct] = {"address": ADDRESS, "location": LOCATION}


def rule_for(field_type: str) -> TypeRule:
    """The row of the table; a type that this version does not know is text."""
    return TYPES.get(field_type, TEXT)


def rounded(column: pl.Expr, scale: int) -> pl.Expr:
    """Floats rounded half up (away from zero) to ``scale`` places, as the decimal digits that people see.

    1.005 is 1.01 at scale 2, although the float behind it is a little less than 1.005. Numbers with 15 digits or more
    before that place keep all they have. Minus zero becomes zero.
    """
    return column.map_batches(lambda numbers: _half_up(numbers, scale), return_dtype=pl.Float64)


def _half_up(numbers: pl.Series, scale: int) -> pl.Series:
    value = pl.col(numbers.name)
    frame = numbers.to_frame()
    if not (numbers == numbers.round(scale)).all():
        power = 10.0**scale
        moved = value * power
        # The division multiplies by a reciprocal and may miss the float that is nearest; the second round finds it.
        near = (moved.round_sig_figs(SIGNIFICANT).round(0, mode="half_away_from_zero") / power).round(scale)
        frame = frame.select(pl.when(moved.abs() < 10.0**SIGNIFICANT).then(near).otherwise(value).alias(numbers.name))
    rounded_numbers = frame.to_series()
    if not (rounded_numbers == 0).any():
        return rounded_numbers
    return frame.select(pl.when(value == 0).then(0.0).otherwise(value).alias(numbers.name)).to_series()


def has_scale(field: Field) -> bool:
    """True where the describe says how many digits the field keeps; formulas and old describes may say nothing."""
    return rule_for(field.type) is NUMBER and field.precision > 0


def decimal_reader(precision: int, scale: int) -> Transform:
    """A reader from text to ``Decimal(precision, scale)``; null where digits would be lost."""

    def read(text: pl.Expr) -> pl.Expr:
        exact = text.cast(pl.Decimal(precision, scale), strict=False)
        # The cast rounds without a word, so its result must still be the same float.
        return pl.when(exact.cast(pl.Float64) == text.cast(pl.Float64, strict=False)).then(exact)

    return read


def canonical(field: Field) -> Transform:
    """Text of a file -> the value that two spellings of the same thing share; null where the text does not fit.

    Numbers are rounded to the field's scale, datetimes cut to milliseconds, ids are their first 15 characters. Text is
    left alone. The Java spelling ``9.12260031E8`` and ours are the same number (bulk2.md 2.13).
    """
    rule = rule_for(field.type)

    def read(text: pl.Expr) -> pl.Expr:
        if rule is ID:
            return text.str.slice(0, ID_CHARACTERS)
        if rule.kind == "binary":
            return text
        if has_scale(field):
            return rounded(rule.read(text), field.scale)
        return rule.read(text)

    return read

"""What goes into an upload, judged by Python's strict csv reader."""

from __future__ import annotations

import csv
import datetime as dt
import io
import math
import stat
from decimal import Decimal
from pathlib import Path

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.codec.encode import encode
from sfframe.codec.layout import SentColumn
from sfframe.codec.split import spool
from sfframe.codec.types import canonical, decimal_reader, plain_text, rounded, rule_for
from sfframe.errors import FrameError
from sfframe.facts import DELIMITERS, NULL_MARK
from sfframe.schema.sobject import Field

TYPES = ("string", "int", "double", "boolean", "date", "datetime", "time", "base64", "multipicklist", "reference")


def column(name: str, field_type: str, **facts) -> SentColumn:
    return SentColumn(name, name, Field(name, name, field_type, **facts))


def parsed(text: str, delimiter: str) -> list[list[str]]:
    return list(csv.reader(io.StringIO(text, newline=""), delimiter=delimiter, strict=True))


def expected_text(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return "true" if value else "false"
        case dt.datetime():
            utc = value.astimezone(dt.UTC)
            return f"{utc.year:04}-{utc:%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03}Z"
        case dt.date():
            return value.isoformat()
        case dt.time():
            return f"{value:%H:%M:%S}.{value.microsecond // 1000:03}Z"
        case bytes():
            import base64

            return base64.b64encode(value).decode()
        case float():
            return format(Decimal(repr(value)), "f")
        case _:
            return str(value)


def comparable(cell: str, value: object) -> str:
    """A float's cell in Python's spelling, after the check that it has no exponent."""
    if isinstance(value, float):
        assert set(cell) <= set("-0123456789.")
        return expected_text(float(cell))
    return cell


NASTY = [
    "a,b",
    'quo"te',
    "line\nbreak",
    "cr\rhere",
    "both\r\n",
    "tab\t",
    "`",
    "^|;",
    "\u2028",
    "#N/A ",
    " lead",
    '""',
    "'",
]
# Any text that a file can say: hypothesis knows the mark for null from the code, and draws it at times.
ANY_TEXT = (
    st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1, max_size=12) | st.sampled_from(NASTY)
).filter(lambda text: text != NULL_MARK)
VALUES = {
    "string": ANY_TEXT,
    "reference": st.just("001000000000001AAA"),
    "multipicklist": st.just("A;B"),
    "int": st.integers(-(10**9), 10**9),
    "double": st.floats(allow_nan=False, allow_infinity=False).filter(
        lambda x: not (x == 0 and math.copysign(1, x) < 0)
    ),
    "boolean": st.booleans(),
    "date": st.dates(),
    "datetime": st.datetimes(min_value=dt.datetime(1, 1, 2), max_value=dt.datetime(9999, 12, 30)).map(
        lambda value: value.replace(tzinfo=dt.UTC, microsecond=value.microsecond // 1000 * 1000)
    ),
    "time": st.times().map(lambda value: value.replace(microsecond=value.microsecond // 1000 * 1000)),
    "base64": st.binary(min_size=1, max_size=8),
}


@st.composite
def typed_frames(draw):
    types = draw(st.lists(st.sampled_from(TYPES), min_size=1, max_size=5))
    height = draw(st.integers(1, 6))
    rows = st.lists
    sent = [column(f"F{place}__c", one) for place, one in enumerate(types)]
    data = {
        one.header: pl.Series(
            draw(rows(st.none() | VALUES[one.field.type], min_size=height, max_size=height)),
            dtype=rule_for(one.field.type).dtype,
        )
        for one in sent
    }
    return pl.DataFrame(data), sent


@settings(max_examples=150)
@given(typed_frames(), st.sampled_from(list(DELIMITERS)), st.sampled_from(["LF", "CRLF"]), st.integers(1, 4))
def test_any_typed_frame_is_read_back_by_a_strict_csv_reader(tmp_path: Path, drawn, delimiter, ending, max_rows):
    frame, sent = drawn
    parts = list(
        spool(encode(frame, sent), tmp_path / "spool", delimiter=delimiter, line_ending=ending, max_rows=max_rows)
    )
    rows: list[list[str]] = []
    for number, part in enumerate(parts):
        text = part.path.read_bytes().decode()
        assert text.endswith("\n" if ending == "LF" else "\r\n")
        records = parsed(text, DELIMITERS[delimiter])
        header, body = records[0], records[1:]
        assert header == frame.columns
        assert (part.number, part.first_row, part.rows) == (number, len(rows), len(body))
        assert part.bytes == part.path.stat().st_size
        assert len(body) <= max_rows
        rows += body
    assert [
        [comparable(cell, value) for cell, value in zip(*pair, strict=True)]
        for pair in zip(rows, frame.rows(), strict=True)
    ] == [[expected_text(value) for value in row] for row in frame.rows()]


@settings(max_examples=150)
@given(typed_frames())
def test_what_was_encoded_is_read_back_equal(drawn):
    frame, sent = drawn
    text = encode(frame, sent)
    back = text.select(rule_for(one.field.type).read(pl.col(one.header)).alias(one.header) for one in sent)
    assert back.equals(frame)


def test_null_is_an_empty_cell_or_the_mark_by_column_or_by_row():
    sent = [column("A", "string"), column("B", "double"), column("C", "date")]
    frame = pl.DataFrame({"A": [None, "x"], "B": [None, None], "C": [None, None]}, schema_overrides={"B": pl.Float64})
    text = encode(frame.with_columns(pl.col("C").cast(pl.Date)), sent, {"B": True, "C": pl.Series([False, True])})
    assert text.rows() == [(None, "#N/A", None), ("x", "#N/A", "#N/A")]


def test_a_local_datetime_goes_out_in_utc():
    berlin = pl.Series("W", [dt.datetime(2025, 7, 1, 12)]).dt.replace_time_zone("Europe/Berlin").to_frame()
    assert encode(berlin, [column("W", "datetime")]).rows() == [("2025-07-01T10:00:00.000Z",)]


def test_pain_dataloader_1203_numbers_have_no_exponent():
    numbers = pl.Series([1e20, 1e-7, 1.5e-7, 9.12260031e8, -2.5e-9, 123456789012345680.0, 1e16, 0.1, 5.0, None])
    assert plain_text(numbers).to_list() == [
        "100000000000000000000.0", "0.0000001", "0.00000015", "912260031.0", "-0.0000000025", "123456789012345680.0",
        "10000000000000000.0", "0.1", "5.0", None,
    ]  # fmt: skip


def test_numbers_are_rounded_half_up_as_people_see_them():
    frame = pl.DataFrame({"x": [1.005, 2.675, -1.005, 0.285, 2.5, -2.5, -0.001, -0.0, 1234567890123456.0]})
    assert frame.select(rounded(pl.col("x"), 2)).to_series().to_list() == [
        1.01, 2.68, -1.01, 0.29, 2.5, -2.5, 0.0, 0.0, 1234567890123456.0,
    ]  # fmt: skip
    zero = frame.select(rounded(pl.col("x"), 0)).to_series().to_list()[6:8]
    assert [math.copysign(1, value) for value in zero] == [1, 1]


def test_the_java_spelling_and_ours_are_one_number():
    field = Field("Amount", "Amount", "currency", precision=18, scale=2)
    texts = pl.DataFrame({"x": ["9.12260031E8", "912260031", "912260031.00", "1.25", "1.254", "1.2E1", "x"]})
    read = texts.select(canonical(field)(pl.col("x"))).to_series().to_list()
    assert read == [912260031.0, 912260031.0, 912260031.0, 1.25, 1.25, 12.0, None]


def test_decimals_keep_their_digits():
    frame = pl.DataFrame({"D": [Decimal("1234567890123456.78")]}, schema={"D": pl.Decimal(38, 2)})
    assert encode(frame, [column("D", "currency")]).rows() == [("1234567890123456.78",)]
    texts = pl.DataFrame({"x": ["1.5", "1.255", "9.1226003125E8", "9.12260031255E8", "x"]})
    assert texts.select(decimal_reader(18, 2)(pl.col("x"))).to_series().to_list() == [
        Decimal("1.50"), None, Decimal("912260031.25"), None, None,
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("2025-01-01T10:00:00.1239Z", dt.datetime(2025, 1, 1, 10, 0, 0, 123000, dt.UTC)),
        ("2025-01-01T10:00:00+05:30", dt.datetime(2025, 1, 1, 4, 30, tzinfo=dt.UTC)),
        ("2025-01-01T10:00:00.000+0000", dt.datetime(2025, 1, 1, 10, tzinfo=dt.UTC)),
        ("2025-01-01 10:00:00Z", dt.datetime(2025, 1, 1, 10, tzinfo=dt.UTC)),
        ("2025-13-01T10:00:00Z", None),
        ("2025-01-01T10:00:00", None),
        ("2025-01-01", None),
    ],
)
def test_datetimes_are_read_in_every_spelling_with_a_zone(text, value):
    frame = pl.DataFrame({"x": [text, "2025-01-01T10:00:00.000001Z"]})
    assert frame.select(rule_for("datetime").read(pl.col("x"))).to_series().to_list()[0] == value


@settings(max_examples=300)
@given(
    st.sampled_from(["2026-01-31", "2026-02-30", "0001-01-01", "26-01-31", "20260131"]),
    st.sampled_from(["T", " ", "t", ""]),
    st.sampled_from(
        [
            "10",
            "10:20",
            "10:20:30",
            "10:20:30.1",
            "10:20:30.123",
            "10:20:30,1",
            "1020",
            "102030",
            "24:00:00",
            "",
            "10:20:60",
        ]
    ),
    st.sampled_from(["Z", "z", "+02", "+02:00", "-0230", "+2", "", " +02:00", "+25:00", "+00:60"]),
)
def test_a_datetime_reads_the_same_whatever_stands_beside_it(day, middle, clock, zone):
    """Usual spellings are read by one engine and all others by another; they must agree."""
    alone = pl.DataFrame({"x": [day + middle + clock + zone]})
    beside = pl.DataFrame({"x": [day + middle + clock + zone, "2025-01-01T10:00:00.000001Z"]})
    read = rule_for("datetime").read(pl.col("x"))
    assert alone.select(read).to_series()[0] == beside.select(read).to_series()[0]


def test_a_record_larger_than_a_part_is_named(tmp_path):
    frame = pl.DataFrame({"A": ["x", "y" * 100, "z"]})
    with pytest.raises(FrameError) as raised:
        list(spool(frame, tmp_path, max_bytes=50))
    assert str(raised.value) == (
        "row 1 of those to be sent: the record is 101 bytes long; with its header, one upload takes 50\n"
        "Shorten its texts, or leave its largest column out with columns={...: None}."
    )


def test_parts_are_full_but_never_too_large_and_only_the_owner_reads_them(tmp_path):
    frame = pl.DataFrame({"A": [str(number) * (number % 7 + 1) for number in range(500)]})
    parts = list(spool([frame[:123], frame[123:]], tmp_path, max_bytes=300))
    assert all(part.bytes <= 300 for part in parts)
    assert all(part.bytes > 300 - 25 for part in parts[:-1])
    assert sum(part.rows for part in parts) == 500
    assert {stat.S_IMODE(part.path.stat().st_mode) for part in parts} == {0o600}
    assert [path.name for path in sorted(tmp_path.iterdir())] == [part.path.name for part in parts]


def test_no_rows_give_no_parts(tmp_path):
    assert list(spool(pl.DataFrame({"A": []}, schema={"A": pl.String}), tmp_path)) == []


def test_a_lone_empty_cell_is_not_a_blank_line(tmp_path):
    parts = list(spool(pl.DataFrame({"A": ["x", None]}), tmp_path))
    assert parts[0].path.read_bytes() == b'A\nx\n""\n'

"""Answers of queries become typed frames, or say exactly which value is in the way."""

from __future__ import annotations

import datetime as dt
import io
import json
from decimal import Decimal

import polars as pl
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.codec import decode_json
from sfframe.codec.decode_csv import PageReader, _blocks
from sfframe.codec.decode_json import read_rest
from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.codec.types import ADDRESS, rule_for
from sfframe.errors import DecodeError, UsageError
from sfframe.schema.sobject import Field


def column(name: str, field_type: str = "string", **facts) -> ShapeColumn:
    field = Field(name, name, field_type, **facts)
    return ShapeColumn(name, tuple(name.split(".")), field_type, rule_for(field_type).dtype, field)


SHAPE = Shape(
    (
        column("Id", "id"),
        column("Name"),
        column("Amount", "currency", precision=18, scale=2),
        column("Count__c", "int"),
        column("Active__c", "boolean"),
        column("Day__c", "date"),
        column("At__c", "datetime"),
        column("Opens__c", "time"),
        column("Tags__c", "multipicklist"),
        column("Owner.Name"),
    )
)
HEADER = ",".join(f'"{name}"' for name in SHAPE.names) + "\n"
FIRST = (
    '"001","a ""quoted""\ntext","1.6147805824397E13","5.0","true","2026-03-04",'
    '"2026-03-04T05:06:07.089Z","05:06:07.000Z","A;B","Me"\n'
)
EMPTY = ",".join(['""'] * 10) + "\n"
VALUES = (
    "001",
    'a "quoted"\ntext',
    16147805824397.0,
    5,
    True,
    dt.date(2026, 3, 4),
    dt.datetime(2026, 3, 4, 5, 6, 7, 89000, dt.UTC),
    dt.time(5, 6, 7),
    "A;B",
    "Me",
)


NASTY = st.text(st.sampled_from('"",\n\r aä'), max_size=5)


def pages(tmp_path, *bodies):
    paths = []
    for number, body in enumerate(bodies):
        path = tmp_path / f"page-{number}.csv"
        path.write_bytes(body.encode() if isinstance(body, str) else body)
        paths.append(path)
    return paths


def read_bulk(paths, shape, **options):
    reader = PageReader(shape, **options)
    frames = [pl.DataFrame(schema=reader.schema)]
    for path in paths:
        frames += reader.read_file(path, first_row=sum(frame.height for frame in frames))
    return pl.concat(frames)


def test_bulk_pages_are_one_typed_frame_and_every_page_repeats_the_header(tmp_path):
    frame = read_bulk(pages(tmp_path, HEADER + FIRST, HEADER + EMPTY + FIRST, HEADER), SHAPE)
    assert frame.schema == SHAPE.schema
    assert frame.rows() == [VALUES, (None,) * 10, VALUES]


def test_no_pages_are_an_empty_frame_with_its_types(tmp_path):
    assert read_bulk([], SHAPE).schema == SHAPE.schema
    assert read_bulk(pages(tmp_path, HEADER.rstrip(), b""), SHAPE).height == 0


def test_decimals_and_lists_are_options(tmp_path):
    frame = read_bulk(pages(tmp_path, HEADER + FIRST), SHAPE, decimals=True, split_multipicklists=True)
    assert frame.schema["Amount"] == pl.Decimal(18, 2)
    assert frame.select("Amount", "Tags__c").rows() == [(Decimal("16147805824397.00"), ["A", "B"])]


def test_calculated_numbers_stay_floats(tmp_path):
    shape = Shape((column("F__c", "double", precision=18, scale=2, calculated=True),))
    assert read_bulk(pages(tmp_path, '"F__c"\n"0.12345"\n'), shape, decimals=True).rows() == [(0.12345,)]


def test_pain_airbyte_8300_nul_characters_are_dropped(tmp_path):
    shape = Shape((column("Name"),))
    assert read_bulk(pages(tmp_path, b'"Name"\n"a\x00b"\n'), shape).rows() == [("ab",)]
    body = json.dumps({"totalSize": 1, "records": [{"Name": "a\x00b \\u0000"}]}).encode()
    assert read_rest([body], shape).rows() == [("ab \\u0000",)]


def test_columns_are_found_by_name_without_case(tmp_path):
    shape = Shape((column("Name"), column("City")))
    assert read_bulk(pages(tmp_path, '"city","NAME"\n"c","n"\n'), shape).rows() == [("n", "c")]


def test_another_header_is_refused(tmp_path):
    with pytest.raises(DecodeError, match=r"page page-0\.csv: its columns are Name, and Name, City were asked for"):
        read_bulk(pages(tmp_path, '"Name"\n"n"\n'), Shape((column("Name"), column("City"))))


@pytest.mark.parametrize("body", ['"Name","City"\n"a","b"\n"c"', '"Name","City"\n"a","b"\n"c","cut'])
def test_a_page_that_is_cut_off_is_refused(tmp_path, body):
    with pytest.raises(DecodeError, match=r"page page-0\.csv: it is no whole CSV"):
        read_bulk(pages(tmp_path, body), Shape((column("Name"), column("City"))))


@given(st.data())
def test_a_page_that_is_cut_anywhere_is_refused_or_gives_a_beginning_of_its_rows(data):
    cells = data.draw(st.lists(st.tuples(NASTY, NASTY), min_size=1, max_size=4))
    quoted = ['"' + cell.replace('"', '""') + '"' for row in cells for cell in row]
    page = ('"Name","City"\n' + "".join(f"{a},{b}\n" for a, b in zip(quoted[::2], quoted[1::2], strict=True))).encode()
    reader = PageReader(Shape((column("Name"), column("City"))))
    rows = [tuple(cell or None for cell in row) for row in cells]
    assert reader.read(bytearray(page)).rows() == rows
    try:
        found = reader.read(bytearray(page[: data.draw(st.integers(0, len(page) - 1))]))
    except DecodeError:
        return
    assert found.rows() == rows[: found.height]
    assert found.height < len(rows)


@given(st.lists(st.tuples(NASTY, NASTY), max_size=6), st.integers(1, 12))
def test_a_page_on_disk_is_read_in_blocks_that_end_with_a_record(cells, size):
    page = pl.DataFrame(cells, schema={"Name": pl.String, "City": pl.String}, orient="row").write_csv(
        quote_style="always"
    )
    blocks = list(_blocks(io.BytesIO(page.encode()), size))
    reader = PageReader(Shape((column("Name"), column("City"))))
    frames = [reader.read(block) for block in blocks]
    assert [row for frame in frames for row in frame.rows()] == [(a or None, b or None) for a, b in cells]


@pytest.mark.parametrize(
    ("field_type", "text"),
    [("int", "5.5"), ("double", "much"), ("boolean", "maybe"), ("date", "2026-02-30"), ("datetime", "2026-01-01")],
)
def test_pain_estuary_3089_a_value_that_does_not_fit_is_named_and_never_nulled(tmp_path, field_type, text):
    shape = Shape((column("X__c", field_type),))
    with pytest.raises(DecodeError) as raised:
        read_bulk(pages(tmp_path, '"X__c"\n""\n', f'"X__c"\n""\n"{text}"\n"{text}"\n'), shape)
    error = raised.value
    assert (error.row, error.column, error.text) == (2, "X__c", text)
    assert str(error).splitlines()[0] == (
        f"column X__c, row 2: {text!r} is no {field_type} (2 such values on this page; the first is shown)"
    )
    with pytest.raises(DecodeError) as raised:
        read_rest([json.dumps({"records": [{"X__c": None}, {"X__c": text}]}).encode()], shape)
    assert (raised.value.row, raised.value.text) == (1, text)


def record(**values):
    whole = {
        "attributes": {"type": "Account", "url": "/x"},
        "Id": "001",
        "Name": 'a "quoted"\ntext',
        "Amount": 16147805824397.0,
        "Count__c": 5,
        "Active__c": True,
        "Day__c": "2026-03-04",
        "At__c": "2026-03-04T05:06:07.089+0000",
        "Opens__c": "05:06:07.000Z",
        "Tags__c": "A;B",
        "Owner": {"attributes": {"type": "Name"}, "Name": "Me"},
    }
    return {**whole, **values}


def body(*records, total=0):
    return json.dumps({"totalSize": total or len(records), "done": True, "records": list(records)}).encode()


def test_rest_pages_are_one_typed_frame():
    nothing = dict.fromkeys(record(), None)
    frame = read_rest([body(record(), nothing), body(), body(record())], SHAPE)
    assert frame.schema == SHAPE.schema
    assert frame.rows() == [VALUES, (None,) * 10, VALUES]
    assert read_rest([body()], SHAPE).schema == SHAPE.schema


def test_rest_and_bulk_give_the_same_frame(tmp_path):
    assert read_rest([body(record())], SHAPE).equals(read_bulk(pages(tmp_path, HEADER + FIRST), SHAPE))


def test_parents_of_parents_and_missing_parents():
    shape = Shape((column("Account.Parent.Name"), column("Account.Name")))
    records = [
        {"Account": {"Name": "a", "Parent": {"Name": "p"}}},
        {"Account": {"Name": "b", "Parent": None}},
        {"Account": None},
    ]
    assert read_rest([body(*records)], shape).rows() == [("p", "a"), (None, "b"), (None, None)]
    assert read_rest([body(records[2])], shape).rows() == [(None, None)]


def test_addresses_are_structs(tmp_path):
    shape = Shape((ShapeColumn("Home", ("Home",), "address", ADDRESS),))
    frame = read_rest([body({"Home": {"city": "Rome", "latitude": 41.9}}, {"Home": None})], shape)
    assert frame["Home"].struct.field("city").to_list() == ["Rome", None]
    assert frame["Home"].struct.field("latitude").to_list() == [41.9, None]
    with pytest.raises(UsageError, match="Home is a compound field, which bulk queries refuse"):
        read_bulk(pages(tmp_path, '"Home"\n"x"\n'), shape)


def test_a_count_is_one_row():
    shape = Shape((ShapeColumn("count", ("count",), "int", pl.Int64()),), count_only=True)
    assert read_rest([body(total=17)], shape).rows() == [(17,)]


def test_a_key_that_the_org_does_not_send_is_noticed():
    with pytest.raises(DecodeError, match="column City: no record of the page has 'City'"):
        read_rest([body({"Name": "a"})], Shape((column("Name"), column("City"))))


def test_an_object_where_a_text_should_be_is_named():
    with pytest.raises(DecodeError, match="row 0 or after it: the page cannot be read"):
        read_rest([body({"Name": {"x": 1}})], Shape((column("Name"),)))


def test_true_is_no_number():
    shape = Shape((column("Amount", "double"),))
    with pytest.raises(DecodeError, match="column Amount, row 1: 'true' is no double"):
        read_rest([body({"Amount": None}, {"Amount": True}, {"Amount": False})], shape)
    assert read_rest([body({"Amount": 0}, {"Amount": 1})], shape).rows() == [(0.0,), (1.0,)]


def test_whole_numbers_that_no_float_has_are_exact():
    rows = [{"Count__c": 2**53 + one} for one in (-1, 0, 1, 2)]
    assert read_rest([body(*rows)], Shape((column("Count__c", "long"),))).rows() == [
        (2**53 + n,) for n in (-1, 0, 1, 2)
    ]


NUMBERS = st.one_of(
    st.none(),
    st.integers(-(2**63), 2**63 - 1),
    st.integers(-3, 3),
    st.floats(allow_nan=False, allow_infinity=False),
    st.integers(-9, 9).map(float),
    st.sampled_from(["5", "5.0", "1e3", "x", ""]),
)
BOOLEANS = st.one_of(st.none(), st.booleans(), st.sampled_from(["true", "TRUE", "0", "maybe"]))
MIXED = Shape((column("Name"), column("Amount", "double"), column("Count__c", "int"), column("Active__c", "boolean")))
PAGES = st.lists(
    st.lists(
        st.fixed_dictionaries({"Name": st.text(), "Amount": NUMBERS, "Count__c": NUMBERS, "Active__c": BOOLEANS}),
        max_size=4,
    ).map(lambda records: body(*records)),
    min_size=1,
    max_size=3,
)


def told(read):
    """The frame, or what the error says."""
    try:
        return read().rows()
    except DecodeError as problem:
        return str(problem), problem.row, problem.text


@given(PAGES)
def test_what_polars_parses_to_its_type_is_what_the_rules_of_the_types_make_of_its_text(bodies):
    reader = decode_json.PageReader(MIXED)
    assert told(lambda: reader.read(*bodies)) == told(lambda: reader._read(bodies, {}, 0))


@given(PAGES)
def test_pages_that_are_read_together_have_the_rows_of_each(bodies):
    reader = decode_json.PageReader(MIXED)
    each, together = told(lambda: read_rest(bodies, MIXED)), told(lambda: reader.read(*bodies))
    assert together == each if isinstance(each, list) else isinstance(together, tuple)


CELLS = {
    "Name": st.none() | st.text(st.characters(codec="utf-8", exclude_characters="\0"), min_size=1),
    "Amount": st.none() | st.floats(allow_nan=False, allow_infinity=False),
    "Count__c": st.none() | st.integers(-(10**9), 10**9),
    "Active__c": st.none() | st.booleans(),
}


@settings(max_examples=100)
@given(st.lists(st.fixed_dictionaries(CELLS), min_size=1, max_size=6))
def test_what_python_writes_is_read_back(tmp_path, records):
    shape = Shape(
        (column("Name"), column("Amount", "double"), column("Count__c", "int"), column("Active__c", "boolean"))
    )
    expected = [tuple(one[name] for name in CELLS) for one in records]
    assert read_rest([body(*records)], shape).rows() == expected
    lines = [
        ",".join(
            '"' + ("" if v is None else str(v).lower() if isinstance(v, bool) else str(v)).replace('"', '""') + '"'
            for v in row
        )
        for row in expected
    ]
    page = '"Name","Amount","Count__c","Active__c"\n' + "\n".join(lines) + "\n"
    assert read_bulk(pages(tmp_path, page), shape).rows() == expected

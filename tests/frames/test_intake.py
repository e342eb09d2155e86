"""Whatever people hand in becomes one polars frame, and goes back in their own kind."""

from __future__ import annotations

import datetime as dt
import io
import subprocess
import sys
from decimal import Decimal

import pandas as pd
import polars as pl
import pyarrow as pa
import pytest

from sfframe.errors import FrameError
from sfframe.facts import DELIMITERS
from sfframe.frames.intake import TAKES, take


class Capsule:
    """Anything with an Arrow stream, and nothing else."""

    def __init__(self, table: pa.Table) -> None:
        self.table = table

    def __arrow_c_stream__(self, requested_schema=None):
        return self.table.__arrow_c_stream__(requested_schema)


TABLE = pa.table({"a": [1, 2], "b": ["x", None]})
FRAME = pl.DataFrame({"a": [1, 2], "b": ["x", None]})


@pytest.mark.parametrize(
    ("data", "kind"),
    [
        (FRAME, "polars"),
        (FRAME.lazy(), "lazy"),
        (TABLE, "pyarrow"),
        (TABLE.to_reader(), "stream"),
        (Capsule(TABLE), "stream"),
        ({"a": [1, 2], "b": ["x", None]}, "columns"),
        ([{"a": 1, "b": "x"}, {"a": 2, "b": None}], "dicts"),
        ([{"a": 1, "b": "x"}, {"a": 2}], "dicts"),
        (pd.DataFrame({"a": [1, 2], "b": ["x", None]}), "pandas"),
    ],
)
def test_every_kind_of_frame_is_taken(data, kind):
    taken = take(data)
    assert (taken.kind, taken.from_csv) == (kind, False)
    assert taken.frame.equals(FRAME)


def test_a_duckdb_relation_is_taken():
    # In a process of its own: the module prints leak notices when it ends.
    code = (
        "import duckdb, polars as pl; from sfframe.frames.intake import take; c = duckdb.connect();"
        "t = take(c.sql('select 1 a, 2 b')); print(t.kind, t.frame.rows())"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "stream [(1, 2)]"


def test_rows_with_different_keys_give_the_union_in_order_of_first_appearance():
    taken = take([{"b": 1}, {"a": "x", "b": 2}, {"c": 1.5}])
    assert taken.frame.columns == ["b", "a", "c"]
    assert taken.frame.rows() == [(1, None, None), (2, "x", None), (None, None, 1.5)]


def test_only_the_columns_that_a_result_adds_are_dropped_and_the_input_stays_as_it_was():
    data = pl.DataFrame({"sf__Id": ["x"], "sf__Other": ["y"], "Name": ["n"], "sf__Status": ["failed"]})
    assert take(data).frame.columns == ["sf__Other", "Name"]
    assert data.columns == ["sf__Id", "sf__Other", "Name", "sf__Status"]


def test_pandas_missing_values_of_every_sort_are_null():
    data = pd.DataFrame(
        {
            "obj": pd.Series(["x", None, float("nan"), pd.NA], dtype=object),
            "num": [1.5, float("nan"), None, 2],
            "Int64": pd.array([1, None, 3, None], dtype="Int64"),
            "when": pd.to_datetime(pd.Series(["2020-01-01", None, pd.NaT, "2020-01-02"])).dt.tz_localize(
                "Europe/Berlin"
            ),
            "cat": pd.Categorical(["u", None, "v", "u"]),
            "arrow": pd.Series(["a", None, "b", None], dtype="string[pyarrow]"),
            "day": pd.Series([dt.date(2020, 1, 1), pd.NaT, None, dt.date(2020, 1, 2)], dtype=object),
            "money": pd.Series([Decimal("1.25"), None, None, Decimal("2.00")], dtype=object),
            "yes": pd.array([True, None, False, True], dtype="boolean"),
        }
    )
    before = data.copy(deep=True)
    frame = take(data).frame
    assert frame.null_count().row(0) == (3, 2, 2, 2, 1, 2, 2, 2, 1)
    assert frame["when"].to_list()[0].isoformat() == "2020-01-01T00:00:00+01:00"
    assert frame["cat"].cast(pl.String).to_list() == ["u", None, "v", "u"]
    pd.testing.assert_frame_equal(data, before)


def test_a_pandas_answer_keeps_index_columns_and_types():
    index = pd.MultiIndex.from_tuples([("a", 1), ("a", 2), ("b", 1)], names=["k", "n"])
    data = pd.DataFrame(
        {"Name": ["x", "y", "z"], "cat": pd.Categorical(["u", "v", "u"]), "sf__Id": ["old"] * 3}, index=index
    )
    taken = take(data)
    back = taken.give_back(taken.frame.with_columns(sf__Id=pl.Series(["1", None, "3"])))
    expected = pd.DataFrame(
        {"Name": ["x", "y", "z"], "cat": pd.Categorical(["u", "v", "u"]), "sf__Id": ["1", None, "3"]}, index=index
    )
    assert isinstance(back, pd.DataFrame)
    pd.testing.assert_frame_equal(back, expected, check_dtype=False)
    some = taken.give_back(taken.frame[[2, 0]].with_columns(sf__Id=pl.Series(["3", "1"])), pl.Series([2, 0]))
    assert isinstance(some, pd.DataFrame)
    pd.testing.assert_frame_equal(some, expected.iloc[[2, 0]], check_dtype=False)
    assert list(data["sf__Id"]) == ["old"] * 3


def test_a_pyarrow_answer_keeps_the_callers_own_types():
    table = pa.table({"d": pa.array(["x", "y"]).dictionary_encode(), "n": pa.array([1, 2], pa.int8())})
    taken = take(table)
    back = taken.give_back(taken.frame[[1]].with_columns(sf__Id=pl.lit("1")), pl.Series([1]))
    assert isinstance(back, pa.Table)
    assert back.schema.field("d").type == table.schema.field("d").type
    assert back.to_pylist() == [{"d": "y", "n": 2, "sf__Id": "1"}]


def test_dicts_and_columns_come_back_as_they_went_in():
    rows = take([{"a": 1}])
    assert rows.give_back(rows.frame.with_columns(sf__Id=pl.lit("x"))) == [{"a": 1, "sf__Id": "x"}]
    columns = take({"a": [1]})
    assert columns.give_back(columns.frame.with_columns(sf__Id=pl.lit("x"))) == {"a": [1], "sf__Id": ["x"]}


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (42, f"the frame: builtins.int is no frame\n{TAKES}"),
        (pl.Series([1]), f"the frame: polars.series.series.Series is no frame\n{TAKES}"),
        (pl.DataFrame(), f"the frame: it has no columns\n{TAKES}"),
        ([], f"the frame: the list is empty, so it has no columns\n{TAKES}"),
        ({"a": "x"}, "column a: 'x' is one value, not a column\nGive a dict of lists, or a list of dicts for rows."),
        (
            pd.DataFrame([[1, 2]], columns=["a", "a"]),
            "the frame: two columns are named 'a'\nRename or drop one of them.",
        ),
        (pa.table([[1], [2]], names=["a", "a"]), "the frame: two columns are named 'a'\nRename or drop one of them."),
        (
            pd.DataFrame([[1, 2]], columns=pd.MultiIndex.from_tuples([("a", "b"), ("a", "c")])),
            (
                "the frame: its columns have 2 levels\n"
                "Give each column one name: df.columns = ['.'.join(name) for name in df.columns]."
            ),
        ),
    ],
)
def test_what_cannot_be_used_is_refused_with_a_remedy(data, message):
    with pytest.raises(FrameError) as raised:
        take(data)
    assert str(raised.value) == message


def test_a_pandas_column_of_mixed_values_is_named():
    with pytest.raises(FrameError) as raised:
        take(pd.DataFrame({"ok": [1, 2], "mixed": pd.Series(["x", 1], dtype=object)}))
    assert raised.value.where == "column mixed"
    assert raised.value.remedy == ("Make them one kind, for example df['mixed'] = df['mixed'].astype('string').")


@pytest.mark.parametrize("form", ["parquet", "arrow", "jsonl"])
def test_files_are_taken_by_ending_and_open_files_by_their_first_bytes(tmp_path, form):
    path = tmp_path / f"data.{form}"
    match form:
        case "parquet":
            FRAME.write_parquet(path)
        case "arrow":
            FRAME.write_ipc(path)
        case _:
            FRAME.write_ndjson(path)
    for source in (path, str(path), io.BytesIO(path.read_bytes())):
        taken = take(source)
        assert (taken.kind, taken.from_csv) == ("file", False)
        assert taken.frame.equals(FRAME)


def test_an_arrow_stream_is_told_from_an_arrow_file():
    buffer = io.BytesIO()
    FRAME.write_ipc_stream(buffer)
    assert take(io.BytesIO(buffer.getvalue())).frame.equals(FRAME)


@pytest.mark.parametrize("name", list(DELIMITERS))
@pytest.mark.parametrize("ending", ["\n", "\r\n"])
def test_csv_is_text_whatever_its_delimiter_and_line_ending(name, ending):
    sign = DELIMITERS[name]
    cells = [["Name", "Zip, plus"], ["007", '"x' + sign + '""y"'], ['""', "#N/A"], ["", '"a\rb\nc"'], ["NULL", "1e5"]]
    cells[0][1] = '"Zip, plus"'
    text = ending.join(sign.join(row) for row in cells) + ending
    for given in (None, name):
        taken = take(io.BytesIO(b"\xef\xbb\xbf" + text.encode()), delimiter=given)
        assert taken.from_csv is True
        assert taken.frame.columns == ["Name", "Zip, plus"]
        assert taken.frame.rows() == [("007", f'x{sign}"y'), (None, "#N/A"), (None, "a\rb\nc"), ("NULL", "1e5")]


def test_pain_cli_720_a_byte_order_mark_is_no_part_of_the_first_name():
    assert take(io.BytesIO(b"\xef\xbb\xbfName\nx\n")).frame.columns == ["Name"]


def test_pain_airbyte_25794_the_text_na_is_not_null():
    texts = ["NA", "null", "None", "NaN", "N/A", "-"]
    csv = ("Name,Other\n" + "".join(f"{text},x\n" for text in texts)).encode()
    assert take(io.BytesIO(csv)).frame["Name"].to_list() == texts


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (b"", "file: it is empty\nThe first record must name the columns."),
        (b"\n\n", "file: it is empty\nThe first record must name the columns."),
        (b"Name,,Zip\n1,2,3\n", "file: column 2 of 3 has no name\nThe first record must name all columns."),
        (b"Name,Name\n1,2\n", "file: two columns are named 'Name'\nRename or drop one of them."),
        (
            b"001000000000001AAA,Acme,12.5\n",
            (
                "file: its first record looks like data, not like names: 001000000000001AAA, Acme, 12.5\n"
                "Put a record with the names of the columns first."
            ),
        ),
        (
            b"Name,City\nx,K\xf6ln\n",
            (
                "file: byte 13 is not UTF-8; the file looks like Windows-1252 (or Latin-1)\n"
                "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8'), or read it with the right encoding and give the "
                "frame."
            ),
        ),
        (
            "Name\nx\n".encode("utf-16"),
            (
                "file: byte 0 is not UTF-8; the file looks like UTF-16\n"
                "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8'), or read it with the right encoding and give the "
                "frame."
            ),
        ),
        (
            b"a,b,c\n1,2,3\n1,2\n1,2,3,4\n",
            (
                "file: 2 records do not have the header's 3 cells; the first has 2: '1,2'\n"
                "Quote cells that contain the delimiter or a line break, and write empty cells for missing ones."
            ),
        ),
        (
            b'a,b\n1,"cut off\n',
            (
                'file: a quotation mark is never closed, so the file may be cut off (or a text contains a lone ")\n'
                'Write each " inside a text twice, and put the text in quotes; or write the file again.'
            ),
        ),
    ],
)
def test_a_csv_file_that_cannot_be_trusted_is_refused(data, message):
    with pytest.raises(FrameError) as raised:
        take(io.BytesIO(data))
    assert str(raised.value) == message


def test_the_place_of_a_wrong_byte_is_right_in_a_large_file():
    data = b"Name,City\n" + "ä".encode() * (1 << 20) + b",\xfc\n"
    with pytest.raises(FrameError, match="byte 2,097,163 is not UTF-8"):
        take(io.BytesIO(data))


def test_missing_files_unknown_endings_and_text_mode_are_named(tmp_path):
    with pytest.raises(FrameError, match=r"file gone\.csv: it cannot be opened: No such file"):
        take(tmp_path / "gone.csv")
    with pytest.raises(FrameError, match=r"file data\.xlsx: the ending '\.xlsx' says nothing"):
        take(tmp_path / "data.xlsx")
    with pytest.raises(FrameError, match="file: it is open as text\nOpen it with mode 'rb'"):
        take(io.StringIO("a\n1\n"))
    broken = tmp_path / "broken.parquet"
    broken.write_bytes(b"PAR1 but nothing else")
    with pytest.raises(FrameError, match=r"file broken\.parquet: it cannot be read"):
        take(broken)

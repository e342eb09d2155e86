"""Reading an upload: what DuckDB's reader gets right, what is looked for beside it, and the raw rest."""

from __future__ import annotations

import csv
import io
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.localorg.services import upload_csv
from sfframe.localorg.services.upload_csv import DELIMITERS, NEWLINES, Header, UploadFault

RAGGED = "INVALID_FIELD\x1fNumber of fields in record does not match the number of fields in the header\x1f"
STRAY = "INVALID_FIELD\x1fFound unescaped quote. A value with quote should be within a quote\x1f"


def staged(folder: Path, content: bytes, delimiter: str = ",") -> list[tuple[object, ...]]:
    path = folder / "upload.csv"
    path.write_bytes(content)
    upload_csv.mend_encoding(path)
    header = upload_csv.read_header(path, delimiter)
    assert header is not None
    with duckdb.connect() as connection:
        relation = upload_csv.stage(connection, path, delimiter, len(header.names))
        rows: list[tuple[object, ...]] = connection.execute(f"SELECT * FROM {relation} ORDER BY record").fetchall()
    return rows


def header_of(folder: Path, content: bytes, delimiter: str = ",") -> Header | None:
    path = folder / "header.csv"
    path.write_bytes(content)
    return upload_csv.read_header(path, delimiter)


def rest(folder: Path, content: bytes, records: int, delimiter: str = ",") -> bytes:
    path = folder / "rest.csv"
    path.write_bytes(content)
    return b"".join(upload_csv.remaining(path, delimiter, records))


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("uploads")


nasty = st.text(
    st.one_of(st.sampled_from("\",;|^`\t\r\n '#\\\x00ä😀"), st.characters(exclude_categories=["Cs"])), max_size=8
)
tables = st.integers(1, 4).flatmap(lambda width: st.lists(st.lists(nasty, min_size=width, max_size=width), max_size=6))


def written(rows: list[list[str]], delimiter: str, newline: str, quoting: int) -> bytes:
    text = io.StringIO()
    csv.writer(text, delimiter=delimiter, lineterminator=newline, quoting=quoting).writerows(rows)  # type: ignore[arg-type]
    return text.getvalue().encode()


@given(tables, st.sampled_from(sorted(DELIMITERS.values())), st.sampled_from(sorted(NEWLINES.values())))
def test_any_cells_that_pythons_csv_module_writes_come_back_as_they_were(
    folder: Path, rows: list[list[str]], delimiter: str, newline: str
) -> None:
    width = len(rows[0]) if rows else 1
    header = [f"F{at}" for at in range(width)]
    content = written([header, *rows], delimiter, newline, csv.QUOTE_ALL)
    assert staged(folder, content, delimiter) == [(at, None, *row) for at, row in enumerate(rows, 1)]


@given(tables, st.sampled_from(sorted(DELIMITERS.values())))
def test_cells_that_are_quoted_only_where_they_must_be_come_back_too(
    folder: Path, rows: list[list[str]], delimiter: str
) -> None:
    # Python 3.11 leaves a lone carriage return unquoted, which no upload may have.
    rows = [[cell.replace("\r", "") for cell in row] for row in rows]
    width = len(rows[0]) if rows else 1
    content = written([[f"F{at}" for at in range(width)], *rows], delimiter, "\n", csv.QUOTE_MINIMAL)
    assert staged(folder, content, delimiter) == [(at, None, *row) for at, row in enumerate(rows, 1)]


@given(tables, st.sampled_from(sorted(DELIMITERS.values())), st.sampled_from(sorted(NEWLINES.values())), st.data())
def test_the_rest_behind_any_record_is_the_raw_text(
    folder: Path, rows: list[list[str]], delimiter: str, newline: str, data: st.DataObject
) -> None:
    cut = data.draw(st.integers(0, len(rows)))
    width = len(rows[0]) if rows else 1
    before = written([[f"F{at}" for at in range(width)], *rows[:cut]], delimiter, newline, csv.QUOTE_ALL)
    behind = written(rows[cut:], delimiter, newline, csv.QUOTE_ALL)
    assert rest(folder, before + behind, cut, delimiter) == behind


@pytest.mark.parametrize(
    ("content", "rows"),
    [
        (b"a,b\n1,2", [(1, None, "1", "2")]),
        (b"a,b\n\n1,2\n\n\n3,4\n\n", [(1, None, "1", "2"), (2, None, "3", "4")]),
        (b"a,b\n,\n", [(1, None, "", "")]),
        (b'a,b\n"",""\n', [(1, None, "", "")]),
        (b'a\n""\n\nx\n', [(1, None, ""), (2, None, "x")]),
        (b"a,b\n 1 , 2\n", [(1, None, " 1 ", " 2")]),
        (b"a,b\n1\\,\\\n", [(1, None, "1\\", "\\")]),
        (b"a,b\n#1,2\n", [(1, None, "#1", "2")]),
        (b"a,b\n1\x002,3\n", [(1, None, "1\x002", "3")]),
        (b'a,b\n"1\r\n2",3\n', [(1, None, "1\r\n2", "3")]),
        (b"a,b\nNULL,null\n", [(1, None, "NULL", "null")]),
        (b"a,b\n\xff,2\n", [(1, None, "�", "2")]),
        (b"a,b\n", []),
    ],
    ids=lambda value: repr(value) if isinstance(value, bytes) else "",
)
def test_odd_but_legal_uploads_are_read_cell_by_cell(
    folder: Path, content: bytes, rows: list[tuple[object, ...]]
) -> None:
    assert staged(folder, content) == rows


def test_rows_with_too_few_or_too_many_cells_are_faults_and_the_others_are_not(folder: Path) -> None:
    assert staged(folder, b"a,b\n1\n1,2\n1,2,3\n1,2,\n1,2,3,4,5\n3,4\n") == [
        (1, RAGGED, "1", None),
        (2, None, "1", "2"),
        (3, RAGGED, "1", "2"),
        (4, RAGGED, "1", "2"),
        (5, RAGGED, "1", "2"),
        (6, None, "3", "4"),
    ]


def test_a_quote_that_is_not_alone_around_its_cell_is_a_fault_of_its_row(folder: Path) -> None:
    content = b'a,b\n1, "2"\n"1" ,2\n"x" y,2\n5" pipe,2\n"he said, ""hi""",2\n"""q""",""\n3,4\n'
    faults = [(row[0], row[1]) for row in staged(folder, content)]
    assert faults == [(1, STRAY), (2, STRAY), (3, STRAY), (4, STRAY), (5, None), (6, None), (7, None)]


def test_a_stray_quote_is_counted_right_behind_thousands_of_records_with_newlines(folder: Path) -> None:
    content = b"a,b\n" + b'"1\n2",x\n' * 9_000 + b'"1" ,2\n' + b"3,4\n"
    assert [row[0] for row in staged(folder, content) if row[1]] == [9_001]


def test_an_unterminated_quote_swallows_the_rest_and_is_a_fault(folder: Path) -> None:
    assert staged(folder, b'a,b\n1,2\n"3,4\n5,6\n') == [(1, None, "1", "2"), (2, RAGGED, "3,4\n5,6", None)]


def test_a_cell_of_three_million_characters_is_read(folder: Path) -> None:
    cell = "x" * 3_000_000
    assert staged(folder, f"a,b\n{cell},2\n".encode()) == [(1, None, cell, "2")]


def test_the_rest_skips_blank_lines_as_the_reader_does(folder: Path) -> None:
    assert rest(folder, b"a\n\n1\n\n\n2\n3\n", 2) == b"3\n"
    assert rest(folder, b"a\n1\n2", 0) == b"1\n2"
    assert rest(folder, b"a\n1\n2", 2) == b""
    assert rest(folder, b"", 0) == b""


def test_the_header_keeps_what_was_typed(folder: Path) -> None:
    assert header_of(folder, b'"Name",ext__C,"a ""b""", x\n1,2,3,4\n') == Header(
        '"Name",ext__C,"a ""b""", x', ('"Name"', "ext__C", '"a ""b"""', " x"), ("Name", "ext__C", 'a "b"', " x")
    )


def test_a_byte_order_mark_is_part_of_the_first_name(folder: Path) -> None:
    assert header_of(folder, b"\xef\xbb\xbfName,X\n") == Header(
        "\ufeffName,X", ("\ufeffName", "X"), ("\ufeffName", "X")
    )


def test_with_the_wrong_delimiter_the_whole_line_is_one_name(folder: Path) -> None:
    assert header_of(folder, b"Name;Phone\n1;2\n") == Header("Name;Phone", ("Name;Phone",), ("Name;Phone",))


def test_an_empty_last_column_is_a_column(folder: Path) -> None:
    assert header_of(folder, b"Name,\n") == Header("Name,", ("Name", ""), ("Name", ""))


def test_an_upload_without_any_record_has_no_header(folder: Path) -> None:
    assert [header_of(folder, content) for content in (b"", b"\n", b"\n\r\n")] == [None, None, None]


@pytest.mark.parametrize(
    ("line_ending", "content"),
    [
        ("LF", b"a,b\n1,2\n"),
        ("LF", b'a,b\n"1\r\n","2\r"\n'),
        ("LF", b"a,b"),
        ("LF", b""),
        ("CRLF", b"a,b\r\n1,2\r\n"),
        ("CRLF", b'a,b\r\n"1\n","2\r3"\r\n'),
    ],
)
def test_the_right_line_endings_pass_whatever_stands_in_quotes(
    tmp_path: Path, line_ending: str, content: bytes
) -> None:
    path = tmp_path / "upload.csv"
    path.write_bytes(content)
    upload_csv.check_line_endings(path, line_ending)


@pytest.mark.parametrize(
    ("line_ending", "content"),
    [
        ("LF", b"a,b\r\n1,2\r\n"),
        ("LF", b'a,b\n"1\n",2\r\n'),
        ("LF", b"a,b\n1\r2,3\n"),
        ("LF", b"a,b\r1,2\r"),
        ("CRLF", b"a,b\n1,2\n"),
        ("CRLF", b"a,b\r\n1,2\n"),
        ("CRLF", b"a,b\r\n1\r2,3\r\n"),
    ],
)
def test_a_wrong_line_ending_outside_of_quotes_is_refused(tmp_path: Path, line_ending: str, content: bytes) -> None:
    path = tmp_path / "upload.csv"
    path.write_bytes(content)
    with pytest.raises(UploadFault) as caught:
        upload_csv.check_line_endings(path, line_ending)
    assert str(caught.value) == (
        f"ClientInputError : LineEnding is invalid on user data. Current LineEnding setting is {line_ending}"
    )

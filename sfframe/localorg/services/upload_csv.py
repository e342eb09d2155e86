"""Reading the CSV of an ingest job: header, line endings, and all records at once into a table of text.

DuckDB's reader does the work, told not to guess anything. It forgives more than Salesforce, so what it would take
silently is looked for in the raw bytes: wrong line endings, quotes in the middle of a cell, bytes that are no UTF-8.
"""

from __future__ import annotations

import codecs
import mmap
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import duckdb

from sfframe.localorg.services.problems import literal, problem

DELIMITERS = {"BACKQUOTE": "`", "CARET": "^", "COMMA": ",", "PIPE": "|", "SEMICOLON": ";", "TAB": "\t"}
NEWLINES = {"LF": "\n", "CRLF": "\r\n"}

_CHUNK = 1 << 20
_LONGEST_RECORD = 16_000_000  # bytes; 400,000 characters are allowed (bulk2.md 3.6), DuckDB's own bound is 2,000,000
_NO_NULL = "\x01\x02no cell says this"  # DuckDB's null text; empty cells stay empty, only missing ones are null
_LONGEST_HEADER, _MOST_COLUMNS = 32_000, 5_000  # bulk2.md 3.1, 3.6
_LONGEST_CELL, _MOST_CHARACTERS = 131_072, 400_000  # of a cell and of a record (bulk2.md 3.6)
_STRIDES = (4096, 64, 1)  # records that are skipped by one match
# The words of both are guesses; a quote that is not alone in its cell is a row error (bulk2.md 3.2).
_RAGGED = problem("INVALID_FIELD", "'Number of fields in record does not match the number of fields in the header'")
_STRAY_QUOTE = problem("INVALID_FIELD", "'Found unescaped quote. A value with quote should be within a quote'")


class UploadFault(Exception):
    """The upload cannot be processed at all; the text is the job's ``errorMessage``."""


@dataclass(frozen=True, slots=True)
class Header:
    """The first record: ``raw`` and ``cells`` as typed, ``names`` unquoted."""

    raw: str
    cells: tuple[str, ...]
    names: tuple[str, ...]


def mend_encoding(path: Path) -> None:
    """Replace bytes that are no UTF-8 by U+FFFD, as Java's decoder does; a good file is left alone."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    with path.open("rb") as upload:
        try:
            while chunk := upload.read(_CHUNK):
                decoder.decode(chunk)
            decoder.decode(b"", final=True)
        except UnicodeDecodeError:
            pass
        else:
            return
    mended = path.with_suffix(".mended")
    with (
        path.open(encoding="utf-8", errors="replace", newline="") as source,
        mended.open("w", encoding="utf-8", newline="") as target,
    ):
        while text := source.read(_CHUNK):
            target.write(text)
    mended.replace(path)


def check_line_endings(path: Path, line_ending: str) -> None:
    """Raise UploadFault where a line outside of quotes ends in another way than the job says (bulk2.md 3.1).

    A carriage return of its own counts as a wrong ending too: it has to be quoted (bulk2.md 3.2).
    """
    wrong = re.compile(rb"\r" if line_ending == "LF" else rb"(?<!\r)\n|\r(?!\n)")
    with _mapped(path) as data:
        if line_ending == "LF" and data.find(b"\r") < 0:  # five times as quick as the search for a pattern
            return
        quotes = before = 0
        for found in wrong.finditer(data):
            quotes += data[before : found.start()].count(b'"')
            before = found.start()
            if quotes % 2 == 0:
                raise UploadFault(
                    "ClientInputError : LineEnding is invalid on user data. "
                    f"Current LineEnding setting is {line_ending}"
                )


def read_header(path: Path, delimiter: str) -> Header | None:
    """The header record; None for an upload without any. A byte order mark is part of the first name."""
    with _mapped(path) as data:
        found = _records(delimiter, 1).match(data)
        raw = found[0].decode("utf-8").strip("\r\n") if found else ""
    return parse_header(raw, delimiter) if raw else None


def check_header(header: Header) -> None:
    """Raise UploadFault for a header that is too long or too wide."""
    if len(header.names) > _MOST_COLUMNS:
        raise _too_much(f"Exceeded max number of columns per record : {_MOST_COLUMNS}")
    if len(header.raw) > _LONGEST_HEADER:
        # The words are a guess after those for a record.
        raise _too_much(
            f"Exceeded max length for the header: {len(header.raw)}. Max length should be less than or equal to "
            f"{_LONGEST_HEADER}"
        )


def _too_much(words: str) -> UploadFault:
    """The refusal of what the service's own reader (bulk1.md 5) refuses; that the whole job fails by it is a guess."""
    return UploadFault(f"InvalidBatch : {words}")


def parse_header(raw: str, delimiter: str) -> Header:
    """The header of a record's text without its line end."""
    pattern = re.compile(_cell(delimiter))
    cells: list[str] = []
    position = 0
    while position <= len(raw) and (found := pattern.match(raw, position)):
        cells.append(found[0])
        position = found.end() + len(delimiter)
    return Header(raw, tuple(cells), tuple(_unquoted(cell) for cell in cells))


def stage(cursor: duckdb.DuckDBPyConnection, path: Path, delimiter: str, width: int) -> str:
    """Load the records behind the header into a temporary table of the cursor and answer its name.

    Columns: ``record`` from 1, ``fault`` (problems.py) of rows with too many or too few cells or a stray quote, and the
    cells c0, c1, ... as text. Blank lines are no records.
    """
    cells = [f"c{at}" for at in range(width)]
    columns = ", ".join(f"{literal(name)}: 'VARCHAR'" for name in [*cells, "surplus"])
    # parallel=false keeps the order and is needed for quoted newlines; strict_mode=false pads and cuts ragged rows.
    reader = f"""read_csv({literal(str(path))}, columns={{{columns}}}, auto_detect=false, header=false,
        delim={literal(delimiter)}, quote='"', escape='"', nullstr={literal(_NO_NULL)}, null_padding=true,
        strict_mode=false, parallel=false, max_line_size={_LONGEST_RECORD})"""
    ragged = f"{cells[-1]} IS NULL OR surplus IS NOT NULL"
    try:
        cursor.execute(f"""
            CREATE OR REPLACE TEMP TABLE upload AS
            SELECT line - 1 AS record, CASE WHEN {ragged} THEN {_RAGGED} END AS fault, {", ".join(cells)}
            FROM (SELECT row_number() OVER () AS line, * FROM {reader}) WHERE line > 1
        """)
    except duckdb.InvalidInputException as error:
        raise UploadFault(f"InvalidBatch : Failed to parse CSV: {str(error).splitlines()[0]}") from error
    stray = list(stray_quotes(path, delimiter)) if has_quotes(path) else []
    if stray:
        cursor.execute(
            f"UPDATE upload SET fault = {_STRAY_QUOTE} WHERE record IN (SELECT unnest($1::BIGINT[]))", [stray]
        )
    return "upload"


def counted(cursor: duckdb.DuckDBPyConnection, relation: str, width: int) -> int:
    """How many records are staged. Raises UploadFault where one of them, or a cell of it, is too long."""
    cells = [f"c{at}" for at in range(width)]
    rows = cursor.execute(f"SELECT count(*) FROM {relation}").fetchall()[0][0]
    if _longest_record(cursor, relation, cells) > _LONGEST_CELL:
        lengths = [f"coalesce(length({cell}), 0)" for cell in cells]
        query = f"SELECT max(greatest({', '.join(lengths)})), max({' + '.join(lengths)}) FROM {relation}"
        cell, record = cursor.execute(query).fetchall()[0]
        if cell > _LONGEST_CELL:
            raise _too_much(f"Exceeded max field size: {cell}")
        if record > _MOST_CHARACTERS:
            raise _too_much(
                f"Exceeded max length for one record: {record}. "
                f"Max length for one record should be less than or equal to {_MOST_CHARACTERS}"
            )
    return int(rows)


def longest(cursor: duckdb.DuckDBPyConnection, relation: str, cells: Sequence[str]) -> dict[str, int]:
    """By cell: no text of it has more bytes than this, as DuckDB knows of a table's columns; or nothing."""
    known = ", ".join(f"stats({cell}).max_string_length" for cell in cells)
    for lengths in cursor.execute(f"SELECT {known} FROM {relation} LIMIT 1").fetchall():
        return {cell: int(length) for cell, length in zip(cells, lengths, strict=True) if length is not None}
    return {}


def _longest_record(cursor: duckdb.DuckDBPyConnection, relation: str, cells: list[str]) -> int:
    """No record has more bytes than this."""
    known = longest(cursor, relation, cells)
    if len(known) == len(cells):
        return sum(known.values())
    sizes = " + ".join(f"coalesce(strlen({cell}), 0)" for cell in cells)
    return int(cursor.execute(f"SELECT coalesce(max({sizes}), 0) FROM {relation}").fetchall()[0][0])


def remaining(path: Path, delimiter: str, records: int) -> Iterator[bytes]:
    """The raw bytes behind the first ``records`` records (the header is not counted), in pieces."""
    with _mapped(path) as data:
        position, missing = 0, records + 1
        for stride in _STRIDES:
            pattern = _records(delimiter, stride)
            while missing >= stride and (found := pattern.match(data, position)):
                position, missing = found.end(), missing - stride
        while position < len(data):
            yield data[position : position + _CHUNK]
            position += _CHUNK


@contextmanager
def _mapped(path: Path) -> Iterator[mmap.mmap | bytes]:
    if path.stat().st_size == 0:  # an empty file cannot be mapped
        yield b""
        return
    with path.open("rb") as upload, mmap.mmap(upload.fileno(), 0, access=mmap.ACCESS_READ) as data:
        yield data


def _cell(delimiter: str) -> str:
    """A cell as DuckDB sees it: quotes count only at its start, behind blanks at most."""
    other = rf"[^{re.escape(delimiter)}\r\n]*+"
    return rf'(?> *+"(?:[^"]++|"")*+"?{other}|{other})'


def _records(delimiter: str, count: int) -> re.Pattern[bytes]:
    """``count`` records with their line ends and the blank lines before them.

    All groups are atomic: where fewer records are left, nothing is tried a second time.
    """
    cell = _cell(delimiter)
    record = rf"(?:\r?\n)*+(?=[^\r\n]){cell}(?:{re.escape(delimiter)}{cell})*+(?:\r?\n|\Z)"
    return re.compile(rf"(?>{record}){{{count}}}".encode())


def _unquoted(cell: str) -> str:
    if len(cell) >= 2 and cell.startswith('"') and cell.endswith('"'):
        return cell[1:-1].replace('""', '"')
    return cell


def has_quotes(path: Path) -> bool:
    """Whether there is any quote in the upload: around a cell, in one, or out of place."""
    with _mapped(path) as data:
        return data.find(b'"') >= 0


def stray_quotes(path: Path, delimiter: str) -> Iterator[int]:
    """The records with a quote that stands between two other characters, alone: nothing well-formed has one."""
    mark = re.escape(delimiter)
    stray = re.compile(rf'"(?<=[^{mark}\n"]")(?=[^{mark}\r\n"])'.encode())
    with _mapped(path) as data:
        position, records = 0, 0  # the header is the first record, so the count behind it is the record's number
        while found := stray.search(data, position):
            for stride in _STRIDES:
                pattern = _records(delimiter, stride)
                while (walked := pattern.match(data, position, found.start())) and walked.end() < found.start():
                    position, records = walked.end(), records + stride
            this = _records(delimiter, 1).match(data, position)
            if this is None:
                return
            if records:
                yield records
            position, records = this.end(), records + 1

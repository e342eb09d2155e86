"""A path or an open binary file -> a polars frame. CSV is read as text, strictly."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from pathlib import Path
from typing import BinaryIO, Literal

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from sfframe.errors import FrameError
from sfframe.facts import DELIMITERS, Delimiter

Format = Literal["parquet", "csv", "ipc", "stream", "jsonl"]
ENDINGS: dict[str, Format] = {
    ".parquet": "parquet",
    ".pq": "parquet",
    ".csv": "csv",
    ".tsv": "csv",
    ".txt": "csv",
    ".arrow": "ipc",
    ".feather": "ipc",
    ".ipc": "ipc",
    ".jsonl": "jsonl",
    ".ndjson": "jsonl",
}
MAGIC: tuple[tuple[bytes, Format], ...] = (
    (b"PAR1", "parquet"),
    (b"ARROW1", "ipc"),
    (b"\xff\xff\xff\xff", "stream"),
    (b"{", "jsonl"),
)
WIDE_MARKS = (
    (codecs.BOM_UTF32_LE, "UTF-32"),  # before UTF-16, whose mark is its beginning
    (codecs.BOM_UTF32_BE, "UTF-32"),
    (codecs.BOM_UTF16_LE, "UTF-16"),
    (codecs.BOM_UTF16_BE, "UTF-16"),
)
CHUNK = 1 << 20
HEADER_BYTES = 1 << 17  # the org takes 32,000 characters of header (bulk2.md 3.1)
DATA_SHAPE = re.compile(
    r"[+-]?\d+([.,]\d+)*|\d{4}-\d\d-\d\d.*|\d{1,2}[./]\d{1,2}[./]\d{2,4}|true|false|[^@\s]+@[^@\s]+\.\w+"
    r"|[0-9A-Za-z]{5}0[0-9A-Za-z]{9}[A-Z0-5]{3}",
    re.IGNORECASE,
)


def read_file(source: str | Path | BinaryIO, delimiter: Delimiter | None) -> tuple[pl.DataFrame, bool]:
    """The frame, and whether it came from CSV: then all columns are text and empty cells, quoted or not, are null.

    A path is judged by its ending, an open file by its first bytes (a file that is none of the others is CSV).
    """
    if isinstance(source, (str, os.PathLike)):
        path = Path(source)
        where = f"file {path.name}"
        if path.suffix.lower() not in ENDINGS:
            known = ", ".join(ENDINGS)
            raise FrameError(f"the ending {path.suffix!r} says nothing", where=where, remedy=f"Known are {known}.")
        form = ENDINGS[path.suffix.lower()]
        try:
            data = path.read_bytes()
        except OSError as error:
            raise FrameError(f"it cannot be opened: {error.strerror}", where=where, remedy="Check the path.") from error
        if form == "ipc" and data.startswith(b"\xff\xff\xff\xff"):
            form = "stream"
    else:
        where = f"file {getattr(source, 'name', '')}".rstrip()
        data = source.read()
        if not isinstance(data, bytes):
            raise FrameError("it is open as text", where=where, remedy="Open it with mode 'rb'.")
        form = next((found for mark, found in MAGIC if data.lstrip()[:6].startswith(mark)), "csv")
    if form == "csv":
        return _read_csv(data, where, delimiter), True
    return _read_binary(data, form, where), False


def _read_binary(data: bytes, form: Format, where: str) -> pl.DataFrame:
    try:
        match form:
            case "parquet":
                return pl.read_parquet(io.BytesIO(data))
            case "ipc":
                return pl.read_ipc(io.BytesIO(data))
            case "stream":
                return pl.read_ipc_stream(io.BytesIO(data))
            case _:
                return pl.read_ndjson(io.BytesIO(data), infer_schema_length=None)
    except (pl.exceptions.PolarsError, OSError) as error:
        remedy = "Write the file again, or give the data in another form."
        raise FrameError(f"it cannot be read: {error}", where=where, remedy=remedy) from error


def _read_csv(data: bytes, where: str, delimiter: Delimiter | None) -> pl.DataFrame:
    data = _utf8(data, where)
    header_text = data[:HEADER_BYTES].decode("utf-8", "ignore")
    separator = DELIMITERS[delimiter] if delimiter else _sniff(header_text)
    header = _header(header_text, separator, where)
    if data.count(b'"') % 2:
        raise FrameError(
            'a quotation mark is never closed, so the file may be cut off (or a text contains a lone ")',
            where=where,
            remedy='Write each " inside a text twice, and put the text in quotes; or write the file again.',
        )
    ragged: list[pa_csv.InvalidRow] = []

    def note(row: pa_csv.InvalidRow) -> Literal["skip"]:
        ragged.append(row)
        return "skip"

    try:
        table = pa_csv.read_csv(
            pa.BufferReader(data),
            read_options=pa_csv.ReadOptions(block_size=max(CHUNK * 4, len(header_text)), use_threads=True),
            parse_options=pa_csv.ParseOptions(
                delimiter=separator, newlines_in_values=True, invalid_row_handler=note, ignore_empty_lines=True
            ),
            convert_options=pa_csv.ConvertOptions(
                column_types=dict.fromkeys(header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        )
    except pa.ArrowInvalid as error:
        remedy = "Write the file again with a strict CSV writer, or give the data as Parquet."
        raise FrameError(f"it cannot be read: {error}", where=where, remedy=remedy) from error
    if ragged:
        first = ragged[0].text
        raise FrameError(
            f"{len(ragged):,} records do not have the header's {len(header)} cells; the first has "
            f"{ragged[0].actual_columns}: {first[:80]!r}",
            where=where,
            remedy="Quote cells that contain the delimiter or a line break, and write empty cells for missing ones.",
        )
    frame = pl.from_arrow(table)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


def _utf8(data: bytes, where: str) -> bytes:
    """The bytes without a byte order mark, when all of them are UTF-8; Salesforce takes nothing else (bulk2.md 3.1)."""
    for mark, encoding in WIDE_MARKS:
        if data.startswith(mark):
            raise _encoding_error(where, 0, encoding)
    data = data.removeprefix(codecs.BOM_UTF8)
    decoder = codecs.getincrementaldecoder("utf-8")()
    for start in range(0, len(data), CHUNK):
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(data[start : start + CHUNK], final=start + CHUNK >= len(data))
        except UnicodeDecodeError as error:
            raise _encoding_error(where, start - pending + error.start, "Windows-1252 (or Latin-1)") from error
    return data


def _encoding_error(where: str, offset: int, guess: str) -> FrameError:
    return FrameError(
        f"byte {offset:,} is not UTF-8; the file looks like {guess}",
        where=where,
        remedy=(
            "Save it as UTF-8 (in a spreadsheet: 'CSV UTF-8'), or read it with the right encoding and give the frame."
        ),
    )


def _sniff(text: str) -> str:
    """The delimiter that occurs most often in the header outside quotes; a lone column has none and gets a comma."""
    bare = re.sub(r'"[^"]*"', "", text)
    line = re.split(r"[\r\n]", bare.lstrip("\r\n"), maxsplit=1)[0]
    return max(DELIMITERS.values(), key=lambda one: (line.count(one), one == ","))


def _header(text: str, separator: str, where: str) -> list[str]:
    names: list[str] = []
    for record in csv.reader(io.StringIO(text.lstrip("\r\n"), newline=""), delimiter=separator):
        names = record
        break
    if not names:
        raise FrameError("it is empty", where=where, remedy="The first record must name the columns.")
    empty = [place for place, name in enumerate(names, 1) if not name.strip()]
    if empty:
        raise FrameError(
            f"column {empty[0]} of {len(names)} has no name",
            where=where,
            remedy="The first record must name all columns.",
        )
    twice = next((name for name in names if names.count(name) > 1), None)
    data_like = [name for name in names if DATA_SHAPE.fullmatch(name.strip())]
    if len(data_like) * 2 >= len(names):
        raise FrameError(
            f"its first record looks like data, not like names: {', '.join(names[:5])}",
            where=where,
            remedy="Put a record with the names of the columns first.",
        )
    if twice:
        raise FrameError(f"two columns are named {twice!r}", where=where, remedy="Rename or drop one of them.")
    return names

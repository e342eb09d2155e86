"""A path or an open binary file -> a polars frame. CSV is read as text, strictly."""

from __future__ import annotations

import codecs
import csv
import io
import os
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, Literal, Self

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
WHOLE_BYTES = 1 << 26  # a file from here on is read in pieces
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


def stream_file(path: Path, delimiter: Delimiter | None, *, rows: int) -> tuple[Iterator[pl.DataFrame], bool]:
    """The file at ``path`` in batches of about ``rows`` rows; types and errors are those of ``read_file``."""
    where = f"file {path.name}"
    form = ENDINGS.get(path.suffix.lower())
    if form is None:
        read_file(path, delimiter)  # which says what endings there are
    try:
        with path.open("rb") as file:
            if form == "ipc" and file.read(4) == b"\xff\xff\xff\xff":
                form = "stream"
        if form == "csv":
            return _stream_csv(path, where, delimiter), True
        return _stream_binary(path, form, rows), False
    except OSError as error:
        raise FrameError(f"it cannot be opened: {error.strerror}", where=where, remedy="Check the path.") from error


def _stream_binary(path: Path, form: Format | None, rows: int) -> Iterator[pl.DataFrame]:
    try:
        match form:
            case "parquet":
                import pyarrow.parquet as pq

                with pq.ParquetFile(path) as file:
                    yield from map(of_batch, file.iter_batches(batch_size=rows))
            case "ipc":
                with pa.ipc.open_file(path) as file:
                    yield from (of_batch(file.get_batch(place)) for place in range(file.num_record_batches))
            case "stream":
                with pa.ipc.open_stream(path) as reader:
                    yield from map(of_batch, reader)
            case _:
                lazy = pl.scan_ndjson(path, infer_schema_length=None)
                yield from lazy.collect_batches(chunk_size=rows, maintain_order=True)
    except (pl.exceptions.PolarsError, pa.ArrowException) as error:
        raise _unreadable(f"file {path.name}", error) from error


def of_batch(batch: pa.RecordBatch) -> pl.DataFrame:
    """An Arrow batch as polars."""
    return _of_table(pa.Table.from_batches([batch]))


def _unreadable(where: str, error: Exception) -> FrameError:
    remedy = "Write the file again, or give the data in another form."
    return FrameError(f"it cannot be read: {error}", where=where, remedy=remedy)


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
        raise _unreadable(where, error) from error


def _read_csv(data: bytes, where: str, delimiter: Delimiter | None) -> pl.DataFrame:
    _check_text((data[start : start + CHUNK] for start in range(0, len(data), CHUNK)), where)
    data = data.removeprefix(codecs.BOM_UTF8)
    reading = _CsvReading.of(data[:HEADER_BYTES], where, delimiter)
    try:
        table = pa_csv.read_csv(pa.BufferReader(data), **reading.options(threads=True))
    except pa.ArrowInvalid as error:
        raise _no_csv(where, error) from error
    reading.check()
    return _of_table(table)


def _stream_csv(path: Path, where: str, delimiter: Delimiter | None) -> Iterator[pl.DataFrame]:
    """The same in pieces. The text is looked through once before the first one, so that no bad file is half read."""
    with path.open("rb") as file:
        _check_text(iter(lambda: file.read(CHUNK), b""), where)
        file.seek(0)
        start = file.read(HEADER_BYTES)
        reading = _CsvReading.of(start.removeprefix(codecs.BOM_UTF8), where, delimiter)
        file.seek(len(codecs.BOM_UTF8) if start.startswith(codecs.BOM_UTF8) else 0)
        try:
            with pa_csv.open_csv(file, **reading.options(threads=False)) as reader:
                for batch in reader:
                    reading.check()
                    yield of_batch(batch)
        except pa.ArrowInvalid as error:
            raise _no_csv(where, error) from error
    reading.check()


def _of_table(table: pa.Table) -> pl.DataFrame:
    frame = pl.from_arrow(table)
    return frame if isinstance(frame, pl.DataFrame) else frame.to_frame()


@dataclass(slots=True)
class _CsvReading:
    """How one CSV file is read: every column as text, strictly."""

    where: str
    separator: str
    header: list[str]
    ragged: list[pa_csv.InvalidRow] = field(default_factory=list)

    @classmethod
    def of(cls, start: bytes, where: str, delimiter: Delimiter | None) -> Self:
        """From the beginning of the file."""
        text = start.decode("utf-8", "ignore")
        separator = DELIMITERS[delimiter] if delimiter else _sniff(text)
        return cls(where, separator, _header(text, separator, where))

    def options(self, *, threads: bool) -> dict[str, Any]:
        """For pyarrow's readers."""
        return {
            "read_options": pa_csv.ReadOptions(block_size=CHUNK * 4, use_threads=threads),
            "parse_options": pa_csv.ParseOptions(
                delimiter=self.separator,
                newlines_in_values=True,
                invalid_row_handler=self._note,
                ignore_empty_lines=True,
            ),
            "convert_options": pa_csv.ConvertOptions(
                column_types=dict.fromkeys(self.header, pa.string()),
                null_values=[""],
                strings_can_be_null=True,
                quoted_strings_can_be_null=True,
            ),
        }

    def _note(self, row: pa_csv.InvalidRow) -> Literal["skip"]:
        self.ragged.append(row)
        return "skip"

    def check(self) -> None:
        """Raise for records that have not the header's cells."""
        if not self.ragged:
            return
        first = self.ragged[0].text
        raise FrameError(
            f"{len(self.ragged):,} records do not have the header's {len(self.header)} cells; the first has "
            f"{self.ragged[0].actual_columns}: {first[:80]!r}",
            where=self.where,
            remedy="Quote cells that contain the delimiter or a line break, and write empty cells for missing ones.",
        )


def _no_csv(where: str, error: Exception) -> FrameError:
    remedy = "Write the file again with a strict CSV writer, or give the data as Parquet."
    return FrameError(f"it cannot be read: {error}", where=where, remedy=remedy)


def _check_text(chunks: Iterable[bytes], where: str) -> None:
    """Raise unless all of it is UTF-8 (Salesforce takes nothing else, bulk2.md 3.1) and every quote is closed."""
    decoder = codecs.getincrementaldecoder("utf-8")()
    read = quotes = 0
    for place, chunk in enumerate(chunks):
        for mark, encoding in WIDE_MARKS:
            if place == 0 and chunk.startswith(mark):
                raise _encoding_error(where, 0, encoding)
        pending = len(decoder.getstate()[0])
        try:
            decoder.decode(chunk)
        except UnicodeDecodeError as error:
            raise _encoding_error(where, read - pending + error.start, "Windows-1252 (or Latin-1)") from error
        read += len(chunk)
        quotes += chunk.count(b'"')
    if decoder.getstate()[0]:
        raise _encoding_error(where, read - len(decoder.getstate()[0]), "Windows-1252 (or Latin-1)")
    if quotes % 2:
        raise FrameError(
            'a quotation mark is never closed, so the file may be cut off (or a text contains a lone ")',
            where=where,
            remedy='Write each " inside a text twice, and put the text in quotes; or write the file again.',
        )


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

"""The CSV pages of a bulk query -> typed frames.

pyarrow reads a page straight to its types, with the spellings that the org uses every day. Only a page that it refuses
is read once more, as text by the rules of ``types``: they know the rare spellings, and name the value that is none.
"""

from __future__ import annotations

import csv
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import BinaryIO, Final

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from sfframe.codec.decode import NUL, readers_of, schema_of, typed_page
from sfframe.codec.layout import Shape
from sfframe.codec.types import UTC_MS
from sfframe.errors import DecodeError, UsageError

BLOCK_BYTES: Final = 8 << 20  # of a page on disk that is read at a time

_ARROW: Mapping[pl.DataType, pa.DataType] = {
    pl.String(): pa.string(),
    pl.Int64(): pa.int64(),
    pl.Float64(): pa.float64(),
    pl.Boolean(): pa.bool_(),
    pl.Date(): pa.date32(),
    UTC_MS: pa.timestamp("ms", "UTC"),
}


class PageReader:
    """Reads the pages of one query; safe to share by threads.

    An empty cell is null, NUL characters are dropped. ``decimals`` makes stored numbers ``Decimal`` by precision and
    scale; ``split_multipicklists`` makes lists of text. Raises ``UsageError`` for a shape that bulk queries refuse.
    """

    def __init__(self, shape: Shape, *, decimals: bool = False, split_multipicklists: bool = False) -> None:
        compound = next((column.name for column in shape.columns if column.dtype.is_nested()), None)
        if compound:
            raise UsageError(f"{compound} is a compound field, which bulk queries refuse", remedy="Read it by REST.")
        self._shape = shape
        self._readers = readers_of(shape, decimals=decimals, split=split_multipicklists)
        self._types = {name: _arrow_type(dtype) for name, (dtype, _) in self._readers.items()}
        # What pyarrow cannot read to its type is read as text by it, and then by the rule of the type.
        self._by_rule = Shape(tuple(column for column in shape.columns if self._types[column.name] is None))
        self.schema = schema_of(shape, self._readers)

    def read(self, page: bytearray, *, name: str = "", first_row: int = 0) -> pl.DataFrame:
        """One page, or a part of one that begins with its header line and ends with a record; uses ``page`` up.

        ``name`` and ``first_row`` are for messages. Raises ``DecodeError``: with a row for a value that does not fit
        (``first_row`` is the number of the page's first), without one for a page that is cut off or another query's.
        """
        if NUL.encode() in page:
            page = page.replace(NUL.encode(), b"")
        if not page or page.isspace():
            return pl.DataFrame(schema=self.schema)
        names = self._names(page, name)
        if not page.endswith(b"\n"):
            if b"\n" not in page:  # the header alone
                return pl.DataFrame(schema=self.schema)
            raise _cut(name, "its last record has no end")
        size = len(page)
        try:
            return self._typed(_parse(page, {names[column]: kind for column, kind in self._types.items()}), names)
        except pa.ArrowInvalid:
            page = page[:size]
        try:
            table = _parse(page, dict.fromkeys(names.values()))
        except pa.ArrowInvalid as problem:
            raise _cut(name, str(problem)) from problem
        return typed_page(_framed(table, names), self._shape, self._readers, first_row=first_row)

    def read_file(self, page: Path, *, first_row: int = 0) -> Iterator[pl.DataFrame]:
        """A page on disk, some megabytes of it at a time; the errors are those of ``read``."""
        with page.open("rb") as file:
            for block in _blocks(file):
                frame = self.read(block, name=page.name, first_row=first_row)
                first_row += frame.height
                yield frame

    def _names(self, page: bytearray, name: str) -> dict[str, str]:
        """The page's own spelling of each column of the shape."""
        line = page[: page.find(b"\n")] if b"\n" in page else page  # the names of fields have no line breaks
        header = next(csv.reader([line.decode("utf-8", "replace")]))
        found = {one.casefold(): one for one in header}
        if sorted(one.casefold() for one in header) != sorted(one.casefold() for one in self._shape.names):
            raise DecodeError(
                f"its columns are {', '.join(header)}, and {', '.join(self._shape.names)} were asked for",
                where=f"page {name}",
                remedy="Report this: the page belongs to another query, or the describe is not the org's.",
            )
        return {one: found[one.casefold()] for one in self._shape.names}

    def _typed(self, table: pa.Table, names: Mapping[str, str]) -> pl.DataFrame:
        frame = _framed(table, names)
        floats = frame.select(pl.col(pl.Float64).is_finite().all())
        if floats.width and not floats.select(pl.all_horizontal(pl.all())).item():
            raise pa.ArrowInvalid("pyarrow reads nan and inf, which are no numbers of the org")
        if self._by_rule.columns:
            return frame.with_columns(typed_page(frame, self._by_rule, self._readers, first_row=0))
        return frame


def _cut(name: str, reason: str) -> DecodeError:
    return DecodeError(
        f"it is no whole CSV: {reason}",
        where=f"page {name}",
        remedy="Fetch the page again; it was cut or changed.",
    )


def _arrow_type(dtype: pl.DataType) -> pa.DataType | None:
    if isinstance(dtype, pl.Decimal):
        return pa.decimal128(dtype.precision or 38, dtype.scale)
    return _ARROW.get(dtype)


def _parse(page: bytearray, types: Mapping[str, pa.DataType | None]) -> pa.Table:
    """The columns that ``types`` names, as text where it names no type. Raises ArrowInvalid for what does not fit.

    pyarrow takes a page that is cut inside its last quoted value for a whole one. So a record without values goes
    behind the last one: it comes back as it is, unless a quotation mark is open. A page that is cut behind the first
    of two quotation marks shows it only by the missing line end; the org ends every record with one (bulk2.md 4.8).
    """
    page += b",".join([b'""'] * len(types)) + b"\n"
    table = pa_csv.read_csv(
        pa.BufferReader(page),
        # One block, so that no record is longer than it; the pages are read in parallel instead.
        read_options=pa_csv.ReadOptions(use_threads=False, block_size=len(page)),
        parse_options=pa_csv.ParseOptions(newlines_in_values=True),
        convert_options=pa_csv.ConvertOptions(
            column_types={name: kind or pa.string() for name, kind in types.items()},
            include_columns=list(types),
            null_values=[""],
            strings_can_be_null=True,
            quoted_strings_can_be_null=True,
            true_values=["true"],
            false_values=["false"],
        ),
    )
    rows = table.num_rows - 1
    if rows < 0 or any(column.null_count != 1 for column in table.slice(rows).columns):
        raise pa.ArrowInvalid("its last value is cut off")
    return table.slice(0, rows)


def _framed(table: pa.Table, names: Mapping[str, str]) -> pl.DataFrame:
    frame = pl.DataFrame(table)
    frame.columns = list(names)
    return frame


def _blocks(file: BinaryIO, size: int = BLOCK_BYTES) -> Iterator[bytearray]:
    """Parts of a page that end with a record; each begins with the header line."""
    header, block = b"", bytearray()
    while piece := file.read(size):
        block += piece
        end = _end_of_records(block)
        if end:
            header = header or bytes(block[: block.index(b"\n") + 1])
            rest = block[end:]
            del block[end:]
            yield block
            block = bytearray(header)
            block += rest
    if len(block) > len(header):
        yield block


def _end_of_records(data: bytearray) -> int:
    """Where the last whole record ends: behind a line end with an even number of quotation marks before it."""
    end = data.rfind(b"\n")
    quotes = data.count(b'"', 0, max(end, 0))
    while end >= 0 and quotes % 2:
        before = data.rfind(b"\n", 0, end)
        quotes -= data.count(b'"', max(before, 0), end)
        end = before
    return end + 1

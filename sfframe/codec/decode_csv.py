"""The CSV pages of a bulk query -> typed frames."""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from sfframe.codec.decode import NUL, readers_of, schema_of, typed_page
from sfframe.codec.layout import Shape
from sfframe.errors import DecodeError, UsageError


def read_bulk(
    pages: Sequence[Path], shape: Shape, *, decimals: bool = False, split_multipicklists: bool = False
) -> pl.DataFrame:
    """The CSV pages of a bulk query, in order, as one frame with the columns of ``shape``.

    Each page repeats the header. An empty cell is null, NUL characters are dropped. ``decimals`` makes stored numbers
    ``Decimal`` by precision and scale; ``split_multipicklists`` makes lists of text. Raises ``DecodeError`` for a
    header that is not the shape's, a record that is cut off, and a value that does not fit (row, column, text).
    """
    readers = readers_of(shape, decimals=decimals, split=split_multipicklists)
    frames = [pl.DataFrame(schema=schema_of(shape, readers))]
    row = 0
    for page in pages:
        text = _read_page(page, shape)
        frames.append(typed_page(text, shape, readers, first_row=row))
        row += text.height
    return pl.concat(frames)


def _read_page(page: Path, shape: Shape) -> pl.DataFrame:
    """One CSV page as text, with the columns of the shape in its order."""
    data = page.read_bytes()
    if NUL.encode() in data:
        data = data.replace(NUL.encode(), b"")
    if not data or data.isspace():
        return pl.DataFrame(schema=dict.fromkeys(shape.names, pl.String))
    compound = next((column.name for column in shape.columns if column.dtype.is_nested()), None)
    if compound:
        raise UsageError(f"{compound} is a compound field, which bulk queries refuse", remedy="Read it by REST.")
    if not data.endswith(b"\n"):
        _check_last_record(data, page)
    try:
        text = pl.read_csv(io.BytesIO(data), infer_schema=False, null_values=[""])
    except pl.exceptions.PolarsError as error:
        raise _broken(page, str(error)) from error
    names = {name.casefold(): name for name in text.columns}
    if sorted(names) != sorted(name.casefold() for name in shape.names):
        raise DecodeError(
            f"its columns are {', '.join(text.columns)}, and {', '.join(shape.names)} were asked for",
            where=f"page {page.name}",
            remedy="Report this: the page belongs to another query, or the describe is not the org's.",
        )
    return text.select(pl.col(names[name.casefold()]).alias(name) for name in shape.names)


def _check_last_record(data: bytes, page: Path) -> None:
    """Polars fills a short record with nulls; a page that does not end with a line is read once more, strictly."""
    header = next(csv.reader(io.StringIO(data[: 1 << 17].decode("utf-8", "ignore"), newline="")))
    if data.count(b'"') % 2:
        raise _broken(page, "its last value is cut off")
    try:
        pa_csv.read_csv(
            pa.BufferReader(data + b"\n"),
            parse_options=pa_csv.ParseOptions(newlines_in_values=True),
            convert_options=pa_csv.ConvertOptions(column_types=dict.fromkeys(header, pa.string())),
        )
    except pa.ArrowInvalid as error:
        raise _broken(page, str(error)) from error


def _broken(page: Path, reason: str) -> DecodeError:
    return DecodeError(
        f"it is no whole CSV: {reason}",
        where=f"page {page.name}",
        remedy="Fetch the page again; it was cut or changed.",
    )

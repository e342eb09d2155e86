"""Query answers -> typed frames. A value that does not fit its type raises; none is nulled in silence."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

import polars as pl
import pyarrow as pa
import pyarrow.csv as pa_csv

from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.codec.types import NUMBER, Transform, as_is, decimal_reader, rule_for
from sfframe.errors import DecodeError, UsageError

NUL = "\x00"  # occurs in the wild (bulk2.md 4.8)


def read_bulk(
    pages: Sequence[Path], shape: Shape, *, decimals: bool = False, split_multipicklists: bool = False
) -> pl.DataFrame:
    """The CSV pages of a bulk query, in order, as one frame with the columns of ``shape``.

    Each page repeats the header. An empty cell is null, NUL characters are dropped. ``decimals`` makes stored numbers
    ``Decimal`` by precision and scale; ``split_multipicklists`` makes lists of text. Raises ``DecodeError`` for a
    header that is not the shape's, a record that is cut off, and a value that does not fit (row, column, text).
    """
    readers = _readers(shape, decimals=decimals, split=split_multipicklists)
    frames = [pl.DataFrame(schema=_schema(shape, readers))]
    row = 0
    for page in pages:
        text = _read_page(page, shape)
        frames.append(_typed(text, shape, readers, first_row=row))
        row += text.height
    return pl.concat(frames)


def read_rest(
    bodies: Iterable[bytes], shape: Shape, *, decimals: bool = False, split_multipicklists: bool = False
) -> pl.DataFrame:
    """The JSON pages of a REST query, in order, as one frame with the columns of ``shape``.

    Parents' fields become dotted columns, null where there is no parent; addresses and locations are structs. For
    ``SELECT COUNT()`` the frame has the one number. The options and errors are those of ``read_bulk``.
    """
    readers = _readers(shape, decimals=decimals, split=split_multipicklists)
    frames = [pl.DataFrame(schema=_schema(shape, readers))]
    row = 0
    for body in bodies:
        page = _read_json(body, shape, row)
        if shape.count_only:
            return page.select(pl.col("totalSize").alias(shape.names[0]))
        text = _flattened(page["records"][0], body, shape)
        frames.append(_typed(text, shape, readers, first_row=row))
        row += text.height
    return pl.concat(frames)


Readers = dict[str, tuple[pl.DataType, Transform]]


def _readers(shape: Shape, *, decimals: bool, split: bool) -> Readers:
    """The type of each column and the way from its text to it."""
    return {column.name: _reader(column, decimals, split) for column in shape.columns}


def _reader(column: ShapeColumn, decimals: bool, split: bool) -> tuple[pl.DataType, Transform]:
    rule, field = rule_for(column.type), column.field
    if decimals and rule is NUMBER and field is not None and column.stored and field.precision:
        return pl.Decimal(field.precision, field.scale), decimal_reader(field.precision, field.scale)
    if split and rule.kind == "multipicklist":
        return pl.List(pl.String), lambda text: text.str.split(";")
    return column.dtype, as_is if column.dtype == pl.String or column.dtype.is_nested() else rule.read


def _schema(shape: Shape, readers: Readers) -> pl.Schema:
    return pl.Schema({name: readers[name][0] for name in shape.names})


def _typed(text: pl.DataFrame, shape: Shape, readers: Readers, *, first_row: int) -> pl.DataFrame:
    typed = text.select(readers[name][1](pl.col(name)).alias(name) for name in shape.names)
    for column in shape.columns:
        before, after = text[column.name], typed[column.name]
        if after.null_count() > before.null_count():
            rows = (after.is_null() & before.is_not_null()).arg_true()
            value = str(before[rows[0]])
            raise DecodeError(
                f"{value!r} is no {column.type} ({len(rows):,} such values on this page; the first is shown)",
                where=f"column {column.name}, row {first_row + rows[0]}",
                remedy="Describe the object again: the field may have another type by now. Else report this.",
                row=first_row + rows[0],
                column=column.name,
                text=value,
            )
    return typed


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


def _read_json(body: bytes, shape: Shape, row: int) -> pl.DataFrame:
    """One page. All plain values are read as text, so that one way of reading serves both APIs."""
    tree: dict[str, Any] = {}
    for column in shape.columns:
        branch = tree
        for key in column.keys[:-1]:
            branch = branch.setdefault(key, {})
        branch[column.keys[-1]] = column.dtype if isinstance(column.dtype, pl.Struct) else pl.String()
    records = pl.List(_struct(tree))
    try:
        return pl.read_json(io.BytesIO(body), schema={"totalSize": pl.Int64, "records": records})
    except pl.exceptions.PolarsError as error:
        raise DecodeError(
            f"the page cannot be read: {error}",
            where=f"row {row} or after it",
            remedy="Report this: a value has another form than the describe says.",
            row=row,
        ) from error


def _struct(tree: dict[str, Any]) -> pl.Struct:
    return pl.Struct({key: _struct(value) if isinstance(value, dict) else value for key, value in tree.items()})


def _flattened(records: pl.Series | None, body: bytes, shape: Shape) -> pl.DataFrame:
    """Records -> a text frame with the shape's columns; structs of compound fields stay."""
    if records is None or not len(records):
        return pl.DataFrame(schema={c.name: c.dtype if c.dtype.is_nested() else pl.String for c in shape.columns})
    columns = []
    for column in shape.columns:
        value = pl.col("record")
        for key in column.keys:
            value = value.struct.field(key)
        columns.append(value.alias(column.name))
    text = pl.DataFrame({"record": records}).select(columns)
    for column in shape.columns:
        if text[column.name].null_count() == text.height:
            _check_key(column, body)
    if b"\\u0000" in body:
        text = text.with_columns(pl.col(pl.String).str.replace_all(NUL, "", literal=True))
    return text


def _check_key(column: ShapeColumn, body: bytes) -> None:
    """A key that no record has reads as null; the org sends every key that was asked for (rest.md 5)."""
    last, first = (f'"{key}"'.encode() in body for key in (column.keys[-1], column.keys[0]))
    if not last and not (first and len(column.keys) > 1):
        raise DecodeError(
            f"no record of the page has {column.keys[-1]!r}",
            where=f"column {column.name}",
            remedy="Report this: the org names the value otherwise than this version expects.",
            column=column.name,
        )

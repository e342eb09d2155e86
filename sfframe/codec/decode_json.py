"""The JSON pages of a REST query -> typed frames."""

from __future__ import annotations

import io
from collections.abc import Iterable
from typing import Any

import polars as pl

from sfframe.codec.decode import NUL, readers_of, schema_of, typed_page
from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.errors import DecodeError


def read_rest(
    bodies: Iterable[bytes], shape: Shape, *, decimals: bool = False, split_multipicklists: bool = False
) -> pl.DataFrame:
    """The JSON pages of a REST query, in order, as one frame with the columns of ``shape``.

    Parents' fields become dotted columns, null where there is no parent; addresses and locations are structs. For
    ``SELECT COUNT()`` the frame has the one number. The options and errors are those of ``read_bulk``.
    """
    readers = readers_of(shape, decimals=decimals, split=split_multipicklists)
    frames = [pl.DataFrame(schema=schema_of(shape, readers))]
    row = 0
    for body in bodies:
        page = _read_json(body, shape, row)
        if shape.count_only:
            return page.select(pl.col("totalSize").alias(shape.names[0]))
        text = _flattened(page["records"][0], body, shape)
        frames.append(typed_page(text, shape, readers, first_row=row))
        row += text.height
    return pl.concat(frames)


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

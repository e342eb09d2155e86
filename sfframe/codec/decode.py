"""Text of an answer -> typed columns. A value that does not fit its type raises; none is nulled in silence."""

from __future__ import annotations

import polars as pl

from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.codec.types import NUMBER, Transform, as_is, decimal_reader, rule_for
from sfframe.errors import DecodeError

NUL = "\x00"  # occurs in the wild (bulk2.md 4.8)

Readers = dict[str, tuple[pl.DataType, Transform]]


def readers_of(shape: Shape, *, decimals: bool, split: bool) -> Readers:
    """The type of each column and the way from its text to it; a nested column comes typed, and only has its type."""
    return {column.name: _reader(column, decimals, split) for column in shape.columns}


def _reader(column: ShapeColumn, decimals: bool, split: bool) -> tuple[pl.DataType, Transform]:
    if column.parts:
        members = pl.Struct({part.name: _reader(part, decimals, split)[0] for part in column.parts})
        return pl.List(members) if column.type == "children" else members, as_is
    rule, field = rule_for(column.type), column.field
    if decimals and rule is NUMBER and field is not None and column.stored and field.precision:
        return pl.Decimal(field.precision, field.scale), decimal_reader(field.precision, field.scale)
    if split and rule.kind == "multipicklist":
        return pl.List(pl.String), lambda text: text.str.split(";")
    return column.dtype, as_is if column.dtype == pl.String or column.dtype.is_nested() else rule.read


def schema_of(shape: Shape, readers: Readers) -> pl.Schema:
    """Names and types of the frame, with the options applied."""
    return pl.Schema({name: readers[name][0] for name in shape.names})


def typed_page(text: pl.DataFrame, shape: Shape, readers: Readers, *, first_row: int) -> pl.DataFrame:
    """Text columns -> typed ones. ``first_row`` is the number of the first row in the whole answer, for the error."""
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

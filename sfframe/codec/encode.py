"""Typed columns -> the text that goes into an upload."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.codec.types import as_is, rule_for
from sfframe.facts import NULL_MARK

Cleared = Mapping[str, bool | pl.Series]


def encode(typed: pl.DataFrame, sent: Sequence[SentColumn], cleared: Cleared | None = None) -> pl.DataFrame:
    """``typed`` (columns under their headers) as a frame of text, in the order of ``sent``.

    Null in the answer is an empty cell, which leaves the field alone (on insert: lets its default apply). A column that
    ``cleared`` marks True gets ``#N/A`` for each null, which clears the field; a boolean series marks single rows.
    """
    marks = cleared or {}
    columns = []
    for column in sent:
        text = _writer(typed.schema[column.header], column)
        mark = marks.get(column.header, False)
        if isinstance(mark, pl.Series):
            here = text.is_null() & pl.lit(mark)
            text = pl.when(here).then(pl.lit(NULL_MARK)).otherwise(text)
        elif mark:
            text = text.fill_null(NULL_MARK)
        columns.append(text.alias(column.header))
    return typed.select(columns)


def _writer(dtype: pl.DataType, column: SentColumn) -> pl.Expr:
    """The text of one column. An exact decimal keeps its digits instead of becoming a float."""
    values = pl.col(column.header)
    rule = rule_for(column.field.type)
    if dtype == pl.String:
        return as_is(values)
    return values.cast(pl.String) if dtype.is_decimal() else rule.write(values)

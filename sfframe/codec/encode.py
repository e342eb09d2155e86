"""Typed columns -> the text that goes into an upload."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.codec.types import UTC_MS, as_is, rule_for
from sfframe.facts import NULL_MARK

Cleared = Mapping[str, bool | pl.Series]
DATETIME_FORMAT = "%Y-%m-%dT%H:%M:%S%.3fZ"
_SPELLED: frozenset[pl.DataType] = frozenset({pl.Int64(), pl.Boolean(), pl.Date(), UTC_MS})


def encode(typed: pl.DataFrame, sent: Sequence[SentColumn], cleared: Cleared | None = None) -> pl.DataFrame:
    """``typed`` (columns under their headers) as a frame of text, in the order of ``sent``.

    Null in the answer is an empty cell, which leaves the field alone (on insert: lets its default apply). A column that
    ``cleared`` marks True gets ``#N/A`` for each null, which clears the field; a boolean series marks single rows.
    """
    return _encoded(typed, sent, cleared or {}, plain=frozenset())


def for_csv(typed: pl.DataFrame, sent: Sequence[SentColumn], cleared: Cleared | None = None) -> pl.DataFrame:
    """The same for a CSV writer with ``DATETIME_FORMAT``, where columns that it spells like ``encode`` are left as they
    are: that takes half the time.
    """
    plain = _SPELLED if len(sent) > 1 else frozenset()  # of one column an empty cell must be told from an empty line
    return _encoded(typed, sent, cleared or {}, plain=plain)


def _encoded(
    typed: pl.DataFrame, sent: Sequence[SentColumn], marks: Cleared, *, plain: Collection[pl.DataType]
) -> pl.DataFrame:
    columns = []
    for column in sent:
        if typed.schema[column.header] in plain and marks.get(column.header, False) is False:
            columns.append(pl.col(column.header))
            continue
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

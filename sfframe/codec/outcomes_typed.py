"""A CSV file -> the values in it, in the types of their fields; faster than its text, and all of them or nothing."""

from __future__ import annotations

import io
from collections.abc import Sequence
from pathlib import Path

import polars as pl

from sfframe.codec.encode import encode
from sfframe.codec.layout import SentColumn
from sfframe.codec.types import NUMBER, canonical, has_scale, rounded, rule_for
from sfframe.facts import DELIMITERS, NULL_MARK, Delimiter

ANSWERS = ("sf__Id", "sf__Created")
_READ_AS = {"number": pl.Float64(), "int": pl.Int64(), "boolean": pl.Boolean()}  # by polars' CSV reader itself
_COMPARED_AS_TEXT = ("time", "binary")  # their types in a frame are finer than what a file can say


def read_values(path: Path, columns: Sequence[SentColumn], *, delimiter: Delimiter = "COMMA") -> pl.DataFrame | None:
    """The canonical values of ``columns`` under their headers, and sf__Id and sf__Created where the file has them.

    None where it lacks one of the columns, is no CSV, or has a cell that does not fit: then its text must be
    looked at (``read_outcomes``). Columns are found by name without case; no other column is read.
    """
    data = path.read_bytes()
    header = data[: data.find(b"\n") + 1] or data
    try:
        names = {
            name.casefold(): name
            for name in pl.read_csv(header, separator=DELIMITERS[delimiter], infer_schema=False).columns
        }
        if not all(one.header.casefold() in names for one in columns):
            return None
        ours = {names[name.casefold()]: name for name in ANSWERS if name.casefold() in names}
        ours |= {names[one.header.casefold()]: one.header for one in columns}
        kinds = {names[one.header.casefold()]: rule_for(one.field.type).kind for one in columns}
        kinds |= {name: "boolean" for name, ours_name in ours.items() if ours_name == "sf__Created"}
        frame = pl.read_csv(
            io.BytesIO(data),
            columns=list(ours),
            infer_schema=False,
            schema_overrides={name: _READ_AS[kind] for name, kind in kinds.items() if kind in _READ_AS},
            null_values=["", NULL_MARK],
            separator=DELIMITERS[delimiter],
            truncate_ragged_lines=True,
        ).rename(ours)
    except pl.exceptions.PolarsError:
        return None
    return _canonical(frame, columns)


def sent_values(typed: pl.DataFrame, columns: Sequence[SentColumn]) -> pl.DataFrame:
    """The same of rows that were sent, from the frame that was encoded (``encode``), without a look at a file."""
    values: list[pl.Expr | pl.Series] = []
    for one in columns:
        rule, dtype = rule_for(one.field.type), typed.schema[one.header]
        if rule.dtype == dtype and rule.kind not in _COMPARED_AS_TEXT:
            values.append(canonical(one.field)(pl.col(one.header)) if rule.kind == "id" else pl.col(one.header))
        else:
            text = encode(typed.select(one.header), [one]).to_series()
            values.append(text.to_frame().select(canonical(one.field)(pl.col(one.header))).to_series())
    return typed.select(values)


def _canonical(frame: pl.DataFrame, columns: Sequence[SentColumn]) -> pl.DataFrame | None:
    """What was read, as canonical values; None where one is lost on the way."""
    values = []
    for one in columns:
        rule, value = rule_for(one.field.type), pl.col(one.header)
        if rule is NUMBER and not frame[one.header].is_finite().all():
            return None
        if rule.kind not in _READ_AS:
            values.append(canonical(one.field)(value))
        elif has_scale(one.field):
            values.append(rounded(value, one.field.scale))
    canonical_frame = frame.with_columns(values)
    lost = any(canonical_frame[one.header].null_count() != frame[one.header].null_count() for one in columns)
    return None if lost else canonical_frame

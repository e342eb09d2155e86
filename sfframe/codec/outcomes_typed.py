"""CSV files -> their values, in the types of their fields; faster than their text, and all of a file or nothing."""

from __future__ import annotations

import csv
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import polars as pl

from sfframe.codec.encode import encode
from sfframe.codec.layout import SentColumn
from sfframe.codec.outcomes import ANSWER_SCHEMA, result_files, with_error_parts
from sfframe.codec.types import NUMBER, canonical, has_scale, rounded, rule_for
from sfframe.facts import DELIMITERS, NULL_MARK, Delimiter
from sfframe.spool import Answers

_TOLD = ("sf__Id", "sf__Created", "sf__Error")
_READ_AS = {"number": pl.Float64(), "int": pl.Int64(), "boolean": pl.Boolean()}  # by polars' CSV reader itself
_COMPARED_AS_TEXT = ("time", "binary")  # their types in a frame are finer than what a file can say


def read_answers(
    answers: Answers, columns: Sequence[SentColumn], *, delimiter: Delimiter = "COMMA"
) -> tuple[pl.DataFrame, Answers]:
    """The answers of one job with the canonical values of ``columns``; and the files that could not be read so.

    The frame has the columns of ``ANSWER_SCHEMA`` and those values under their headers, the files one after the other
    in the order of ``result_files``. What remains in the second answer must be looked at as text (``read_outcomes``).
    """
    found = [pl.DataFrame(schema=ANSWER_SCHEMA)]
    unread = answers
    for outcome, path in result_files(answers):
        values = read_values(path, columns, delimiter=delimiter) if path else None
        if values is None:
            continue
        done: dict[str, Any] = {outcome: None}
        unread = replace(unread, **done)
        if values.height:
            told = with_error_parts(values) if "sf__Error" in values.columns else values
            found.append(told.with_columns(sf__Outcome=pl.lit(outcome)))
    return pl.concat(found, how="diagonal", rechunk=True), unread


def read_values(
    path: Path, columns: Sequence[SentColumn], *, delimiter: Delimiter = "COMMA", first: int | None = None
) -> pl.DataFrame | None:
    """The canonical values of ``columns`` under their headers, and sf__Id, sf__Created, sf__Error where they are there.

    ``first`` reads about so many rows only. None where the file lacks one of the columns, is no CSV, or has a cell that
    does not fit. Columns are found by name without case; no other column is read.
    """
    try:
        with path.open(encoding="utf-8-sig", errors="replace", newline="") as file:
            header = next(csv.reader(file, delimiter=DELIMITERS[delimiter]), [])
        names = {name.casefold(): name for name in header}
        if not all(one.header.casefold() in names for one in columns):
            return None
        ours = {names[name.casefold()]: name for name in _TOLD if name.casefold() in names}
        ours |= {names[one.header.casefold()]: one.header for one in columns}
        kinds = {names[one.header.casefold()]: rule_for(one.field.type).kind for one in columns}
        kinds |= {name: "boolean" for name, ours_name in ours.items() if ours_name == "sf__Created"}
        frame = pl.read_csv(  # by its path: polars maps the file, which spares a copy of it
            path,
            glob=False,
            columns=list(ours),
            infer_schema=False,
            schema_overrides={name: _READ_AS[kind] for name, kind in kinds.items() if kind in _READ_AS},
            null_values=["", NULL_MARK],
            separator=DELIMITERS[delimiter],
            truncate_ragged_lines=True,
            n_rows=first,
        ).rename(ours)
    except (pl.exceptions.PolarsError, csv.Error):
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

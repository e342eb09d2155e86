"""What the org answers to a load -> frames of answers, as text: three files of a bulk job, or one in order."""

from __future__ import annotations

import io
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import polars as pl

from sfframe.errors import DecodeError, IncompleteAnswer
from sfframe.facts import DELIMITERS, NULL_MARK, Delimiter
from sfframe.spool import Answers

Outcome = Literal["succeeded", "failed", "unprocessed"]

ANSWER_SCHEMA = pl.Schema(
    {
        "sf__Outcome": pl.String(),
        "sf__Id": pl.String(),
        "sf__Created": pl.Boolean(),
        "sf__ErrorCode": pl.String(),
        "sf__ErrorFields": pl.String(),
        "sf__Error": pl.String(),
    }
)
_ERROR_PARTS = ("sf__ErrorCode", "sf__ErrorFields")
_FIELD = r"[A-Za-z][\w.]*"
_ERROR = rf"(?s)^([A-Z][A-Z0-9_]*):(.*?)(?::((?:{_FIELD}(?:, {_FIELD})*)?) ?)?$"
# Bulk 1.0 parts the fields by one blank (bulk1.md 3.5); only where the end is marked are they told from a message.
_MARKED_ERROR = rf"(?s)^([A-Z][A-Z0-9_]*):(.*?)(?::((?:{_FIELD}(?:,? {_FIELD})*)?) ?)?$"
_NEXT_ERROR = r"(:(?:[\w.:, ]* )?)--([A-Z][A-Z0-9_]{2,}:)"
_UNTOUCHED = frozenset({"Failed", "NotProcessed"})  # without a file: no row was processed (bulk1.md 3.3)
_BREAK = "\x1e"  # the ASCII record separator, which no message contains


@dataclass(frozen=True, slots=True)
class Outcomes:
    """All answers of one job.

    ``frame`` has the columns of ``ANSWER_SCHEMA`` and the echoed cells under the names in ``columns``: those of the
    upload that every file with rows repeats. Cells are text; an empty cell and ``#N/A`` are both null.
    """

    frame: pl.DataFrame
    columns: tuple[str, ...]


def read_outcomes(answers: Answers, headers: Sequence[str], *, delimiter: Delimiter = "COMMA") -> Outcomes:
    """Reads the result files of one job. Columns are found by name without case, in any order (bulk2.md 2.9).

    A file that is missing or has no bytes has no rows. Raises ``DecodeError`` for a file that is no CSV.
    """
    found = []
    for outcome, path in result_files(answers):
        frame = _read(path, delimiter, f"job {answers.job_id}, {outcome} rows") if path else pl.DataFrame()
        if frame.height:
            found.append(_named(frame, headers).with_columns(sf__Outcome=pl.lit(outcome)))
    common = tuple(name for name in headers if all(name in frame.columns for frame in found))
    parts = [_answer(frame).select(*ANSWER_SCHEMA, *common) for frame in found]
    if not parts:
        return Outcomes(pl.DataFrame(schema={**ANSWER_SCHEMA, **dict.fromkeys(headers, pl.String())}), tuple(headers))
    return Outcomes(pl.concat(parts), common)


def result_files(answers: Answers) -> tuple[tuple[Outcome, Path | None], ...]:
    """What the three files of a job tell of their rows, in the order in which they are read."""
    return ("succeeded", answers.succeeded), ("failed", answers.failed), ("unprocessed", answers.unprocessed)


def read_ordered(answers: Answers) -> pl.DataFrame:
    """The answers of a part that were given in its order (Bulk 1.0, collections): one line per row of the part.

    The columns are those of ``ANSWER_SCHEMA``. ``sf__Outcome`` is null where it cannot be known what became of a row:
    without a file, or where the file has another number of answers than the part has rows; ``sf__Error`` says so then.
    Rows of a Bulk 1.0 batch that Failed before any was processed, or was not processed, are unprocessed.

    Raises ``DecodeError`` for a file that cannot be read.
    """
    from sfframe.codec.outcomes_csv import read_csv
    from sfframe.codec.outcomes_json import read_json

    file, rows = answers.ordered, answers.part.rows
    if file is None:
        return _same_for_all(rows, "unprocessed" if answers.state in _UNTOUCHED else None, answers.error)
    try:
        return (read_json if file.suffix == ".json" else read_csv)(file, rows)
    except IncompleteAnswer as problem:
        return _same_for_all(rows, None, str(problem))


def _same_for_all(rows: int, outcome: Outcome | None, error: str) -> pl.DataFrame:
    one = pl.DataFrame({"sf__Outcome": [outcome], "sf__Error": [error or None]}, schema_overrides=ANSWER_SCHEMA)
    missing = [name for name in ANSWER_SCHEMA if name not in one.columns]
    whole = one.with_columns(pl.lit(None, ANSWER_SCHEMA[name]).alias(name) for name in missing).select(*ANSWER_SCHEMA)
    return whole.select(pl.all().repeat_by(rows).list.explode()) if rows else whole.clear()


def read_cells(path: Path, *, delimiter: Delimiter = "COMMA", marks: bool = False) -> pl.DataFrame:
    """An uploaded part, as text; an empty cell is null, and so is ``#N/A``, unless ``marks`` leaves it as it is."""
    return _read(path, delimiter, f"part {path.name}", marks=marks)


def _read(path: Path, delimiter: Delimiter, where: str, *, marks: bool = False) -> pl.DataFrame:
    data = path.read_bytes()
    if not data or data.isspace():
        return pl.DataFrame()
    try:
        return pl.read_csv(
            io.BytesIO(data),
            separator=DELIMITERS[delimiter],
            infer_schema=False,
            null_values=[""] if marks else ["", NULL_MARK],
            truncate_ragged_lines=True,
        )
    except pl.exceptions.PolarsError as error:
        remedy = "Fetch the results of the job again; its rows are safe in the org."
        raise DecodeError(f"the file is no CSV: {error}", where=where, remedy=remedy) from error


def _named(frame: pl.DataFrame, headers: Sequence[str]) -> pl.DataFrame:
    """The columns that are ours, under our spelling of their names."""
    ours = {name.casefold(): name for name in ("sf__Id", "sf__Created", "sf__Error", *headers)}
    names = {name: ours[name.casefold()] for name in frame.columns if name.casefold() in ours}
    return frame.select(pl.col(name).alias(ours_name) for name, ours_name in names.items())


def _answer(frame: pl.DataFrame) -> pl.DataFrame:
    missing = [name for name in ("sf__Id", "sf__Created", "sf__Error") if name not in frame.columns]
    whole = frame.with_columns(pl.lit(None, pl.String).alias(name) for name in missing)
    whole = whole.with_columns(pl.col("sf__Created").str.to_lowercase() == "true")
    return with_error_parts(whole)


def with_error_parts(frame: pl.DataFrame) -> pl.DataFrame:
    """``sf__Error`` of ``frame`` as the bare message, with ``sf__ErrorCode`` and ``sf__ErrorFields`` beside it."""
    texts = frame["sf__Error"].drop_nulls().unique()
    if not len(texts):
        return frame.with_columns(pl.lit(None, ANSWER_SCHEMA[name]).alias(name) for name in _ERROR_PARTS)
    parsed = frame.join(split_errors(texts), left_on="sf__Error", right_on="text", how="left", maintain_order="left")
    return parsed.with_columns(pl.col("message").alias("sf__Error")).drop("message")


def split_errors(texts: pl.Series) -> pl.DataFrame:
    """Row-level error texts -> text, sf__ErrorCode, sf__ErrorFields (parted by ", "), message (bulk2.md 6.3).

    A text without a code is all message. Where a row has several errors, the code is that of the first, the fields are
    those of all, and the messages stand in lines, each but the first with its code.
    """
    marked, single = pl.col("part").str.ends_with("--"), pl.col("part").str.strip_suffix("--")
    message, fields = (
        pl.when(marked).then(single.str.extract(_MARKED_ERROR, group)).otherwise(single.str.extract(_ERROR, group))
        for group in (2, 3)
    )
    parsed = (
        pl.DataFrame({"text": texts.cast(pl.String)})
        .with_columns(
            part=pl.col("text").str.replace_all(_NEXT_ERROR, f"${{1}}--{_BREAK}${{2}}").str.split(_BREAK),
        )
        .explode("part")
        .with_columns(code=single.str.extract(_ERROR, 1), fields=fields.str.replace_all(",? ", ", "))
        .with_columns(message=pl.when(pl.col("code").is_null()).then("part").otherwise(message))
    )
    first = pl.int_range(pl.len()).over("text") == 0
    named_fields = pl.col("fields").drop_nulls().str.split(", ").list.explode(empty_as_null=False, keep_nulls=False)
    named = pl.when(first | pl.col("code").is_null()).then("message").otherwise(pl.format("{}: {}", "code", "message"))
    return (
        parsed.with_columns(message=named, fields=pl.when(pl.col("fields") != "").then("fields"))
        .group_by("text", maintain_order=True)
        .agg(
            pl.col("code").first().alias("sf__ErrorCode"),
            named_fields.unique(maintain_order=True).str.join(", ").alias("sf__ErrorFields"),
            pl.col("message").str.join("\n"),
        )
        .with_columns(pl.when(pl.col("sf__ErrorFields") != "").then("sf__ErrorFields"))
    )


def read_result_file(path: Path, *, delimiter: Delimiter = "COMMA", where: str) -> pl.DataFrame:
    """One result file by itself, as text under the org's own headers; an empty cell and ``#N/A`` are both null.

    ``sf__Created`` is a boolean; ``sf__Error`` is the bare message, with ``sf__ErrorCode`` and ``sf__ErrorFields``
    before it. A file without bytes is a frame without columns. Raises ``DecodeError`` for a file that is no CSV.
    """
    frame = _read(path, delimiter, where)
    ours = {name.casefold(): name for name in ("sf__Id", "sf__Created", "sf__Error")}
    frame = frame.rename({name: ours[name.casefold()] for name in frame.columns if name.casefold() in ours})
    if "sf__Created" in frame.columns:
        frame = frame.with_columns(pl.col("sf__Created").str.to_lowercase() == "true")
    if "sf__Error" in frame.columns:
        first = [name for name in ("sf__Id", *_ERROR_PARTS, "sf__Error") if name in (*frame.columns, *_ERROR_PARTS)]
        return with_error_parts(frame).select(*first, pl.all().exclude(first))
    return frame

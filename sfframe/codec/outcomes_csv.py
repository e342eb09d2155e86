"""The result of a Bulk 1.0 batch -> answers, one for each row, as text (bulk1.md 3.5)."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from sfframe.codec.outcomes import ANSWER_SCHEMA, read_result_file, with_error_parts
from sfframe.errors import IncompleteAnswer

_COLUMNS = ("Id", "Success", "Created", "Error")


def read_csv(path: Path, rows: int) -> pl.DataFrame:
    """The ``rows`` answers of one batch in the order of their rows, with the columns of ``ANSWER_SCHEMA``.

    ``sf__Outcome`` is succeeded or failed, and null where a line says neither. ``sf__Created`` is null for a row that
    failed: what the org says there means nothing. Columns are found by name without case.

    Raises ``IncompleteAnswer`` when the org answered for another number of rows, ``DecodeError`` for what is no CSV.
    """
    where = f"the answer {path.name}"
    raw = read_result_file(path, where=where)
    if raw.height != rows:
        raise IncompleteAnswer(
            f"it has {raw.height:,} answers, and {rows:,} rows were sent",
            where=where,
            remedy="Which answer belongs to which row cannot be told: look in the org before sending rows again.",
        )
    named = {name.casefold(): name for name in raw.columns}
    text = {
        name: pl.col(named[name.casefold()]) if name.casefold() in named else pl.lit(None, pl.String)
        for name in _COLUMNS
    }
    said = text["Success"].str.to_lowercase()
    outcome = pl.when(said == "true").then(pl.lit("succeeded")).when(said == "false").then(pl.lit("failed"))
    answers = raw.select(
        sf__Outcome=outcome,
        sf__Id=text["Id"],
        sf__Created=pl.when(said == "true").then(text["Created"].str.to_lowercase() == "true"),
        sf__Error=text["Error"],
    )
    return with_error_parts(answers).select(*ANSWER_SCHEMA)

"""The kept answer of a collections call -> answers, one for each row, as text (rest.md 8.5)."""

from __future__ import annotations

import io
from pathlib import Path

import polars as pl

from sfframe.codec.outcomes import ANSWER_SCHEMA
from sfframe.errors import DecodeError, IncompleteAnswer

_ERROR = pl.Struct({"statusCode": pl.String, "message": pl.String, "fields": pl.List(pl.String)})
_ROW = pl.Struct({"id": pl.String, "success": pl.Boolean, "created": pl.Boolean, "errors": pl.List(_ERROR)})


def read_json(path: Path, rows: int) -> pl.DataFrame:
    """The ``rows`` answers of one call in the order of their rows, with the columns of ``ANSWER_SCHEMA``.

    ``sf__Outcome`` is succeeded, failed, or null where the file says null: what became of that row cannot be known.
    ``sf__Created`` is told by upserts only. Several errors of a row are put together as those of a bulk result are
    (``codec.outcomes.split_errors``).

    Raises ``IncompleteAnswer`` when the org answered for another number of rows, ``DecodeError`` for anything that is
    no such answer.
    """
    where = f"the answer {path.name}"
    try:
        page = pl.read_json(io.BytesIO(b'{"rows":' + path.read_bytes() + b"}"), schema={"rows": pl.List(_ROW)})
    except pl.exceptions.PolarsError as error:
        remedy = "Report this; what was saved is safe in the org."
        raise DecodeError(f"it cannot be read: {error}", where=where, remedy=remedy) from error
    told = pl.DataFrame({"row": page["rows"][0]}).select(pl.col("row").struct.unnest()).with_row_index("place")
    if told.height != rows:
        raise IncompleteAnswer(
            f"it has {told.height:,} answers, and {rows:,} rows were sent",
            where=where,
            remedy="Which answer belongs to which row cannot be told: look in the org before sending rows again.",
        )
    success = pl.col("success")
    return (
        told.join(_errors(told), on="place", how="left", maintain_order="left")
        .with_columns(
            sf__Outcome=pl.when(success).then(pl.lit("succeeded")).when(~success).then(pl.lit("failed")),
            sf__Id=pl.col("id"),
            sf__Created=pl.when(success).then("created"),
        )
        .select(*ANSWER_SCHEMA)
    )


def _errors(told: pl.DataFrame) -> pl.DataFrame:
    """What is wrong with each failed row: the first code, all fields, and the messages in lines."""
    single = (
        told.filter(~pl.col("success"))
        .select("place", "errors")
        .explode("errors", empty_as_null=False, keep_nulls=False)
        .select("place", pl.col("errors").struct.unnest())
    )
    first = pl.int_range(pl.len()).over("place") == 0
    line = pl.when(first | pl.col("statusCode").is_null()).then("message")
    fields = pl.col("fields").list.explode(empty_as_null=False, keep_nulls=False).unique(maintain_order=True)
    return (
        single.with_columns(line=line.otherwise(pl.format("{}: {}", "statusCode", "message")))
        .group_by("place", maintain_order=True)
        .agg(
            sf__ErrorCode=pl.col("statusCode").first(),
            sf__ErrorFields=fields.str.join(", "),
            sf__Error=pl.col("line").drop_nulls().str.join("\n"),
        )
        .with_columns(pl.when(pl.col("sf__ErrorFields") != "").then("sf__ErrorFields"))
    )

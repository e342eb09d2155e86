"""The frame of refused cells: one line per cell, whatever refused it."""

from __future__ import annotations

from collections.abc import Iterable

import polars as pl

from sfframe.errors import ContractError

SCHEMA = pl.Schema(
    {"row": pl.Int64(), "column": pl.String(), "value": pl.String(), "rule": pl.String(), "message": pl.String()}
)
SHOWN = 3  # messages that an exception's text repeats; the rest is in its frame
VALUE_CHARACTERS = 255  # of a refused value: enough to find it, little enough for a terminal


def column_failures(failures: Iterable[tuple[str, str, str]]) -> pl.DataFrame:
    """Failures of whole columns, from (column, rule, message); their row and value are null."""
    lines = [{"column": column, "rule": rule, "message": message} for column, rule, message in failures]
    return pl.DataFrame(lines, schema={"column": pl.String, "rule": pl.String, "message": pl.String}).select(
        pl.lit(None, pl.Int64).alias("row"), "column", pl.lit(None, pl.String).alias("value"), "rule", "message"
    )


def cell_failures(rows: pl.Series, column: str, values: pl.Series, rule: str, message: str) -> pl.DataFrame:
    """Failures of single cells of one column by one rule; ``rows`` count from 0 in the caller's frame."""
    return pl.DataFrame({"row": rows.cast(pl.Int64), "value": as_text(values)}).select(
        "row",
        pl.lit(column).alias("column"),
        pl.col("value").str.slice(0, VALUE_CHARACTERS),
        pl.lit(rule).alias("rule"),
        pl.lit(message).alias("message"),
    )


def as_text(values: pl.Series) -> pl.Series:
    """Any column's values as a person reads them; bytes are not shown."""
    if isinstance(values.dtype, pl.List):
        return values.cast(pl.List(pl.String)).list.join(";")
    if values.dtype == pl.Binary:
        return pl.repeat(None, len(values), dtype=pl.String, eager=True)
    return values.cast(pl.String, strict=False)


def contract_error(failures: pl.DataFrame, sobject: str) -> ContractError:
    """The exception for ``failures``, which must not be empty; its text has the first few messages."""
    columns = failures.filter(pl.col("row").is_null()).height
    cells = failures.height - columns
    counts = [f"{columns:,} column failures"] * bool(columns) + [f"{cells:,} refused cells"] * bool(cells)
    lines = [
        f"{column}: {message}" if row is None else f"row {row}, {column}: {message}"
        for row, column, message in failures.head(SHOWN).select("row", "column", "message").iter_rows()
    ]
    if failures.height > SHOWN:
        lines.append(f"... and {failures.height - SHOWN:,} more: see .failures of this error")
    return ContractError(
        f"{' and '.join(counts)}. Nothing was sent.", where=sobject, remedy="\n".join(lines), failures=failures
    )

"""Keys: the column that finds records, as Salesforce compares it."""

from __future__ import annotations

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.codec.types import ID_CHARACTERS, rule_for
from sfframe.frames.failures import cell_failures
from sfframe.schema.sobject import Field

NAMED = 5  # other rows that a message lists


def comparable(values: pl.Expr, field: Field) -> pl.Expr:
    """Typed keys so that two are equal where the org takes them for one.

    Ids by their first 15 characters, with case (rest.md 10); text without case, unless the field is case-sensitive.
    """
    kind = rule_for(field.type).kind
    if kind == "id":
        return values.str.slice(0, ID_CHARACTERS)
    if kind == "text" and not field.case_sensitive:
        return values.str.to_lowercase()
    return values


def duplicate_keys(keys: pl.Series, column: SentColumn) -> pl.DataFrame:
    """A failure for every row whose key another row has too; no row of such a group is more right than the others."""
    plain = keys.to_frame("value").select("value", key=comparable(pl.col("value"), column.field)).with_row_index("row")
    # Equal hashes are much faster to find than equal texts; what they point at is then compared as it is.
    suspects = plain.filter(pl.col("key").is_not_null() & pl.col("key").hash().is_duplicated())
    twins = suspects.filter(pl.col("key").is_duplicated())
    failures = cell_failures(twins["row"], column.name, twins["value"], "duplicate_key", "")
    if not twins.height:
        return failures
    groups = twins.group_by("key").agg(rows=pl.col("row").head(NAMED + 1), count=pl.len())
    joined = twins.join(groups, on="key", how="left", maintain_order="left")
    others = pl.col("rows").list.set_difference(pl.concat_list("row")).list.sort().list.head(NAMED)
    shown = others.cast(pl.List(pl.String)).list.join(", ")
    more = pl.when(pl.col("count") > NAMED + 1).then(pl.lit(" and more")).otherwise(pl.lit(""))
    message = pl.format("{} rows have this key: also row {}{}. Keep one of them.", pl.col("count"), shown, more)
    return failures.with_columns(joined.select(message.alias("message")).to_series())

"""Keys: the column that finds records, as Salesforce compares it."""

from __future__ import annotations

from pathlib import Path

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.codec.types import ID_CHARACTERS, rule_for
from sfframe.frames.failures import SCHEMA, cell_failures
from sfframe.frames.kept import write_frame
from sfframe.schema.sobject import Field

KEYS_AT_ONCE = 5_000_000  # hashes of a stream's keys that are in memory at a time: 40 MB, and as much again
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
    return _twins(plain.filter(pl.col("key").is_not_null() & pl.col("key").hash().is_duplicated()), column)


class KeyLog:
    """The keys of a stream on disk, so that the same key in two far-off batches is found in bounded memory."""

    def __init__(self, folder: Path, column: SentColumn) -> None:
        self._folder = folder
        self._column = column
        self._files: list[Path] = []
        self._rows = 0

    def add(self, first: int, keys: pl.Series) -> None:
        """Notes the typed keys of the rows from ``first`` on."""
        noted = (
            keys.to_frame("value")
            .with_columns(key=comparable(pl.col("value"), self._column.field))
            .with_row_index("row", offset=first)
            .filter(pl.col("key").is_not_null())
            .with_columns(hash=pl.col("key").hash())
        )
        path = self._folder / f"keys-{len(self._files):05}.arrow"
        write_frame(path, noted)
        self._files.append(path)
        self._rows += noted.height

    def twins(self) -> pl.DataFrame:
        """The failures of ``duplicate_keys`` over all rows that were noted. The keys are gone from disk afterwards."""
        if not self._rows:
            return pl.DataFrame(schema=SCHEMA)
        noted = pl.scan_ipc(self._files)
        shares = -(-self._rows // KEYS_AT_ONCE)
        doubtful = []
        for share in range(shares):
            hashes = noted.filter(pl.col("hash") % shares == share).select("hash").collect(engine="streaming")["hash"]
            doubtful.append(hashes.filter(hashes.is_duplicated()).unique())
        suspects = noted.filter(pl.col("hash").is_in(pl.concat(doubtful).implode())).drop("hash").collect()
        found = _twins(suspects, self._column)
        for path in self._files:
            path.unlink()
        return found


def _twins(suspects: pl.DataFrame, column: SentColumn) -> pl.DataFrame:
    """The failures of those rows (``row``, ``value``, ``key``) whose keys are really equal."""
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

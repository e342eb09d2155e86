"""Mirroring: rows of another org taken over as they are, with their ids and stamps. No rule is applied to them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.catalogue.types import COMPOUND_TYPES
from sfframe.localorg.services.problems import literal
from sfframe.localorg.store.record_ids import ALPHABET
from sfframe.localorg.store.store import Store, quoted, sql_type

if TYPE_CHECKING:
    import polars as pl

# Users that the sample does not hold: what they own and made is this org's user's.
_USERS = ("OwnerId", "CreatedById", "LastModifiedById")
_STAMPS = ("CreatedDate", "LastModifiedDate", "SystemModstamp")


def mirror(store: Store, obj: ObjectDef, frame: pl.DataFrame) -> None:
    """Put rows into an object's table; a row whose id is there is replaced. Raises ValueError for an unknown column."""
    fields = {name: obj.field(name) for name in frame.columns}
    unknown = [name for name, field in fields.items() if field is None or field.type in COMPOUND_TYPES]
    if unknown or "Id" not in fields:
        what = f"has no field {', '.join(unknown)}" if unknown else "needs the column Id"
        raise ValueError(f"{obj.name}: the object {what}. Nothing was taken over. Deploy the describe of the same org.")
    values = {field.name: _typed(name, sql_type(field)) for name, field in fields.items() if field is not None}
    missing = dict.fromkeys(_USERS, literal(store.user_id)) | dict.fromkeys(_STAMPS, f"TIMESTAMP '{store.now()}'")
    for name, value in missing.items():
        if obj.field(name) is not None:
            values[name] = f"coalesce({values[name]}, {value})" if name in values else value
    columns = ", ".join(f"{value} AS {quoted(name)}" for name, value in values.items())
    with store.transaction() as cursor:
        cursor.register("mirrored", frame.to_arrow())
        try:
            cursor.execute(f'DELETE FROM {store.table(obj)} WHERE "Id" IN (SELECT "Id" FROM mirrored)')
            cursor.execute(f"INSERT INTO {store.table(obj)} BY NAME SELECT {columns} FROM mirrored")
            _count_on(store, obj, cursor)
        except duckdb.ConversionException as error:
            raise ValueError(f"{obj.name}: {error}. Nothing was taken over.") from error
        finally:
            cursor.unregister("mirrored")


def _typed(column: str, kind: str) -> str:
    if kind == "TIMESTAMP":
        return f"CAST({quoted(column)} AS TIMESTAMPTZ) AT TIME ZONE 'UTC'"
    return f"CAST({quoted(column)} AS {kind})"


def _count_on(store: Store, obj: ObjectDef, cursor: duckdb.DuckDBPyConnection) -> None:
    """New rows get ids behind those of the mirrored rows that this org might have given itself."""
    prefix = f"{obj.key_prefix}{store.pod}0"
    digits = " + ".join(
        f'CAST(strpos({literal(ALPHABET)}, substr("Id", {15 - power}, 1)) - 1 AS BIGINT) * {62**power}'
        for power in range(9)
    )
    cursor.execute(
        f"""
        INSERT INTO org.counters SELECT $1, last FROM (
            SELECT max({digits}) AS last FROM mirrored WHERE substr("Id", 1, 6) = $2
        ) WHERE last IS NOT NULL
        ON CONFLICT (prefix) DO UPDATE SET last = greatest(last, excluded.last)
        """,
        [obj.key_prefix, prefix],
    )

"""Unique fields: no two live rows may share a value, neither in the org nor inside what is saved together."""

from __future__ import annotations

import duckdb

from sfframe.localorg.services import coercion, lookups
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import ONE_CHUNK, Task
from sfframe.localorg.store.store import quoted

_CLASHES = "SELECT record, other FROM clashes WHERE other IS NOT NULL OR nth > 1"
# What an earlier chunk has saved has an id already.
_CLASHES_OF_CHUNKS = """
    SELECT c.record, coalesce(c.other, first.id) AS other FROM clashes c
    LEFT JOIN (
        SELECT w.record, f.id FROM wanted w JOIN wanted f ON f.k = w.k AND f.nth = 1 AND f.chunk < w.chunk
        WHERE w.nth > 1
    ) first ON first.record = c.record
    WHERE c.other IS NOT NULL OR c.nth > 1
"""


def refuse_duplicates(task: Task, cursor: duckdb.DuckDBPyConnection) -> None:
    """Mark the rows of ``saving_rows`` that repeat a value; of equal new ones the first stays good.

    One unique field after the other, so that a row that falls out by the first takes no value of the second.
    """
    for column in task.columns:
        if column.field.unique and column.key is None:
            cursor.execute(_refusal(task, column))


def _refusal(task: Task, column: Column) -> str:
    field = column.field
    key = lookups.key_column(field).replace(quoted(field.name), f"v{column.position}")
    stored = lookups.key_column(field)
    nth = "1" if column.cell in task.staged.distinct else "row_number() OVER (PARTITION BY k ORDER BY record)"
    # rest.md 12: the id has 15 characters; <unknown> where the other row is not saved yet, as in the same chunk.
    words = (
        f"{literal(f'duplicate value found: {field.name} duplicates value on record with id: ')} "
        "|| coalesce(left(clash.other, 15), '<unknown>')"
    )
    return f"""
        WITH wanted AS MATERIALIZED (
            SELECT *, {nth} AS nth FROM (
                SELECT record, id, {task.chunk} AS chunk, {key} AS k FROM {coercion.saving_rows(task.staged)}
                WHERE problem IS NULL AND v{column.position} IS NOT NULL
            )
        ), held AS (
            SELECT {stored} AS k, "Id" AS id FROM {task.table}
            WHERE NOT {lookups.deleted(task.obj)} AND {stored} IN (SELECT k FROM wanted)
        ), clashes AS (
            SELECT w.record, min(h.id) AS other, first(w.nth) AS nth
            FROM wanted w LEFT JOIN held h ON h.k = w.k AND h.id <> w.id GROUP BY w.record
        )
        UPDATE saving_rows SET problem = {problem("DUPLICATE_VALUE", words)}
        FROM ({_CLASHES if task.chunk == ONE_CHUNK else _CLASHES_OF_CHUNKS}) clash
        WHERE saving_rows.record = clash.record
    """

"""Unique fields: no two live rows may share a value, neither in the org nor inside what is saved together."""

from __future__ import annotations

import duckdb

from sfframe.localorg.services import lookups
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Task
from sfframe.localorg.store.store import quoted


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
    alone = column.cell in task.staged.distinct
    nth = "1" if alone else "row_number() OVER (PARTITION BY k ORDER BY record)"
    # rest.md 12: the id has 15 characters; <unknown> where the other row is not saved yet.
    words = (
        f"{literal(f'duplicate value found: {field.name} duplicates value on record with id: ')} "
        "|| coalesce(left(clash.other, 15), '<unknown>')"
    )
    return f"""
        WITH wanted AS MATERIALIZED (
            SELECT record, id, {key} AS k FROM saving_rows WHERE problem IS NULL AND v{column.position} IS NOT NULL
        ), held AS (
            SELECT {stored} AS k, "Id" AS id FROM {task.table}
            WHERE NOT {lookups.deleted(task.obj)} AND {stored} IN (SELECT k FROM wanted)
        ), clashes AS (
            SELECT w.record, min(h.id) AS other, first(w.nth) AS nth
            FROM (SELECT *, {nth} AS nth FROM wanted) w
            LEFT JOIN held h ON h.k = w.k AND h.id <> w.id GROUP BY w.record
        )
        UPDATE saving_rows SET problem = {problem("DUPLICATE_VALUE", words)}
        FROM (SELECT * FROM clashes WHERE other IS NOT NULL OR nth > 1) clash
        WHERE saving_rows.record = clash.record
    """

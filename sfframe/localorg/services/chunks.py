"""Chunks: a bulk batch is saved in transactions of 200 rows each (bulk2.md 2.14, bulk1.md 3.3).

Nobody sees them until rows meet: the same key twice in one chunk is refused, while in a later chunk it means the row
that the earlier one has saved. So all rows whose key comes for the first time are saved at once, then those of a
second chunk with the same key, and so on: as many saves as one key has chunks, which is nearly always one.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import duckdb

from sfframe.localorg.services import coercion, lookups, saving
from sfframe.localorg.services.saving import Saved
from sfframe.localorg.services.task import Staged, Task

CHUNK_ROWS = 200
_LATER = "saving_later"


def number(batch_rows: int) -> str:
    """SQL: the number of a record's chunk, in batches of so many rows."""
    in_batch = f"(record - 1) % {batch_rows} // {CHUNK_ROWS}"
    return f"((record - 1) // {batch_rows} * {-(-batch_rows // CHUNK_ROWS)} + {in_batch})"


def saves(task: Task, cursor: duckdb.DuckDBPyConnection) -> Iterator[Saved]:
    """Save the rows, ``task.chunk`` after chunk; every result is to be read before the next is asked for.

    Where the first save ends early, because too many rows are locked, the others end behind the same row.
    """
    task, rounds = _rounds(task, cursor)
    if rounds == 1:
        yield saving.save(task, cursor)
        return
    relation = task.staged.relation
    first = saving.save(_narrowed(task, f"{relation} ANTI JOIN {_LATER} USING (record)"), cursor)
    yield first
    until = "" if first.cut is None else f" WHERE record <= {first.cut}"
    task = replace(task, locks=replace(task.locks, requeues=False) if task.locks else None)
    for at in range(1, rounds):
        this = f"(FROM {_LATER} WHERE round = {at})"
        yield saving.save(_narrowed(task, f"{relation} SEMI JOIN {this} USING (record){until}"), cursor)


def _narrowed(task: Task, rows: str) -> Task:
    return replace(task, staged=replace(task.staged, relation=f"(SELECT * FROM {rows})"))


def _rounds(task: Task, cursor: duckdb.DuckDBPyConnection) -> tuple[Task, int]:
    """How many saves it takes; the rows of all but the first one are in a table, with the number of their save."""
    column = task.key_column
    if column is None or task.operation not in ("update", "upsert"):
        return task, 1
    staged = task.staged
    if column.field.name == "Id":
        key = coercion.value(column.field, column.cell, staged.null_mark)
    else:
        key = lookups.key_value(column.field, column.cell, staged.null_mark, trimmed=staged.trimmed)
    keyed = f"SELECT record, {task.chunk} AS chunk, {key} AS key FROM {staged.relation} WHERE {column.cell} <> ''"
    keys, different = cursor.execute(f"SELECT count(key), count(DISTINCT key) FROM ({keyed})").fetchall()[0]
    if keys == different:
        return replace(task, staged=_distinct(staged, column.cell)), 1
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE {_LATER} AS
        SELECT record, dense_rank() OVER (PARTITION BY key ORDER BY chunk) - 1 AS round
        FROM ({keyed}) WHERE key IS NOT NULL QUALIFY round > 0
    """)
    return task, 1 + cursor.execute(f"SELECT coalesce(max(round), 0) FROM {_LATER}").fetchall()[0][0]


def _distinct(staged: Staged, cell: str) -> Staged:
    return replace(staged, distinct=staged.distinct | {cell})

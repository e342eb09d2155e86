"""Row locks: rows that another batch, or a declared fault, keeps locked while they are saved (bulk2.md 2.14, 6.3)."""

from __future__ import annotations

import duckdb

from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Locks, Task

_ONE = "unable to obtain exclusive access to this record"
# A guess: rows point at these without touching them, so that nobody waits for them.
_UNTOUCHED = {"User", "RecordType", "Profile", "Group", "Organization"}


def refuse_locked(task: Task, cursor: duckdb.DuckDBPyConnection) -> None:
    """Mark the rows of ``saving_rows`` that cannot be locked."""
    locks = of(task)
    if locks.share:
        # Of the good rows and by rank, so that the share holds for few rows too.
        cursor.execute(f"""
            UPDATE saving_rows SET problem = {problem("UNABLE_TO_LOCK_ROW", literal(_ONE))}
            FROM (
                SELECT record, count(*) OVER () AS n,
                    row_number() OVER (ORDER BY hash(record, {locks.seed}), record) AS nth
                FROM saving_rows WHERE problem IS NULL
            ) drawn
            WHERE saving_rows.record = drawn.record AND drawn.nth <= ceil(drawn.n * {locks.share})
        """)
    if locks.batch_rows:
        for column in task.columns:
            if column.field.type == "reference" and not _UNTOUCHED.intersection(column.field.reference_to):
                cursor.execute(_shared_parent(column, locks.batch_rows))


def of(task: Task) -> Locks:
    """The locks of a save; a declared fault is used up by the question."""
    store = task.store
    return task.locks or Locks(store.locked_share(task.obj.name, task.operation), store.settings.seed)


def _shared_parent(column: Column, batch_rows: int) -> str:
    parent = f"v{column.position}"
    said = problem("UNABLE_TO_LOCK_ROW", f"{literal(f'{_ONE} or 1 records: ')} || locked.parent")
    return f"""
        UPDATE saving_rows SET problem = {said}
        FROM (
            SELECT record, {parent} AS parent, min(record) OVER (PARTITION BY {parent}) AS first
            FROM saving_rows WHERE problem IS NULL
        ) locked
        WHERE saving_rows.record = locked.record AND locked.parent IS NOT NULL
            AND (locked.record - 1) // {batch_rows} > (locked.first - 1) // {batch_rows}
    """

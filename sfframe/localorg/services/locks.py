"""Row locks: rows that another batch, or a declared fault, keeps locked while they are saved (bulk2.md 2.14, 6.3)."""

from __future__ import annotations

import duckdb

from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Locks, Task

_CODE = "UNABLE_TO_LOCK_ROW"
_MOST_LOCKED = 100  # of one try of a batch (bulk1.md 3.3)
_ONE = "unable to obtain exclusive access to this record"
# A guess: rows point at these without touching them, so that nobody waits for them.
_UNTOUCHED = {"User", "RecordType", "Profile", "Group", "Organization"}


def refuse_locked(task: Task, cursor: duckdb.DuckDBPyConnection) -> int | None:
    """Mark the rows of ``saving_rows`` that cannot be locked; the last record, where the rest was put off."""
    locks = of(task)
    if locks.share:
        # Of the good rows and by rank, so that the share holds for few rows too.
        cursor.execute(f"""
            UPDATE saving_rows SET problem = {problem(_CODE, literal(_ONE))}
            FROM (
                SELECT record, count(*) OVER () AS n,
                    row_number() OVER (ORDER BY hash(record, {locks.seed}), record) AS nth
                FROM saving_rows WHERE problem IS NULL
            ) drawn
            WHERE saving_rows.record = drawn.record AND drawn.nth <= ceil(drawn.n * {locks.share})
        """)
    if locks.batch_rows and locks.parallel:
        for column in task.columns:
            if column.field.type == "reference" and not _UNTOUCHED.intersection(column.field.reference_to):
                cursor.execute(_shared_parent(column, locks.batch_rows))
    if locks.batch_rows and locks.requeues and (locks.share or locks.parallel):
        return _requeue(task, cursor, locks.batch_rows)
    return None


def of(task: Task) -> Locks:
    """The locks of a save; a declared fault is used up by the question."""
    store = task.store
    return task.locks or Locks(store.locked_share(task.obj.name, task.operation), store.settings.seed)


def too_many(rows: int) -> str:
    """What a batch says that met too many locks too often; the words are from memory (bulk1.md 3.3)."""
    return f"TooManyLockFailure : Too many lock failure({rows}). Trying again later."


def _requeue(task: Task, cursor: duckdb.DuckDBPyConnection, batch_rows: int) -> int | None:
    """Remove what comes behind the chunk with which a batch has too many locked rows, unless that is its last chunk.

    Rows that were locked are not tried again (bulk1.md 3.3 does not say so, the service's guide does).
    """
    found = cursor.execute(f"""
        WITH chunks AS (
            SELECT (record - 1) // {batch_rows} AS batch, {task.chunk} AS chunk, max(record) AS last,
                count_if(starts_with(problem, {literal(_CODE)})) AS locked
            FROM saving_rows GROUP BY ALL
        ), counted AS (
            SELECT batch, last, max(last) OVER (PARTITION BY batch) AS batch_end,
                sum(locked) OVER (PARTITION BY batch ORDER BY chunk) AS locked
            FROM chunks
        )
        SELECT min(last) FROM counted WHERE locked > {_MOST_LOCKED} AND last < batch_end
    """).fetchall()[0][0]
    if found is None:
        return None
    cursor.execute(f"DELETE FROM saving_rows WHERE record > {found}")
    return int(found)


def _shared_parent(column: Column, batch_rows: int) -> str:
    parent = f"v{column.position}"
    said = problem(_CODE, f"{literal(f'{_ONE} or 1 records: ')} || locked.parent")
    return f"""
        UPDATE saving_rows SET problem = {said}
        FROM (
            SELECT record, {parent} AS parent, min(record) OVER (PARTITION BY {parent}) AS first
            FROM saving_rows WHERE problem IS NULL
        ) locked
        WHERE saving_rows.record = locked.record AND locked.parent IS NOT NULL
            AND (locked.record - 1) // {batch_rows} > (locked.first - 1) // {batch_rows}
    """

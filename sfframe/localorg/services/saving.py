"""Saving many rows at once: what Salesforce checks and fills in, as a handful of SQL statements.

Rows that are wrong get a problem and the others are saved, as every interface of Salesforce does without allOrNone.
Where the rows come from, a CSV upload or a JSON body, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb

from sfframe.localorg.services import (
    checks,
    coercion,
    deleting,
    files,
    locks,
    lookups,
    matching,
    permissions,
    rules,
    uniqueness,
    writing,
)
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import first_of, literal
from sfframe.localorg.services.task import Staged, Task
from sfframe.localorg.store.record_ids import BLOCK, record_id

Answer = tuple[str | None, bool, str | None]
"""What became of a row: its id, whether it was created, and its problem."""

_ANSWER = "CASE WHEN problem IS NULL THEN id ELSE named END AS id, problem IS NULL AND creates AS created"
_FEW_ROWS = 2_000  # up to here it is quicker to make the ids one by one than to plan the SQL that makes them


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of the rows. ``outcomes`` is SQL: record, id, created, problem (problems.py takes it apart).

    A good row has its id; a bad one has only the id that it was sent with, if that is one. Beside them stand the cells
    (c0, ...) and the typed values (v0, ...). They can be read until the next save on the same cursor. ``cut`` is the
    last record that was saved, where the save ended early (task.Locks).
    """

    outcomes: str
    processed: int
    failed: int
    cut: int | None = None


def save(task: Task, cursor: duckdb.DuckDBPyConnection) -> Saved:
    """Insert, update, upsert or delete the staged rows inside the cursor's transaction; hold ``store.writing``.

    Rows are taken in the order of ``record``: of equal keys the first wins. Raises LookupError for an upsert without
    the column of its external id.
    """
    cut = _save(task, cursor)
    saved, failed = cursor.execute("SELECT count(*), count(problem) FROM saving_rows").fetchall()[0]
    outcomes = f"SELECT * EXCLUDE (id, target, named, creates), {_ANSWER} FROM {coercion.saving_rows(task.staged)}"
    return Saved(outcomes, saved, failed, cut)


def answers(task: Task, cursor: duckdb.DuckDBPyConnection) -> list[Answer]:
    """Save a few rows as ``save`` does, and tell of each in their order."""
    task = replace(task, locks=locks.of(task))
    if task.operation == "insert" and not _whens(task, _joins(task, matching.match(task))) and not _reads_rows(task):
        return _insert_unchecked(task, cursor)
    _save(task, cursor)
    told = task.store.parsed(cursor, f"SELECT {_ANSWER}, problem FROM saving_rows ORDER BY record")
    return cursor.execute(told).fetchall()


def _save(task: Task, cursor: duckdb.DuckDBPyConnection) -> int | None:
    """Save what can be saved; ``saving_rows`` tells what became of the rows. Answers ``Saved.cut``."""
    rows, records = _counted(task, cursor)
    fresh, values = _fresh_ids(task, cursor, records)
    cursor.execute(task.store.parsed(cursor, _rows_table(task, fresh)), values | task.staged.values)
    cut = locks.refuse_locked(task, cursor)
    if task.deletes:
        deleting.delete_rows(task, cursor)
    else:
        rules.refuse_invalid(task, cursor, rows)
        uniqueness.refuse_duplicates(task, cursor)
        if task.operation != "update":
            writing.insert_rows(task, cursor, max(rows, 1))
            if task.obj.name == files.VERSION:
                files.file_versions(task, cursor)
        if task.operation != "insert":
            writing.update_rows(task, cursor)
    return cut


def _reads_rows(task: Task) -> bool:
    """Whether anything besides the checks of the rows has to look at the rows of an insert."""
    unique = any(one.field.unique for one in task.columns)
    locked = task.locks is not None and task.locks.share > 0
    return unique or locked or rules.present(task) or task.obj.name == files.VERSION


def _insert_unchecked(task: Task, cursor: duckdb.DuckDBPyConnection) -> list[Answer]:
    """Insert rows of which nothing can be wrong by one statement."""
    rows, records = _counted(task, cursor)
    fresh, ids = _few_ids(task, cursor, records)
    typed = ", ".join(["*", *(_typed(column, task.staged) for column in task.columns)])
    source = f"(SELECT *, {fresh} AS id FROM (SELECT {typed} FROM {task.staged.relation}) b)"
    writing.insert_rows(task, cursor, rows, source=source, values={"ids": ids} | task.staged.values)
    return [(one, True, None) for one in ids]


def _counted(task: Task, cursor: duckdb.DuckDBPyConnection) -> tuple[int, range]:
    """How many rows there are, and the range of their numbers."""
    if task.staged.records is not None:
        return len(task.staged.records), task.staged.records
    counted = f"SELECT count(*), coalesce(min(record), 0), coalesce(max(record), 0) FROM {task.staged.relation}"
    rows, lowest, highest = cursor.execute(counted).fetchall()[0]
    return rows, range(lowest, highest + 1)


def _fresh_ids(task: Task, cursor: duckdb.DuckDBPyConnection, records: range) -> tuple[str, dict[str, object]]:
    """SQL: the id of a row if it is new, and the values that this SQL needs."""
    if task.operation not in ("insert", "upsert"):
        return "NULL", {}
    if len(records) > _FEW_ROWS:
        block, first = divmod(task.store.next_counter(cursor, task.prefix, len(records)), BLOCK)
        if first + len(records) <= BLOCK:
            return f"sf_id_of({literal(task.prefix)}, {block}, b.record + {first - records.start})", {}
        return f"sf_id({literal(task.prefix)}, b.record + {block * BLOCK + first - records.start})", {}
    fresh, ids = _few_ids(task, cursor, records)
    return fresh, {"ids": ids}


def _few_ids(task: Task, cursor: duckdb.DuckDBPyConnection, records: range) -> tuple[str, list[str]]:
    """SQL: the id of a new row, picked from the parameter ``ids``; and what that stands for."""
    first = task.store.next_counter(cursor, task.prefix, len(records))
    ids = [record_id(task.prefix, task.store.pod, first + at) for at in range(len(records))]
    return f"CAST($ids AS VARCHAR[])[b.record + {1 - records.start}]", ids


def _rows_table(task: Task, fresh: str) -> str:
    """SQL that makes ``saving_rows``: cells, typed values, the row that is meant, a new id, and the first problem.

    Values that are nothing but their cells are left to coercion.saving_rows. ``fresh`` is the SQL of a new row's id.
    """
    match = matching.match(task)
    joins = _joins(task, match)
    clean = coercion.clean_values(task.staged)
    own = f"b.* EXCLUDE ({', '.join(clean)})" if clean else "b.*"
    added = ", ".join([own, *(column for join in joins for column in join.columns)])
    typed = ", ".join(["*", *(_typed(column, task.staged) for column in task.columns), *match.keys])
    creates, identity = "false", "target"
    if task.operation == "insert":
        creates, identity = "true", fresh
    elif task.operation == "upsert":
        creates, identity = "target IS NULL", f"coalesce(target, {fresh})"
    return f"""
        CREATE OR REPLACE TEMP TABLE saving_rows AS
        WITH saving_cells AS (SELECT {typed} FROM {task.staged.relation})
        SELECT {added}, {match.target} AS target, {match.named} AS named, {creates} AS creates, {identity} AS id,
            {first_of(_whens(task, joins))} AS problem
        FROM saving_cells b {" ".join(join.join for join in joins)}
    """


def _typed(column: Column, staged: Staged) -> str:
    if column.key:
        # The null mark clears no parent that is named by external id: it is a key like any other (bulk2.md 3.3).
        return f"{lookups.key_value(column.key.field, column.cell, '', trimmed=staged.trimmed)} AS k{column.position}"
    if column.cell in staged.sound:
        return f"{coercion.sound_value(column.field, column.cell, staged.null_mark)} AS v{column.position}"
    if column.cell in staged.clean:
        return f"{coercion.clean_text(column.field, column.cell)} AS v{column.position}"
    value = coercion.value(column.field, column.cell, staged.null_mark, trimmed=staged.trimmed)
    return f"{value} AS v{column.position}"


def _joins(task: Task, match: matching.Match) -> list[lookups.Joined]:
    return [match.joined, *([] if task.deletes else lookups.parents(task))]


def _whens(task: Task, joins: list[lookups.Joined]) -> list[str]:
    """What may be wrong with a row: cells that cannot be read come first, then the row itself, then its values."""
    matched, *parents = joins
    staged = task.staged
    whens: list[str | None] = [None if staged.trimmed else "WHEN fault IS NOT NULL THEN fault"]
    whens += [
        coercion.unreadable(one.field, f"b.{one.cell}", f"b.v{one.position}", one.position, task.staged)
        for one in task.columns
        if one.key is None and one.cell not in staged.sound
    ]
    whens += matched.whens
    whens += permissions.refused_objects(task)
    if not task.deletes:
        whens.append(permissions.not_writable(task))
        whens += (when for parent in parents for when in parent.whens)
        whens.append(permissions.required(task))
        unsure = [one for one in task.columns if one.cell not in staged.sound]
        whens += (when for one in unsure for when in checks.value_checks(one, "b", staged.longest.get(one.cell)))
    return [when for when in whens if when]

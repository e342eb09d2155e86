"""Saving many rows at once: what Salesforce checks and fills in, as a handful of SQL statements.

Rows that are wrong get a problem and the others are saved, as every interface of Salesforce does without allOrNone.
Where the rows come from, a CSV upload or a JSON body, is not known here.
"""

from __future__ import annotations

from dataclasses import dataclass

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
from sfframe.localorg.store.record_ids import record_id

_FEW_ROWS = 2_000  # up to here it is quicker to make the ids one by one than to plan the SQL that makes them


@dataclass(frozen=True, slots=True)
class Saved:
    """What became of the rows. ``outcomes`` is SQL: record, id, created, problem (problems.py takes it apart).

    A good row has its id; a bad one has only the id that it was sent with, if that is one. Beside them stand the cells
    (c0, ...) and the typed values (v0, ...). ``answers`` are id, created and problem alone, in the order of the rows.
    Both can be read until the next save on the same cursor. ``cut`` is the last record that was saved, where the save
    ended early (task.Locks).
    """

    outcomes: str
    answers: str
    processed: int
    failed: int
    cut: int | None = None


def save(task: Task, cursor: duckdb.DuckDBPyConnection) -> Saved:
    """Insert, update, upsert or delete the staged rows inside the cursor's transaction; hold ``store.writing``.

    Rows are taken in the order of ``record``: of equal keys the first wins. Raises LookupError for an upsert without
    the column of its external id.
    """
    rows, records = _counted(task, cursor)
    fresh, values = _fresh_ids(task, cursor, records)
    cursor.execute(_rows_table(task, fresh), values)
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
    saved, failed = cursor.execute("SELECT count(*), count(problem) FROM saving_rows").fetchall()[0]
    answer = "CASE WHEN problem IS NULL THEN id ELSE named END AS id, problem IS NULL AND creates AS created"
    outcomes = f"SELECT * EXCLUDE (id, target, named, creates), {answer} FROM saving_rows"
    return Saved(outcomes, f"SELECT {answer}, problem FROM saving_rows ORDER BY record", saved, failed, cut)


def _counted(task: Task, cursor: duckdb.DuckDBPyConnection) -> tuple[int, range]:
    """How many rows there are, and the range of their numbers."""
    if task.staged.records is not None:
        return len(task.staged.records), task.staged.records
    counted = f"SELECT count(*), coalesce(min(record), 0), coalesce(max(record), 0) FROM {task.staged.relation}"
    rows, lowest, highest = cursor.execute(counted).fetchall()[0]
    return rows, range(lowest, highest + 1)


def _fresh_ids(task: Task, cursor: duckdb.DuckDBPyConnection, records: range) -> tuple[str, dict[str, list[str]]]:
    """SQL: the id of a row if it is new, and the values that this SQL needs."""
    if task.operation not in ("insert", "upsert"):
        return "NULL", {}
    first = task.store.next_counter(cursor, task.prefix, len(records))
    if len(records) > _FEW_ROWS:
        return f"sf_id({literal(task.prefix)}, b.record + {first - records.start})", {}
    ids = [record_id(task.prefix, task.store.pod, first + at) for at in range(len(records))]
    return f"CAST($ids AS VARCHAR[])[b.record + {1 - records.start}]", {"ids": ids}


def _rows_table(task: Task, fresh: str) -> str:
    """SQL that makes ``saving_rows``: cells, typed values, the row that is meant, a new id, and the first problem.

    ``fresh`` is the SQL of a new row's id.
    """
    match = matching.match(task)
    joins = [match.joined, *([] if task.deletes else lookups.parents(task))]
    added = ", ".join(["b.*", *(column for join in joins for column in join.columns)])
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
            {_first_problem(task, joins)} AS problem
        FROM saving_cells b {" ".join(join.join for join in joins)}
    """


def _typed(column: Column, staged: Staged) -> str:
    if column.key:
        # The null mark clears no parent that is named by external id: it is a key like any other (bulk2.md 3.3).
        return f"{lookups.key_value(column.key.field, column.cell, '', trimmed=staged.trimmed)} AS k{column.position}"
    if column.cell in staged.clean:
        return f"{coercion.clean_text(column.field, column.cell)} AS v{column.position}"
    value = coercion.value(column.field, column.cell, staged.null_mark, trimmed=staged.trimmed)
    return f"{value} AS v{column.position}"


def _first_problem(task: Task, joins: list[lookups.Joined]) -> str:
    """SQL: what is wrong with a row. Cells that cannot be read come first, then the row itself, then its values."""
    matched, *parents = joins
    whens: list[str | None] = ["WHEN fault IS NOT NULL THEN fault"]
    whens += [
        coercion.unreadable(one.field, f"b.{one.cell}", f"b.v{one.position}", one.position, task.staged)
        for one in task.columns
        if one.key is None
    ]
    whens += matched.whens
    whens += permissions.refused_objects(task)
    if not task.deletes:
        whens.append(permissions.not_writable(task))
        whens += (when for parent in parents for when in parent.whens)
        whens.append(permissions.required(task))
        fitting = task.staged.fitting
        whens += (when for one in task.columns for when in checks.value_checks(one, "b", fits=one.cell in fitting))
    return first_of(whens)

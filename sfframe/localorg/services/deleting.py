"""Deleting rows: into the recycle bin or for good, with the children that go along (rest.md 11)."""

from __future__ import annotations

import duckdb

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services import derived, lookups
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Task
from sfframe.localorg.store.store import DELETE_LOG, Store, quoted


def delete_rows(task: Task, cursor: duckdb.DuckDBPyConnection) -> None:
    """Delete the good rows of ``saving_rows``; those that a child protects are marked instead."""
    store, obj = task.store, task.obj
    filled = store.filled_tables(cursor)
    for child, field in store.catalogue.children_of(obj):
        # A custom lookup that must be filled cannot be cleared: from memory, such a one protects its parents.
        protects = field.restricted_delete or field.keeps_parent or (_is_lookup(field) and field.custom)
        if protects and not _is_cleared(field) and child.name in filled:
            cursor.execute(_protected(store, obj, child, field))
    cursor.execute("CREATE OR REPLACE TEMP TABLE deleting AS SELECT id FROM saving_rows WHERE problem IS NULL")
    _delete_level(task, cursor, obj, "deleting", depth=0)


def _protected(store: Store, obj: ObjectDef, child: ObjectDef, field: FieldDef) -> str:
    words = (
        f"Your attempt to delete {obj.label} could not be completed because it is associated with the following "
        f"{child.label_plural}"
    )
    return f"""
        UPDATE saving_rows SET problem = {problem("DELETE_FAILED", literal(words))}
        WHERE problem IS NULL AND id IN (
            SELECT {quoted(field.name)} FROM {store.table(child)} WHERE NOT {lookups.deleted(child)}
        )
    """


def _is_lookup(field: FieldDef) -> bool:
    return not (field.cascade_delete or field.deleted_with_parent or field.restricted_delete or field.keeps_parent)


def _is_cleared(field: FieldDef) -> bool:
    """Whether the field becomes null when its parent goes, as a lookup does that may be empty."""
    return _is_lookup(field) and field.nillable and (field.createable or field.updateable)


def _cleared(task: Task, child: ObjectDef, field: FieldDef, ids: str) -> str:
    """SQL that lets the children of deleted parents point at nothing. Only SystemModstamp moves (a guess)."""
    stamp = f", \"SystemModstamp\" = TIMESTAMP '{task.moment}'" if child.field("SystemModstamp") else ""
    column = quoted(field.name)
    return (
        f"UPDATE {task.store.table(child)} SET {column} = NULL{stamp} "
        f"WHERE {column} IN (SELECT id FROM {ids}) AND NOT {lookups.deleted(child)}"
    )


def _delete_level(task: Task, cursor: duckdb.DuckDBPyConnection, obj: ObjectDef, ids: str, *, depth: int) -> None:
    store, hard = task.store, task.operation == "hardDelete"
    # Rows go before their children, so that a circle of parents comes to an end.
    if hard or not obj.field("IsDeleted"):
        there = f'FROM {store.table(obj)} WHERE "Id" IN (SELECT id FROM {ids})'
        cursor.execute(f'INSERT INTO {DELETE_LOG} SELECT {literal(obj.name)}, "Id", $1 {there}', [task.moment])
        cursor.execute(f"DELETE {there}")
    else:
        changes = {"IsDeleted": "true"} | derived.touched(obj, store, task.moment)
        assignments = ", ".join(f"{quoted(name)} = {value}" for name, value in changes.items())
        cursor.execute(f'UPDATE {store.table(obj)} SET {assignments} WHERE "Id" IN (SELECT id FROM {ids})')
    filled = store.filled_tables(cursor)
    for child, field in store.catalogue.children_of(obj):
        if child.name not in filled:
            continue
        if _is_cleared(field):
            cursor.execute(_cleared(task, child, field, ids))
        if not (field.cascade_delete or field.deleted_with_parent):
            continue
        below = f"deleting_{depth}"
        present = "true" if hard else f"NOT {lookups.deleted(child)}"
        cursor.execute(
            f'CREATE OR REPLACE TEMP TABLE {below} AS SELECT "Id" AS id FROM {store.table(child)} '
            f"WHERE {present} AND {quoted(field.name)} IN (SELECT id FROM {ids})"
        )
        if cursor.execute(f"SELECT count(*) FROM {below}").fetchall()[0][0]:
            _delete_level(task, cursor, child, below, depth=depth + 1)

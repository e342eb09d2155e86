"""The INSERT and the UPDATE of the good rows in ``saving_rows``."""

from __future__ import annotations

import duckdb

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services import coercion, derived
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import literal
from sfframe.localorg.services.task import Task
from sfframe.localorg.store.store import quoted


def insert_rows(
    task: Task,
    cursor: duckdb.DuckDBPyConnection,
    rows: int,
    *,
    into: str | None = None,
    source: str | None = None,
    values: dict[str, object] | None = None,
) -> None:
    """Add the rows that are new, to the object's table or a copy of it.

    ``rows`` is how many there may be, for the counters of auto-numbers. ``source`` is the SQL of the rows where they
    are not in ``saving_rows``, and ``values`` are its parameters.
    """
    store, obj = task.store, task.obj
    given = derived.constants(obj, store, task.moment) | {"Id": "id"}
    record_type = store.record_types.default_of(obj.name)
    if record_type and obj.field("RecordTypeId"):
        given["RecordTypeId"] = literal(record_type)
    given |= {one.field.name: _new_value(one, given.get(one.field.name)) for one in task.columns if _stored(one)}
    for field in obj:
        if field.auto_number:
            # Eight digits, as cases have; other formats are not part of a field's definition.
            first = store.next_counter(cursor, f"{obj.name}.{field.name}", rows)
            number = f"{first} + row_number() OVER (ORDER BY record) - 1"
            given[field.name] = f"lpad(CAST({number} AS VARCHAR), 8, '0')"
    sent = {column.field.name for column in task.columns}
    given |= derived.composed(obj, sent, lambda name: given.get(name, "NULL"), creating=True)
    new = source or f"{coercion.saving_rows(task.staged)} WHERE problem IS NULL AND creates"
    sql = (
        f"INSERT INTO {into or task.table} ({', '.join(quoted(name) for name in given)}) "
        f"SELECT {', '.join(given.values())} FROM {new}"
    )
    cursor.execute(store.parsed(cursor, sql), values)
    store.written.add(obj.name)


def update_rows(task: Task, cursor: duckdb.DuckDBPyConnection, *, into: str | None = None) -> None:
    """Change the rows that were found, in the object's table or a copy; an empty cell leaves its field alone."""
    obj = task.obj
    values = {one.field.name: _changed_value(one) for one in task.columns if _stored(one)}
    sent = set(values)
    values |= derived.composed(obj, sent, lambda name: values.get(name, f"t.{quoted(name)}"), creating=False)
    values |= derived.touched(obj, task.store, task.moment)
    if not values:
        return
    assignments = ", ".join(f"{quoted(name)} = {value}" for name, value in values.items())
    sql = (
        f"UPDATE {into or task.table} AS t SET {assignments} FROM {coercion.saving_rows(task.staged)} w "
        'WHERE t."Id" = w.id AND w.problem IS NULL AND NOT w.creates'
    )
    cursor.execute(task.store.parsed(cursor, sql))


def _stored(column: Column) -> bool:
    return column.field.name != "Id" and (column.field.createable or column.field.updateable)


def _cleared(field: FieldDef, value: str) -> str:
    return f"coalesce({value}, false)" if field.type == "boolean" else value  # rest.md 11


def _new_value(column: Column, default: str | None) -> str:
    value = f"v{column.position}"
    if default is None:
        return value
    return f"CASE WHEN {column.cell} <> '' THEN {_cleared(column.field, value)} ELSE {default} END"


def _changed_value(column: Column) -> str:
    field = column.field
    value = _cleared(field, f"w.v{column.position}")
    return f"CASE WHEN w.{column.cell} <> '' THEN {value} ELSE t.{quoted(field.name)} END"

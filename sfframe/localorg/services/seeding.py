"""Seeding: the rows of a frame put into the org without any API, under the rules that every interface has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services import problems, saving
from sfframe.localorg.services.columns import ColumnFault, resolve
from sfframe.localorg.services.task import Locks, Staged, Task
from sfframe.localorg.store.store import Store, quoted

if TYPE_CHECKING:
    import polars as pl

_SHOWN = 5  # refused rows that an error names
# Typed columns as the text that a save reads; all other kinds are cast.
_AS_TEXT = {
    "BLOB": "to_base64({0})",
    "TIMESTAMP": "strftime({0}, '%Y-%m-%dT%H:%M:%S.%gZ')",
    "TIMESTAMP_MS": "strftime({0}, '%Y-%m-%dT%H:%M:%S.%gZ')",
    "TIMESTAMP_NS": "strftime({0}, '%Y-%m-%dT%H:%M:%S.%gZ')",
    "TIMESTAMP WITH TIME ZONE": "strftime({0} AT TIME ZONE 'UTC', '%Y-%m-%dT%H:%M:%S.%gZ')",
    "VARCHAR[]": "array_to_string({0}, ';')",
}


def insert(store: Store, obj: ObjectDef, frame: pl.DataFrame) -> list[str]:
    """Insert all rows or none; answers their ids in the order of the rows. A null leaves a field to its default.

    Raises ValueError for a column that the object lacks and for rows that are refused, naming the first of them.
    """
    try:
        columns = resolve(frame.columns, obj, store.catalogue)
    except ColumnFault as fault:
        raise ValueError(f"{obj.name}: {fault}") from fault
    with store.writing, store.cursor() as cursor:
        cursor.register("seeded", frame.rename({name: f"c{at}" for at, name in enumerate(frame.columns)}).to_arrow())
        kinds = cursor.execute("DESCRIBE seeded").fetchall()
        cells = ", ".join(f"{_text(quoted(name), kind)} AS {quoted(name)}" for name, kind, *_ in kinds)
        rows = f"(SELECT row_number() OVER () AS record, NULL::VARCHAR AS fault, {cells} FROM seeded)"
        cursor.execute("BEGIN")
        try:
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE seeding AS FROM {rows}")
            staged = Staged("seeding", columns, null_mark="\x00")
            saved = saving.save(Task(store, obj, "insert", staged, store.now(), locks=Locks()), cursor)
            if saved.failed:
                raise ValueError(_refusal(cursor, obj, saved))
            ids = [id_ for (id_,) in cursor.execute(f"SELECT id FROM ({saved.outcomes}) ORDER BY record").fetchall()]
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise
    return ids


def _text(column: str, kind: str) -> str:
    return _AS_TEXT.get(kind, "CAST({0} AS VARCHAR)").format(column)


def _refusal(cursor: duckdb.DuckDBPyConnection, obj: ObjectDef, saved: saving.Saved) -> str:
    told = cursor.execute(
        f"SELECT record, {problems.bulk_text('problem')} FROM ({saved.outcomes}) "
        f"WHERE problem IS NOT NULL ORDER BY record LIMIT {_SHOWN}"
    ).fetchall()
    first = "; ".join(f"row {record - 1}: {text}" for record, text in told)
    return f"{obj.name}: {saved.failed} of {saved.processed} rows were refused, nothing was inserted. {first}"

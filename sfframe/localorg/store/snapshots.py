"""Snapshots: the rows of an org set aside and brought back, for tests that share one org."""

from __future__ import annotations

import itertools
from dataclasses import dataclass

import duckdb

from sfframe.localorg.store.rules import Rule
from sfframe.localorg.store.store import DELETE_LOG, Store

_KEPT = ("org.counters", DELETE_LOG)


@dataclass(frozen=True, slots=True)
class Snapshot:
    """Where the copies lie: a schema of the database in memory, also for an org in a file, which keeps none of them."""

    schema: str
    tables: tuple[str, ...]
    rules: tuple[Rule, ...]


_numbers = itertools.count(1)


def take(store: Store) -> Snapshot:
    """Copy all tables that have rows, and remember the rules."""
    with store.writing, store.cursor() as cursor:
        tables = (*_KEPT, *_filled(store, cursor))
        schema = f"memory.snapshot_{next(_numbers)}"
        cursor.execute(f"CREATE SCHEMA {schema}")
        for at, table in enumerate(tables):
            cursor.execute(f"CREATE TABLE {schema}.t{at} AS FROM {table}")
    return Snapshot(schema, tables, store.rules.all)


def bring_back(store: Store, snapshot: Snapshot) -> None:
    """Make rows and rules those of the snapshot; columns that came later are empty then."""
    with store.writing, store.cursor() as cursor:
        cursor.execute("BEGIN")
        try:
            for table in {*_KEPT, *_filled(store, cursor), *snapshot.tables}:
                cursor.execute(f"DELETE FROM {table}")
            for at, table in enumerate(snapshot.tables):
                cursor.execute(f"INSERT INTO {table} BY NAME FROM {snapshot.schema}.t{at}")
            store.add_record_types(cursor)
            if store.rules.all != snapshot.rules:
                store.rules.keep(snapshot.rules, cursor)
            cursor.execute("COMMIT")
        except BaseException:
            cursor.execute("ROLLBACK")
            raise


def _filled(store: Store, cursor: duckdb.DuckDBPyConnection) -> list[str]:
    tables = [store.table(obj) for obj in store.catalogue.objects.values()]
    looked = " UNION ALL ".join(f"(SELECT {at} AS at_ FROM {table} LIMIT 1)" for at, table in enumerate(tables))
    return [tables[at] for (at,) in cursor.execute(looked).fetchall()]

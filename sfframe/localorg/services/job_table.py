"""JobTable: jobs and batches as rows of the database, so that they outlive the process."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import Field, fields
from typing import Any, ClassVar, Generic, Protocol, TypeVar

import duckdb


class Kept(Protocol):
    """A frozen dataclass with an ``id``, whose fields are the columns of its table."""

    __dataclass_fields__: ClassVar[dict[str, Field[Any]]]

    @property
    def id(self) -> str:
        """The 18-character id."""


KeptRecord = TypeVar("KeptRecord", bound=Kept)


class JobTable(Generic[KeptRecord]):
    """The table of one kind of record. ``later`` are columns that files of older versions may lack."""

    def __init__(self, name: str, kind: type[KeptRecord], columns: str, later: Sequence[str] = ()) -> None:
        self.name = name
        self._kind = kind
        self._names = [field.name for field in fields(kind)]
        self._columns = columns
        self._later = later

    def create(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Make the table in a new org, or add to that of an older one what it lacks."""
        cursor.execute("CREATE SCHEMA IF NOT EXISTS jobs")
        cursor.execute(f"CREATE TABLE IF NOT EXISTS {self.name} ({', '.join([self._columns, *self._later])})")
        for column in self._later:
            cursor.execute(f"ALTER TABLE {self.name} ADD COLUMN IF NOT EXISTS {column}")

    def add(self, cursor: duckdb.DuckDBPyConnection, record: KeptRecord) -> None:
        """Store a new record."""
        marks = ", ".join("?" for _ in self._names)
        cursor.execute(f"INSERT INTO {self.name} ({', '.join(self._names)}) VALUES ({marks})", self._values(record))

    def change(self, cursor: duckdb.DuckDBPyConnection, record: KeptRecord) -> None:
        """Store what became of a record."""
        assignments = ", ".join(f"{name} = ?" for name in self._names)
        cursor.execute(f"UPDATE {self.name} SET {assignments} WHERE id = ?", [*self._values(record), record.id])

    def remove(self, cursor: duckdb.DuckDBPyConnection, record_id: str) -> None:
        """Forget a record."""
        cursor.execute(f"DELETE FROM {self.name} WHERE id = ?", [record_id])

    def find(self, cursor: duckdb.DuckDBPyConnection, record_id: str) -> KeptRecord | None:
        """The record of that 18-character id."""
        found = self.select(cursor, "WHERE id = ?", [record_id])
        return found[0] if found else None

    def among(self, cursor: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> list[KeptRecord]:
        """Those of the ids that are records of this table."""
        return self.select(cursor, "WHERE list_contains(?::VARCHAR[], id)", [list(ids)])

    def select(self, cursor: duckdb.DuckDBPyConnection, condition: str, values: Sequence[Any] = ()) -> list[KeptRecord]:
        """The records that the condition keeps."""
        query = f"SELECT {', '.join(self._names)} FROM {self.name} {condition}"
        return [self._kind(*row) for row in cursor.execute(query, list(values)).fetchall()]

    def _values(self, record: KeptRecord) -> list[Any]:
        return [getattr(record, name) for name in self._names]

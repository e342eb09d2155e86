"""Store: one DuckDB database with a table per object, and the locks and counters around it."""

from __future__ import annotations

import datetime as dt
import threading
from pathlib import Path

import duckdb

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef

# How a field's value lies in its table. Datetimes are naive UTC cut to milliseconds (measured.md 9).
_SQL_TYPES = {
    "boolean": "BOOLEAN",
    "int": "BIGINT",
    "long": "BIGINT",
    "double": "DOUBLE",
    "currency": "DOUBLE",
    "percent": "DOUBLE",
    "date": "DATE",
    "datetime": "TIMESTAMP",
    "time": "TIME",
    "base64": "BLOB",
}
COMPOUND_TYPES = frozenset({"address", "location"})  # made of other fields; no column of their own


def quoted(name: str) -> str:
    """``name`` as an SQL identifier."""
    return '"' + name.replace('"', '""') + '"'


def sql_type(field: FieldDef) -> str:
    """The DuckDB type of the field's column; text for all that is not a number, a date or a truth value."""
    return _SQL_TYPES.get(field.type, "VARCHAR")


class Store:
    """The rows of the org.

    Every request and every job uses a cursor of its own (``with store.cursor() as cursor``); who writes holds
    ``writing``, because DuckDB refuses two writers of one table.
    """

    def __init__(self, path: Path | None, catalogue: Catalogue) -> None:
        self.path = path
        self.catalogue = catalogue
        self.writing = threading.RLock()
        self._connection = duckdb.connect(str(path) if path else ":memory:")

    def cursor(self) -> duckdb.DuckDBPyConnection:
        """A new cursor on the same database; close it after use."""
        return self._connection.cursor()

    def table(self, obj: ObjectDef) -> str:
        """The object's table as it is written in SQL."""
        return f"data.{quoted(obj.name)}"

    def now(self) -> dt.datetime:
        """The org's clock: naive UTC, whole seconds, as Salesforce's system fields show it."""
        return dt.datetime.now(dt.UTC).replace(microsecond=0, tzinfo=None)

    def close(self) -> None:
        """Write everything to the file and let go of it."""
        self._connection.close()

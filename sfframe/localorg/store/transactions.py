"""Transactions that reach over several requests: who joins one works with its cursor, wherever the work runs.

The sub-requests of a composite with allOrNone are requests like any other, answered in threads of their own; still they
have to see what was written before them and to be undone with it. So the open transaction is part of the context
(contextvars), which asyncio and its threads hand on.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from contextvars import ContextVar
from types import TracebackType
from typing import cast

import duckdb


class _Shared:
    """A cursor that belongs to a transaction: whoever closes it has done with it, the transaction has not."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection) -> None:
        self._cursor = cursor

    def __getattr__(self, name: str) -> object:
        return getattr(self._cursor, name)

    def __enter__(self) -> _Shared:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Leave the cursor to the transaction."""


_open: ContextVar[dict[int, duckdb.DuckDBPyConnection] | None] = ContextVar("_open", default=None)


def joined(store: object) -> duckdb.DuckDBPyConnection | None:
    """The cursor of the transaction of this store that the caller is part of; None outside of one."""
    return (_open.get() or {}).get(id(store))


@contextmanager
def joining(store: object, cursor: duckdb.DuckDBPyConnection) -> Iterator[duckdb.DuckDBPyConnection]:
    """Make ``cursor`` what ``joined(store)`` answers, here and in everything that is started from here."""
    shared = cast("duckdb.DuckDBPyConnection", _Shared(cursor))
    token = _open.set((_open.get() or {}) | {id(store): shared})
    try:
        yield shared
    finally:
        _open.reset(token)


@contextmanager
def transaction(cursor: duckdb.DuckDBPyConnection) -> Iterator[None]:
    """What happens inside happens as a whole or not at all."""
    cursor.execute("BEGIN")
    try:
        yield
        cursor.execute("COMMIT")
    except BaseException:
        cursor.execute("ROLLBACK")
        raise


class WritingLock(AbstractContextManager[None]):
    """Held by one thread at a time, again and again; part of an open transaction is whoever has joined it."""

    def __init__(self, store: object) -> None:
        self._store = store
        self._lock = threading.RLock()

    def __enter__(self) -> None:
        if joined(self._store) is None:
            self._lock.acquire()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if joined(self._store) is None:
            self._lock.release()

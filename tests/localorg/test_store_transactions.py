"""Transactions of the store: whole or not at all, joined from inside wherever the work runs, alone against the rest."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator

import pytest
from starlette.concurrency import run_in_threadpool

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.store.store import Store


@pytest.fixture
def store() -> Iterator[Store]:
    store = Store(None, Catalogue.standard())
    with store.cursor() as cursor:
        cursor.execute("CREATE TABLE org.notes (note VARCHAR)")
    yield store
    store.close()


def write(store: Store, note: str) -> None:
    with store.writing, store.cursor() as cursor:
        cursor.execute("INSERT INTO org.notes VALUES ($1)", [note])


def notes(store: Store) -> list[str]:
    with store.cursor() as cursor:
        return [row[0] for row in cursor.execute("SELECT note FROM org.notes ORDER BY note").fetchall()]


class Undo(Exception):
    pass


def test_what_is_written_inside_is_undone_with_the_block(store: Store) -> None:
    seen: list[str] = []

    def inside() -> None:
        write(store, "a")
        with store.transaction() as inner:  # joins the outer one
            inner.execute("INSERT INTO org.notes VALUES ('b')")
        seen.extend(notes(store))
        raise Undo

    with pytest.raises(Undo), store.transaction():
        inside()
    assert (seen, notes(store), store.in_transaction) == (["a", "b"], [], False)
    with store.transaction():
        write(store, "c")
        assert store.in_transaction
    assert notes(store) == ["c"]


def test_work_in_other_threads_joins_and_strangers_see_nothing(store: Store) -> None:
    seen: list[list[str]] = []

    async def work() -> list[str]:
        await run_in_threadpool(write, store, "inside")
        stranger = threading.Thread(target=lambda: seen.append(notes(store)))
        stranger.start()
        await asyncio.to_thread(stranger.join)
        return await run_in_threadpool(notes, store)

    with store.transaction(), store.new_cursor() as outside:
        assert asyncio.run(work()) == ["inside"]
        assert outside.execute("SELECT * FROM org.notes").fetchall() == []
    assert seen == [[]]
    assert notes(store) == ["inside"]


def test_other_writers_wait_for_the_end(store: Store) -> None:
    order: list[str] = []

    def later() -> None:
        write(store, "later")
        order.append("later")

    with store.transaction():
        other = threading.Thread(target=later)
        other.start()
        write(store, "first")
        order.append("first")
    other.join(timeout=60)
    assert order == ["first", "later"]
    assert notes(store) == ["first", "later"]


def test_two_stores_have_transactions_of_their_own(store: Store) -> None:
    other = Store(None, Catalogue.standard())
    try:
        with store.transaction():
            assert not other.in_transaction
            with other.transaction():
                assert (store.in_transaction, other.in_transaction) == (True, True)
    finally:
        other.close()

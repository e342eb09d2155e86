"""Work that is done ahead of those who take its results, and no further ahead than is said."""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future
from typing import TypeVar

from sfframe.errors import Cancelled

T = TypeVar("T")

_GRACE = 0.3  # seconds that pieces get to end by themselves after a cancel, or when no more results are wanted
_PATIENCE = 3.0  # and after an error: nobody is in a hurry then, and what they hold of the connection is given back
_LOOK = 0.1  # seconds between two looks at the caller's cancel event; it also lets Ctrl-C in on every system


def run_ahead(
    work: Iterable[Callable[[threading.Event], T]], *, ahead: int, cancel: threading.Event | None = None
) -> Generator[T, None, None]:
    """The results of ``work`` in its order; up to ``ahead`` pieces are under way, or done and not yet taken.

    ``work`` is asked for its next piece in the caller's thread. Each piece gets an event that is set when nobody waits
    for its result any more: after an error, a cancel, or when this iterator is closed. Errors of a piece are raised in
    its turn, ``Cancelled`` when ``cancel`` is set.
    """
    stop = threading.Event()
    under_way: deque[tuple[Future[T], threading.Thread]] = deque()
    pieces = iter(work)
    grace = _GRACE
    try:
        while True:
            while len(under_way) < max(ahead, 1) and (piece := next(pieces, None)) is not None:
                under_way.append(_begun(piece, stop))
            if not under_way:
                return
            result = awaited(under_way[0][0], cancel)
            under_way.popleft()
            yield result
            del result  # may be large, and the next one is waited for
    except Exception as problem:
        grace = _GRACE if isinstance(problem, Cancelled) else _PATIENCE
        raise
    finally:
        stop.set()
        until = time.monotonic() + grace
        for _, thread in under_way:
            thread.join(max(until - time.monotonic(), 0.0))


def awaited(future: Future[T], cancel: threading.Event | None) -> T:
    """The future's result or error; ``Cancelled`` when ``cancel`` is set first."""
    while True:
        try:
            return future.result(timeout=_LOOK)
        except TimeoutError:
            if future.done():  # the work's own
                raise
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled", remedy="What was begun in the org is kept there; read it again by its job id.")


def _begun(piece: Callable[[threading.Event], T], stop: threading.Event) -> tuple[Future[T], threading.Thread]:
    future: Future[T] = Future()

    def run() -> None:
        try:
            future.set_result(piece(stop))
        except BaseException as problem:  # noqa: BLE001 - raised again by the caller's thread
            future.set_exception(problem)

    # A daemon: a piece that hangs in the network must not keep the process alive after Ctrl-C.
    thread = threading.Thread(target=run, name="sfframe-ahead", daemon=True)
    thread.start()
    return future, thread

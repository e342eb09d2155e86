"""Work that is done ahead of those who take its results, and no further ahead than is said."""

from __future__ import annotations

import queue
import threading
import time
from collections import deque
from collections.abc import Callable, Generator, Iterable
from concurrent.futures import Future, wait
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sfframe.errors import Cancelled

T = TypeVar("T")

_GRACE = 0.3  # seconds that pieces get to end by themselves after a cancel, or when no more results are wanted
_PATIENCE = 3.0  # and after an error: nobody is in a hurry then, and what they hold of the connection is given back
_LOOK = 0.1  # seconds between two looks at the caller's cancel event; it also lets Ctrl-C in on every system


def run_ahead(
    work: Iterable[Callable[[threading.Event], T]],
    *,
    ahead: int,
    lanes: int | None = None,
    cancel: threading.Event | None = None,
) -> Generator[T, None, None]:
    """The results of ``work`` in its order; up to ``ahead`` pieces are under way, or done and not yet taken.

    They are done in as many threads, or in ``lanes`` of them.

    ``work`` is asked for its next piece in the caller's thread. Each piece gets an event that is set when nobody waits
    for its result any more: after an error, a cancel, or when this iterator is closed. Errors of a piece are raised in
    its turn, ``Cancelled`` when ``cancel`` is set.
    """
    threads: _Lanes[T] = _Lanes(max(lanes or ahead, 1))
    under_way: deque[Future[T]] = deque()
    pieces = iter(work)
    grace = _GRACE
    try:
        while True:
            while len(under_way) < max(ahead, 1) and (piece := next(pieces, None)) is not None:
                under_way.append(threads.begin(piece))
            if not under_way:
                return
            result = awaited(under_way[0], cancel)
            under_way.popleft()
            yield result
            del result  # may be large, and the next one is waited for
    except Exception as problem:
        grace = _GRACE if isinstance(problem, Cancelled) else _PATIENCE
        raise
    finally:
        threads.end(grace)


def awaited(future: Future[T], cancel: threading.Event | None) -> T:
    """The future's result or error; ``Cancelled`` when ``cancel`` is set first."""
    while not wait([future], timeout=_LOOK).done:
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled", remedy="What was begun in the org is kept there; read it again by its job id.")
    return future.result()


@dataclass(slots=True)
class _Lanes(Generic[T]):
    """Threads that each take one piece after the other; a thread of its own for each would keep memory of its own."""

    most: int
    stop: threading.Event = field(default_factory=threading.Event)
    threads: list[threading.Thread] = field(default_factory=list)
    waiting: queue.SimpleQueue[tuple[Future[T], Callable[[threading.Event], T]] | None] = field(
        default_factory=queue.SimpleQueue
    )

    def begin(self, piece: Callable[[threading.Event], T]) -> Future[T]:
        """Hands a piece to a free lane; the caller takes care that there is one."""
        future: Future[T] = Future()
        self.waiting.put((future, piece))
        if len(self.threads) < self.most:
            # Daemons: a piece that hangs in the network must not keep the process alive after Ctrl-C.
            self.threads.append(threading.Thread(target=self._lane, name="sfframe-ahead", daemon=True))
            self.threads[-1].start()
        return future

    def end(self, grace: float) -> None:
        """Tells the pieces to stop, and waits for them, but no longer than ``grace`` seconds."""
        self.stop.set()
        until = time.monotonic() + grace
        for _ in self.threads:
            self.waiting.put(None)
        for thread in self.threads:
            thread.join(max(until - time.monotonic(), 0.0))

    def _lane(self) -> None:
        while (taken := self.waiting.get()) is not None:
            _run(*taken, self.stop)
            del taken  # may hold a large result, and the next piece is waited for


def _run(future: Future[T], piece: Callable[[threading.Event], T], stop: threading.Event) -> None:
    try:
        future.set_result(piece(stop))
    except BaseException as problem:  # noqa: BLE001 - raised again by the caller's thread
        future.set_exception(problem)

"""Several conversations at once, in threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sfframe.errors import Cancelled

T = TypeVar("T")

_LOOK = 0.1  # seconds between two looks at the caller's cancel event; it also lets Ctrl-C in on every system
_GRACE = 0.3  # seconds that lanes get to end by themselves after a cancel; what they do later the ledger will know


@dataclass(slots=True)
class _Board(Generic[T]):
    """What the lanes share: the next piece of work, and what came of those that were done."""

    work: Sequence[Callable[[threading.Event], T]]
    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    news: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)
    results: dict[int, T] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)
    begun: int = 0

    def lane(self) -> None:
        """Takes work until there is none, until something failed, or until it shall stop."""
        while (number := self._next()) is not None:
            try:
                result = self.work[number](self.stop)
            except BaseException as problem:  # noqa: BLE001 - raised again by the caller's thread
                with self.lock:
                    self.errors.append(problem)
            else:
                with self.lock:
                    self.results[number] = result
        self.news.put(None)

    def _next(self) -> int | None:
        with self.lock:
            if self.stop.is_set() or self.errors or self.begun == len(self.work):
                return None
            self.begun += 1
            return self.begun - 1


def run_lanes(
    work: Sequence[Callable[[threading.Event], T]], *, cap: int, cancel: threading.Event | None = None
) -> list[T]:
    """Runs all of ``work``, up to ``cap`` pieces at once, and gives the results in the order of ``work``.

    Each piece gets an event that is set when it shall stop: when ``cancel`` is set, and at Ctrl-C. After the first
    error no new piece begins; those that run go on to their end, then the first error is raised, with a note on the
    others. At a cancel this returns within half a second, with ``Cancelled``, even when a piece hangs in the network.
    """
    board = _Board(work)
    # Daemons: a lane that hangs in the network must not keep the process alive after Ctrl-C.
    lanes = [
        threading.Thread(target=board.lane, name=f"sfframe-lane-{number}", daemon=True)
        for number in range(min(max(cap, 1), len(work)))
    ]
    try:
        for lane in lanes:
            lane.start()
        _watch(board, len(lanes), cancel)
    except BaseException:
        board.stop.set()
        _join(lanes)
        raise
    if board.stop.is_set():
        _join(lanes)
    with board.lock:
        failures = [problem for problem in board.errors if not isinstance(problem, Cancelled)] or board.errors[:1]
        results = dict(board.results)
    if failures:
        if len(failures) > 1:
            failures[0].add_note(f"{len(failures) - 1} more parts failed as well.")
        raise failures[0]
    if len(results) < len(work):
        raise Cancelled("cancelled", remedy="What was begun is kept; resume the run to go on.")
    return [results[number] for number in range(len(work))]


def _watch(board: _Board[T], lanes: int, cancel: threading.Event | None) -> None:
    """Waits until every lane has ended, or until the caller cancels."""
    while lanes:
        if cancel is not None and cancel.is_set():
            board.stop.set()
            return
        try:
            board.news.get(timeout=_LOOK)
            lanes -= 1
        except queue.Empty:
            continue


def _join(lanes: Sequence[threading.Thread]) -> None:
    for lane in lanes:
        if lane.is_alive():
            lane.join(_GRACE / len(lanes))

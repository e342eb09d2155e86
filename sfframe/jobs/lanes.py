"""Several conversations at once, in threads."""

from __future__ import annotations

import queue
import threading
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from sfframe.errors import Cancelled

T = TypeVar("T")

_LOOK = 0.1  # seconds between two looks at the caller's cancel event; it also lets Ctrl-C in on every system
_GRACE = 0.3  # seconds that lanes get to end by themselves after a cancel; what they do later the ledger will know


@dataclass(slots=True)
class _Board(Generic[T]):
    """What the lanes share: the work that waits, and what came of that which was done."""

    stop: threading.Event = field(default_factory=threading.Event)
    lock: threading.Lock = field(default_factory=threading.Lock)
    waiting: queue.SimpleQueue[tuple[int, Callable[[threading.Event], T]] | None] = field(
        default_factory=queue.SimpleQueue
    )
    news: queue.SimpleQueue[None] = field(default_factory=queue.SimpleQueue)
    results: dict[int, T] = field(default_factory=dict)
    errors: list[BaseException] = field(default_factory=list)

    def lane(self) -> None:
        """Takes work until there is none, until something failed, or until it shall stop."""
        while (taken := self.waiting.get()) is not None and not self.over:
            number, piece = taken
            try:
                result = piece(self.stop)
            except BaseException as problem:  # noqa: BLE001 - raised again by the caller's thread
                with self.lock:
                    self.errors.append(problem)
            else:
                with self.lock:
                    self.results[number] = result
        self.waiting.put(None)  # for the lane beside this one
        self.news.put(None)

    @property
    def over(self) -> bool:
        """True when no further piece may begin."""
        return self.stop.is_set() or bool(self.errors)


def run_lanes(
    work: Iterable[Callable[[threading.Event], T]], *, cap: int, cancel: threading.Event | None = None
) -> list[T]:
    """Runs all of ``work``, up to ``cap`` pieces at once, and gives the results in the order of ``work``.

    ``work`` is taken in the caller's thread, and a piece begins as soon as it is there. Each piece gets an event that
    is set when it shall stop: when ``cancel`` is set, and at Ctrl-C. After the first error, also one of ``work``
    itself, no new piece begins; those that run go on to their end, then the first error is raised, with a note on the
    others. At a cancel this returns within half a second, with ``Cancelled``, even when a piece hangs in the network.
    """
    board: _Board[T] = _Board()
    lanes: list[threading.Thread] = []
    given = 0
    try:
        try:
            for piece in work:
                board.waiting.put((given, piece))
                given += 1
                if len(lanes) < max(cap, 1):
                    lanes.append(_started(board, len(lanes)))
                if board.over or (cancel is not None and cancel.is_set()):
                    break
        except Exception as problem:  # noqa: BLE001 - raised again below, when the lanes have ended
            board.errors.insert(0, problem)
        board.waiting.put(None)
        _watch(board, len(lanes), cancel)
    except BaseException:  # Ctrl-C: the lanes must stop too
        board.stop.set()
        board.waiting.put(None)
        _join(lanes)
        raise
    if board.stop.is_set():
        _join(lanes)
    failures = [problem for problem in board.errors if not isinstance(problem, Cancelled)] or board.errors[:1]
    results = dict(board.results)
    if failures:
        if len(failures) > 1:
            failures[0].add_note(f"{len(failures) - 1} more parts failed as well.")
        raise failures[0]
    if len(results) < given or board.stop.is_set():
        raise Cancelled("cancelled", remedy="What was begun is kept; resume the run to go on.")
    return [results[number] for number in range(given)]


def _started(board: _Board[T], number: int) -> threading.Thread:
    # Daemons: a lane that hangs in the network must not keep the process alive after Ctrl-C.
    lane = threading.Thread(target=board.lane, name=f"sfframe-lane-{number}", daemon=True)
    lane.start()
    return lane


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

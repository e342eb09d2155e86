"""When to ask a job for its state, and when to stop asking."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Collection
from dataclasses import dataclass
from itertools import count
from threading import Event
from typing import Protocol, TypeVar

from sfframe.backoff import TRANSIENT_CODES, TRANSIENT_STATUS
from sfframe.errors import ApiError, Cancelled, ConnectionFailed, JobTimeout

FAILED_POLLS = 20  # in a row, each already repeated by the transport: then the way to the org is gone


class Stated(Protocol):
    """What an org says of a job or a batch."""

    @property
    def state(self) -> str:
        """The org's word for where it stands."""
        ...


Info = TypeVar("Info", bound=Stated)


class Clock(Protocol):
    """The only time in here; tests bring their own."""

    def now(self) -> float:
        """Seconds that only grow; their zero means nothing."""
        ...

    def wait(self, seconds: float, cancel: Event | None) -> bool:
        """Waits that long, or until ``cancel`` is set; True when it is."""
        ...


class SystemClock:
    """The real one."""

    def now(self) -> float:
        """Monotonic seconds."""
        return time.monotonic()

    def wait(self, seconds: float, cancel: Event | None) -> bool:
        """Sleeps; wakes at once when ``cancel`` is set."""
        if cancel is not None:
            return cancel.wait(seconds)
        time.sleep(seconds)
        return False


SYSTEM_CLOCK = SystemClock()


@dataclass(frozen=True, slots=True)
class Pacing:
    """How often a job is polled; times in seconds.

    Small jobs end at once, large ones take hours: the pauses grow from ``first`` by ``factor`` to ``longest``,
    and after ``late_after`` they are ``late`` (bulk2.md 6.5). ``timeout`` ends the waiting, not the job: None waits for
    ever, 0 does not ask at all.
    """

    first: float = 0.05
    factor: float = 1.6
    longest: float = 30.0
    late_after: float = 1_800.0
    late: float = 120.0
    timeout: float | None = 86_400.0

    def wait(self, polls: int, elapsed: float, *, jitter: float) -> float | None:
        """Seconds until the next poll, after ``polls`` of them and ``elapsed`` seconds; None when the time is up.

        ``jitter`` is a number in [0, 1): it moves the pause by up to a fifth, so that parallel jobs fall out of step.
        The last poll comes when the time ends.
        """
        grown = self.longest if polls > 50 else min(self.longest, self.first * self.factor**polls)
        pause = (self.late if elapsed >= self.late_after else grown) * (0.8 + 0.4 * jitter)
        if self.timeout is None:
            return pause
        left = self.timeout - elapsed
        return min(pause, left) if left > 0 else None


def may_pass(problem: ConnectionFailed | ApiError) -> bool:
    """True for a failure of the way to the org or of its edge: it says nothing about the job."""
    if isinstance(problem, ConnectionFailed):
        return True
    return problem.status in TRANSIENT_STATUS or problem.error_code in TRANSIENT_CODES


def follow(
    ask: Callable[[], Info],
    *,
    job_id: str,
    ended: Collection[str],
    go_on: str,
    pacing: Pacing,
    on_info: Callable[[Info], None],
    on_failure: Callable[[str], None],
    cancel: Event | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> Info:
    """Polls until the state is one of ``ended``. A poll that fails says nothing about the job: the next one comes.

    Raises ``JobTimeout`` with ``go_on`` as its remedy, and ``Cancelled``; the job itself goes on in both cases.
    """
    began = clock.now()
    failures = 0
    for polls in count():
        pause = pacing.wait(polls, clock.now() - began, jitter=jitter())
        if pause is None:
            raise JobTimeout(
                f"the job has not ended within {pacing.timeout:g} seconds; it goes on in the org",
                where=f"job {job_id}",
                remedy=go_on,
                job_id=job_id,
            )
        if clock.wait(pause, cancel):
            raise Cancelled("cancelled; the job goes on in the org", where=f"job {job_id}", remedy=go_on, job_id=job_id)
        try:
            info = ask()
        except (ConnectionFailed, ApiError) as problem:
            failures += 1
            if failures >= FAILED_POLLS or not may_pass(problem):
                raise
            on_failure(problem.what)
            continue
        failures = 0
        on_info(info)
        if info.state in ended:
            return info
    raise AssertionError

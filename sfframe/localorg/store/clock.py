"""Clock: what time it is in the org. It goes with the machine's until somebody sets it."""

from __future__ import annotations

import datetime as dt
import threading


class Clock:
    """The time of one org: of its stamps, date literals, sessions, daily limits and the days that jobs are kept.

    With ``moment`` it stands there from the beginning, so that the rows of a new org bear that stamp too. A moment
    without a zone is UTC. What is waited for (latency, polls, seconds of work) goes by the machine's clock.

    >>> import datetime as dt
    >>> from sfframe.localorg import LocalOrg
    >>> with LocalOrg() as org:
    ...     org.clock.set(dt.datetime(2026, 3, 4, 12))
    ...     org.clock.advance(hours=1)
    ...     org.clock.now().isoformat()
    '2026-03-04T13:00:00+00:00'
    """

    def __init__(self, moment: dt.datetime | None = None) -> None:
        self._lock = threading.Lock()
        self._stands_at: dt.datetime | None = None
        self._ahead = dt.timedelta()  # of the machine's, while it goes
        if moment is not None:
            self.set(moment)

    def now(self) -> dt.datetime:
        """The moment, in UTC."""
        with self._lock:
            return self._stands_at or dt.datetime.now(dt.UTC) + self._ahead

    def set(self, moment: dt.datetime, *, going: bool = False) -> None:
        """Let the clock stand at a moment, or go on from it."""
        moment = moment.replace(tzinfo=dt.UTC) if moment.tzinfo is None else moment.astimezone(dt.UTC)
        with self._lock:
            self._ahead = moment - dt.datetime.now(dt.UTC)
            self._stands_at = None if going else moment

    def advance(self, *, days: float = 0, hours: float = 0, minutes: float = 0, seconds: float = 0) -> None:
        """Put the clock forward, or back by what is negative; it stands or goes as before."""
        by = dt.timedelta(days=days, hours=hours, minutes=minutes, seconds=seconds)
        with self._lock:
            self._ahead += by
            if self._stands_at is not None:
                self._stands_at += by

    def reset(self) -> None:
        """Go with the machine's clock again."""
        with self._lock:
            self._stands_at, self._ahead = None, dt.timedelta()

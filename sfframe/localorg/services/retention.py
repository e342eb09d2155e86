"""Retention: jobs that have outlived their time go, by the org's clock (bulk2.md 2.1, 5; bulk1.md 7)."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable

from sfframe.localorg.store.store import Store

OPEN = dt.timedelta(hours=24)  # so long a job may stay open
KEPT = dt.timedelta(days=7)  # so long a job and its results are kept behind its end
_MINUTE = dt.timedelta(minutes=1)


class Retention:
    """Calls ``expire`` with the time of the org, once a minute of that clock at most and only when somebody asks."""

    def __init__(self, store: Store, expire: Callable[[dt.datetime], None]) -> None:
        self._store = store
        self._expire = expire
        self._looked = dt.datetime.min

    def apply(self) -> None:
        """Let go of what is too old by now."""
        now = self._store.now()
        if abs(now - self._looked) >= _MINUTE:
            self._looked = now
            self._expire(now)

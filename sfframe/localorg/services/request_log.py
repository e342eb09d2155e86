"""The log of requests: what clients have asked of the org lately."""

from __future__ import annotations

import datetime as dt
from collections import deque
from dataclasses import dataclass

MOST = 10_000  # requests that are remembered; older ones are forgotten


@dataclass(frozen=True, slots=True)
class LoggedRequest:
    """One request. ``at`` is when it came, in UTC; without a status the connection ended before an answer began.

    Bodies are counted as they came over the wire. The query string is left out: it may carry a token.
    """

    at: dt.datetime
    method: str
    path: str
    status: int | None
    ms: float
    bytes_in: int
    bytes_out: int
    fault: str | None


class RequestLog:
    """The last requests, the oldest first. Appending and copying a deque are safe between threads."""

    def __init__(self) -> None:
        self._requests: deque[LoggedRequest] = deque(maxlen=MOST)

    def add(self, request: LoggedRequest) -> None:
        """Remember a request."""
        self._requests.append(request)

    def requests(self) -> list[LoggedRequest]:
        """What is remembered."""
        return list(self._requests.copy())

    def clear(self) -> None:
        """Forget all."""
        self._requests.clear()

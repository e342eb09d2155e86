"""One pure decision: send it again, and after how long? The caller does the waiting."""

from __future__ import annotations

from dataclasses import dataclass

# What the edge and the platform answer when the same request may work in a moment (bulk2.md 6.4, rest.md 1.5).
TRANSIENT_STATUS = frozenset({406, 408, 420, 429, 500, 502, 503, 504})
TRANSIENT_CODES = frozenset(
    {
        "API_TEMPORARILY_UNAVAILABLE", "SERVER_UNAVAILABLE", "TXN_SECURITY_METERING_ERROR", "UNABLE_TO_LOCK_ROW",
        "InternalServerError", "Timeout", "TooManyLockFailure",  # Bulk API 1.0, with status 400 (bulk1.md 8)
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Backoff:
    """How often and how patiently a request is repeated; times in seconds."""

    attempts: int = 6
    first: float = 0.5
    factor: float = 2.0
    longest: float = 30.0

    def wait(self, attempt: int, *, jitter: float, retry_after: float | None = None) -> float | None:
        """Seconds to wait before try number ``attempt + 1``; None when there shall be none.

        ``attempt`` counts from 1. ``jitter`` is a number in [0, 1): half of the wait is fixed, half is drawn, so that
        many clients do not come back in step. What the server asks for in Retry-After is never undercut.
        """
        if attempt >= self.attempts:
            return None
        grown = min(self.longest, self.first * self.factor ** (attempt - 1))
        return max(grown * (0.5 + jitter / 2), retry_after or 0.0)

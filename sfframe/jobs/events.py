"""What a conversation tells to those who watch it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

JobEventKind = Literal["open", "uploaded", "queued", "in_progress", "ended", "fetched", "aborted", "error"]

_log = logging.getLogger("sfframe.jobs")


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One step of one part. ``part`` counts from 0 to ``parts`` - 1 and ``rows`` are those of the part.

    ``processed`` (failed ones included) and ``failed`` are the org's counters as far as they are known;
    ``bytes_sent`` is the size of the upload once it has arrived. An ``error`` says in ``message`` what will be tried
    again. Pages of an extract are ``fetched`` with the rows so far in ``processed``.
    """

    kind: JobEventKind
    part: int
    parts: int
    job_id: str
    state: str = ""
    rows: int = 0
    processed: int = 0
    failed: int = 0
    bytes_sent: int = 0
    message: str = ""


Listener = Callable[[JobEvent], None]


def tell(listener: Listener | None, event: JobEvent) -> None:
    """Hands the event on. A listener that fails is noted in the log: the job must not be lost with it."""
    if listener is None:
        return
    try:
        listener(event)
    except Exception as problem:  # noqa: BLE001 - any fault of the listener's, and only its
        _log.warning("a listener failed at the event %r: %s", event.kind, type(problem).__name__)

"""What a conversation tells to those who watch it."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal

JobEventKind = Literal[
    "open", "uploaded", "closed", "queued", "in_progress", "ended", "response", "aborted", "error"
]  # fmt: skip

_log = logging.getLogger("sfframe.jobs")


@dataclass(frozen=True, slots=True)
class JobEvent:
    """One step of one part. ``part`` counts from 0 to ``parts`` - 1 and ``rows`` are those of the part.

    ``open``: the job is made; ``uploaded``: its rows have arrived; ``closed``: it was told to begin; ``queued`` and
    ``in_progress``: what the org says of it; ``ended``: it is complete or has failed; ``response``: its answers are
    here; ``aborted``: it was stopped. ``state`` is the org's own word for it at that moment.

    ``processed`` (failed ones included) and ``failed`` are the org's counters as far as they are known;
    ``bytes_sent`` is the size of the upload once it has arrived. An ``error`` says in ``message`` what will be tried
    again. An extract tells its pages as ``in_progress``, with the rows so far in ``processed``.
    ``batch_id`` is set for batches of Bulk 1.0.
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
    batch_id: str = ""


Listener = Callable[[JobEvent], None]


def tell(listener: Listener | None, event: JobEvent) -> None:
    """Hands the event on. A listener that fails is noted in the log: the job must not be lost with it."""
    if listener is None:
        return
    try:
        listener(event)
    except Exception as problem:  # noqa: BLE001 - any fault of the listener's, and only its
        _log.warning("a listener failed at the event %r: %s", event.kind, type(problem).__name__)

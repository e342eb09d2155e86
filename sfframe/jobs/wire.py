"""What a conversation needs of an org, and how a large answer comes to disk whole or not at all."""

from __future__ import annotations

import contextlib
import os
import random
import uuid
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager
from itertools import count
from pathlib import Path
from threading import Event
from typing import BinaryIO, Protocol, TypeVar

from sfframe.backoff import Backoff
from sfframe.errors import Cancelled, ConnectionFailed, LedgerError
from sfframe.jobs.pacing import SYSTEM_CLOCK, Clock
from sfframe.protocol.call import Call, Streamed
from sfframe.spool import Part, writing

T = TypeVar("T")

# The org repeats the beginning of a stream by itself; these are tries after a body that broke off (bulk2.md 4.4).
DOWNLOAD_AGAIN = Backoff(attempts=5, first=1.0)


class Wire(Protocol):
    """The part of ``Org`` that jobs use; tests write their own."""

    def send(self, call: Call[T], *, cancel: Event | None = None) -> T:
        """The whole answer, read; raises what it means when it is an error."""
        ...

    def stream(self, call: Call[object], *, cancel: Event | None = None) -> AbstractContextManager[Streamed]:
        """The answer while it comes."""
        ...


def download(
    wire: Wire,
    call: Call[object],
    target: Path,
    *,
    cancel: Event | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> Mapping[str, str]:
    """Streams an answer to ``target`` and gives its headers; the file has its name only when it is whole.

    A body that breaks off is fetched again from its beginning. The file is readable by its owner only.
    """
    for attempt in count(1):
        try:
            return _fetched(wire, call, target, cancel)
        except ConnectionFailed:
            pause = DOWNLOAD_AGAIN.wait(attempt, jitter=jitter())
            if pause is None:
                raise
            clock.wait(pause, cancel)  # the next try notices a cancel
    raise AssertionError


def check_cancel(cancel: Event | None, *, where: str, job_id: str = "") -> None:
    """Raises ``Cancelled`` when the caller asked for it."""
    if cancel is not None and cancel.is_set():
        raise Cancelled(
            "cancelled", where=where, remedy="What was begun is kept; resume the run to go on.", job_id=job_id
        )


@contextmanager
def written_whole(target: Path) -> Iterator[BinaryIO]:
    """A new file that has its name only when it is whole and on the disk; readable by its owner only."""
    partial = target.with_name(f".{target.name}.{uuid.uuid4().hex}.partial")
    try:
        with writing(target.parent):
            with _owner_only(partial) as file:
                yield file
                file.flush()
                os.fsync(file.fileno())  # the ledger will say that it is here
            partial.replace(target)
    finally:
        with contextlib.suppress(OSError):
            partial.unlink(missing_ok=True)


def check_part(part: Part) -> None:
    """Raises ``LedgerError`` when the file on this disk is not the one that was written: it would not be all rows."""
    found = part.path.stat().st_size if part.path.is_file() else 0
    if found != part.bytes:
        raise LedgerError(
            f"the spooled part has {found:,} bytes, and {part.bytes:,} were written",
            where=str(part.path),
            remedy="The file was changed or cut. Nothing of it was sent; load the rows anew.",
        )


def _fetched(wire: Wire, call: Call[object], target: Path, cancel: Event | None) -> Mapping[str, str]:
    with written_whole(target) as file, wire.stream(call, cancel=cancel) as answer:
        if answer.headers.get("content-type", "").startswith("text/html"):
            raise ConnectionFailed(
                "a web page came instead of the file",
                where=call.where,
                remedy="Try again; if it stays so, a proxy or a login page stands between.",
                job_id=call.job_id,
            )
        for piece in answer.chunks():
            check_cancel(cancel, where=call.where, job_id=call.job_id)
            file.write(piece)
    return answer.headers


def _owner_only(path: Path) -> BinaryIO:
    return os.fdopen(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o600), "wb")

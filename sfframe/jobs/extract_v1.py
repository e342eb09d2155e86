"""A query through the Bulk API 1.0, from its job to the result files of its batches (bulk1.md 4, 6).

A query is one batch; with PK chunking the org adds batches, each with a range of ids, and leaves the first one
NotProcessed. Each batch has result files of its own, and all of them are the answer.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from threading import Event
from typing import Final, TypeVar

from sfframe.errors import ApiError, ConnectionFailed, JobAborted, JobFailed, JobTimeout
from sfframe.facts import BATCH_ENDED
from sfframe.jobs.ahead import run_ahead
from sfframe.jobs.events import JobEvent, JobEventKind, Listener, tell
from sfframe.jobs.pacing import SYSTEM_CLOCK, Clock, Pacing, follow, may_pass
from sfframe.jobs.result_pages import Incoming, until_whole
from sfframe.jobs.wire import Wire, check_cancel
from sfframe.protocol import bulk1
from sfframe.protocol.bulk1 import NO_RECORDS, BatchInfo, JobOperation, PkChunking
from sfframe.protocol.bulk2_query import PageHead
from sfframe.protocol.call import Call

T = TypeVar("T")

_BEGUN_ANEW: Final = 3  # times that a job is made when the answer to its query was lost
_GRACE: Final = 0.2  # seconds that a read which is given up waits for the answer to its abort


@dataclass(frozen=True, slots=True)
class BatchQuery:
    """A query of Bulk API 1.0; ``sobject`` must be the object behind its FROM."""

    sobject: str
    soql: str
    include_deleted: bool = False
    chunking: PkChunking | None = None


def start_query(wire: Wire, query: BatchQuery, *, cancel: Event | None = None, on_event: Listener | None = None) -> str:
    """Makes the job with its query and gives its id; the org begins at once.

    Where the answer to the query was lost, the job is given up and another one made: a query that is in a job twice
    gives every row twice.
    """
    operation: JobOperation = "queryAll" if query.include_deleted else "query"
    create = bulk1.create(query.sobject, operation, pk_chunking=query.chunking)
    for attempt in count(1):
        job_id = wire.send(create, cancel=cancel).id
        try:
            first = wire.send(bulk1.add_query(job_id, query.soql), cancel=cancel)
        except BaseException as problem:  # also at Ctrl-C: the job would go on in the org
            _abort(wire, job_id)
            passing = isinstance(problem, ConnectionFailed | ApiError) and may_pass(problem)
            if not passing or attempt == _BEGUN_ANEW:
                raise
        else:
            tell(on_event, JobEvent("queued", 0, 1, job_id, first.state))
            return job_id
    raise AssertionError


@contextmanager
def ending(wire: Wire, job_id: str) -> Iterator[None]:
    """Closes the job behind its last file; aborts it when the read is given up before. A JobTimeout leaves it."""
    try:
        yield
    except JobTimeout:
        raise
    except BaseException:  # also at Ctrl-C, and when nobody reads on
        _abort(wire, job_id)
        raise
    with contextlib.suppress(ApiError, ConnectionFailed):  # the org closes it after a day
        wire.send(bulk1.close(job_id))


def wait_for_batches(
    wire: Wire,
    job_id: str,
    *,
    chunked: bool = False,
    pacing: Pacing | None = None,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> tuple[BatchInfo, ...]:
    """Waits until all batches are Completed, and gives those with results, in the order in which they were made.

    ``chunked`` says that the job was made with PK chunking: one batch may then be NotProcessed, in favour of others.
    Raises ``JobFailed`` as soon as a batch has Failed, ``JobAborted``, and ``JobTimeout`` while the batches go on.
    """
    look = follow(
        lambda: _Look(wire.send(bulk1.batches(job_id), cancel=cancel)),
        job_id=job_id,
        ended=("ended",),
        go_on=f"It stays in the org: sfframe.get_job({job_id!r}) gives its batches and their results.",
        pacing=pacing or Pacing(),
        on_info=lambda look: _tell(on_event, job_id, look),
        on_failure=lambda message: tell(on_event, JobEvent("error", 0, 1, job_id, message=message)),
        cancel=cancel,
        clock=clock,
        jitter=jitter,
    )
    failed = look.those("Failed")
    if failed:
        raise JobFailed(
            "the org gave a batch of the query up",
            where=f"job {job_id}, batch {failed[0].id}",
            said=failed[0].state_message,
            remedy="Mend what it names; a query that takes too long needs pk_chunking, or a narrower WHERE.",
            job_id=job_id,
        ).of_batch(failed[0].id)
    completed, left = look.those("Completed"), look.those("NotProcessed")
    if not completed or len(left) > chunked:
        raise JobAborted(
            "the org did not process all of the query",
            where=f"job {job_id}",
            said=left[0].state_message,
            remedy="The job was aborted: run the query again. If nobody did that, read without pk_chunking.",
            job_id=job_id,
        )
    return completed


def take_files(
    wire: Wire,
    batches: Sequence[BatchInfo],
    take: Callable[[Incoming], T],
    *,
    ahead: int = 1,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> Iterator[T]:
    """What ``take`` makes of the result files of Completed batches, in their order; up to ``ahead`` of them at once.

    Each is handed over as a page without rows where the org wrote ``NO_RECORDS``; its rows are known where its batch
    has no other file. ``take`` runs in threads, and again when a file is not whole, as ``PageTaker`` has it. Whether
    the rows add up to those of the batches is the caller's to check. Tells each batch as an event.
    """
    done: list[int] = []  # the rows of the batch that ends with a file, 0 for the files before

    def files() -> Iterator[Callable[[Event], T]]:
        for batch in batches:
            result_ids = wire.send(bulk1.query_result_ids(batch.job_id, batch.id), cancel=cancel)
            rows = batch.records_processed if len(result_ids) == 1 else None
            for place, result_id in enumerate(result_ids, 1):
                done.append((batch.records_processed or 0) if place == len(result_ids) else 0)
                call = bulk1.query_result(batch.job_id, batch.id, result_id)
                yield partial(_taken, len(done) - 1, call, PageHead(rows, None))

    def _taken(number: int, call: Call[bytes], head: PageHead, stop: Event) -> T:
        def once() -> T:
            check_cancel(cancel, where=call.where, job_id=call.job_id)
            with wire.stream(call, cancel=stop) as answer:
                pieces = _until(answer.chunks(), (cancel, stop), call)
                return take(Incoming(number, None, head, _without_note(pieces)))

        return until_whole(once, clock=clock, jitter=jitter, stop=stop)

    for number, taken in enumerate(run_ahead(files(), ahead=ahead, cancel=cancel), 1):
        yield taken
        if done[number - 1]:
            job_id, rows = batches[0].job_id, sum(batch.records_processed or 0 for batch in batches)
            tell(on_event, JobEvent("in_progress", 0, 1, job_id, "Completed", rows, sum(done[:number])))


@dataclass(frozen=True, slots=True)
class _Look:
    """All batches of the job at one moment."""

    batches: tuple[BatchInfo, ...]

    @property
    def state(self) -> str:
        """``ended`` when there is nothing to wait for."""
        states = {batch.state for batch in self.batches}
        return "ended" if "Failed" in states or (states and states <= BATCH_ENDED) else "running"

    def those(self, state: str) -> tuple[BatchInfo, ...]:
        return tuple(batch for batch in self.batches if batch.state == state)


def _tell(listener: Listener | None, job_id: str, look: _Look) -> None:
    rows = sum(batch.records_processed or 0 for batch in look.batches)
    waiting = all(batch.state == "Queued" for batch in look.batches)
    kind: JobEventKind = "ended" if look.state == "ended" else "queued" if waiting else "in_progress"
    tell(listener, JobEvent(kind, 0, 1, job_id, look.state, rows))


def _until(pieces: Iterable[bytes], events: Iterable[Event | None], call: Call[bytes]) -> Iterator[bytes]:
    for piece in pieces:
        for event in events:
            check_cancel(event, where=call.where, job_id=call.job_id)
        yield piece


def _without_note(pieces: Iterator[bytes]) -> Iterator[bytes]:
    """The file without the words that stand in place of one without rows."""
    begin = b""
    for piece in pieces:
        begin += piece
        if len(begin) > len(NO_RECORDS) + 2:  # and a line end
            break
    return chain(() if begin.strip() == NO_RECORDS else (begin,), pieces)


def _abort(wire: Wire, job_id: str) -> None:
    """Tells the org that nobody waits for the job; what it does not hear in time it ends by itself."""

    def ask() -> None:
        with contextlib.suppress(Exception):
            wire.send(bulk1.abort(job_id))

    asking = threading.Thread(target=ask, name="sfframe-abort", daemon=True)
    asking.start()
    asking.join(_GRACE)

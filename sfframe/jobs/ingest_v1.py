"""A load through batches of the Bulk API 1.0, from whatever point the ledger knows (bulk1.md 2, 3, 8).

There is no separate resume: a fresh write and one that goes on after a crash are the same function. The org works on a
batch as soon as it has it, so what matters is never to send one twice. Each is promised in the ledger before it goes
out. Where its answer was lost, its job is closed first, so that nothing can arrive late; then the job's batches are
listed, and those that belong to no part are read back and compared with what was to be sent. A part that is found
takes over its batch; one that is not goes out again, in a new job.
"""

from __future__ import annotations

import contextlib
import random
import threading
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from threading import Event

from sfframe.errors import (
    ApiError,
    AuthenticationError,
    Cancelled,
    ConnectionFailed,
    JobAborted,
    JobTimeout,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    ServerUnavailable,
)
from sfframe.facts import BATCH_ENDED
from sfframe.jobs.events import JobEvent, JobEventKind, Listener, tell
from sfframe.jobs.ingest import AGAIN, GONE
from sfframe.jobs.lanes import run_lanes
from sfframe.jobs.ledger import Ledger, PartState
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import SYSTEM_CLOCK, Clock, Pacing, follow, may_pass
from sfframe.jobs.wire import Wire, check_cancel, check_part, download
from sfframe.protocol import bulk1
from sfframe.protocol.bulk1 import BatchInfo, JobInfo
from sfframe.spool import Answers, Part

UNKNOWN = "Unknown"  # the state in Answers of a batch of which the org does not tell what became of its rows

_FORGOTTEN = "The org does not know this batch any more (it keeps them for 7 days): what became of its rows is unknown."
_HIDDEN = (
    "The answer to this batch was lost, and the org does not show what it has: whether it has these rows is unknown."
)
_GRACE = 0.2  # seconds that a cancelled load waits for the answer to its abort


def run_batches(
    wire: Wire,
    job: LoadJob,
    parts: Iterable[Part],
    *,
    folder: Path,
    ledger: Ledger,
    run_id: str,
    pacing: Pacing | None = None,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    lanes: int = 5,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> list[Answers]:
    """Takes each part, one batch, from where the ledger says it is to its result file in ``folder``.

    The ledger must know the run, and each part when it comes out of ``parts``, which is read in the caller's thread
    while up to ``lanes`` parts are on their way. All of them share one job; another is made where that one takes no
    more, or where an answer was lost. The answers come in the order of the parts, each with ``ordered``, or with
    ``error`` in the org's words: state ``Failed`` without a file and ``NotProcessed`` are rows that were not touched,
    ``NotFound`` (the org has forgotten the job) and ``Unknown`` are rows whose fate cannot be told. Those two are not
    noted, so that the next call asks again.

    Raises ``Cancelled`` (the open job is aborted; closed ones go on), ``JobTimeout`` while batches go on in the org,
    ``JobAborted`` when somebody aborted the job while parts were still to be sent, ``ConnectionFailed`` and
    ``ApiError`` when the conversation broke off; calling again goes on from there. ``LedgerError`` when another
    process works on the run.
    """
    known = {state.part.number: state for state in ledger.parts(run_id)}
    talk = _Conversation(
        wire, job, iter(parts), folder, ledger, run_id, pacing or Pacing(), cancel, on_event, lanes, clock, jitter
    )
    return talk.go_on(known)


@dataclass(slots=True)
class _Batch:
    """A part on its way. Without a job it was never sent; with a job but no id, its answer is missing."""

    part: Part
    job_id: str = ""
    batch_id: str = ""
    closed: bool = False  # the ledger knows that the job was closed
    unsent: bool = True
    state: str = ""
    processed: int = 0
    failed: int = 0
    sent: int = 0
    answers: Answers | None = None


@dataclass(frozen=True, slots=True)
class _Look:
    """What one poll found: the batches that have ended, and whether all have."""

    ended: list[tuple[_Batch, BatchInfo]]
    state: str


@dataclass(slots=True)
class _Conversation:
    """The steps of one run; each ends with a note in the ledger."""

    wire: Wire
    job: LoadJob
    parts: Iterator[Part]
    folder: Path
    ledger: Ledger
    run_id: str
    pacing: Pacing
    cancel: Event | None
    on_event: Listener | None
    lanes: int
    clock: Clock
    jitter: Callable[[], float]
    batches: dict[int, _Batch] = field(default_factory=dict)
    order: list[_Batch] = field(default_factory=list)
    waiting: deque[_Batch] = field(default_factory=deque)
    open_job: str = ""
    lost: ConnectionFailed | ApiError | None = None

    def go_on(self, known: dict[int, PartState]) -> list[Answers]:
        """From what the ledger knows to the answers of all parts."""
        self._take_up(known)
        try:
            self._send_all()
        except (Cancelled, KeyboardInterrupt):
            self._abort()
            raise
        except ConnectionFailed:
            raise
        except Exception:
            self._leave()
            raise
        self._follow()
        return [batch.answers for batch in self.order if batch.answers is not None]

    def _take_up(self, known: dict[int, PartState]) -> None:
        """What an earlier process left: jobs that may be open, and batches whose answers it did not hear."""
        for number, state in known.items():
            self.batches[number] = _Batch(
                state.part,
                state.job_id,
                state.batch_id,
                closed=state.stage in {"closed", "ended", "fetched"},
                unsent=state.stage == "planned",
                state=state.state,
                sent=state.part.bytes if state.batch_id else 0,
                answers=state.answers,
            )
        left = (one for one in self.batches.values() if not one.unsent and not one.closed)
        for job_id in dict.fromkeys(one.job_id for one in left):
            self._retire(job_id, again=True)

    # -- sending ----------------------------------------------------------------------------------------------------

    def _send_all(self) -> None:
        """Sends what is to be sent, into one job after the other."""
        attempt = 0
        while (first := self._next()) is not None:
            check_cancel(self.cancel, where=f"part {first.part.number}")
            self._open_job(first)
            run_lanes(self._work(first), cap=self.lanes, cancel=self.cancel)
            arrived = self._retire(self.open_job)
            problem, self.lost = self.lost, None
            if problem is not None:
                attempt = 1 if arrived else attempt + 1
                self._wait_or_raise(attempt, problem)

    def _next(self) -> _Batch | None:
        """The next part that is to be sent; parts that are further already only take their place in the order."""
        if self.waiting:
            return self.waiting.popleft()
        for part in self.parts:
            batch = self.batches.setdefault(part.number, _Batch(part))
            self.order.append(batch)
            if batch.unsent:
                return batch
        return None

    def _work(self, first: _Batch) -> Iterator[Callable[[Event], None]]:
        """Pieces for the lanes, until there are no more or an answer is lost: then the job has to be closed first."""
        batch: _Batch | None = first
        while batch is not None:
            yield partial(self._send, batch)
            batch = None if self.lost is not None else self._next()

    def _open_job(self, first: _Batch) -> None:
        made = self.wire.send(
            bulk1.create(
                self.job.sobject,
                self.job.operation,
                external_id_field=self.job.external_id_field,
                serial=self.job.serial,
                assignment_rule_id=self.job.assignment_rule_id,
            ),
            cancel=self.cancel,
        )
        self.open_job = made.id
        self._tell("open", first, job_id=made.id, state=made.state)

    def _send(self, batch: _Batch, stop: Event) -> None:
        """Promises one part and sends it. A lost answer is left to ``_retire``."""
        if self.lost is not None:
            self.waiting.append(batch)
            return
        self._check_cancel(batch, stop)
        check_part(batch.part)
        self.ledger.promise_job(self.run_id, batch.part.number, self.open_job, instead_of=batch.job_id)
        batch.job_id, batch.batch_id, batch.unsent, batch.closed = self.open_job, "", False, False
        try:
            info = self.wire.send(bulk1.add_batch(batch.job_id, batch.part.path), cancel=stop)
        except (ConnectionFailed, ApiError) as problem:
            if not may_pass(problem) and not self._takes_no_more(batch, problem):
                raise
            self.lost = problem
            self._tell("error", batch, message=problem.what)
        else:
            self._note_batch(batch, info)

    def _takes_no_more(self, batch: _Batch, problem: ConnectionFailed | ApiError) -> bool:
        """True where the job was closed without us: it is a day old, or another process took the run up."""
        if not isinstance(problem, ApiError) or problem.error_code != "InvalidJobState":
            return False
        state = self.wire.send(bulk1.info(batch.job_id), cancel=self.cancel).state
        if state == "Aborted":
            raise JobAborted(
                f"the job was aborted before part {batch.part.number} was sent",
                where=f"job {batch.job_id}",
                said=problem.said,
                remedy=f"Rows that are saved stay saved. Send the others with sfframe.resume({self.run_id!r}).",
                job_id=batch.job_id,
            ) from problem
        return state != "Open"

    def _note_batch(self, batch: _Batch, info: BatchInfo) -> None:
        self.ledger.note_batch(self.run_id, batch.part.number, batch.job_id, info.id)
        batch.batch_id, batch.state, batch.sent = info.id, info.state, batch.part.bytes
        self._tell("uploaded", batch)

    # -- the end of a job -------------------------------------------------------------------------------------------

    def _retire(self, job_id: str, *, again: bool = False) -> bool:
        """Closes a job, and settles the parts whose answers were lost; True when it has any batch of ours.

        ``again`` sends what an aborted job did not process once more: the caller resumes a load that was cancelled.
        """
        ours = [one for one in self.batches.values() if one.job_id == job_id]
        open_ones = [one for one in ours if not one.closed and one.answers is None]
        try:
            closed = self._close(job_id)
            self.open_job = ""
            if again or any(not one.batch_id for one in open_ones):
                self._settle(closed, ours, again=again)
        except _Gone:
            for one in open_ones:
                one.answers = self._not_told(one, _FORGOTTEN, state=GONE)
            return False
        there = [one for one in open_ones if one.batch_id]
        for one in there:
            self.ledger.note_closed(self.run_id, one.part.number, job_id)
            one.closed = True
        if there:
            self._tell("closed", there[-1], state="Closed")
        return bool(there)

    def _settle(self, job: JobInfo, ours: list[_Batch], *, again: bool) -> None:
        """Finds the batches of parts that have none. The job is closed: what is not here now never comes."""
        listed = self._list(job.id)
        taken = {one.batch_id for one in ours}
        missing = [one for one in ours if not one.batch_id]
        hidden = (job.batches_total or 0) > len(listed)
        for info in listed if missing else ():
            if info.id not in taken:
                found = self._owner(info, job.id, missing)
                hidden = hidden or found is None
                if found is not None:
                    missing.remove(found)
                    self._note_batch(found, info)
        for one in missing:
            if hidden:  # it may be in there, so it is not sent again
                one.answers = self._not_told(one, _HIDDEN)
            else:
                self._send_again(one)
        if again:
            unprocessed = {info.id for info in listed if info.state == "NotProcessed"}
            for one in ours:
                if one.batch_id in unprocessed and not one.closed:
                    self._send_again(one)

    def _owner(self, info: BatchInfo, job_id: str, missing: list[_Batch]) -> _Batch | None:
        """The part that this batch is of, by its bytes (bulk1.md 3.4); None when it is of none, or cannot be read."""
        try:
            content = self.wire.send(bulk1.batch_request(job_id, info.id), cancel=self.cancel)
        except ApiError as problem:
            if may_pass(problem) or _passes_with_rights(problem):
                raise
            return None
        return next((one for one in missing if one.part.path.read_bytes() == content), None)

    def _send_again(self, batch: _Batch) -> None:
        """Has the part sent when its turn comes. ``job_id`` stays: the ledger's next promise names what it replaces."""
        batch.batch_id, batch.unsent, batch.sent = "", True, 0
        if any(one is batch for one in self.order):
            self.waiting.append(batch)

    def _close(self, job_id: str) -> JobInfo:
        for attempt in range(1, AGAIN.attempts + 1):
            try:
                return self.wire.send(bulk1.close(job_id), cancel=self.cancel)
            except (ConnectionFailed, ApiError) as problem:
                if _is_gone(problem):
                    raise _Gone from None
                job = self._ask(job_id)
                if job.state != "Open":  # by this request, or earlier: InvalidJobState (bulk1.md 2.2)
                    return job
                if not may_pass(problem):
                    raise
                self._wait_or_raise(attempt, problem)
        raise AssertionError

    def _ask(self, job_id: str) -> JobInfo:
        try:
            return self.wire.send(bulk1.info(job_id), cancel=self.cancel)
        except ApiError as problem:
            if _is_gone(problem):
                raise _Gone from None
            raise

    def _list(self, job_id: str) -> tuple[BatchInfo, ...]:
        try:
            return self.wire.send(bulk1.batches(job_id), cancel=self.cancel)
        except ApiError as problem:
            if _is_gone(problem):
                raise _Gone from None
            raise

    def _abort(self) -> None:
        """Stops the open job, in the time that a cancel has: whether it was heard, the next call finds out."""
        if not self.open_job:
            return

        def ask() -> None:
            with contextlib.suppress(ApiError, ConnectionFailed):
                state = self.wire.send(bulk1.abort(self.open_job)).state
                last = next((one for one in reversed(self.order) if one.job_id == self.open_job), None)
                if last is not None:
                    self._tell("aborted", last, state=state)

        asking = threading.Thread(target=ask, name="sfframe-abort", daemon=True)
        asking.start()
        asking.join(_GRACE)

    def _leave(self) -> None:
        """Closes the open job behind an error, so that the batches that are in it come to their end (bulk1.md 2.2)."""
        if self.open_job:
            with contextlib.suppress(ApiError, ConnectionFailed, Cancelled):
                self.wire.send(bulk1.close(self.open_job), cancel=self.cancel)

    # -- wait and fetch ---------------------------------------------------------------------------------------------

    def _follow(self) -> None:
        """Polls all batches that are under way, one list for each job, and fetches results as they come."""
        pending = self._pending()
        if not pending:
            return
        try:
            follow(
                self._look,
                job_id=pending[-1].job_id,
                ended={"Completed"},
                go_on=f"Wait for it again with sfframe.resume({self.run_id!r}).",
                pacing=self.pacing,
                on_info=self._on_look,
                on_failure=lambda message: self._tell("error", pending[-1], message=message),
                cancel=self.cancel,
                clock=self.clock,
                jitter=self.jitter,
            )
        except JobTimeout as problem:
            raise problem.of_batch(self._pending()[0].batch_id) from None

    def _pending(self) -> list[_Batch]:
        return [one for one in self.order if one.answers is None]

    def _look(self) -> _Look:
        ended: list[tuple[_Batch, BatchInfo]] = []
        pending = self._pending()
        for job_id in dict.fromkeys(one.job_id for one in pending):
            try:
                told = {info.id: info for info in self._list(job_id)}
            except _Gone:
                told = {}
            for one in pending:
                if one.job_id != job_id:
                    continue
                info = told.get(one.batch_id)
                if info is None:
                    one.answers = self._not_told(one, _FORGOTTEN, state=GONE)
                elif info.state in BATCH_ENDED:
                    ended.append((one, info))
                else:
                    self._on_progress(one, info)
        left = sum(one.answers is None for one in pending)
        return _Look(ended, "Completed" if left == len(ended) else "InProgress")

    def _on_progress(self, batch: _Batch, info: BatchInfo) -> None:
        before = (batch.state, batch.processed, batch.failed)
        self._take_counters(batch, info)
        if before != (batch.state, batch.processed, batch.failed):
            self._tell("in_progress" if info.state == "InProgress" else "queued", batch)

    def _on_look(self, look: _Look) -> None:
        work = [partial(self._fetch, batch, info) for batch, info in look.ended]
        run_lanes(work, cap=self.lanes, cancel=self.cancel)

    def _fetch(self, batch: _Batch, info: BatchInfo, stop: Event) -> None:
        """Notes the end of a batch and brings its result here; one that Failed may have saved rows (bulk1.md 3.3)."""
        part, error = batch.part, _verdict(info, batch.part.rows)
        self._take_counters(batch, info)
        self.ledger.note_ended(self.run_id, part.number, batch.job_id, state=info.state, error=error)
        self._tell("ended", batch, message=error)
        self._check_cancel(batch, stop)
        target = self.folder / f"part-{part.number:05d}.{batch.batch_id}.result.csv"
        ordered: Path | None = None
        if info.state == "Completed" or (info.state == "Failed" and info.records_processed):
            call = bulk1.batch_result(batch.job_id, batch.batch_id)
            try:
                download(self.wire, call, target, cancel=stop, clock=self.clock, jitter=self.jitter)
            except ApiError as problem:
                if may_pass(problem) or _passes_with_rights(problem):
                    raise
                note = f"The org does not give the result (HTTP {problem.status} {problem.error_code})."
                batch.answers = self._not_told(batch, " ".join(text for text in (error, note) if text))
                return
            ordered = target
        batch.answers = Answers(
            part, batch.job_id, info.state, None, None, None, error=error, ordered=ordered, batch_id=batch.batch_id
        )
        self.ledger.note_fetched(self.run_id, batch.answers)
        self._tell("response", batch, message=error)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _not_told(self, batch: _Batch, text: str, *, state: str = UNKNOWN) -> Answers:
        """Nothing is noted: the rows may be saved, and the next call asks again."""
        self._tell("error", batch, message=text)
        return Answers(batch.part, batch.job_id, state, None, None, None, error=text, batch_id=batch.batch_id)

    def _take_counters(self, batch: _Batch, info: BatchInfo) -> None:
        batch.state, batch.processed, batch.failed = info.state, info.records_processed or 0, info.records_failed or 0

    def _wait_or_raise(self, attempt: int, problem: ConnectionFailed | ApiError) -> None:
        pause = AGAIN.wait(attempt, jitter=self.jitter())
        if pause is None:
            raise problem
        self.clock.wait(pause, self.cancel)

    def _check_cancel(self, batch: _Batch, stop: Event) -> None:
        """Looks at the lanes' event, which Ctrl-C sets, and at the caller's, which the lanes see a moment later."""
        for event in (stop, self.cancel):
            check_cancel(event, where=f"part {batch.part.number}", job_id=batch.job_id)

    def _tell(self, kind: JobEventKind, batch: _Batch, message: str = "", *, job_id: str = "", state: str = "") -> None:
        event = JobEvent(
            kind, batch.part.number, len(self.batches), job_id or batch.job_id, state or batch.state, batch.part.rows,
            batch.processed, batch.failed, batch.sent, message, batch.batch_id,
        )  # fmt: skip
        tell(self.on_event, event)


class _Gone(Exception):
    """The org does not know a job that has had batches."""


def _is_gone(problem: ConnectionFailed | ApiError) -> bool:
    """Asked for by its id, an invalid job is one that is not there (bulk1.md 8)."""
    return isinstance(problem, NotFound) or (isinstance(problem, ApiError) and problem.error_code == "InvalidJob")


def _passes_with_rights(problem: ApiError) -> bool:
    """True where another login, or another day, may be answered."""
    return isinstance(problem, AuthenticationError | PermissionDenied | LimitExceeded | ServerUnavailable)


def _verdict(info: BatchInfo, rows: int) -> str:
    """What is to be said of an ended batch as a whole."""
    if info.state == "Failed":
        return info.state_message or "The org gave the batch up without a reason."
    if info.state == "NotProcessed":
        return info.state_message or "The org did not process the batch: its job was aborted or failed before."
    if info.records_processed is not None and info.records_processed != rows:
        return f"The org counted {info.records_processed:,} rows, {rows:,} were sent."
    return ""

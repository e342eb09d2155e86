"""One part of a load through one call of sObject Collections, from whatever point the ledger knows (rest.md 8.5).

A call is promised in the ledger before it goes out. Its answer is all that tells what it did, and that answer can be
lost: with this process, with the connection, or in the org's edge. Then the fate of the call is in doubt.

* Where sending it again does no harm (update, delete, upsert by a key, insert with a unique key) it is sent again, and
  what both sendings did is worked out from the records (``jobs.repeated_calls``). The promise of the first sending
  stays in the ledger: its time is what tells records of this load from older ones.
* An insert without a key of its own in every row is never sent again: its rows are unknown. So it is with an upsert by
  Id that has rows without one, which the org inserts.

Where it is certain that the org did nothing (it could not be reached, it refused the request) the promise is taken
back, and the part is as if it had never been touched.
"""

from __future__ import annotations

import json
import random
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

from sfframe.backoff import TRANSIENT_CODES, Backoff
from sfframe.errors import ApiError, Cancelled, ConnectionFailed, NotFound, PermissionDenied, QueryError, UsageError
from sfframe.facts import COLLECTION_ROWS
from sfframe.jobs.events import JobEvent, JobEventKind, Listener, tell
from sfframe.jobs.ledger import Ledger, PartState
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import SYSTEM_CLOCK, Clock, may_pass
from sfframe.jobs.repeated_calls import Evidence, Row, SentRows, Settled, doubted, evidence_from, sent_rows, settle
from sfframe.jobs.wire import Wire, check_cancel, written_whole
from sfframe.protocol import composite
from sfframe.protocol.call import Call
from sfframe.protocol.composite import RowAnswers
from sfframe.protocol.error_body import Problem
from sfframe.spool import Answers, Part

# A call is repeated by nobody else: the transport sends it again only where nothing of it reached the org.
AGAIN = Backoff(attempts=5, first=1.0)

ANSWERED = "Answered"  # the states in Answers
UNKNOWN = "Unknown"

_REQUEST_TIMEOUT = 408


def run_call(
    wire: Wire,
    job: LoadJob,
    part: Part,
    body: Callable[[Part], bytes],
    *,
    key: str | None = None,
    folder: Path,
    ledger: Ledger,
    run_id: str,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> Answers:
    """Takes the part of at most 200 rows from where the ledger says it is to its answers in ``folder``.

    ``body`` makes the call's JSON from the part (``codec.records.body``). ``key`` is for inserts: a field that the org
    keeps unique, and that every row fills. The ledger must know the run with this part.

    ``Answers.ordered`` is the org's JSON array (``codec.outcomes_json.read_json``). Where a call was refused as a
    whole, each row has that refusal as its answer; where it was sent twice, the rows say what both sendings did, and
    null stands for a row of which that cannot be known. What the org itself said then lies beside, in ``.raw.json``.
    ``Answers`` without a file and with the state ``Unknown``: nothing is known of any row, ``error`` says why.

    Raises ``ConnectionFailed`` and ``ApiError`` when the conversation broke off, ``Cancelled``; calling again goes on
    from there. ``UsageError`` for what collections cannot do. ``LedgerError`` when another process has the part.
    """
    if job.operation == "hardDelete" or part.rows > COLLECTION_ROWS:
        raise UsageError(
            f"collections cannot {job.operation} {part.rows:,} rows in one call",
            where=f"part {part.number}",
            remedy=f"Use a bulk API, or parts of up to {COLLECTION_ROWS} rows.",
        )
    known = ledger.part_state(run_id, part.number)
    if known.answers is not None:
        return known.answers
    made = body(part)
    field = {"insert": key, "upsert": job.external_id_field}.get(job.operation, "Id")
    sent = sent_rows(job.operation, made, field)
    talk = _Conversation(
        wire, job, part, made, sent, field or "", folder, ledger, run_id, cancel, on_event, clock, jitter,
        parts=len(ledger.parts(run_id)),
    )  # fmt: skip
    return talk.go_on(known)


@dataclass(slots=True)
class _Conversation:
    """The sendings of one call, until its answer is on this disk."""

    wire: Wire
    job: LoadJob
    part: Part
    body: bytes
    sent: SentRows
    key: str
    folder: Path
    ledger: Ledger
    run_id: str
    cancel: Event | None
    on_event: Listener | None
    clock: Clock
    jitter: Callable[[], float]
    parts: int
    promised: str = ""
    in_doubt: bool = False  # an earlier sending may have been acted on

    def go_on(self, known: PartState) -> Answers:
        """From the stage that the ledger knows to the answers."""
        if known.stage == "promised" and self._file.is_file():
            return self._noted()  # a process ended between the file and its note
        if known.stage != "planned":
            self.promised, self.in_doubt = known.promised, True
            if not self._may_repeat:
                return self._unknown("the process that sent it ended before it had the answer")
        for attempt in count(1):
            check_cancel(self.cancel, where=f"part {self.part.number}")
            try:
                answer = self._send()
            except (ConnectionFailed, ApiError) as problem:
                lost = not _did_nothing(problem)
                if lost and not self._may_repeat:
                    return self._unknown(str(problem))
                if not self._waits(attempt, problem.what, needed=_may_pass(problem)):
                    raise
                continue
            busy = answer.refusal is not None and answer.refusal.code in TRANSIENT_CODES
            if busy and self._waits(attempt, answer.refusal.said if answer.refusal else "", needed=True):
                continue
            rows = _rows(answer, self.part.rows)
            settled = self._settled(rows)
            if self._waits(attempt, "an earlier sending of the call may still run", needed=settled.again):
                continue
            return self._kept(answer, settled, as_answered=answer.refusal is None and settled.rows == rows)
        raise AssertionError

    # -- send -------------------------------------------------------------------------------------------------------

    def _send(self) -> RowAnswers:
        """Sends the call under its promise, which goes when it is certain that the org did nothing."""
        if not self.promised:
            self.promised = self.ledger.promise_call(self.run_id, self.part.number)
        self._tell("open")
        try:
            return self.wire.send(self._call(), cancel=self.cancel)
        except Cancelled:  # noticed before it went out, or between two tries that did not reach the org
            self._withdraw()
            raise
        except (ConnectionFailed, ApiError) as problem:
            if _did_nothing(problem):
                self._withdraw()
            else:
                self.in_doubt = True
            raise

    def _call(self) -> Call[RowAnswers]:
        job = self.job
        if job.operation == "delete":
            return composite.delete(self.body.decode(), all_or_none=job.all_or_none)
        rule, duplicates = job.assignment_rule_id, job.allow_duplicates
        if job.operation == "insert":
            return composite.create(self.body, assignment_rule_id=rule, allow_duplicates=duplicates)
        if job.operation == "update":
            return composite.update(self.body, assignment_rule_id=rule, allow_duplicates=duplicates)
        return composite.upsert(job.sobject, self.key, self.body, assignment_rule_id=rule, allow_duplicates=duplicates)

    def _withdraw(self) -> None:
        if not self.in_doubt:
            self.ledger.withdraw_call(self.run_id, self.part.number, self.promised)
            self.promised = ""

    @property
    def _may_repeat(self) -> bool:
        """Where a key does not hold every row, a second sending may create records once more."""
        if self.job.operation == "insert":
            return self.sent.told_apart
        return self.job.operation != "upsert" or self.sent.all_keyed

    def _waits(self, attempt: int, why: str, *, needed: bool) -> bool:
        """Waits for the next try; False when there is no need, or when there shall be none."""
        pause = AGAIN.wait(attempt, jitter=self.jitter()) if needed else None
        if pause is None:
            return False
        self._tell("error", message=why)
        self.clock.wait(pause, self.cancel)
        return True

    # -- what all sendings did --------------------------------------------------------------------------------------

    def _settled(self, rows: tuple[Row, ...]) -> Settled:
        if not self.in_doubt or len(rows) != self.part.rows:  # the codec refuses another number of answers
            return Settled(rows, again=False)
        keys = doubted(self.job.operation, rows, self.sent.keys)
        evidence = self._evidence(keys) if not self.sent.audited else None
        return settle(self.job.operation, rows, self.sent.keys, evidence, all_or_none=self.job.all_or_none)

    def _evidence(self, keys: list[composite.Key]) -> Evidence | None:
        """What the org's records say; None where it does not tell."""
        try:
            asked = composite.stamps(self.job.sobject, self.key, keys) if keys else []
            answers = [self.wire.send(call, cancel=self.cancel) for call in asked]
        except (QueryError, NotFound, PermissionDenied):  # no such columns, or not for this user
            return None
        return evidence_from(
            answers,
            self.sent.keys,
            by_id=self.key.casefold() == "id",
            promised=datetime.fromisoformat(self.promised),
            now=datetime.now(UTC),
            username=self.ledger.run(self.run_id).username,
        )

    # -- answers ----------------------------------------------------------------------------------------------------

    def _kept(self, answer: RowAnswers, settled: Settled, *, as_answered: bool) -> Answers:
        """Writes the answers down, then notes them."""
        if not as_answered:
            _write(self._file.with_suffix(".raw.json"), answer.body)
        _write(self._file, answer.body if as_answered else json.dumps(settled.rows).encode())
        notes = []
        if answer.refusal is not None:
            notes.append(f"The org refused the whole call: {answer.refusal.said}")
        if settled.unknown:
            notes.append(
                f"An answer to this call was lost, and it was sent again; what became of {settled.unknown:,} of its "
                "rows cannot be known."
            )
        if settled.unsure:
            notes.append(f"It cannot be told of {settled.unsure:,} rows whether they were created or updated.")
        return self._noted(" ".join(notes))

    def _noted(self, error: str = "") -> Answers:
        """Notes the file of answers, which is whole."""
        answers = Answers(self.part, "", ANSWERED, None, None, None, error, ordered=self._file)
        self.ledger.note_fetched(self.run_id, answers)
        rows = json.loads(self._file.read_bytes())
        failed = sum(isinstance(row, dict) and not row.get("success") for row in rows)
        self._tell("response", message=error, processed=len(rows), failed=failed)
        return answers

    @property
    def _file(self) -> Path:
        return self.folder / f"part-{self.part.number:05d}.answers.json"

    def _unknown(self, why: str) -> Answers:
        """Nothing can be known of the rows, now or later."""
        text = (
            f"The answer to this call was lost, and rows without a unique key are not sent twice: they may be saved "
            f"({why})."
        )
        answers = Answers(self.part, "", UNKNOWN, None, None, None, text)
        self.ledger.note_fetched(self.run_id, answers)
        self._tell("error", message=text)
        return answers

    def _tell(self, kind: JobEventKind, *, message: str = "", processed: int = 0, failed: int = 0) -> None:
        size = len(self.body) if kind == "response" else 0
        event = JobEvent(
            kind, self.part.number, self.parts, "", "", self.part.rows, processed, failed, size, message
        )  # fmt: skip
        tell(self.on_event, event)


def _did_nothing(problem: ConnectionFailed | ApiError) -> bool:
    """True where it is certain that no row was saved: nothing was sent, or the request was refused (4xx).

    A server error is no such proof, whoever speaks: the org, or its edge, which does not know what stands behind it
    (rest.md 1.5). Nor is an answer that nobody can read.
    """
    if isinstance(problem, ConnectionFailed):
        return not problem.sent
    return 300 <= problem.status < 500 and problem.status != _REQUEST_TIMEOUT


def _may_pass(problem: ConnectionFailed | ApiError) -> bool:
    """True where the call may work in a moment. Where nothing was sent, the transport has waited long enough."""
    return (not isinstance(problem, ConnectionFailed) or problem.sent) and may_pass(problem)


def _rows(answer: RowAnswers, rows: int) -> tuple[Row, ...]:
    """The answers, one for each row; a refusal of the whole call is the answer of every row."""
    if answer.refusal is not None:
        return (_refused(answer.refusal),) * rows
    return tuple(one if isinstance(one, dict) else None for one in json.loads(answer.body))


def _refused(refusal: Problem) -> dict[str, Any]:
    error = {"statusCode": refusal.code, "message": refusal.message, "fields": list(refusal.fields)}
    return {"success": False, "errors": [error]}


def _write(target: Path, data: bytes) -> None:
    with written_whole(target) as file:
        file.write(data)

"""One part of a load through one ingest job, from whatever point the ledger knows (bulk2.md 2, 6.4).

There is no separate resume: a fresh write and one that goes on after a crash are the same function. What makes that
safe is that the org processes nothing before a job is closed, and that the ledger knows a job before its bytes go out.
"""

from __future__ import annotations

import contextlib
import random
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from threading import Event

from sfframe.backoff import Backoff
from sfframe.errors import (
    ApiError,
    AuthenticationError,
    ConnectionFailed,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    ServerUnavailable,
)
from sfframe.facts import INGEST_ENDED
from sfframe.jobs.events import JobEvent, JobEventKind, Listener, tell
from sfframe.jobs.ledger import Ledger, PartState
from sfframe.jobs.load_job import LoadJob
from sfframe.jobs.pacing import SYSTEM_CLOCK, Clock, Pacing, follow, may_pass
from sfframe.jobs.wire import Wire, check_cancel, check_part, download
from sfframe.protocol import bulk2_ingest
from sfframe.protocol.bulk2_ingest import ResultFile
from sfframe.protocol.bulk2_job import JobInfo
from sfframe.spool import Answers, Part

# A lost upload costs a new job each time, so it is tried less often than a small call.
AGAIN = Backoff(attempts=4, first=1.0)

GONE = "NotFound"  # the state in Answers of a job that the org does not know any more

_NAMES: dict[ResultFile, str] = {
    "successfulResults": "succeeded",
    "failedResults": "failed",
    "unprocessedrecords": "unprocessed",
}


def run_part(
    wire: Wire,
    job: LoadJob,
    part: Part,
    *,
    folder: Path,
    ledger: Ledger,
    run_id: str,
    pacing: Pacing | None = None,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> Answers:
    """Takes the part from where the ledger says it is to its three result files in ``folder``.

    The ledger must know the run with this part. A job that Failed or was Aborted gives its result files as well;
    ``Answers.error`` says what the org said of the job, and what is missing: a count that differs, a file that could
    not be had, a job that the org has forgotten (state ``NotFound``). Rows in no file are unknown, never lost silently.

    Raises ``JobTimeout`` and ``Cancelled`` while the job goes on in the org, ``ConnectionFailed`` and ``ApiError`` when
    the conversation broke off; calling again goes on from there. ``LedgerError`` when another process has the part.
    """
    talk = _Conversation(
        wire, job, part, folder, ledger, run_id, pacing or Pacing(), cancel, on_event, clock, jitter,
        parts=len(ledger.parts(run_id)),
    )  # fmt: skip
    return talk.go_on(ledger.part_state(run_id, part.number))


@dataclass(slots=True)
class _Conversation:
    """The steps of one part; each ends with a note in the ledger."""

    wire: Wire
    job: LoadJob
    part: Part
    folder: Path
    ledger: Ledger
    run_id: str
    pacing: Pacing
    cancel: Event | None
    on_event: Listener | None
    clock: Clock
    jitter: Callable[[], float]
    parts: int
    job_id: str = ""
    state: str = ""
    processed: int = 0
    failed: int = 0
    sent: int = 0

    def go_on(self, known: PartState) -> Answers:
        """From the stage that the ledger knows to the answers."""
        if known.answers is not None:
            return known.answers
        self.job_id, self.state, error = known.job_id, known.state, known.error
        try:
            if known.stage in {"planned", "promised"}:
                self._upload()
            if known.stage in {"planned", "promised", "uploaded"}:
                self._close(ask_first=known.stage == "uploaded")
            if known.stage not in {"ended", "fetched"}:
                error = self._follow()
            return self._fetch(error)
        except _Gone:
            return self._gone()

    # -- upload -----------------------------------------------------------------------------------------------------

    def _upload(self) -> None:
        """Brings the file into a job of its own: the one that the ledger knows when it has it, else a new one."""
        for attempt in range(1, AGAIN.attempts + 1):
            if not (self.job_id and self._has_arrived()):
                self._open_job()
                try:
                    self.wire.send(bulk2_ingest.upload(self.job_id, self.part.path), cancel=self.cancel)
                except (ConnectionFailed, ApiError) as problem:
                    if not may_pass(problem):
                        self._abort()
                        raise
                    # The answer is lost, not necessarily the file; a second PUT would spoil the job (bulk2.md 2.4).
                    self._wait_or_raise(attempt, problem)
                    continue
            self.sent = self.part.bytes
            self.ledger.note_uploaded(self.run_id, self.part.number, self.job_id)
            self._tell("uploaded")
            return

    def _has_arrived(self) -> bool:
        """Whether the job that was promised has the file. It was never closed by us, so else it did nothing."""
        try:
            info = self._ask()
        except NotFound:
            return False
        if info.state == "Open":
            return info.upload_arrived  # bulk2.md 2.6
        return info.state != "Aborted" or bool(info.records_processed)

    def _open_job(self) -> None:
        """Makes a job and promises it, in the place of one whose upload did not arrive."""
        check_cancel(self.cancel, where=f"part {self.part.number}")
        check_part(self.part)
        old = self.job_id
        if old:
            self._abort()
        made = self.wire.send(
            bulk2_ingest.create(
                self.job.sobject,
                self.job.operation,
                external_id_field=self.job.external_id_field,
                column_delimiter=self.job.column_delimiter,
                line_ending=self.job.line_ending,
                assignment_rule_id=self.job.assignment_rule_id,
            ),
            cancel=self.cancel,
        )
        self.ledger.promise_job(self.run_id, self.part.number, made.id, instead_of=old)
        self.job_id, self.state = made.id, made.state
        self._tell("open")

    def _abort(self) -> None:
        """Clears an Open job away; one that stays does no harm and is gone after a day (bulk2.md 2.1)."""
        with contextlib.suppress(ApiError, ConnectionFailed):
            self.state = self.wire.send(bulk2_ingest.abort(self.job_id), cancel=self.cancel).state
            self._tell("aborted")

    # -- close ------------------------------------------------------------------------------------------------------

    def _close(self, *, ask_first: bool) -> None:
        """Lets the org begin. Whenever an answer is lost, the job's state decides whether to ask again."""
        if not (ask_first and self._is_closed()):
            for attempt in range(1, AGAIN.attempts + 1):
                check_cancel(self.cancel, where=f"part {self.part.number}", job_id=self.job_id)
                try:
                    self.state = self.wire.send(bulk2_ingest.close(self.job_id), cancel=self.cancel).state
                    break
                except NotFound:
                    raise _Gone from None
                except (ConnectionFailed, ApiError) as problem:
                    if self._is_closed():  # by this request, or by an earlier one: INVALIDJOBSTATE (bulk2.md 2.5)
                        break
                    if not may_pass(problem):
                        raise
                    self._wait_or_raise(attempt, problem)
        self.ledger.note_closed(self.run_id, self.part.number, self.job_id)
        self._tell("closed")
        if self.state == "UploadComplete":
            self._tell("queued")

    def _is_closed(self) -> bool:
        return self._ask_known().state != "Open"

    # -- wait and fetch ---------------------------------------------------------------------------------------------

    def _follow(self) -> str:
        """Waits for the end, and notes it. Gives what is to be said of the job as a whole; empty when all is well."""
        info = follow(
            self._ask_known,
            job_id=self.job_id,
            ended=INGEST_ENDED,
            go_on=f"Wait for it again with sfframe.resume({self.run_id!r}).",
            pacing=self.pacing,
            on_info=self._on_info,
            on_failure=lambda message: self._tell("error", message),
            cancel=self.cancel,
            clock=self.clock,
            jitter=self.jitter,
        )
        error = _verdict(info, self.part.rows)
        self.ledger.note_ended(self.run_id, self.part.number, self.job_id, state=info.state, error=error)
        self._tell("ended", error)
        return error

    def _on_info(self, info: JobInfo) -> None:
        before = (self.state, self.processed, self.failed)
        self.state, self.processed, self.failed = info.state, info.records_processed or 0, info.records_failed or 0
        if before != (self.state, self.processed, self.failed) and info.state not in INGEST_ENDED:
            self._tell("in_progress" if info.state == "InProgress" else "queued")

    def _fetch(self, error: str) -> Answers:
        """All three files, also of a job that failed: its saved rows are saved (bulk2.md 2.1)."""
        notes = [error] if error else []
        files = {kind: self._result(kind, notes) for kind in bulk2_ingest.RESULT_FILES}
        answers = Answers(
            self.part,
            self.job_id,
            self.state,
            succeeded=files["successfulResults"],
            failed=files["failedResults"],
            unprocessed=files["unprocessedrecords"],
            error=" ".join(notes),
        )
        if None not in files.values():  # else the next resume asks once more
            self.ledger.note_fetched(self.run_id, answers)
        self._tell("response", answers.error)
        return answers

    def _result(self, kind: ResultFile, notes: list[str]) -> Path | None:
        """One file; None, with a note, when the org refuses it in a way that will not change."""
        check_cancel(self.cancel, where=f"part {self.part.number}", job_id=self.job_id)
        target = self.folder / f"part-{self.part.number:05d}.{self.job_id}.{_NAMES[kind]}.csv"
        try:
            download(
                self.wire,
                bulk2_ingest.results(self.job_id, kind),
                target,
                cancel=self.cancel,
                clock=self.clock,
                jitter=self.jitter,
            )
        except (AuthenticationError, PermissionDenied, LimitExceeded, ServerUnavailable):
            raise
        except ApiError as problem:
            note = f"The org does not give {kind} (HTTP {problem.status} {problem.error_code})."
            if note not in " ".join(notes):  # a second fetch begins with the notes of the first
                notes.append(note)
            return None
        return target

    def _gone(self) -> Answers:
        """Nothing is noted: the rows may be saved, and the next resume asks again."""
        text = "The org does not know this job any more (it keeps them for 7 days): what became of its rows is unknown."
        self._tell("error", text)
        return Answers(self.part, self.job_id, GONE, None, None, None, error=text)

    # -- inside -----------------------------------------------------------------------------------------------------

    def _ask(self) -> JobInfo:
        return self.wire.send(bulk2_ingest.info(self.job_id), cancel=self.cancel)

    def _ask_known(self) -> JobInfo:
        """Asks for a job that may have been closed: when the org has none, its rows' fate is unknown."""
        try:
            return self._ask()
        except NotFound:
            raise _Gone from None

    def _wait_or_raise(self, attempt: int, problem: ConnectionFailed | ApiError) -> None:
        pause = AGAIN.wait(attempt, jitter=self.jitter())
        if pause is None:
            raise problem
        self._tell("error", problem.what)
        self.clock.wait(pause, self.cancel)

    def _tell(self, kind: JobEventKind, message: str = "") -> None:
        event = JobEvent(
            kind, self.part.number, self.parts, self.job_id, self.state, self.part.rows, self.processed, self.failed,
            self.sent, message,
        )  # fmt: skip
        tell(self.on_event, event)


class _Gone(Exception):
    """The org does not know a job that may have been closed."""


def _verdict(info: JobInfo, rows: int) -> str:
    """What is to be said of an ended job as a whole."""
    if info.state == "Failed":
        return info.error_message or "The org gave the job up without a reason."
    if info.state == "Aborted":
        return "The job was aborted."
    if info.records_processed is not None and info.records_processed != rows:
        return f"The org counted {info.records_processed:,} rows, {rows:,} were sent."
    return ""

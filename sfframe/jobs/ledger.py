"""What was promised and what was done, on disk, so that a killed process can go on where it was.

One SQLite file per folder. It holds ids, counts, stages and file names; no record's values and no secrets. Each step is
on disk before the next request goes out (bulk2.md 6.4: a job does nothing before it is closed).
"""

from __future__ import annotations

import contextlib
import os
import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from pathlib import Path
from threading import RLock
from typing import Literal

from sfframe.errors import LedgerError, UsageError
from sfframe.facts import CARRIERS, Carrier
from sfframe.spool import Answers, Part

FILE = "ledger.sqlite"
SCHEMA_VERSION = 2
BUSY_SECONDS = 5.0

# planned: nothing was sent; promised: the job is Open; uploaded: its file is in, the close may have been sent;
# closed: the org works; ended: only the result files are missing; fetched: they are on this disk.
# A Bulk 1.0 part is promised when its batch may have been sent, and uploaded when the batch is known. A collections
# call is promised before it goes out and fetched with its answer.
Stage = Literal["planned", "promised", "uploaded", "closed", "ended", "fetched"]

_SCHEMA = """
CREATE TABLE run (
  run_id TEXT PRIMARY KEY, sobject TEXT NOT NULL, operation TEXT NOT NULL, external_id_field TEXT NOT NULL,
  host TEXT NOT NULL, organization_id TEXT NOT NULL, username TEXT NOT NULL, fingerprint TEXT NOT NULL,
  run_key TEXT NOT NULL, settings TEXT NOT NULL, created TEXT NOT NULL, finished TEXT NOT NULL, outcome TEXT NOT NULL
) STRICT;
CREATE TABLE part (
  run_id TEXT NOT NULL REFERENCES run (run_id), number INTEGER NOT NULL, path TEXT NOT NULL,
  first_row INTEGER NOT NULL, rows INTEGER NOT NULL, bytes INTEGER NOT NULL,
  job_id TEXT NOT NULL DEFAULT '', stage TEXT NOT NULL DEFAULT 'planned', state TEXT NOT NULL DEFAULT '',
  error TEXT NOT NULL DEFAULT '', succeeded TEXT, failed TEXT, unprocessed TEXT,
  PRIMARY KEY (run_id, number)
) STRICT;
"""
# From one form of the ledger to the next.
_CHANGES = {
    1: """
ALTER TABLE run ADD COLUMN carrier TEXT NOT NULL DEFAULT 'bulk2';
ALTER TABLE part ADD COLUMN batch_id TEXT NOT NULL DEFAULT '';
ALTER TABLE part ADD COLUMN promised TEXT NOT NULL DEFAULT '';
ALTER TABLE part ADD COLUMN ordered TEXT;
ALTER TABLE run ADD COLUMN succeeded INTEGER NOT NULL DEFAULT 0;
ALTER TABLE part ADD COLUMN sha256 TEXT NOT NULL DEFAULT '';
"""
}


@dataclass(frozen=True, slots=True)
class Run:
    """One load. ``settings`` is the caller's own text, such as JSON; like all here it must hold no values of records.

    Times are ISO 8601 in UTC; the ledger writes ``created``. ``finished`` and ``outcome`` are empty until ``finish``;
    ``succeeded`` counts rows. ``fingerprint`` says what is sent; it is empty until that is known.
    """

    run_id: str
    sobject: str
    operation: str
    external_id_field: str = ""
    host: str = ""
    organization_id: str = ""
    username: str = ""
    fingerprint: str = ""
    run_key: str = ""
    settings: str = ""
    created: str = ""
    finished: str = ""
    outcome: str = ""
    carrier: Carrier = field(default="bulk2", kw_only=True)
    succeeded: int = field(default=0, kw_only=True)


@dataclass(frozen=True, slots=True)
class PartState:
    """Where one part is. ``state`` is the last known one of its job (or batch); a result file that could not be had is
    None. ``promised`` is when the last promise was made: ISO 8601 in UTC, by this machine's clock.
    """

    part: Part
    job_id: str = ""
    stage: Stage = "planned"
    state: str = ""
    error: str = ""
    succeeded: Path | None = None
    failed: Path | None = None
    unprocessed: Path | None = None
    ordered: Path | None = None
    batch_id: str = ""
    promised: str = ""

    @property
    def answers(self) -> Answers | None:
        """The result files, when they were fetched and are all still on this disk."""
        files = (self.succeeded, self.failed, self.unprocessed, self.ordered)
        if self.stage != "fetched" or any(file is not None and not file.is_file() for file in files):
            return None
        return Answers(
            self.part, self.job_id, self.state, self.succeeded, self.failed, self.unprocessed, self.error, self.ordered,
            self.batch_id,
        )  # fmt: skip


def _utc_now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


class Ledger:
    """Opened by ``Ledger.open``; may be used from several threads, and its file by several processes."""

    def __init__(self, folder: Path, connection: sqlite3.Connection, now: Callable[[], str]) -> None:
        self.folder = folder
        self._connection = connection
        self._now = now
        self._lock = RLock()

    @classmethod
    def open(cls, folder: Path, *, now: Callable[[], str] = _utc_now) -> Ledger:
        """Opens or makes ``ledger.sqlite`` in ``folder``, readable by its owner only.

        Raises ``LedgerError`` for a file that a newer sfframe wrote, that is locked, or that is no ledger.
        """
        folder = folder.absolute()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        path = folder / FILE
        os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))  # SQLite gives its side files the same rights
        connection = sqlite3.connect(path, timeout=BUSY_SECONDS, isolation_level=None, check_same_thread=False)
        ledger = cls(folder, connection, now)
        try:
            ledger._prepare()
        except BaseException:
            connection.close()
            raise
        return ledger

    # -- runs -------------------------------------------------------------------------------------------------------

    def begin(self, run: Run, parts: Sequence[Part] = ()) -> Run:
        """Writes a run and its parts down, all or nothing, and gives it back with the time of its creation."""
        run = replace(run, created=run.created or self._now())
        with self._changing() as database:
            if database.execute("SELECT 1 FROM run WHERE run_id = ?", (run.run_id,)).fetchone():
                raise UsageError(
                    f"The ledger has a run {run.run_id!r} already.", remedy="Resume it, or use another id."
                )
            names = Run.__slots__
            database.execute(
                f"INSERT INTO run ({', '.join(names)}) VALUES ({', '.join('?' * len(names))})",
                [getattr(run, name) for name in names],
            )
            for part in parts:
                self._insert_part(database, run.run_id, part)
        return run

    def add_part(self, run_id: str, part: Part) -> None:
        """Writes a further part of a run down, before anything of it is sent."""
        with self._changing() as database:
            self._insert_part(database, run_id, part)

    def settle(self, run_id: str, *, settings: str, fingerprint: str) -> None:
        """Notes that all parts of a run are known, and what they send together."""
        self._change_run(run_id, "settings = ?, fingerprint = ?", settings, fingerprint)

    def finish(self, run_id: str, outcome: str = "complete", *, succeeded: int = 0) -> None:
        """Notes that all answers of the run are accounted for, with a word on how it went."""
        self._change_run(run_id, "finished = ?, outcome = ?, succeeded = ?", self._now(), outcome, succeeded)

    def forget(self, run_id: str) -> None:
        """Strikes out a run of which nothing was sent."""
        with self._changing() as database:
            database.execute("DELETE FROM part WHERE run_id = ?", (run_id,))
            database.execute("DELETE FROM run WHERE run_id = ?", (run_id,))

    def done_before(self, run: Run) -> Run | None:
        """The last run that sent the same into the same org and had success with at least one row."""
        told = ("organization_id", "sobject", "operation", "fingerprint")
        alike = [
            one
            for one in self.runs()
            if one.finished and one.succeeded and all(getattr(one, name) == getattr(run, name) for name in told)
        ]
        return alike[-1] if alike else None

    def run(self, run_id: str) -> Run:
        """One run; raises ``UsageError`` when there is none of that id."""
        found = [one for one in self.runs() if one.run_id == run_id]
        if not found:
            raise self._no_run(run_id)
        return found[0]

    def runs(self) -> list[Run]:
        """All runs, the oldest first."""
        rows = self._select(f"SELECT {', '.join(Run.__slots__)} FROM run ORDER BY created, rowid")
        return [_run(row) for row in rows]

    # -- parts ------------------------------------------------------------------------------------------------------

    def parts(self, run_id: str) -> list[PartState]:
        """Where the parts of a run are, in their order."""
        rows = self._select(
            "SELECT number, path, first_row, rows, bytes, job_id, stage, state, error, batch_id, promised,"
            " sha256, succeeded, failed, unprocessed, ordered FROM part WHERE run_id = ? ORDER BY number",
            run_id,
        )
        return [self._part_state(row) for row in rows]

    def part_state(self, run_id: str, number: int) -> PartState:
        """Where one part is; raises ``UsageError`` when the run has no such part."""
        for state in self.parts(run_id):
            if state.part.number == number:
                return state
        raise UsageError(f"Run {run_id!r} has no part {number} in the ledger.", remedy="Begin the run with its parts.")

    def promise_job(self, run_id: str, number: int, job_id: str, *, instead_of: str = "") -> None:
        """Notes which job will carry the part, before its bytes are sent.

        ``instead_of`` is the job that the caller found in the ledger. When another one stands there by now, another
        process works on the part, and ``LedgerError`` keeps its rows from being sent twice.
        """
        change = "job_id = ?, stage = 'promised', state = 'Open', error = '', batch_id = '', promised = ?"
        self._update(run_id, number, instead_of, change, job_id, self._now())

    def promise_call(self, run_id: str, number: int, *, instead_of: str = "") -> str:
        """Notes that a collections call is about to be sent, and gives the time of this promise.

        ``instead_of`` is the time of the promise that the caller found in the ledger. When another one stands there by
        now, another process works on the part, and ``LedgerError`` keeps its rows from being sent twice.
        """
        promised = self._now()
        with self._changing() as database:
            changed = database.execute(
                "UPDATE part SET stage = 'promised', promised = ? WHERE run_id = ? AND number = ? AND promised = ?",
                (promised, run_id, number, instead_of),
            )
            self._check_mine(changed.rowcount, run_id, number, "the promise that was found")
        return promised

    def withdraw_call(self, run_id: str, number: int, promised: str) -> None:
        """Takes the promise of that time back: it is certain that the org did nothing of the call."""
        with self._changing() as database:
            changed = database.execute(
                "UPDATE part SET stage = 'planned', promised = '' WHERE run_id = ? AND number = ? AND promised = ?",
                (run_id, number, promised),
            )
            self._check_mine(changed.rowcount, run_id, number, "the promise that was made")

    def note_batch(self, run_id: str, number: int, job_id: str, batch_id: str) -> None:
        """Notes the batch that holds the part's rows (Bulk 1.0)."""
        self._update(run_id, number, job_id, "stage = 'uploaded', batch_id = ?", batch_id)

    def note_uploaded(self, run_id: str, number: int, job_id: str) -> None:
        """Notes that the file is in, before the job is closed: from now on its rows may be saved."""
        self._update(run_id, number, job_id, "stage = 'uploaded'")

    def note_closed(self, run_id: str, number: int, job_id: str) -> None:
        """Notes that the org has begun."""
        self._update(run_id, number, job_id, "stage = 'closed', state = 'UploadComplete'")

    def note_ended(self, run_id: str, number: int, job_id: str, *, state: str, error: str = "") -> None:
        """Notes how the job ended; ``error`` is what the org says of the job as a whole."""
        self._update(run_id, number, job_id, "stage = 'ended', state = ?, error = ?", state, error)

    def note_fetched(self, run_id: str, answers: Answers) -> None:
        """Notes the result files, after they are whole on this disk."""
        kept = (answers.succeeded, answers.failed, answers.unprocessed, answers.ordered)
        files = [self._stored(file) for file in kept]
        change = "stage = 'fetched', state = ?, error = ?, succeeded = ?, failed = ?, unprocessed = ?, ordered = ?"
        number = answers.part.number
        self._update(run_id, number, answers.job_id, change, answers.state, answers.error, *files)

    # -- life -------------------------------------------------------------------------------------------------------

    def close(self) -> None:
        """Closes the file."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Ledger:
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()

    # -- inside -----------------------------------------------------------------------------------------------------

    def _prepare(self) -> None:
        with self._lock, self._explained():
            database = self._connection
            database.execute("PRAGMA journal_mode = WAL")
            database.execute("PRAGMA synchronous = FULL")  # a promise must outlive the power as well
            database.execute("PRAGMA foreign_keys = ON")
        with self._changing() as database:
            version = database.execute("PRAGMA user_version").fetchone()[0]
            if version <= SCHEMA_VERSION:
                steps = [] if version else [_SCHEMA]
                steps += [change for form, change in _CHANGES.items() if form >= version]
                for statement in ";".join(steps).split(";"):
                    database.execute(statement)
                database.execute(f"PRAGMA user_version = {SCHEMA_VERSION}")
            else:
                raise LedgerError(
                    f"the ledger has form {version}, this sfframe knows form {SCHEMA_VERSION}",
                    where=str(self.folder / FILE),
                    remedy="Use the sfframe that wrote it, or another folder.",
                )

    @contextmanager
    def _changing(self) -> Iterator[sqlite3.Connection]:
        """A transaction of one thread."""
        with self._lock, self._explained():
            self._connection.execute("BEGIN IMMEDIATE")
            try:
                yield self._connection
            except BaseException:
                with contextlib.suppress(sqlite3.Error):
                    self._connection.execute("ROLLBACK")
                raise
            self._connection.execute("COMMIT")

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.Error as problem:
            locked = "locked" in str(problem) or "busy" in str(problem)
            what = "another process holds the ledger" if locked else f"the ledger cannot be used ({problem})"
            remedy = "Wait until it has ended, or use another folder." if locked else "Use another folder."
            raise LedgerError(what, where=str(self.folder / FILE), remedy=remedy) from problem

    def _select(self, sql: str, *values: object) -> list[tuple[object, ...]]:
        with self._lock, self._explained():
            return self._connection.execute(sql, values).fetchall()

    def _insert_part(self, database: sqlite3.Connection, run_id: str, part: Part) -> None:
        database.execute(
            "INSERT INTO part (run_id, number, path, first_row, rows, bytes, sha256) VALUES (?, ?, ?, ?, ?, ?, ?)",
            (run_id, part.number, self._stored(part.path), part.first_row, part.rows, part.bytes, part.sha256),
        )

    def _change_run(self, run_id: str, change: str, *values: object) -> None:
        with self._changing() as database:
            changed = database.execute(f"UPDATE run SET {change} WHERE run_id = ?", (*values, run_id))
            if changed.rowcount == 0:
                raise self._no_run(run_id)

    def _update(self, run_id: str, number: int, job_id: str, change: str, *values: object) -> None:
        """Changes a part that is still carried by ``job_id``."""
        with self._changing() as database:
            changed = database.execute(
                f"UPDATE part SET {change} WHERE run_id = ? AND number = ? AND job_id = ?",
                (*values, run_id, number, job_id),
            )
            self._check_mine(changed.rowcount, run_id, number, f"job {job_id or '(none)'}", job_id)

    def _check_mine(self, changed: int, run_id: str, number: int, carrier: str, job_id: str = "") -> None:
        if changed == 0:
            raise LedgerError(
                f"part {number} of run {run_id!r} is not carried by {carrier} any more",
                where=str(self.folder / FILE),
                remedy="Another process works on this run: wait for it, then resume.",
                job_id=job_id,
            )

    def _part_state(self, row: tuple[object, ...]) -> PartState:
        number, path, first_row, rows, size, job_id, stage, state, error, batch_id, promised, sha256, *files = row
        place, held, length = (int(str(one)) for one in (first_row, rows, size))
        part = Part(int(str(number)), self._found(path), place, held, length, str(sha256))
        succeeded, failed, unprocessed, ordered = (None if file is None else self._found(file) for file in files)
        return PartState(
            part, str(job_id), _stage(str(stage)), str(state), str(error), succeeded, failed, unprocessed, ordered,
            str(batch_id), str(promised),
        )  # fmt: skip

    def _stored(self, path: Path | None) -> str | None:
        """Files in the ledger's folder are named from it, so that the folder can be moved."""
        if path is None:
            return None
        path = path.absolute()
        return path.relative_to(self.folder).as_posix() if path.is_relative_to(self.folder) else str(path)

    def _found(self, stored: object) -> Path:
        return self.folder / str(stored)

    def _no_run(self, run_id: str) -> UsageError:
        return UsageError(
            f"The ledger has no run {run_id!r}.", where=str(self.folder / FILE), remedy="history() lists the runs."
        )


def _run(row: tuple[object, ...]) -> Run:
    *texts, carrier, succeeded = row
    known = next((one for one in CARRIERS if one == carrier), None)
    if known is None:
        raise LedgerError(
            f"the ledger has a run by an unknown API {carrier!r}", remedy="Use the sfframe that wrote it."
        )
    return Run(*map(str, texts), carrier=known, succeeded=int(str(succeeded)))


_STAGES: tuple[Stage, ...] = ("planned", "promised", "uploaded", "closed", "ended", "fetched")


def _stage(text: str) -> Stage:
    for stage in _STAGES:
        if stage == text:
            return stage
    raise LedgerError(f"the ledger has a part in an unknown stage {text!r}", remedy="Use the sfframe that wrote it.")

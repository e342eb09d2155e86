"""LoadOptions: what most loads leave as it is, in groups."""

from __future__ import annotations

import threading
from dataclasses import dataclass, field
from datetime import timedelta
from typing import TYPE_CHECKING, Literal, get_args

from sfframe import facts
from sfframe.errors import UsageError
from sfframe.facts import Carrier, Delimiter, LineEnding
from sfframe.progress import Choice, check_choice

if TYPE_CHECKING:
    from sfframe.jobs.events import Listener
    from sfframe.jobs.pacing import Pacing

OnFailed = Literal["warn", "raise", "ignore"]
Api = Literal["auto", "bulk2", "bulk1", "collections"]


@dataclass(frozen=True, slots=True)
class LoadLimits:
    """How large one job may be. ``lanes`` is how many jobs (or calls) are under way at once.

    A part of 150,000 rows can be run again by itself; it is not a limit of the platform. 100,000,000 bytes is what
    Salesforce advises for one upload (bulk2.md 2.4). A batch of Bulk 1.0 has at most 10,000 rows and 10,000,000 bytes,
    and a collections call 200 rows, whatever stands here.
    """

    rows_per_job: int = facts.ROWS_PER_JOB
    bytes_per_job: int = facts.UPLOAD_BYTES
    lanes: int = 5

    def __post_init__(self) -> None:
        if min(self.rows_per_job, self.bytes_per_job, self.lanes) < 1:
            raise UsageError(
                "A limit of a load is below 1", remedy="rows_per_job, bytes_per_job and lanes count from 1."
            )
        if self.bytes_per_job > facts.UPLOAD_BYTES:
            raise UsageError(
                f"bytes_per_job is above {facts.UPLOAD_BYTES:,}, more than one upload may hold",
                remedy="Leave it at its default; more bytes than that become several jobs.",
            )

    def rows(self, carrier: Carrier) -> int:
        """The most rows of one part."""
        most = {"bulk2": self.rows_per_job, "bulk1": facts.BATCH_ROWS, "collections": facts.COLLECTION_ROWS}
        return min(self.rows_per_job, most[carrier])

    def bytes(self, carrier: Carrier) -> int:
        """The most bytes of one part."""
        return min(self.bytes_per_job, facts.BATCH_BYTES) if carrier == "bulk1" else self.bytes_per_job


@dataclass(frozen=True, slots=True)
class Guards:
    """A load that would do more than this is refused before anything is sent. None is no limit.

    ``max_creates`` counts the rows of an insert, and for an upsert those whose key no record of the org has (the org is
    asked); ``max_deletes`` the rows of a delete; ``max_clears`` the cells that would clear a field.
    """

    max_creates: int | None = None
    max_deletes: int | None = None
    max_clears: int | None = None

    def __post_init__(self) -> None:
        if any(one is not None and one < 0 for one in (self.max_creates, self.max_deletes, self.max_clears)):
            raise UsageError("A guard is below 0", remedy="0 allows none, None allows any number.")

    def __bool__(self) -> bool:
        return any(one is not None for one in (self.max_creates, self.max_deletes, self.max_clears))


@dataclass(frozen=True, slots=True)
class LoadHeaders:
    """What the org is told beside the rows.

    ``assignment_rule_id`` (01Q...) is for Case and Lead. ``allow_duplicates`` saves records that a duplicate rule with
    an alert speaks against, and ``all_or_none`` rolls a call of up to 200 rows back when one of them fails (both by
    collections only: the bulk APIs have no such header). ``serial`` takes one batch after the other, against row locks
    (Bulk 1.0 only).
    """

    assignment_rule_id: str | None = None
    allow_duplicates: bool | None = None
    all_or_none: bool = False
    serial: bool = False

    def __post_init__(self) -> None:
        if self.serial and self.for_collections:
            raise UsageError(
                f"{self.for_collections} is for collections, serial for Bulk API 1.0",
                remedy="Leave one of the two out.",
            )

    @property
    def for_collections(self) -> str:
        """What here only collections can do; empty where nothing is."""
        return "all_or_none" if self.all_or_none else "" if self.allow_duplicates is None else "allow_duplicates"


@dataclass(frozen=True, slots=True)
class LoadOptions:
    """What most loads leave as it is.

    ``api`` is "bulk2", "bulk1" (serial mode), "collections" (calls of 200 rows that answer at once), or "auto":
    collections for up to 2,000 rows, except for inserts without a unique key, whose fate would be unknown if an answer
    were lost; else Bulk 2.0. ``limits`` cuts jobs, ``pacing`` says when their state is asked for and when waiting ends
    (None: as the connection says), ``guards`` refuse a load that would do too much, ``headers`` go along with it.
    ``column_delimiter`` and ``line_ending`` are those of the uploads (Bulk 2.0).

    ``timezone`` (such as "Europe/Berlin") is what a datetime without zone means. ``sort_by_parent`` names a column with
    parents' ids or keys: rows of one parent then stand together, so that no two jobs lock it at once; it costs memory.
    ``progress`` is True, False, "auto" or a function that gets the jobs' events; ``on_event`` gets them beside it.
    ``on_failed`` warns, raises or stays silent when rows did not succeed. ``cancel`` stops the load within half a
    second when it is set. ``dry_run`` checks and cuts, and tells the cost, but sends nothing: every row that would have
    been sent is "unprocessed".

    ``run_key`` names the load: the same key with the same rows goes on or gives the stored answers, with other rows it
    is refused. ``again`` repeats an insert that the ledger knows as done. ``keep`` leaves the sent files and the org's
    raw answers in the run's folder, for ever (True) or for that long; ``keep_raw`` copies the org's raw answers beside
    ``results``; ``cleanup`` deletes the jobs in the org once every answer is safe.
    """

    api: Api = "auto"
    limits: LoadLimits = field(default_factory=LoadLimits)
    pacing: Pacing | None = None
    guards: Guards = field(default_factory=Guards)
    headers: LoadHeaders = field(default_factory=LoadHeaders)
    column_delimiter: Delimiter = "COMMA"
    line_ending: LineEnding = "LF"
    timezone: str | None = None
    sort_by_parent: str | None = None
    progress: Choice = "auto"
    on_event: Listener | None = None
    on_failed: OnFailed = "warn"
    cancel: threading.Event | None = None
    dry_run: bool = False
    run_key: str = ""
    again: bool = False
    keep: bool | timedelta = False
    keep_raw: bool = False
    cleanup: bool = False

    def __post_init__(self) -> None:
        for name, choice in (("api", Api), ("on_failed", OnFailed)):
            if getattr(self, name) not in get_args(choice):
                known = ", ".join(get_args(choice))
                raise UsageError(f"{name}={getattr(self, name)!r} is not known", remedy=f"Use one of {known}.")
        check_choice(self.progress)
        if self.column_delimiter not in facts.DELIMITERS or self.line_ending not in get_args(LineEnding):
            raise UsageError(
                f"There are no uploads with {self.column_delimiter!r} and {self.line_ending!r}",
                remedy=f"Delimiters are {', '.join(facts.DELIMITERS)}; line endings LF and CRLF.",
            )
        if (self.column_delimiter, self.line_ending) != ("COMMA", "LF") and self.api in ("bulk1", "collections"):
            raise UsageError(
                f"column_delimiter and line_ending are for Bulk API 2.0, and api={self.api!r}",
                remedy="Leave them out: the other APIs take commas and line feeds.",
            )
        if self.headers.serial and self.api not in ("auto", "bulk1"):
            raise UsageError(f"serial is for Bulk API 1.0, and api={self.api!r}", remedy='Use api="bulk1" or "auto".')
        if self.headers.for_collections and self.api not in ("auto", "collections"):
            raise UsageError(
                f"{self.headers.for_collections} is for collections, and api={self.api!r}",
                remedy='Use api="collections" or "auto".',
            )

    @property
    def looks_first(self) -> bool:
        """True where all rows must be known before the first is sent."""
        return bool(self.guards) or self.dry_run or bool(self.run_key)

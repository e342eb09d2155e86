"""A bulk query from its creation to its pages (bulk2.md 4)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from threading import Event
from typing import TypeVar

from sfframe.errors import JobAborted, JobFailed
from sfframe.facts import Delimiter
from sfframe.jobs.events import JobEvent, JobEventKind, Listener, tell
from sfframe.jobs.pacing import SYSTEM_CLOCK, Clock, Pacing, follow
from sfframe.jobs.result_pages import Incoming, PageTaker
from sfframe.jobs.wire import Wire, written_whole
from sfframe.protocol import bulk2_query
from sfframe.protocol.bulk2_job import JobInfo
from sfframe.protocol.bulk2_query import PageHead

T = TypeVar("T")

_ENDED = frozenset({"JobComplete", "Failed", "Aborted"})  # bulk2.md 4.1


@dataclass(frozen=True, slots=True)
class Page:
    """One page of a bulk query on disk: CSV with its own header line. ``rows`` is None where a proxy hid the count."""

    path: Path
    rows: int | None


@dataclass(frozen=True, slots=True)
class Extract:
    """A whole bulk query: the job, its pages in order, and the number of rows that the org counted."""

    job_id: str
    pages: tuple[Page, ...]
    rows: int


@dataclass(frozen=True, slots=True)
class QueryJob:
    """A bulk query. ``max_records`` caps a page's rows; without it the org chooses. ``keep`` leaves the job in the org,
    where its results stay for seven days; else it is deleted once its pages are complete.
    """

    soql: str
    include_deleted: bool = False
    max_records: int | None = None
    column_delimiter: Delimiter = "COMMA"
    keep: bool = True


def run_query(
    wire: Wire,
    job: QueryJob,
    *,
    folder: Path,
    job_id: str = "",
    pacing: Pacing | None = None,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> Extract:
    """Runs the query, or goes on with the job of an earlier call, and brings all its pages into ``folder``.

    Raises ``QueryError`` when the org refuses the query, ``JobFailed`` and ``JobAborted``, ``JobTimeout`` while the job
    goes on, and ``IncompleteAnswer`` when the pages have not the number of rows that the job counted.
    """
    watch = _Watch(on_event)
    info = wait_for_query(
        wire,
        job_id or start_query(wire, job, cancel=cancel, on_event=on_event),
        pacing=pacing,
        cancel=cancel,
        on_event=on_event,
        clock=clock,
        jitter=jitter,
    )
    pages = tuple(
        fetch_pages(
            wire, info, folder=folder, max_records=job.max_records, cancel=cancel, on_event=on_event, clock=clock,
            jitter=jitter,
        )
    )  # fmt: skip
    if not job.keep:
        wire.send(bulk2_query.delete(info.id), cancel=cancel)
    rows = info.records_processed or 0
    watch.tell("response", info, rows)
    return Extract(info.id, pages, rows)


def start_query(wire: Wire, job: QueryJob, *, cancel: Event | None = None, on_event: Listener | None = None) -> str:
    """Makes the job and gives its id; the org begins at once."""
    made = wire.send(
        bulk2_query.create(job.soql, include_deleted=job.include_deleted, column_delimiter=job.column_delimiter),
        cancel=cancel,
    )
    _Watch(on_event).tell("queued", made, 0)
    return made.id


def wait_for_query(
    wire: Wire,
    job_id: str,
    *,
    pacing: Pacing | None = None,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> JobInfo:
    """Waits until the job is complete; a job that failed or was aborted raises, as it has no results."""
    watch = _Watch(on_event)
    info = follow(
        lambda: wire.send(bulk2_query.info(job_id), cancel=cancel),
        job_id=job_id,
        ended=_ENDED,
        go_on=f"It stays in the org for seven days: sfframe.get_job({job_id!r}) waits for it and gives its rows.",
        pacing=pacing or Pacing(),
        on_info=watch.on_info,
        on_failure=lambda message: tell(on_event, JobEvent("error", 0, 1, job_id, message=message)),
        cancel=cancel,
        clock=clock,
        jitter=jitter,
    )
    if info.state == "JobComplete":
        return info
    if info.state == "Aborted":
        raise JobAborted("the query job was aborted", where=f"job {job_id}", remedy="Run it again.", job_id=job_id)
    raise JobFailed(
        "the org gave the query job up",
        where=f"job {job_id}",
        said=info.error_message,
        remedy="Drop ORDER BY and LIMIT, narrow the WHERE, or read in slices of CreatedDate or Id.",  # bulk2.md 6.4
        job_id=job_id,
    )


def take_pages(
    wire: Wire,
    info: JobInfo,
    take: Callable[[Incoming], T],
    *,
    ahead: int = 1,
    max_records: int | None = None,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
    kept: Callable[[str | None], tuple[PageHead, T] | None] | None = None,
) -> Iterator[T]:
    """What ``take`` makes of the pages of a complete job, in their order; see ``PageTaker``. Tells each as an event."""
    watch = _Watch(on_event)
    taker = PageTaker(wire, info, take, ahead, max_records, cancel, clock, jitter)
    if kept is not None:
        taker.kept = kept
    for number, taken in enumerate(taker.results(), 1):
        yield taken
        watch.tell("in_progress", info, sum(step.rows or 0 for step in taker.steps[:number]))


def fetch_pages(
    wire: Wire,
    info: JobInfo,
    *,
    folder: Path,
    max_records: int | None = None,
    cancel: Event | None = None,
    on_event: Listener | None = None,
    clock: Clock = SYSTEM_CLOCK,
    jitter: Callable[[], float] = random.random,
) -> Iterator[Page]:
    """The pages of a complete job one after the other, each when it is whole on disk.

    After the last one their rows are added up; ``IncompleteAnswer`` then says that what was given so far is not the
    whole answer. Until this iterator has ended, nothing of it may be taken for complete.
    """
    return take_pages(
        wire,
        info,
        lambda page: Page(keep_page(page, folder, info.id), page.head.rows),
        max_records=max_records,
        cancel=cancel,
        on_event=on_event,
        clock=clock,
        jitter=jitter,
    )


def keep_page(page: Incoming, folder: Path, job_id: str) -> Path:
    """Writes the page to a file that has its name only when it is whole."""
    target = folder / f"page-{page.number + 1:05d}.{job_id}.csv"
    with written_whole(target) as file:
        file.writelines(page.chunks)
    return target


@dataclass(slots=True)
class _Watch:
    """Tells what happens to the one job of an extract, and says nothing twice."""

    listener: Listener | None
    last: tuple[str, int] = ("", 0)

    def on_info(self, info: JobInfo) -> None:
        now = (info.state, info.records_processed or 0)
        if now != self.last:
            self.last = now
            ended = info.state in _ENDED
            self.tell("ended" if ended else "in_progress" if info.state == "InProgress" else "queued", info, 0)

    def tell(self, kind: JobEventKind, info: JobInfo, processed: int) -> None:
        rows = info.records_processed or 0
        message = info.error_message
        tell(self.listener, JobEvent(kind, 0, 1, info.id, info.state, rows, processed, 0, 0, message))

"""The result pages of a bulk query: several on their way at once, each whole, and all of them (bulk2.md 4.4, 4.5)."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from concurrent.futures import Future
from contextlib import AbstractContextManager, suppress
from dataclasses import dataclass, field
from functools import partial
from itertools import count
from threading import Event
from typing import Generic, TypeVar

from sfframe.backoff import Backoff
from sfframe.errors import ApiError, ConnectionFailed, DecodeError, IncompleteAnswer
from sfframe.jobs.ahead import awaited, run_ahead
from sfframe.jobs.pacing import SYSTEM_CLOCK, Clock
from sfframe.jobs.wire import Wire, check_cancel
from sfframe.protocol import bulk2_query
from sfframe.protocol.bulk2_job import JobInfo
from sfframe.protocol.bulk2_query import PageHead
from sfframe.protocol.call import Streamed

T = TypeVar("T")

_LOST = "INVALID_QUERY_LOCATOR"
# The org repeats the beginning of a stream by itself; these are tries after a body that broke off (bulk2.md 4.4).
_AGAIN = Backoff(attempts=6, first=0.1, factor=3.0)
_FOUND_AGAIN = 3  # times that the place of one page is looked up anew
_CUT = 3  # times that a page may come cut off without the connection's noticing


@dataclass(frozen=True, slots=True)
class Incoming:
    """A page while it comes: its number, counted from 0, its place (None for the first), what its headers say, and its
    body in pieces.
    """

    number: int
    locator: str | None
    head: PageHead
    chunks: Iterator[bytes] = field(repr=False)


@dataclass(slots=True)
class _Step:
    """One page of the way: where it is, and what its headers said when it was last fetched."""

    number: int
    locator: str | None
    place: str | None  # its locator of today
    head: Future[PageHead] = field(default_factory=Future)
    rows: int | None = None


def _nothing_kept(_locator: str | None) -> None:
    return None


@dataclass(slots=True)
class PageTaker(Generic[T]):
    """Fetches the pages of a complete job and has each taken by ``take``, up to ``ahead`` of them at once.

    ``take`` runs in threads. It is called again, with the page from its beginning, when the body breaks off and when
    it raises ``IncompleteAnswer`` or ``DecodeError`` because the page is not whole. ``max_records`` caps a page's rows.
    With ``ahead`` above 1 the org is asked for the places of several pages; where it has none to tell, each page's
    headers name the next one, which is then fetched while the first one's body comes.

    ``kept`` gives the headers of a page that needs no fetching, and what was taken of it; None for the others.
    """

    wire: Wire
    info: JobInfo
    take: Callable[[Incoming], T]
    ahead: int = 1
    max_records: int | None = None
    cancel: Event | None = None
    clock: Clock = SYSTEM_CLOCK
    jitter: Callable[[], float] = random.random
    kept: Callable[[str | None], tuple[PageHead, T] | None] = _nothing_kept
    steps: list[_Step] = field(default_factory=list)

    def results(self) -> Iterator[T]:
        """What ``take`` made of the pages, in their order.

        After the last one the rows that the headers name are added up; ``IncompleteAnswer`` then says that what was
        given so far is not the whole answer.
        """
        work = (partial(self._fetch, step) for step in self._way())
        yield from run_ahead(work, ahead=self.ahead, cancel=self.cancel)
        counted = [step.rows for step in self.steps]
        found, wanted = sum(rows for rows in counted if rows is not None), self.info.records_processed
        if None not in counted and wanted is not None and found != wanted:
            raise incomplete(self.info.id, f"the pages have {found:,} rows, the job counted {wanted:,}")

    # -- the way ----------------------------------------------------------------------------------------------------

    def _way(self) -> Iterator[_Step]:
        """The pages, as soon as it is known where they are."""
        yield self._step(None)
        asked = self.ahead <= 1 or self.max_records is not None  # the links are for pages of the org's own size
        while True:
            try:
                head = awaited(self.steps[-1].head, self.cancel)
            except (ApiError, ConnectionFailed, IncompleteAnswer, DecodeError):
                return  # raised in the page's own turn
            if head.locator is None:
                return
            if not asked:
                asked = True
                yield from map(self._step, self._links(head.locator))
            else:
                yield self._step(head.locator)

    def _step(self, locator: str | None) -> _Step:
        if self.steps and any(step.locator == locator for step in self.steps):
            raise incomplete(self.info.id, "the org names the same page twice")
        self.steps.append(_Step(len(self.steps), locator, locator))
        return self.steps[-1]

    def _links(self, after: str) -> Iterator[str]:
        """The places from ``after`` on; at least ``after`` itself, where the org names no places ahead."""
        found, place = False, None
        while True:
            links = self.wire.send(bulk2_query.result_pages(self.info.id, locator=place), cancel=self.cancel)
            for locator in links.locators:
                found = found or locator == after
                if found:
                    yield locator
            place = links.next_locator
            if not found:
                yield after
            if not found or place is None:
                return

    # -- one page ---------------------------------------------------------------------------------------------------

    def _fetch(self, step: _Step, stop: Event) -> T:
        known = self.kept(step.locator)
        if known is not None:
            step.rows = known[0].rows
            step.head.set_result(known[0])
            return known[1]
        try:
            return self._taken(step, stop)
        except BaseException as problem:  # whoever waits for this page must hear of it, whatever it was
            if not step.head.done():
                step.head.set_exception(problem)
            raise

    def _taken(self, step: _Step, stop: Event) -> T:
        return until_whole(partial(self._found_and_taken, step, stop), clock=self.clock, jitter=self.jitter, stop=stop)

    def _found_and_taken(self, step: _Step, stop: Event) -> T:
        for looked_up in count():
            try:
                return self._taken_once(step, stop)
            except ApiError as problem:
                if problem.error_code != _LOST or step.place is None or looked_up == _FOUND_AGAIN:
                    raise
            step.place = self._found_again(step.number, stop)
        raise AssertionError

    def _taken_once(self, step: _Step, stop: Event) -> T:
        with self._stream(step.place, stop) as answer:
            head = bulk2_query.read_page_head(answer.headers)
            step.rows = head.rows
            if not step.head.done():
                step.head.set_result(head)
            return self.take(Incoming(step.number, step.locator, head, self._until(answer.chunks(), stop)))

    def _until(self, chunks: Iterator[bytes], stop: Event) -> Iterator[bytes]:
        for piece in chunks:
            for event in (self.cancel, stop):
                check_cancel(event, where="a bulk query", job_id=self.info.id)
            yield piece

    def _stream(self, locator: str | None, stop: Event) -> AbstractContextManager[Streamed]:
        check_cancel(self.cancel, where="a bulk query", job_id=self.info.id)
        call = bulk2_query.results(self.info.id, locator=locator, max_records=self.max_records)
        return self.wire.stream(call, cancel=stop)

    def _found_again(self, number: int, stop: Event) -> str:
        """The page's place, asked anew from the nearest page before it whose place the org still knows."""
        for before in range(number - 1, -1, -1):
            with suppress(ApiError):
                locator = self.steps[before].locator
                for _ in range(before, number):
                    with self._stream(locator, stop) as answer:
                        locator = bulk2_query.read_page_head(answer.headers).locator
                if locator is not None:
                    return locator
        raise incomplete(self.info.id, "the place of a page is no longer known to the org")


def until_whole(once: Callable[[], T], *, clock: Clock, jitter: Callable[[], float], stop: Event) -> T:
    """What ``once`` gives, which is called again when a body broke off, and when what came was not whole."""
    cut = 0
    for attempt in count(1):
        try:
            return once()
        except (IncompleteAnswer, DecodeError):
            cut += 1
            if cut == _CUT:
                raise
        except ConnectionFailed:
            pause = _AGAIN.wait(attempt, jitter=jitter())
            if pause is None:
                raise
            clock.wait(pause, stop)  # the next try notices a cancel
    raise AssertionError


def incomplete(job_id: str, what: str) -> IncompleteAnswer:
    """The error for an answer that is not the whole one."""
    return IncompleteAnswer(
        what,
        where=f"job {job_id}",
        remedy="Read the job again by its id; if it stays so, run the query anew.",
        job_id=job_id,
    )

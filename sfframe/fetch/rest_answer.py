"""The answer of a REST query, typed while its pages come."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import chain, count
from threading import Event
from typing import TYPE_CHECKING, Final

from sfframe.errors import ApiError, DecodeError, IncompleteAnswer
from sfframe.fetch.decision import BULK_FROM
from sfframe.fetch.pages import PAGES_AHEAD
from sfframe.jobs.ahead import run_ahead
from sfframe.jobs.rest_query import lost_its_place, rest_pages
from sfframe.protocol.query import query_more

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.fetch.plan import Plan
    from sfframe.protocol.query import QueryPage

_GROUP_BYTES: Final = 8 << 20  # of REST pages that are typed together
_PAGES: Final = 16  # that wait to be typed: two groups, so that pages come while others are typed
_BEGUN_ANEW: Final = 3  # times that a REST query is run when its locator is lost


@dataclass(frozen=True, slots=True)
class RestAnswer:
    """A REST query whose first page is here."""

    org: Org
    plan: Plan
    first: QueryPage
    later: Iterator[QueryPage]

    def batches(self, whole: bool) -> Generator[pl.DataFrame]:
        """The typed rows; ``whole`` and small answers are handed out only when all rows are here.

        So they can be begun anew when a new login has made the locator worthless (rest.md 5).
        """
        if not whole and self.first.total_size >= BULK_FROM:
            yield from self._checked(self.first, self.later)
            return
        first, later = self.first, self.later
        for again in count(1):
            try:
                frames = list(self._checked(first, later))
                break
            except ApiError as problem:
                if not lost_its_place(problem) or again == _BEGUN_ANEW:
                    raise
            later = pages_of(self.org, self.plan)
            first = next(later)
        yield from frames

    def _checked(self, first: QueryPage, later: Iterator[QueryPage]) -> Iterator[pl.DataFrame]:
        rows = 0
        for batch in self._typed(chain([first], later)):
            rows += batch.height
            yield batch
        if not self.plan.shape.count_only and rows != first.total_size:
            raise IncompleteAnswer(
                f"the pages have {rows:,} rows, the org counted {first.total_size:,}",
                where="REST query",
                remedy="Run it again.",
            )

    def _typed(self, pages: Iterable[QueryPage]) -> Iterator[pl.DataFrame]:
        from sfframe.codec.decode_json import PageReader

        options = self.plan.options
        reader = PageReader(self.plan.shape, options.decimals, options.split_multipicklists, self._further)

        def typed(bodies: list[bytes], _stop: Event) -> pl.DataFrame | DecodeError:
            try:
                return reader.read(*bodies)
            except DecodeError as problem:
                return problem

        rows = 0
        work = (partial(typed, bodies) for bodies in _grouped(pages))
        for found in run_ahead(work, ahead=2, cancel=options.cancel):
            if isinstance(found, DecodeError):  # raised in its turn, when the number of the row is known
                raise found.behind(rows)
            rows += found.height
            yield found

    def _further(self, next_path: str | None) -> Iterator[bytes]:
        """The further pages of one record's children."""
        while next_path is not None:
            page = self.org.send(query_more(next_path), cancel=self.plan.options.cancel)
            yield page.body
            next_path = page.next_path


def pages_of(org: Org, plan: Plan) -> Iterator[QueryPage]:
    """The pages of a plan's query as they come."""
    return rest_pages(
        org,
        plan.query,
        include_deleted=plan.include_deleted,
        ahead=_PAGES,
        lanes=PAGES_AHEAD,
        cancel=plan.options.cancel,
    )


def _grouped(pages: Iterable[QueryPage]) -> Iterator[list[bytes]]:
    """Several pages at a time: to type the columns of 2,000 rows takes longer to set up than to do."""
    bodies: list[bytes] = []
    for page in pages:
        bodies.append(page.body)
        if sum(map(len, bodies)) >= _GROUP_BYTES:
            yield bodies
            bodies = []
    if bodies:
        yield bodies

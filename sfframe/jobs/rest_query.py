"""The pages of a REST query: the next ones on their way while one is read (rest.md 5)."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import partial
from threading import Event

from sfframe.errors import ApiError, IncompleteAnswer
from sfframe.jobs.ahead import run_ahead
from sfframe.jobs.wire import Wire
from sfframe.protocol import query
from sfframe.protocol.query import QueryPage

_PLACE = re.compile(r"(?P<locator>.*/0[\w]{14}(?:\w{3})?-)(?P<row>\d+)")  # 0r8...-2000 names the row it begins with
_LOST = frozenset({"INVALID_QUERY_LOCATOR", "INVALID_SESSION_ID"})


def rest_pages(
    wire: Wire,
    soql: str,
    *,
    include_deleted: bool = False,
    batch_size: int | None = None,
    ahead: int = 1,
    lanes: int | None = None,
    cancel: Event | None = None,
) -> Iterator[QueryPage]:
    """The pages of a REST query, in order, each a JSON body as bytes.

    The first one is given before another is asked for; then up to ``ahead`` are under way or wait to be taken, where
    the locator lets the places of later pages be foretold; ``lanes`` of them are asked for at once. Checked here: every
    page names the same total, and no page comes twice (``IncompleteAnswer``). Whether the records add up to
    ``total_size`` shows only when they are decoded, and is the caller's to check.
    """
    page = wire.send(query.query(soql, include_deleted=include_deleted, batch_size=batch_size), cancel=cancel)
    total, seen = page.total_size, set[str]()
    yield page
    row = 0
    while page.next_path is not None:
        places = _foretold(page.next_path, row, total) if ahead > 1 else [page.next_path]
        work = (partial(_more, wire, place) for place in places)
        for place, found in zip(places, run_ahead(work, ahead=ahead, lanes=lanes, cancel=cancel), strict=True):
            if place != page.next_path:
                break  # a page had another size: foretell anew from there
            if place in seen:
                raise IncompleteAnswer("the org names the same page twice", where="REST query", remedy="Run it again.")
            seen.add(place)
            page, row = found, _row(place)
            if page.total_size != total:
                raise IncompleteAnswer(
                    f"the first page names {total:,} records, a later one {page.total_size:,}",
                    where="REST query",
                    remedy="The records changed while they were read: run it again, or use a bulk query.",
                )
            yield page


def lost_its_place(problem: ApiError) -> bool:
    """True for the error of a locator that has expired, or whose session has: the query must be run anew."""
    return problem.error_code in _LOST


def _more(wire: Wire, place: str, stop: Event) -> QueryPage:
    return wire.send(query.query_more(place), cancel=stop)


def _foretold(place: str, row: int, total: int) -> list[str]:
    """The places of all pages from ``place`` on, when all are as long as the one that began with ``row``."""
    found = _PLACE.fullmatch(place)
    size = _row(place) - row
    if found is None or size < 1:
        return [place]
    return [f"{found['locator']}{begin}" for begin in range(_row(place), total, size)] or [place]


def _row(place: str) -> int:
    found = _PLACE.fullmatch(place)
    return int(found["row"]) if found else 0

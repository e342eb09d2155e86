"""Carries out a planned read: the counterpart of ``load``, where the wire wing's pages meet the data wing's types."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import chain
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final, Literal

from sfframe import soql
from sfframe.errors import IncompleteAnswer, UsageError
from sfframe.jobs.extract import QueryJob, fetch_pages, start_query, wait_for_query
from sfframe.jobs.rest_query import rest_pages
from sfframe.progress import shown
from sfframe.protocol.query import fits_in_uri, query_more
from sfframe.read_options import ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.layout import Shape
    from sfframe.connection.org import Org
    from sfframe.protocol.query import QueryPage

Carrier = Literal["rest", "bulk2"]

# From so many rows on a bulk query is asked for: ten REST pages of 2,000 take about as long as one job (rest.md 1.3).
BULK_FROM: Final = 20_000
_REST_ONLY_TYPES: Final = frozenset({"address", "location", "base64", "json"})  # bulk2.md 4.7


@dataclass(frozen=True, slots=True)
class Plan:
    """A read that is decided on: the text that is sent, what it means, and the columns of its answer."""

    query: str
    parsed: soql.Query
    shape: Shape
    include_deleted: bool = False
    options: ReadOptions = field(default_factory=ReadOptions)


@dataclass(frozen=True, slots=True)
class Decision:
    """Which API answers, and why. ``total_size`` is what a REST page named, None where none was asked for;
    ``job_id`` is empty where there is no job.
    """

    api: Carrier
    reason: str
    total_size: int | None = None
    job_id: str = ""


class Fetched:
    """An answer on its way: the decision is made, the rows come with ``batches`` or ``frame``, once."""

    def __init__(
        self, org: Org, plan: Plan, decision: Decision, batches: Callable[[], Iterator[pl.DataFrame]], *, began: int
    ) -> None:
        self.plan = plan
        self.decision = decision
        self._org = org
        self._batches = batches
        self._began = began

    @property
    def schema(self) -> pl.Schema:
        """Names and types of every batch."""
        from sfframe.codec.decode import readers_of, schema_of

        options = self.plan.options
        readers = readers_of(self.plan.shape, decimals=options.decimals, split=options.split_multipicklists)
        return schema_of(self.plan.shape, readers)

    @property
    def calls(self) -> int:
        """Requests of the connection since the read began; those of other threads on it are among them."""
        return self._org.calls - self._began

    def batches(self) -> Iterator[pl.DataFrame]:
        """The rows as they come, each batch typed. Nothing of it is the whole answer before the iterator has ended:
        a shortfall raises ``IncompleteAnswer`` after the last batch.
        """
        return self._batches()

    def frame(self) -> pl.DataFrame:
        """All rows, or an error."""
        import polars as pl

        return pl.concat([pl.DataFrame(schema=self.schema), *self.batches()])


def fetch(org: Org, plan: Plan) -> Fetched:
    """Decides which API answers, asks it, and gives the answer while it comes.

    ``QueryError`` for a query that the org refuses comes from here, everything about rows from ``batches``.
    """
    began = org.calls
    refused = refused_by_bulk(plan.parsed, plan.shape)
    api = plan.options.api
    if api == "bulk2" and refused:
        raise UsageError(f"A bulk query cannot have {refused}", remedy='Use api="rest", or leave it out of the query.')
    if api == "bulk2" or (api == "auto" and not refused and not fits_in_uri(plan.query)):
        return _by_bulk(org, plan, "asked for" if api == "bulk2" else "the query is too long for a URI", None, began)
    pages = rest_pages(org, plan.query, include_deleted=plan.include_deleted, cancel=plan.options.cancel)
    first = next(pages)
    if api == "auto" and not refused and first.total_size >= BULK_FROM:
        return _by_bulk(org, plan, f"{first.total_size:,} rows, {BULK_FROM:,} or more", first.total_size, began)
    reason = "asked for" if api == "rest" else f"a bulk query cannot have {refused}" if refused else ""
    decision = Decision("rest", reason or f"{first.total_size:,} rows, less than {BULK_FROM:,}", first.total_size)
    return Fetched(org, plan, decision, lambda: _rest_batches(org, plan, first, pages), began=began)


def refused_by_bulk(query: soql.Query, shape: Shape) -> str:
    """What in the query only REST can answer (bulk2.md 4.7); empty when a bulk query can do it too."""
    if query.count_only or query.group_by is not None or any(column.field is None for column in shape.columns):
        return "aggregates or functions"
    if query.offset is not None:
        return "OFFSET"
    if any(isinstance(item, soql.SubQuery | soql.TypeOf | soql.FieldsOf) for item in query.select):
        return "sub-queries, TYPEOF or FIELDS()"
    special = [column.name for column in shape.columns if column.type in _REST_ONLY_TYPES]
    return f"the compound or binary field {special[0]}" if special else ""


def _rest_batches(org: Org, plan: Plan, first: QueryPage, later: Iterator[QueryPage]) -> Iterator[pl.DataFrame]:
    from sfframe.codec.decode_json import PageReader

    rows = 0
    options = plan.options
    reader = PageReader(
        plan.shape, options.decimals, options.split_multipicklists, lambda path: _bodies(org, path, options.cancel)
    )
    for page in chain([first], later):
        batch = reader.read(page.body, first_row=rows)
        rows += batch.height
        yield batch
    if not plan.shape.count_only and rows != first.total_size:
        raise IncompleteAnswer(
            f"the pages have {rows:,} rows, the org counted {first.total_size:,}",
            where="REST query",
            remedy="Run it again.",
        )


def _bodies(org: Org, next_path: str | None, cancel: Event | None) -> Iterator[bytes]:
    """The further pages of one record's children."""
    while next_path is not None:
        page = org.send(query_more(next_path), cancel=cancel)
        yield page.body
        next_path = page.next_path


def _by_bulk(org: Org, plan: Plan, reason: str, total_size: int | None, began: int) -> Fetched:
    job = QueryJob(plan.query, include_deleted=plan.include_deleted)
    job_id = start_query(org, job, cancel=plan.options.cancel)
    decision = Decision("bulk2", reason, total_size, job_id)
    return Fetched(org, plan, decision, lambda: _bulk_batches(org, plan, job_id), began=began)


def _bulk_batches(org: Org, plan: Plan, job_id: str) -> Iterator[pl.DataFrame]:
    from sfframe.codec.decode_csv import PageReader

    options = plan.options
    reader = PageReader(plan.shape, decimals=options.decimals, split_multipicklists=options.split_multipicklists)
    title, rows = f"query {plan.parsed.source.name}", 0
    with (
        tempfile.TemporaryDirectory(prefix="sfframe-") as folder,
        shown(options.progress, title=title, rows=0) as listener,
    ):
        info = wait_for_query(org, job_id, pacing=options.pacing, cancel=options.cancel, on_event=listener)
        for page in fetch_pages(org, info, folder=Path(folder), cancel=options.cancel, on_event=listener):
            for batch in reader.read_file(page.path, first_row=rows):
                rows += batch.height
                yield batch
            page.path.unlink()

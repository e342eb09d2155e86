"""Carries out a planned read: the counterpart of ``load``, where the wire wing's pages meet the data wing's types."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import chain, count
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final, Literal

from sfframe import soql
from sfframe.errors import ApiError, DecodeError, IncompleteAnswer, UsageError
from sfframe.jobs.ahead import run_ahead
from sfframe.jobs.events import Listener
from sfframe.jobs.extract import QueryJob, start_query, take_pages, wait_for_query
from sfframe.jobs.kept_pages import KeptPages
from sfframe.jobs.rest_query import lost_its_place, rest_pages
from sfframe.jobs.result_pages import Incoming, incomplete
from sfframe.jobs.wire import written_whole
from sfframe.progress import shown
from sfframe.protocol.query import fits_in_uri, query_more
from sfframe.read_options import ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.decode_csv import PageReader
    from sfframe.codec.layout import Shape
    from sfframe.connection.org import Org
    from sfframe.protocol.bulk2_job import JobInfo
    from sfframe.protocol.bulk2_query import PageHead
    from sfframe.protocol.query import QueryPage

Carrier = Literal["rest", "bulk2"]
Batches = Callable[[bool], "Iterator[pl.DataFrame]"]  # True: nothing is used before all of it is here

# From so many rows on a bulk query is asked for: ten REST pages of 2,000 take about as long as one job (rest.md 1.3).
BULK_FROM: Final = 20_000
_PAGES_AHEAD: Final = 3  # on their way, or waiting to be used
_MEMORY_BYTES: Final = 32 << 20  # of one page; a longer one waits on disk
_GLUED_BYTES: Final = 8 << 20  # of REST pages that are parsed together
_BEGUN_ANEW: Final = 3  # times that a REST query is run when its locator is lost
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

    def __init__(self, org: Org, plan: Plan, decision: Decision, batches: Batches, *, began: int) -> None:
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
        """The rows as they come, each batch typed; a few pages are in memory at a time.

        Nothing of it is the whole answer before the iterator has ended: a shortfall raises ``IncompleteAnswer``.
        """
        return self._batches(False)

    def frame(self) -> pl.DataFrame:
        """All rows, or an error."""
        import polars as pl

        return pl.concat([pl.DataFrame(schema=self.schema), *self._batches(True)])


def fetch(org: Org, plan: Plan, *, keep: KeptPages | None = None) -> Fetched:
    """Decides which API answers, asks it, and gives the answer while it comes.

    With ``keep`` the pages of a bulk query stay on disk; the job that they are noted for, if any, is read on.
    ``QueryError`` for a query that the org refuses comes from here, everything about rows from ``batches``.
    """
    began = org.calls
    if keep is not None and keep.about:
        job_id = keep.about["job"]
        going_on = _BulkAnswer(org, plan, job_id, 0, keep)
        decision = Decision("bulk2", "its job goes on, and pages of it are kept", None, job_id)
        return Fetched(org, plan, decision, going_on.batches, began=began)
    refused = refused_by_bulk(plan.parsed, plan.shape)
    api = plan.options.api
    if api == "bulk2" and refused:
        raise UsageError(f"A bulk query cannot have {refused}", remedy='Use api="rest", or leave it out of the query.')
    if api == "bulk2" or (api == "auto" and not refused and not fits_in_uri(plan.query)):
        return _by_bulk(
            org,
            plan,
            "asked for" if api == "bulk2" else "the query is too long for a URI",
            None,
            keep=keep,
            began=began,
        )
    pages = _rest_pages(org, plan)
    first = next(pages)
    if api == "auto" and not refused and first.total_size >= BULK_FROM:
        return _by_bulk(
            org, plan, f"{first.total_size:,} rows, {BULK_FROM:,} or more", first.total_size, keep=keep, began=began
        )
    reason = "asked for" if api == "rest" else f"a bulk query cannot have {refused}" if refused else ""
    reason = reason or f"{first.total_size:,} rows, less than {BULK_FROM:,}"
    answer = _RestAnswer(org, plan, first, pages)
    return Fetched(org, plan, Decision("rest", reason, first.total_size), answer.batches, began=began)


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


@dataclass(frozen=True, slots=True)
class _RestAnswer:
    """A REST query whose first page is here."""

    org: Org
    plan: Plan
    first: QueryPage
    later: Iterator[QueryPage]

    def batches(self, whole: bool) -> Iterator[pl.DataFrame]:
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
            later = _rest_pages(self.org, self.plan)
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

        def typed(body: bytes, _stop: Event) -> pl.DataFrame | DecodeError:
            try:
                return reader.read(body)
            except DecodeError as problem:
                return problem

        rows = 0
        work = (partial(typed, body) for body in _glued(pages))
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


def _rest_pages(org: Org, plan: Plan) -> Iterator[QueryPage]:
    return rest_pages(
        org, plan.query, include_deleted=plan.include_deleted, ahead=_PAGES_AHEAD, cancel=plan.options.cancel
    )


def _glued(pages: Iterable[QueryPage]) -> Iterator[bytes]:
    """Several pages as one array: a page of 2,000 rows takes longer to set up than to parse."""
    bodies: list[bytes] = []
    for page in pages:
        bodies.append(page.body)
        if sum(map(len, bodies)) >= _GLUED_BYTES:
            yield b"[" + b",".join(bodies) + b"]"
            bodies.clear()
    if bodies:
        yield b"[" + b",".join(bodies) + b"]" if len(bodies) > 1 else bodies[0]


def _by_bulk(
    org: Org, plan: Plan, reason: str, total_size: int | None, *, keep: KeptPages | None, began: int
) -> Fetched:
    job_id = start_query(org, QueryJob(plan.query, include_deleted=plan.include_deleted), cancel=plan.options.cancel)
    if keep is not None:
        keep.begin({**about(org, plan), "job": job_id})
    answer = _BulkAnswer(org, plan, job_id, total_size or 0, keep)
    return Fetched(org, plan, Decision("bulk2", reason, total_size, job_id), answer.batches, began=began)


def about(org: Org, plan: Plan) -> dict[str, str]:
    """What kept pages belong to: they are of no use to another query, or to another org."""
    return {"query": plan.query, "deleted": str(plan.include_deleted), "org": org.instance_url}


@dataclass(frozen=True, slots=True)
class _BulkAnswer:
    """A bulk query whose job is made."""

    org: Org
    plan: Plan
    job_id: str
    rows: int
    keep: KeptPages | None

    def batches(self, _whole: bool) -> Iterator[pl.DataFrame]:
        """The typed rows, in the order of the pages."""
        options, rows = self.plan.options, 0
        title = f"query {self.plan.parsed.source.name}"
        with (
            tempfile.TemporaryDirectory(prefix="sfframe-") as folder,
            shown(options.progress, title=title, rows=self.rows) as listener,
        ):
            info = wait_for_query(
                self.org, self.job_id, pacing=options.pacing, cancel=options.cancel, on_event=listener
            )
            for batch in self._typed(info, Path(folder), listener):
                rows += batch.height
                yield batch
        # The headers were added up; a proxy may have taken them away, or put a page of its own in their place.
        if info.records_processed is not None and rows != info.records_processed:
            raise incomplete(info, f"the pages have {rows:,} rows, the job counted {info.records_processed:,}")

    def _typed(self, info: JobInfo, folder: Path, listener: Listener) -> Iterator[pl.DataFrame]:
        from sfframe.codec.decode_csv import PageReader

        options, rows, keep = self.plan.options, 0, self.keep
        reader = PageReader(
            self.plan.shape, decimals=options.decimals, split_multipicklists=options.split_multipicklists
        )
        pages = take_pages(
            self.org,
            info,
            partial(_typed_page, reader=reader, folder=folder) if keep is None else partial(_kept_page, keep=keep),
            ahead=_PAGES_AHEAD,
            cancel=options.cancel,
            on_event=listener,
            kept=None if keep is None else partial(_known_page, keep=keep),
        )
        for page in pages:
            try:
                for batch in page.frames(reader, first_row=rows):
                    rows += batch.height
                    yield batch
            except (DecodeError, IncompleteAnswer):
                if keep is not None:
                    keep.discard(page.content)  # to be fetched anew when the read goes on
                raise
            if keep is None and isinstance(page.content, Path):
                page.content.unlink()


def _kept_page(page: Incoming, *, keep: KeptPages) -> _Page:
    kept = keep.keep(page)
    return _Page(kept.path.name, kept.head.rows, kept.path)


def _known_page(locator: str | None, *, keep: KeptPages) -> tuple[PageHead, _Page] | None:
    kept = keep.find(locator)
    return None if kept is None else (kept.head, _Page(kept.path.name, kept.head.rows, kept.path))


@dataclass(frozen=True, slots=True)
class _Page:
    """A page of a bulk query: typed, or why it cannot be; a large one is a file."""

    name: str
    rows: int | None
    content: pl.DataFrame | DecodeError | Path

    def frames(self, reader: PageReader, *, first_row: int) -> Iterator[pl.DataFrame]:
        """Its typed rows; a value that does not fit is raised here, where the number of its row is known."""
        if isinstance(self.content, Path):
            rows = 0
            for frame in reader.read_file(self.content, first_row=first_row):
                rows += frame.height
                yield frame
            _check_rows(self.name, rows, self.rows)
        elif isinstance(self.content, DecodeError):
            raise self.content.behind(first_row)
        else:
            yield self.content


def _typed_page(page: Incoming, *, reader: PageReader, folder: Path) -> _Page:
    """The page in whole. One that is cut off raises, and is then fetched again."""
    name = f"{page.number + 1}"
    body = _collected(page, folder / f"page-{name}.csv")
    if isinstance(body, Path):
        return _Page(name, page.head.rows, body)
    try:
        frame = reader.read(body, name=name)
    except DecodeError as problem:
        if problem.row < 0:
            raise
        return _Page(name, page.head.rows, problem)
    _check_rows(name, frame.height, page.head.rows)
    return _Page(name, page.head.rows, frame)


def _check_rows(name: str, found: int, counted: int | None) -> None:
    if counted is not None and found != counted:
        raise IncompleteAnswer(
            f"it has {found:,} rows, and its headers say {counted:,}",
            where=f"page {name}",
            remedy="Read the job again; the page was cut or changed on its way.",
        )


def _collected(page: Incoming, target: Path) -> bytearray | Path:
    """The body in memory, or in a file where it is large: the org decides how long a page is (bulk2.md 4.4)."""
    body = bytearray()
    for piece in page.chunks:
        body += piece
        if len(body) > _MEMORY_BYTES:
            with written_whole(target) as file:
                file.write(body)
                del body
                file.writelines(page.chunks)
            return target
    return body

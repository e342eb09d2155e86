"""export_soql, partition_soql: answers of any size as files, and queries cut into parts."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import closing
from dataclasses import dataclass, field, replace
from pathlib import Path
from threading import Event, Lock
from typing import TYPE_CHECKING, Final

from sfframe import orgs, soql
from sfframe.errors import IncompleteAnswer, NotFound, SfframeError, UsageError
from sfframe.explanations import READ_FRAMES, QueryRead, ReadExplanation
from sfframe.fetch import Fetched, Plan, about, fetch, parts_of, planned, spread
from sfframe.jobs.kept_pages import KeptPages, KeptParts
from sfframe.jobs.lanes import run_lanes
from sfframe.progress import shown
from sfframe.protocol.query import fits_in_uri
from sfframe.read_options import ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.frames.saved import Saved
    from sfframe.frames.sink import Sink
    from sfframe.jobs.events import JobEvent, Listener
    from sfframe.orgs import OrgLike

# Small row groups cost time and memory (measured.md 2), wide rows cost memory.
_GROUP_ROWS: Final = 250_000
_GROUP_BYTES: Final = 48 << 20
_LANES: Final = 8


def export_soql(
    query: str,
    path: str | Path,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
    partitions: int = 1,
    by: str = "CreatedDate",
    resume: bool = False,
    options: ReadOptions = ReadOptions(),
) -> Saved:
    """Write the rows of a SOQL query to a file, however many there are, and give back where they are.

    The ending of ``path`` says the format: .parquet, .csv, .jsonl or .arrow; without one it is a folder of Parquet
    files. Columns, types and ``params`` are those of ``read_soql``; only a few pages are in memory at a time. The file
    has its name only when its rows are as many as the org counted; before that nothing is to be seen of it.
    ``explain`` of what is given back tells how it was read.

    ``partitions`` cuts the query as ``partition_soql`` does, ``by`` a date or datetime field or Id: each part is a
    query of its own, up to 8 of them are read at once, and their rows stand in the file as they come. A record whose
    ``by`` changes meanwhile may be in two parts or in none; CreatedDate and Id never change.

    A list in the WHERE that is too long for one query is spread over several, which are read at once as well; a record
    that more than one of them finds is written once, for which its Id is kept in memory. A query that is too long
    because of its fields is refused: ``read_soql`` can join the parts of its rows, in memory.

    The pages of Bulk API 2.0 queries wait in a hidden folder beside the file until it is complete. After an export that
    broke off, ``resume=True`` reads on the same jobs, in the same parts, and fetches only the pages that are missing;
    the jobs' results stay in the org for seven days. Raises UsageError when the kept pages are those of another query
    or org. What REST and Bulk API 1.0 answered is asked for anew.

    >>> import sfframe as sf
    >>> import tempfile
    >>> with tempfile.TemporaryDirectory() as folder:
    ...     saved = sf.export_soql("SELECT Id, Name FROM User", f"{folder}/users.parquet", org="local")
    ...     saved.scan().collect().columns
    ['Id', 'Name']
    """
    from sfframe.frames.saved import writeable
    from sfframe.frames.sink import sink

    target = Path(path)
    writeable(target)
    connection = orgs.connect(org)
    plan = planned(connection, query, params, include_deleted=include_deleted, options=options)
    kept = KeptParts(target.with_name(f".{target.name}.pages"))
    if not (resume and _belongs(kept, plan, connection, target)):
        parts = _parts(connection, plan, partitions, by)
        kept.begin(about(connection, plan), [part.query for part in parts])
    keeps = kept.pages
    try:
        with sink(target) as file:
            cut_list = len(kept.queries) > 1 and not fits_in_uri(plan.query)  # else the parts have no row in common
            groups = _Groups(file, plan, several=cut_list)
            reads = _written(connection, plan, kept.queries, keeps, groups)
            rows = sum(read.report.rows for read in reads)
            if rows != file.height + groups.left_out:
                raise IncompleteAnswer(
                    f"{file.height:,} rows were written, and {rows - groups.left_out:,} have come",
                    where=str(target),
                    remedy="Run it again.",
                )
    except SfframeError as problem:
        if any(keep.about for keep in keeps):
            problem.add_note("What has come so far is kept: the same export with resume=True (--resume) goes on.")
        raise
    finally:
        if not any(keep.about for keep in keeps):  # nothing that could be gone on with
            kept.clear()
    kept.clear()
    READ_FRAMES.note(file.saved, ReadExplanation(file.saved.height, tuple(reads)))
    return file.saved


def partition_soql(
    query: str,
    partitions: int,
    *,
    by: str = "CreatedDate",
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
) -> list[str]:
    """Cut a query into up to ``partitions`` queries that find its rows together, each row once.

    ``by`` is a date or datetime field, or Id: its range, asked from the org now, is cut into equal spans. The first
    part has the rows without a value too, the last one those that are made later. Few distinct values make fewer
    parts; a query that finds nothing stays one. For several jobs at once, and for engines that read in parallel.
    Raises UsageError for a query whose rows are no records or that has LIMIT, OFFSET or ORDER BY.

    >>> import sfframe as sf
    >>> len(sf.partition_soql("SELECT Id FROM User", 4, by="Id", org="local"))
    1
    """
    connection = orgs.connect(org)
    plan = planned(connection, query, params, include_deleted=include_deleted)
    return [part.query for part in parts_of(connection, plan, partitions, by=by)]


def _parts(org: Org, plan: Plan, partitions: int, by: str) -> list[Plan]:
    """The queries of an export: those asked for, or where one is too long for the org as many as its list needs."""
    if partitions != 1:
        if not fits_in_uri(plan.query):  # its range is asked for by REST
            raise UsageError(
                f"The query of {len(plan.query):,} characters is too long to be cut by {by}",
                where=f"FROM {plan.parsed.source.name}",
                remedy="Leave partitions out: a list that no query holds is cut itself.",
            )
        return parts_of(org, plan, partitions, by=by)
    return spread(org, plan)


def _belongs(kept: KeptParts, plan: Plan, org: Org, target: Path) -> bool:
    """Whether there is something to go on with; raises UsageError where it is of another query or org."""
    if kept.about and kept.about != about(org, plan):
        raise UsageError(
            f"What is kept of {target.name} belongs to another query or org",
            where=str(kept.folder),
            remedy="Export without resume, which begins anew, or to another file.",
        )
    return bool(kept.about)


def _written(org: Org, plan: Plan, queries: list[str], keeps: list[KeptPages], groups: _Groups) -> list[QueryRead]:
    """Reads all parts, up to ``_LANES`` at once, and gives how each one went; each is checked."""
    options = plan.options

    def work(number: int, query: str, keep: KeptPages, listener: Listener) -> Callable[[Event], QueryRead]:
        def told(event: JobEvent) -> None:
            listener(replace(event, part=number, parts=len(queries)))

        def go(stop: Event) -> QueryRead:
            parsed = soql.parse(query)
            same = parsed.select == plan.parsed.select  # else it has the Id, by which rows are known
            part = replace(plan, query=query, parsed=parsed) if same else plan.with_query(parsed, org)
            try:
                part = replace(part, options=replace(options, progress=told, cancel=stop))
                fetched = _fetched(org, part, keep)
                with closing(fetched.batches()) as batches:
                    for batch in batches:
                        groups.add(batch)
            except BaseException:  # also at Ctrl-C: what the other parts have brought is kept, and no more is wanted
                stop.set()
                raise
            return QueryRead(query, fetched.reported)

        return go

    with shown(options.progress, title=f"export {plan.parsed.source.name}", rows=0) as listener:
        pieces = [work(number, *one, listener) for number, one in enumerate(zip(queries, keeps, strict=True))]
        reads = run_lanes(pieces, cap=_LANES, cancel=options.cancel)
    groups.end()
    return reads


def _fetched(org: Org, plan: Plan, keep: KeptPages) -> Fetched:
    """The answer; a job that the org no longer knows is made anew."""
    from sfframe.protocol import bulk2_query

    if keep.about:
        try:
            org.send(bulk2_query.info(keep.about["job"]))
        except NotFound:
            keep.begin({})
    return fetch(org, plan, keep=keep)


@dataclass(slots=True)
class _Groups:
    """Puts batches together to the size of a row group and writes them; safe to share by threads.

    With ``several`` the same record may come by more than one query, and a LIMIT is for all of them together: each row
    has its Id, and those that are not to be written are counted in ``left_out``.
    """

    file: Sink
    plan: Plan
    several: bool
    left_out: int = 0
    lock: Lock = field(default_factory=Lock)
    waiting: list[pl.DataFrame] = field(default_factory=list)
    seen: pl.DataFrame | None = None
    rows: int = 0
    size: float = 0.0

    def add(self, batch: pl.DataFrame) -> None:
        """One more batch; it may be written now or later."""
        with self.lock:
            self.waiting.append(batch)
            self.rows += batch.height
            self.size += batch.estimated_size()
            if self.rows >= _GROUP_ROWS or self.size >= _GROUP_BYTES:
                self._write()

    def end(self) -> None:
        """Writes what is left; a file without rows has a group too, with the types."""
        import polars as pl

        if self.waiting:
            self._write()
        if self.file.schema is None:
            self.file.write(pl.DataFrame(schema=self.plan.schema))

    def _write(self) -> None:
        import polars as pl

        whole = pl.concat(self.waiting)
        self.file.write(self._new(whole).select(self.plan.shape.names) if self.several else whole)
        self.waiting.clear()
        self.rows, self.size = 0, 0.0

    def _new(self, rows: pl.DataFrame) -> pl.DataFrame:
        """The rows that were not written before, up to the LIMIT."""
        limit = self.plan.parsed.limit
        new = rows.unique("Id", keep="first", maintain_order=True)
        if self.seen is not None:
            new = new.join(self.seen, on="Id", how="anti", maintain_order="left")
        new = new if limit is None else new.head(limit - self.file.height)
        ids = new.select("Id")
        self.seen = ids if self.seen is None else self.seen.vstack(ids)
        self.left_out += rows.height - new.height
        return new

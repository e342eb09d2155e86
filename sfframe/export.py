"""export_soql, partition_soql: answers of any size as files, and queries cut into parts."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sfframe import orgs
from sfframe.errors import NotFound, SfframeError, UsageError
from sfframe.fetch import Fetched, Plan, about, fetch, parts_of, planned
from sfframe.jobs.kept_pages import KeptPages
from sfframe.read_options import ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.frames.saved import Saved
    from sfframe.orgs import OrgLike

# Small row groups cost time and memory (measured.md 2), wide rows cost memory.
_GROUP_ROWS: Final = 250_000
_GROUP_BYTES: Final = 48 << 20
_DIGITS: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz"  # of ids, in their order


def export_soql(
    query: str,
    path: str | Path,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
    resume: bool = False,
    options: ReadOptions = ReadOptions(),
) -> Saved:
    """Write the rows of a SOQL query to a file, however many there are, and give back where they are.

    The ending of ``path`` says the format: .parquet, .csv, .jsonl or .arrow. Columns, types and ``params`` are those of
    ``read_soql``; only a few pages are in memory at a time. The file has its name only when its rows are as many as the
    org counted; before that nothing is to be seen of it.

    The pages of a bulk query wait in a hidden folder beside the file until it is complete. After an export that broke
    off, ``resume=True`` reads on the same job and fetches only the pages that are missing; the job's results stay in
    the org for seven days. Raises UsageError when the kept pages are those of another query or org.

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
    keep = _kept(target, plan, connection, resume=resume)
    try:
        with sink(target) as file:
            for batch in _grouped(_fetched(connection, plan, keep).batches(), plan):
                file.write(batch)
    except SfframeError as problem:
        if keep.about:
            problem.add_note("What has come so far is kept: the same export with resume=True (--resume) goes on.")
        raise
    finally:
        if not keep.about:  # nothing that could be gone on with
            keep.clear()
    keep.clear()
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


def _kept(target: Path, plan: Plan, org: Org, *, resume: bool) -> KeptPages:
    keep = KeptPages(target.with_name(f".{target.name}.pages"))
    noted = keep.about
    if not resume:
        keep.begin({})
    elif noted and {**noted, **about(org, plan)} != noted:
        raise UsageError(
            f"What is kept of {target.name} belongs to another query or org",
            where=str(keep.folder),
            remedy="Export without resume, which begins anew, or to another file.",
        )
    return keep


def _fetched(org: Org, plan: Plan, keep: KeptPages) -> Fetched:
    """The answer; a job that the org no longer knows is made anew."""
    from sfframe.protocol import bulk2_query

    if keep.about:
        try:
            org.send(bulk2_query.info(keep.about["job"]))
        except NotFound:
            keep.begin({})
    return fetch(org, plan, keep=keep)


def _grouped(batches: Iterable[pl.DataFrame], plan: Plan) -> Iterator[pl.DataFrame]:
    """Batches put together to the size of a row group; at least one, which may be empty."""
    import polars as pl

    waiting: list[pl.DataFrame] = []
    rows = given = 0
    size = 0.0
    for batch in batches:
        waiting.append(batch)
        rows += batch.height
        size += batch.estimated_size()
        if rows >= _GROUP_ROWS or size >= _GROUP_BYTES:
            yield pl.concat(waiting)
            waiting.clear()
            given, rows, size = given + rows, 0, 0.0
    if waiting:
        yield pl.concat(waiting)
    elif not given:
        yield pl.DataFrame(schema=plan.schema)

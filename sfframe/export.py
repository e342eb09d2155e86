"""export_soql, partition_soql: answers of any size as files, and queries cut into parts."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sfframe import orgs, soql
from sfframe.errors import IncompleteAnswer, NotFound, SfframeError, UsageError
from sfframe.fetch import Fetched, Plan, about, fetch
from sfframe.ids import to18
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
    plan = _planned(query, params or {}, connection, include_deleted, options)
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
    if partitions < 1:
        raise UsageError(f"partitions is {partitions}", remedy="Give a number from 1.")
    connection = orgs.connect(org)
    plan = _planned(query, params or {}, connection, include_deleted, ReadOptions())
    parsed = plan.parsed
    if parsed.count_only or parsed.group_by or parsed.order_by or parsed.limit is not None or parsed.offset is not None:
        raise UsageError(
            "A query with aggregates, ORDER BY, LIMIT or OFFSET cannot be cut into parts",
            remedy="Leave them out, and sort or cut the frame.",
        )
    sobject = connection.describe(parsed.source.name)
    field = sobject.field(by)
    if field is None or field.type not in {"id", "date", "datetime"}:
        what = f"{sobject.name} has no field {by}" if field is None else f"{field.name} is of type {field.type}"
        raise UsageError(what, remedy="Cut by Id, or by a date or datetime field.")
    low, high = (_edge(connection, plan, field.name, descending=side) for side in (False, True))
    edges = _edges(low, high, partitions) if low is not None and high is not None else []
    conditions = _spans(field.name, edges, nillable=field.nillable)
    return [soql.to_text(replace(parsed, where=_both(parsed.where, one))) for one in conditions]


def _planned(query: str, params: Mapping[str, object], org: Org, include_deleted: bool, options: ReadOptions) -> Plan:
    from sfframe.frames.selection import written_out
    from sfframe.frames.shape import shape

    parsed = soql.parse(query, star=True)
    bound = soql.bind(parsed, params, text=query, timezone=options.timezone or org.timezone)
    if bound.all_rows:  # what Apex calls it; the API has a resource of its own (rest.md 5)
        bound, include_deleted = replace(bound, all_rows=False), True
    sobject = org.describe(bound.source.name)
    written = written_out(bound, sobject, org.describe)
    text = query if written == parsed else soql.to_text(written)
    return Plan(text, written, shape(written, sobject, org.describe), include_deleted, options)


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
        from sfframe.codec.decode import readers_of, schema_of

        options = plan.options
        readers = readers_of(plan.shape, decimals=options.decimals, split=options.split_multipicklists)
        yield pl.DataFrame(schema=schema_of(plan.shape, readers))


# -- parts of a query -----------------------------------------------------------------------------------------------


def _edge(org: Org, plan: Plan, field: str, *, descending: bool) -> object:
    """The lowest or the highest value that the query finds, None where it finds none."""
    order = "DESC NULLS LAST" if descending else "ASC NULLS LAST"
    asked = soql.parse(f"SELECT {field} FROM {plan.parsed.source.name} ORDER BY {field} {order} LIMIT 1")
    source = replace(asked, source=plan.parsed.source, related=plan.parsed.related, where=plan.parsed.where)
    found = fetch(org, _planned(soql.to_text(source), {}, org, plan.include_deleted, ReadOptions(api="rest"))).frame()
    value: object = found.item() if found.height else None
    return value


def _edges(low: object, high: object, partitions: int) -> list[str]:
    """The values between the parts, as SOQL writes them, in their order and each once."""
    if isinstance(low, str) and isinstance(high, str):
        first, last = _number(low), _number(high)
        places = [first + (last - first) * part // partitions for part in range(1, partitions)]
        return [f"'{one}'" for one in dict.fromkeys(map(_id, places)) if low < one <= high]
    if isinstance(low, dt.datetime) and isinstance(high, dt.datetime):
        moments = [low + (high - low) * part / partitions for part in range(1, partitions)]
        cut = dict.fromkeys(one.astimezone(dt.UTC).replace(microsecond=0) for one in moments)
        return [one.strftime("%Y-%m-%dT%H:%M:%SZ") for one in cut if low < one <= high]
    if isinstance(low, dt.date) and isinstance(high, dt.date):
        days = dict.fromkeys(low + (high - low) * part // partitions for part in range(1, partitions))
        return [one.isoformat() for one in days if low < one <= high]
    raise IncompleteAnswer("the org gives no range of this field", remedy="Cut by another one.")


def _spans(field: str, edges: list[str], *, nillable: bool) -> list[str]:
    """Conditions that cover every value once; the first has the rows without one as well."""
    if not edges:
        return [""]
    first = f"{field} < {edges[0]}"
    spans = [f"{field} >= {low} AND {field} < {high}" for low, high in pairwise(edges)]
    return [f"({first} OR {field} = null)" if nillable else first, *spans, f"{field} >= {edges[-1]}"]


def _both(where: soql.Condition | None, span: str) -> soql.Condition | None:
    if not span:
        return where
    condition = soql.parse(f"SELECT Id FROM Account WHERE {span}").where
    if where is None or condition is None:
        return condition
    return soql.Logic("AND", (where, condition))


def _number(record_id: str) -> int:
    """An id as a number: its first 15 characters are digits of base 62 (rest.md 10)."""
    value = 0
    for character in record_id[:15]:
        value = value * len(_DIGITS) + _DIGITS.index(character)
    return value


def _id(number: int) -> str:
    characters = ""
    for _ in range(15):
        number, digit = divmod(number, len(_DIGITS))
        characters = _DIGITS[digit] + characters
    return to18(characters)

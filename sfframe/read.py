"""read_soql: the rows of a query as a typed frame."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from importlib.util import find_spec
from itertools import chain
from pathlib import Path
from typing import TYPE_CHECKING, Final, Literal, get_args, overload

from sfframe import orgs, soql
from sfframe.errors import UsageError
from sfframe.protocol.query import fits_in_uri

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from sfframe.codec.layout import Shape
    from sfframe.connection.org import Org
    from sfframe.orgs import OrgLike

Api = Literal["auto", "rest", "bulk2"]
Backend = Literal["polars", "pandas", "pyarrow"]

# From so many rows on a bulk query is asked for: ten REST pages of 2,000 take about as long as one job (rest.md 1.3).
BULK_FROM: Final = 20_000
_REST_ONLY_TYPES: Final = frozenset({"address", "location", "base64", "json"})  # bulk2.md 4.7


@overload
def read_soql(
    query: str,
    *,
    org: OrgLike | None = None,
    api: Api = "auto",
    all_rows: bool = False,
    backend: Literal["polars"] = "polars",
    decimals: bool = False,
    split_multipicklists: bool = False,
) -> pl.DataFrame: ...
@overload
def read_soql(
    query: str,
    *,
    org: OrgLike | None = None,
    api: Api = "auto",
    all_rows: bool = False,
    backend: Literal["pandas"],
    decimals: bool = False,
    split_multipicklists: bool = False,
) -> pd.DataFrame: ...
@overload
def read_soql(
    query: str,
    *,
    org: OrgLike | None = None,
    api: Api = "auto",
    all_rows: bool = False,
    backend: Literal["pyarrow"],
    decimals: bool = False,
    split_multipicklists: bool = False,
) -> pa.Table: ...
def read_soql(
    query: str,
    *,
    org: OrgLike | None = None,
    api: Api = "auto",
    all_rows: bool = False,
    backend: Backend = "polars",
    decimals: bool = False,
    split_multipicklists: bool = False,
) -> object:
    """The rows of a SOQL query, typed by the describes of the objects that it names.

    Columns stand in SELECT order under their API names; a field of a parent is called as in the query (``Owner.Name``)
    and is null where there is no parent. Ids and texts are String (a null and an empty text are the same thing in
    Salesforce: null), int is Int64, other numbers Float64 (with ``decimals`` stored ones are Decimal by precision and
    scale), date Date, datetime Datetime("ms", "UTC"), time Time, multi-picklists text ``A;B`` (with
    ``split_multipicklists`` lists), address and location Struct. ``SELECT COUNT()`` gives one row with ``count``.

    ``api`` is ``"rest"``, ``"bulk2"``, or ``"auto"``: REST where only REST can answer, and for less than 20,000 rows;
    a Bulk API 2.0 job else. ``all_rows`` includes deleted and archived records. ``backend`` is the kind of frame.

    The number of rows is checked against what the org says; a shortfall raises IncompleteAnswer, and no part of the
    answer is handed out. A value that does not fit its type raises DecodeError. SoqlSyntaxError and QueryError name the
    place in the query.

    >>> import sfframe as sf
    >>> sf.read_soql("SELECT Name, IsSandbox FROM Organization", org="local").row(0)
    ('sfframe embedded org', True)
    """
    if api not in get_args(Api):
        raise UsageError(f"There is no api {api!r}", remedy=f"Use one of {', '.join(map(repr, get_args(Api)))}.")
    convert = _converter(backend)
    parsed = soql.parse(query)
    connection = orgs.connect(org)
    from sfframe.frames.shape import shape as shape_of

    shape = shape_of(parsed, connection.describe(parsed.source.name), connection.describe)
    reason = _why_rest(parsed, shape)
    if api == "bulk2" and reason:
        raise UsageError(f"A bulk query cannot have {reason}", remedy='Use api="rest", or leave it out of the query.')
    read = _read_bulk if api == "bulk2" else _read_rest
    if api == "auto" and not reason:
        read = _read_by_size
    return convert(read(connection, query, shape, _Reading(all_rows, decimals, split_multipicklists)))


class _Reading:
    """How the answer is asked for and read; the same for both APIs."""

    __slots__ = ("all_rows", "decimals", "split_multipicklists")

    def __init__(self, all_rows: bool, decimals: bool, split_multipicklists: bool) -> None:
        self.all_rows = all_rows
        self.decimals = decimals
        self.split_multipicklists = split_multipicklists


def _why_rest(query: soql.Query, shape: Shape) -> str:
    """What in the query only REST can answer (bulk2.md 4.7); empty when a bulk query can do it too."""
    if query.count_only or query.group_by is not None or any(column.field is None for column in shape.columns):
        return "aggregates or functions"
    if query.offset is not None:
        return "OFFSET"
    if any(isinstance(item, soql.SubQuery | soql.TypeOf | soql.FieldsOf) for item in query.select):
        return "sub-queries, TYPEOF or FIELDS()"
    special = [column.name for column in shape.columns if column.type in _REST_ONLY_TYPES]
    return f"the compound or binary field {special[0]}" if special else ""


def _read_by_size(org: Org, query: str, shape: Shape, how: _Reading) -> pl.DataFrame:
    """By REST, unless its first page says that the answer is large."""
    from sfframe.codec.decode_json import read_rest
    from sfframe.jobs.extract import rest_pages

    if not fits_in_uri(query):
        return _read_bulk(org, query, shape, how)
    pages = rest_pages(org, query, all_rows=how.all_rows)
    first = next(pages)
    if first.total_size >= BULK_FROM:
        return _read_bulk(org, query, shape, how)
    bodies = (page.body for page in chain([first], pages))
    return read_rest(bodies, shape, decimals=how.decimals, split_multipicklists=how.split_multipicklists)


def _read_rest(org: Org, query: str, shape: Shape, how: _Reading) -> pl.DataFrame:
    from sfframe.codec.decode_json import read_rest
    from sfframe.jobs.extract import rest_pages

    bodies = (page.body for page in rest_pages(org, query, all_rows=how.all_rows))
    return read_rest(bodies, shape, decimals=how.decimals, split_multipicklists=how.split_multipicklists)


def _read_bulk(org: Org, query: str, shape: Shape, how: _Reading) -> pl.DataFrame:
    from sfframe.codec.decode_csv import read_bulk
    from sfframe.jobs.extract import QueryJob, run_query

    with tempfile.TemporaryDirectory(prefix="sfframe-") as folder:
        extract = run_query(org, QueryJob(query, all_rows=how.all_rows), folder=Path(folder))
        pages = [page.path for page in extract.pages]
        return read_bulk(pages, shape, decimals=how.decimals, split_multipicklists=how.split_multipicklists)


def _converter(backend: Backend) -> Callable[[pl.DataFrame], object]:
    """From polars to the kind of frame that was asked for; refuses an unknown kind before anything is sent."""
    if backend == "polars":
        return lambda frame: frame
    if backend == "pyarrow":
        return lambda frame: frame.to_arrow()
    if backend == "pandas":
        if find_spec("pandas") is None:
            raise UsageError("pandas is not installed", remedy='Install it with: pip install "sfframe[pandas]"')
        # Arrow-backed, so that dates, decimals and nulls keep their meaning (measured.md 6).
        return lambda frame: frame.to_pandas(use_pyarrow_extension_array=True)
    raise UsageError(f"There is no backend {backend!r}", remedy=f"Use one of {', '.join(get_args(Backend))}.")

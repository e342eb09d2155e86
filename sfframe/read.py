"""read_soql: the rows of a query as a typed frame."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING, Literal, get_args, overload

from sfframe import orgs, soql
from sfframe.errors import UsageError
from sfframe.fetch import Plan, fetch
from sfframe.read_options import Api, ReadOptions

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from sfframe.orgs import OrgLike

Backend = Literal["polars", "pandas", "pyarrow"]


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
    options = ReadOptions(api, decimals, split_multipicklists)
    return convert(fetch(connection, Plan(query, parsed, shape, all_rows, options)).frame())


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

"""read_soql: the rows of a query as a typed frame."""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from importlib.util import find_spec
from typing import TYPE_CHECKING, Final, Literal, get_args, overload

from sfframe import orgs
from sfframe.errors import IncompleteAnswer, QueryError, UsageError
from sfframe.explanations import READ_FRAMES, QueryRead, ReadExplanation
from sfframe.fetch import Plan, fetch, planned, refused_by_bulk
from sfframe.protocol.query import QUERY_BYTES, query_bytes
from sfframe.read_options import ReadOptions
from sfframe.soql.parser import MAX_LENGTH

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from sfframe.connection.org import Org
    from sfframe.frames.statements import Room
    from sfframe.orgs import OrgLike

Backend = Literal["polars", "pandas", "pyarrow"]
Parents = Literal["columns", "structs"]

_FEW_CALLS: Final = 10  # REST queries of one long list that are still quicker than a bulk job (bulk2.md 6.5)
_TRIES: Final = 3  # for the parts of a row that must not have changed between two queries
_NO_COLUMN: Final = re.compile(r"No such column '(\w+)' on entity '(\w+)'")  # rest.md 12


@overload
def read_soql(
    query: str,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
    parents: Parents = "columns",
    backend: Literal["polars"] = "polars",
    options: ReadOptions = ReadOptions(),
) -> pl.DataFrame: ...
@overload
def read_soql(
    query: str,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
    parents: Parents = "columns",
    backend: Literal["pandas"],
    options: ReadOptions = ReadOptions(),
) -> pd.DataFrame: ...
@overload
def read_soql(
    query: str,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
    parents: Parents = "columns",
    backend: Literal["pyarrow"],
    options: ReadOptions = ReadOptions(),
) -> pa.Table: ...
def read_soql(
    query: str,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    include_deleted: bool = False,
    parents: Parents = "columns",
    backend: Backend = "polars",
    options: ReadOptions = ReadOptions(),
) -> object:
    """The rows of a SOQL query, typed by the describes of the objects that it names.

    Columns stand in SELECT order under their API names; an empty answer has them too. Ids and texts are String (a null
    and an empty text are the same thing in Salesforce: null), int is Int64, other numbers Float64, date Date, datetime
    Datetime("ms", "UTC"), time Time, multi-picklists text ``A;B``, address and location Struct; ``options`` has Decimal
    and lists. A field of a parent is called as in the query (``Owner.Name``) and null where there is no parent;
    ``parents="structs"`` makes one Struct of each parent, and adds the object's name as ``Type`` where that varies.
    A child sub-query is a List of Structs, complete, empty where there are no children; TYPEOF is a Struct with
    ``Type``. Aggregates have their aliases, or ``expr0``; ``SELECT COUNT()`` gives one row with ``count``.

    ``SELECT *`` means all fields but compound and binary ones; FIELDS() works without its limit of 200 rows.
    ``params`` are the values of ``:names`` in the query: text, numbers, booleans, dates, datetimes with a zone, None,
    or lists of them for IN. They cannot change the query, whatever they hold. A query that is too long for the org
    because of such a list, or of its fields, is sent as several, joined by Id. ``include_deleted`` finds deleted and
    archived records too. ``backend`` is the kind of frame.

    The number of rows is checked against what the org says; a shortfall raises IncompleteAnswer, and no part of the
    answer is handed out. A value that does not fit its type raises DecodeError. SoqlSyntaxError points at the place in
    the query before anything is sent, UsageError names near fields, NotFound near objects, QueryError is the org's own.
    ``explain(frame)`` tells which API answered and why.

    >>> import sfframe as sf
    >>> sf.read_soql("SELECT Name, IsSandbox FROM Organization", org="local").row(0)
    ('sfframe embedded org', True)
    >>> query = "SELECT Id, (SELECT LastName FROM Contacts) FROM Account WHERE Name IN :names"
    >>> sf.read_soql(query, params={"names": ["Acme", "O'Neill"]}, org="local").columns
    ['Id', 'Contacts']
    """
    convert = _converter(backend)
    if parents not in get_args(Parents):
        raise UsageError(f"parents cannot be {parents!r}", remedy='Use "columns" or "structs".')
    structs = parents == "structs"
    connection = orgs.connect(org)
    plan = planned(connection, query, params, include_deleted=include_deleted, options=options, structs=structs)
    reading = _Reading(connection, plan)
    frame = reading.whole()
    if structs:
        from sfframe.frames.selection import parents_as_structs

        frame = parents_as_structs(frame, plan.shape)
    converted = convert(frame)
    READ_FRAMES.note(converted, ReadExplanation(frame.height, tuple(reading.sent)))
    return converted


@dataclass(frozen=True, slots=True)
class _Reading:
    """How the statements of one read are sent; ``sent`` is how they went."""

    org: Org
    plan: Plan
    sent: list[QueryRead] = field(default_factory=list)

    def whole(self) -> pl.DataFrame:
        """The answer of the query, however long it is."""
        from sfframe.frames.statements import by_values, united

        plan, room = self.plan, self._room()
        if room.measure(plan.query) <= room.most:
            return self._fetched(plan)
        parts = by_values(plan.parsed, room)
        if len(parts) == 1:
            return self._by_columns(plan, room)
        frames = [self._by_columns(plan.with_query(part, self.org), room) for part in parts]
        return united(frames, plan.parsed, plan.shape.names)

    def _by_columns(self, plan: Plan, room: Room) -> pl.DataFrame:
        from sfframe.frames.statements import by_columns, joined

        sobject = self.org.describe(plan.parsed.source.name)
        parts = [plan.with_query(one, self.org) for one in by_columns(plan.parsed, sobject, room)]
        if len(parts) == 1:
            return self._fetched(plan.with_rows(plan.parsed))
        for _ in range(_TRIES):
            frame = joined([self._fetched(one) for one in parts], plan.shape.names)
            if frame is not None:
                return frame
        raise IncompleteAnswer(
            f"the fields need {len(parts)} queries, and between them records came, went or changed",
            where=f"FROM {sobject.name}",
            remedy="Run it again, name fewer fields, or leave LIMIT out.",
        )

    def _room(self) -> Room:
        """What one statement may hold. A bulk query takes more than a URI, but a few calls are quicker than a job."""
        from sfframe.frames.statements import Room, by_values

        query, options = self.plan.parsed, self.plan.options
        short = Room(query_bytes, QUERY_BYTES)
        long = Room(len, MAX_LENGTH)
        if options.api == "rest" or refused_by_bulk(query, self.plan.shape):
            return short
        if options.api == "auto" and not (options.pk_chunking or query.order_by or query.limit is not None):
            parts = by_values(query, short)
            if len(parts) <= _FEW_CALLS and all(map(short.has, parts)):
                return short
        return long

    def _fetched(self, plan: Plan) -> pl.DataFrame:
        try:
            fetched = fetch(self.org, plan)
            frame = fetched.frame()
        except QueryError as refused:
            raise self._with_near_names(refused) from None
        self.sent.append(QueryRead(plan.query, fetched.reported))
        return frame

    def _with_near_names(self, refused: QueryError) -> QueryError:
        """Fields of WHERE and ORDER BY are the org's to know; what may have been meant is ours to say."""
        unknown = _NO_COLUMN.search(refused.said)
        near = self.org.describe(unknown[2]).near(unknown[1]) if unknown is not None else []
        if near:
            refused.remedy = f"Near: {', '.join(near)}."
        return refused


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

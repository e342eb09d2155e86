"""scan_soql, scan_sobject: lazy frames that ask the org for no more than what is used; explain: what is asked."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final, overload

from sfframe import orgs, soql
from sfframe.errors import UsageError
from sfframe.explanations import (
    READ_FRAMES,
    Explanation,
    QueryExplanation,
    ReadExplanation,
    ReadReport,
    ScanExplanation,
)
from sfframe.fetch import (
    BULK_FROM,
    CARRIER_NAMES,
    Fetched,
    Plan,
    fetch,
    foretold,
    planned,
    refuse_too_long,
    refused_by_bulk,
    understood,
)
from sfframe.protocol.query import fits_in_uri
from sfframe.protocol.query_plan import plans as query_plans
from sfframe.read_options import ReadOptions
from sfframe.soql import Call, Ordering, Path, Selected
from sfframe.soql.parser import MAX_LENGTH

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl
    import pyarrow as pa

    from sfframe.connection.org import Org
    from sfframe.frames.predicate import Predicate
    from sfframe.frames.pushdown import Pushed, Slice
    from sfframe.frames.saved import Saved
    from sfframe.orgs import OrgLike
    from sfframe.protocol.query_plan import QueryPlan

_FEW_CALLS: Final = 10  # REST queries of one long list that are still quicker than a bulk job (bulk2.md 6.5)
_PAGE_ROWS: Final = 2_000  # rest.md 1.3
_PIECE_ROWS: Final = 250  # polars takes three or four batches more than it needs
_ID: Final = Path(("Id",))
_DELETED: Final = "IsDeleted"

_OPENED: Final = (
    f"REST for the first {_PAGE_ROWS:,} rows in the order of Id; then, if polars wants more, REST below {BULK_FROM:,} "
    "rows and a Bulk API 2.0 job else"
)

# Fields that a scan of an object leaves out unless they are named: the parts of a compound are fields of their own, and
# of a base64 field a query answers only where its bytes are (rest.md 5). Bulk queries refuse both (bulk2.md 4.7).
_NOT_BY_DEFAULT: Final = frozenset({"address", "location", "base64"})


def scan_soql(
    query: str,
    *,
    params: Mapping[str, object] | None = None,
    org: OrgLike | None = None,
    limit: int | None = None,
    include_deleted: bool = False,
    options: ReadOptions = ReadOptions(),
) -> pl.LazyFrame:
    """The rows of a SOQL query as a polars LazyFrame: the org is asked when rows are needed, and only for what is used.

    Columns, types, ``params`` and ``options`` are those of ``read_soql``. Of the columns only those that the lazy frame
    uses are selected; its filters become part of the WHERE as far as SOQL means the same, and are applied again where
    it does not (SOQL compares text without case), so the rows are always those of polars. ``explain`` shows what is
    sent. A query with LIMIT, OFFSET or aggregates is sent with its own WHERE only: a filter would change what it finds.
    A list that makes the query too long for the org is refused: filter the scan by it, which is spread over several.

    ``limit`` is how many rows the scan hands on at most, counted after the filters that polars hands to it; which ones
    is the org's choice. ``head(n)`` right after the scan does the same, but polars hands no ``head`` past a filter.

    The org is asked anew each time that the frame is collected; the describes are asked now. An answer that is
    shorter than the org says raises IncompleteAnswer when it ends. ``sink_parquet`` has written part of it by then, as
    polars writes the file and cannot rename it; ``export_soql`` gives a file its name only when it is whole.

    >>> import polars as pl, sfframe as sf
    >>> people = sf.scan_soql("SELECT Id, Name, Profile.Name FROM User", org="local")
    >>> people.filter(pl.col("Profile.Name") == "System Administrator").select("Name").collect().columns
    ['Name']
    """
    connection = orgs.connect(org)
    plan = planned(connection, query, params, include_deleted=include_deleted, options=options)
    refuse_too_long(
        plan,
        "Leave its list out, and filter the scan by it: filter(pl.col(...).is_in(...)) is spread over several queries, "
        "as a list of read_soql and export_soql is.",
    )
    return _Source(connection, plan, limit).lazy()


def scan_sobject(
    sobject: str,
    *,
    columns: Sequence[str] = (),
    org: OrgLike | None = None,
    limit: int | None = None,
    include_deleted: bool = False,
    options: ReadOptions = ReadOptions(),
) -> pl.LazyFrame:
    """All records of an object as a polars LazyFrame: the org is asked when rows are needed, and only for what is used.

    Its columns are the object's own fields without compounds (their parts are fields of their own) and binary fields,
    and then those that ``columns`` adds: fields of parents by their path (``Owner.Name``, up to five levels), or one of
    the fields left out. A column costs nothing until it is used. Everything else is as with ``scan_soql``.

    >>> import polars as pl, sfframe as sf
    >>> users = sf.scan_sobject("User", columns=["Profile.Name"], org="local")
    >>> users.filter(pl.col("IsActive"), pl.col("Profile.Name").is_not_null()).select("Profile.Name").collect().columns
    ['Profile.Name']
    """
    connection = orgs.connect(org)
    described = connection.describe(sobject)
    own = [field.name for field in described if field.type not in _NOT_BY_DEFAULT]
    known = {name.casefold() for name in own}
    named = [columns] if isinstance(columns, str) else columns
    added = [name for name in named if name.casefold() not in known]
    select = tuple(Selected(Path(tuple(name.split(".")))) for name in (*own, *added))
    query = soql.Query(select, soql.Source(described.name))
    plan = understood(connection, query, include_deleted=include_deleted, options=options)
    return _Source(connection, plan, limit).lazy()


@overload
def explain(frame: pl.LazyFrame, *, plan: bool = False) -> Explanation: ...
@overload
def explain(frame: pl.DataFrame | pd.DataFrame | pa.Table | Saved, *, plan: bool = False) -> ReadExplanation: ...
def explain(
    frame: pl.LazyFrame | pl.DataFrame | pd.DataFrame | pa.Table | Saved, *, plan: bool = False
) -> Explanation | ReadExplanation:
    """What a lazy frame will ask of the org, or how a frame of ``read_soql`` or a file of ``export_soql`` was read.

    Of a lazy frame: what its scans will send, without sending it: SOQL, what of the filters is in it and what polars
    applies itself, and why; the API, and how many calls to expect. Scans that are not Salesforce's are left out. With
    ``plan`` the org is asked, one call for each query, how it would run it (its query plan); the expected calls are
    then estimated from it. Raises UsageError where this version of polars does not show its plans.

    Of a frame, whichever backend it has: each query that was sent for it, the API that answered and why, calls,
    seconds, rows, and the job's id where there was a job. It is known of the very object that ``read_soql`` or
    ``export_soql`` gave, as long as that lives; a frame that was made of it, or was not read here, raises UsageError.

    >>> import polars as pl, sfframe as sf
    >>> users = sf.scan_sobject("User", org="local").filter(pl.col("Name") == "Ann").select("Id")
    >>> sf.explain(users).scans[0].queries[0].soql
    "SELECT Id, Name FROM User WHERE Name = 'Ann'"
    >>> organizations = sf.read_soql("SELECT Id FROM Organization", org="local")
    >>> sf.explain(organizations).queries[0].report.reason
    '1 rows, less than 20,000'
    """
    import polars as pl

    from sfframe.frames.lazy_plan import asked_of_scans

    if not isinstance(frame, pl.LazyFrame):
        return _read(frame, plan=plan)
    found = []
    for asked in asked_of_scans(frame):
        if isinstance(asked.source, _Source):
            asking = asked.source.asking(asked.columns, asked.predicate, asked.rows)
            found.append(asked.source.explained(asking, ask=plan))
    return Explanation(tuple(found))


def _read(frame: object, *, plan: bool) -> ReadExplanation:
    """How a frame was read."""
    known = READ_FRAMES.find(frame)
    if known is None:
        raise UsageError(
            f"How this {type(frame).__name__} was read is not known",
            remedy="Hand over what read_soql or export_soql gave, as it came, or a lazy frame with such a scan.",
        )
    if plan:
        raise UsageError(
            "A frame that was read has no plan to ask for",
            remedy="Leave plan out, or explain a scan_soql of its query.",
        )
    return known


@dataclass(frozen=True, slots=True)
class _Asking:
    """What is sent for one use of a scan, and what is done with the answers.

    Each plan comes with the rows of its answer that count (None: all). Of all rows the first ``before`` are taken, with
    ``filtered`` polars' filter is applied to them, and the first ``after`` are handed on (None: all). ``opening`` says
    that the first page is a query of its own.
    """

    columns: list[str]
    plans: tuple[tuple[Plan, pl.Expr | None], ...]
    pushed: Pushed
    opening: bool = False
    filtered: bool = False
    before: int | None = None
    after: int | None = None


class _Source:
    """What polars calls when a scan is used. It owns no connection and no file: it may be dropped at any time."""

    def __init__(self, org: Org, plan: Plan, limit: int | None) -> None:
        if limit is not None and limit < 0:
            raise UsageError(f"limit is {limit}", remedy="Give the number of rows, or None for all.")
        self.org = org
        self.whole = plan
        self.query, self.shape, self.options = plan.parsed, plan.shape, plan.options
        self.limit = limit
        self.grouped = _is_grouped(self.query)
        self.reads: list[ReadReport] = []  # of the last use

    def lazy(self) -> pl.LazyFrame:
        """The LazyFrame over this source."""
        from polars.io.plugins import register_io_source

        name = f"Salesforce {self.query.source.name}"
        # Pure: a scan that stands in a plan twice may be read once, so that a self-join sees one state of the org.
        return register_io_source(self, schema=self.whole.schema, is_pure=True, explain_name=name)

    def __call__(
        self, columns: list[str] | None, predicate: pl.Expr | None, rows: int | None, _batch_size: int | None
    ) -> Iterator[pl.DataFrame]:
        """The answer in batches, as polars' register_io_source wants it."""
        asking = self.asking(columns, predicate, rows)
        self.reads = []
        before, after = asking.before, asking.after
        for plan, only in asking.plans:
            for batch in self._batches(plan, opening=asking.opening):
                found = batch if before is None else batch.head(before)
                before = None if before is None else before - found.height
                for condition in (only, predicate if asking.filtered else None):
                    found = found if condition is None else found.filter(condition)
                found = found if after is None else found.head(after)
                after = None if after is None else after - found.height
                yield _with_columns(found, asking.columns, plan.parsed.count_only and not self.query.count_only)
                if before == 0 or after == 0:
                    return

    def _batches(self, plan: Plan, *, opening: bool) -> Iterator[pl.DataFrame]:
        """The answer of one query. With ``opening`` it begins with a page of its own, in pieces, and the others are
        asked for when polars wants them: a ``head`` behind a filter, of which a scan is told nothing, costs one call.
        """
        first = self._first_page(plan) if opening else None
        if first is None:
            yield from self._fetched(plan)
            return
        opened = fetch(self.org, first)
        page = opened.frame()
        self._note(opened)
        for at in range(0, page.height, _PIECE_ROWS):
            yield page.slice(at, _PIECE_ROWS)
        if page.height == _PAGE_ROWS:
            yield from self._fetched(_behind(plan, page["Id"][-1]))

    def _fetched(self, plan: Plan) -> Iterator[pl.DataFrame]:
        fetched = fetch(self.org, plan)
        try:
            with closing(fetched.batches()) as batches:
                yield from batches
        finally:
            self._note(fetched)

    def _note(self, fetched: Fetched) -> None:
        if fetched.report is not None:
            self.reads.append(fetched.report)

    # -- what is sent -----------------------------------------------------------------------------------------------

    def asking(self, columns: list[str] | None, predicate: pl.Expr | Predicate | None, rows: int | None) -> _Asking:
        """The queries that answer what polars wants: columns (None: all), a filter, and the first rows before it."""
        from sfframe.frames.pushdown import Pushed, Residual, push

        names = self.shape.names if columns is None else columns
        if predicate is None:
            first = _least(rows, self.limit)
            asked = [] if self._are_known(names) else names
            return _Asking(names, self._whole(asked, first), Pushed(True, exact=True), before=first)
        refusal = self._not_pushed(rows)
        if refusal:
            residual = Residual("the whole filter", refusal, narrowed=False)
            pushed = Pushed(True, exact=False, residuals=(residual,))
            return _Asking(names, self._whole(names, rows), pushed, filtered=True, before=rows, after=self.limit)
        pushed = push(predicate, self.shape.columns)
        if pushed.condition is False or self.limit == 0:
            return _Asking(names, (), pushed)
        slices = self._slices(pushed, names)
        if not all(one.whole for one in slices):
            residual = Residual("its longest part", "it is too long for a query", narrowed=False)
            pushed = replace(pushed, exact=False, residuals=(*pushed.residuals, residual))
        limit = self.limit if pushed.exact else None
        plans = tuple((self._plan(names, one.condition, limit), one.only) for one in slices)
        return _Asking(names, plans, pushed, len(plans) == 1, filtered=not pushed.exact, after=self.limit)

    def _whole(self, names: list[str], limit: int | None) -> tuple[tuple[Plan, None], ...]:
        return () if limit == 0 else ((self._plan(names, True, limit), None),)

    def _are_known(self, names: list[str]) -> bool:
        """Whether the number of rows says all. ``pl.len()`` asks for one small column, which mostly is this one; it is
        false in every row that a query finds, unless it is to find deleted records (rest.md 5).
        """
        return names == [_DELETED] and not (self.whole.include_deleted or self.grouped)

    def _not_pushed(self, rows: int | None) -> str:
        """Why no filter may become part of the query; empty when it may."""
        if self.grouped:
            return "the rows of the query are groups"
        if self.query.limit is not None or self.query.offset is not None:
            return "the query has a LIMIT or an OFFSET, and a filter would change what it finds"
        return "the first rows are taken before they are filtered" if rows is not None else ""

    def _plan(self, names: list[str], condition: soql.Condition | bool, limit: int | None) -> Plan:
        """One query: the columns ``names``, narrowed by ``condition`` and to ``limit`` rows."""
        from sfframe.codec.layout import Shape
        from sfframe.frames.pushdown import narrowed

        plan = self.whole
        if self.grouped:  # LIMIT would count the rows that are grouped
            return plan
        if names:
            kept = self._kept(names)
            query = replace(self.query, select=tuple(self.query.select[place] for place in kept))
            plan = replace(plan, parsed=query, shape=Shape(tuple(self.shape.columns[place] for place in kept)))
        else:
            plan = plan.with_query(replace(self.query, select=(), count_only=True, order_by=()), self.org)
        query = narrowed(plan.parsed, condition)
        return plan.with_rows(replace(query, limit=_least(query.limit, limit)))

    def _first_page(self, plan: Plan) -> Plan | None:
        """The first page of a plan in the order of Ids; None where the answer has no such order, or need not be cut."""
        query = plan.parsed
        key = self.org.describe(query.source.name).field("Id")
        cut = query.limit is not None or query.order_by or query.count_only
        chosen = self.options.api != "auto" or self.options.pk_chunking
        if chosen or self.grouped or cut or key is None or not (key.sortable and key.filterable):
            return None
        first = replace(query, order_by=(Ordering(_ID),), limit=_PAGE_ROWS)
        if "Id" in plan.shape.names:
            plan = plan.with_rows(first)
        else:
            plan = plan.with_query(replace(first, select=(*first.select, Selected(_ID))), self.org)
        return plan if fits_in_uri(plan.query) else None

    def _kept(self, names: list[str]) -> list[int]:
        """The places of the select list that answer ``names``. Functions without alias stay together: the org calls
        them by their place among their like (rest.md 5).
        """
        members = list(zip(self.query.select, self.shape.names, strict=True))
        unnamed = [
            isinstance(item, Selected) and isinstance(item.expr, Call) and item.alias is None for item, _ in members
        ]
        wanted = [name in names for _, name in members]
        together = any(one and used for one, used in zip(unnamed, wanted, strict=True))
        return [place for place, used in enumerate(wanted) if used or (together and unnamed[place])]

    def _slices(self, pushed: Pushed, names: list[str]) -> tuple[Slice, ...]:
        """The queries that a filter needs: a few by REST where one does not fit, else what a bulk query holds."""
        from sfframe.frames.pushdown import spread

        if self.query.order_by:  # the rows of several queries are in no order
            pushed = replace(pushed, lists=())

        def text(condition: soql.Condition | bool) -> str:
            return self._plan(names, condition, self.limit).query

        plan = self._plan(names, True, None)
        by_rest = self.options.api == "rest" or bool(refused_by_bulk(plan.parsed, plan.shape))
        if by_rest or (self.options.api == "auto" and not self.options.pk_chunking):
            slices = spread(pushed, lambda condition: fits_in_uri(text(condition)))
            if by_rest or (len(slices) <= _FEW_CALLS and all(one.whole for one in slices)):
                return slices
        return spread(pushed, lambda condition: len(text(condition)) <= MAX_LENGTH)

    # -- the same in words ------------------------------------------------------------------------------------------

    def explained(self, asking: _Asking, *, ask: bool) -> ScanExplanation:
        """What is sent; with ``ask`` and what the org says of it."""
        told = [(plan, self.org.send(query_plans(plan.query)) if ask else ()) for plan, _ in asking.plans]
        opened = asking.opening and self._first_page(told[0][0]) is not None
        condition = asking.pushed.condition
        return ScanExplanation(
            sobject=self.query.source.name,
            pushed=str(condition).lower() if isinstance(condition, bool) else soql.condition_text(condition),
            residuals=tuple((one.part, one.why) for one in asking.pushed.residuals),
            queries=tuple(
                QueryExplanation(plan.query, _OPENED if opened else _transport(plan), _calls(plan, plans), plans)
                for plan, plans in told
            ),
            reads=tuple(self.reads),
        )


def _with_columns(frame: pl.DataFrame, names: list[str], counted: bool) -> pl.DataFrame:
    """The columns that polars wants; without any, or with one that is known, only the number of rows counts."""
    import polars as pl

    if names and not counted:
        return frame.select(names)
    rows = frame["count"].item() if counted else frame.height
    return pl.DataFrame({name: pl.repeat(False, rows, eager=True) for name in names} or None, height=rows)


def _behind(plan: Plan, last: str) -> Plan:
    """The rows of a plan whose Ids come after ``last``."""
    from sfframe.frames.pushdown import narrowed

    return plan.with_rows(narrowed(plan.parsed, soql.Comparison(_ID, ">", soql.Value("string", last))))


def _least(*limits: int | None) -> int | None:
    return min((one for one in limits if one is not None), default=None)


def _transport(plan: Plan) -> str:
    """Which API answers, as far as it can be told before the first page."""
    decided = foretold(plan)
    if decided is None:
        return f"REST below {BULK_FROM:,} rows, as its first page tells; else a Bulk API 2.0 job"
    return f"{CARRIER_NAMES[decided.api]}: {decided.reason}"


def _calls(plan: Plan, told: tuple[QueryPlan, ...]) -> str:
    """How many requests to expect; with the org's plan it is known about how many rows will come."""
    rows = _least(plan.parsed.limit, told[0].rows if told else None)
    decided = foretold(plan)
    if decided is not None and decided.api == "bulk1":
        return "a job: 3 and its polls, 1 for each batch, and 1 for each file of its result"
    if decided.api == "bulk2" if decided is not None else (rows or 0) >= BULK_FROM:
        return "a job: 2 and its polls, and 1 for each page of its result"
    if rows is None:
        return f"1 for each {_PAGE_ROWS:,} rows"
    pages = max(1, -(-rows // _PAGE_ROWS))
    return f"about {pages:,}" if told else f"at most {pages:,}"


def _is_grouped(query: soql.Query) -> bool:
    """Whether the rows of the answer are no records: groups, or one count."""
    from sfframe.frames.shape import is_grouped

    return query.count_only or is_grouped(query)

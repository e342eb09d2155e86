"""read_changes: what came, changed and went since the last time, each change once."""

from __future__ import annotations

import datetime as dt
import hashlib
import html
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final
from zoneinfo import ZoneInfo

from sfframe import orgs, soql
from sfframe.errors import ApiError, IncompleteAnswer, QueryError, UsageError
from sfframe.protocol import replication
from sfframe.read import read_soql
from sfframe.read_options import ReadOptions
from sfframe.watermarks import StateFile, Watermark

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.frames.given import Edge, News
    from sfframe.orgs import OrgLike
    from sfframe.schema import SObject

# A transaction lives for ten minutes at most; what it wrote first is seen when it ends, with the time of the writing.
OVERLAP: Final = dt.timedelta(minutes=10)
_SETTLES: Final = dt.timedelta(minutes=1)  # so old a second is over, however the org's clocks differ
_BIN: Final = dt.timedelta(days=15)  # what the recycle bin and the log of deletes keep (rest.md 7, 11)
_SHORTEST: Final = dt.timedelta(minutes=2)  # the log is asked for more than one, in whole minutes (rest.md 7)
_LAG: Final = dt.timedelta(hours=1)  # of the log behind the clock, from which on it is told
_TRIES: Final = 3
_STAMPS: Final = ("SystemModstamp", "LastModifiedDate", "CreatedDate")
_COLUMN: Final = re.compile(r"\*|[A-Za-z]\w*(\.\w+){0,5}", re.ASCII)
_PURGED: Final = "INVALID_REPLICATION_DATE"
_TOO_MANY: Final = "EXCEEDED_ID_LIMIT"
_NO_LOG: Final = frozenset({400, 404, 405})  # for objects that cannot be replicated
_LACKING: Final = "sfframe_lacking"


@dataclass(frozen=True, slots=True, repr=False, eq=False)
class Changes:
    """What happened to an object since the last read.

    ``rows`` are the records that are new or have changed, as they are now: Id, the columns asked for, SystemModstamp.
    ``deleted`` has Id and DeletedDate of those that are gone; the date is null where the record is there but no longer
    meets ``where``, and where a comparison of all Ids found that it is missing. No Id is in both. ``since`` is where
    the read began; None stands for all records: what is stored and not among them is of an earlier read that was not
    committed. ``watermark`` is where the next one begins, once ``commit`` has been called.
    """

    sobject: str
    rows: pl.DataFrame
    deleted: pl.DataFrame
    since: dt.datetime | None
    watermark: Watermark
    notes: tuple[str, ...] = ()
    _state: StateFile | None = None

    def __bool__(self) -> bool:
        """True where anything happened."""
        return bool(self.rows.height or self.deleted.height)

    def commit(self) -> Watermark:
        """Move the watermark, when the rows are safely stored; the same watermark is handed back, for ``since``.

        Without it the next read gives these changes again. With a state file it is written whole or not at all;
        UsageError where another process has moved it since it was read.
        """
        if self._state is not None:
            self._state.move(self.watermark)
        return self.watermark

    def applied_to(self, stored: pl.DataFrame) -> pl.DataFrame:
        """``stored`` (any frame with Id) as it is after these changes: without the deleted records, and with ``rows``
        in place of what it had of them; after a read from the beginning it is ``rows`` alone. A column that only one of
        the two has is null in the rows of the other.
        """
        import polars as pl

        kept = stored if self.since is not None else stored.clear()
        kept = kept.join(self.deleted, on="Id", how="anti", maintain_order="left")
        kept = kept.join(self.rows, on="Id", how="anti", maintain_order="left")
        return pl.concat([kept, self.rows], how="diagonal")

    def summary(self) -> str:
        """A few lines for people."""
        began = f"since {_text(self.since)}" if self.since is not None else "from the beginning"
        told = f"{self.rows.height:,} rows new or changed, {self.deleted.height:,} deleted"
        next_one = f"next read from {_text(self.watermark.since)}, when this one is committed"
        return "\n".join([f"{self.sobject} {began}: {told}; {next_one}", *(f"note: {note}" for note in self.notes)])

    def __repr__(self) -> str:
        return f"<Changes of {self.summary()}>"

    def _repr_html_(self) -> str:
        head = "<br>".join(html.escape(line) for line in self.summary().splitlines())
        tables = (self.rows.head(10), self.deleted.head(10))
        return f"<div><p>{head}</p>{''.join(one._repr_html_() for one in tables if one.height)}</div>"


def read_changes(
    sobject: str,
    *,
    since: dt.datetime | Watermark | None = None,
    state: str | Path | None = None,
    columns: Sequence[str] = ("*",),
    where: str = "",
    params: Mapping[str, object] | None = None,
    known: object = None,
    org: OrgLike | None = None,
    options: ReadOptions = ReadOptions(),
) -> Changes:
    """The records of an object that are new, changed or gone since the last read: each change once, none left out.

    The first read (neither ``since`` nor a ``state`` file that exists) gives all records, to be stored in place of
    whatever there was; the others are applied to it (``changes.applied_to``). Store the rows, then call
    ``changes.commit()``: it writes the watermark to the file ``state``, and hands it back for ``since``, if you would
    rather keep it yourself. What is not committed is given again. A plain datetime for ``since`` gives whatever changed
    from then on. ``columns`` are fields, of parents too (``Owner.Name``); ``*`` is all but compounds and binary ones.
    ``where`` is a SOQL condition (``:names`` have their values in ``params``); a record that meets it no longer is in
    ``deleted``, whether it ever met it or not.

    Every read looks again at the minutes before the last one, as transactions become visible late, and leaves out what
    it gave already. The rows are counted once more by COUNT(). Times are those of the org's clock. Deletes come from
    the recycle bin and the org's log; one for good is in there after a minute. Changes of formulas and of parents leave
    no trace in a record: the notes name such columns.

    The org forgets deletes after 15 days, or earlier. A ``since`` before that raises IncompleteAnswer, unless ``known``
    has the Ids that you store (a frame with Id, or a list): then all Ids are compared, missing records are in
    ``deleted``, and ones that you lack in ``rows``. With ``known`` their number is checked by COUNT() each time, and
    they are compared where it differs. UsageError for the state of another object, org or condition.

    >>> import sfframe as sf
    >>> changes = sf.read_changes("User", columns=["Name"], org="local")
    >>> changes.rows.columns
    ['Id', 'Name', 'SystemModstamp']
    >>> sf.read_changes("User", columns=["Name"], since=changes.commit(), org="local").rows.height
    0
    """
    connection = orgs.connect(org)
    described = connection.describe(sobject)
    selection = _selection(described, columns, where, params or {}, options.timezone or connection.timezone)
    file = StateFile.read(Path(state)) if state is not None else None
    start = file.found if file is not None and file.found is not None else since
    reading = _Reading(connection, described, selection, options)
    reading.begin(start, options.timezone or connection.timezone)
    return reading.changes(known, file)


@dataclass(frozen=True, slots=True)
class _Selection:
    """What is read of an object: the select list, the condition with its values still apart, and what tells changes."""

    select: tuple[soql.Selected | soql.FieldsOf, ...]
    where: soql.Condition | None
    params: Mapping[str, object]
    stamp: str
    digest: str


def _selection(
    described: SObject, columns: Sequence[str], where: str, params: Mapping[str, object], timezone: str | None
) -> _Selection:
    if isinstance(columns, str):
        raise UsageError("columns is a text", remedy=f"Give a list of names: [{columns!r}].")
    stamp = next((name for name in _STAMPS if (found := described.field(name)) and found.filterable), None)
    if stamp is None:
        raise UsageError(
            f"{described.name} has no field that tells when a record changed",
            remedy="Read it whole, with read_soql, and compare.",
        )
    names = list({name.casefold(): name for name in ("Id", *columns, stamp)}.values())
    wrong = next((name for name in names if _COLUMN.fullmatch(name) is None), None)
    if wrong is not None:
        raise UsageError(f"{wrong!r} is no name of a field", where="columns", remedy="Give names, or paths of parents.")
    star = "*" in names
    select = tuple(
        soql.FieldsOf("*") if name == "*" else soql.Selected(soql.Path(tuple(name.split("."))))
        for name in names
        if not (star and name in {"Id", stamp})
    )
    asked = soql.Query((soql.Selected(soql.Path(("Id",))),), soql.Source(described.name))
    text = f"{soql.to_text(asked)} WHERE {where}"
    parsed = soql.parse(text) if where.strip() else asked
    if replace(parsed, where=None) != asked and soql.to_text(replace(parsed, where=None)) != soql.to_text(asked):
        raise UsageError("where holds more than a condition", remedy="Leave out ORDER BY, LIMIT and the like.")
    bound = soql.bind(parsed, params, text=text, timezone=timezone)
    digest = hashlib.sha256(soql.to_text(bound).encode()).hexdigest()[:32] if where.strip() else ""
    return _Selection(select, parsed.where, params, stamp, digest)


@dataclass(slots=True)
class _Reading:
    """One read: deletes are asked for before rows, so that a record in both was undeleted between the two."""

    org: Org
    described: SObject
    selection: _Selection
    options: ReadOptions
    since: dt.datetime | None = None
    before: Watermark | None = None
    now: dt.datetime = field(default=dt.datetime.min)
    covered: dt.datetime = field(default=dt.datetime.min)  # up to here the org has told all deletes
    notes: list[str] = field(default_factory=list)

    @property
    def _owner(self) -> str:
        return self.org.identity.organization_id or self.org.instance_url

    def begin(self, start: dt.datetime | Watermark | None, timezone: str | None) -> None:
        """Finds out where the read begins and what time it is."""
        if isinstance(start, Watermark):
            self._check(start)
            self.before, self.since = start, start.since
        elif start is not None:
            self.since = _utc(start, timezone)
        now = self.org.send(replication.clock(), cancel=self.options.cancel)
        if now is None:
            raise IncompleteAnswer(
                "the answers have no Date, so the org's clock is not known",
                where=self.org.instance_url,
                remedy="Let the proxy between here and the org pass that header on.",
            )
        self.now = self.covered = now
        if self.since is not None and self.since > now:
            raise UsageError(
                f"since lies ahead of the org's clock, which says {_text(now)}",
                remedy="Give a moment in the past; leave since out to read everything.",
            )

    def _check(self, found: Watermark) -> None:
        for what, theirs, ours in (
            ("object", found.sobject, self.described.name),
            ("org", found.org, self._owner),
            ("condition", found.where, self.selection.digest),
        ):
            if theirs != ours:
                told = f": {theirs}, not {ours}" if what != "condition" else ", or of other values in it"
                raise UsageError(
                    f"The watermark is of another {what}{told}",
                    where=f"changes of {self.described.name}",
                    remedy="Keep one state for each object, org and condition.",
                )

    def changes(self, known: object, file: StateFile | None) -> Changes:
        """The whole read."""
        import polars as pl

        from sfframe.frames import given as frames

        held = None if known is None else frames.held_ids(known)
        given = frames.nothing_given()
        if self.before is not None:
            given = frames.unpacked(self.before.given, hashes=self.before.hashes == pl.__version__)
        if held is not None:
            given = frames.consistent(given, held)
        gone, told = self._gone()
        if not told and held is None:
            raise self._forgotten()
        stamp = self.selection.stamp
        since = max(min(self.now, self.covered) - OVERLAP, self.since or dt.datetime.min.replace(tzinfo=dt.UTC))
        edge = frames.Edge(stamp, since, self.now - _SETTLES)
        changed = None
        if self.selection.where is not None:
            changed = self._ask(_plain("Id", stamp), self._stamped(">=", self._gone_since), everywhere=True)
        rows = self._rows()
        if changed is not None:
            left = changed.join(rows, on="Id", how="anti")
            gone = frames.all_gone([gone, frames.undated(left, pl.col(stamp))])
        fresh = frames.news(rows, gone, given, edge)
        if held is not None:
            fresh = self._compared(fresh, held, edge, always=not told or self.since is None)
        elif self.since is None:
            fresh = replace(fresh, gone=fresh.gone.clear())  # who has nothing yet need not be told
        self._tell(fresh.rows)
        watermark = Watermark(
            self._owner,
            self.described.name,
            since,
            self.now,
            tuple(rows.columns),
            self.selection.digest,
            frames.packed(fresh.given),
            pl.__version__,
        )
        deleted = fresh.gone.select(frames.DELETED.names())
        return Changes(self.described.name, fresh.rows, deleted, self.since, watermark, tuple(self.notes), file)

    # -- rows -------------------------------------------------------------------------------------------------------

    def _rows(self) -> pl.DataFrame:
        """The records of the span. What a count finds more of is read again: it became visible late, or was lost."""
        found = counted = 0
        for _ in range(_TRIES):
            rows = self._ask(self.selection.select, *self._span())
            found = rows.filter(rows[self.selection.stamp] < self.now).height
            counted = self._count(*self._span(), self._stamped("<", self.now), least=found)
            if counted <= found:
                return rows
        raise IncompleteAnswer(
            f"the org counts {counted:,} records that changed, and gives {found:,}",
            where=f"changes of {self.described.name}",
            remedy="Run it again; the watermark has not moved.",
        )

    def _span(self) -> list[soql.Condition]:
        return [] if self.since is None else [self._stamped(">=", self.since)]

    def _stamped(self, op: str, moment: dt.datetime) -> soql.Condition:
        return soql.Comparison(soql.Path((self.selection.stamp,)), op, soql.literal(moment))

    def _ask(
        self,
        select: tuple[soql.Selected | soql.FieldsOf, ...],
        *conditions: soql.Condition,
        everywhere: bool = False,
        params: Mapping[str, object] | None = None,
        include_deleted: bool = False,
    ) -> pl.DataFrame:
        """Records that meet all conditions, and ``where`` too unless they are looked for ``everywhere``."""
        query = soql.Query(select, soql.Source(self.described.name), where=self._all_of(conditions, everywhere))
        return read_soql(
            soql.to_text(query),
            params={**(params or {}), **({} if everywhere else self.selection.params)},
            org=self.org,
            include_deleted=include_deleted,
            options=self.options,
        )

    def _count(self, *conditions: soql.Condition, least: int) -> int:
        """COUNT() of the records that meet all conditions and ``where``; ``least`` where the org cannot tell."""
        query = soql.Query(
            (), soql.Source(self.described.name), count_only=True, where=self._all_of(conditions, everywhere=False)
        )
        options = replace(self.options, api="auto")
        try:
            answer = read_soql(soql.to_text(query), params=self.selection.params, org=self.org, options=options)
        except (UsageError, QueryError) as problem:  # the list in where is too long for one query, or it takes too long
            self.notes.append(f"Not checked by COUNT(): {problem.what}.")
            return least
        return int(answer.item())

    def _all_of(self, conditions: Sequence[soql.Condition], everywhere: bool) -> soql.Condition | None:
        where = None if everywhere else self.selection.where
        terms = (*conditions, *([where] if where is not None else []))
        return soql.Logic("AND", terms) if len(terms) > 1 else next(iter(terms), None)

    # -- deletes ----------------------------------------------------------------------------------------------------

    @property
    def _gone_since(self) -> dt.datetime:
        """From when on deletes are looked for: at the first read where the next one will look again."""
        return self.since if self.since is not None else self.now - OVERLAP - _SHORTEST

    def _gone(self) -> tuple[pl.DataFrame, bool]:
        """The deletes of the span, and whether the org has told all of them."""
        from sfframe.frames import given as frames

        parts: list[pl.DataFrame] = []
        deletable = self.described.deletable or self.described.field("IsDeleted") is not None
        if not deletable:
            return frames.all_gone(parts), True
        if self.described.field("IsDeleted") is not None:
            gone = soql.Comparison(soql.Path(("IsDeleted",)), "=", soql.Value("boolean", "true"))
            span = self._stamped(">=", self._gone_since)
            rows = self._ask(_plain("Id", self.selection.stamp), gone, span, everywhere=True, include_deleted=True)
            parts.append(frames.binned(rows, self.selection.stamp))
        end = self.now.replace(second=0, microsecond=0)
        oldest = end - _BIN
        start = min(max(self._gone_since, oldest).replace(second=0, microsecond=0), end - _SHORTEST)
        told = self._gone_since >= oldest
        try:
            logs = self._logged(start, end)
        except ApiError as problem:
            if problem.error_code == _PURGED:
                return frames.all_gone(parts), self.since is None
            if problem.error_code == _TOO_MANY or problem.status not in _NO_LOG:
                raise
            self.notes.append(f"The org keeps no log of deletes: those for good are not told ({problem.error_code}).")
            return frames.all_gone(parts), told
        self.covered = min(self.now, logs[-1].latest)
        told = told and self._gone_since >= max(log.earliest for log in logs)
        return frames.all_gone([*parts, *(frames.logged(log.records) for log in logs)]), told or self.since is None

    def _logged(self, start: dt.datetime, end: dt.datetime) -> list[replication.Deleted]:
        """The log of a span; in halves where it has too many entries for one answer."""
        try:
            call = replication.deleted(self.described.name, start, end)
            return [self.org.send(call, cancel=self.options.cancel)]
        except ApiError as problem:
            middle = (start + (end - start) / 2).replace(second=0, microsecond=0)
            if problem.error_code != _TOO_MANY or middle - start < _SHORTEST:
                raise
        return [*self._logged(start, middle), *self._logged(middle, end)]

    def _forgotten(self) -> IncompleteAnswer:
        return IncompleteAnswer(
            f"the org no longer tells which records were deleted since {_text(self.since)}",
            where=f"changes of {self.described.name}",
            remedy="Give known= with the Ids that you store: all Ids are then compared. "
            "Or read everything from the beginning, without since and state.",
        )

    # -- all Ids ----------------------------------------------------------------------------------------------------

    def _compared(self, fresh: News, held: pl.Series, edge: Edge, *, always: bool) -> News:
        """``fresh`` with what a comparison of all Ids finds; without ``always`` only if there are not as many."""
        import polars as pl

        from sfframe.frames import given as frames

        gone = fresh.gone.filter(pl.col("Id").is_in(held.implode()))
        after = pl.concat([held.filter(~held.is_in(gone["Id"].implode())), fresh.rows["Id"]]).unique()
        if not always and self._count(least=after.len()) == after.len():
            return replace(fresh, gone=gone)
        there = self._ask(_plain("Id"))["Id"]
        missing = frames.undated(after.filter(~after.is_in(there.implode())).to_frame("Id"), pl.lit(self.now))
        lacking = there.filter(~there.is_in(after.implode()))
        rows = fresh.rows.join(missing, on="Id", how="anti", maintain_order="left")
        if lacking.len():
            named = soql.Membership(soql.Path(("Id",)), "IN", (soql.Value("bind", _LACKING),))
            rows = pl.concat([rows, self._ask(self.selection.select, named, params={_LACKING: lacking.to_list()})])
        noted = frames.noted(fresh.given, rows, missing, edge)
        gone = frames.all_gone([gone, missing.filter(pl.col("Id").is_in(held.implode()))])
        told = f"{missing.height:,} of yours are missing, {lacking.len():,} of the org's you do not have"
        self.notes.append(f"All {there.len():,} Ids were compared: {told}.")
        return frames.News(rows, gone, noted)

    # -- in words ---------------------------------------------------------------------------------------------------

    def _tell(self, rows: pl.DataFrame) -> None:
        from sfframe.frames.given import not_covered

        hidden = not_covered(rows.columns, self.described)
        if hidden:
            self.notes.append(
                f"Not covered: {', '.join(hidden[:5])}{f' and {len(hidden) - 5} more' if len(hidden) > 5 else ''} "
                "(formulas, or fields of parents). Their changes leave no trace in the record; read all from time to "
                "time."
            )
        if self.selection.stamp == "CreatedDate":
            self.notes.append(f"{self.described.name} does not tell when a record changed: only new ones are found.")
        if self.before is not None:
            new = [name for name in rows.columns if name not in self.before.columns]
            if new:
                self.notes.append(f"New columns: {', '.join(new)}. The rows that you stored before do not have them.")
        if self.now - self.covered > _LAG:
            self.notes.append(
                f"A transaction that began {_text(self.covered)} still runs in the org: the next read begins before it."
            )


def _plain(*names: str) -> tuple[soql.Selected, ...]:
    return tuple(soql.Selected(soql.Path((name,))) for name in names)


def _utc(moment: dt.datetime, timezone: str | None) -> dt.datetime:
    if not isinstance(moment, dt.datetime):
        raise UsageError(
            f"since is a {type(moment).__name__}", remedy="Give a datetime with a zone, or the watermark of a read."
        )
    if moment.tzinfo is None:
        if timezone is None:
            raise UsageError(
                "since has no zone",
                remedy='Give it one (tzinfo=...), or add timezone="Europe/Berlin" to ReadOptions or the profile.',
            )
        moment = moment.replace(tzinfo=ZoneInfo(timezone))
    return moment.astimezone(dt.UTC)


def _text(moment: dt.datetime | None) -> str:
    return "" if moment is None else f"{moment:%Y-%m-%d %H:%M:%S} UTC"

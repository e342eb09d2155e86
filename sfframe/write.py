"""write_sobject: one frame into one object, and one answer for each of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

from sfframe import load, orgs
from sfframe.errors import UsageError
from sfframe.facts import OPERATIONS, Operation
from sfframe.options import Guards, LoadOptions
from sfframe.read import read_soql
from sfframe.results import LoadResult, Target, save_frame, writeable

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.frames.feed import Feed
    from sfframe.frames.intake import Stream, Taken
    from sfframe.load import Prepared
    from sfframe.orgs import OrgLike

Nulls = Literal["ignore", "clear"]
OnInvalid = Literal["raise", "reject"]
MANY = 10_000  # rows of an insert from which on it is worth saying how it could be repeated safely
KEYS_ASKED = 2_000  # keys of a guarded upsert that are asked for one by one; of more rows all keys are read

# These kinds come back as they are. (Arrow tables do too, but have no types of their own; all else gives polars.)
Frame = TypeVar("Frame", "pl.DataFrame", "pd.DataFrame", "list[dict[str, Any]]")


@overload
def write_sobject(
    df: Frame,
    sobject: str,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    org: OrgLike | None = None,
    columns: Mapping[str, str | None] | None = None,
    nulls: Nulls | Mapping[str, Nulls] | None = None,
    on_invalid: OnInvalid = "raise",
    results: str | Path | None = None,
    options: LoadOptions = LoadOptions(),
) -> LoadResult[Frame]: ...
@overload
def write_sobject(
    df: object,
    sobject: str,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    org: OrgLike | None = None,
    columns: Mapping[str, str | None] | None = None,
    nulls: Nulls | Mapping[str, Nulls] | None = None,
    on_invalid: OnInvalid = "raise",
    results: str | Path | None = None,
    options: LoadOptions = LoadOptions(),
) -> LoadResult[Any]: ...
def write_sobject(
    df: object,
    sobject: str,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    org: OrgLike | None = None,
    columns: Mapping[str, str | None] | None = None,
    nulls: Nulls | Mapping[str, Nulls] | None = None,
    on_invalid: OnInvalid = "raise",
    results: str | Path | None = None,
    options: LoadOptions = LoadOptions(),
) -> LoadResult[Any]:
    """Load a frame into an object, and join every answer to its row.

    ``df`` is a polars, pandas or pyarrow frame, a lazy frame, anything with ``__arrow_c_stream__``, a list of dicts, an
    iterator of frames, or a path to a CSV, Parquet, Arrow or JSON-lines file; it is not changed. Lazy frames, readers,
    iterators and large files are worked on in pieces, in bounded memory. Columns are called like fields (without case),
    or are mapped: ``columns={"stage_name": "StageName", "remark": None}`` (None leaves a column out of the load; it
    comes back in the result all the same). ``Account.Ext_Id__c`` sets a parent by its external id.

    ``operation`` is insert, update, upsert (with ``external_id_field``, the field that finds the record), delete or
    hardDelete (both send the Id column alone). On insert a null lets the field's default apply; on update and upsert it
    clears the field. ``nulls`` is "ignore" or "clear" for all columns, or a mapping by the caller's column names. In a
    CSV file an empty cell leaves the field alone and ``#N/A`` clears it.

    Every value is checked against the object's describe before anything is sent. With ``on_invalid="raise"`` a value
    that does not fit raises ContractError, whose ``failures`` lists all of them, and nothing is sent; with "reject"
    such rows are answered as rejected and the others are sent. ``results`` names a file (or a folder of Parquet files)
    for all rows and their answers; ``options`` say which API carries the rows, and much more (``LoadOptions``).

    The result has the caller's rows in the caller's order and kind of frame, plus the ``sf__`` columns. When rows did
    not succeed a RowsFailedWarning is given (``options=LoadOptions(on_failed=...)`` raises or is silent instead).
    A frame without rows is a success without a call. Raises NotFound for an unknown object, AuthenticationError,
    ConnectionFailed, JobTimeout (the job goes on in the org).

    Sources: Salesforce's Bulk API 2.0 guide on null values, relationship columns and results.

    >>> import polars as pl, sfframe as sf
    >>> result = sf.write_sobject(pl.DataFrame({"Name": ["Globex"]}), "Account", operation="insert", org="local")
    >>> result.counts
    {'created': 1}
    """
    saved = Path(results) if results is not None else None
    asked = _Asked(sobject, operation, external_id_field, columns, nulls, on_invalid, saved, options)
    from sfframe.frames.intake import Taken, take_rows

    taken = take_rows(df)
    give_back = taken.give_back if isinstance(taken, Taken) else None
    if isinstance(taken, Taken) and not taken.frame.height:
        answered = _nothing_sent(asked, taken.frame)
    else:
        connection = orgs.connect(org)
        with load.new_folder() as folder:
            answered = _loaded(asked, taken, folder, connection)
    return load.wrap(answered, give_back=give_back, on_failed=options.on_failed)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the caller wants; checked as it is put together, before anything is read or sent."""

    sobject: str
    operation: Operation
    external_id_field: str | None
    columns: Mapping[str, str | None] | None
    nulls: Nulls | Mapping[str, Nulls] | None
    on_invalid: OnInvalid
    results: Path | None
    options: LoadOptions

    def __post_init__(self) -> None:
        if self.operation not in OPERATIONS:
            raise UsageError(f"There is no operation {self.operation!r}", remedy=f"Use one of {', '.join(OPERATIONS)}.")
        if self.operation == "upsert" and not self.external_id_field:
            raise UsageError(
                "An upsert needs the field that finds the record, and external_id_field is not given",
                where=self.sobject,
                remedy='Name an external id, such as external_id_field="Ext_Id__c", or "Id".',
            )
        if self.operation != "upsert" and self.external_id_field:
            raise UsageError(
                f"external_id_field is given, but an {self.operation} does not use one",
                where=self.sobject,
                remedy='Leave it out, or use operation="upsert".',
            )
        _one_of(self.on_invalid, OnInvalid, "on_invalid")
        for policy in [self.nulls] if not isinstance(self.nulls, Mapping) else self.nulls.values():
            if policy is not None:
                _one_of(policy, Nulls, "nulls")
        if self.results is not None:
            writeable(self.results)


def _one_of(value: str, choice: object, name: str) -> None:
    if value not in get_args(choice):
        raise UsageError(f"{name}={value!r} is not known", remedy=f"Use one of {', '.join(get_args(choice))}.")


def _loaded(asked: _Asked, taken: Taken | Stream, folder: Path, org: Org) -> LoadResult[Any]:
    """Check every cell, then send the good rows, unless something is to be refused as a whole."""
    from sfframe.frames.checking import Checker
    from sfframe.frames.feed import Feed, settle

    options = asked.options
    checker = Checker(
        asked.sobject,
        org,
        asked.operation,
        asked.external_id_field,
        asked.columns,
        asked.nulls,
        options.timezone or org.timezone,
    )
    rows, twins = settle(taken, checker, folder)
    if not rows.height:
        return _nothing_sent(asked, next(rows.slices())[1])
    feed = Feed(rows, checker, folder, twins, options.sort_by_parent, refuse_all=asked.on_invalid == "raise")
    prepared = load.prepare(
        feed, org, options, lazily=asked.on_invalid == "reject", check=lambda fed: _guard(fed, options.guards, org)
    )
    _advise(prepared)
    if options.dry_run:
        return load.rehearsed(prepared, rows, org)
    return load.complete(prepared, rows, org, options, asked.results)


def _guard(feed: Feed, guards: Guards, org: Org) -> None:
    """Raise where the load would do more than it may."""
    operation, told = feed.checker.operation, []
    if guards.max_creates is not None and operation in ("insert", "upsert"):
        creates = feed.good if operation == "insert" else _unknown_keys(feed, org)
        told.append(("create", creates, "records", guards.max_creates, "max_creates"))
    if guards.max_deletes is not None and operation in ("delete", "hardDelete"):
        told.append(("delete", feed.good, "records", guards.max_deletes, "max_deletes"))
    if guards.max_clears is not None:
        told.append(("clear", feed.clears, "fields", guards.max_clears, "max_clears"))
    for verb, count, what, most, name in told:
        if count > most:
            raise UsageError(
                f"The load would {verb} {count:,} {what}, and {name} allows {most:,}",
                where=f"{operation} {feed.checker.sobject}",
                remedy="Nothing was sent. Look at the rows, or raise the guard.",
            )


def _unknown_keys(feed: Feed, org: Org) -> int:
    """How many rows of an upsert have a key that no record of the org has."""
    import polars as pl

    from sfframe.frames.keys import comparable

    column = feed.checker.key
    if column is None:
        return feed.good
    told = [feed.checker.typed_keys(frame) for _, frame in feed.rows.slices()]
    keys = pl.concat([one for one in told if one is not None])
    wanted = keys.drop_nulls().to_frame("key").select(comparable(pl.col("key"), column.field))["key"].unique()
    name, sobject = column.header, feed.checker.sobject
    if len(wanted) <= KEYS_ASKED:
        found = read_soql(
            f"SELECT {name} FROM {sobject} WHERE {name} IN :keys", params={"keys": wanted.to_list()}, org=org
        )
    else:
        found = read_soql(f"SELECT {name} FROM {sobject} WHERE {name} != null", org=org)
    known = found.select(comparable(pl.col(name), column.field))[name]
    return keys.null_count() + int((~wanted.is_in(known.implode())).sum())


_advised = False


def _advise(prepared: Prepared) -> None:
    """Says once in a process how a large insert could be repeated without harm."""
    global _advised  # noqa: PLW0603 - once per process is the point
    many = prepared.job.operation == "insert" and prepared.key is None and prepared.height > MANY
    if many and not _advised:
        _advised = True
        prepared.notes.append(
            "These rows were inserted without an external id, so a second run doubles them. "
            "An upsert by a field that is an external id and unique can be repeated safely."
        )


def _nothing_sent(asked: _Asked, frame: pl.DataFrame) -> LoadResult[Any]:
    """The answer for a frame without rows: a success without a call."""
    import polars as pl

    from sfframe.frames.failures import SCHEMA
    from sfframe.frames.verdict import RESULT_SCHEMA

    answered = frame.hstack(pl.DataFrame(schema=RESULT_SCHEMA))
    if asked.results is not None:
        save_frame(answered, asked.results)
    target = Target("", "", "", asked.sobject, asked.operation, asked.external_id_field)
    return LoadResult(answered, pl.DataFrame(schema=SCHEMA), target)

"""write_sobject: one frame into one object, and one answer for each of its rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, TypeVar, get_args, overload

from sfframe import load, orgs
from sfframe.errors import UsageError
from sfframe.facts import OPERATIONS, Operation
from sfframe.jobs.load_job import LoadJob
from sfframe.load import Answered, LoadOptions, OnFailed
from sfframe.results import LoadResult, Target, writeable

if TYPE_CHECKING:
    import pandas as pd
    import polars as pl

    from sfframe.codec.layout import SentColumn
    from sfframe.connection.org import Org
    from sfframe.frames.contract import Checked
    from sfframe.frames.intake import Taken
    from sfframe.orgs import OrgLike

Nulls = Literal["ignore", "clear"]
OnInvalid = Literal["raise", "reject"]
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
    """Load a frame into an object by the Bulk API 2.0, and join every answer to its row.

    ``df`` is a polars, pandas or pyarrow frame, anything with ``__arrow_c_stream__``, a list of dicts, or a path to a
    CSV, Parquet, Arrow or JSON-lines file; it is not changed. Columns are called like fields (without case), or are
    mapped: ``columns={"stage_name": "StageName", "remark": None}`` (None leaves a column out of the load; it comes back
    in the result all the same). ``Account.Ext_Id__c`` sets a parent by its external id.

    ``operation`` is insert, update, upsert (with ``external_id_field``, the field that finds the record), delete or
    hardDelete (both send the Id column alone). On insert a null lets the field's default apply; on update and upsert it
    clears the field. ``nulls`` is "ignore" or "clear" for all columns, or a mapping by the caller's column names. In a
    CSV file an empty cell leaves the field alone and ``#N/A`` clears it.

    Every value is checked against the object's describe before anything is sent. With ``on_invalid="raise"`` a value
    that does not fit raises ContractError, whose ``failures`` lists all of them, and nothing is sent; with "reject"
    such rows are answered as rejected and the others are sent. ``results`` names a file for all rows and their answers.

    The result has the caller's rows in the caller's order and kind of frame, plus the ``sf__`` columns. When rows did
    not succeed a RowsFailedWarning is given (``options=LoadOptions(on_failed=...)`` raises or is silent instead).
    A frame without rows is a success without a call. Raises NotFound for an unknown object, AuthenticationError,
    ConnectionFailed, JobTimeout (the job goes on in the org).

    Sources: Salesforce's Bulk API 2.0 guide on null values, relationship columns and results.

    >>> import polars as pl, sfframe as sf
    >>> result = sf.write_sobject(pl.DataFrame({"Name": ["Acme"]}), "Account", operation="insert", org="local")
    >>> result.counts
    {'created': 1}
    """
    asked = _Asked(sobject, operation, external_id_field, columns, nulls, on_invalid, results, options)
    from sfframe.frames.intake import take

    taken = take(df)
    answered = _answered(asked, taken, org) if taken.frame.height else _nothing_sent(asked)
    return load.wrap(taken.frame, answered, give_back=taken.give_back, results=results, on_failed=options.on_failed)


@dataclass(frozen=True, slots=True)
class _Asked:
    """What the caller wants; checked as it is put together, before anything is read or sent."""

    sobject: str
    operation: Operation
    external_id_field: str | None
    columns: Mapping[str, str | None] | None
    nulls: Nulls | Mapping[str, Nulls] | None
    on_invalid: OnInvalid
    results: str | Path | None
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
        _one_of(self.options.on_failed, OnFailed, "on_failed")
        for policy in [self.nulls] if not isinstance(self.nulls, Mapping) else self.nulls.values():
            if policy is not None:
                _one_of(policy, Nulls, "nulls")
        if self.results is not None:
            writeable(Path(self.results))


def _one_of(value: str, choice: object, name: str) -> None:
    if value not in get_args(choice):
        raise UsageError(f"{name}={value!r} is not known", remedy=f"Use one of {', '.join(get_args(choice))}.")


def _answered(asked: _Asked, taken: Taken, org: OrgLike | None) -> Answered:
    """Check every cell, then send the good rows, unless something is to be refused as a whole."""
    connection = orgs.connect(org)
    sent, checked = _checked(asked, taken, connection)
    if checked.blocked or (checked.failures.height and asked.on_invalid == "raise"):
        from sfframe.frames.failures import contract_error

        raise contract_error(checked.failures, f"{asked.operation} {asked.sobject}")
    return _sent(asked, taken, connection, sent, checked)


def _checked(asked: _Asked, taken: Taken, org: Org) -> tuple[tuple[SentColumn, ...], Checked]:
    from sfframe.frames.checking import matched_and_checked

    return matched_and_checked(
        taken,
        asked.sobject,
        org,
        operation=asked.operation,
        external_id_field=asked.external_id_field,
        columns=asked.columns,
        nulls=asked.nulls,
        timezone=asked.options.timezone or org.timezone,
    )


def _sent(asked: _Asked, taken: Taken, org: Org, sent: tuple[SentColumn, ...], checked: Checked) -> Answered:
    """Send the good rows and join what the org answers."""
    job = LoadJob(asked.sobject, asked.operation, asked.external_id_field)
    prepared = load.prepare(checked, sent, job, height=taken.frame.height, org=org, options=asked.options)
    return load.complete(prepared, org, asked.options)


def _nothing_sent(asked: _Asked) -> Answered:
    """The answer for a frame without rows: a success without a call."""
    import polars as pl

    from sfframe.frames.failures import SCHEMA
    from sfframe.frames.verdict import RESULT_SCHEMA

    target = Target("", "", "", asked.sobject, asked.operation, asked.external_id_field)
    return Answered(pl.DataFrame(schema=RESULT_SCHEMA), pl.DataFrame(schema=SCHEMA), target)

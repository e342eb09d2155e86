"""``sfframe load``: a file into an object, with the answer for each row in another file."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, cast

from cyclopts import Parameter

from sfframe import orgs
from sfframe.cli import tables
from sfframe.errors import ContractError, UsageError
from sfframe.facts import Delimiter, LineEnding, Operation
from sfframe.jobs.pacing import Pacing
from sfframe.options import Api, Guards, LoadHeaders, LoadLimits, LoadOptions
from sfframe.results import Cost, writeable
from sfframe.write import Nulls, OnInvalid, write_sobject

if TYPE_CHECKING:
    import polars as pl


def load(
    file: Path,
    sobject: str,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    map: Annotated[list[str] | None, Parameter(negative="")] = None,  # noqa: A002 - the option is called --map
    org: str | None = None,
    results: Path | None = None,
    on_invalid: OnInvalid = "reject",
    nulls: Annotated[list[str] | None, Parameter(negative="")] = None,
    timezone: str | None = None,
    api: Api = "auto",
    dry_run: Annotated[bool, Parameter(negative="")] = False,
    run_key: str = "",
    again: Annotated[bool, Parameter(negative="")] = False,
    sort_by_parent: str | None = None,
    keep: Annotated[bool, Parameter(negative="")] = False,
    keep_days: float | None = None,
    keep_raw: Annotated[bool, Parameter(negative="")] = False,
    cleanup: Annotated[bool, Parameter(negative="")] = False,
    limits: Annotated[LoadLimits, Parameter(name="*")] = LoadLimits(),
    guards: Annotated[Guards, Parameter(name="*")] = Guards(),
    headers: Annotated[LoadHeaders, Parameter(name="*")] = LoadHeaders(),
    column_delimiter: Delimiter = "COMMA",
    line_ending: LineEnding = "LF",
    timeout: float | None = None,
    progress: bool | None = None,
) -> int:
    """Load a file (CSV, Parquet, Arrow, JSON lines) into an object; every row gets an answer.

    Ends with 0 when every row succeeded, with 1 when some did not.

    Parameters
    ----------
    file
        The rows. In a CSV file an empty cell leaves the field alone, and #N/A clears it.
    sobject
        The object, such as Account.
    operation
        insert, update, upsert, delete or hardDelete.
    external_id_field
        For an upsert: the field that finds the record.
    map
        column=Field, once for each column that is not called like its field; "column=" leaves a column out.
    org
        local, local:PATH.duckdb, a profile, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    results
        Where to write all rows with their answers (.csv, .parquet, .jsonl or .arrow).
    on_invalid
        What to do when cells do not fit the object: reject (send the other rows) or raise (send nothing).
    nulls
        ignore or clear; or column=clear, once for each column that differs. By default a null clears on update and
        upsert.
    timezone
        What a datetime without zone means, such as Europe/Berlin.
    api
        bulk2, bulk1, collections (up to 200 rows a call), or auto: what fits the number of rows.
    dry_run
        Check and cut the rows and tell the cost; send nothing.
    run_key
        A name for this load: the same name with the same rows goes on, or shows the stored answers.
    again
        Insert the same rows once more, though the ledger knows that they were inserted.
    sort_by_parent
        A column with parents: their rows stay together, so that no two jobs lock one parent.
    keep
        Keep the sent files, so that sfframe retry can send rows of them again.
    keep_days
        Keep them for so many days.
    keep_raw
        Keep the org's own result files beside --results.
    cleanup
        Delete the jobs in the org once every answer is safe.
    limits.rows_per_job
        The most rows of one job.
    limits.bytes_per_job
        The most bytes of one job.
    limits.lanes
        How many jobs run at once.
    guards.max_creates
        Send nothing where more records than this would be created.
    guards.max_deletes
        Send nothing where more records than this would be deleted.
    guards.max_clears
        Send nothing where more fields than this would be cleared.
    headers.assignment_rule_id
        The rule that assigns cases or leads.
    headers.allow_duplicates
        Save records that a duplicate rule warns of (collections).
    headers.all_or_none
        Roll a call back when one of its rows fails (collections).
    headers.serial
        One batch after the other, against row locks (Bulk API 1.0).
    column_delimiter
        Of the uploads: BACKQUOTE, CARET, COMMA, PIPE, SEMICOLON or TAB (Bulk API 2.0).
    line_ending
        Of the uploads: LF or CRLF (Bulk API 2.0).
    timeout
        Seconds to wait for the jobs; they go on, and so does sfframe resume. By default a day.
    progress
        Show a bar, or not; by default where standard error is a terminal.
    """
    if results is not None:
        writeable(results)
    with orgs.connect(org) as connection:
        try:
            result = write_sobject(
                file,
                sobject,
                operation=operation,
                external_id_field=external_id_field,
                org=connection,
                columns=_columns(map or []),
                nulls=_nulls(nulls or []),
                on_invalid=on_invalid,
                results=results,
                options=LoadOptions(
                    api=api,
                    limits=limits,
                    pacing=None if timeout is None else Pacing(timeout=timeout),
                    guards=guards,
                    headers=headers,
                    column_delimiter=column_delimiter,
                    line_ending=line_ending,
                    timezone=timezone,
                    sort_by_parent=sort_by_parent,
                    progress="auto" if progress is None else progress,
                    on_failed="ignore",
                    dry_run=dry_run,
                    run_key=run_key,
                    again=again,
                    keep=keep if keep_days is None else timedelta(days=keep_days),
                    keep_raw=keep_raw,
                    cleanup=cleanup,
                ),
            )
        except ContractError as problem:
            if problem.failures is not None:
                tables.show(problem.failures.head(20))
            raise
    if dry_run:
        tables.say(result.summary())
        tables.show(_day(result.cost))
        return 1 if result.counts.get("rejected") else 0
    tables.tell(result)
    if results is not None:
        tables.say(f"All rows with their answers: {results}")
    return 0 if result.ok else 1


def _day(cost: Cost) -> pl.DataFrame:
    """What a load takes of the org's day, for people."""
    import polars as pl

    amounts = {"rows": cost.rows, "batches": cost.batches, "calls": cost.calls}
    lines = [(what, f"{amounts[what]:,}", f"{share:.2%} of a day") for what, share in cost.shares.items()]
    lines += [("jobs", f"{cost.jobs:,}", ""), ("bytes", f"{cost.bytes_sent:,}", "")]
    return pl.DataFrame(lines, schema=["cost", "amount", "share"], orient="row")


def _columns(pairs: list[str]) -> dict[str, str | None]:
    """``column=Field`` pairs as a mapping; nothing after the equals sign leaves the column out."""
    mapping: dict[str, str | None] = {}
    for pair in pairs:
        column, equals, field = pair.rpartition("=")
        if not equals or not column:
            raise UsageError(f"--map {pair!r} is not column=Field", remedy="Write it as --map stage_name=StageName.")
        mapping[column] = field or None
    return mapping


def _nulls(told: list[str]) -> Nulls | dict[str, Nulls] | None:
    """``clear``, or ``column=clear`` pairs; which words there are is checked with the load's other arguments."""
    if not told:
        return None
    by_column = dict(one.rpartition("=")[::2] for one in told)
    if len(told) == 1 and "" in by_column:
        return cast("Nulls", by_column[""])
    if "" in by_column:
        raise UsageError(
            "--nulls is given for all columns and for some", remedy="Write it once, or as --nulls column=clear."
        )
    return cast("dict[str, Nulls]", by_column)

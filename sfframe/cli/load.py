"""``sfframe load``: a file into an object, with the answer for each row in another file."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sfframe import orgs
from sfframe.cli import tables
from sfframe.errors import ContractError, UsageError
from sfframe.facts import Operation
from sfframe.options import LoadOptions
from sfframe.results import writeable
from sfframe.write import Nulls, OnInvalid, write_sobject


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
    nulls: Nulls | None = None,
    timezone: str | None = None,
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
        local, local:PATH.duckdb, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    results
        Where to write all rows with their answers (.csv, .parquet, .jsonl or .arrow).
    on_invalid
        What to do when cells do not fit the object: reject (send the other rows) or raise (send nothing).
    nulls
        ignore or clear; by default a null clears on update and upsert.
    timezone
        What a datetime without zone means, such as Europe/Berlin.
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
                nulls=nulls,
                on_invalid=on_invalid,
                results=results,
                options=LoadOptions(
                    timezone=timezone, progress="auto" if progress is None else progress, on_failed="ignore"
                ),
            )
        except ContractError as problem:
            if problem.failures is not None:
                tables.show(problem.failures.head(20))
            raise
    tables.tell(result)
    if results is not None:
        tables.say(f"All rows with their answers: {results}")
    return 0 if result.ok else 1


def _columns(pairs: list[str]) -> dict[str, str | None]:
    """``column=Field`` pairs as a mapping; nothing after the equals sign leaves the column out."""
    mapping: dict[str, str | None] = {}
    for pair in pairs:
        column, equals, field = pair.rpartition("=")
        if not equals or not column:
            raise UsageError(f"--map {pair!r} is not column=Field", remedy="Write it as --map stage_name=StageName.")
        mapping[column] = field or None
    return mapping

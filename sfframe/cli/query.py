"""``sfframe query``: the rows of a SOQL query as a file or on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sfframe import orgs
from sfframe.errors import UsageError
from sfframe.export import export_soql
from sfframe.read import read_soql
from sfframe.read_options import Api, ReadOptions


def query(
    soql: str,
    *,
    org: str | None = None,
    output: Annotated[str, Parameter(name=["--output", "-o"])] = "-",
    api: Api = "auto",
    include_deleted: bool = False,
    partitions: int = 1,
    resume: Annotated[bool, Parameter(negative="")] = False,
    progress: bool | None = None,
) -> int:
    """Run a SOQL query and write its rows.

    Parameters
    ----------
    soql
        The query, in quotes.
    org
        local, local:PATH.duckdb, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    output
        A file (.csv, .parquet, .jsonl or .arrow) of any size, or - for CSV on standard output.
    api
        rest, bulk2, bulk1, or auto.
    include_deleted
        Include deleted and archived records.
    partitions
        For a file: cut the query into so many parts by CreatedDate, which are read at once.
    resume
        Go on with an export that broke off: only the pages that are missing are fetched.
    progress
        Show a bar, or not; by default where standard error is a terminal.
    """
    options = ReadOptions(api=api, progress="auto" if progress is None else progress)
    if output == "-":
        if resume:
            raise UsageError("Only a file can be gone on with", remedy="Name it with --output.")
        if partitions != 1:
            raise UsageError("Only a file can come in parts", remedy="Name it with --output.")
        with orgs.connect(org) as connection:
            frame = read_soql(soql, org=connection, include_deleted=include_deleted, options=options)
        from sfframe.frames.sink import text_of

        sys.stdout.write(text_of(frame))
        return 0
    with orgs.connect(org) as connection:
        saved = export_soql(
            soql,
            Path(output),
            org=connection,
            include_deleted=include_deleted,
            partitions=partitions,
            resume=resume,
            options=options,
        )
    print(f"{saved.height:,} rows in {saved.path}", file=sys.stderr)
    return 0

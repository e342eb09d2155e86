"""``sfframe query``: the rows of a SOQL query as a file or on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sfframe import orgs
from sfframe.read import read_soql
from sfframe.read_options import Api, ReadOptions
from sfframe.results import save_frame, text_of, writeable


def query(
    soql: str,
    *,
    org: str | None = None,
    output: Annotated[str, Parameter(name=["--output", "-o"])] = "-",
    api: Api = "auto",
    include_deleted: bool = False,
) -> int:
    """Run a SOQL query and write its rows.

    Parameters
    ----------
    soql
        The query, in quotes.
    org
        local, local:PATH.duckdb, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    output
        A file (.csv, .parquet, .jsonl or .arrow), or - for CSV on standard output.
    api
        rest, bulk2, or auto.
    include_deleted
        Include deleted and archived records.
    """
    target = None if output == "-" else Path(output)
    if target is not None:
        writeable(target)
    with orgs.connect(org) as connection:
        frame = read_soql(soql, org=connection, include_deleted=include_deleted, options=ReadOptions(api=api))
    if target is None:
        sys.stdout.write(text_of(frame))
    else:
        save_frame(frame, target)
        print(f"{frame.height:,} rows in {target}", file=sys.stderr)
    return 0

"""``sfframe query``: the rows of a SOQL query as a file or on standard output."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sfframe import orgs
from sfframe.errors import UsageError
from sfframe.export import export_soql
from sfframe.jobs.pacing import Pacing
from sfframe.read import read_soql
from sfframe.read_options import Api, ReadOptions


def query(
    soql: str,
    *,
    org: str | None = None,
    output: Annotated[str, Parameter(name=["--output", "-o"])] = "-",
    api: Api = "auto",
    param: Annotated[list[str] | None, Parameter(negative="")] = None,
    include_deleted: Annotated[bool, Parameter(negative="")] = False,
    decimals: Annotated[bool, Parameter(negative="")] = False,
    split_multipicklists: Annotated[bool, Parameter(negative="")] = False,
    pk_chunking: int = 0,
    partitions: int = 1,
    by: str = "CreatedDate",
    resume: Annotated[bool, Parameter(negative="")] = False,
    timeout: float | None = None,
    reserve: int = 0,
    progress: bool | None = None,
) -> int:
    """Run a SOQL query and write its rows.

    Parameters
    ----------
    soql
        The query, in quotes.
    org
        local, local:PATH.duckdb, a profile, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    output
        A file (.csv, .parquet, .jsonl or .arrow) of any size, or - for CSV on standard output.
    api
        rest, bulk2, bulk1, or auto.
    param
        name=text for :name in the query, safely quoted; several times the same name make a list for IN, and name=@FILE
        takes the lines of a file.
    include_deleted
        Include deleted and archived records.
    decimals
        Read stored numbers as decimals of their own precision and scale.
    split_multipicklists
        Read multi-picklists as lists.
    pk_chunking
        Have the org cut the query by ranges of so many ids, such as 100000, in a Bulk API 1.0 job: for objects so large
        that a query takes too long.
    partitions
        For a file: cut the query into so many parts, which are read at once.
    by
        The date or datetime field, or Id, by whose range the parts are cut.
    resume
        Go on with an export that broke off: only the pages that are missing are fetched.
    timeout
        Seconds to wait for a bulk job; by default a day.
    reserve
        Send no query while fewer API calls than this are left of the org's day.
    progress
        Show a bar, or not; by default where standard error is a terminal.
    """
    options = ReadOptions(
        api=api,
        pk_chunking=pk_chunking or False,
        decimals=decimals,
        split_multipicklists=split_multipicklists,
        pacing=None if timeout is None else Pacing(timeout=timeout),
        progress="auto" if progress is None else progress,
        reserve=reserve,
    )
    params = _params(param or [])
    if output == "-":
        if resume:
            raise UsageError("Only a file can be gone on with", remedy="Name it with --output.")
        if partitions != 1:
            raise UsageError("Only a file can come in parts", remedy="Name it with --output.")
        with orgs.connect(org) as connection:
            frame = read_soql(soql, params=params, org=connection, include_deleted=include_deleted, options=options)
        from sfframe.frames.sink import text_of

        sys.stdout.write(text_of(frame))
        return 0
    with orgs.connect(org) as connection:
        saved = export_soql(
            soql,
            Path(output),
            params=params,
            org=connection,
            include_deleted=include_deleted,
            partitions=partitions,
            by=by,
            resume=resume,
            options=options,
        )
    print(f"{saved.height:,} rows in {saved.path}", file=sys.stderr)
    return 0


def _params(pairs: list[str]) -> dict[str, object]:
    """``name=text`` pairs as the values of a query."""
    found: dict[str, list[str]] = {}
    lists = set()
    for pair in pairs:
        name, equals, text = pair.partition("=")
        if not equals or not name:
            raise UsageError(f"--param {pair!r} is not name=text", remedy="Write it as --param name=Acme.")
        if text.startswith("@"):
            lists.add(name)
            found.setdefault(name, []).extend(_lines(Path(text[1:])))
        else:
            found.setdefault(name, []).append(text)
    return {name: texts if name in lists or len(texts) > 1 else texts[0] for name, texts in found.items()}


def _lines(path: Path) -> list[str]:
    try:
        return [line for line in path.read_text("utf-8-sig").splitlines() if line]
    except (OSError, UnicodeDecodeError) as problem:
        raise UsageError(
            f"The file cannot be read: {problem}", where=str(path), remedy="Name a text file with one value a line."
        ) from None

"""``sfframe changes``: what came, changed and went since the last call, as files."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

from cyclopts import Parameter

from sfframe import orgs
from sfframe.changes import read_changes
from sfframe.cli import tables
from sfframe.errors import UsageError
from sfframe.read_options import Api, ReadOptions
from sfframe.results import save_frame, writeable


def changes(
    sobject: str,
    *,
    state: Path,
    output: Annotated[Path, Parameter(name=["--output", "-o"])],
    deleted: Path | None = None,
    columns: str = "*",
    where: str = "",
    since: str = "",
    known: Path | None = None,
    org: str | None = None,
    api: Api = "auto",
    timezone: str | None = None,
    replace: Annotated[bool, Parameter(negative="")] = False,
) -> int:
    """Write the records of an object that are new, changed or deleted since the last call.

    The first call writes all records. The state moves when the files are whole; after a break the same call gives the
    same changes again.

    Parameters
    ----------
    sobject
        The object, such as Account.
    state
        The file that keeps up to where it was read; made by the first call.
    output
        A file for the new and changed records (.csv, .parquet, .jsonl or .arrow).
    deleted
        A file for the Ids of those that are gone; by default beside the other, accounts.deleted.csv by accounts.csv.
    columns
        Fields, parted by commas; * is all but compounds and binary ones.
    where
        A SOQL condition. A record that meets it no longer is among the deleted.
    since
        Where the first call begins, such as 2026-03-04T05:06:07Z.
    known
        A file with the column Id of the records that you store: missing ones are found by comparison.
    org
        local:PATH.duckdb, a profile, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    api
        rest, bulk2, or auto.
    timezone
        What a time without zone means, such as Europe/Berlin.
    replace
        Write over files that are there, although their changes may not be stored yet.
    """
    gone = deleted or output.with_name(f"{output.stem}.deleted{output.suffix}")
    for target in (output, gone):
        writeable(target)
        if target.exists() and not replace:
            raise UsageError(
                "the file is there: it may hold changes of an earlier call that are not stored yet",
                where=str(target),
                remedy="Store and remove them, name another file, or add --replace.",
            )
    with orgs.connect(org) as connection:
        read = read_changes(
            sobject,
            since=_moment(since) if since else None,
            state=state,
            columns=[name.strip() for name in columns.split(",")],
            where=where,
            known=known,
            org=connection,
            options=ReadOptions(api=api, timezone=timezone),
        )
    save_frame(read.deleted, gone)
    save_frame(read.rows, output)
    read.commit()
    tables.say(f"{read.rows.height:,} rows in {output}, {read.deleted.height:,} deleted in {gone}")
    for note in read.notes:
        tables.say(f"note: {note}")
    return 0


def _moment(text: str) -> dt.datetime:
    try:
        return dt.datetime.fromisoformat(text)
    except ValueError:
        raise UsageError(f"{text!r} is no time", where="--since", remedy="Write it as 2026-03-04T05:06:07Z.") from None

"""``sfframe retry``: send the rows of a kept load again that may succeed now."""

from __future__ import annotations

from sfframe import orgs
from sfframe.cli import tables
from sfframe.options import LoadOptions
from sfframe.runs import retry as retry_run


def retry(run: str, *, part: int | None = None, org: str | None = None, again: bool = False) -> int:
    """Send rows of a load again that were not processed, or whose error passes by itself (locks, limits, the server).

    Needs a load whose files were kept. Rows that succeeded or are unknown are never sent again.

    Parameters
    ----------
    run
        The run, as ``sfframe history`` lists it.
    part
        All rows of this part (counted from 0) that did not succeed, whatever their error.
    org
        local:PATH.duckdb, a profile, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    again
        Also insert rows once more that the ledger knows as inserted.
    """
    with orgs.connect(org) as connection:
        result = retry_run(run, part=part, org=connection, options=LoadOptions(on_failed="ignore", again=again))
    tables.tell(result)
    return 0 if result.ok else 1

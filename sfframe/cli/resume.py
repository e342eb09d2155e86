"""``sfframe resume``: go on with a load that broke off."""

from __future__ import annotations

from pathlib import Path

from sfframe import orgs
from sfframe.cli import tables
from sfframe.options import LoadOptions
from sfframe.results import writeable
from sfframe.runs import resume as resume_run


def resume(run: str, *, file: Path | None = None, org: str | None = None, results: Path | None = None) -> int:
    """Go on with a load that broke off; what the org already has is not sent again.

    Parameters
    ----------
    run
        The run, as ``sfframe history`` lists it.
    file
        The file of the first call, so that the answers come with all of its columns; else they have those sent.
    org
        local:PATH.duckdb, a profile, or nothing: then the environment says which org (SF_INSTANCE_URL ...).
    results
        Where to write all rows with their answers (.csv, .parquet, .jsonl or .arrow).
    """
    if results is not None:
        writeable(results)
    with orgs.connect(org) as connection:
        result = resume_run(run, rows=file, org=connection, results=results, options=LoadOptions(on_failed="ignore"))
    tables.tell(result)
    return 0 if result.ok else 1

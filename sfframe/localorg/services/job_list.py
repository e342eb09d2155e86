"""The list of ingest jobs, in which those of both bulk interfaces stand (bulk2.md 2.7)."""

from __future__ import annotations

from typing import Any

import duckdb

from sfframe.localorg.services import bulk1_jobs, jobs
from sfframe.localorg.services.bulk1_jobs import JOBS

_IDS = {
    "V2Ingest": "SELECT id FROM jobs.ingest",
    "Classic": f"SELECT id FROM {JOBS.name} WHERE operation NOT IN ('query', 'queryAll')",
}


def page(cursor: duckdb.DuckDBPyConnection, job_type: str | None, offset: int, count: int) -> list[dict[str, Any]]:
    """``count`` jobs of one type or of all, the newest first; none of a type that this org does not have."""
    wanted = [sql for kind, sql in _IDS.items() if job_type in (None, kind)]
    if not wanted:
        return []
    both = " UNION ALL ".join(wanted)
    rows = cursor.execute(f"{both} ORDER BY id DESC LIMIT ? OFFSET ?", [count, offset]).fetchall()
    ids = [one for (one,) in rows]
    found = {job.id: jobs.listed_document(job) for job in jobs.among(cursor, ids)}
    found |= {job.id: bulk1_jobs.listed_document(job) for job in bulk1_jobs.among(cursor, ids)}
    return [found[one] for one in ids]

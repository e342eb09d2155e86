"""The lists of jobs of Bulk API 2.0, in which those of the first Bulk API stand too (bulk2.md 2.7)."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

import duckdb

from sfframe.localorg.services import bulk1_jobs, jobs, query_jobs
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.problems import literal
from sfframe.localorg.store.store import Store

_PAGE_JOBS = 1_000
_LOCATOR = re.compile(r"01g[A-Za-z0-9]{15}-([0-9]{1,9})")
_CLASSIC = f"SELECT id, concurrency, chunk_rows IS NOT NULL AS chunked FROM {bulk1_jobs.JOBS.name} WHERE operation"
_QUERY_WORDS = f"({', '.join(literal(word) for word in bulk1_jobs.QUERIES)})"
_INGESTS = f"SELECT id, 'Parallel' AS concurrency, false AS chunked FROM {jobs.JOBS.name}"
# Which types of jobs each list shows: those of its own interface, and what the first Bulk API does alike. The list of
# queries has ingest jobs too, but only for who asks for them; that this needs asking is a guess.
_SHOWN: dict[str, dict[str, str]] = {
    "ingest": {"V2Ingest": _INGESTS, "Classic": f"{_CLASSIC} NOT IN {_QUERY_WORDS}"},
    "query": {
        "V2Query": f"SELECT id, 'Parallel' AS concurrency, false AS chunked FROM {query_jobs.QUERIES.name}",
        "Classic": f"{_CLASSIC} IN {_QUERY_WORDS}",
    },
}
_ON_DEMAND = {"query": {"V2Ingest": _INGESTS}}


def create_tables(cursor: duckdb.DuckDBPyConnection) -> None:
    """Make the tables of all that the lists show."""
    jobs.create_tables(cursor)
    bulk1_jobs.create_tables(cursor)
    query_jobs.QUERIES.create(cursor)


def page(store: Store, version: str, path: str, asked: Mapping[str, str]) -> dict[str, Any]:
    """A page of the list under ``path`` (``ingest`` or ``query``), the newest jobs first.

    ``asked`` are the parameters of the request: jobType, isPkChunkingEnabled, concurrencyMode and queryLocator. There
    are no jobs of a type that this org does not have.
    """
    offset = _offset(asked.get("queryLocator"))
    with store.cursor() as cursor:
        query = f"{_wanted(path, asked)} ORDER BY id DESC LIMIT ? OFFSET ?"
        ids = [one for (one,) in cursor.execute(query, [_PAGE_JOBS + 1, offset]).fetchall()]
        documents = _documents(cursor, ids[:_PAGE_JOBS])
    more = len(ids) > _PAGE_JOBS
    place = f"01g{store.org_id[3:15]}000-{offset + _PAGE_JOBS}"
    return {
        "done": not more,
        "records": documents,
        "nextRecordsUrl": f"/services/data/{version}/jobs/{path}?queryLocator={place}" if more else None,
    }


def _wanted(path: str, asked: Mapping[str, str]) -> str:
    shown, kind = _SHOWN[path], asked.get("jobType")
    if kind:
        found = shown | _ON_DEMAND.get(path, {})
        shown = {kind: found[kind]} if kind in found else {}
    conditions = ["true"] if shown else ["false"]
    chunked = asked.get("isPkChunkingEnabled", "").lower()
    if chunked in ("true", "false"):
        conditions.append(f"chunked = {chunked}")
    if asked.get("concurrencyMode"):
        conditions.append(f"lower(concurrency) = {literal(asked['concurrencyMode'].lower())}")
    return f"SELECT id FROM ({' UNION ALL '.join((shown or _SHOWN[path]).values())}) WHERE {' AND '.join(conditions)}"


def _documents(cursor: duckdb.DuckDBPyConnection, ids: Sequence[str]) -> list[dict[str, Any]]:
    found = {job.id: jobs.listed_document(job) for job in jobs.JOBS.among(cursor, ids)}
    found |= {job.id: bulk1_jobs.listed_document(job) for job in bulk1_jobs.JOBS.among(cursor, ids)}
    found |= {job.id: query_jobs.listed_document(job) for job in query_jobs.QUERIES.among(cursor, ids)}
    return [found[one] for one in ids]


def _offset(locator: str | None) -> int:
    found = _LOCATOR.fullmatch(locator) if locator else None
    if locator and not found:
        raise ServiceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
    return int(found[1]) if found else 0

"""What a person hands to a job -> CSV files that the org takes, checked against the describe."""

from __future__ import annotations

import io
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Literal

from sfframe import facts
from sfframe.errors import UsageError
from sfframe.jobs.load_job import LoadJob
from sfframe.spool import Part

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.layout import SentColumn
    from sfframe.connection.org import Org
    from sfframe.frames.intake import Taken
    from sfframe.protocol import bulk1, bulk2_job

Nulls = Literal["ignore", "clear"]


def load_job(info: bulk2_job.JobInfo | bulk1.JobInfo) -> LoadJob:
    """What the org says of a job, as the load that it is. Bulk 1.0 knows commas and LF alone (bulk1.md 5)."""
    operation = next((one for one in facts.OPERATIONS if one == info.operation), None)
    if operation is None:
        raise UsageError(
            f"A job that does {info.operation} takes no rows",
            where=f"job {info.id}",
            remedy=f"Make a job that does one of {', '.join(facts.OPERATIONS)}.",
        )
    said = getattr(info, "column_delimiter", "")
    return LoadJob(
        info.object,
        operation,
        info.external_id_field or None,
        delimiter(said),
        "CRLF" if getattr(info, "line_ending", "") == "CRLF" else "LF",
    )


def delimiter(said: str) -> facts.Delimiter:
    """A job's delimiter as the org says it; a comma where it says none."""
    return next((one for one in facts.DELIMITERS if one == said), "COMMA")


def spooled(
    data: object,
    job: LoadJob,
    org: Org,
    folder: Path,
    *,
    columns: Mapping[str, str | None] | None = None,
    nulls: Nulls | Mapping[str, Nulls] | None = None,
    timezone: str | None = None,
    max_rows: int,
    max_bytes: int,
) -> Iterator[Part]:
    """The rows of ``data`` in files of at most ``max_rows`` and ``max_bytes``, each when it is whole; none for no rows.

    Raises ``ContractError`` for columns and values that the org would refuse; its row numbers count over all frames.
    """
    from sfframe.codec.split import spool

    texts = _texts(data, job, org, columns=columns, nulls=nulls, timezone=timezone or org.timezone)
    yield from spool(
        texts,
        folder,
        max_bytes=max_bytes,
        max_rows=max_rows,
        delimiter=job.column_delimiter,
        line_ending=job.line_ending,
    )


def _texts(
    data: object,
    job: LoadJob,
    org: Org,
    *,
    columns: Mapping[str, str | None] | None,
    nulls: Nulls | Mapping[str, Nulls] | None,
    timezone: str | None,
) -> Iterator[pl.DataFrame]:
    from sfframe.codec.encode import encode
    from sfframe.frames.checking import matched_and_checked

    first_row = 0
    keys: list[pl.Series] = []
    sent: tuple[SentColumn, ...] = ()
    for taken in _taken(data):
        sent, checked = matched_and_checked(
            taken,
            job.sobject,
            org,
            operation=job.operation,
            external_id_field=job.external_id_field,
            columns=columns,
            nulls=nulls,
            timezone=timezone,
        )
        if checked.failures.height:
            _refuse(checked.failures, job, first_row=first_row)
        key = _key(job, sent)
        if key is not None:
            keys.append(checked.typed[key.header])
        yield encode(checked.typed, sent, checked.cleared)
        first_row += taken.frame.height
    if len(keys) > 1:
        _check_keys(keys, sent, job)


def _taken(data: object) -> Iterator[Taken]:
    """One frame, or those of a stream. Text with line breaks is CSV, other text a path."""
    from sfframe.frames.intake import Taken, take, take_rows

    if isinstance(data, str) and ("\n" in data or "\r" in data):
        data = io.BytesIO(data.encode())
    elif isinstance(data, bytes | bytearray | memoryview):
        data = io.BytesIO(data)
    given = take_rows(data)
    if isinstance(given, Taken):
        yield given
    else:
        yield from (replace(take(batch), from_csv=given.from_csv) for batch in given.batches)


def _key(job: LoadJob, sent: tuple[SentColumn, ...]) -> SentColumn | None:
    """The column that finds the records; None on insert."""
    wanted = {"insert": "", "upsert": (job.external_id_field or "").casefold()}.get(job.operation, "id")
    return next((one for one in sent if one.header.casefold() == wanted), None)


def _check_keys(keys: list[pl.Series], sent: tuple[SentColumn, ...], job: LoadJob) -> None:
    """Refuses a key that stands in two frames; in one frame the contract finds it."""
    import polars as pl

    from sfframe.frames.keys import duplicate_keys

    key = _key(job, sent)
    failures = duplicate_keys(pl.concat(keys), key) if key is not None else pl.DataFrame()
    if failures.height:
        _refuse(failures, job, first_row=0)


def _refuse(failures: pl.DataFrame, job: LoadJob, *, first_row: int) -> None:
    import polars as pl

    from sfframe.frames.failures import contract_error

    raise contract_error(failures.with_columns(pl.col("row") + first_row), f"{job.operation} {job.sobject}")

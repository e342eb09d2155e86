"""history and resume: the loads that the ledger knows, and how one that broke off goes on."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfframe import load, orgs
from sfframe.errors import UsageError
from sfframe.jobs.ledger import Ledger
from sfframe.options import LoadOptions
from sfframe.results import writeable
from sfframe.state import home

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from sfframe.frames.intake import Taken
    from sfframe.load import Prepared
    from sfframe.orgs import OrgLike
    from sfframe.results import LoadResult


def history() -> pl.DataFrame:
    """The loads that this user's ledger knows, the newest first.

    ``run``, ``created`` (UTC), ``sobject``, ``operation``, ``external_id_field``, ``api``, ``org``, ``username``,
    ``rows`` that were to be sent, ``jobs`` (their ids, as far as they were made), ``run_key``, ``finished`` (null while
    rows have no answer: such a run can be resumed) and ``outcome``.

    >>> import sfframe as sf
    >>> result = sf.write_sobject([{"Name": "Acme"}], "Account", operation="insert", org="local")
    >>> sf.history().filter(run=result.run)["outcome"].to_list()
    ['complete']
    """
    import polars as pl

    with Ledger.open(home()) as ledger:
        told = [(run, ledger.parts(run.run_id)) for run in reversed(ledger.runs())]
    lines = [
        {
            "run": run.run_id,
            "created": run.created,
            "sobject": run.sobject,
            "operation": run.operation,
            "external_id_field": run.external_id_field or None,
            "api": run.carrier,
            "org": run.host,
            "username": run.username,
            "rows": sum(state.part.rows for state in parts),
            "jobs": list(dict.fromkeys(state.job_id for state in parts if state.job_id)),
            "run_key": run.run_key or None,
            "finished": run.finished or None,
            "outcome": run.outcome or None,
        }
        for run, parts in told
    ]
    texts = ("run", "created", "sobject", "operation", "external_id_field", "api", "org", "username")
    schema = {name: pl.String() for name in texts} | {"rows": pl.Int64(), "jobs": pl.List(pl.String())}
    schema |= {"run_key": pl.String()}
    frame = pl.DataFrame(lines, schema=schema | {"finished": pl.String(), "outcome": pl.String()})
    return frame.with_columns(pl.col("created", "finished").str.to_datetime(time_unit="ms", time_zone="UTC"))


def resume(
    run: str,
    *,
    rows: object = None,
    org: OrgLike | None = None,
    results: str | Path | None = None,
    options: LoadOptions = LoadOptions(),
) -> LoadResult[Any]:
    """Go on with a load that broke off: its process died, the connection was lost, waiting was given up.

    What the org already has is not sent again: the ledger knows each job, and the jobs' own states say what was done.
    Without ``rows`` the result has the columns that were sent, as text, under the caller's names; rows that were
    rejected have nulls there. With ``rows`` (the frame of the first call, unchanged) it has the caller's own rows; a
    frame that does not have the values that were sent raises UsageError, and nothing is done.

    Raises UsageError for a run that is unknown, complete, or for another org.

    >>> import sfframe as sf
    >>> sf.resume("20260101T000000Z-abcdef", org="local")
    Traceback (most recent call last):
    sfframe.errors.UsageError: ...
    """
    connection = orgs.connect(org)
    saved = Path(results) if results is not None else None
    if saved is not None:
        writeable(saved)
    prepared = load.reopen(run, connection)
    from sfframe.frames.kept import WholeRows

    if rows is None:
        whole, give_back = WholeRows(_spooled(prepared)), None
    else:
        from sfframe.frames.intake import take

        taken = take(rows)
        _check_same(prepared, taken, timezone=options.timezone or connection.timezone)
        whole, give_back = WholeRows(taken.frame), taken.give_back
    answered = load.complete(prepared, whole, connection, options, saved)
    return load.wrap(answered, give_back=give_back, on_failed=options.on_failed)


def _sent_rows(prepared: Prepared) -> pl.Series:
    """Which of the caller's rows lie in the spool, in the order of the parts."""
    import polars as pl

    from sfframe.frames.feed import rows_of

    return pl.concat([pl.Series("sf__row", [], pl.Int64), *(rows_of(prepared.folder, part) for part in prepared.made)])


def _cells(prepared: Prepared, names: Iterable[str]) -> pl.DataFrame:
    """The cells that were sent, in the order of the parts, under their headers."""
    import polars as pl

    from sfframe.codec.outcomes import read_cells

    delimiter = prepared.job.column_delimiter
    cells = [read_cells(part.path, delimiter=delimiter).select(list(names)) for part in prepared.made]
    return pl.concat([pl.DataFrame(schema=dict.fromkeys(names, pl.String())), *cells])


def _spooled(prepared: Prepared) -> pl.DataFrame:
    """The cells that were sent, in the caller's order and under the caller's names; null for rows that were not."""
    import polars as pl

    names = {one.header: one.name for one in prepared.sent}
    sent = _cells(prepared, names).with_columns(_sent_rows(prepared).alias("sf__row"))
    every = pl.DataFrame({"sf__row": pl.int_range(prepared.height, dtype=pl.Int64, eager=True)})
    return every.join(sent, on="sf__row", how="left", maintain_order="left").drop("sf__row").rename(names)


def _check_same(prepared: Prepared, taken: Taken, *, timezone: str | None) -> None:
    """Raise where this frame is not the one that was sent: its cells are written anew and held against the spool."""
    import polars as pl

    from sfframe.codec.encode import encode
    from sfframe.frames.casting import cast_column

    frame = taken.frame
    missing = [one.name for one in prepared.sent if one.name not in frame.columns]
    same = frame.height == prepared.height and not missing
    if same:
        kept = frame[_sent_rows(prepared)]
        casts = [cast_column(one, kept[one.name], timezone=timezone, from_csv=taken.from_csv) for one in prepared.sent]
        pairs = zip(prepared.sent, casts, strict=True)
        texts = encode(kept.select(cast.typed.alias(one.header) for one, cast in pairs), prepared.sent)
        spooled = _cells(prepared, texts.columns)
        same = texts.select(pl.all().replace("", None)).equals(spooled)
    if not same:
        raise UsageError(
            "These are not the rows that were sent" + (f": there is no column {missing[0]!r}" if missing else ""),
            where=f"run {prepared.run.run_id}",
            remedy="Give the frame of the first call, or leave rows= out: the result then has the sent columns.",
        )

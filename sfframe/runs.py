"""history, resume, retry: the loads that the ledger knows, and how one that broke off or failed goes on."""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sfframe import facts, load, orgs
from sfframe.errors import UsageError
from sfframe.jobs.ledger import Ledger
from sfframe.options import LoadOptions
from sfframe.results import LoadResult, writeable
from sfframe.state import home
from sfframe.write import write_sobject

if TYPE_CHECKING:
    from collections.abc import Iterable

    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.frames.intake import Taken
    from sfframe.load import Prepared
    from sfframe.options import OnFailed
    from sfframe.orgs import OrgLike


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


def retry(
    failed: LoadResult[Any] | str,
    *,
    part: int | None = None,
    org: OrgLike | None = None,
    options: LoadOptions = LoadOptions(),
) -> LoadResult[Any]:
    """Send again those rows of a load that did not succeed and may do so now.

    Of a result these are the unprocessed rows, and the failed ones whose error passes by itself (locks, limits, the
    server: ``triage()["again"]``); the answer is the whole result once more, with the new answers in their places.
    With ``part`` (counted from 0, one for each of ``result.jobs``) they are all rows of that part that failed or were
    not processed, whatever the error. Instead of a result the id of a run can be given, where its files were kept
    (``LoadOptions(keep=True)``); its rows then come back as the texts that were sent.

    Rows that succeeded, were rejected, or are unknown are never sent again. Options are not taken over from the load;
    its operation, columns and null policy are.

    Raises UsageError for a part that there is not, and for a run whose files are gone.

    >>> import sfframe as sf
    >>> result = sf.write_sobject([{"Name": "Hooli"}], "Account", operation="insert", org="local")
    >>> sf.retry(result, org="local").counts
    {'created': 1}
    """
    import polars as pl

    connection = orgs.connect(org)
    with Ledger.open(home()) as ledger:
        run = ledger.run(failed if isinstance(failed, str) else failed.run)
        states = ledger.parts(run.run_id)
    if part is not None and not 0 <= part < len(states):
        raise UsageError(f"Run {run.run_id!r} has no part {part}", remedy=f"It has {len(states)}, counted from 0.")
    before = _answered_again(run.run_id, connection) if isinstance(failed, str) else failed
    answers = before.answers
    status = pl.col("sf__Status")
    if part is None:
        again = _passing(before)
    else:
        mine = pl.col("sf__Job").eq_missing(states[part].job_id or None)
        again = answers.select((mine & status.is_in(["failed", "unprocessed"])).alias("again"))["again"]
    rows = again.arg_true()
    if not len(rows):
        return before
    told = json.loads(run.settings)
    sent = dict(told["columns"])
    chosen = answers[rows].drop(facts.RESULT_COLUMNS)
    columns = {name: sent.get(name) for name in chosen.columns}
    with tempfile.TemporaryDirectory(prefix="sfframe-") as folder:
        new = write_sobject(
            _as_file(chosen, Path(folder)) if isinstance(failed, str) else chosen,
            run.sobject,
            operation=next(one for one in facts.OPERATIONS if one == run.operation),
            external_id_field=run.external_id_field or None,
            org=connection,
            columns=columns,
            nulls=told["nulls"],
            on_invalid="reject",
            options=replace(options, on_failed="ignore"),
        )
    return _merged(before, rows, new, on_failed=options.on_failed)


def _passing(result: LoadResult[Any]) -> pl.Series:
    """Which rows may succeed when they are simply sent again."""
    import polars as pl

    causes = result.triage().filter(pl.col("again")).select("status", "code", "fields")
    answers = result.answers.select("sf__Status", "sf__ErrorCode", "sf__ErrorFields").with_row_index("row")
    left = ["sf__Status", "sf__ErrorCode", "sf__ErrorFields"]
    hits = answers.join(causes, left_on=left, right_on=causes.columns, how="semi", nulls_equal=True)
    return answers["row"].is_in(hits["row"].implode())


def _as_file(cells: pl.DataFrame, folder: Path) -> Path:
    """Sent cells as a file, so that an empty one and #N/A mean what they meant."""
    path = folder / "again.csv"
    cells.write_csv(path)
    return path


def _merged(before: LoadResult[Any], rows: pl.Series, new: LoadResult[Any], *, on_failed: OnFailed) -> LoadResult[Any]:
    """The first result with the answers of the second in the places of ``rows``."""
    import polars as pl

    told = new.answers.select(facts.RESULT_COLUMNS).with_columns(rows.cast(pl.UInt32).alias("row"))
    whole = before.answers.with_row_index("row").update(told, on="row", how="left", include_nulls=True).drop("row")
    answered: LoadResult[Any] = LoadResult(
        whole,
        before.failures,
        before.target,
        (*before.jobs, *new.jobs),
        (*before.notes, f"{len(rows):,} rows were sent again by run {new.run}.", *new.notes),
        before.run,
        before.cost + new.cost,
    )
    return load.wrap(answered, give_back=before.give_back, on_failed=on_failed)


def _answered_again(run_id: str, org: Org) -> LoadResult[Any]:
    """The result of a run whose files were kept, read once more; its rows are the texts that were sent."""
    from sfframe.frames.kept import WholeRows

    prepared = load.reopen(run_id, org, finished=True)
    silent = LoadOptions(progress=False, on_failed="ignore")
    answered = load.complete(prepared, WholeRows(_spooled(prepared, marks=True)), org, silent, None)
    return load.wrap(answered, give_back=None, on_failed="ignore")


def _sent_rows(prepared: Prepared) -> pl.Series:
    """Which of the caller's rows lie in the spool, in the order of the parts."""
    import polars as pl

    from sfframe.frames.feed import rows_of

    return pl.concat([pl.Series("sf__row", [], pl.Int64), *(rows_of(prepared.folder, part) for part in prepared.made)])


def _cells(prepared: Prepared, names: Iterable[str], *, marks: bool = False) -> pl.DataFrame:
    """The cells that were sent, in the order of the parts, under their headers; #N/A is null, unless ``marks``."""
    import polars as pl

    from sfframe.codec.outcomes import read_cells

    delimiter = prepared.job.column_delimiter
    cells = [read_cells(part.path, delimiter=delimiter, marks=marks).select(list(names)) for part in prepared.made]
    return pl.concat([pl.DataFrame(schema=dict.fromkeys(names, pl.String())), *cells])


def _spooled(prepared: Prepared, *, marks: bool = False) -> pl.DataFrame:
    """The cells that were sent, in the caller's order and under the caller's names; null for rows that were not."""
    import polars as pl

    names = {one.header: one.name for one in prepared.sent}
    sent = _cells(prepared, names, marks=marks).with_columns(_sent_rows(prepared).alias("sf__row"))
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

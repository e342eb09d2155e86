"""Every row of the caller's with its one answer: rows in = rejected + succeeded + failed + unprocessed + unknown."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import polars as pl

from sfframe.errors import SfframeError
from sfframe.facts import RESULT_COLUMNS
from sfframe.frames.kept import Rows
from sfframe.frames.verdict import VERDICT_SCHEMA


def accounted(
    rows: Rows, told: Iterable[pl.DataFrame], refused: pl.DataFrame, *, never_sent: str = ""
) -> Iterator[pl.DataFrame]:
    """The slices of ``rows``, each with the result columns beside its own.

    ``told`` are the verdicts of the parts (``PartVerdict.frame``), whose rows ascend where ``rows`` has several slices;
    ``refused`` (``rejected``) has the rows that were not to be sent. A row that is in neither was not reached, which is
    an error unless ``never_sent`` says why: then it is "unprocessed". So is a row that has two answers.
    """
    coming = iter(told)
    waiting = pl.DataFrame(schema=VERDICT_SCHEMA)
    for first, frame in rows.slices():
        stop = first + frame.height
        last = stop == rows.height
        gathered = [waiting]
        while last or not gathered[-1].height or (gathered[-1]["row"].item(-1) < stop):
            piece = next(coming, None)
            if piece is None:
                break
            gathered.append(piece.select(*VERDICT_SCHEMA))
        answers = pl.concat(gathered)
        waiting = answers.clear() if last else answers.filter(pl.col("row") >= stop)
        here = answers if last else answers.filter(pl.col("row") < stop)
        if refused.height:
            here = pl.concat([here, refused.filter(pl.col("row").is_between(first, stop, closed="left"))])
        yield frame.hstack(_in_place(here, first, frame.height, never_sent))


def _in_place(answers: pl.DataFrame, first: int, height: int, never_sent: str) -> pl.DataFrame:
    """One line per row from ``first`` on, with exactly the result columns."""
    numbers = pl.int_range(first, first + height, dtype=pl.Int64, eager=True)
    if answers.height == height:
        if not (answers["row"] == numbers).all():
            answers = answers[answers["row"].arg_sort()]
        if (answers["row"] == numbers).all():
            return answers.select(RESULT_COLUMNS)
    if not never_sent or answers["row"].n_unique() != answers.height:
        raise SfframeError(
            f"{answers.height:,} verdicts for {height:,} rows: a row has two answers, or none",
            where=f"rows from {first:,} on",
            remedy="Report this; the org's own answers are in the job's result files.",
        )
    whole = numbers.alias("row").to_frame().join(answers, on="row", how="left", maintain_order="left")
    silent = pl.col("sf__Status").is_null()
    return whole.with_columns(
        sf__Status=pl.col("sf__Status").fill_null("unprocessed"),
        sf__Error=pl.when(silent).then(pl.lit(never_sent)).otherwise("sf__Error"),
    ).select(RESULT_COLUMNS)

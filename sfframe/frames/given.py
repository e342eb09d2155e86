"""What an incremental read has given already: so that ties at its edge are neither lost nor given twice.

The rows of a span of time are read again and again, because some come late into it. Here stands, for each record of
that span, in which state it was given last: live with its stamp, or gone.
"""

from __future__ import annotations

import datetime as dt
import io
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

import polars as pl

from sfframe.errors import FrameError
from sfframe.frames.intake import take
from sfframe.schema.sobject import SObject

MOMENT = pl.Datetime("ms", "UTC")
DELETED = pl.Schema({"Id": pl.String(), "DeletedDate": MOMENT})
_GONE = pl.Schema({**DELETED, "moment": MOMENT})
_GIVEN = pl.Schema({"Id": pl.String(), "moment": MOMENT, "gone": pl.Boolean(), "hash": pl.UInt64()})


@dataclass(frozen=True, slots=True)
class News:
    """The part of an answer that is new: ``rows`` in the order of the answer, ``gone`` as a frame of Id, DeletedDate
    and moment; ``given`` is what to hand to the next ``news``.
    """

    rows: pl.DataFrame
    gone: pl.DataFrame
    given: pl.DataFrame


def nothing_given() -> pl.DataFrame:
    """The beginning."""
    return _GIVEN.to_frame()


@dataclass(frozen=True, slots=True)
class Edge:
    """Where times end: the next read begins at ``since``, and a second from ``settled`` on may not be over yet. The
    field ``stamp`` has the time of a row.
    """

    stamp: str
    since: dt.datetime
    settled: dt.datetime


def news(rows: pl.DataFrame, gone: pl.DataFrame, given: pl.DataFrame, edge: Edge) -> News:
    """What of ``rows`` (live) and ``gone`` differs from what was ``given`` last. A record in both is live: it was
    undeleted between the two questions.

    A row is known by its Id and its stamp. Where that was not settled when it was given, the record may have been
    changed again within the same second, so there the hash of all its cells decides.
    """
    live = given.filter(~pl.col("gone"))
    met = _live(rows.join(live, on="Id", how="semi"), edge.stamp).join(live, on="Id", suffix="_given")
    known = met.filter(
        pl.col("moment") == pl.col("moment_given"),
        pl.col("hash_given").is_null() | (pl.col("hash") == pl.col("hash_given")),
    )
    left = gone.join(rows, on="Id", how="anti", maintain_order="left")
    return News(
        rows.join(known, on="Id", how="anti", maintain_order="left") if known.height else rows,
        left.join(given.filter("gone"), on="Id", how="anti", maintain_order="left"),
        noted(given, rows, left, edge),
    )


def noted(given: pl.DataFrame, rows: pl.DataFrame, gone: pl.DataFrame, edge: Edge) -> pl.DataFrame:
    """``given`` as it is when ``rows`` and ``gone``, which share no record, have been given too."""
    recent = _live(rows.filter(pl.col(edge.stamp) >= edge.since), edge.stamp)
    unsettled = pl.when(pl.col("moment") >= edge.settled).then("hash").alias("hash")
    marks = gone.select("Id", "moment", pl.lit(value=True).alias("gone"), pl.lit(None, pl.UInt64).alias("hash"))
    earlier = given.join(rows, on="Id", how="anti").join(gone, on="Id", how="anti")
    return pl.concat([recent.with_columns(unsettled), marks, earlier]).filter(pl.col("moment") >= edge.since)


def _live(rows: pl.DataFrame, stamp: str) -> pl.DataFrame:
    moment = pl.col(stamp).cast(MOMENT).alias("moment")
    return rows.select("Id", moment, pl.lit(value=False).alias("gone"), rows.hash_rows().alias("hash"))


def packed(given: pl.DataFrame) -> bytes:
    """``given`` to be kept."""
    file = io.BytesIO()
    if given.height:
        given.sort("moment", "Id").write_parquet(file, compression="zstd")
    return file.getvalue()


def unpacked(kept: bytes, *, hashes: bool) -> pl.DataFrame:
    """What ``packed`` gave. Without ``hashes``, because another polars made them, the rows that need theirs count as
    not given: they come again rather than never. Raises FrameError for what it never gave.
    """
    if not kept:
        return nothing_given()
    try:
        given = pl.read_parquet(io.BytesIO(kept)).match_to_schema(_GIVEN)
    except pl.exceptions.PolarsError as problem:
        raise FrameError(
            "what was given already cannot be read", remedy="Read all anew: begin with another state."
        ) from problem
    return given if hashes else given.filter(pl.col("hash").is_null())


def consistent(given: pl.DataFrame, held: pl.Series) -> pl.DataFrame:
    """``given`` without what did not arrive: live records that are not ``held``, and gone ones that still are."""
    return given.filter(pl.col("gone") != pl.col("Id").is_in(held.implode()))


# -- records that are gone --------------------------------------------------------------------------------------------


def logged(records: Iterable[Mapping[str, object]]) -> pl.DataFrame:
    """The records of the org's log of deletes: each has ``id`` and ``deletedDate``."""
    texts = pl.DataFrame(list(records), schema={"id": pl.String, "deletedDate": pl.String})
    date = pl.col("deletedDate").str.to_datetime("%Y-%m-%dT%H:%M:%S%.f%z", time_unit="ms", time_zone="UTC")
    return texts.select(pl.col("id").alias("Id"), date.alias("DeletedDate"), date.alias("moment"))


def binned(rows: pl.DataFrame, stamp: str) -> pl.DataFrame:
    """Records of the recycle bin: their last change was the delete."""
    date = pl.col(stamp).cast(MOMENT)
    return rows.select("Id", date.alias("DeletedDate"), date.alias("moment"))


def undated(rows: pl.DataFrame, moment: pl.Expr) -> pl.DataFrame:
    """Records that are gone, but no date of a delete is known."""
    return rows.select("Id", pl.lit(None, MOMENT).alias("DeletedDate"), moment.cast(MOMENT).alias("moment"))


def all_gone(frames: Sequence[pl.DataFrame]) -> pl.DataFrame:
    """Each record once, with the latest date that any of the frames tells."""
    whole = pl.concat([_GONE.to_frame(), *frames])
    return whole.group_by("Id", maintain_order=True).agg(pl.col("DeletedDate", "moment").max())


# -- the caller's own -------------------------------------------------------------------------------------------------


def held_ids(held: object) -> pl.Series:
    """The Ids that the caller has: those of a frame's column Id, of a Series, or of a list.

    Raises FrameError where there is no such column, and for what is no Id of 18 characters.
    """
    if isinstance(held, pl.Series):
        ids = held
    elif isinstance(held, list | tuple | set | frozenset) and all(isinstance(one, str) for one in held):
        ids = pl.Series(sorted(held), dtype=pl.String)
    else:
        frame = take(held).frame
        if "Id" not in frame.columns:
            raise FrameError("it has no column Id", where="known", remedy="Give the frame that you keep, or its Ids.")
        ids = frame["Id"]
    ids = ids.cast(pl.String).drop_nulls().unique().alias("Id")
    if not ids.str.contains(r"^[0-9A-Za-z]{18}$").all():
        raise FrameError(
            "not everything in it is an Id of 18 characters",
            where="known",
            remedy="Give the Ids as the org gives them.",
        )
    return ids


def not_covered(columns: Iterable[str], sobject: SObject) -> list[str]:
    """The columns whose changes no stamp of the record tells: formulas, and fields of parents."""
    own = {name: sobject.field(name) for name in columns}
    return [name for name, field in own.items() if "." in name or (field is not None and field.calculated)]

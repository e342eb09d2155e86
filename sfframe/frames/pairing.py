"""Two frames of the same columns, in any order -> which rows are equal, one to one."""

from __future__ import annotations

import polars as pl

WORD_BITS = 64  # of a hash; the lower ones make room for a row's number
PAIRS = pl.Schema({"left": pl.Int64(), "right": pl.Int64()})


def pair_rows(left: pl.DataFrame, right: pl.DataFrame, *, hash_bits: int = WORD_BITS) -> pl.DataFrame:
    """Pairs equal rows as multisets: the k-th copy of a row with its k-th copy on the other side.

    Gives ``left`` and ``right``, row numbers from 0; rows without a partner are not there. Null equals null. Rows are
    found by a hash of their cells, and every pair is then compared cell by cell: where a hash lied, its rows are paired
    again by the cells themselves. Fewer ``hash_bits`` make more such work, on purpose.
    """
    if not left.height or not right.height:
        return pl.DataFrame(schema=PAIRS)
    left, right = left.rechunk(), right.rechunk()  # taking rows out of many chunks is four times as slow
    row_bits = max(left.height, right.height).bit_length()
    hash_bits = min(hash_bits, WORD_BITS - row_bits)
    one, other = _by_hash(left, hash_bits, row_bits), _by_hash(right, hash_bits, row_bits)
    pairs = _zipped(one, other) if one["hash"].equals(other["hash"]) else _counted_off(one, other, row_bits)
    same = _equal(left, right, pairs)
    if not same.all():
        lied = pl.col("hash").is_in(pairs.filter(~same)["hash"].unique().implode())
        lefts, rights = one.filter(lied)["row"], other.filter(lied)["row"]
        exact = _pair_cells(left[lefts], right[rights])
        again = pl.DataFrame({"left": lefts[exact["left"]], "right": rights[exact["right"]]}, schema=PAIRS)
        return pl.concat([pairs.filter(~lied).select("left", "right").cast(PAIRS), again])
    return pairs.select("left", "right").cast(PAIRS)


def _by_hash(frame: pl.DataFrame, hash_bits: int, row_bits: int) -> pl.DataFrame:
    """The rows in the order of their ``hash``; both are sorted as one number, which takes a fifth of the time."""
    hashes = frame.hash_rows(seed=0) % (1 << hash_bits)
    packed = hashes * (1 << row_bits) + pl.int_range(frame.height, dtype=pl.UInt64, eager=True)
    return (
        packed.sort().to_frame("key").select(hash=pl.col("key") // (1 << row_bits), row=pl.col("key") % (1 << row_bits))
    )


def _zipped(one: pl.DataFrame, other: pl.DataFrame) -> pl.DataFrame:
    """The pairs of two sides that have the same hashes, which is the usual case: no row is without its partner."""
    found = pl.DataFrame({"right": other["row"], "hash": one["hash"]})
    return found.select(pl.all().gather(_inverse(one["row"]))).with_row_index("left")


def _inverse(order: pl.Series) -> pl.Series:
    """Where each of 0, 1, 2 ... stands in ``order``."""
    numbers = pl.int_range(len(order), dtype=pl.UInt32, eager=True)
    return numbers.clone().scatter(order, numbers)


def _counted_off(one: pl.DataFrame, other: pl.DataFrame, row_bits: int) -> pl.DataFrame:
    """The pairs where rows may be missing on either side: equal hashes are counted, and joined with their number."""
    number = pl.int_range(pl.len(), dtype=pl.UInt64)
    begun = pl.when(pl.col("hash") != pl.col("hash").shift()).then(number).forward_fill().fill_null(0)
    sides = [
        side.select("hash", pl.col("row").alias(name), key=pl.col("hash") * (1 << row_bits) + number - begun)
        for side, name in ((one, "left"), (other, "right"))
    ]
    return sides[0].join(sides[1].drop("hash"), on="key")


def _equal(left: pl.DataFrame, right: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    """Whether all cells of each pair are equal."""
    here = left if pairs.height == left.height and pairs["left"].is_sorted() else left[pairs["left"]]
    there = right[pairs["right"]].select(pl.all().name.suffix(" "))  # no Salesforce name has a blank
    same = (pl.col(name).eq_missing(pl.col(f"{name} ")) for name in left.columns)
    return here.hstack(there).select(same=pl.all_horizontal(same)).to_series()


def _pair_cells(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """The same by the cells alone; slow, and needed for the rows of a lying hash only."""
    cells = left.columns
    sides = [
        frame.with_row_index(name).with_columns(pl.int_range(pl.len()).over(cells).alias("copy "))
        for frame, name in ((left, "left "), (right, "right "))
    ]
    pairs = sides[0].join(sides[1], on=[*cells, "copy "], nulls_equal=True)
    return pairs.select(pl.col("left ").alias("left"), pl.col("right ").alias("right"))

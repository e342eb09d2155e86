"""Two frames of the same columns, in any order -> which rows are equal, one to one."""

from __future__ import annotations

import polars as pl

COPIES = 1 << 26  # more rows than an upload has, even at two bytes a row (100 MB, bulk2.md 2.4)
HASH_BITS = 38  # what is left of 64
PAIRS = pl.Schema({"left": pl.Int64(), "right": pl.Int64()})


def pair_rows(left: pl.DataFrame, right: pl.DataFrame, *, hash_bits: int = HASH_BITS) -> pl.DataFrame:
    """Pairs equal rows as multisets: the k-th copy of a row with its k-th copy on the other side.

    Gives ``left`` and ``right``, row numbers from 0; rows without a partner are not there. Null equals null. Rows are
    found by a hash of their cells, and every pair is then compared cell by cell: where a hash lied, its rows are paired
    again by the cells themselves. Fewer ``hash_bits`` make more such work, on purpose.
    """
    if not left.height or not right.height:
        return pl.DataFrame(schema=PAIRS)
    left, right = left.rechunk(), right.rechunk()  # taking rows out of many chunks is four times as slow
    one, other = _numbered(left, "left", hash_bits), _numbered(right, "right", hash_bits)
    found = one.join(other, on="key", how="left", maintain_order="left")
    pairs = found.filter(pl.col("right").is_not_null()) if found["right"].null_count() else found
    same = _equal(left, right, pairs)
    if not same.all():
        lying = (pairs.filter(~same)["key"] // COPIES).unique().implode()
        suspects = (pl.col("key") // COPIES).is_in(lying)
        lefts, rights = one.filter(suspects)["left"], other.filter(suspects)["right"]
        exact = _pair_cells(left[lefts], right[rights])
        again = pl.DataFrame({"left": lefts[exact["left"]], "right": rights[exact["right"]]})
        pairs = pl.concat([pairs.filter(~suspects).select("left", "right"), again])
    return pairs.select(pl.col("left", "right").cast(pl.Int64))


def _numbered(frame: pl.DataFrame, name: str, hash_bits: int) -> pl.DataFrame:
    """The row number under ``name``, and a ``key`` that no two rows share: hash, and how many such were before."""
    hashes = frame.hash_rows(seed=0) & ((1 << hash_bits) - 1)
    keys = hashes * COPIES
    if hashes.n_unique() < frame.height:
        rows = hashes.is_duplicated().arg_true()
        copies = (
            keys.gather(rows)
            .to_frame("key")
            .select(pl.col("key") + pl.int_range(pl.len(), dtype=pl.UInt64).over("key"))
        )
        keys = keys.scatter(rows, copies["key"])
    return pl.DataFrame({"key": keys}).with_row_index(name)


def _equal(left: pl.DataFrame, right: pl.DataFrame, pairs: pl.DataFrame) -> pl.Series:
    """Whether all cells of each pair are equal. The pairs are in the order of ``left``, which spares one half of it."""
    here = left if pairs.height == left.height else left[pairs["left"]]
    there = right[pairs["right"]]
    same = [here[name].eq_missing(there[name]) for name in left.columns]
    return pl.select(same=pl.all_horizontal(same)).to_series()


def _pair_cells(left: pl.DataFrame, right: pl.DataFrame) -> pl.DataFrame:
    """The same by the cells alone; slow, and needed for the rows of a lying hash only."""
    cells = left.columns
    sides = [
        frame.with_row_index(name).with_columns(pl.int_range(pl.len()).over(cells).alias("copy "))
        for frame, name in ((left, "left "), (right, "right "))
    ]
    # No Salesforce name has a blank, so these three cannot meet a cell's name.
    pairs = sides[0].join(sides[1], on=[*cells, "copy "], nulls_equal=True)
    return pairs.select(pl.col("left ").alias("left"), pl.col("right ").alias("right"))

"""The rows that write.py loads, and the describe of the objects that take them.

    python -m tests.benchmarks.write_rows 1000000 rows.parquet

``Plain__c`` has no key, so that its answers find their rows by content; ``Keyed__c`` has the same fields, and its code
is an external id.
"""

from __future__ import annotations

import sys
from typing import Any

import polars as pl

STAGES = ("Prospecting", "Closed Won", "Closed Lost", "On hold")
OBJECTS = ("Plain__c", "Keyed__c")
KEY = "Code__c"
NULLS = 15  # of a hundred cells, in the columns that have any
_STAGES = [{"value": one, "label": one, "active": True} for one in STAGES]
FIELDS: list[dict[str, Any]] = [
    {"name": "Name", "type": "string", "length": 80, "nillable": False},
    {"name": "Code__c", "type": "string", "length": 20},
    {"name": "Remark__c", "type": "textarea", "length": 1000},
    {"name": "Stage__c", "type": "picklist", "length": 40, "restrictedPicklist": True, "picklistValues": _STAGES},
    {"name": "Account__c", "type": "reference", "length": 18, "referenceTo": ["Account"]},
    {"name": "Mail__c", "type": "email", "length": 80},
    {"name": "Amount__c", "type": "currency", "precision": 18, "scale": 2},
    {"name": "Rate__c", "type": "double", "precision": 9, "scale": 4},
    {"name": "Count__c", "type": "int", "digits": 9},
    {"name": "Active__c", "type": "boolean", "nillable": False},
    {"name": "Day__c", "type": "date"},
    {"name": "Moment__c", "type": "datetime"},
]
NAMES = [field["name"] for field in FIELDS]


def described(sobject: str) -> dict[str, Any]:
    """The describe of one of the two objects."""
    keyed = sobject == "Keyed__c"
    usual = {"createable": True, "updateable": True, "nillable": True, "defaultedOnCreate": False}
    key = {"externalId": True, "unique": True, "idLookup": True}
    fields = [{**usual, "label": one["name"], **one, **(key if keyed and one["name"] == KEY else {})} for one in FIELDS]
    allowed = {"createable": True, "updateable": True, "deletable": True, "queryable": True}
    return {"name": sobject, "label": sobject, "keyPrefix": "a00", "custom": True, **allowed, "fields": fields}


def record_id(code: pl.Expr) -> pl.Expr:
    """The id that the canned org gives to the row of a code, so that each answer can be held against its row."""
    return "a00" + code.str.slice(1) + "AAA"


def rows(count: int, first: int = 0) -> pl.DataFrame:
    """Twelve columns, no two rows alike."""
    n = pl.col("n")

    def mixed(seed: int) -> pl.Expr:
        return n.hash(seed)

    def some(values: pl.Expr, seed: int) -> pl.Expr:
        return pl.when(mixed(seed) % 100 >= NULLS).then(values)

    number = pl.int_range(first, first + count, eager=True).alias("n").to_frame()
    stages = pl.lit(pl.Series(STAGES)).gather((mixed(1) % len(STAGES)).cast(pl.UInt32))
    moment = pl.datetime(2020, 1, 1, time_unit="us", time_zone="UTC") + pl.duration(milliseconds=mixed(2) % 10**11)
    return number.select(
        Name='Müller, "Sons" & Co ' + n.cast(pl.String),
        Code__c="K" + n.cast(pl.String).str.zfill(12),
        Remark__c=some("a longer text, with\na line break and number " + n.cast(pl.String), 11),
        Stage__c=some(stages, 12),
        Account__c=some("001AC" + (mixed(3) % 1000).cast(pl.String).str.zfill(10) + "AAA", 13),
        Mail__c=some("person" + n.cast(pl.String) + "@example.org", 14),
        Amount__c=some(((mixed(4) % (2 * 10**9)) / 100).round(2), 15),
        Rate__c=some(((mixed(5) % 10**8) / 10**4).round(4), 16),
        Count__c=some((mixed(6) % 10**6).cast(pl.Int64), 17),
        Active__c=mixed(7) % 3 == 0,
        Day__c=some(pl.date(2020, 1, 1) + pl.duration(days=mixed(8) % 3000), 18),
        Moment__c=some(moment, 19),
    )


def main() -> None:
    """Write the rows to a Parquet file, in pieces so that any number fits in memory."""
    import pyarrow.parquet as pq

    wanted, piece = int(sys.argv[1]), 250_000
    writer = None
    for first in range(0, wanted, piece):
        table = rows(min(piece, wanted - first), first).to_arrow(compat_level=pl.CompatLevel.oldest())
        writer = writer or pq.ParquetWriter(sys.argv[2], table.schema)
        writer.write_table(table)
    if writer:
        writer.close()


if __name__ == "__main__":
    main()

"""What a careful user of read_changes does: stores the changes, then commits."""

from __future__ import annotations

import datetime as dt

import polars as pl

import sfframe as sf
from tests.clocked_org import NOON

COLUMNS = ["Name", "Rating"]
NEXT = NOON.replace(second=0) - dt.timedelta(minutes=10)  # where a read behind one at noon begins


def changes(clocked, since=None, **options):
    return sf.read_changes("Account", since=since, columns=COLUMNS, org=clocked.connection, **options)


def names(read):
    return sorted(read.rows["Name"])


def gone(read):
    return sorted(read.deleted["Id"])


class Mirror:
    """What a careful user does: stores the changes, then commits."""

    def __init__(self, clocked, state, **options):
        self.clocked = clocked
        self.state = state
        self.options = options
        stamp = pl.Datetime("ms", "UTC")
        self.stored = pl.DataFrame(
            schema={"Id": pl.String, **dict.fromkeys(COLUMNS, pl.String), "SystemModstamp": stamp}
        )
        self.all_committed = True
        self.told: set[str] = set()  # which records are gone

    def read(self):
        return changes(self.clocked, state=self.state, **self.options)

    def take(self, *, store=True, commit=True):
        read = self.read()
        if self.all_committed:
            again = read.rows.join(self.stored, on=self.stored.columns, how="semi", nulls_equal=True)
            assert again.rows() == [], "given twice"
        if not self.options:  # a record that does not meet the condition may change, and is told to be gone then
            assert self.told.isdisjoint(read.deleted["Id"]), "told twice"
        if store:
            self.stored = read.applied_to(self.stored)
        if commit:
            read.commit()
            self.told = self.told.union(read.deleted["Id"]).difference(read.rows["Id"])
        self.all_committed = commit
        return read

    def records(self):
        return {record_id: (name, rating) for record_id, name, rating, _ in self.stored.iter_rows()}

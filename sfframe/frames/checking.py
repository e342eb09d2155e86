"""Columns matched and values checked; a describe that may be out of date is asked anew before it refuses."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.errors import ContractError
from sfframe.facts import Operation
from sfframe.frames.casting import cast_column
from sfframe.frames.columns import match_columns
from sfframe.frames.contract import Checked, Nulls, check
from sfframe.frames.intake import Taken
from sfframe.schema.sobject import SObject

# What a describe that is out of date may get wrong (architecture.md 4.11): it is asked once more before these stand.
_PERHAPS_STALE = frozenset({"unknown_column", "unknown_parent", "picklist", "not_createable", "not_updateable"})


class Describe(Protocol):
    """Where describes come from: an ``Org``, or a test's own."""

    def describe(self, sobject: str, *, fresh: bool = False) -> SObject:
        """The object of that name; ``fresh`` asks anew."""
        ...


@dataclass(slots=True)
class Checker:
    """One load's columns and rows against its object; for a whole frame, or batch by batch.

    The options are those of ``match_columns`` and ``check``. ``sent`` are the columns to send, after ``match``.
    """

    sobject: str
    source: Describe
    operation: Operation
    external_id_field: str | None = None
    columns: Mapping[str, str | None] | None = None
    nulls: Nulls | Mapping[str, Nulls] | None = None
    timezone: str | None = None
    from_csv: bool = False
    sent: tuple[SentColumn, ...] = ()
    _described: SObject | None = None
    _asked_anew: bool = False

    def match(self, names: Sequence[str]) -> tuple[SentColumn, ...]:
        """Which columns are sent; raises ``ContractError`` for those that cannot be, and for those that are missing."""
        try:
            self.sent = self._matched(names)
        except ContractError as refused:
            rules = set() if refused.failures is None else set(refused.failures["rule"].unique())
            if not self._other_describe(rules):
                raise
            self.sent = self._matched(names)
        return self.sent

    @property
    def key(self) -> SentColumn | None:
        """The column that finds the records: of an upsert its external id, else Id; None on insert."""
        name = {"upsert": self.external_id_field, "insert": None}.get(self.operation, "Id")
        return next((one for one in self.sent if name and one.header.casefold() == name.casefold()), None)

    def typed_keys(self, frame: pl.DataFrame) -> pl.Series | None:
        """The keys of some rows in the type of their field; None on insert."""
        if self.key is None:
            return None
        cast = cast_column(self.key, frame[self.key.name], timezone=self.timezone, from_csv=self.from_csv)
        return frame.select(cast.typed.alias("key"))["key"]

    def check(self, frame: pl.DataFrame, *, first: int = 0, twins: pl.DataFrame | None = None) -> Checked:
        """What may be sent of ``frame``, whose rows are counted from ``first`` on; refused cells are in ``failures``.

        ``twins`` are the failures of keys that occur twice in all rows, where ``frame`` is not all of them.
        """
        if twins is not None:
            inside = pl.col("row").is_between(first, first + frame.height, closed="left")
            twins = twins.filter(inside).with_columns(pl.col("row") - first)
        checked = self._checked(frame, twins)
        if self._other_describe(set(checked.failures["rule"].unique())):
            self.match(frame.columns)
            checked = self._checked(frame, twins)
        if not first:
            return checked
        moved = checked.failures.with_columns(pl.col("row") + first)
        return replace(checked, rows=checked.rows + first, failures=moved)

    def _object(self) -> SObject:
        if self._described is None:
            self._described = self.source.describe(self.sobject)
        return self._described

    def _other_describe(self, rules: Collection[str]) -> bool:
        """True where these refusals may come from a describe that was out of date, and a fresh one differs."""
        if self._asked_anew or not set(rules) & _PERHAPS_STALE:
            return False
        before, self._asked_anew = self._object(), True
        self._described = self.source.describe(self.sobject, fresh=True)
        return self._described != before

    def _matched(self, names: Sequence[str]) -> tuple[SentColumn, ...]:
        return match_columns(
            names,
            self._object(),
            operation=self.operation,
            external_id_field=self.external_id_field,
            columns=self.columns,
            describe=self.source.describe,
        )

    def _checked(self, frame: pl.DataFrame, twins: pl.DataFrame | None) -> Checked:
        return check(
            frame,
            self.sent,
            self._object(),
            operation=self.operation,
            external_id_field=self.external_id_field,
            nulls=self.nulls,
            timezone=self.timezone,
            from_csv=self.from_csv,
            twins=twins,
        )


def matched_and_checked(
    taken: Taken,
    sobject: str,
    source: Describe,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    nulls: Nulls | Mapping[str, Nulls] | None = None,
    timezone: str | None = None,
) -> tuple[tuple[SentColumn, ...], Checked]:
    """The columns to send and what of their rows may be sent, of a whole frame; ``Checker`` in one step."""
    checker = Checker(sobject, source, operation, external_id_field, columns, nulls, timezone, from_csv=taken.from_csv)
    checker.match(taken.frame.columns)
    checked = checker.check(taken.frame)
    return checker.sent, checked

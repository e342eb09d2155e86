"""Columns matched and values checked; a describe that may be out of date is asked anew before it refuses."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Protocol

from sfframe.codec.layout import SentColumn
from sfframe.errors import ContractError
from sfframe.facts import Operation
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
    """The columns to send and what of their rows may be sent; the options are those of ``match_columns`` and ``check``.

    Raises ``ContractError`` for columns that cannot be sent or are missing; refused cells are data, in ``failures``.
    """

    def by(described: SObject) -> tuple[tuple[SentColumn, ...], Checked]:
        sent = match_columns(
            taken.frame.columns,
            described,
            operation=operation,
            external_id_field=external_id_field,
            columns=columns,
            describe=source.describe,
        )
        return sent, check(
            taken.frame,
            sent,
            described,
            operation=operation,
            external_id_field=external_id_field,
            nulls=nulls,
            timezone=timezone,
            from_csv=taken.from_csv,
        )

    described = source.describe(sobject)
    try:
        sent, checked = by(described)
        doubts = set(checked.failures["rule"].unique()) & _PERHAPS_STALE
    except ContractError as refused:
        rules = set() if refused.failures is None else set(refused.failures["rule"].unique())
        again = source.describe(sobject, fresh=True) if rules & _PERHAPS_STALE else described
        if again == described:
            raise
        return by(again)
    if doubts and (again := source.describe(sobject, fresh=True)) != described:
        return by(again)
    return sent, checked

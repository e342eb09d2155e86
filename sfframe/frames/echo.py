"""What the org gave back as text -> the types of the describe, where a column is a field and all its values fit."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import polars as pl

from sfframe.codec.types import rule_for
from sfframe.errors import NotFound
from sfframe.schema.sobject import Field, SObject

Describe = Callable[[str], SObject]


def typed_echo(text: pl.DataFrame, sobject: SObject, describe: Describe) -> pl.DataFrame:
    """``text`` with each column in its field's type. Null stays null, and nothing is lost.

    A column stays text where it is no field that this user can see, and where one of its values does not fit: failed
    rows come back as they were sent (bulk2.md 2.10). ``describe`` is asked for the parents of ``Owner.Name`` only.
    """
    columns = []
    for name in text.columns:
        field = None if name.startswith("sf__") else _field(name, sobject, describe)
        before = text[name]
        if field is not None and before.dtype == pl.String:
            after = text.select(rule_for(field.type).read(pl.col(name)).alias(name)).to_series()
            before = after if after.null_count() == before.null_count() else before
        columns.append(before)
    return pl.DataFrame(columns)


def _field(name: str, sobject: SObject, describe: Describe) -> Field | None:
    """The field that a header names: ``Name``, ``Owner.Name``, ``User:Owner.Username`` (bulk2.md 3.5, 4.8)."""
    path, _, last = name.rpartition(".")
    kind, _, relations = path.rpartition(":")
    objects: Iterator[SObject] = iter((sobject,))
    for relation in relations.split(".") if relations else ():
        reference = next((found for one in objects if (found := one.relationship(relation))), None)
        if reference is None:
            return None
        objects = _parents((kind,) if kind else reference.reference_to, describe)
    return next((found for one in objects if (found := one.field(last))), None)


def _parents(names: tuple[str, ...], describe: Describe) -> Iterator[SObject]:
    for name in names:
        try:
            yield describe(name)
        except NotFound:
            continue

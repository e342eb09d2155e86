"""The columns of a file that goes out, and the columns of an answer that comes back."""

from __future__ import annotations

from dataclasses import dataclass

import polars as pl

from sfframe.schema.sobject import Field


@dataclass(frozen=True, slots=True)
class SentColumn:
    """One column of an upload.

    ``name`` is the caller's own name, ``header`` what the file says. ``field`` types the values: of a relationship
    column (``Account.Ext_Id__c``) it is the parent's key field, and ``relationship`` is the reference field
    (``AccountId``) that the org fills from it; elsewhere ``relationship`` is None.
    """

    name: str
    header: str
    field: Field
    relationship: Field | None = None


@dataclass(frozen=True, slots=True)
class ShapeColumn:
    """One column of a query's answer.

    ``name`` is the column of the frame (``Account.Name``), ``keys`` the way to the value in a JSON record
    (("Account", "Name")). ``type`` is the describe's field type. ``field`` is None, and ``stored`` False, where the
    value is worked out by the org: aggregates, date functions, formatted text.

    Some types are not the describe's. ``children`` is a sub-query: a list of structs, one for each child record.
    ``branches`` is a TYPEOF: a struct, null where no branch fits. Both have their members in ``parts``, whose keys
    start at the child or parent record. A part of a TYPEOF may stand ``only_for`` records of one object;
    ``object_type`` is the type of the part that names that object.
    """

    name: str
    keys: tuple[str, ...]
    type: str
    dtype: pl.DataType
    field: Field | None = None
    parts: tuple[ShapeColumn, ...] = ()
    only_for: str = ""

    @property
    def stored(self) -> bool:
        """True where the value is a stored field, so that its precision and scale say what it can hold."""
        return self.field is not None and not self.field.calculated


@dataclass(frozen=True, slots=True)
class Shape:
    """The columns of a query's answer, in SELECT order.

    ``count_only`` marks ``SELECT COUNT()``: one row, one Int64 column ``count``, and no records in the answer.
    """

    columns: tuple[ShapeColumn, ...]
    count_only: bool = False

    @property
    def names(self) -> list[str]:
        """The columns of the frame, in order."""
        return [column.name for column in self.columns]

    @property
    def schema(self) -> pl.Schema:
        """Names and types of the frame when no option changes them."""
        return pl.Schema({column.name: column.dtype for column in self.columns})

"""Description: what the org says of an object, as frames."""

from __future__ import annotations

import html
from collections.abc import Sequence
from dataclasses import dataclass, fields
from typing import Any

import polars as pl

from sfframe.codec.types import COMPOUNDS, rule_for
from sfframe.schema import ChildRelationship, Field, PicklistValue, RecordType, SObject

_SHOWN = 12  # fields in a repr
_FIRST = ("name", "label", "type", "dtype", "required")


@dataclass(frozen=True, slots=True, repr=False)
class Description:
    """One object of the org. ``sobject`` is the same as plain data; the frames are made when they are asked for."""

    sobject: SObject

    @property
    def name(self) -> str:
        """The API name."""
        return self.sobject.name

    @property
    def label(self) -> str:
        """What people call it."""
        return self.sobject.label

    @property
    def key_prefix(self) -> str | None:
        """The first three characters of its ids; None for objects without ids of their own."""
        return self.sobject.key_prefix

    def field(self, name: str) -> Field | None:
        """The field of that name, whatever its case; None when there is none."""
        return self.sobject.field(name)

    @property
    def fields(self) -> pl.DataFrame:
        """One row for each field, in the org's order, with the words of the describe (rest.md 6.4).

        ``required`` is true where an insert must name a value; ``dtype`` is how ``read_soql`` gives it. Picklist values
        have a frame of their own.
        """
        own = [one for one in fields(Field) if one.name != "picklist_values"]
        types = {one.name: _DTYPES[str(one.type)] for one in own}
        rows = [{one.name: getattr(field, one.name) for one in own} for field in self.sobject]
        return (
            pl.DataFrame([{**row, "reference_to": list(row["reference_to"])} for row in rows], schema=types)
            .with_columns(
                pl.Series("required", [one.required_on_create for one in self.sobject], pl.Boolean),
                pl.Series("dtype", [_read_as(one) for one in self.sobject], pl.String),
            )
            .select(
                "name", "label", "type", "dtype", "required", pl.exclude("name", "label", "type", "dtype", "required")
            )
        )

    @property
    def picklists(self) -> pl.DataFrame:
        """One row for each value of each picklist: field, restricted, value, label, active, default."""
        rows = [
            {"field": field.name, "restricted": field.restricted_picklist, **_row(value)}
            for field in self.sobject
            for value in field.picklist_values
        ]
        return pl.DataFrame(rows, schema={"field": pl.String, "restricted": pl.Boolean, **_schema(PicklistValue)})

    @property
    def child_relationships(self) -> pl.DataFrame:
        """One row for each object and field that refer to this one; ``name`` is what a sub-query calls the children."""
        return _frame(ChildRelationship, self.sobject.child_relationships)

    @property
    def record_types(self) -> pl.DataFrame:
        """One row for each record type, the master one included."""
        return _frame(RecordType, self.sobject.record_types)

    def _heading(self) -> str:
        one = self.sobject
        own = sum(field.custom for field in one)
        may = [
            word
            for word, allowed in (
                ("query", one.queryable),
                ("create", one.createable),
                ("update", one.updateable),
                ("delete", one.deletable),
            )
            if allowed
        ]
        custom = f", {own} of them custom" if own else ""
        children = sum(child.name is not None for child in one.child_relationships)
        return (
            f"{one.name} ({one.label}), key prefix {one.key_prefix or 'none'}: {len(one.fields)} fields{custom}, "
            f"{children} child relationships; this user may {', '.join(may) or 'not use it'}"
        )

    def _lines(self) -> list[tuple[str, str, str]]:
        """Name, type and what to know of each field."""
        return [(one.name, _type(one), _notes(one)) for one in self.sobject]

    def __repr__(self) -> str:
        lines = self._lines()
        widths = [max((len(line[at]) for line in lines[:_SHOWN]), default=0) for at in (0, 1)]
        shown = [
            f"  {name:<{widths[0]}}  {kind:<{widths[1]}}  {notes}".rstrip() for name, kind, notes in lines[:_SHOWN]
        ]
        more = [f"  … and {len(lines) - _SHOWN} more: .fields has all"] if len(lines) > _SHOWN else []
        return "\n".join([self._heading(), *shown, *more])

    def _repr_html_(self) -> str:
        rows = "".join(
            f"<tr>{''.join(f'<td>{html.escape(cell)}</td>' for cell in line)}</tr>" for line in self._lines()
        )
        head = "".join(f"<th>{word}</th>" for word in ("field", "type", "notes"))
        return (
            f"<p>{html.escape(self._heading())}</p><div style='max-height:24em;overflow:auto'>"
            f"<table><thead><tr>{head}</tr></thead><tbody>{rows}</tbody></table></div>"
        )


_DTYPES: dict[str, pl.DataType] = {
    "str": pl.String(),
    "str | None": pl.String(),
    "int": pl.Int64(),
    "bool": pl.Boolean(),
    "tuple[str, ...]": pl.List(pl.String),
}


def _schema(record: type[Any]) -> dict[str, pl.DataType]:
    return {one.name: _DTYPES[str(one.type)] for one in fields(record)}


def _row(record: PicklistValue | ChildRelationship | RecordType) -> dict[str, object]:
    return {one.name: getattr(record, one.name) for one in fields(record)}


def _frame(record: type[Any], rows: Sequence[ChildRelationship | RecordType]) -> pl.DataFrame:
    return pl.DataFrame([_row(one) for one in rows], schema=_schema(record))


def _read_as(field: Field) -> str:
    rule = rule_for(field.type)
    if rule.kind == "binary":
        return str(pl.String())  # a query answers where the bytes can be had
    return "Struct" if field.type in COMPOUNDS else str(rule.dtype)


def _type(field: Field) -> str:
    if field.precision and rule_for(field.type).kind == "number":
        return f"{field.type}({field.precision},{field.scale})"
    if field.reference_to:
        return f"{field.type} to {' or '.join(field.reference_to[:2])}{' …' if len(field.reference_to) > 2 else ''}"
    return f"{field.type}({field.length})" if field.length and rule_for(field.type).kind == "text" else field.type


def _notes(field: Field) -> str:
    known = (
        ("required", field.required_on_create),
        ("external id", field.external_id),
        ("unique", field.unique),
        ("formula", field.calculated),
        ("auto number", field.auto_number),
        (f"{len(field.picklist_values)} values", bool(field.picklist_values)),
        ("read only", not (field.createable or field.updateable)),
    )
    return ", ".join(word for word, true in known if true)

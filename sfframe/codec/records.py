"""A part of the spool -> the body of one collections call (rest.md 8.5). Built by expressions, not record by record."""

from __future__ import annotations

import io
import json
from collections.abc import Sequence

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.codec.types import BOOLEAN, INT, NUMBER, rule_for
from sfframe.errors import DecodeError, IncompleteAnswer, UsageError
from sfframe.facts import DELIMITERS, NULL_MARK, Delimiter, Operation
from sfframe.schema.sobject import Field
from sfframe.spool import Part

# What JSON cannot have in a text as it is (RFC 8259, 7); all other characters go out in UTF-8.
_ESCAPES = {chr(code): f"\\u{code:04x}" for code in range(0x20)}
_ESCAPES |= {'"': '\\"', "\\": "\\\\", "\n": "\\n", "\r": "\\r", "\t": "\\t"}
_NUMBER = r"^-?(0|[1-9][0-9]*)(\.[0-9]+)?([eE][+-]?[0-9]+)?$"  # RFC 8259, 6


def body(
    part: Part,
    sent: Sequence[SentColumn],
    *,
    sobject: str,
    operation: Operation,
    external_id_field: str | None = None,
    all_or_none: bool = False,
    delimiter: Delimiter = "COMMA",
) -> bytes:
    """The JSON that carries the part's rows, in their order; of a delete, the ids with commas in between.

    A cell that is empty is left out of its record, which leaves the field alone; ``#N/A`` becomes null, which clears
    it. Numbers and booleans become JSON's own, with the digits of their texts; a text that is neither goes out as text,
    and the org judges it. A parent named by a key (``Account.Ext__c``, ``User:Owner.Username``) becomes an object, and
    where it is to be cleared, its reference field null. A row of an upsert by Id that has none says null, as recorded
    (rest.md 8.5): the org creates it.

    Raises ``IncompleteAnswer`` when the file has not the part's rows, ``DecodeError`` when it is no CSV, and
    ``UsageError`` for a row of a delete that has no Id.
    """
    cells = _cells(part, delimiter)
    if operation in ("delete", "hardDelete"):
        return _ids(cells, part)
    creates_without_id = operation == "upsert" and (external_id_field or "").casefold() == "id"
    members = [pl.lit(f'{{"attributes":{{"type":{json.dumps(sobject)}}}')]
    for one in sent:
        member = _member(one)
        if creates_without_id and one.header.casefold() == "id":
            member = member.fill_null('"Id":null')
        members.append(member)
    record = pl.concat_str(members, separator=",", ignore_nulls=True) + "}"
    records = cells.select(record.str.join(",")).item()
    return f'{{"allOrNone":{"true" if all_or_none else "false"},"records":[{records}]}}'.encode()


def _cells(part: Part, delimiter: Delimiter) -> pl.DataFrame:
    """The part as text. Unlike an answer's file it tells an empty cell from ``#N/A``."""
    where = f"part {part.number} ({part.path.name})"
    try:
        cells = pl.read_csv(
            io.BytesIO(part.path.read_bytes()), separator=DELIMITERS[delimiter], infer_schema=False, null_values=[""]
        )
    except pl.exceptions.PolarsError as error:
        remedy = "The spool was changed: load the rows again."
        raise DecodeError(f"the file is no CSV: {error}", where=where, remedy=remedy) from error
    if cells.height != part.rows:
        raise IncompleteAnswer(
            f"it has {cells.height:,} records, and {part.rows:,} were written",
            where=where,
            remedy="The spool was changed or another delimiter is meant; nothing of this part was sent.",
        )
    return cells


def _ids(cells: pl.DataFrame, part: Part) -> bytes:
    ids = cells["Id"]
    missing = (ids.is_null() | (ids == NULL_MARK)).sum()
    if missing:
        raise UsageError(
            f"{missing:,} rows to delete have no Id",
            where=f"part {part.number} ({part.path.name})",
            remedy="Leave them out; nothing of this part was sent.",
        )
    return ",".join(ids.to_list()).encode()


def _member(one: SentColumn) -> pl.Expr:
    """One column as members of the records: ``"Name":"Acme"``; null where the cell is empty."""
    text = pl.col(one.header)
    name, before, after = one.header, "", ""
    if one.relationship is not None:
        # The kind must come before the key (recorded, rest.md 12: "Nested object for polymorphic foreign key ...").
        path, _, key = one.header.rpartition(".")
        kind, _, relation = path.rpartition(":")
        attributes = f'"attributes":{{"type":{json.dumps(kind)}}},' if kind else ""
        name, before, after = relation, f"{{{attributes}{json.dumps(key)}:", "}"
    cleared = json.dumps(one.relationship.name if one.relationship is not None else name)
    value = pl.lit(f"{json.dumps(name)}:{before}") + _value(text, one.field) + pl.lit(after)
    return pl.when(text == NULL_MARK).then(pl.lit(f"{cleared}:null")).otherwise(value)


def _value(text: pl.Expr, field: Field) -> pl.Expr:
    """The cell's text as a JSON value."""
    quoted = pl.lit('"') + text.str.replace_many(_ESCAPES) + pl.lit('"')
    rule = rule_for(field.type)
    if rule is INT or rule is NUMBER:
        return pl.when(text.str.contains(_NUMBER)).then(text).otherwise(quoted)
    if rule is BOOLEAN:
        return pl.coalesce(rule.read(text).cast(pl.String), quoted)
    return quoted

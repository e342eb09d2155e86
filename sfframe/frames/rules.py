"""What the describe says about single values, as named rules over typed columns."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import polars as pl

from sfframe.codec.layout import SentColumn
from sfframe.codec.types import has_scale, rule_for
from sfframe.facts import CELL_CHARACTERS, NULL_MARK
from sfframe.schema.sobject import Field

EMAIL = r"^[^@\s]+@[^@\s]+\.[^@\s]+$"  # light: the org knows better, but this catches most slips
ID = r"^[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?$"
PREFIX_CHARACTERS = 3  # of an id: the object that it belongs to (rest.md 10)
SHOWN = 10  # picklist values that a message lists
YEARS = (1, 9999)  # xsd:date has more, but four digits are what the formats of bulk2.md 3.4 spell


@dataclass(frozen=True, slots=True)
class Rule:
    """``holds`` is true for a value that is allowed; nulls are not asked."""

    name: str
    holds: pl.Expr
    message: str


def rules_for(field: Field, column: str, *, prefixes: Mapping[str, str] | None = None) -> tuple[Rule, ...]:
    """The rules of ``field`` for the typed column called ``column``.

    ``prefixes`` are the key prefixes of the objects that are known; an id's prefix is checked only where those of all
    objects that the field can refer to are among them.
    """
    values = pl.col(column)
    match rule_for(field.type).kind:
        case "id":
            return _id_rules(field, values, prefixes or {})
        case "int":
            return _digits(field, values, field.digits)
        case "number":
            # The cast is for decimals, which are always finite and have no such question.
            finite = Rule(
                "not_a_number",
                values.cast(pl.Float64).is_finite(),
                "NaN and infinity are no values; use null for 'empty'.",
            )
            return (finite, *_digits(field, values, field.precision - field.scale if has_scale(field) else 0))
        case "date" | "datetime":
            year = values.dt.year()
            return (Rule("range", year.is_between(*YEARS), f"The year must lie between {YEARS[0]} and {YEARS[1]}."),)
        case "binary":
            size = values.bin.size() <= CELL_CHARACTERS * 3 // 4  # base64 turns 3 bytes into 4 characters
            return (Rule("cell_size", size, f"A cell takes {CELL_CHARACTERS:,} characters; load the file by itself."),)
        case "text" | "multipicklist":
            return _text_rules(field, values)
    return ()


def null_mark_rule(column: SentColumn) -> Rule:
    """A frame's text that is the mark for null: CSV cannot say it."""
    message = (
        f"CSV has no way to say the text {NULL_MARK}, which means 'clear the field'. Use null to clear, or change it."
    )
    return Rule("null_mark", pl.col(column.header) != NULL_MARK, message)


def _digits(field: Field, values: pl.Expr, before_point: int) -> tuple[Rule, ...]:
    if before_point <= 0:
        return ()
    message = f"{field.name} takes {before_point} digits before the decimal point."
    fits = (values.abs() < 10**before_point) | ~values.cast(pl.Float64).is_finite()  # NaN has a rule of its own
    return (Rule("precision", fits, message),)


def _id_rules(field: Field, values: pl.Expr, prefixes: Mapping[str, str]) -> tuple[Rule, ...]:
    shape = Rule("id", values.str.contains(ID), "An id has 15 or 18 letters and digits.")
    known = [prefixes.get(one) for one in field.reference_to]
    if not known or None in known:
        return (shape,)
    message = (
        f"{field.name} takes ids of {' or '.join(field.reference_to)}, which begin with {' or '.join(map(str, known))}."
    )
    start = values.str.slice(0, PREFIX_CHARACTERS)
    return (shape, Rule("key_prefix", start.is_in(known) | ~values.str.contains(ID), message))


def _text_rules(field: Field, values: pl.Expr) -> tuple[Rule, ...]:
    rules = []
    limit = min(field.length or CELL_CHARACTERS, CELL_CHARACTERS)
    name = "max_length" if limit == field.length else "cell_size"
    # Characters are never more than bytes, and bytes are known without a look at the text.
    short = (values.str.len_bytes() <= limit) | (values.str.len_chars() <= limit)
    rules.append(Rule(name, short, f"{field.name} takes {limit:,} characters; shorten the text."))
    if field.type == "email":
        rules.append(Rule("email", values.str.contains(EMAIL), "This is not an e-mail address."))
    active = [one.value for one in field.picklist_values if one.active]
    if field.restricted_picklist and active:
        listed = ", ".join(active[:SHOWN]) + (f" and {len(active) - SHOWN} more" if len(active) > SHOWN else "")
        message = f"{field.name} is a restricted picklist. Its values: {listed}."
        if field.type == "multipicklist":
            fits = values.str.split(";").list.eval(pl.element().is_in(active)).list.all()
        else:
            fits = values.is_in(active)
        rules.append(Rule("picklist", fits, message))
    return tuple(rules)

"""What a typed value may still do wrong: too long, out of range, not in the list, no address (bulk2.md 6.3)."""

from __future__ import annotations

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services import coercion
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import literal, problem

_ADDRESS = r"[^@\s]+@[^@\s]+[.][^@\s.]+"


def value_checks(column: Column, row: str, longest: int | None = None) -> list[str]:
    """The WHEN ... THEN of one column over ``row``'s cells and typed values; ``longest`` is as Staged has it."""
    field, cell, typed = column.field, f"{row}.{column.cell}", f"{row}.v{column.position}"
    if column.key or field.type == "reference":
        return []
    short = longest is not None and longest <= field.length
    checks = (_picklist, _email, _range) if short else (_length, _picklist, _email, _range)
    return [check for one in checks if (check := one(field, cell, typed))]


def _said(field: FieldDef, code: str, words: str, shown: str, behind: str = "") -> str:
    tail = f" || {literal(behind)}" if behind else ""
    return problem(code, f"{literal(f'{field.label}: {words}: ')} || {shown}{tail}", literal(field.name))


def _length(field: FieldDef, _cell: str, typed: str) -> str | None:
    if not field.length or not coercion.is_text(field):
        return None
    said = _said(field, "STRING_TOO_LONG", "data value too large", typed, f" (max length={field.length})")
    return f"WHEN length({typed}) > {field.length} THEN {said}"


def _picklist(field: FieldDef, _cell: str, typed: str) -> str | None:
    if not field.restricted_picklist or field.type not in ("picklist", "multipicklist"):
        return None
    values = ", ".join(literal(entry.value) for entry in field.picklist if entry.active)
    said = _said(field, "INVALID_OR_NULL_FOR_RESTRICTED_PICKLIST", "bad value for restricted picklist field", typed)
    if field.type == "picklist":
        outside = f"{typed} NOT IN ({values})" if values else f"{typed} IS NOT NULL"
    else:
        outside = f"NOT list_has_all(CAST([{values}] AS VARCHAR[]), string_split({typed}, ';'))"
    return f"WHEN {outside} THEN {said}"


def _email(field: FieldDef, cell: str, typed: str) -> str | None:
    if field.type != "email":
        return None
    said = _said(field, "INVALID_EMAIL_ADDRESS", "invalid email address", cell)
    return f"WHEN NOT regexp_full_match({typed}, {literal(_ADDRESS)}) THEN {said}"


def _range(field: FieldDef, cell: str, typed: str) -> str | None:
    if coercion.is_number(field) and field.precision:
        digits = field.precision - field.scale
    elif field.type in ("int", "long") and field.digits:
        digits = field.digits
    else:
        return None
    said = _said(field, "NUMBER_OUTSIDE_VALID_RANGE", "value outside of valid range on numeric field", cell)
    # Not abs(): the lowest int has no positive counterpart.
    return f"WHEN {typed} >= 1e{digits} OR {typed} <= -1e{digits} THEN {said}"

"""Values that nobody sends: defaults, owners, stamps, composed names, what a stage implies."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from dataclasses import dataclass

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.catalogue.types import COMPOUND_TYPES
from sfframe.localorg.services import coercion, files
from sfframe.localorg.services.problems import literal
from sfframe.localorg.store.store import Store

Value = Callable[[str], str]
"""The SQL of a field's value in the row that is being written, by field name."""


@dataclass(frozen=True, slots=True)
class Stage:
    """What the standard stage of an opportunity implies (a new org's stages; from memory)."""

    name: str
    probability: int
    forecast: str
    forecast_name: str
    closed: bool = False
    won: bool = False


_STAGES = (
    Stage("Prospecting", 10, "Pipeline", "Pipeline"),
    Stage("Qualification", 10, "Pipeline", "Pipeline"),
    Stage("Needs Analysis", 20, "Pipeline", "Pipeline"),
    Stage("Value Proposition", 50, "Pipeline", "Pipeline"),
    Stage("Id. Decision Makers", 60, "Pipeline", "Pipeline"),
    Stage("Perception Analysis", 70, "Pipeline", "Pipeline"),
    Stage("Proposal/Price Quote", 75, "Pipeline", "Pipeline"),
    Stage("Negotiation/Review", 90, "Pipeline", "Pipeline"),
    Stage("Closed Won", 100, "Closed", "Closed", closed=True, won=True),
    Stage("Closed Lost", 0, "Omitted", "Omitted", closed=True),
)


def default(field: FieldDef, store: Store) -> str | None:
    """SQL: the value of a field of a new row that was not sent; None for null."""
    if field.name == "OwnerId" and field.createable:
        return literal(store.user_id)
    text = field.default_value or next((entry.value for entry in field.picklist if entry.default), None)
    if field.type == "boolean" and text in ("true", "false"):
        return text
    if text is not None:
        return coercion.value(field, literal(text), "", trimmed=bool(text) and text == text.strip())
    return "false" if field.type == "boolean" else None


def constants(obj: ObjectDef, store: Store, moment: dt.datetime) -> dict[str, str]:
    """SQL by field name: the values of a new row for fields that were not sent at all."""
    found = {field.name: default(field, store) for field in obj if field.type not in COMPOUND_TYPES}
    filled = {name: value for name, value in found.items() if value is not None}
    return filled | _stamped(obj, store, moment, created=True)


def touched(obj: ObjectDef, store: Store, moment: dt.datetime) -> dict[str, str]:
    """SQL by field name: the stamps of a row that is changed."""
    return _stamped(obj, store, moment, created=False)


def _stamped(obj: ObjectDef, store: Store, moment: dt.datetime, *, created: bool) -> dict[str, str]:
    now, user = f"TIMESTAMP '{moment}'", literal(store.user_id)
    stamps = {"LastModifiedDate": now, "LastModifiedById": user, "SystemModstamp": now}
    if created:
        stamps |= {"CreatedDate": now, "CreatedById": user, "IsDeleted": "false"}
    return {name: value for name, value in stamps.items() if obj.field(name)}


def composed(obj: ObjectDef, sent: set[str], value: Value, *, creating: bool) -> dict[str, str]:
    """SQL by field name: what follows from other values of the row; ``sent`` names the fields that the upload has."""
    names = _person_name(obj, sent, value, creating=creating) or (_own_name(obj, value) if creating else {})
    of_file = files.body_length(obj, sent, value, creating=creating)
    of_file |= files.version_fields(obj, value) if creating else {}
    return names | of_file | _stage(obj, sent, value, creating=creating)


def _person_name(obj: ObjectDef, sent: set[str], value: Value, *, creating: bool) -> dict[str, str]:
    name = obj.field("Name")
    parts = [part for part in ("FirstName", "MiddleName", "LastName", "Suffix") if obj.field(part)]
    if name is None or name.createable or not obj.field("LastName") or not (creating or sent & set(parts)):
        return {}
    return {"Name": f"concat_ws(' ', {', '.join(value(part) for part in parts)})"}


def _own_name(obj: ObjectDef, value: Value) -> dict[str, str]:
    """A row of a custom object without a name is called like its 15-character id (recorded: restforce-db)."""
    name = obj.field("Name")
    if not obj.custom or name is None or name.auto_number or not name.createable:
        return {}
    return {"Name": f"coalesce({value('Name')}, left({value('Id')}, 15))"}


def _stage(obj: ObjectDef, sent: set[str], value: Value, *, creating: bool) -> dict[str, str]:
    if obj.name != "Opportunity" or not (creating or "StageName" in sent):
        return {}
    stage = value("StageName")

    def by_stage(pick: Callable[[Stage], str], otherwise: str) -> str:
        cases = " ".join(f"WHEN {literal(one.name)} THEN {pick(one)}" for one in _STAGES)
        return f"CASE {stage} {cases} ELSE {otherwise} END"

    found = {
        "IsClosed": by_stage(lambda one: str(one.closed), "false"),
        "IsWon": by_stage(lambda one: str(one.won), "false"),
        "ForecastCategory": by_stage(lambda one: literal(one.forecast), "'Pipeline'"),
    }
    if "Probability" not in sent:
        found["Probability"] = by_stage(lambda one: str(one.probability), "NULL" if creating else value("Probability"))
    if "ForecastCategoryName" not in sent:
        found["ForecastCategoryName"] = by_stage(lambda one: literal(one.forecast_name), "'Pipeline'")
    return {name: expression for name, expression in found.items() if obj.field(name)}

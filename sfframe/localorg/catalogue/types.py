"""FieldType: what every field of a type has in common (rest.md 6.4)."""

from __future__ import annotations

from dataclasses import dataclass

COMPOUND_TYPES = frozenset({"address", "location"})  # made of other fields; they hold no value of their own


@dataclass(frozen=True, slots=True)
class FieldType:
    """``can`` holds the letters of aggregatable, filterable, groupable, sortable.

    ``length``, ``precision``, ``scale`` and ``digits`` are those of a field that was deployed without them.
    """

    soap: str
    can: str
    length: int = 0
    precision: int = 0
    scale: int = 0
    digits: int = 0


FIELD_TYPES = {
    "id": FieldType("tns:ID", "AFGS", length=18),
    "reference": FieldType("tns:ID", "AFGS", length=18),
    "string": FieldType("xsd:string", "AFGS", length=255),
    "textarea": FieldType("xsd:string", "AFGS", length=255),
    "picklist": FieldType("xsd:string", "AFGS", length=255),
    "multipicklist": FieldType("xsd:string", "F", length=4099, precision=4),
    "combobox": FieldType("xsd:string", "AFS", length=255),
    "phone": FieldType("xsd:string", "AFGS", length=40),
    "url": FieldType("xsd:string", "AFGS", length=255),
    "email": FieldType("xsd:string", "AFGS", length=80),
    "encryptedstring": FieldType("xsd:string", "", length=175),
    "boolean": FieldType("xsd:boolean", "FGS"),
    "int": FieldType("xsd:int", "AFGS", digits=9),
    "long": FieldType("xsd:long", "AFGS", digits=18),
    "double": FieldType("xsd:double", "AFS", precision=18, scale=2),
    "currency": FieldType("xsd:double", "AFS", precision=18, scale=2),
    "percent": FieldType("xsd:double", "AFS", precision=18, scale=2),
    "date": FieldType("xsd:date", "AFGS"),
    "datetime": FieldType("xsd:dateTime", "AFS"),
    "time": FieldType("xsd:time", "FS"),  # recorded in a v62 describe: sortable too
    "base64": FieldType("xsd:base64Binary", ""),
    "address": FieldType("urn:address", "F"),
    "location": FieldType("urn:location", ""),
    "anyType": FieldType("xsd:anyType", ""),
    "complexvalue": FieldType("urn:complexvalue", ""),  # JSON; the soap type is a guess
    "json": FieldType("xsd:string", ""),
    "datacategorygroupreference": FieldType("xsd:string", "AFGS", length=80),
}

NUMBER_TYPES = frozenset({"double", "currency", "percent"})
LONG_TEXT = 255  # a longer text area can neither be filtered nor sorted by


def capabilities(type_name: str, length: int, *, auto_number: bool = False, calculated: bool = False) -> str:
    """The letters of A F G S that a field of this type and length has."""
    if type_name == "textarea" and length > LONG_TEXT:
        return ""
    can = FIELD_TYPES[type_name].can
    # rest.md 6.4: auto-numbers and formulas cannot be grouped by.
    return can.replace("G", "") if auto_number or calculated else can

"""What ``columns=true`` tells about a query's columns: undocumented, but the sf CLI asks for it (rest.md 5)."""

from __future__ import annotations

from typing import Any

from sfframe.localorg.catalogue.model import FieldDef
from sfframe.localorg.services.soql_aggregate import is_aggregate
from sfframe.localorg.services.soql_shape import Branches, Children, Compound, Leaf, Record
from sfframe.localorg.services.soql_sql import Statement
from sfframe.localorg.services.soql_values import NUMBER_TYPES

_APEX_TYPES = {
    "id": "Id",
    "reference": "Id",
    "boolean": "Boolean",
    "int": "Integer",
    "long": "Long",
    "double": "Double",
    "currency": "Double",
    "percent": "Double",
    "date": "Date",
    "datetime": "Datetime",
    "time": "Time",
    "base64": "Blob",
    "address": "Address",
    "location": "Location",
}


def column_metadata(statement: Statement) -> dict[str, Any]:
    """The answer to a query with ``columns=true``."""
    grouped = is_aggregate(statement.query)
    columns = [_column(item, aggregate=grouped) for item in statement.record.items]
    return {
        "columnMetadata": columns,
        "entityName": statement.obj.name,
        "groupBy": statement.query.group_by is not None,
        "idSelected": any(one["columnName"] == "Id" for one in columns),
        "keyPrefix": statement.obj.key_prefix,
    }


def _column(item: Leaf | Compound | Children | Branches | Record, *, aggregate: bool = False) -> dict[str, Any]:
    if isinstance(item, Branches):
        by_name = {one.name: one for record in item.records for one in record.items}
        joined = [_column(one) for one in by_name.values()]
        return _described(item.name, None, aggregate=False, foreign_key=item.foreign_key, joined=joined)
    if isinstance(item, Children | Record):
        inner = item.record if isinstance(item, Children) else item
        foreign_key = None if isinstance(item, Children) else item.foreign_key
        joined = [_column(one) for one in inner.items]
        return _described(item.name, None, aggregate=isinstance(item, Children), foreign_key=foreign_key, joined=joined)
    made = aggregate and item.name != item.field.name
    return _described(item.name, item.field, aggregate=made, foreign_key=None, joined=[])


def _described(
    name: str, field: FieldDef | None, *, aggregate: bool, foreign_key: str | None, joined: list[dict[str, Any]]
) -> dict[str, Any]:
    apex = None if field is None else _APEX_TYPES.get(field.type, "String")
    return {
        "aggregate": aggregate,
        "apexType": apex,
        "booleanType": apex == "Boolean",
        "columnName": name,
        "custom": field is not None and field.custom,
        "displayName": name if field is None else field.name,
        "foreignKeyName": foreign_key,
        "insertable": field is not None and not aggregate and field.createable,
        "joinColumns": joined,
        "numberType": field is not None and field.type in NUMBER_TYPES,
        "textType": apex == "String",
        "updatable": field is not None and not aggregate and field.updateable,
    }

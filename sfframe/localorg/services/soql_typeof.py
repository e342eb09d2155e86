"""TYPEOF: other fields for each object that a polymorphic reference points at (rest.md 5, 13.4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.soql_names import Column, Names
from sfframe.localorg.services.soql_shape import Branches, Record, Shape
from sfframe.soql import Path, TypeOf


def branches(names: Names, item: TypeOf, columns: list[str], branch: Callable[[ObjectDef, Column], Names]) -> Branches:
    """The records of a TYPEOF's branches; ``columns`` gains the values that they need."""
    reference = names.reference(item.relationship)
    field = reference.field
    if not field.polymorphic and len(field.reference_to) < 2:
        problem = f"TYPEOF can only be used with polymorphic relationships, and '{item.relationship.text}' is none"
        raise names.refusal("INVALID_FIELD", item.at, problem)
    records: list[Record] = []
    for type_name, paths in item.whens:
        target = names.store.catalogue.find(type_name)
        if target is None or target.name not in field.reference_to:
            problem = f"'{type_name}' is not an object that '{item.relationship.text}' can point at"
            raise names.refusal("INVALID_TYPE", item.at, problem)
        inside = branch(target, reference)
        shape = Shape(inside, target.name, f'{inside.alias}."Id"', columns)
        for path in paths:
            shape.add(inside.column(path), path.at)
        records.append(shape.record)
    if item.otherwise:
        records.append(_otherwise(names, item, columns))
    return Branches(field.relationship_name or field.name, field.name, tuple(records))


def _otherwise(names: Names, item: TypeOf, columns: list[str]) -> Record:
    """The record of ELSE, whose fields are those of the object Name."""
    found = [names.column(Path(item.relationship.parts + path.parts, path.at)) for path in item.otherwise]
    depth = len(names.reference(item.relationship).parents)
    parent = found[0].parents[depth]
    shape = Shape(names, "Name", parent.id_sql, columns)
    shape.record.own_type = shape.place(parent.type_sql)
    for column, path in zip(found, item.otherwise, strict=True):
        shape.add(replace(column, parents=column.parents[depth + 1 :]), path.at)
    return shape.record

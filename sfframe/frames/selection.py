"""The select list of a query, written out; and parents as structs."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace

import polars as pl

from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.errors import UsageError
from sfframe.frames.shape import Describe, child_object, fields_of, is_grouped, shape
from sfframe.schema.sobject import SObject
from sfframe.soql import FieldsOf, Path, Query, Selected, SubQuery, TypeOf, to_text

Item = Selected | FieldsOf | TypeOf | SubQuery


def written_out(query: Query, sobject: SObject, describe: Describe) -> Query:
    """The query with the fields of ``sobject`` in place of ``*`` and FIELDS(), in its sub-queries too.

    A field that is also named by itself stands where it is named, once. The org's own FIELDS(ALL) and FIELDS(CUSTOM)
    give 200 rows at most (rest.md 13.4), and a bulk query none; a list of fields has no such limit.
    """
    if query.count_only or is_grouped(query):
        return query
    named = {
        item.expr.parts[-1].casefold()
        for item in query.select
        if isinstance(item, Selected) and isinstance(item.expr, Path) and len(item.expr.parts) == 1
    }
    select: list[Item] = []
    for item in query.select:
        match item:
            case FieldsOf(group=group):
                fields = [one for one in fields_of(group, sobject) if one.name.casefold() not in named]
                select += [Selected(Path((one.name,), item.at)) for one in fields]
                named.update(one.name.casefold() for one in fields)
            case SubQuery(query=inner):
                child = child_object(inner, sobject, describe)[1]
                select.append(replace(item, query=written_out(inner, child, describe)))
            case _:
                select.append(item)
    if not select:
        raise UsageError(
            f"{sobject.name} has no field for {to_text(query).partition(' FROM ')[0].removeprefix('SELECT ')}",
            where="SELECT",
            remedy="Name at least one field.",
        )
    return replace(query, select=tuple(select))


def with_object_names(query: Query, sobject: SObject, describe: Describe) -> Query:
    """The query with ``Type`` selected of every parent that can be of several objects (``Owner.Type``)."""
    if query.count_only or is_grouped(query):
        return query
    select: list[Item] = []
    for item in query.select:
        if isinstance(item, SubQuery):
            child = child_object(item.query, sobject, describe)[1]
            select.append(replace(item, query=with_object_names(item.query, child, describe)))
        else:
            select.append(item)
    paths = [column.keys for column in shape(query, sobject, describe).columns]
    parents = dict.fromkeys(path[:-1] for path in paths if len(path) > 1)
    wanted = [path for path in parents if (*path, "Type") not in paths and _of_several(path, sobject, describe)]
    return replace(query, select=(*select, *(Selected(Path((*path, "Type"))) for path in wanted)))


def _of_several(path: Sequence[str], sobject: SObject, describe: Describe) -> bool:
    for name in path[:-1]:
        reference = sobject.relationship(name)
        if reference is None or not reference.reference_to:
            return False
        sobject = describe(reference.reference_to[0])
    reference = sobject.relationship(path[-1])
    return reference is not None and (reference.polymorphic or len(reference.reference_to) > 1)


def parents_as_structs(frame: pl.DataFrame, shape: Shape) -> pl.DataFrame:
    """The frame of ``shape`` with one struct for each parent (``Account``) in place of its columns (``Account.Name``).

    It stands where the parent's first field stood, and is null where all of its fields are: the org does not tell a
    parent without values from none at all. The lists of sub-queries are treated alike.
    """
    return frame.select(_nested(_Member(column.keys, column, pl.col(column.name)) for column in shape.columns))


@dataclass(frozen=True, slots=True)
class _Member:
    keys: tuple[str, ...]
    column: ShapeColumn
    value: pl.Expr


def _nested(members: Iterable[_Member], *, inside: bool = False) -> list[pl.Expr]:
    """The columns of the members, or the fields of a struct when they stand ``inside`` of one."""
    groups: dict[str, list[_Member]] = {}
    for one in members:
        groups.setdefault(one.keys[0] if inside or len(one.keys) > 1 else one.column.name, []).append(one)
    return [_value(group).alias(name) for name, group in groups.items()]


def _value(group: list[_Member]) -> pl.Expr:
    first = group[0]
    if len(first.keys) > 1:
        inner = pl.struct(_nested((replace(one, keys=one.keys[1:]) for one in group), inside=True))
        return pl.when(pl.any_horizontal(one.value.is_not_null() for one in group)).then(inner)
    if first.column.type == "children" and any(len(part.keys) > 1 for part in first.column.parts):
        element = pl.element().struct
        parts = [_Member(part.keys, part, element.field(part.name)) for part in first.column.parts]
        return first.value.list.eval(pl.struct(_nested(parts)))
    return first.value

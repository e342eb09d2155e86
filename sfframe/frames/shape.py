"""A parsed query and the describe -> the columns of its answer, with their types."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import polars as pl

from sfframe.codec.layout import Shape, ShapeColumn
from sfframe.codec.types import COMPOUNDS, rule_for
from sfframe.errors import NotFound, UsageError
from sfframe.schema.sobject import Field, SObject
from sfframe.soql import Call, FieldsOf, Path, Query, Selected, SubQuery, TypeOf

Describe = Callable[[str], SObject]

AGGREGATES = frozenset({"COUNT", "COUNT_DISTINCT", "SUM", "AVG", "MIN", "MAX", "GROUPING"})
WORKED_OUT = {  # functions whose answer has a type of its own (rest.md 13.5)
    "COUNT": "int",
    "COUNT_DISTINCT": "int",
    "GROUPING": "int",
    "SUM": "double",
    "AVG": "double",
    "DISTANCE": "double",
    "DAY_ONLY": "date",
    "TOLABEL": "string",
    "FORMAT": "string",
    **dict.fromkeys(
        (
            "CALENDAR_MONTH", "CALENDAR_QUARTER", "CALENDAR_YEAR", "DAY_IN_MONTH", "DAY_IN_WEEK", "DAY_IN_YEAR",
            "FISCAL_MONTH", "FISCAL_QUARTER", "FISCAL_YEAR", "HOUR_IN_DAY", "WEEK_IN_MONTH", "WEEK_IN_YEAR",
        ),
        "int",
    ),
}  # fmt: skip
OF_ITS_FIELD = frozenset({"MIN", "MAX", "CONVERTCURRENCY", "CONVERTTIMEZONE"})
NAMED_BY_FIELD = frozenset({"TOLABEL", "FORMAT", "CONVERTCURRENCY"})  # without an alias the key is the field's name

# The fields of the object Name, as which a parent of several objects appears (rest.md 5, 13.4).
NAME_TYPES = {"type": "string", "name": "string", "isactive": "boolean", "userroleid": "reference"}


def is_grouped(query: Query) -> bool:
    """True where the answer's rows are groups, not records."""
    return query.group_by is not None or any(
        isinstance(item, Selected) and isinstance(item.expr, Call) and item.expr.name.upper() in AGGREGATES
        for item in query.select
    )


def shape(query: Query, sobject: SObject, describe: Describe) -> Shape:
    """The columns that ``query`` answers, in SELECT order, under the fields' own names (``Account.Name``).

    ``sobject`` is the object of the query; ``describe`` is asked for parents and children. Functions without an alias
    are called ``expr0``, ``expr1`` and so on, as the org does. A child sub-query is a List of Structs under the name of
    its relationship, a TYPEOF a Struct under that of its reference, with the object's name as ``Type``. A base64 field
    is text, because a query answers where the bytes can be had, not the bytes. Raises ``UsageError`` for names that
    the describe does not have.
    """
    if query.count_only:
        return Shape((ShapeColumn("count", ("count",), "int", pl.Int64()),), count_only=True)
    columns = _Reader(query, sobject, describe).read()
    names = [column.name for column in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice:
        raise UsageError(f"{twice} is selected twice", where="SELECT", remedy="Leave one of them out.")
    for column in columns:
        if column.type == "branches" and any(one.name.startswith(f"{column.name}.") for one in columns):
            raise UsageError(
                f"fields of {column.name} are selected beside its TYPEOF",
                where="SELECT",
                remedy="Name them in its branches.",
            )
    keys = [column.keys for column in columns]
    same = next((column for column in columns if keys.count(column.keys) > 1), None)
    if same:
        raise UsageError(
            f"the org answers two columns under the name {same.keys[-1]!r}",
            where=f"SELECT {same.name}",
            remedy=f"Give it an alias: {same.name} {same.name.replace('.', '')}.",
        )
    return Shape(tuple(columns))


def child_object(query: Query, sobject: SObject, describe: Describe) -> tuple[str, SObject]:
    """The relationship that a sub-query of ``sobject`` reads, as the describe spells it, and the children's object."""
    name = query.source.name.rpartition(".")[2]
    found = sobject.child_relationship(name)
    if found is None or found.name is None:
        raise UsageError(
            f"{sobject.name} has no children called {name!r}",
            where=f"FROM {query.source.name}",
            remedy=f"describe({sobject.name!r}).child_relationships lists their names.",
        )
    return found.name, describe(found.child)


class _Reader:
    def __init__(self, query: Query, sobject: SObject, describe: Describe) -> None:
        self._columns: list[ShapeColumn] = []
        self._query = query
        self._sobject = sobject
        self._describe = describe
        self._grouped = is_grouped(query)
        self._unnamed = 0
        self._starts: dict[str, tuple[str, ...]] = {sobject.name.casefold(): ()}
        for source in (query.source, *query.related):
            path = tuple(source.name.split(".")) if source is not query.source else (source.name,)
            start = self._starts.get(path[0].casefold(), path[:1])
            whole = () if source is query.source else (*start, *path[1:])
            for name in (source.alias, source.name if source is query.source else None):
                if name is not None:
                    self._starts[name.casefold()] = whole

    def read(self) -> list[ShapeColumn]:
        for item in self._query.select:
            match item:
                case Selected(expr=Path() as path, alias=alias):
                    parts, field = self._field(path.parts)
                    keys = (alias or parts[-1],) if self._grouped else parts
                    self._append(alias or ".".join(parts), keys, field.type, field)
                case Selected(expr=Call() as call, alias=alias):
                    self._function(call, alias)
                case FieldsOf(group=group):
                    for field in fields_of(group, self._sobject):
                        self._append(field.name, (field.name,), field.type, field)
                case SubQuery(query=inner):
                    self._children(inner)
                case TypeOf():
                    self._branches(item)
        return self._columns

    def _append(self, name: str, keys: tuple[str, ...], field_type: str, field: Field | None = None) -> None:
        self._columns.append(_leaf(name, keys, field_type, field))

    def _children(self, inner: Query) -> None:
        name, child = child_object(inner, self._sobject, self._describe)
        parts = shape(inner, child, self._describe).columns
        dtype = pl.List(pl.Struct({part.name: part.dtype for part in parts}))
        self._columns.append(ShapeColumn(name, (name,), "children", dtype, parts=parts))

    def _branches(self, item: TypeOf) -> None:
        keys, reference = self._reference(item.relationship.parts)
        parts = [ShapeColumn("Type", ("attributes",), "object_type", pl.String())]
        for name, paths in item.whens:
            target = self._describe(name)
            reader = _Reader(self._query, target, self._describe)
            for path in paths:
                found, field = reader._field(path.parts)  # a reader of its own kind
                parts.append(_leaf(".".join(found), found, field.type, field, only_for=target.name))
        for path in item.otherwise:
            field = self._name_field(reference, path.parts[-1]) or self._unknown("Name", path.parts)
            parts.append(_leaf(field.name, (field.name,), field.type, field))
        parts = _told_apart(parts)
        dtype = pl.Struct({part.name: part.dtype for part in parts})
        self._columns.append(ShapeColumn(".".join(keys), keys, "branches", dtype, parts=tuple(parts)))

    def _function(self, call: Call, alias: str | None) -> None:
        function = call.name.upper()
        inner = call.args[0] if call.args else None
        while isinstance(inner, Call):
            inner = inner.args[0] if inner.args else None
        parts, field = self._field(inner.parts) if isinstance(inner, Path) else ((), None)
        field_type = WORKED_OUT.get(function)
        if function in OF_ITS_FIELD and field is not None:
            field_type = field.type
        if field_type is None:
            raise UsageError(
                f"{call.name} is no function whose answer has a known type",
                where="SELECT",
                remedy="Query the field itself, or check the function's name.",
            )
        if alias is None and function in NAMED_BY_FIELD and parts:
            self._append(".".join(parts), parts[-1:] if self._grouped else parts, field_type)
            return
        if alias is None:
            alias = f"expr{self._unnamed}"
            self._unnamed += 1
        self._append(alias, (alias,), field_type)

    # -- names ------------------------------------------------------------------------------------------------------

    def _bare(self, typed: Sequence[str]) -> tuple[str, ...]:
        """A path without the alias or the name of the query's own object in front."""
        parts = tuple(typed)
        if len(parts) > 1 and parts[0].casefold() in self._starts:
            return (*self._starts[parts[0].casefold()], *parts[1:])
        return parts

    def _reference(self, typed: Sequence[str], behind: str = "") -> tuple[tuple[str, ...], Field]:
        """A path of relationships -> its parts in the describe's spelling, and the reference at its end.

        ``behind`` is what stands behind it in the query, for messages.
        """
        names: list[str] = []
        objects: Iterator[SObject] = iter((self._sobject,))
        described = self._sobject.name
        reference: Field | None = None
        for part in self._bare(typed):
            reference = next((found for one in objects if (found := one.relationship(part))), None)
            if reference is None:
                raise UsageError(
                    f"{described} has no parent called {part!r}",
                    where=".".join(typed) + behind,
                    remedy=self._near(part),
                )
            names.append(reference.relationship_name or part)
            described = " or ".join(reference.reference_to)
            objects = self._parents(reference)
        if reference is None:
            raise UsageError("this is the query's own object", where=".".join(typed), remedy="Name a parent of it.")
        return tuple(names), reference

    def _field(self, typed: Sequence[str]) -> tuple[tuple[str, ...], Field]:
        """A path as typed -> its parts in the describe's spelling, and the field at its end."""
        parts = self._bare(typed)
        if len(parts) == 1:
            own = self._sobject.field(parts[0]) or self._unknown(self._sobject.name, typed, self._near(parts[0]))
            return (own.name,), own
        names, reference = self._reference(parts[:-1], f".{parts[-1]}")
        found = self._name_field(reference, parts[-1])
        field = found or self._unknown(" or ".join(reference.reference_to), typed)
        return (*names, field.name), field

    def _name_field(self, reference: Field, name: str) -> Field | None:
        """A field of the parent; where that can be of several objects, of the first that has it, or of Name."""
        several = reference.polymorphic or len(reference.reference_to) > 1
        known = NAME_TYPES.get(name.casefold()) if several else None
        if name.casefold() == "type" and known:  # the object's name, although some objects have a field Type
            return Field("Type", "Type", known)
        found = next((field for one in self._parents(reference) if (field := one.field(name))), None)
        return found or (Field(name, name, known) if known else None)

    def _unknown(self, described: str, typed: Sequence[str], remedy: str = "") -> Field:
        raise UsageError(
            f"{described} has no field {typed[-1]!r} that this user can see",
            where=".".join(typed),
            remedy=remedy or "Check the name and the user's permissions.",
        )

    def _parents(self, reference: Field) -> Iterator[SObject]:
        """The objects that a reference can mean, one after the other: a name is looked up in the first that has it."""
        for name in reference.reference_to:
            try:
                yield self._describe(name)
            except NotFound:
                continue

    def _near(self, name: str) -> str:
        near = self._sobject.near(name)
        return f"Near: {', '.join(near)}." if near else "Check the name and the user's permissions."


def fields_of(group: str, sobject: SObject) -> list[Field]:
    """The fields that ``FIELDS(group)`` means, in the describe's order.

    ``*`` means all but compound fields, whose parts are fields of their own, and binary ones, which a query answers
    by their address only: so a bulk query can answer it too (bulk2.md 4.7).
    """
    if group == "*":
        return [one for one in sobject if one.type not in COMPOUNDS and rule_for(one.type).kind != "binary"]
    return [one for one in sobject if group == "ALL" or one.custom == (group == "CUSTOM")]


def _leaf(
    name: str, keys: tuple[str, ...], field_type: str, field: Field | None = None, *, only_for: str = ""
) -> ShapeColumn:
    rule = rule_for(field_type)
    text = rule.kind == "binary"
    dtype = COMPOUNDS.get(field_type) or (pl.String() if text else rule.dtype)
    return ShapeColumn(name, keys, field_type, dtype, field, only_for=only_for)


def _told_apart(parts: list[ShapeColumn]) -> list[ShapeColumn]:
    """Fields of several branches with one name and type are one part; others get their object's name in front."""
    told: dict[str, ShapeColumn] = {}
    clashes = {
        one.name for one in parts for other in parts if one.name == other.name and one.type != other.type
    }  # also a branch's own field Type, beside the name of the object
    for one in parts:
        if one.name == "Type" and "Type" in told and not one.only_for:
            continue  # ELSE names the object's name, which is there already
        if one.name in clashes and one.only_for:
            name = f"{one.only_for}.{one.name}"
            told[name] = ShapeColumn(name, one.keys, one.type, one.dtype, one.field, only_for=one.only_for)
        elif one.name in told:
            told[one.name] = ShapeColumn(one.name, one.keys, one.type, one.dtype, one.field)
        else:
            told[one.name] = one
    return list(told.values())

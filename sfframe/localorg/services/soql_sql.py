"""A parsed query as SQL over the store's tables."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services import query_json, soql_aggregate
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.soql_functions import column_of
from sfframe.localorg.services.soql_names import Column, Names, unknown_object, unknown_relationship
from sfframe.localorg.services.soql_shape import Record, Shape
from sfframe.localorg.services.soql_values import ID_TYPES
from sfframe.localorg.services.soql_where import Where, order_key
from sfframe.localorg.store.store import COMPOUND_TYPES, Store, quoted
from sfframe.soql import (
    FieldsOf,
    Ordering,
    Path,
    Query,
    Selected,
    SubQuery,
    TypeOf,
)

MAX_OFFSET = 2_000  # rest.md 13.1
MAX_SEMI_JOINS = 2  # rest.md 13.3
MAX_FIELDS_LIMIT = 200  # rest.md 13.4
_ALL_ROWS = 2**62  # DuckDB takes no larger LIMIT
_SECURITY_WITH = frozenset({"SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A compiled query. ``columns`` are SQL expressions, which ``select_sql`` names c0, c1, ...; ``record`` uses these.

    ``outputs`` are the selected columns in order: what a bulk result has as its columns.
    """

    query: Query
    obj: ObjectDef
    columns: tuple[str, ...]
    record: Record
    outputs: tuple[Column, ...]
    from_sql: str
    order_sql: str

    def select_sql(self, columns: Sequence[str] | None = None) -> str:
        """The rows in order, with LIMIT and OFFSET."""
        chosen = self.columns if columns is None else columns
        named = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(chosen))
        return f"SELECT {named} {self.from_sql}{self.order_sql}{self._slice_sql()}"

    def count_sql(self) -> str:
        """How many rows there are."""
        return f"SELECT count(*) FROM (SELECT 1 {self.from_sql}{self._slice_sql()})"

    def _slice_sql(self) -> str:
        limit = "" if self.query.limit is None else f" LIMIT {min(self.query.limit, _ALL_ROWS)}"
        return limit if self.query.offset is None else f"{limit} OFFSET {self.query.offset}"


class Compiler:
    """Compiles one query text; ``all_rows`` keeps deleted rows in, ``version`` stands in the URLs of child rows."""

    def __init__(self, store: Store, text: str, *, version: str, all_rows: bool = False) -> None:
        self.store = store
        self.text = text
        self.version = version
        self.today = store.now().date()
        self.all_rows = all_rows
        self._semi_joins = 0
        self._levels = 0

    def compile(self, query: Query) -> Statement:
        """The statement of a whole query. Raises ServiceError in Salesforce's words where the query is wrong."""
        self.all_rows = self.all_rows or query.all_rows
        names = self._names(query, self._object(query))
        _check_clauses(names, query)
        where = self._where(names)
        conditions = self._row_filter(names, query)
        if query.where is not None:
            conditions.append(where.sql(query.where))
        if soql_aggregate.is_aggregate(query):
            compiled = soql_aggregate.compile_aggregate(names, query, where)
            tail, order = compiled.tail_sql, compiled.order_sql
            shape, outputs = compiled.shape, compiled.outputs
        else:
            shape, outputs = self._shape(names, query)
            tail, order = "", _order(names, query)
        filtered = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        from_sql = f"{names.source_sql()}{filtered}{tail}"
        return Statement(query, names.obj, tuple(shape.columns), shape.record, tuple(outputs), from_sql, order)

    def _object(self, query: Query) -> ObjectDef:
        obj = self.store.catalogue.find(query.source.name)
        if obj is None or not obj.queryable:
            raise unknown_object(self.text, query.source)
        return obj

    def _names(self, query: Query, obj: ObjectDef) -> Names:
        names = Names(self.store, self.text, obj, query.source, query.related, level=self._levels)
        self._levels += 1
        return names

    def _where(self, names: Names) -> Where:
        return Where(names, self.today, lambda inner: self._semi_join(names, inner))

    def _row_filter(self, names: Names, query: Query) -> list[str]:
        """Deleted rows are left out but for queryAll; USING SCOPE mine keeps the user's own."""
        conditions = []
        if not self.all_rows and names.obj.field("IsDeleted") is not None:
            conditions.append(f'{names.alias}."IsDeleted" IS DISTINCT FROM true')
        scope = (query.scope or "everything").casefold()
        if scope == "mine" and names.obj.field("OwnerId") is not None:
            conditions.append(f"{names.alias}.\"OwnerId\" = '{self.store.user_id}'")
        elif scope != "everything":
            problem = f"The embedded org does not know the scope {query.scope} of {names.obj.name}"
            raise names.refusal("MALFORMED_QUERY", query.source.at, problem)
        return conditions

    def _shape(self, names: Names, query: Query) -> tuple[Shape, list[Column]]:
        id_sql = f'{names.alias}."Id"' if names.obj.field("Id") else None
        shape = Shape(names, names.obj.name, id_sql)
        outputs: list[Column] = []
        for item in query.select:
            if isinstance(item, SubQuery):
                shape.add_children(*self._children(names, item), item.at)
            elif isinstance(item, TypeOf):
                raise names.refusal("MALFORMED_QUERY", item.at, "The embedded org does not do TYPEOF yet")
            elif isinstance(item, FieldsOf):
                for column in _expanded(names, query, item):
                    shape.add(column, item.at)
                    outputs.append(column)
            else:
                column = _selected(names, item)
                shape.add(column, item.expr.at, alias=item.alias)
                outputs.append(column)
        return shape, outputs

    def _semi_join(self, outer: Names, inner: Query) -> str:
        """The ids of a semi-join (rest.md 13.3)."""
        self._semi_joins += 1
        names = self._names(inner, self._object(inner))
        item = inner.select[0] if len(inner.select) == 1 else None
        if not isinstance(item, Selected) or not isinstance(item.expr, Path) or inner.order_by or inner.limit:
            problem = "a semi join sub-select takes one field and neither ORDER BY nor LIMIT"
            raise outer.refusal("MALFORMED_QUERY", inner.source.at, problem)
        if self._semi_joins > MAX_SEMI_JOINS or outer.level:
            problem = "maximum 2 semi join sub-selects are allowed, and none inside of another"
            raise outer.refusal("MALFORMED_QUERY", inner.source.at, problem)
        if names.obj is outer.obj:
            problem = "The inner and outer selects should not be on the same object type"
            raise outer.refusal("INVALID_FIELD", inner.source.at, problem)
        column = names.column(item.expr)
        if column.field.type not in ID_TYPES or column.parents:
            problem = "a semi join sub-select takes an id or a reference without dots"
            raise outer.refusal("MALFORMED_QUERY", item.expr.at, problem)
        conditions = [*self._row_filter(names, inner), f"{column.sql} IS NOT NULL"]
        if inner.where is not None:
            conditions.append(self._where(names).sql(inner.where))
        return f"SELECT {column.sql} {names.source_sql()} WHERE {' AND '.join(conditions)}"

    def _children(self, outer: Names, item: SubQuery) -> tuple[str, str, Record]:
        """A child sub-query: the relationship's name, the SQL of its JSON answer by row of ``outer``, its record."""
        inner = item.query
        wanted = inner.source.name.casefold()
        found = [
            pair
            for pair in self.store.catalogue.children_of(outer.obj)
            if (pair[1].child_relationship_name or "").casefold() == wanted
        ]
        if not found:
            raise unknown_relationship(self.text, inner.source.name, inner.source.at, child=True)
        child, reference = found[0]
        names = self._names(inner, child)
        if soql_aggregate.is_aggregate(inner) or inner.count_only:
            raise outer.refusal("MALFORMED_QUERY", item.at, "aggregates are not allowed in a child sub-query")
        _check_clauses(names, inner)
        shape, _ = self._shape(names, inner)
        conditions = [*self._row_filter(names, inner), f'{names.alias}.{quoted(reference.name)} = {outer.alias}."Id"']
        if inner.where is not None:
            conditions.append(self._where(names).sql(inner.where))
        columns = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(shape.columns))
        order = _order(names, inner)
        limit = "" if inner.limit is None else f" LIMIT {min(inner.limit, _ALL_ROWS)}"
        offset = "" if inner.offset is None else f" OFFSET {inner.offset}"
        rows = (
            f"SELECT {columns}, row_number() OVER ({order.strip()}) AS place {names.source_sql()} "
            f"WHERE {' AND '.join(conditions)}{order}{limit}{offset}"
        )
        records = f"string_agg({query_json.record_sql(shape.record, self.version)}, ',' ORDER BY place)"
        answer = f"'{{\"totalSize\":' || count(*) || ',\"done\":true,\"records\":[' || {records} || ']}}'"
        answer = f"CASE WHEN count(*) > 0 THEN {answer} END"  # no children: null (rest.md 5)
        return reference.child_relationship_name or "", f"(SELECT {answer} FROM ({rows}))", shape.record


def _selected(names: Names, item: Selected) -> Column:
    if isinstance(item.expr, Path) and item.alias is not None:
        problem = "only aggregate expressions use field aliasing"
        raise names.refusal("MALFORMED_QUERY", item.expr.at, problem)
    return column_of(names, item.expr)


def _expanded(names: Names, query: Query, item: FieldsOf) -> list[Column]:
    """The fields of FIELDS(); all and custom ones only for few rows (rest.md 13.4)."""
    if item.group != "STANDARD" and (query.limit is None or query.limit > MAX_FIELDS_LIMIT):
        problem = f"The SOQL FIELDS function must have a LIMIT of at most {MAX_FIELDS_LIMIT}"
        raise names.refusal("MALFORMED_QUERY", item.at, problem)
    chosen = [one for one in names.obj if item.group == "ALL" or one.custom == (item.group == "CUSTOM")]
    if not chosen:
        problem = "'FIELDS(...)' expansion function must result in at least one field being selected."
        raise names.refusal("MALFORMED_QUERY", item.at, problem)
    return [names.column(Path((one.name,), item.at)) for one in chosen]


def _check_clauses(names: Names, query: Query) -> None:
    if query.offset is not None and query.offset > MAX_OFFSET:
        raise ServiceError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
    if query.with_clause is not None and query.with_clause.upper() not in _SECURITY_WITH:
        problem = f"The embedded org does not do WITH {query.with_clause} yet"
        raise names.refusal("MALFORMED_QUERY", query.source.at, problem)


def _order(names: Names, query: Query) -> str:
    """ORDER BY; nulls come first in both directions unless the query says else, and Id decides at last."""
    keys = [key for one in query.order_by for key in _ordering(names, one)]
    if names.obj.field("Id") is not None:
        keys.append(f'{names.alias}."Id"')
    return f" ORDER BY {', '.join(keys)}" if keys else ""


def _ordering(names: Names, ordering: Ordering) -> list[str]:
    column = column_of(names, ordering.expr)
    if not column.field.sortable or column.field.type in COMPOUND_TYPES:
        problem = f"field '{column.field.name}' can not be sorted in a query call"
        raise names.refusal("INVALID_FIELD", ordering.expr.at, problem)
    direction = "DESC" if ordering.descending else "ASC"
    return [f"{key} {direction} NULLS {ordering.nulls or 'FIRST'}" for key in order_key(column)]

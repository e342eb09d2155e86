"""A parsed query as SQL over the store's tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services import soql_aggregate
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.soql_children import (
    ChildRows,
    answer_sql,
    check_clauses,
    check_depth,
    check_number,
    child_of,
    rows_sql,
    weight_sql,
)
from sfframe.localorg.services.soql_functions import DATE_FUNCTIONS, NAMED_LIKE_THEIR_FIELD, column_of
from sfframe.localorg.services.soql_names import Column, Names, unknown_object
from sfframe.localorg.services.soql_semi_joins import check_left, check_objects, check_place, selected_path
from sfframe.localorg.services.soql_shape import Record, Shape
from sfframe.localorg.services.soql_typeof import branches
from sfframe.localorg.services.soql_where import Where, order_key
from sfframe.localorg.services.user_clock import UserClock
from sfframe.localorg.store.store import COMPOUND_TYPES, Store
from sfframe.soql import (
    Call,
    Comparison,
    Condition,
    FieldsOf,
    Logic,
    Membership,
    Ordering,
    Path,
    Query,
    Selected,
    SubQuery,
    TypeOf,
    expression_text,
)

MAX_OFFSET = 2_000  # rest.md 13.1
MAX_FIELDS_LIMIT = 200  # rest.md 13.4
_ALL_ROWS = 2**62  # DuckDB takes no larger LIMIT
_SECURITY_WITH = frozenset({"SECURITY_ENFORCED", "USER_MODE", "SYSTEM_MODE"})


@dataclass(frozen=True, slots=True)
class Statement:
    """A compiled query. ``columns`` are SQL expressions, which ``select_sql`` names c0, c1, ...; ``record`` uses these.

    ``outputs`` are the selected columns in order: what a bulk result has as its columns. ``weight_sql`` says how many
    rows of a page a row takes up.
    """

    query: Query
    obj: ObjectDef
    columns: tuple[str, ...]
    record: Record
    outputs: tuple[Column, ...]
    from_sql: str
    order_sql: str
    children: tuple[ChildRows, ...]
    weight_sql: str

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
    """Compiles one query text; ``all_rows`` keeps deleted rows in, ``version`` stands in the URLs of child rows.

    Of every parent at most ``shown_children`` child rows stand in its record.
    """

    def __init__(
        self, store: Store, text: str, *, version: str, all_rows: bool = False, shown_children: int = 499
    ) -> None:
        self.store = store
        self._clock = UserClock.of(store)
        self.text = text
        self.version = version
        self.all_rows = all_rows
        self.shown_children = shown_children
        self._children: list[ChildRows] = []
        self._semi_joins = 0
        self._levels = 0

    def compile(self, query: Query) -> Statement:
        """The statement of a whole query. Raises ServiceError in Salesforce's words where the query is wrong."""
        names = self._names(query, self._object(query))
        _check_clauses(names, query)
        check_number(names, query)
        where = self._where(names)
        conditions = self._row_filter(names, query)
        if query.where is not None:
            conditions.append(where.sql(query.where))
        if soql_aggregate.is_aggregate(query):
            compiled = soql_aggregate.compile_aggregate(names, query)
            tail, order = compiled.tail_sql, compiled.order_sql
            shape, outputs = compiled.shape, compiled.outputs
        else:
            shape, outputs = self._shape(names, query, depth=0)
            tail, order = "", _order(names, query)
        filtered = f" WHERE {' AND '.join(conditions)}" if conditions else ""
        return Statement(
            query=query,
            obj=names.obj,
            columns=tuple(shape.columns),
            record=shape.record,
            outputs=tuple(outputs),
            from_sql=f"{names.source_sql()}{filtered}{tail}",
            order_sql=order,
            children=tuple(self._children),
            weight_sql=weight_sql(shape.record, self.shown_children),
        )

    def _object(self, query: Query) -> ObjectDef:
        obj = self.store.catalogue.find(query.source.name)
        if obj is None or not obj.queryable:
            raise unknown_object(self.text, query.source)
        return obj

    def _names(self, query: Query, obj: ObjectDef) -> Names:
        level = self._next_level()
        return Names(self.store, self.text, obj, query.source, query.related, level=level, clock=self._clock)

    def _next_level(self) -> int:
        self._levels += 1
        return self._levels - 1

    def _where(self, names: Names) -> Where:
        return Where(names, lambda left, condition, inner: self._semi_join(names, left, condition, inner))

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

    def _shape(self, names: Names, query: Query, *, depth: int) -> tuple[Shape, list[Column]]:
        id_sql = f'{names.alias}."Id"' if names.obj.field("Id") else None
        shape = Shape(names, names.obj.name, id_sql)
        outputs: list[Column] = []
        unnamed = 0
        for item in query.select:
            if isinstance(item, SubQuery):
                shape.add_children(*self._child_answer(names, query, item, depth=depth + 1), item.at)
            elif isinstance(item, TypeOf):
                shape.add_branches(branches(names, item, shape.columns, self._branch(names)), item.at)
            elif isinstance(item, FieldsOf):
                for column in _expanded(names, query, item):
                    shape.add(column, item.at)
                    outputs.append(column)
            else:
                column = _selected(names, item)
                alias = item.alias
                if alias is None and isinstance(item.expr, Call) and not _is_named_like_its_field(item.expr):
                    alias, unnamed = f"expr{unnamed}", unnamed + 1
                shape.add(column, item.expr.at, alias=alias)
                outputs.append(column)
        return shape, outputs

    def _branch(self, names: Names) -> Callable[[ObjectDef, Column], Names]:
        return lambda obj, reference: names.branch(obj, reference, level=self._next_level())

    def _semi_join(self, outer: Names, left: Column, condition: Membership, inner: Query) -> str:
        """The ids of a semi-join (rest.md 13.3)."""
        self._semi_joins += 1
        check_place(outer, inner, count=self._semi_joins, is_nested=outer.is_semi_join)
        check_left(outer, left, condition)
        path = selected_path(outer, inner)
        names = self._names(inner, self._object(inner))
        names.is_semi_join = True
        column = names.column(path)
        check_objects(outer, left, names, column, source=inner.source)
        conditions = [*self._row_filter(names, inner), f"{column.sql} IS NOT NULL"]
        if inner.where is not None:
            conditions.append(self._where(names).sql(inner.where))
        return f"SELECT {column.sql} {names.source_sql()} WHERE {' AND '.join(conditions)}"

    def _child_answer(self, outer: Names, query: Query, item: SubQuery, *, depth: int) -> tuple[str, str, Record]:
        """A child sub-query: the relationship's name, the SQL of its answer by row of ``outer``, its record."""
        inner = item.query
        number = len(self._children)
        check_depth(outer, item, depth=depth, version=self.version)
        child, reference = child_of(outer, query, inner)
        check_clauses(outer, query, item)
        names = self._names(inner, child)
        _check_clauses(names, inner)
        if soql_aggregate.is_aggregate(inner):
            raise outer.refusal("MALFORMED_QUERY", item.at, "aggregates are not allowed in a child sub-query")
        placeholder = ChildRows("", 0, Record("", "", None), "1")
        self._children.append(placeholder)  # takes the number, which sub-queries of this one must not take
        shape, _ = self._shape(names, inner, depth=depth)
        conditions = self._row_filter(names, inner)
        if inner.where is not None:
            conditions.append(self._where(names).sql(inner.where))
        rows = rows_sql(shape, names, reference, conditions=conditions, order=_order(names, inner), query=inner)
        children = ChildRows(rows, len(shape.columns), shape.record, weight_sql(shape.record, self.shown_children))
        self._children[number] = children
        sql = answer_sql(children, outer, number=number, shown=self.shown_children, version=self.version)
        return reference.child_relationship_name or "", sql, shape.record


def _selected(names: Names, item: Selected) -> Column:
    if isinstance(item.expr, Path) and item.alias is not None:
        problem = "only aggregate expressions use field aliasing"
        raise names.refusal("MALFORMED_QUERY", item.expr.at, problem)
    if isinstance(item.expr, Call) and item.expr.name.upper() in DATE_FUNCTIONS:  # only beside GROUP BY (rest.md 13.5)
        problem = f"Field must be grouped or aggregated: {expression_text(item.expr)}"
        raise names.refusal("MALFORMED_QUERY", item.expr.at, problem)
    return column_of(names, item.expr)


def _is_named_like_its_field(call: Call) -> bool:
    return call.name.upper() in NAMED_LIKE_THEIR_FIELD


def _expanded(names: Names, query: Query, item: FieldsOf) -> list[Column]:
    """The fields of FIELDS(); all and custom ones only for few rows (rest.md 13.4)."""
    few = (query.limit is not None and query.limit <= MAX_FIELDS_LIMIT) or _asks_for_few_ids(query.where)
    if item.group != "STANDARD" and not few:
        problem = f"The SOQL FIELDS function must have a LIMIT of at most {MAX_FIELDS_LIMIT}"
        raise names.refusal("MALFORMED_QUERY", item.at, problem)
    chosen = [one for one in names.obj if item.group == "ALL" or one.custom == (item.group == "CUSTOM")]
    if not chosen:
        problem = "'FIELDS(...)' expansion function must result in at least one field being selected."
        raise names.refusal("MALFORMED_QUERY", item.at, problem)
    return [names.column(Path((one.name,), item.at)) for one in chosen]


def _asks_for_few_ids(where: Condition | None) -> bool:
    """Does the whole condition let at most 200 ids through?"""
    if isinstance(where, Logic):
        return where.op == "AND" and any(_asks_for_few_ids(one) for one in where.terms)
    if isinstance(where, Comparison):
        return where.op == "=" and _is_id(where.left)
    if not isinstance(where, Membership) or where.op != "IN" or isinstance(where.values, Query):
        return False
    return _is_id(where.left) and len(where.values) <= MAX_FIELDS_LIMIT


def _is_id(expr: Path | Call) -> bool:
    return isinstance(expr, Path) and len(expr.parts) == 1 and expr.text.casefold() == "id"


def _check_clauses(names: Names, query: Query) -> None:
    if query.offset is not None and query.offset > MAX_OFFSET:
        raise ServiceError(400, "NUMBER_OUTSIDE_VALID_RANGE", f"Maximum SOQL offset allowed is {MAX_OFFSET}")
    if query.all_rows:  # recorded in an issue of SoqlX: queryAll is the way of the API
        raise ServiceError(400, "MALFORMED_QUERY", "ALL ROWS not allowed in this context")
    if "UPDATE" in query.for_clauses:  # only in Apex (rest.md 13.6); the text is a guess after that of ALL ROWS
        raise ServiceError(400, "MALFORMED_QUERY", "FOR UPDATE not allowed in this context")
    if query.count_only and query.order_by:  # rest.md 13.5; the text is a guess
        raise names.refusal("MALFORMED_QUERY", query.order_by[0].expr.at, "Ordering is not allowed with COUNT()")
    if query.having is not None and query.group_by is None:  # refused by the parser soql-parser-js too
        raise names.refusal("MALFORMED_QUERY", query.source.at, "unexpected token: 'HAVING'")
    if query.with_clause is not None:
        _check_with(names, query, query.with_clause.upper())


def _check_with(names: Names, query: Query, clause: str) -> None:
    """The user of this org may see every record and field, so what restricts access changes nothing here."""
    if clause in _SECURITY_WITH or clause.startswith("RECORDVISIBILITYCONTEXT"):
        return
    if clause.startswith("DATA CATEGORY"):  # only articles and questions have categories; the text is a guess
        problem = f"WITH DATA CATEGORY is not supported for the object {names.obj.name}"
        raise names.refusal("MALFORMED_QUERY", query.source.at, problem)
    raise names.refusal("MALFORMED_QUERY", query.source.at, f"unexpected token: '{clause.split(maxsplit=1)[0]}'")


def _order(names: Names, query: Query) -> str:
    """ORDER BY; nulls come first in both directions unless the query says else, and Id decides at last."""
    keys = [key for one in query.order_by for key in _ordering(names, one)]
    if names.obj.field("Id") is not None:
        keys.append(f'{names.alias}."Id"')
    return f" ORDER BY {', '.join(keys)}" if keys else ""


def _ordering(names: Names, ordering: Ordering) -> list[str]:
    if isinstance(ordering.expr, Call) and ordering.expr.name.upper() in NAMED_LIKE_THEIR_FIELD:  # rest.md 13.5
        raise names.refusal("MALFORMED_QUERY", ordering.expr.at, f"{ordering.expr.name} can not be used in ORDER BY")
    column = column_of(names, ordering.expr)
    if not column.field.sortable or column.field.type in COMPOUND_TYPES:
        problem = f"field '{column.field.name}' can not be sorted in a query call"
        raise names.refusal("INVALID_FIELD", ordering.expr.at, problem)
    direction = "DESC" if ordering.descending else "ASC"
    return [f"{key} {direction} NULLS {ordering.nulls or 'FIRST'}" for key in order_key(column)]

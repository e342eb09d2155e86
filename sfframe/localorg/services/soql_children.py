"""Child sub-queries as SQL: the JSON of each parent's child rows, its first page and the rest (rest.md 5, 13.4)."""

from __future__ import annotations

from dataclasses import dataclass

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services import query_json
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.soql_names import Names, unknown_relationship
from sfframe.localorg.services.soql_shape import Children, Record, Shape
from sfframe.localorg.store.store import quoted
from sfframe.soql import Query, SubQuery

MAX_SUBQUERIES = 20  # rest.md 13.4
_LEVELS = (2, 5)  # of objects from the root down, up to v57 and since v58 (rest.md 13.4)
_DEEP_SINCE = 58.0
PARENT = "\x01"  # stands in SQL for the id of the parent
# Stands in JSON for the URL of a child query's further rows; no JSON text holds this character as it is.
LINK = "\x02"


@dataclass(frozen=True, slots=True)
class ChildRows:
    """The rows of one child sub-query: SQL with ``PARENT`` where the parent's id belongs, and their record."""

    rows_sql: str
    columns: int
    record: Record
    weight_sql: str


def check_number(names: Names, query: Query) -> None:
    """Refuse more than 20 sub-queries, those of sub-queries included; the text is a guess."""
    if _number(query) > MAX_SUBQUERIES:
        problem = f"a query may have at most {MAX_SUBQUERIES} child sub-queries"
        raise names.refusal("MALFORMED_QUERY", query.source.at, problem)


def _number(query: Query) -> int:
    return sum(1 + _number(item.query) for item in query.select if isinstance(item, SubQuery))


def check_depth(names: Names, item: SubQuery, *, depth: int, version: str) -> None:
    """Refuse what is nested too deep; ``depth`` is 1 below the root. The text is remembered."""
    levels = _LEVELS[float(version.removeprefix("v")) >= _DEEP_SINCE]
    if depth >= levels:
        problem = (
            f"SOQL statements cannot query aggregate relationships more than {levels - 1} "
            f"level{'s' if levels > 2 else ''} away from the root entity object."
        )
        raise names.refusal("MALFORMED_QUERY", item.at, problem)


def child_of(outer: Names, outer_query: Query, inner: Query) -> tuple[ObjectDef, FieldDef]:
    """The child object of a relationship, and its field that points at the parent."""
    prefix, _, wanted = inner.source.name.rpartition(".")
    # Recorded: (SELECT ... FROM Account.Contacts) FROM Account; an alias of the object does as well.
    is_own = prefix.casefold() in {"", outer.obj.name.casefold(), (outer_query.source.alias or "").casefold()}
    found = [
        pair
        for pair in outer.store.catalogue.children_of(outer.obj)
        if (pair[1].child_relationship_name or "").casefold() == wanted.casefold()
    ]
    if not found or not is_own:
        raise unknown_relationship(outer.text, inner.source.name, inner.source.at, child=True)
    return found[0]


def check_clauses(outer: Names, outer_query: Query, item: SubQuery) -> None:
    """Refuse what a sub-query may not have (rest.md 13.1, 13.4)."""
    inner = item.query
    if inner.count_only or inner.group_by is not None:
        raise _malformed(outer, item, "aggregates are not allowed in a child sub-query")
    if inner.scope is not None:
        raise _malformed(outer, item, "USING SCOPE is not allowed in a child sub-query")
    if inner.offset is not None and outer_query.limit != 1:
        raise _malformed(outer, item, "OFFSET in a sub-query needs LIMIT 1 in the outer query")


def answer_sql(children: ChildRows, outer: Names, *, number: int, shown: int, version: str) -> str:
    """The SQL of ``{text, rows}`` by row of ``outer``; ``text`` is null without rows (rest.md 5)."""
    rows = children.rows_sql.replace(PARENT, f'{outer.alias}."Id"')
    record = query_json.record_sql(children.record, version)
    records = f"string_agg({record}, ',' ORDER BY place) FILTER (WHERE place <= {shown})"
    link = f'\',"done":false,"nextRecordsUrl":"{LINK}{number}:\' || {outer.alias}."Id" || \'-{shown}{LINK}"\''
    done = f"CASE WHEN count(*) > {shown} THEN {link} ELSE ',\"done\":true' END"
    text = f"'{{\"totalSize\":' || count(*) || {done} || ',\"records\":[' || {records} || ']}}'"
    return f"(SELECT {{'text': CASE WHEN count(*) > 0 THEN {text} END, 'rows': count(*)}} FROM ({rows}))"


def weight_sql(record: Record, shown: int) -> str:
    """How many rows of a page the row takes up: itself and the child rows that are shown with it (rest.md 1.3)."""
    counts = [f" + least(c{one.column}.rows, {shown})" for one in record.items if isinstance(one, Children)]
    return "1" + "".join(counts)


def rows_sql(
    shape: Shape, names: Names, reference: FieldDef, *, conditions: list[str], order: str, query: Query
) -> str:
    """The rows of all children of ``PARENT``, numbered from 1 as ``place``."""
    columns = ", ".join(f"{sql} AS c{number}" for number, sql in enumerate(shape.columns))
    limit = "" if query.limit is None else f" LIMIT {min(query.limit, 2**62)}"
    offset = "" if query.offset is None else f" OFFSET {query.offset}"
    points_here = f"{names.alias}.{quoted(reference.name)} = {PARENT}"
    # Numbered after LIMIT and OFFSET, so that the first row that is shown has the number 1.
    rows = (
        f"SELECT {columns}, row_number() OVER ({order.strip()}) AS original {names.source_sql()} "
        f"WHERE {' AND '.join([points_here, *conditions])}{order}{limit}{offset}"
    )
    return f"SELECT *, row_number() OVER (ORDER BY original) AS place FROM ({rows})"


def _malformed(outer: Names, item: SubQuery, problem: str) -> ServiceError:
    return outer.refusal("MALFORMED_QUERY", item.at, problem)

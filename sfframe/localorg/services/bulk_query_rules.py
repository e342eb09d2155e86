"""What a bulk query may select, and how its cells are spelled (bulk2.md 4.7 and 4.8)."""

from __future__ import annotations

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query import compile_text
from sfframe.localorg.services.soql_aggregate import is_aggregate
from sfframe.localorg.services.soql_names import Column
from sfframe.localorg.services.soql_sql import Statement
from sfframe.localorg.store.store import COMPOUND_TYPES, Store
from sfframe.soql import FieldsOf, SubQuery, TypeOf

SORTED_BELOW = 50.0  # before this version the columns came in alphabetical order (bulk2.md 4.8)


def compile_bulk(store: Store, text: str, version: str, *, all_rows: bool) -> Statement:
    """The statement of a bulk query; what bulk refuses beyond REST is refused here."""
    try:
        statement = compile_text(store, text, version, all_rows=all_rows)
    except ServiceError as error:
        raise ServiceError(error.status, error.code, error.message, code_first=True) from error
    problem = _problem(statement)
    if problem is not None:
        raise ServiceError(400, "API_ERROR", problem, code_first=True)
    return statement


def _problem(statement: Statement) -> str | None:
    query = statement.query
    if any(isinstance(item, SubQuery) for item in query.select):
        return "Aggregate Relationships not supported in Bulk V2 Query with CSV content type"
    if query.count_only or is_aggregate(query):
        return "Implementation restriction: aggregate functions and GROUP BY are not supported in Bulk Query"
    if query.offset is not None:
        return "Implementation restriction: OFFSET is not supported in Bulk Query"
    if any(isinstance(item, TypeOf | FieldsOf) for item in query.select):
        return "Implementation restriction: TYPEOF and FIELDS() are not supported in Bulk Query"
    types = {column.field.type for column in statement.outputs}
    if types & COMPOUND_TYPES:
        return "Selecting compound data not supported in Bulk Query"
    if "base64" in types:
        return "Implementation restriction: selecting binary fields is not supported in Bulk Query"
    return None


def result_columns(statement: Statement, version: str) -> list[tuple[str, str]]:
    """The name and the SQL of every column of the result, cells as text that is never null."""
    columns = [(column.name, _cell(column)) for column in statement.outputs]
    return sorted(columns) if float(version.removeprefix("v")) < SORTED_BELOW else columns


def _cell(column: Column) -> str:
    sql = column.sql
    match column.field.type:
        case "boolean":
            text = f"CAST(coalesce({sql}, false) AS VARCHAR)"
            if column.parents:
                text = f"CASE WHEN {column.parents[-1].id_sql} IS NOT NULL THEN {text} END"
        case "int" | "long":
            text = f"CAST({sql} AS VARCHAR)"
        case "double" | "currency" | "percent":
            text = f"java_double({sql})"
        case "date":
            text = f"CAST({sql} AS VARCHAR)"
        case "datetime":
            text = f"strftime({sql}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        case "time":
            text = f"strftime(DATE '2000-01-01' + {sql}, '%H:%M:%S.%gZ')"
        case _:
            text = sql
    return f"coalesce({text}, '')"

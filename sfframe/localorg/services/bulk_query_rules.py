"""What a bulk query may select, and how its cells are spelled (bulk2.md 4.7 and 4.8)."""

from __future__ import annotations

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services import definitions
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query import compile_text
from sfframe.localorg.services.soql_aggregate import is_aggregate
from sfframe.localorg.services.soql_names import Column
from sfframe.localorg.services.soql_sql import Statement
from sfframe.localorg.store.store import COMPOUND_TYPES, Store
from sfframe.soql import FieldsOf, SubQuery, TypeOf

SORTED_BELOW = 50.0  # before this version the columns came in alphabetical order (bulk2.md 4.8)


# No bulk API takes them (issue airbyte, bulk2.md 4.7; the list is that of Meltano's tap and airbyte's source), nor what
# shows definitions (a guess).
_UNSUPPORTED = frozenset(
    {
        *("AcceptedEventRelation", "AssetTokenEvent", "AttachedContentNote", "CaseStatus", "ContractStatus"),
        *("DeclinedEventRelation", "EventWhoRelation", "FieldSecurityClassification", "OrderStatus", "PartnerRole"),
        *("QuoteTemplateRichTextData", "RecentlyViewed", "ServiceAppointmentStatus", "SolutionStatus"),
        *("TaskPriority", "TaskStatus", "TaskWhoRelation", "UndecidedEventRelation", *definitions.NAMES),
    }
)


def unsupported(obj: ObjectDef) -> str | None:
    """What is said of an object that no bulk API takes."""
    return f"Entity '{obj.name}' is not supported by the Bulk API." if obj.name in _UNSUPPORTED else None


def compile_bulk(store: Store, text: str, version: str, *, all_rows: bool) -> Statement:
    """The statement of a bulk query; what bulk refuses beyond REST is refused here."""
    try:
        statement = compile_text(store, text, version, all_rows=all_rows)
    except ServiceError as error:
        raise ServiceError(error.status, error.code, error.message, code_first=True) from error
    problem = unsupported(statement.obj)
    if problem is not None:
        raise ServiceError(400, "INVALIDENTITY", problem, code_first=True)
    problem = refused_in_bulk(statement)
    if problem is not None:
        raise ServiceError(400, "API_ERROR", problem, code_first=True)
    return statement


def refused_in_bulk(statement: Statement, *, first_api: bool = False, typeof: bool = False) -> str | None:
    """Why a bulk query may not select this, in ``first_api`` in the words of Bulk API 1.0; ``typeof`` allows TYPEOF."""
    query = statement.query
    if any(isinstance(item, SubQuery) for item in query.select):
        place = "Bulk Query" if first_api else "Bulk V2 Query with CSV content type"
        return f"Aggregate Relationships not supported in {place}"
    if query.count_only or is_aggregate(query):
        return "Implementation restriction: aggregate functions and GROUP BY are not supported in Bulk Query"
    if query.offset is not None:
        return "Implementation restriction: OFFSET is not supported in Bulk Query"
    if any(isinstance(item, FieldsOf) or (isinstance(item, TypeOf) and not typeof) for item in query.select):
        return "Implementation restriction: TYPEOF and FIELDS() are not supported in Bulk Query"
    types = {column.field.type for column in statement.outputs}
    if types & COMPOUND_TYPES:
        return "Selecting compound data not supported in Bulk Query"
    if "base64" in types:
        return "Implementation restriction: selecting binary fields is not supported in Bulk Query"
    return None


def result_columns(statement: Statement, version: str) -> list[tuple[str, str]]:
    """The name and the SQL of every column of the result, cells as text that is never null."""
    columns = cells(statement)
    return sorted(columns) if float(version.removeprefix("v")) < SORTED_BELOW else columns


def cells(statement: Statement) -> list[tuple[str, str]]:
    """The name and the SQL of every selected column in the query's order, cells as text that is never null."""
    return [(column.name, _cell(column)) for column in statement.outputs]


def _cell(column: Column) -> str:
    text = text_sql(column.field, column.sql)
    if column.field.type == "boolean" and column.parents:
        text = f"CASE WHEN {column.parents[-1].id_sql} IS NOT NULL THEN {text} END"
    return f"coalesce({text}, '')"


def text_sql(field: FieldDef, sql: str) -> str:
    """SQL: a value as bulk results spell it (bulk2.md 4.8); null stays null, but for checkboxes."""
    match field.type:
        case "boolean":
            return f"CAST(coalesce({sql}, false) AS VARCHAR)"
        case "int" | "long" | "date":
            return f"CAST({sql} AS VARCHAR)"
        case "double" | "currency" | "percent":
            return f"java_double({sql})"
        case "datetime":
            return f"strftime({sql}, '%Y-%m-%dT%H:%M:%S.%gZ')"
        case "time":
            return f"strftime(DATE '2000-01-01' + {sql}, '%H:%M:%S.%gZ')"
        case _:
            return sql

"""Query batches of Bulk API 1.0: what they may ask, and their result as one CSV, JSON or XML file (bulk1.md 4)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import duckdb

from sfframe.localorg.services import bulk1_query_xml, bulk_query_rules
from sfframe.localorg.services.bulk1_errors import BatchFault
from sfframe.localorg.services.bulk1_jobs import Job
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.problems import literal
from sfframe.localorg.services.query import compile_text
from sfframe.localorg.services.query_json import record_sql
from sfframe.localorg.services.soql_shape import Branches, Leaf, Record
from sfframe.localorg.services.soql_sql import Statement
from sfframe.localorg.services.soql_values import DAY_TYPES
from sfframe.localorg.store.store import Store

NO_RECORDS = "Records not found for this query"  # in place of a CSV file without rows (bulk1.md 4)
_MOST_FILES = 15  # bulk1.md 4


def compile_query(store: Store, job: Job, text: str) -> Statement:
    """The statement of a query batch; raises BatchFault in the words of its ``stateMessage``."""
    try:
        statement = compile_text(store, text, _version(job), all_rows=job.operation == "queryAll")
    except ServiceError as error:
        raise _failed(error.code, error.message) from error
    if statement.obj.name != job.object:
        # simple-salesforce#502
        words = (
            f"The root entity of the requested query ({statement.obj.name}) does not match the entity of the "
            f"requested Bulk API Job ({job.object})."
        )
        raise _failed("INVALID_TYPE_FOR_OPERATION", words)
    # TYPEOF is recorded in JSON; a flat file has no place for it (bulk1.md 4).
    problem = bulk_query_rules.refused_in_bulk(statement, first_api=True, typeof=job.content_type == "JSON")
    if problem is not None:
        raise _failed("FUNCTIONALITY_NOT_ENABLED", problem)
    return statement


def write(
    cursor: duckdb.DuckDBPyConnection,
    job: Job,
    statement: Statement,
    path: Callable[[int], Path],
    file_rows: int | None,
) -> tuple[int, int]:
    """Write the result into files of so many rows; answers how many rows and how many files there are."""
    if job.content_type == "CSV":
        head, line, tail = _csv(statement)
        between, empty = "", NO_RECORDS
    elif job.content_type == "JSON":
        head, line, tail = _json(statement, _version(job))
        between, empty = ",", "[]"
    else:
        head, line, tail = bulk1_query_xml.document(statement)
        between, empty = "", head + tail
    numbered = f"SELECT row_number() OVER () AS place, line FROM ({line})"
    if file_rows is None:
        return _write_file(cursor, numbered, path(0), (head, between, tail, empty)), 1
    stored = f"CREATE OR REPLACE TEMP TABLE bulk1_lines AS {numbered}"
    rows = cursor.execute(stored).fetchall()[0][0]
    files = max(-(-rows // file_rows), 1)
    if files > _MOST_FILES:
        raise BatchFault("InternalServerError : Retried more than fifteen times")  # which words come then is a guess
    for at in range(files):
        before = at * file_rows
        these = f"place > {before} AND place <= {before + file_rows}"
        some = f"SELECT place - {before} AS place, line FROM bulk1_lines WHERE {these}"
        _write_file(cursor, some, path(at), (head, between, tail, empty))
    return rows, files


def _write_file(cursor: duckdb.DuckDBPyConnection, numbered: str, path: Path, words: tuple[str, str, str, str]) -> int:
    """Write lines into one file and answer how many; every file is a whole document with its own header."""
    head, between, tail, empty = words
    lines = f"SELECT CASE place WHEN 1 THEN {literal(head)} ELSE {literal(between)} END || line FROM ({numbered})"
    # Without quote, escape and delimiter DuckDB writes the lines as they are.
    rows = cursor.execute(
        f"COPY ({lines} ORDER BY place) TO {literal(str(path))} "
        "(FORMAT csv, HEADER false, QUOTE '', ESCAPE '', DELIMITER '')"
    ).fetchall()[0][0]
    if not rows:
        path.write_text(empty, encoding="utf-8")
    elif tail:
        with path.open("ab") as file:
            file.write(tail.encode())
    return int(rows)


def _csv(statement: Statement) -> tuple[str, str, str]:
    columns = bulk_query_rules.cells(statement)
    head = ",".join(f'"{name}"' for name, _ in columns) + "\n"
    escaped = ", ".join(f"replace(c{at}, '\"', '\"\"')" for at in range(len(columns)))
    rows = statement.select_sql([sql for _, sql in columns])
    return head, f"SELECT '\"' || concat_ws('\",\"', {escaped}) || '\"' AS line FROM ({rows})", ""


def _json(statement: Statement, version: str) -> tuple[str, str, str]:
    """Dates and moments are epoch milliseconds (bulk1.md 4), so their columns become numbers."""
    columns = list(statement.columns)
    for at in _days(statement.record):
        columns[at] = f"epoch_ms(CAST({columns[at]} AS TIMESTAMP))"
    record = record_sql(_with_numbers(statement.record), version)
    return "[", f"SELECT {record} AS line FROM ({statement.select_sql(columns)})", "]"


def _days(record: Record) -> set[int]:
    """The columns with a date or a moment."""
    found: set[int] = set()
    for item in record.items:
        if isinstance(item, Leaf) and item.field.type in DAY_TYPES:
            found.add(item.column)
        elif isinstance(item, Branches):
            found.update(*(_days(one) for one in item.records))
        elif isinstance(item, Record):
            found |= _days(item)
    return found


def _with_numbers(record: Record) -> Record:
    """The record with every date a number, which is written without quotes."""
    shown = replace(record, items=[])
    for item in record.items:
        if isinstance(item, Leaf) and item.field.type in DAY_TYPES:
            shown.items.append(replace(item, field=replace(item.field, type="long")))
        elif isinstance(item, Branches):
            shown.items.append(replace(item, records=tuple(_with_numbers(one) for one in item.records)))
        else:
            shown.items.append(_with_numbers(item) if isinstance(item, Record) else item)
    return shown


def _version(job: Job) -> str:
    return f"v{job.api_version}"


def _failed(code: str, message: str) -> BatchFault:
    return BatchFault(f"InvalidBatch : Failed to process query: {code}: {message}")  # ForceCLI/force#531

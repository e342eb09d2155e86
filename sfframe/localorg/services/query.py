"""QueryService: SOQL over REST, page by page (rest.md 5)."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import duckdb

from sfframe.errors import SoqlSyntaxError
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query_columns import column_metadata
from sfframe.localorg.services.query_json import record_sql
from sfframe.localorg.services.soql_aggregate import is_aggregate
from sfframe.localorg.services.soql_shape import Record
from sfframe.localorg.services.soql_sql import Compiler, Statement
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store
from sfframe.soql import excerpt, offset_of, parse

MAX_OPEN = 10  # open locators; the oldest is dropped (rest.md 5)
PAGE_ROWS = (200, 2_000)  # the bounds of batchSize (rest.md 1.3)
_LOCATOR = re.compile(r"(0r8\w{12}(?:\w{3})?)-(\d{1,12})", re.ASCII)


def compile_text(store: Store, text: str, version: str, *, all_rows: bool = False) -> Statement:
    """Parse and compile; what the parser refuses is MALFORMED_QUERY in the service's form."""
    if not text.strip():
        raise ServiceError(400, "MALFORMED_QUERY", "A query string has to be specified")
    try:
        query = parse(text)
    except SoqlSyntaxError as error:
        raise ServiceError(400, "MALFORMED_QUERY", _syntax_message(text, error)) from error
    return Compiler(store, text, version=version, all_rows=all_rows).compile(query)


def _syntax_message(text: str, error: SoqlSyntaxError) -> str:
    offset = offset_of(text, error.row, error.column)
    if not text[:offset].strip():
        # Recorded without a position and without quotes: "unexpected token: SELEKT" (rest.md 12).
        return error.problem.replace("'", "")
    return f"\n{excerpt(text, offset)}\n{error.problem}"


@dataclass(slots=True)
class _Snapshot:
    """The rows of one query as they were: a temporary table, which lives as long as its cursor."""

    cursor: duckdb.DuckDBPyConnection
    record: Record
    rows: int
    page_rows: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    def page(self, start: int, version: str) -> list[str]:
        sql = (
            f"SELECT {record_sql(self.record, version)} FROM snapshot "
            f"WHERE place >= {start} AND place < {start + self.page_rows} ORDER BY place"
        )
        with self.lock:
            return [row[0] for row in self.cursor.execute(sql).fetchall()]

    def close(self) -> None:
        with self.lock:
            self.cursor.close()


class QueryService:
    """Answers queries as JSON text. ``version`` is the API version as it stands in a path, ``v66.0``."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._snapshots: OrderedDict[str, _Snapshot] = OrderedDict()
        self._lock = threading.Lock()

    def query(self, text: str, version: str, *, all_rows: bool = False, page_rows: int | None = None) -> str:
        """The first page. ``page_rows`` is what the caller asked for; it is cut to what the service allows.

        A result that does not fit into one page is kept as a snapshot, so that its pages fit together whatever is
        written in between.
        """
        statement = compile_text(self._store, text, version, all_rows=all_rows)
        if statement.query.count_only:
            return _answer(self._count(statement), [], None)
        size = self._settings.query_page_rows
        if page_rows is not None:
            size = min(max(page_rows, PAGE_ROWS[0]), PAGE_ROWS[1])
        with self._store.cursor() as cursor:
            record = record_sql(statement.record, version)
            sql = f"SELECT {record} FROM ({statement.select_sql()}) LIMIT {size + 1}"
            records = [row[0] for row in cursor.execute(sql).fetchall()]
        if len(records) <= size:
            return _answer(len(records), records, None)
        if is_aggregate(statement.query):
            problem = (
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
            )
            raise ServiceError(400, "EXCEEDED_ID_LIMIT", problem)
        locator, snapshot = self._keep(statement, size)
        return self._page(locator, snapshot, 0, version)

    def more(self, locator: str, version: str) -> str:
        """The page that ``nextRecordsUrl`` names; any offset of an open locator can be asked for, in any order."""
        found = _LOCATOR.fullmatch(locator)
        key = id18(found[1]) if found else None
        with self._lock:
            snapshot = self._snapshots.get(key or "")
        start = int(found[2]) if found else 0
        if key is None or snapshot is None or start >= snapshot.rows:
            raise ServiceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator")
        return self._page(key, snapshot, start, version)

    def columns(self, text: str, version: str, *, all_rows: bool = False) -> dict[str, Any]:
        """What the query's columns are."""
        return column_metadata(compile_text(self._store, text, version, all_rows=all_rows))

    def explain(self, text: str, version: str) -> dict[str, Any]:
        """The query's plan: this org always scans a table (rest.md 5)."""
        statement = compile_text(self._store, text, version)
        with self._store.cursor() as cursor:
            rows = cursor.execute(f"SELECT count(*) FROM {self._store.table(statement.obj)}").fetchall()[0][0]
        plan = {
            "cardinality": self._count(statement),
            "fields": [],
            "leadingOperationType": "TableScan",
            "notes": [],
            "relativeCost": 1.0,
            "sobjectCardinality": rows,
            "sobjectType": statement.obj.name,
        }
        return {"plans": [plan], "sourceQuery": text}

    def close(self) -> None:
        """Forget all open locators; call it before the store is closed."""
        with self._lock:
            snapshots = list(self._snapshots.values())
            self._snapshots.clear()
        for snapshot in snapshots:
            snapshot.close()

    def _count(self, statement: Statement) -> int:
        with self._store.cursor() as cursor:
            return int(cursor.execute(statement.count_sql()).fetchall()[0][0])

    def _keep(self, statement: Statement, page_rows: int) -> tuple[str, _Snapshot]:
        cursor = self._store.cursor()
        try:
            cursor.execute(
                "CREATE TEMP TABLE snapshot AS "
                f"SELECT row_number() OVER () - 1 AS place, * FROM ({statement.select_sql()})"
            )
            rows = int(cursor.execute("SELECT count(*) FROM snapshot").fetchall()[0][0])
        except BaseException:
            cursor.close()
            raise
        snapshot = _Snapshot(cursor, statement.record, rows, page_rows)
        locator = self._store.new_id("0r8")
        with self._lock:
            self._snapshots[locator] = snapshot
            dropped = self._snapshots.popitem(last=False)[1] if len(self._snapshots) > MAX_OPEN else None
        if dropped is not None:
            dropped.close()
        return locator, snapshot

    def _page(self, locator: str, snapshot: _Snapshot, start: int, version: str) -> str:
        try:
            records = snapshot.page(start, version)
        except duckdb.ConnectionException as error:  # dropped since it was found
            raise ServiceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from error
        end = start + len(records)
        following = f"/services/data/{version}/query/{locator}-{end}" if end < snapshot.rows else None
        return _answer(snapshot.rows, records, following)


def _answer(total: int, records: list[str], following: str | None) -> str:
    done = "true" if following is None else f'false,"nextRecordsUrl":"{following}"'
    return f'{{"totalSize":{total},"done":{done},"records":[{",".join(records)}]}}'

"""QueryService: SOQL over REST, page by page (rest.md 5)."""

from __future__ import annotations

import re
import threading
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import Any

import duckdb

from sfframe.errors import SoqlSyntaxError
from sfframe.localorg.services import definitions
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query_columns import column_metadata
from sfframe.localorg.services.query_json import record_sql
from sfframe.localorg.services.required_filters import refuse_unfiltered
from sfframe.localorg.services.soql_aggregate import is_aggregate
from sfframe.localorg.services.soql_children import LINK, PARENT, ChildRows
from sfframe.localorg.services.soql_shape import Record
from sfframe.localorg.services.soql_sql import Compiler, Statement
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store, quoted
from sfframe.soql import excerpt, offset_of, parse

MAX_OPEN = 10  # open locators; the oldest is dropped (rest.md 5)
PAGE_ROWS = (200, 2_000)  # the bounds of batchSize (rest.md 1.3)
# Rows of a page of parents and children together. Clients report child pages of 499 and 199 rows (simple-salesforce
# issue 311, jsforce issue 577 and pull request 1752): the parent is one of 500, or of 200 with batchSize=200.
SUBQUERY_ROWS = 500
LONG_TEXT_ROWS = 200  # of a page with two or more custom long text fields (rest.md 1.3)
_LINK = re.compile(f"{LINK}([0-9]+):([0-9A-Za-z]+)-([0-9]+){LINK}")
_UNINDEXED = {  # rest.md 5
    "description": "Not considering filter for optimization because unindexed",
    "fields": ["IsDeleted"],
}
_LOCATOR = re.compile(r"(0r8\w{12}(?:\w{3})?)-(\d{1,12})", re.ASCII)


def compile_text(
    store: Store, text: str, version: str, *, all_rows: bool = False, shown_children: int = SUBQUERY_ROWS - 1
) -> Statement:
    """Parse and compile; what the parser refuses is MALFORMED_QUERY in the service's form."""
    if not text.strip():
        raise ServiceError(400, "MALFORMED_QUERY", "A query string has to be specified")
    try:
        query = parse(text)
    except SoqlSyntaxError as error:
        raise ServiceError(400, "MALFORMED_QUERY", _syntax_message(text, error)) from error
    refuse_unfiltered(query)
    definitions.prepare(store, query, text)
    compiler = Compiler(store, text, version=version, all_rows=all_rows, shown_children=shown_children)
    return compiler.compile(query)


def _syntax_message(text: str, error: SoqlSyntaxError) -> str:
    offset = offset_of(text, error.row, error.column)
    if not text[:offset].strip():
        # Recorded without a position and without quotes: "unexpected token: SELEKT" (rest.md 12).
        return error.problem.replace("'", "")
    return f"\n{excerpt(text, offset)}\n{error.problem}"


@dataclass(slots=True)
class _Snapshot:
    """The rows of one query as they were: a temporary table, which lives as long as its cursor.

    Its rows have a ``place`` from 0 and ``running``, the sum of their weights up to them.
    """

    cursor: duckdb.DuckDBPyConnection
    record: Record
    children: tuple[ChildRows, ...]
    rows: int
    page_rows: int
    lock: threading.Lock = field(default_factory=threading.Lock)

    @classmethod
    def take(
        cls, store: Store, rows_sql: str, *, weight_sql: str, record: Record, children: tuple[ChildRows, ...], size: int
    ) -> _Snapshot:
        """Run the query and keep its rows."""
        cursor = store.new_cursor()
        try:
            cursor.execute(
                "CREATE TEMP TABLE snapshot AS SELECT row_number() OVER () - 1 AS place, "
                f"sum({weight_sql}) OVER (ROWS UNBOUNDED PRECEDING) AS running, rows.* FROM ({rows_sql}) AS rows"
            )
            rows = int(cursor.execute("SELECT count(*) FROM snapshot").fetchall()[0][0])
        except BaseException:
            cursor.close()
            raise
        return cls(cursor, record, children, rows, size)

    def page(self, start: int, version: str) -> list[str]:
        """The records from a place on: as many as weigh no more than a page, and one at least."""
        before = f"(SELECT coalesce(max(running), 0) FROM snapshot WHERE place < {start})"
        sql = (
            f"SELECT {record_sql(self.record, version)} FROM snapshot WHERE place = {start} "
            f"OR (place > {start} AND running <= {before} + {self.page_rows}) ORDER BY place"
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
        size = self._settings.query_page_rows
        if page_rows is not None:
            size = min(max(page_rows, PAGE_ROWS[0]), PAGE_ROWS[1])
        shown = min(size, SUBQUERY_ROWS) - 1
        statement = compile_text(self._store, text, version, all_rows=all_rows, shown_children=shown)
        if statement.query.count_only:
            return _answer(self._count(statement), [], None)
        if is_aggregate(statement.query):
            return self._groups(statement, version)
        if statement.query.for_clauses:
            self._mark_viewed(statement)
        if statement.children:
            return self._with_children(statement, shown + 1, version)
        if _long_texts(statement) > 1:
            size = min(size, LONG_TEXT_ROWS)
        records = self._first_rows(statement, size + 1, version)
        if len(records) <= size:
            return _answer(len(records), records, None)
        snapshot = self._snapshot(statement, size)
        return self._page(self._keep(snapshot), snapshot, 0, version)

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
            "notes": [_UNINDEXED | {"tableEnumOrId": statement.obj.name}] if statement.obj.field("IsDeleted") else [],
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

    def _first_rows(self, statement: Statement, rows: int, version: str) -> list[str]:
        sql = f"SELECT {record_sql(statement.record, version)} FROM ({statement.select_sql()}) LIMIT {rows}"
        with self._store.cursor() as cursor:
            return [row[0] for row in cursor.execute(sql).fetchall()]

    def _groups(self, statement: Statement, version: str) -> str:
        """All groups; there are no further pages of them (rest.md 5)."""
        most = self._settings.query_page_rows
        records = self._first_rows(statement, most + 1, version)
        if len(records) > most:
            problem = (
                "Aggregate query does not support queryMore(), use LIMIT to restrict the results to a single batch"
            )
            raise ServiceError(400, "EXCEEDED_ID_LIMIT", problem)
        return _answer(len(records), records, None)

    def _with_children(self, statement: Statement, size: int, version: str) -> str:
        """The first page of a query with child sub-queries, whose rows count like those of their parents."""
        snapshot = self._snapshot(statement, size)
        try:
            records = self._linked(snapshot.page(0, version), snapshot.children, version)
            if len(records) == snapshot.rows:
                snapshot.close()
                return _answer(snapshot.rows, records, None)
        except BaseException:
            snapshot.close()
            raise
        following = f"/services/data/{version}/query/{self._keep(snapshot)}-{len(records)}"
        return _answer(snapshot.rows, records, following)

    def _linked(self, records: list[str], children: tuple[ChildRows, ...], version: str) -> list[str]:
        """The records with a locator of its own for every sub-query that has more rows than are shown."""

        def link(found: re.Match[str]) -> str:
            child = children[int(found[1])]
            rows_sql = child.rows_sql.replace(PARENT, f"'{found[2]}'")
            columns = ", ".join(f"c{number}" for number in range(child.columns))
            rows = f"SELECT {columns} FROM ({rows_sql}) ORDER BY place"
            size = int(found[3]) + 1
            snapshot = _Snapshot.take(
                self._store, rows, weight_sql=child.weight_sql, record=child.record, children=children, size=size
            )
            return f"/services/data/{version}/query/{self._keep(snapshot)}-{found[3]}"

        return [_LINK.sub(link, record) if LINK in record else record for record in records]

    def _mark_viewed(self, statement: Statement) -> None:
        """FOR VIEW and FOR REFERENCE leave their mark on the rows that are found (rest.md 13.6)."""
        marks = [f"Last{'Viewed' if word == 'VIEW' else 'Referenced'}Date" for word in statement.query.for_clauses]
        known = [quoted(name) for name in marks if statement.obj.field(name) is not None]
        if not known or statement.record.id_column is None:
            return
        assignments = ", ".join(f"{name} = $now" for name in known)
        found = f"SELECT c0 FROM ({statement.select_sql([statement.columns[statement.record.id_column]])})"
        with self._store.writing, self._store.cursor() as cursor:
            cursor.execute(
                f'UPDATE {self._store.table(statement.obj)} SET {assignments} WHERE "Id" IN ({found})',
                {"now": self._store.now()},
            )

    def _snapshot(self, statement: Statement, size: int) -> _Snapshot:
        return _Snapshot.take(
            self._store,
            statement.select_sql(),
            weight_sql=statement.weight_sql,
            record=statement.record,
            children=statement.children,
            size=size,
        )

    def _keep(self, snapshot: _Snapshot) -> str:
        """The locator under which the snapshot is found from now on."""
        locator = self._store.new_id("0r8")
        with self._lock:
            self._snapshots[locator] = snapshot
            dropped = self._snapshots.popitem(last=False)[1] if len(self._snapshots) > MAX_OPEN else None
        if dropped is not None:
            dropped.close()
        return locator

    def _page(self, locator: str, snapshot: _Snapshot, start: int, version: str) -> str:
        try:
            records = self._linked(snapshot.page(start, version), snapshot.children, version)
        except duckdb.ConnectionException as error:  # dropped since it was found
            raise ServiceError(400, "INVALID_QUERY_LOCATOR", "invalid query locator") from error
        end = start + len(records)
        following = f"/services/data/{version}/query/{locator}-{end}" if end < snapshot.rows else None
        return _answer(snapshot.rows, records, following)


def _long_texts(statement: Statement) -> int:
    """How many custom long text fields are selected."""
    return sum(
        one.field.custom and one.field.type == "textarea" and one.field.length > 255 for one in statement.outputs
    )


def _answer(total: int, records: list[str], following: str | None) -> str:
    done = "true" if following is None else f'false,"nextRecordsUrl":"{following}"'
    return f'{{"totalSize":{total},"done":{done},"records":[{",".join(records)}]}}'

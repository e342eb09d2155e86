"""CollectionService: up to 200 records of any objects in one call (rest.md 8.5)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody, unexpected
from sfframe.localorg.services.json_rows import NULL_MARK, Row, RowFault, RowReader, RunColumns
from sfframe.localorg.services.record_saving import Outcome, Problem, Save, save_rows
from sfframe.localorg.services.records import RecordService
from sfframe.localorg.services.task import Operation
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.store import Store

MAX_RECORDS = 200
MAX_RETRIEVED = 2_000
MAX_CHUNKS = 10
_ROLLED_BACK = Problem(
    "ALL_OR_NONE_OPERATION_ROLLED_BACK",
    "Record rolled back because not all records were valid and the request was using AllOrNone header",
    [],
)


@dataclass(frozen=True, slots=True)
class _Run:
    """Consecutive records of one object, whose rows have their columns in common: one save."""

    obj: ObjectDef | None
    rows: list[Row]


@dataclass(frozen=True, slots=True)
class _Saving:
    """What a call does with all its runs; ``key`` is the field that an upsert goes by."""

    operation: Operation
    key: FieldDef | None
    version: str


class RolledBack(Exception):
    """Raised through the transaction of a call with allOrNone, to undo it."""


class CollectionService:
    """``version`` is the API version as it stands in a path. All writing calls answer the rows' results in order.

    Inside of a composite with allOrNone a call is all-or-none, too (the developer guide's page on both parameters);
    what it wrote is undone by the composite.
    """

    def __init__(self, store: Store, records: RecordService) -> None:
        self._store = store
        self._records = records

    def write(self, operation: Operation, body: JsonBody, version: str) -> list[dict[str, object]]:
        """Create or update records."""
        records, all_or_none = self._request(body)
        runs = list(self._runs(records, body))
        return self._saved(runs, _Saving(operation, None, version), body, all_or_none=all_or_none)

    def upsert(self, name: str, key_name: str, body: JsonBody, version: str) -> list[dict[str, object]]:
        """Create or update records of one object by a key that stands in every record."""
        obj = self._records.object(name)
        key = self._records.key(obj, key_name)
        records, all_or_none = self._request(body)
        runs = list(self._runs(records, body))
        for run in runs:
            if run.obj is None or run.obj.name != obj.name:
                continue
            for row in run.rows:
                if key.name not in row.cells and key.name != "Id" and row.fault is None:
                    row.cells[key.name], row.keys[key.name] = NULL_MARK, (key.name,)
        wrong = RowFault("INVALID_TYPE", f"The record is not of the type {obj.name}")  # the words are a guess
        runs = [
            run
            if run.obj is None or run.obj.name == obj.name
            else _Run(None, [Row(row.path, fault=wrong) for row in run.rows])
            for run in runs
        ]
        return self._saved(runs, _Saving("upsert", key, version), body, all_or_none=all_or_none)

    def delete(self, ids: str | None, version: str, *, all_or_none: bool) -> list[dict[str, object]]:
        """Delete records of any objects, named by ids with commas in between."""
        given = [one.strip() for one in (ids or "").split(",") if one.strip()]
        _check_count(len(given), MAX_RECORDS)
        body = JsonBody.of([{"Id": one} for one in given])
        runs: list[_Run] = []
        for at, one in enumerate(given):
            complete = id18(one)
            obj = self._store.catalogue.by_prefix(one[:3]) if complete else None
            row = Row((at,), {"Id": complete or ""}, {"Id": ("Id",)})
            if obj is None:
                row = Row((at,), fault=RowFault("MALFORMED_ID", f"malformed id {one}"))  # recorded
            if runs and runs[-1].obj is obj:
                runs[-1].rows.append(row)
            else:
                runs.append(_Run(obj, [row]))
        return self._saved(runs, _Saving("delete", None, version), body, all_or_none=all_or_none)

    def retrieve(self, name: str, ids: list[str], fields: str, version: str) -> str:
        """Records as a JSON array in the order of the ids; null for every one that is not there."""
        obj = self._records.object(name)
        _check_count(len(ids), MAX_RETRIEVED)
        complete = [id18(one) for one in ids]
        for given, one in zip(ids, complete, strict=True):
            if one is None:
                raise ServiceError(400, "MALFORMED_ID", f"malformed id {given}")
        found = self._records.read_many(obj, [one for one in complete if one], fields, version)
        return f"[{','.join(found.get(one or '', 'null') for one in complete)}]"

    def _request(self, body: JsonBody) -> tuple[list[object], bool]:
        asked = body.expect_object()
        records = asked.get("records", [])
        if not isinstance(records, list):
            raise unexpected(body, ("records",), records)
        _check_count(len(records), MAX_RECORDS)
        return records, asked.get("allOrNone") is True

    def _runs(self, records: list[object], body: JsonBody) -> Iterator[_Run]:
        """The records as runs of one save each; more than ten changes of the object are refused (rest.md 8.5)."""
        readers: dict[str, RowReader] = {}
        objects: dict[str, ObjectDef | None] = {}
        current: _Run | None = None
        columns = RunColumns()
        chunks, last = 0, None
        for at, record in enumerate(records):
            path = ("records", at)
            if not isinstance(record, dict):
                raise unexpected(body, path, record)
            attributes = record.get("attributes")
            kind = attributes.get("type") if isinstance(attributes, dict) else None
            if not isinstance(kind, str):
                # The guide demands the type; what is said without it is a guess.
                raise ServiceError(400, "REQUIRED_FIELD_MISSING", "Each record needs attributes with a type")
            chunks, last = chunks + (kind.casefold() != last), kind.casefold()
            if chunks > MAX_CHUNKS:
                words = f"The request has more than {MAX_CHUNKS} chunks of records of one type"  # a guess
                raise ServiceError(400, "LIMIT_EXCEEDED", words)
            if kind not in objects:
                objects[kind] = self._store.catalogue.find(kind)
            obj = objects[kind]
            if obj is None:
                row = Row(path, fault=RowFault("INVALID_TYPE", f"sObject type '{kind}' is not supported."))
            else:
                if kind not in readers:
                    readers[kind] = RowReader(body, obj, self._store.catalogue)
                row = readers[kind].read(record, path)
            if current is None or current.obj is not obj or not columns.take(row):
                if current is not None:
                    yield current
                current, columns = _Run(obj, []), RunColumns()
                columns.take(row)
            current.rows.append(row)
        if current is not None:
            yield current

    def _saved(
        self, runs: list[_Run], saving: _Saving, body: JsonBody, *, all_or_none: bool
    ) -> list[dict[str, object]]:
        outcomes: list[Outcome] = []
        all_or_none = all_or_none or self._store.in_transaction
        try:
            with self._store.transaction():
                for run in runs:
                    outcomes += self._save(run, saving, body)
                if all_or_none and any(one.problem for one in outcomes):
                    raise RolledBack
        except RolledBack:
            # Recorded: a record that was rolled back has no id, not even one that it was sent with.
            outcomes = [one if one.problem else Outcome(None, created=False, problem=_ROLLED_BACK) for one in outcomes]
        return [one.result(saving.version, created=saving.operation == "upsert") for one in outcomes]

    def _save(self, run: _Run, saving: _Saving, body: JsonBody) -> list[Outcome]:
        if run.obj is None:
            faults = [row.fault for row in run.rows]
            return [Outcome(None, False, Problem(one.code, one.message, one.fields)) for one in faults if one]
        return save_rows(self._store, Save(run.obj, saving.operation, saving.key), run.rows, body)


def _check_count(count: int, most: int) -> None:
    if count == 0:
        raise ServiceError(400, "REQUIRED_FIELD_MISSING", "At least 1 record is required")  # recorded
    if count > most:
        words = f"record limit reached. cannot submit more than {most} records in this request"
        raise ServiceError(400, "EXCEEDED_ID_LIMIT", words)

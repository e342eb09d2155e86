"""TreeService: records that bring their children along (rest.md 8.4)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody, Path, unexpected
from sfframe.localorg.services.json_rows import Row, RowReader, RunColumns
from sfframe.localorg.services.record_saving import Outcome, Save, save_rows
from sfframe.localorg.services.records import RecordService
from sfframe.localorg.services.sobject_collections import RolledBack
from sfframe.localorg.store.store import Store

MAX_RECORDS, MAX_TYPES, MAX_DEPTH = 200, 5, 5


@dataclass(slots=True)
class _Node:
    """A record of the tree; ``reference`` is the field that points at its parent."""

    reference_id: str
    obj: ObjectDef
    row: Row
    parent: _Node | None
    reference: FieldDef | None
    depth: int
    outcome: Outcome | None = field(default=None)


class TreeService:
    """Saves trees level by level: all records of one object on one level are one save."""

    def __init__(self, store: Store, records: RecordService) -> None:
        self._store = store
        self._records = records

    def create(self, name: str, body: JsonBody, version: str) -> tuple[list[dict[str, object]], bool]:
        """Insert a forest of records; answers the results and whether there were errors: then only these are told."""
        obj = self._records.object(name)
        given = body.expect_object().get("records")
        if not isinstance(given, list):
            raise unexpected(body, ("records",) if given is not None else (), given)
        nodes = list(_Reader(self._store, body).nodes(given, ("records",), obj))
        _check(nodes)
        failed: list[_Node] = []
        try:
            with self._store.transaction():
                for depth in range(1, MAX_DEPTH + 1):
                    level = [node for node in nodes if node.depth == depth]
                    self._save(level, body)
                    failed = [node for node in level if node.outcome and node.outcome.problem]
                    if failed:
                        raise RolledBack
        except RolledBack:
            return [_failure(node, version) for node in failed], True
        ordered = sorted(nodes, key=lambda node: node.depth)  # by level, as the guide shows
        return [{"referenceId": node.reference_id, "id": node.outcome and node.outcome.id} for node in ordered], False

    def _save(self, level: list[_Node], body: JsonBody) -> None:
        runs: list[tuple[ObjectDef, RunColumns, list[_Node]]] = []
        for node in level:
            row = node.row
            if node.reference is not None and node.parent is not None and node.parent.outcome is not None:
                row.cells[node.reference.name] = node.parent.outcome.id or ""
                row.keys[node.reference.name] = ()
            run = next((run for run in runs if run[0] is node.obj and run[1].take(row)), None)
            if run is None:
                run = (node.obj, RunColumns(), [])
                run[1].take(row)
                runs.append(run)
            run[2].append(node)
        for obj, _, nodes in runs:
            outcomes = save_rows(self._store, Save(obj, "insert"), [node.row for node in nodes], body)
            for node, outcome in zip(nodes, outcomes, strict=True):
                node.outcome = outcome


class _Reader:
    """Reads a tree, parents before their children."""

    def __init__(self, store: Store, body: JsonBody) -> None:
        self._store = store
        self._body = body
        self._readers: dict[str, RowReader] = {}

    def nodes(
        self,
        records: list[object],
        path: Path,
        obj: ObjectDef,
        parent: _Node | None = None,
        reference: FieldDef | None = None,
    ) -> Iterator[_Node]:
        """The records of a list, and below each its children."""
        depth = 1 if parent is None else parent.depth + 1
        if depth > MAX_DEPTH:
            raise _refused(f"The tree is deeper than {MAX_DEPTH} levels")
        for at, record in enumerate(records):
            here = (*path, at)
            if not isinstance(record, dict):
                raise unexpected(self._body, here, record)
            attributes = record.get("attributes")
            known = attributes if isinstance(attributes, dict) else {}
            reference_id, kind = known.get("referenceId"), known.get("type")
            if not isinstance(reference_id, str) or not reference_id:
                raise _refused("Each record needs attributes with a referenceId")
            if not isinstance(kind, str) or kind.casefold() != obj.name.casefold():
                raise _refused(f"The record {reference_id} is not of the type {obj.name}")
            below = {name: value for name, value in record.items() if isinstance(value, dict) and "records" in value}
            own = {name: value for name, value in record.items() if name not in below}
            node = _Node(reference_id, obj, self._reader(obj).read(own, here), parent, reference, depth)
            yield node
            for name, children in below.items():
                child, points = self._relationship(obj, name)
                listed = children["records"]
                if not isinstance(listed, list):
                    raise unexpected(self._body, (*here, name, "records"), listed)
                yield from self.nodes(listed, (*here, name, "records"), child, node, points)

    def _reader(self, obj: ObjectDef) -> RowReader:
        if obj.name not in self._readers:
            self._readers[obj.name] = RowReader(self._body, obj, self._store.catalogue)
        return self._readers[obj.name]

    def _relationship(self, obj: ObjectDef, name: str) -> tuple[ObjectDef, FieldDef]:
        for child, points in self._store.catalogue.children_of(obj):
            if (points.child_relationship_name or "").casefold() == name.casefold():
                return child, points
        raise ServiceError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {obj.name}")


def _check(nodes: list[_Node]) -> None:
    """The limits of rest.md 8; codes and words are guesses."""
    if not nodes:
        raise ServiceError(400, "REQUIRED_FIELD_MISSING", "At least 1 record is required")
    if len(nodes) > MAX_RECORDS:
        raise _refused(f"The tree has more than {MAX_RECORDS} records")
    if len({node.obj.name for node in nodes}) > MAX_TYPES:
        raise _refused(f"The tree has records of more than {MAX_TYPES} types")
    seen: set[str] = set()
    for node in nodes:
        if node.reference_id in seen:
            raise _refused(f"The referenceId {node.reference_id} is used more than once")
        seen.add(node.reference_id)


def _refused(words: str) -> ServiceError:
    return ServiceError(400, "INVALID_INPUT", words)


def _failure(node: _Node, version: str) -> dict[str, object]:
    found = node.outcome.result(version) if node.outcome else {}
    return {"referenceId": node.reference_id, "errors": found.get("errors", [])}

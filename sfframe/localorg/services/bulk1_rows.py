"""Rows of JSON and XML batches: their columns and cells, and the table of text that saving reads (bulk1.md 3.1, 5)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any, NoReturn
from xml.etree import ElementTree as ET

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.bulk1_errors import BatchFault
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.xml_body import RefusedXml, local_name, read_xml, text_of

NULL_MARK = "\x00null"  # of cells that clear their field; no text of JSON or XML is taken for it
_NIL = "{http://www.w3.org/2001/XMLSchema-instance}nil"
_TABLE = "upload"
Cells = dict[str, str | None]
"""The cells of one row by column name, None where the row says null."""


@dataclass(slots=True)
class Rows:
    """The rows of a batch as columns: a cell is None where a row does not have the column."""

    count: int = 0
    names: list[str] = field(default_factory=list)
    cells: list[list[str | None]] = field(default_factory=list)
    _places: dict[str, int] = field(default_factory=dict)

    def add(self, row: Cells) -> None:
        """Add a row; names are compared without case."""
        for name, value in row.items():
            at = self._places.get(name.casefold())
            if at is None:
                at = self._places[name.casefold()] = len(self.names)
                self.names.append(name)
                self.cells.append([None] * self.count)
            column = self.cells[at]
            if len(column) > self.count:
                raise BatchFault(f"InvalidBatch : Duplicate field name found : {name}")
            column.append(NULL_MARK if value is None else value)
        self.count += 1
        for column in self.cells:
            if len(column) < self.count:
                column.append(None)

    def stage(self, cursor: duckdb.DuckDBPyConnection, columns: Iterable[Column]) -> str:
        """Load the rows into a temporary table of the cursor and answer its name: record, fault, c0, c1, ..."""
        import pyarrow as pa

        arrays: dict[str, Any] = {"record": pa.array(range(1, self.count + 1), pa.int64())}
        arrays["fault"] = pa.nulls(self.count, pa.string())
        for column in columns:
            cells = self.cells[column.position]
            if column.key is not None or column.field.name == "Id":
                # A null names no row: neither the one that is meant nor a parent.
                cells = [None if cell == NULL_MARK else cell for cell in cells]
            arrays[column.cell] = pa.array(cells, pa.string())
        cursor.register("bulk1_rows", pa.table(arrays))
        try:
            cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_TABLE} AS SELECT * FROM bulk1_rows")
        finally:
            cursor.unregister("bulk1_rows")
        return _TABLE


def rows_of_json(content: str, obj: ObjectDef) -> Rows:
    """The rows of a JSON batch, an array of objects."""
    try:
        given = json.loads(content, parse_float=str, parse_int=str, parse_constant=_no_constant)
    except (ValueError, RecursionError) as error:
        raise _unreadable("JSON", str(error)) from error
    if not isinstance(given, list) or not all(isinstance(row, dict) for row in given):
        raise _unreadable("JSON", "the batch has to be an array of objects")
    rows = Rows()
    for row in given:
        rows.add(dict(_json_cells(row, obj)))
    return rows


def _json_cells(row: Mapping[str, Any], obj: ObjectDef) -> Iterator[tuple[str, str | None]]:
    for name, value in row.items():
        if name == "attributes":
            continue
        if isinstance(value, dict):
            kind = value.get("attributes")
            typed = kind.get("type") if isinstance(kind, dict) else None
            key = {inner: _json_cell(given) for inner, given in value.items() if inner != "attributes"}
            yield _parent_cell(name, typed if isinstance(typed, str) else None, key, obj)
        else:
            yield name, _json_cell(value)


def _json_cell(value: object) -> str | None:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list | dict):
        raise _unreadable(
            "JSON", f"Cannot deserialize a field from START_{'ARRAY' if isinstance(value, list) else 'OBJECT'} token"
        )
    # A guess: as in REST, the empty text clears the field.
    return str(value) if value not in (None, "") else None


def _no_constant(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def rows_of_xml(content: bytes, obj: ObjectDef) -> Rows:
    """The rows of an XML batch, ``sObjects`` with one ``sObject`` per row; an empty element leaves its field alone."""
    try:
        root = read_xml(content)
    except RefusedXml as error:
        raise BatchFault(f"InvalidXML : {error}") from error
    if local_name(root) != "sObjects":
        raise BatchFault(f"InvalidXML : sObjects expected instead of {local_name(root)}")
    rows = Rows()
    for row in root:
        if local_name(row) != "sObject":
            raise BatchFault(f"InvalidXML : sObject expected instead of {local_name(row)}")
        cells: Cells = {}
        for one in row:
            name, value = _xml_cell(one, obj)
            if name in cells:
                raise BatchFault(f"InvalidBatch : Duplicate field name found : {name}")
            cells[name] = value
        rows.add(cells)
    return rows


def _xml_cell(element: ET.Element, obj: ObjectDef) -> tuple[str, str | None]:
    name = local_name(element)
    if len(element):
        # <Owner><sObject><type>User</type><Username>...</Username></sObject></Owner> (bulk1.md 5)
        parent = element[0] if local_name(element[0]) == "sObject" else element
        key = {local_name(one): one.text or "" for one in parent if local_name(one) != "type"}
        return _parent_cell(name, text_of(parent, "type") or None, dict(key), obj)
    if element.get(_NIL) in ("true", "1"):
        return name, None
    return name, element.text or ""


def _parent_cell(name: str, typed: str | None, key: Cells, obj: ObjectDef) -> tuple[str, str | None]:
    """The column of a parent that is named by one of its fields; only polymorphic relationships say its type."""
    if len(key) != 1:
        words = f"More than 1 field provided in an external foreign key reference in entity: {typed or name}"
        raise BatchFault(f"InvalidBatch : {words}")  # the words are from memory
    [(inner, value)] = key.items()
    reference = obj.relationship(name)
    polymorphic = reference is not None and len(reference.reference_to) > 1
    return f"{typed}:{name}.{inner}" if typed and polymorphic else f"{name}.{inner}", value


def _unreadable(kind: str, what: str) -> BatchFault:
    # The words are a guess.
    return BatchFault(f"InvalidBatch : Failed to parse {kind}: {what}")

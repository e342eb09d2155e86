"""Records in JSON as rows for a save: what each member means and which text its value is (rest.md 7)."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.catalogue.types import COMPOUND_TYPES
from sfframe.localorg.services import columns, few_rows
from sfframe.localorg.services.columns import ColumnFault
from sfframe.localorg.services.json_body import JsonBody, Path, token
from sfframe.localorg.services.task import Staged
from sfframe.localorg.store.record_ids import id18

NULL_MARK = "\x1d"  # a separator of ASCII: no text of a record has one
_BLANKS = " \t\r\n"
_TEXTS = (str, int)  # NumberText among them
_IDS = ("id", "reference")
_POLYMORPHIC = "Nested object for polymorphic foreign key must have an attributes field before any other fields."


class RowFault(Exception):
    """A record that cannot be a row of its object; code and words are the service's, ``fields`` are the named ones."""

    def __init__(self, code: str, message: str, fields: list[str] | None = None) -> None:
        super().__init__(message)
        self.code = code
        self.message = message
        self.fields = fields


@dataclass(slots=True)
class Row:
    """A record that was read: cells by column name, as columns.resolve takes them, and the path of the record.

    ``keys`` tells where in the record a field's value stood.
    """

    path: Path
    cells: dict[str, str] = field(default_factory=dict)
    keys: dict[str, Path] = field(default_factory=dict)
    fault: RowFault | None = None


@dataclass(frozen=True, slots=True)
class _Target:
    """What a member of a record is written to; ``relationship`` for an object that names a parent."""

    field: FieldDef
    place: Path
    relationship: bool = False


class RowReader:
    """Reads the records of one object; names are looked up once, whatever the number of records."""

    def __init__(self, body: JsonBody, obj: ObjectDef, catalogue: Catalogue) -> None:
        self._body = body
        self._obj = obj
        self._catalogue = catalogue
        self._targets: dict[str, _Target | None] = {}

    def read(self, record: Mapping[str, object], path: Path) -> Row:
        """The row of a record; what is wrong with its members is the row's fault."""
        row = Row(path)
        cells, keys = row.cells, row.keys
        try:
            for name, value in record.items():
                target = self._targets[name] if name in self._targets else self._look_up(name)
                if target is None:
                    if name == "attributes":
                        continue
                    raise RowFault("INVALID_FIELD", f"No such column '{name}' on sobject of type {self._obj.name}")
                column, place = target.field.name, target.place
                if value is None:
                    if column == "Id":
                        continue  # an id that is null names no row
                    cell = NULL_MARK
                elif target.relationship:
                    column, cell, place = self._parent(target.field, value, path, place)
                else:
                    cell = self._cell(target.field, value, path, place)
                if target.field.name in keys:
                    raise RowFault("INVALID_FIELD", f"The field {target.field.name} is specified more than once")
                cells[column] = cell
                keys[target.field.name] = place
        except RowFault as fault:
            return Row(path, fault=fault)
        return row

    def _look_up(self, name: str) -> _Target | None:
        field, parent = self._obj.field(name), self._obj.relationship(name)
        target = None
        if field is not None:
            target = _Target(field, (name,))
        elif parent is not None:
            target = _Target(parent, (name,), relationship=True)
        self._targets[name] = target
        return target

    def _cell(self, target: FieldDef, value: object, path: Path, place: Path) -> str:
        if isinstance(value, bool):
            return "true" if value else "false"
        if isinstance(value, _TEXTS):
            cell = str(value).strip(_BLANKS) or NULL_MARK  # the empty string clears, too (rest.md 7)
            return _complete_id(target, cell) if target.type in _IDS and cell != NULL_MARK else cell
        if isinstance(value, dict) and target.type in COMPOUND_TYPES:
            return "compound"  # whatever it is, it cannot be written
        raise RowFault("JSON_PARSER_ERROR", undeserializable(self._body, target, value, path + place))

    def _parent(self, reference: FieldDef, value: object, path: Path, place: Path) -> tuple[str, str, Path]:
        """A parent named by one of its keys: ``{"Ext__c": "A1"}`` (rest.md 7)."""
        if not isinstance(value, dict):
            raise RowFault("JSON_PARSER_ERROR", undeserializable(self._body, reference, value, path + place))
        prefix = ""
        if len(reference.reference_to) > 1:
            attributes = value.get("attributes")
            if next(iter(value), None) != "attributes" or not isinstance(attributes, dict):
                raise RowFault("JSON_PARSER_ERROR", _POLYMORPHIC)
            prefix = f"{attributes.get('type')}:"
        given = [(name, key) for name, key in value.items() if name != "attributes"]
        if len(given) != 1 or isinstance(given[0][1], bool) or not isinstance(given[0][1], _TEXTS):
            raise RowFault("INVALID_FIELD", f"The {reference.relationship_name} object needs one external ID field")
        name, key = given[0]
        column = f"{prefix}{reference.relationship_name}.{name}"
        try:
            resolved = columns.resolve([column], self._obj, self._catalogue)[0]
        except ColumnFault as fault:
            owner = prefix.removesuffix(":") or reference.reference_to[0]
            raise RowFault("INVALID_FIELD", f"No such column '{name}' on sobject of type {owner}") from fault
        cell = str(key).strip(_BLANKS) or NULL_MARK
        if resolved.key is None:
            return reference.name, _complete_id(reference, cell), (*place, name)
        return column, cell, (*place, name)


def _complete_id(field: FieldDef, text: str) -> str:
    """The id in 18 characters: the save takes ids of JSON as they are."""
    complete = id18(text)
    if complete is not None:
        return complete
    if field.type == "id":
        raise RowFault("MALFORMED_ID", f"malformed id {text}")  # recorded
    raise RowFault("MALFORMED_ID", f"{field.label}: id value of incorrect type: {text}", [field.name])


# How the service's parser calls the types; datetime and double are recorded, the others follow them.
_KINDS = {
    "boolean": "boolean",
    "int": "int",
    "long": "long",
    "double": "double",
    "currency": "double",
    "percent": "double",
    "date": "date",
    "datetime": "datetime",
    "time": "time",
    "base64": "base64Binary",
}


def undeserializable(body: JsonBody, field: FieldDef, value: object, place: Path) -> str:
    """The words for a value that its field cannot take (recorded, rest.md 12)."""
    return (
        f"Cannot deserialize instance of {_KINDS.get(field.type, 'string')} from {token(value)} or request may be "
        f"missing a required field at {body.place(place)}"
    )


class RunColumns:
    """The columns of rows that are saved together.

    One field has one column: rows that name a parent by id do not go with rows that name it by external id.
    """

    def __init__(self) -> None:
        self._by_field: dict[str, str] = {}
        self._shapes: set[tuple[str, ...]] = set()

    def take(self, row: Row) -> bool:
        """Whether the row's cells go into these columns; then they gain its own."""
        shape = (*row.keys, *row.cells)
        if shape in self._shapes:
            return True
        mine = dict(zip(row.keys, row.cells, strict=True))
        if any(self._by_field.get(one, column) != column for one, column in mine.items()):
            return False
        self._by_field.update(mine)
        self._shapes.add(shape)
        return True


def stage(rows: list[Row], obj: ObjectDef, catalogue: Catalogue) -> Staged:
    """Rows without a fault as they are saved: lists of cells, which are quicker to hand over than a table."""
    names = list({name: None for row in rows for name in row.cells})
    resolved = columns.resolve(names, obj, catalogue)
    cells = [[row.cells.get(name) for row in rows] for name in names]
    looked = few_rows.look(resolved, cells, NULL_MARK)
    lists = ", ".join(f"unnest(CAST(${one.cell} AS VARCHAR[])) AS {one.cell}" for one in resolved)
    return Staged(
        f"(SELECT unnest(range($rows)) AS record{lists and ', '}{lists})",
        resolved,
        NULL_MARK,
        range(len(rows)),
        "json",
        values={one.cell: found for one, found in zip(resolved, cells, strict=True)} | {"rows": len(rows)},
        filled=looked.filled,
        sound=looked.sound,
        distinct=looked.distinct,
    )

"""RecordService: single records, by id and by external id (rest.md 7)."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services import lookups
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody
from sfframe.localorg.services.json_rows import Row, RowReader
from sfframe.localorg.services.query import compile_text
from sfframe.localorg.services.query_json import record_sql
from sfframe.localorg.services.record_saving import Outcome, Problem, Save, save_rows
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.store import COMPOUND_TYPES, Store, quoted


@dataclass(frozen=True, slots=True)
class Found:
    """A stored record: its id, when it was last touched (naive UTC), and its JSON."""

    id: str
    modified: dt.datetime | None
    text: str


def not_found() -> ServiceError:
    """The answer to everything that is not there (recorded with the code first, rest.md 1.6)."""
    return ServiceError(404, "NOT_FOUND", "The requested resource does not exist", code_first=True)


def no_such_key(name: str) -> ServiceError:
    """The answer to a field that identifies no records, or to a word that is no id (recorded, rest.md 7)."""
    words = f"Provided external ID field does not exist or is not accessible: {name}"
    return ServiceError(404, "NOT_FOUND", words, code_first=True)


class RecordService:
    """Reads and writes records one at a time. ``version`` is the API version as it stands in a path, ``v66.0``."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def object(self, name: str) -> ObjectDef:
        """The object of that name; NOT_FOUND where there is none."""
        obj = self._store.catalogue.find(name)
        if obj is None:
            raise not_found()
        return obj

    def record_id(self, obj: ObjectDef, text: str) -> str:
        """The id in 18 characters. A word that has not the shape of an id is taken for the name of a field."""
        if not self.looks_like_id(text):
            raise no_such_key(text)
        complete = id18(text)
        if complete is None or not complete.startswith(obj.key_prefix or "-"):
            words = f"{_label(obj)}: id value of incorrect type: {text}"
            raise ServiceError(400, "MALFORMED_ID", words, fields=["Id"])
        return complete

    def looks_like_id(self, text: str) -> bool:
        """Whether a word has the shape of an id, though perhaps of no record."""
        return len(text) in (15, 18) and text.isalnum() and text.isascii()

    def check_fields(self, obj: ObjectDef, body: JsonBody) -> None:
        """Refuse a body that names fields which the object has not, or values that they cannot take."""
        self._row(obj, body)

    def create(self, obj: ObjectDef, body: JsonBody) -> Outcome:
        """Insert a record; raises the service's error where it cannot be saved."""
        return self._save(Save(obj, "insert"), self._row(obj, body), body)

    def update(self, obj: ObjectDef, record_id: str, body: JsonBody) -> None:
        """Change a record."""
        row = self._row(obj, body)
        if "Id" in row.cells:
            words = "The Id field should not be specified in the sobject data."
            raise ServiceError(400, "INVALID_FIELD", words, fields=["Id"])
        row.cells["Id"], row.keys["Id"] = record_id, ("Id",)
        self._save(Save(obj, "update"), row, body, existing=record_id)

    def delete(self, obj: ObjectDef, record_id: str) -> None:
        """Move a record to the recycle bin, with the children that go along."""
        row = Row((), {"Id": record_id}, {"Id": ("Id",)})
        self._save(Save(obj, "delete"), row, JsonBody.of({"Id": record_id}), existing=record_id)

    def read(self, obj: ObjectDef, record_id: str, fields: str | None, version: str) -> Found:
        """A record with the fields of a list of names, or with all of them in the order of the describe."""
        stamp = next((one for one in ("SystemModstamp", "LastModifiedDate") if obj.field(one)), None)
        found = self._texts(obj, [record_id], fields, version)
        if not found:
            raise not_found()
        with self._store.cursor() as cursor:
            sql = f'SELECT {quoted(stamp) if stamp else "NULL"} FROM {self._store.table(obj)} WHERE "Id" = $id'
            modified = cursor.execute(sql, {"id": record_id}).fetchall()
        return Found(record_id, modified[0][0], found[record_id])

    def read_many(self, obj: ObjectDef, ids: list[str], fields: str, version: str) -> dict[str, str]:
        """The JSON of the records by their ids, without those that are not there."""
        return self._texts(obj, ids, fields, version)

    def _texts(self, obj: ObjectDef, ids: list[str], fields: str | None, version: str) -> dict[str, str]:
        wanted = ", ".join(f"'{one}'" for one in ids)
        text = f"SELECT {', '.join(self._selected(obj, fields))} FROM {obj.name} WHERE Id IN ({wanted})"
        statement = compile_text(self._store, text, version)
        id_column = f"c{statement.record.id_column}"
        with self._store.cursor() as cursor:
            sql = f"SELECT {id_column}, {record_sql(statement.record, version)} FROM ({statement.select_sql()})"
            return dict(cursor.execute(sql).fetchall())

    def key(self, obj: ObjectDef, name: str) -> FieldDef:
        """The field by which records can be named in a path."""
        field = obj.field(name)
        if field is None or not (field.external_id or field.id_lookup):
            raise no_such_key(name)
        return field

    def find(self, obj: ObjectDef, key: FieldDef, value: str) -> list[str]:
        """The ids of the live records with this key, in order; none for a value that the field could not hold."""
        if key.name == "Id":
            return [self.record_id(obj, value)]
        typed = lookups.key_value(key, "CAST($value AS VARCHAR)", "", trimmed=False)
        with self._store.cursor() as cursor:
            rows = cursor.execute(
                f'SELECT "Id" FROM {self._store.table(obj)} WHERE NOT {lookups.deleted(obj)} '
                f'AND {lookups.key_column(key)} = {typed} ORDER BY "Id"',
                {"value": value},
            ).fetchall()
        return [row[0] for row in rows]

    def upsert(self, obj: ObjectDef, key: FieldDef, value: str, body: JsonBody, *, update_only: bool) -> Outcome:
        """Change the record with this key, or insert one that has it. Raises Several for more than one."""
        with self._store.transaction():
            found = self.find(obj, key, value)
            if len(found) > 1:
                raise Several(found)
            if key.name == "Id":
                self.update(obj, found[0], body)
                return Outcome(found[0], created=False, problem=None)
            if update_only and not found:
                raise not_found()
            row = self._row(obj, body)
            if key.name in row.keys:
                words = f"The {key.name} field should not be specified in the sobject data."
                raise ServiceError(400, "INVALID_FIELD", words, fields=[key.name])
            # The value of the path is text, whatever the type of the field.
            row.cells[key.name], row.keys[key.name] = value.strip(), (key.name,)
            keyed = JsonBody.of(body.expect_object() | {key.name: value})
            return self._save(Save(obj, "upsert", key), row, keyed)

    def blob(self, obj: ObjectDef, record_id: str, field: FieldDef) -> tuple[bytes, str | None]:
        """The bytes of a base64 field, and the content type that the record says they have."""
        kind = quoted("ContentType") if obj.field("ContentType") else "NULL"
        with self._store.cursor() as cursor:
            found = cursor.execute(
                f'SELECT {quoted(field.name)}, {kind} FROM {self._store.table(obj)} WHERE "Id" = $id '
                f"AND NOT {lookups.deleted(obj)}",
                {"id": record_id},
            ).fetchall()
        if not found:
            raise not_found()
        return found[0][0] or b"", found[0][1]

    def parent(self, obj: ObjectDef, record_id: str, reference: FieldDef) -> tuple[ObjectDef, str]:
        """The object and the id of a record's parent; NOT_FOUND where it has none (rest.md 7)."""
        with self._store.cursor() as cursor:
            found = cursor.execute(
                f'SELECT {quoted(reference.name)} FROM {self._store.table(obj)} WHERE "Id" = $id '
                f"AND NOT {lookups.deleted(obj)}",
                {"id": record_id},
            ).fetchall()
        parent_id: str = (found[0][0] if found else None) or ""
        parent = self._store.catalogue.by_prefix(parent_id[:3])
        if parent is None:
            raise not_found()
        return parent, parent_id

    def children_query(self, obj: ObjectDef, record_id: str, relationship: str, fields: str | None) -> str | None:
        """The query for the children under a relationship's name; None where the object has no such relationship."""
        for child, reference in self._store.catalogue.children_of(obj):
            if (reference.child_relationship_name or "").casefold() == relationship.casefold():
                names = ", ".join(self._selected(child, fields))
                return f"SELECT {names} FROM {child.name} WHERE {reference.name} = '{record_id}'"
        return None

    def _selected(self, obj: ObjectDef, fields: str | None) -> list[str]:
        if fields is None:
            return [one.name for one in obj if one.type not in COMPOUND_TYPES or _has_parts(obj, one)]
        given = [name.strip() for name in fields.split(",") if name.strip()]
        chosen: dict[str, None] = {}
        for name in given:
            first, dot, _ = name.partition(".")
            field = obj.relationship(first) if dot else obj.field(name)
            if field is None or not name.replace(".", "").replace("_", "").isalnum():
                raise ServiceError(400, "INVALID_FIELD", f"No such column '{name}' on sobject of type {obj.name}")
            chosen[name if dot else field.name] = None
        return list(chosen | {"Id": None})  # always there; that it comes last is a guess

    def _row(self, obj: ObjectDef, body: JsonBody) -> Row:
        row = RowReader(body, obj, self._store.catalogue).read(body.expect_object(), ())
        if row.fault is not None:
            raise Problem(row.fault.code, row.fault.message, row.fault.fields).error()
        return row

    def _save(self, save: Save, row: Row, body: JsonBody, *, existing: str | None = None) -> Outcome:
        with self._store.transaction():
            outcome = save_rows(self._store, save, [row], body)[0]
            if outcome.problem is None:
                return outcome
            error = outcome.problem.error()
            if error.code == "INVALID_CROSS_REFERENCE_KEY" and existing and not self._exists(save.obj, existing):
                error.status = 404  # recorded of records that are not there, unlike lookups to such (rest.md 12)
            raise error

    def _exists(self, obj: ObjectDef, record_id: str) -> bool:
        with self._store.cursor() as cursor:
            sql = f'SELECT 1 FROM {self._store.table(obj)} WHERE "Id" = $id'
            return bool(cursor.execute(sql, {"id": record_id}).fetchall())


class Several(Exception):
    """An external id that names several records: the 300 of an upsert (rest.md 7)."""

    def __init__(self, ids: list[str]) -> None:
        super().__init__(f"{len(ids)} records")
        self.ids = ids


def _label(obj: ObjectDef) -> str:
    field = obj.field("Id")
    return field.label if field else "Record ID"


def _has_parts(obj: ObjectDef, compound: FieldDef) -> bool:
    return any((one.compound_field_name or "").casefold() == compound.name.casefold() for one in obj)

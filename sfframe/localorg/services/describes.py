"""Describes with the marks that let a client ask whether anything changed (rest.md 6.5)."""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass

from sfframe.localorg.catalogue.describe import RecordTypeRow, basic_describe, full_describe, global_describe
from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.recent import recently_viewed
from sfframe.localorg.store.store import Store

_RECENT_ITEMS = 5  # a guess


@dataclass(frozen=True, slots=True)
class Described:
    """A describe as JSON text. ``etag`` changes with the text; ``changed`` is naive UTC in whole seconds."""

    text: str
    etag: str
    changed: dt.datetime


class Describes:
    """Renders describes from the store's catalogue and its record types."""

    def __init__(self, store: Store) -> None:
        self._store = store

    def all_objects(self, base: str) -> Described:
        """``GET /sobjects``."""
        return self._marked(global_describe(self._store.catalogue, base))

    def basic(self, name: str, base: str) -> Described:
        """``GET /sobjects/X``."""
        obj = self._found(name)
        recent = recently_viewed(self._store, [obj], base, _RECENT_ITEMS)
        return self._marked({"objectDescribe": basic_describe(obj, base), "recentItems": recent})

    def full(self, name: str, base: str, host: str) -> Described:
        """``GET /sobjects/X/describe``."""
        obj = self._found(name)
        return self._marked(full_describe(obj, self._store.catalogue, base, host, self.record_types(obj)))

    def _found(self, name: str) -> ObjectDef:
        obj = self._store.catalogue.find(name)
        if obj is None:
            raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist")
        return obj

    def record_types(self, obj: ObjectDef) -> tuple[RecordTypeRow, ...]:
        """The record types of an object, without Master."""
        with self._store.cursor() as cursor:
            rows = cursor.execute(
                'SELECT "Id", "Name", "DeveloperName", "IsActive" FROM data."RecordType" '
                'WHERE lower("SobjectType") = lower($1) ORDER BY "Name"',
                [obj.name],
            ).fetchall()
        default = self._store.record_types.default_of(obj.name)
        return tuple(
            RecordTypeRow(row_id, label, developer_name, active, default=row_id == default)
            for row_id, label, developer_name, active in rows
        )

    def _marked(self, described: dict[str, object]) -> Described:
        text = json.dumps(described, ensure_ascii=False, separators=(",", ":"))
        etag = hashlib.blake2s(text.encode(), digest_size=4).hexdigest()
        return Described(text, f'"{etag}"', self._store.metadata_changed())

"""Records that were viewed last: by FOR VIEW, or as mirrored rows tell (rest.md 4, 6.2)."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services import lookups
from sfframe.localorg.services.problems import literal
from sfframe.localorg.store.store import Store, quoted


def recently_viewed(store: Store, objects: Iterable[ObjectDef], base: str, limit: int) -> list[dict[str, Any]]:
    """The records, the latest first; ``base`` is ``/services/data/vNN.0``."""
    names = {obj.name: name for obj in objects if obj.field("LastViewedDate") and (name := _name_field(obj))}
    if not names:
        return []
    looked = " UNION ALL ".join(
        f'SELECT {literal(kind)} AS kind, "Id" AS id, {quoted(name.name)} AS title, "LastViewedDate" AS at_ '
        f'FROM {store.table(obj)} WHERE "LastViewedDate" IS NOT NULL AND NOT {lookups.deleted(obj)}'
        for kind, name in names.items()
        if (obj := store.catalogue.find(kind)) is not None
    )
    with store.cursor() as cursor:
        rows = cursor.execute(f"SELECT kind, id, title FROM ({looked}) ORDER BY at_ DESC, id LIMIT {limit}").fetchall()
    return [
        {"attributes": {"type": kind, "url": f"{base}/sobjects/{kind}/{id_}"}, "Id": id_, names[kind].name: title}
        for kind, id_, title in rows
    ]


def _name_field(obj: ObjectDef) -> FieldDef | None:
    return next((field for field in obj if field.name_field), None)

"""Undeleting rows: out of the recycle bin, with the children that went in with them (rest.md 11).

Only SOAP and Apex can do it in a real org. The codes are those of the WSDL, the words are from memory.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services import derived
from sfframe.localorg.store.record_ids import id18
from sfframe.localorg.store.store import Store, quoted


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why a row stays where it is."""

    code: str
    message: str


def undelete(store: Store, obj: ObjectDef, ids: list[str]) -> dict[str, Refusal]:
    """Undelete the rows that can be; answers the others, by the id that was given."""
    whole = {given: id18(given) for given in ids}
    refused = {given: Refusal("MALFORMED_ID", f"malformed id {given}") for given, known in whole.items() if not known}
    if not obj.undeletable or obj.field("IsDeleted") is None:
        words = f"entity type cannot be undeleted: {obj.label}"
        return refused | {given: Refusal("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", words) for given in ids}
    with store.transaction() as cursor:
        cursor.execute(
            "CREATE OR REPLACE TEMP TABLE undeleting AS SELECT unnest($1::VARCHAR[]) AS id", [[*whole.values()]]
        )
        rows = cursor.execute(
            f'SELECT u.id, t."IsDeleted" FROM undeleting u LEFT JOIN {store.table(obj)} t ON t."Id" = u.id'
        ).fetchall()
        states = dict(rows)
        for given, known in whole.items():
            if known and states[known] is None:
                refused[given] = Refusal("INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id")
            elif known and not states[known]:
                refused[given] = Refusal("UNDELETE_FAILED", "Entity is not in the recycle bin")
        _undelete_level(store, cursor, obj, "undeleting", store.now(), depth=0)
    return refused


def _undelete_level(
    store: Store, cursor: duckdb.DuckDBPyConnection, obj: ObjectDef, ids: str, moment: dt.datetime, *, depth: int
) -> None:
    """Bring the rows back, then the children that were deleted at the same moment: those went along."""
    cursor.execute(
        f'CREATE OR REPLACE TEMP TABLE undeleted_{depth} AS SELECT "Id" AS id, "SystemModstamp" AS deleted_at '
        f'FROM {store.table(obj)} WHERE "IsDeleted" AND "Id" IN (SELECT id FROM {ids})'
    )
    changes = {"IsDeleted": "false"} | derived.touched(obj, store, moment)
    assignments = ", ".join(f"{quoted(name)} = {value}" for name, value in changes.items())
    cursor.execute(f'UPDATE {store.table(obj)} SET {assignments} WHERE "Id" IN (SELECT id FROM undeleted_{depth})')
    for child, field in store.catalogue.children_of(obj):
        if not (field.cascade_delete or field.deleted_with_parent) or child.field("IsDeleted") is None:
            continue
        below = f"undeleting_{depth}"
        cursor.execute(
            f'CREATE OR REPLACE TEMP TABLE {below} AS SELECT c."Id" AS id FROM {store.table(child)} c '
            f"JOIN undeleted_{depth} p ON c.{quoted(field.name)} = p.id "
            f'WHERE c."IsDeleted" AND c."SystemModstamp" = p.deleted_at'
        )
        if cursor.execute(f"SELECT count(*) FROM {below}").fetchall()[0][0]:
            _undelete_level(store, cursor, child, below, moment, depth=depth + 1)

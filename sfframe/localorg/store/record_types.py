"""Record types: rows of RecordType that a deploy brings along in ``recordTypeInfos``, and which one is the default."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from typing import Any

import duckdb

from sfframe.localorg.store import record_ids


class RecordTypes:
    """The default record types of one org; the record types themselves are rows like any other."""

    def __init__(self) -> None:
        self._defaults: dict[str, str] = {}

    def default_of(self, sobject: str) -> str | None:
        """The id that a new row gets where none was sent; None for Master, which leaves the field empty."""
        return self._defaults.get(sobject.casefold())

    def adopt(
        self,
        cursor: duckdb.DuckDBPyConnection,
        described: list[dict[str, Any]],
        new_id: Callable[[], str],
        stamps: dict[str, dt.datetime | str],
    ) -> None:
        """Add the record types of described objects that are not there yet. Their ids are kept where they are ids.

        Called again it changes nothing. Master is no row (rest.md 6.3).
        """
        for one in described:
            for info in one.get("recordTypeInfos") or []:
                if not isinstance(info, dict) or info.get("master") or not info.get("name"):
                    continue
                developer_name = info.get("developerName") or str(info["name"]).replace(" ", "_")
                row_id = self._present(cursor, one["name"], developer_name)
                if row_id is None:
                    row_id = record_ids.id18(str(info.get("recordTypeId") or "")) or new_id()
                    row = {"Id": row_id, "Name": info["name"], "DeveloperName": developer_name}
                    row |= {"SobjectType": one["name"], "IsActive": bool(info.get("active", True))}
                    _insert(cursor, row | stamps)
                if info.get("defaultRecordTypeMapping"):
                    self._defaults[one["name"].casefold()] = row_id

    @staticmethod
    def _present(cursor: duckdb.DuckDBPyConnection, sobject: str, developer_name: str) -> str | None:
        found = cursor.execute(
            'SELECT "Id" FROM data."RecordType" WHERE lower("SobjectType") = lower($1) AND "DeveloperName" = $2',
            [sobject, developer_name],
        ).fetchall()
        return found[0][0] if found else None


def _insert(cursor: duckdb.DuckDBPyConnection, row: dict[str, Any]) -> None:
    names, marks = ", ".join(f'"{name}"' for name in row), ", ".join("?" for _ in row)
    cursor.execute(f'INSERT INTO data."RecordType" ({names}) VALUES ({marks})', list(row.values()))

"""Tooling: the definitions, and the few other objects that the Tooling API shares with the data API (rest.md 9)."""

from __future__ import annotations

import json
from typing import Any

from sfframe.errors import SoqlSyntaxError
from sfframe.localorg.catalogue.describe import global_describe
from sfframe.localorg.services import definitions
from sfframe.localorg.services.describes import Described, Describes
from sfframe.localorg.services.query import QueryService
from sfframe.localorg.services.soql_names import unknown_object
from sfframe.localorg.store.store import Store
from sfframe.soql import parse

# Objects of the Tooling API that this org has; the ones of the data alone are unknown there (from memory).
_OBJECTS = frozenset(
    {
        *definitions.NAMES,
        *("ApexClass", "ApexTrigger", "AsyncApexJob", "EmailTemplate", "Group", "Organization", "PermissionSet"),
        *("Profile", "RecordType", "User", "UserRole"),
    }
)


class Tooling:
    """Queries and describes below ``/tooling``. ``version`` is as in the path, ``v66.0``."""

    def __init__(self, store: Store, query: QueryService, describes: Describes) -> None:
        self._store = store
        self._query = query
        self._describes = describes

    def query(self, text: str, version: str, page_rows: int | None = None) -> dict[str, Any]:
        """The first page, in the envelope of the Tooling API (recorded: without rows it names no object)."""
        name = self._asked(text)
        return self._enveloped(self._query.query(text, f"{version}/tooling", page_rows=page_rows), name)

    def columns(self, text: str, version: str) -> dict[str, Any]:
        """What the query's columns are; the sf CLI asks it here too (clients.md row 17)."""
        self._asked(text)
        return self._query.columns(text, f"{version}/tooling")

    def more(self, locator: str, version: str) -> dict[str, Any]:
        """A further page."""
        return self._enveloped(self._query.more(locator, f"{version}/tooling"), None)

    def sobjects(self, base: str) -> dict[str, Any]:
        """The global describe; ``base`` is that of the tooling resources."""
        whole = global_describe(self._store.catalogue, base)
        return whole | {"sobjects": [one for one in whole["sobjects"] if one["name"] in _OBJECTS]}

    def describe(self, name: str, base: str, host: str) -> Described:
        """The describe of one object."""
        found = self._store.catalogue.find(name)
        return self._describes.full(name if found and found.name in _OBJECTS else "", base, host)

    def _asked(self, text: str) -> str | None:
        """The object that a query asks; none where the text is wrong, which the query service words."""
        try:
            source = parse(text).source
        except SoqlSyntaxError:
            return None
        found = self._store.catalogue.find(source.name)
        if found is None or found.name not in _OBJECTS:
            raise unknown_object(text, source)
        return found.name

    @staticmethod
    def _enveloped(page: str, name: str | None) -> dict[str, Any]:
        whole = json.loads(page)
        records = whole["records"]
        shown = records[0]["attributes"]["type"] if records else None
        following = {"nextRecordsUrl": whole["nextRecordsUrl"]} if "nextRecordsUrl" in whole else {}
        return {
            "size": len(records) or whole["totalSize"],
            "totalSize": whole["totalSize"],
            "done": whole["done"],
            **following,
            "queryLocator": following["nextRecordsUrl"].rpartition("/")[2] if following else None,
            "entityTypeName": (name or shown) if records else None,
            "records": records,
        }

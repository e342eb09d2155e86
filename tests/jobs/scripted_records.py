"""A Wire over one object whose ``Ext__c`` is unique: it keeps the rules of collections and fails where a test says."""

from __future__ import annotations

import json
import re
import threading
from contextlib import AbstractContextManager
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from typing import Any, TypeVar

from sfframe.errors import Cancelled
from sfframe.protocol.call import Call, Reply, Streamed
from sfframe.protocol.error_body import answer
from tests.jobs.scripted_org import Failure

T = TypeVar("T")
ME, OTHER = "eve@acme.com", "bob@acme.com"
Record = dict[str, Any]


def number(of: int) -> str:
    return f"001AB0000000{of:03d}AAA"


class ScriptedRecords:
    """``ahead`` is how far the org's clock runs before that of this machine. Names with ``bad`` are refused; ``errors``
    has, by key, the codes with which rows are refused next.
    """

    def __init__(self, *failures: Failure, ahead: timedelta = timedelta()) -> None:
        self.failures = list(failures)
        self.ahead = ahead
        self.user = ME
        self.records: dict[str, Record] = {}
        self.steps: list[str] = []
        self.headers: list[dict[str, str]] = []
        self.refused: dict[str, list[tuple[int, str]]] = {}
        self.errors: dict[str, list[tuple[str, str]]] = {}
        self.cut = 0
        self.tells_time = True

    def now(self) -> datetime:
        return (datetime.now(UTC) + self.ahead).replace(microsecond=0)

    def add(self, ext: str, name: str = "old", *, ago: timedelta = timedelta(), user: str = ME) -> str:
        """A record that was there before, or came from elsewhere."""
        when, made = self.now() - ago, number(len(self.records) + 1)
        self.records[made] = {
            "Id": made, "Ext__c": ext, "Name": name, "deleted": False,
            "created": when, "created_by": user, "modified": when, "modified_by": user,
        }  # fmt: skip
        return made

    def live(self) -> list[Record]:
        return [one for one in self.records.values() if not one["deleted"]]

    def names(self) -> list[str]:
        return [one["Name"] for one in self.live()]

    # -- Wire -------------------------------------------------------------------------------------------------------

    def send(self, call: Call[T], *, cancel: threading.Event | None = None) -> T:
        if cancel is not None and cancel.is_set():
            raise Cancelled("cancelled", where=call.where)
        step = self._step(call)
        self.steps.append(step)
        self.headers.append(dict(call.headers))
        due = [one for one in self.failures if one.step == step and one.nth == self.steps.count(step)]
        for failure in due:
            if not failure.after:
                failure.happens()
        refusals = self.refused.get(step)
        if refusals:
            status, code = refusals.pop(0)
            reply = Reply(status, {}, json.dumps([{"errorCode": code, "message": "as scripted"}]).encode())
        else:
            reply = self._query(call) if step == "query" else self._rows(step, call)
        for failure in due:
            if failure.after:
                failure.happens()
        return answer(call, reply)

    def stream(self, call: Call[object], *, cancel: threading.Event | None = None) -> AbstractContextManager[Streamed]:
        raise AssertionError(f"collections stream nothing: {call.where}, {cancel}")

    # -- the org ----------------------------------------------------------------------------------------------------

    def _step(self, call: Call[object]) -> str:
        if call.path == "query":
            return "query"
        assert call.path in {
            "composite/sobjects",
            "composite/sobjects/Widget__c/Ext__c",
            "composite/sobjects/Widget__c/Id",
        }
        kind = "upsert" if call.path.count("/") > 1 else "update"
        return {"POST": "create", "PATCH": kind, "DELETE": "delete"}[call.method]

    def _rows(self, step: str, call: Call[object]) -> Reply:
        if step == "delete":
            asked = dict(call.query)
            rows: list[Record] = [{"Id": one} for one in asked["ids"].split(",")]
            all_or_none = asked["allOrNone"] == "true"
        else:
            assert isinstance(call.body, bytes)
            body = json.loads(call.body)
            rows, all_or_none = body["records"], body["allOrNone"]
        before = {key: dict(one) for key, one in self.records.items()}
        told = [getattr(self, f"_{step}")(row) for row in rows]
        if all_or_none and not all(one["success"] for one in told):
            self.records = before
            told = [_error("ALL_OR_NONE_OPERATION_ROLLED_BACK", "back") if one["success"] else one for one in told]
        return Reply(200, {}, json.dumps(told[: len(told) - self.cut]).encode())

    def _create(self, row: Record) -> Record:
        refusal = self._refusal(row)
        if refusal:
            return refusal
        key = row.get("Ext__c", "").strip()
        twin = next((one for one in self.live() if key and one["Ext__c"] == key), None)
        if twin:
            text = f"duplicate value found: Ext__c duplicates value on record with id: {twin['Id'][:15]}"
            return _error("DUPLICATE_VALUE", text)
        made = self.add(key, row.get("Name", ""), user=self.user)
        return {"id": made, "success": True, "errors": []}

    def _update(self, row: Record) -> Record:
        refusal = self._refusal(row)
        if refusal:
            return refusal
        found = self.records.get(row["Id"])
        if found is None or found["deleted"]:
            return _error("ENTITY_IS_DELETED", "entity is deleted")
        found |= {"Name": row.get("Name", found["Name"]), "modified": self.now(), "modified_by": self.user}
        return {"id": row["Id"], "success": True, "errors": []}

    def _upsert(self, row: Record) -> Record:
        found = next((one for one in self.live() if one["Ext__c"] == row.get("Ext__c")), None)
        told = self._update({**row, "Id": found["Id"]}) if found else self._create(row)
        return told | {"created": told["success"] and not found}

    def _delete(self, row: Record) -> Record:
        told = self._update(row)
        if told["success"]:
            self.records[row["Id"]]["deleted"] = True
        return told

    def _refusal(self, row: Record) -> Record | None:
        due = self.errors.get(row.get("Ext__c") or row.get("Id") or "")
        if due:
            return _error(*due.pop(0))
        if "bad" in row.get("Name", ""):
            return _error("FIELD_CUSTOM_VALIDATION_EXCEPTION", "no bad names")
        return None

    def _query(self, call: Call[object]) -> Reply:
        soql = dict(call.query)["q"]
        found = re.fullmatch(r"SELECT .* FROM Widget__c WHERE (\w+) IN \((.*)\)", soql)
        assert found is not None, soql
        # SOQL compares without case, and here without blanks, so that one is found that the org has cut.
        wanted = {one.strip().casefold() for one in re.findall(r"'([^']*)'", found[2])}
        records = [self._shown(one) for one in self.live() if one[found[1]].casefold() in wanted]
        page = {"totalSize": len(records), "done": True, "records": records}
        headers = {"date": format_datetime(self.now(), usegmt=True)} if self.tells_time else {}
        return Reply(200, headers, json.dumps(page).encode())

    def _shown(self, one: Record) -> Record:
        return {
            "attributes": {"type": "Widget__c"},
            "Id": one["Id"],
            "Ext__c": one["Ext__c"],
            "CreatedDate": f"{one['created']:%Y-%m-%dT%H:%M:%S}.000+0000",
            "CreatedBy": {"Username": one["created_by"]},
            "LastModifiedDate": f"{one['modified']:%Y-%m-%dT%H:%M:%S}.000+0000",
            "LastModifiedBy": {"Username": one["modified_by"]},
        }


def _error(code: str, message: str) -> Record:
    return {"success": False, "errors": [{"statusCode": code, "message": message, "fields": []}]}

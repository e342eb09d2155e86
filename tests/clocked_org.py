"""An embedded org over HTTP whose clock is set by hand, and short ways to change its accounts."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Mapping
from dataclasses import replace
from threading import Event

import polars as pl

import sfframe as sf
from sfframe.connection.login import AccessToken
from sfframe.connection.transport import Transport
from sfframe.localorg import Clock, Fault
from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services.json_body import JsonBody
from sfframe.localorg.store.store import DELETE_LOG, Store
from sfframe.protocol.call import Call, Reply

NOON = dt.datetime(2026, 3, 4, 12, 0, 7, tzinfo=dt.UTC)


class _WatchedTransport(Transport):
    """Does what happens before a request, and can hide what time the org says it is."""

    def __init__(self, org: ClockedOrg) -> None:
        super().__init__(direct=True)
        self._org = org

    def send(self, call: Call[object], url: str, headers: Mapping[str, str], *, cancel: Event | None = None) -> Reply:
        self._org.meanwhile.pop(0, lambda: None)()
        self._org.meanwhile = {left - 1: work for left, work in self._org.meanwhile.items()}
        reply = super().send(call, url, headers, cancel=cancel)
        if self._org.tells_time:
            return reply
        return replace(reply, headers={name: value for name, value in reply.headers.items() if name != "date"})


class ClockedOrg:
    """``connection`` is an Org for the verbs of sfframe. ``meanwhile`` has what happens before its nth next request,
    counted from 0. ``purged`` are the accounts that are gone for good.
    """

    def __init__(self) -> None:
        self._local = sf.LocalOrg(clock=Clock(NOON))
        self.tells_time = True
        self.purged: set[str] = set()
        self.meanwhile: dict[int, Callable[[], None]] = {}
        token = AccessToken(self._local.credentials.access_token)
        self.connection = sf.Org(self._local.url, token, transport=_WatchedTransport(self))

    def close(self) -> None:
        self.connection.close()
        self._local.close()

    def reset(self) -> None:
        self._local.clock.set(NOON)
        self.tells_time = True
        self.purged.clear()
        self.meanwhile.clear()
        self.end_faults()
        self._local.reset()

    def deploy(self, *described: dict[str, object]) -> None:
        self._local.deploy(list(described))

    def add_fault(self, fault: Fault) -> None:
        self._local.faults.add(fault)

    def end_faults(self) -> None:
        self._local.faults.clear()

    @property
    def requests(self) -> list[str]:
        return [f"{one['method']} {one['path']}" for one in self._local.request_log().to_dicts()]

    @property
    def time(self) -> dt.datetime:
        return self._local.clock.now()

    def tick(self, **time: float) -> None:
        self._local.clock.advance(**time)

    # -- accounts -----------------------------------------------------------------------------------------------------

    @property
    def _store(self) -> Store:
        return self._local._store

    @property
    def _account(self) -> ObjectDef:
        found = self._store.catalogue.find("Account")
        assert found is not None
        return found

    def insert(self, *names: str, **cells: str) -> list[str]:
        frame = pl.DataFrame({"Name": names}).with_columns(pl.lit(value).alias(name) for name, value in cells.items())
        return self._local.insert("Account", frame)

    def update(self, record_id: str, **cells: str | None) -> None:
        self._local._services.records.update(self._account, record_id, JsonBody.of(cells))

    def delete(self, record_id: str) -> None:
        self._local._services.records.delete(self._account, record_id)

    def undelete(self, record_id: str) -> None:
        assert self._local.undelete("Account", [record_id]) == {}

    def purge(self, record_id: str) -> None:
        """Gone for good. The log tells when the record was deleted: now, or when it went to the recycle bin."""
        with self._store.transaction() as cursor:
            moment = 'CASE WHEN "IsDeleted" THEN "SystemModstamp" ELSE $now END'
            given = {"id": record_id}
            cursor.execute(
                f'INSERT INTO {DELETE_LOG} SELECT \'Account\', "Id", {moment} FROM data."Account" WHERE "Id" = $id',
                {**given, "now": self._store.now()},
            )
            cursor.execute('DELETE FROM data."Account" WHERE "Id" = $id', given)
        self.purged.add(record_id)

    def stamped(self, record_id: str, moment: dt.datetime) -> None:
        """As a transaction does that began then and has ended now."""
        with self._store.transaction() as cursor:
            sql = 'UPDATE data."Account" SET "SystemModstamp" = $moment WHERE "Id" = $id'
            cursor.execute(sql, {"moment": moment.replace(tzinfo=None), "id": record_id})

    def accounts(self) -> dict[str, tuple[str, str | None]]:
        """Name and Rating of what is there, by Id."""
        with self._store.cursor() as cursor:
            sql = 'SELECT "Id", "Name", "Rating" FROM data."Account" WHERE "IsDeleted" IS NOT TRUE'
            return {record_id: (name, rating) for record_id, name, rating in cursor.execute(sql).fetchall()}


def answering(org: sf.Org, body: object, when: Callable[[Call[object]], bool], *, times: int = 1) -> sf.Org:
    """A connection to the same org on which the first calls of some kind are answered with ``body``, as JSON."""
    transport, left = org._transport, [times]

    class Replaced(Transport):
        def send(
            self, call: Call[object], url: str, headers: Mapping[str, str], *, cancel: Event | None = None
        ) -> Reply:
            if when(call) and left[0]:
                left[0] -= 1
                return Reply(200, {}, json.dumps(body).encode())
            return transport.send(call, url, headers, cancel=cancel)

    return sf.Org(org.instance_url, org._credentials, transport=Replaced())

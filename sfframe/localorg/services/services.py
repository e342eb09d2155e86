"""Services: everything that one embedded org can do, over one store."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.faults import Faults
from sfframe.localorg.services import seeding
from sfframe.localorg.services.auth import Auth
from sfframe.localorg.services.bulk1 import Bulk1Service
from sfframe.localorg.services.bulk_query import BulkQueryService
from sfframe.localorg.services.describes import Describes
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.grants import Grants
from sfframe.localorg.services.identity import Identity
from sfframe.localorg.services.ingest import IngestService
from sfframe.localorg.services.limits import Limits
from sfframe.localorg.services.query import QueryService
from sfframe.localorg.services.record_tree import TreeService
from sfframe.localorg.services.records import RecordService
from sfframe.localorg.services.replication import Replication
from sfframe.localorg.services.request_log import RequestLog
from sfframe.localorg.services.searching import Search
from sfframe.localorg.services.sobject_collections import CollectionService
from sfframe.localorg.services.tooling import Tooling
from sfframe.localorg.store import snapshots
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.snapshots import Snapshot
from sfframe.localorg.store.store import Store

if TYPE_CHECKING:
    import polars as pl


class Services:
    """Handed to the routes as ``request.app.state.services``."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.faults = Faults(settings.seed)
        store.locked_share = self.faults.on_save
        self.request_log = RequestLog()
        self.sessions = Auth(store)
        self.identity = Identity(store)
        self.grants = Grants(self.sessions, self.identity)
        self.limits = Limits(store, settings)
        self.describes = Describes(store)
        self.records = RecordService(store)
        self.collections = CollectionService(store, self.records)
        self.trees = TreeService(store, self.records)
        self.replication = Replication(store)
        self._open()

    def reset(self) -> None:
        """Forget all rows, jobs and locators; definitions, sessions and counted calls stay."""
        self._renew(self.store.reset)

    def insert(self, obj: ObjectDef, rows: pl.DataFrame) -> list[str]:
        """Insert the rows of a frame; see seeding.insert."""
        return seeding.insert(self.store, obj, rows)

    def snapshot(self) -> Snapshot:
        """A copy of all rows."""
        return snapshots.take(self.store)

    def restore(self, snapshot: Snapshot) -> None:
        """The rows of a snapshot; jobs and locators are forgotten."""
        self._renew(lambda: snapshots.bring_back(self.store, snapshot))

    def _renew(self, change: Callable[[], None]) -> None:
        self.close()
        self.ingest.forget()
        self.bulk1.forget()
        change()
        self._open()

    def release(self, job_id: str) -> None:
        """Let a bulk job go on that a setting or a fault holds."""
        for service in (self.bulk_query, self.bulk1):
            try:
                return service.release(job_id)
            except ServiceError:
                continue  # the job of another interface
        return self.ingest.release(job_id)

    def close(self) -> None:
        """End the jobs that run; the store stays open."""
        for service in (self.query, self.bulk_query, self.ingest, self.bulk1):
            service.close()

    def _open(self) -> None:
        self.query = QueryService(self.store, self.settings)
        self.tooling = Tooling(self.store, self.query, self.describes)
        self.search = Search(self.store, self.query)
        self.bulk_query = BulkQueryService(self.store, self.settings, self.limits.count_query_job, self.faults)
        self.ingest = IngestService(self.store, self.settings, self.limits.count_batches, self.faults)
        self.bulk1 = Bulk1Service(self.store, self.settings, self.limits.count_batches, self.faults)

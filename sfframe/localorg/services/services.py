"""Services: everything that one embedded org can do, over one store."""

from __future__ import annotations

from sfframe.localorg.services.auth import Auth
from sfframe.localorg.services.bulk_query import BulkQueryService
from sfframe.localorg.services.describes import Describes
from sfframe.localorg.services.grants import Grants
from sfframe.localorg.services.identity import Identity
from sfframe.localorg.services.ingest import IngestService
from sfframe.localorg.services.limits import Limits
from sfframe.localorg.services.query import QueryService
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store


class Services:
    """Handed to the routes as ``request.app.state.services``."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self.store = store
        self.settings = settings
        self.sessions = Auth(store)
        self.identity = Identity(store)
        self.grants = Grants(self.sessions, self.identity)
        self.limits = Limits(store, settings)
        self.describes = Describes(store)
        self._open()

    def reset(self) -> None:
        """Forget all rows, jobs and locators; definitions, sessions and counted calls stay."""
        self.close()
        self.ingest.forget()
        self.store.reset()
        self._open()

    def close(self) -> None:
        """End the jobs that run; the store stays open."""
        for service in (self.query, self.bulk_query, self.ingest):
            service.close()

    def _open(self) -> None:
        self.query = QueryService(self.store, self.settings)
        self.bulk_query = BulkQueryService(self.store, self.settings)
        self.ingest = IngestService(self.store, self.settings, self.limits.count_batches)

"""The embedded org: a faithful Salesforce that runs in this process, on DuckDB. It knows nothing of the client."""

from sfframe.localorg.faults import Fault, Faults
from sfframe.localorg.local_org import Credentials, LocalOrg
from sfframe.localorg.store.clock import Clock
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.snapshots import Snapshot
from sfframe.localorg.store.store import OrgFileUnusable

__all__ = ["Clock", "Credentials", "Fault", "Faults", "LocalOrg", "OrgFileUnusable", "Settings", "Snapshot"]

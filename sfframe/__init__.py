"""Dataframes in and out of Salesforce: typed reads, checked writes, every result joined to your own rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from sfframe.blobs import read_blobs
from sfframe.changes import Changes, read_changes
from sfframe.connection.org import Org
from sfframe.errors import (
    ApiError,
    AuthenticationError,
    Cancelled,
    ConnectionFailed,
    ContractError,
    DecodeError,
    FrameError,
    IncompleteAnswer,
    JobAborted,
    JobError,
    JobFailed,
    JobTimeout,
    LedgerError,
    LimitExceeded,
    NotFound,
    PermissionDenied,
    QueryError,
    RowsFailed,
    RowsFailedWarning,
    ServerUnavailable,
    SfframeError,
    SoqlSyntaxError,
    UsageError,
)
from sfframe.export import export_soql, partition_soql
from sfframe.handles import Bulk1Batch, Bulk1Job, IngestJob, QueryJob, create_job, get_job, list_jobs
from sfframe.jobs.events import JobEvent
from sfframe.jobs.pacing import Pacing
from sfframe.metadata import describe, frame_schema, validate_frame
from sfframe.options import Guards, LoadHeaders, LoadLimits, LoadOptions
from sfframe.orgs import connect
from sfframe.read import read_soql
from sfframe.read_options import ReadOptions
from sfframe.results import LoadResult
from sfframe.runs import history, resume, retry
from sfframe.scan import explain, scan_sobject, scan_soql
from sfframe.schema import ChildRelationship, Field, PicklistValue, RecordType, SObject
from sfframe.watermarks import Watermark
from sfframe.write import write_sobject

if TYPE_CHECKING:
    from sfframe.frames.description import Description
    from sfframe.localorg import LocalOrg

    __version__: str

__all__ = [
    "ApiError",
    "AuthenticationError",
    "Bulk1Batch",
    "Bulk1Job",
    "Cancelled",
    "Changes",
    "ChildRelationship",
    "ConnectionFailed",
    "ContractError",
    "DecodeError",
    "Description",
    "Field",
    "FrameError",
    "Guards",
    "IncompleteAnswer",
    "IngestJob",
    "JobAborted",
    "JobError",
    "JobEvent",
    "JobFailed",
    "JobTimeout",
    "LedgerError",
    "LimitExceeded",
    "LoadHeaders",
    "LoadLimits",
    "LoadOptions",
    "LoadResult",
    "LocalOrg",
    "NotFound",
    "Org",
    "Pacing",
    "PermissionDenied",
    "PicklistValue",
    "QueryError",
    "QueryJob",
    "ReadOptions",
    "RecordType",
    "RowsFailed",
    "RowsFailedWarning",
    "SObject",
    "ServerUnavailable",
    "SfframeError",
    "SoqlSyntaxError",
    "UsageError",
    "Watermark",
    "__version__",
    "connect",
    "create_job",
    "describe",
    "explain",
    "export_soql",
    "frame_schema",
    "get_job",
    "history",
    "list_jobs",
    "partition_soql",
    "read_blobs",
    "read_changes",
    "read_soql",
    "resume",
    "retry",
    "scan_sobject",
    "scan_soql",
    "validate_frame",
    "write_sobject",
]


def __getattr__(name: str) -> object:
    """What costs time to import, on first use."""
    if name == "Description":
        from sfframe.frames.description import Description

        return Description
    if name == "LocalOrg":
        from sfframe.orgs import local_org_type

        return local_org_type()
    if name == "__version__":
        from importlib.metadata import version

        return version("sfframe")
    raise AttributeError(f"module 'sfframe' has no attribute {name!r}")

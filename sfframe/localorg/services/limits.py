"""Limits: what the org allows per day and what is left of it (rest.md 4)."""

from __future__ import annotations

import threading
from typing import Any

from sfframe.localorg.services import definitions
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.store.settings import Settings
from sfframe.localorg.store.store import Store

_RECORDS_PER_MEGABYTE = 512  # a record counts as 2 KB of storage

# Allowances that nothing in this org uses up; the numbers are documented (rest.md 4), recorded (camel-quarkus) or,
# of the last few, from memory.
_UNTOUCHED = {
    "ActiveScratchOrgs": 3,
    "AnalyticsExternalDataSizeMB": 40_960,
    "ConcurrentAsyncGetReportInstances": 200,
    "ConcurrentEinsteinDataInsightsStoryCreation": 5,
    "ConcurrentEinsteinDiscoveryStoryCreation": 2,
    "ConcurrentSyncReportRuns": 20,
    "DailyAnalyticsDataflowJobExecutions": 60,
    "DailyAnalyticsUploadedFilesSizeMB": 51_200,
    "DailyAsyncApexExecutions": 250_000,
    "DailyAsyncApexTests": 500,
    "DailyBulkV2QueryFileStorageMB": 976_562,
    "DailyDeliveredPlatformEvents": 10_000,
    "DailyDurableGenericStreamingApiEvents": 10_000,
    "DailyDurableStreamingApiEvents": 10_000,
    "DailyEinsteinDataInsightsStoryCreation": 1_000,
    "DailyEinsteinDiscoveryOptimizationJobRuns": 25,
    "DailyEinsteinDiscoveryPredictAPICalls": 50_000,
    "DailyEinsteinDiscoveryPredictionsByCDC": 500_000,
    "DailyEinsteinDiscoveryStoryCreation": 100,
    "DailyFunctionsApiCallLimit": 235_000,
    "DailyGenericStreamingApiEvents": 10_000,
    "DailyScratchOrgs": 6,
    "DailyStandardVolumePlatformEvents": 10_000,
    "DailyStreamingApiEvents": 10_000,
    "DailyWorkflowEmails": 390,
    "DurableStreamingApiConcurrentClients": 20,
    "FileStorageMB": 1_024,
    "HourlyAsyncReportRuns": 1_200,
    "HourlyDashboardRefreshes": 200,
    "HourlyDashboardResults": 5_000,
    "HourlyDashboardStatuses": 999_999_999,
    "HourlyLongTermIdMapping": 100_000,
    "HourlyManagedContentPublicRequests": 50_000,
    "HourlyODataCallout": 10_000,
    "HourlyPublishedPlatformEvents": 50_000,
    "HourlyPublishedStandardVolumePlatformEvents": 1_000,
    "HourlyShortTermIdMapping": 100_000,
    "HourlySyncReportRuns": 500,
    "HourlyTimeBasedWorkflow": 1_000,
    "MassEmail": 10,
    "MonthlyEinsteinDiscoveryStoryCreation": 500,
    "MonthlyPlatformEventsUsageEntitlement": 300_000,
    "Package2VersionCreates": 6,
    "Package2VersionCreatesWithoutValidation": 500,
    "PrivateConnectOutboundCalloutHourlyLimitMB": 0,
    "SingleEmail": 15,
    "StreamingApiConcurrentClients": 20,
}
_PERMISSION_SETS = 1_500
_DATA_STORAGE_MB = 1_024


class Limits:
    """Counts calls by day (UTC) and sums up what is left. ``batches`` is counted by whoever runs bulk batches."""

    def __init__(self, store: Store, settings: Settings) -> None:
        self._store = store
        self._settings = settings
        self._lock = threading.Lock()
        self._day = store.now().date()
        self._calls = 0
        self._batches = self._query_jobs = 0

    def count_call(self) -> tuple[int, int]:
        """Count one API call; answers calls used and calls allowed. Raises once the day's calls are used up."""
        with self._lock:
            self._turn_day()
            if self._calls >= self._settings.daily_api_requests:
                raise ServiceError(403, "REQUEST_LIMIT_EXCEEDED", "TotalRequests Limit exceeded.")
            self._calls += 1
            return self._calls, self._settings.daily_api_requests

    def count_batches(self, batches: int) -> int:
        """Count bulk batches of today; answers how many were used with these (bulk2.md 2.14: v1 and v2 share them)."""
        with self._lock:
            self._turn_day()
            self._batches += batches
            return self._batches

    def count_query_job(self) -> None:
        """Count one query job of Bulk API 2.0; raises once those of the day are used up (bulk2.md 4.7)."""
        with self._lock:
            self._turn_day()
            most = self._settings.daily_query_jobs
            if self._query_jobs >= most:
                words = f"Max bulk v2 query jobs ({most}) per 24 hrs has been reached"
                raise ServiceError(400, "LIMIT_EXCEEDED", words, code_first=True)
            self._query_jobs += 1

    def overview(self) -> dict[str, dict[str, Any]]:
        """``GET /limits``."""
        with self._lock:
            self._turn_day()
            calls = self._settings.daily_api_requests - self._calls
            batches = max(self._settings.daily_batches - self._batches, 0)
            query_jobs = self._settings.daily_query_jobs - self._query_jobs
        stored = sum(self.record_counts().values()) // _RECORDS_PER_MEGABYTE
        permission_sets = {"Max": _PERMISSION_SETS, "Remaining": _PERMISSION_SETS}
        used: dict[str, dict[str, Any]] = {
            "DailyApiRequests": {"Max": self._settings.daily_api_requests, "Remaining": calls},
            "DailyBulkApiBatches": {"Max": self._settings.daily_batches, "Remaining": batches},
            "DailyBulkV2QueryJobs": {"Max": self._settings.daily_query_jobs, "Remaining": query_jobs},
            "DataStorageMB": {"Max": _DATA_STORAGE_MB, "Remaining": max(_DATA_STORAGE_MB - stored, 0)},
            "PermissionSets": permission_sets | {"CreateCustom": permission_sets},
        }
        untouched = {name: {"Max": most, "Remaining": most} for name, most in _UNTOUCHED.items()}
        return dict(sorted((used | untouched).items()))

    def record_counts(self, names: list[str] | None = None) -> dict[str, int]:
        """Rows outside the recycle bin by object; objects that are unknown or empty are left out."""
        catalogue = self._store.catalogue
        found = catalogue.objects.values() if names is None else [catalogue.find(name) for name in names]
        objects = {obj.name: obj for obj in found if obj is not None and obj.name not in definitions.NAMES}
        counted = [
            f"SELECT {at} AS at_, count(*) AS n FROM {self._store.table(obj)}"
            + (' WHERE "IsDeleted" IS NOT TRUE' if obj.field("IsDeleted") else "")
            for at, obj in enumerate(objects.values())
        ]
        if not counted:
            return {}
        with self._store.cursor() as cursor:
            rows = cursor.execute(" UNION ALL ".join(counted) + " ORDER BY 1").fetchall()
        return {name: count for name, (_, count) in zip(objects, rows, strict=True) if count}

    def _turn_day(self) -> None:
        today = self._store.now().date()
        if today != self._day:
            self._day, self._calls, self._batches, self._query_jobs = today, 0, 0, 0

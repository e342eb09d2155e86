"""Settings of an embedded org: what a real org has fixed and a test may want otherwise."""

from __future__ import annotations

import zoneinfo
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Settings:
    """Sizes count rows unless said. ``seed`` decides the order of result files and everything else that is drawn."""

    seed: int = 0
    batch_rows: int = 10_000  # bulk2.md 2.14
    query_page_rows: int = 2_000  # rest.md 1.3
    bulk_page_rows: int = 50_000  # bulk2.md 4.4: not documented, what clients see
    result_file_rows: int | None = None  # of Bulk 1.0 queries; a real org begins a new file behind 1 GB (bulk1.md 4)
    upload_bytes: int = 112_000_000  # 150 MB after base64 (bulk2.md 2.4)
    daily_api_requests: int = 100_000
    daily_batches: int = 15_000  # bulk2.md 5
    daily_query_jobs: int = 10_000  # bulk2.md 5
    session_seconds: float = 7_200  # since the last use (rest.md 1.2)
    time_zone: str = "GMT"  # of the org's user: an IANA name; date literals name its days (rest.md 13.2)
    fiscal_year_start_month: int = 1  # rest.md 13.2
    sandbox: bool = True
    hard_delete_allowed: bool = True
    batches_at_once: int = 25  # saved by one transaction, where none of the settings below wants to stop sooner
    hold_jobs: bool = False  # ingest jobs wait in UploadComplete (those of Bulk 1.0 in Queued) until released
    hold_after_batches: int | None = None  # ingest jobs wait in InProgress behind so many batches until released
    job_fails_after_batches: int | None = None  # ingest jobs fail behind so many batches, the rest stays unprocessed
    parallel_batches_lock_parents: bool = False  # of one transaction's batches: rows whose parent an earlier one has

    def __post_init__(self) -> None:
        if self.time_zone not in {"GMT", "UTC"}:
            zoneinfo.ZoneInfo(self.time_zone)  # raises ZoneInfoNotFoundError, a KeyError that names the zone
        if not 1 <= self.fiscal_year_start_month <= 12:
            raise ValueError(f"fiscal_year_start_month is {self.fiscal_year_start_month}. Give a month from 1 to 12.")

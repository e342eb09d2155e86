"""The answer of a Bulk API 1.0 job: typed while the result files of its batches come."""

from __future__ import annotations

import re
import tempfile
from collections.abc import Generator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Final

from sfframe.fetch.pages import PAGES_AHEAD, frames_of, page_reader, typed_page
from sfframe.jobs.extract_v1 import BatchQuery, ending, take_files, wait_for_batches
from sfframe.jobs.result_pages import incomplete
from sfframe.progress import shown
from sfframe.protocol.bulk1 import PkChunking

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.fetch.plan import Plan
    from sfframe.schema import SObject

_FOLLOWER: Final = re.compile(r"(\w+?)(__)?(Share|History)")


@dataclass(frozen=True, slots=True)
class Bulk1Answer:
    """A query whose job is made."""

    org: Org
    plan: Plan
    job_id: str

    def batches(self, _whole: bool) -> Generator[pl.DataFrame]:
        """The typed rows, in the order of the batches."""
        org, options, rows = self.org, self.plan.options, 0
        reader = page_reader(self.plan)
        with (
            tempfile.TemporaryDirectory(prefix="sfframe-") as folder,
            shown(options.progress, title=f"query {self.plan.parsed.source.name}", rows=0) as listener,
            ending(org, self.job_id),
        ):
            batches = wait_for_batches(
                org,
                self.job_id,
                chunked=bool(options.pk_chunking),
                pacing=options.pacing or org.pacing,
                cancel=options.cancel,
                on_event=listener,
            )
            take = partial(typed_page, reader=reader, folder=Path(folder))
            files = take_files(org, batches, take, ahead=PAGES_AHEAD, cancel=options.cancel, on_event=listener)
            for frame in frames_of(files, reader, used=Path.unlink, broken=Path.unlink):
                rows += frame.height
                yield frame
        counted = sum(batch.records_processed or 0 for batch in batches)
        if rows != counted:
            raise incomplete(self.job_id, f"the result files have {rows:,} rows, the batches counted {counted:,}")


def batch_query(plan: Plan, sobject: SObject) -> BatchQuery:
    """The plan as a query of Bulk API 1.0."""
    chunking = chunked(sobject, plan.options.pk_chunking)
    return BatchQuery(sobject.name, plan.query, plan.include_deleted, chunking)


def chunked(sobject: SObject, asked: bool | int) -> PkChunking | None:
    """How the org is to cut queries of an object: not at all, by its default (True), or by so many ids."""
    if not asked:
        return None
    parent = _chunk_parent(sobject)
    return PkChunking(parent=parent) if asked is True else PkChunking(asked, parent)


def _chunk_parent(sobject: SObject) -> str:
    """The object whose ids cut the shares or the history of an object; empty for all others (bulk1.md 6).

    LoginHistory and OpportunityHistory, for two, are objects of their own, which are cut by their own ids.
    """
    found = _FOLLOWER.fullmatch(sobject.name)
    if found is None or sobject.name == "OpportunityHistory":
        return ""
    if found[2]:
        return f"{found[1]}__c"
    return found[1] if sobject.field(f"{found[1]}Id") is not None else ""

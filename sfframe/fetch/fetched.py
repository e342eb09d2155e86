"""Decides which API answers a plan, asks it, and gives the answer while it comes."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Generator
from contextlib import closing
from dataclasses import replace
from typing import TYPE_CHECKING

from sfframe.errors import LimitExceeded
from sfframe.explanations import ReadReport
from sfframe.fetch.bulk1_answer import Bulk1Answer, batch_query
from sfframe.fetch.bulk2_answer import Bulk2Answer
from sfframe.fetch.decision import BULK_FROM, CARRIER_NAMES, Decision, foretold
from sfframe.fetch.rest_answer import RestAnswer, pages_of
from sfframe.jobs import extract, extract_v1

if TYPE_CHECKING:
    import polars as pl

    from sfframe.connection.org import Org
    from sfframe.fetch.plan import Plan
    from sfframe.jobs.kept_pages import KeptPages

Batches = Callable[[bool], "Generator[pl.DataFrame]"]  # True: nothing is used before all of it is here

_log = logging.getLogger("sfframe.fetch")


class Fetched:
    """An answer on its way: the decision is made, the rows come with ``batches`` or ``frame``, once.

    ``report`` is None until they have come. It goes to the log "sfframe.fetch" as well, at INFO: it has no values.
    """

    def __init__(self, org: Org, plan: Plan, decision: Decision, batches: Batches, *, began: tuple[float, int]) -> None:
        self.plan = plan
        self.decision = decision
        self.report: ReadReport | None = None
        self._org = org
        self._batches = batches
        self._began = began

    def batches(self) -> Generator[pl.DataFrame]:
        """The rows as they come, each batch typed; a few pages are in memory at a time.

        Nothing of it is the whole answer before the iterator has ended: a shortfall raises ``IncompleteAnswer``.
        """
        return self._counted(self._batches(False))

    def frame(self) -> pl.DataFrame:
        """All rows, or an error."""
        import polars as pl

        return pl.concat([pl.DataFrame(schema=self.plan.schema), *self._counted(self._batches(True))])

    @property
    def reported(self) -> ReadReport:
        """How it went; only once all rows have come."""
        if self.report is None:
            raise AssertionError
        return self.report

    def _counted(self, batches: Generator[pl.DataFrame]) -> Generator[pl.DataFrame]:
        rows = 0
        try:
            with closing(batches):
                for batch in batches:
                    rows += batch.height
                    yield batch
        except GeneratorExit:  # who takes the rows has enough of them
            self._tell(rows, whole=False)
            raise
        self._tell(rows, whole=True)

    def _tell(self, rows: int, *, whole: bool) -> None:
        """Calls are those of the connection since the read began; other threads' are among them."""
        decision, (clock, calls) = self.decision, self._began
        self.report = ReadReport(
            self.plan.parsed.source.name,
            CARRIER_NAMES[decision.api],
            decision.reason,
            rows,
            self._org.calls - calls,
            time.monotonic() - clock,
            whole,
            decision.job_id,
        )
        _log.info("%s", self.report, extra={"read": self.report})


def fetch(org: Org, plan: Plan, *, keep: KeptPages | None = None) -> Fetched:
    """Decides which API answers, asks it, and gives the answer while it comes.

    With ``keep`` the pages of a Bulk API 2.0 query stay on disk; the job that they are noted for, if any, is read on.
    ``QueryError`` for a query that the org refuses comes from here where REST or Bulk API 2.0 answers; JobFailed and
    everything about rows from ``batches``.
    """
    if plan.options.reserve:
        _leave(org, plan.options.reserve, plan.parsed.source.name)
    began = (time.monotonic(), org.calls)

    def fetched(decision: Decision, batches: Batches) -> Fetched:
        return Fetched(org, plan, decision, batches, began=began)

    if keep is not None and keep.about:
        decision = Decision("bulk2", "its job goes on, and pages of it are kept", None, keep.about["job"])
        return fetched(decision, Bulk2Answer(org, plan, decision.job_id, 0, keep).batches)
    decided = foretold(plan)
    if decided is None or decided.api == "rest":
        pages = pages_of(org, plan)
        first = next(pages)
        if decided is None and first.total_size >= BULK_FROM:
            reason = f"{first.total_size:,} rows, {BULK_FROM:,} or more"
            decided = Decision("bulk2", reason, first.total_size)
        else:
            reason = decided.reason if decided else f"{first.total_size:,} rows, less than {BULK_FROM:,}"
            decision = Decision("rest", reason, first.total_size)
            return fetched(decision, RestAnswer(org, plan, first, pages).batches)
    if decided.api == "bulk1":
        asked = batch_query(plan, org.describe(plan.parsed.source.name))
        job_id = extract_v1.start_query(org, asked, cancel=plan.options.cancel)
        return fetched(replace(decided, job_id=job_id), Bulk1Answer(org, plan, job_id).batches)
    query = extract.QueryJob(plan.query, include_deleted=plan.include_deleted)
    job_id = extract.start_query(org, query, cancel=plan.options.cancel)
    if keep is not None:
        keep.begin({**about(org, plan), "job": job_id})
    answer = Bulk2Answer(org, plan, job_id, decided.total_size or 0, keep)
    return fetched(replace(decided, job_id=job_id), answer.batches)


def _leave(org: Org, reserve: int, sobject: str) -> None:
    """Raises LimitExceeded where fewer calls than that are left of the org's day, as it said last."""
    usage, limit = org.api_usage, None if org.api_usage else org.limits().get("DailyApiRequests")
    left = usage.max - usage.used if usage else limit.remaining if limit else None
    if left is not None and left < reserve:
        raise LimitExceeded(
            f"{left:,} API calls are left of the org's day, and {reserve:,} are reserved for others",
            where=f"FROM {sobject}",
            remedy="Nothing was sent. Wait until the org's 24-hour window has moved, or reserve fewer.",
        )


def about(org: Org, plan: Plan) -> dict[str, str]:
    """What kept pages belong to: they are of no use to another query, or to another org."""
    return {"query": plan.query, "deleted": str(plan.include_deleted), "org": org.instance_url}

"""Carries out reads: the counterpart of ``load``, where the wire wing's pages meet the data wing's types."""

from sfframe.fetch.bulk1_answer import chunked
from sfframe.fetch.decision import BULK_FROM, CARRIER_NAMES, Decision, foretold, refused_by_bulk
from sfframe.fetch.fetched import Fetched, about, fetch
from sfframe.fetch.partitions import parts_of
from sfframe.fetch.plan import Plan, planned, understood
from sfframe.fetch.spread import refuse_too_long, spread

__all__ = [
    "BULK_FROM", "CARRIER_NAMES", "Decision", "Fetched", "Plan", "about", "chunked", "fetch", "foretold", "parts_of",
    "planned", "refuse_too_long", "refused_by_bulk", "spread", "understood",
]  # fmt: skip

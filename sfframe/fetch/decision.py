"""Which API answers a query, and why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Literal

from sfframe import soql
from sfframe.errors import UsageError
from sfframe.protocol.query import fits_in_uri

if TYPE_CHECKING:
    from sfframe.codec.layout import Shape
    from sfframe.fetch.plan import Plan

Carrier = Literal["rest", "bulk1", "bulk2"]

CARRIER_NAMES: Final[Mapping[Carrier, str]] = {"rest": "REST", "bulk1": "Bulk API 1.0", "bulk2": "Bulk API 2.0"}

# From so many rows on a bulk query is asked for: ten REST pages of 2,000 take about as long as one job (rest.md 1.3).
BULK_FROM: Final = 20_000
_REST_ONLY_TYPES: Final = frozenset({"address", "location", "base64", "json"})  # bulk2.md 4.7


@dataclass(frozen=True, slots=True)
class Decision:
    """Which API answers, and why. ``total_size`` is what a REST page named, None where none was asked for;
    ``job_id`` is empty where there is no job.
    """

    api: Carrier
    reason: str
    total_size: int | None = None
    job_id: str = ""


def foretold(plan: Plan) -> Decision | None:
    """What is decided before anything is sent; None where the rows that a first REST page counts decide.

    Raises UsageError where a bulk API is asked for that cannot do it.
    """
    api = plan.options.api
    if api == "rest":
        return Decision("rest", "asked for")
    refused = refused_by_bulk(plan.parsed, plan.shape)
    if api != "auto":
        if refused:
            raise UsageError(
                f"A bulk query cannot have {refused}", remedy='Use api="rest", or leave it out of the query.'
            )
        return Decision(api, "asked for")
    if refused:
        return Decision("rest", f"a bulk query cannot have {refused}")
    if plan.options.pk_chunking:
        return Decision("bulk1", "it alone has PK chunking")
    if not fits_in_uri(plan.query):
        return Decision("bulk2", "the query is too long for a URI")
    if plan.parsed.limit is not None and plan.parsed.limit < BULK_FROM:
        return Decision("rest", f"at most {plan.parsed.limit:,} rows")
    return None


def refused_by_bulk(query: soql.Query, shape: Shape) -> str:
    """What in the query only REST can answer (bulk1.md 4, bulk2.md 4.7); empty when a bulk query can do it too."""
    if query.count_only or query.group_by is not None or any(column.field is None for column in shape.columns):
        return "aggregates or functions"
    if query.offset is not None:
        return "OFFSET"
    if any(isinstance(item, soql.SubQuery | soql.TypeOf | soql.FieldsOf) for item in query.select):
        return "sub-queries, TYPEOF or FIELDS()"
    special = [column.name for column in shape.columns if column.type in _REST_ONLY_TYPES]
    return f"the compound or binary field {special[0]}" if special else ""

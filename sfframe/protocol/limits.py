"""The org's limits, and the count of API calls that every answer carries (rest.md 1.4, 4)."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass

from sfframe.protocol.call import Call, Reply
from sfframe.protocol.json_body import number, read_object

_USAGE = re.compile(r"(?:^|[;,\s])api-usage=(\d+)/(\d+)")


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit: its height and what is left of it. Salesforce's numbers lag by up to five minutes."""

    max: int
    remaining: int

    @property
    def used(self) -> int:
        """What is gone."""
        return self.max - self.remaining


@dataclass(frozen=True, slots=True)
class ApiUsage:
    """API calls of the whole org in the last 24 hours, by all its clients, and how many it may make."""

    used: int
    max: int


def limits() -> Call[Mapping[str, Limit]]:
    """All limits by name, such as ``DailyApiRequests``; the user needs the permission View Setup for some."""
    return Call("GET", "limits", _read_limits, repeatable=True)


def read_api_usage(headers: Mapping[str, str]) -> ApiUsage | None:
    """What ``Sforce-Limit-Info`` says; None where the answer has no such header, as before a login."""
    found = _USAGE.search(headers.get("sforce-limit-info", ""))
    return ApiUsage(int(found[1]), int(found[2])) if found else None


def _read_limits(reply: Reply) -> Mapping[str, Limit]:
    return {
        name: Limit(number(value, "Max"), number(value, "Remaining"))
        for name, value in read_object(reply).items()
        if isinstance(value, dict) and "Max" in value
    }

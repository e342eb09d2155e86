"""The API versions that the org serves, and the ones that are gone (rest.md 4, 14)."""

from __future__ import annotations

import re

from sfframe.localorg.services.errors import ServiceError

OLDEST, NEWEST = 31, 67
_SEASONS = ("Summer", "Winter", "Spring")  # three releases a year; a Winter release bears the next year
_PATH = re.compile(r"v(\d{1,3})\.0")


def label(number: int) -> str:
    """The release's name: 59 -> Winter '24."""
    years, season = divmod(number - OLDEST, 3)
    return f"{_SEASONS[season]} '{14 + years + (season > 0):02}"


def versions() -> list[dict[str, str]]:
    """What ``GET /services/data`` answers, ascending."""
    return [
        {"label": label(number), "url": f"/services/data/v{number}.0", "version": f"{number}.0"}
        for number in range(OLDEST, NEWEST + 1)
    ]


def check_version(text: str) -> None:
    """Refuse what is no version that this org serves: 410 for a retired one, 404 for any other."""
    match = _PATH.fullmatch(text)
    number = int(match[1]) if match else 0
    if match and 7 <= number < OLDEST:
        raise ServiceError(410, "GONE", f"API version {number}.0 is retired; use {OLDEST}.0 or later")
    if not match or number < OLDEST or number > NEWEST:
        raise ServiceError(404, "NOT_FOUND", "The requested resource does not exist")

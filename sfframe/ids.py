"""Salesforce record ids: 15 characters with case, or 18 with a suffix that repeats the case (rest.md 10)."""

from __future__ import annotations

import re

_ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ012345"
_SHAPE = re.compile(r"[0-9A-Za-z]{15}(?:[0-9A-Za-z]{3})?")
NULL_ID = "000000000000000AAA"


def is_id(text: str) -> bool:
    """True where ``text`` has the shape of a record id: 15 or 18 letters and digits."""
    return _SHAPE.fullmatch(text) is not None


def suffix(fifteen: str) -> str:
    """The three characters that make a 15-character id safe to compare without case."""
    return "".join(
        _ALPHABET[sum(1 << place for place, char in enumerate(fifteen[start : start + 5]) if "A" <= char <= "Z")]
        for start in (0, 5, 10)
    )


def to18(record_id: str) -> str:
    """The 18-character form of ``record_id``; the suffix of an 18-character id is made anew from its first 15.

    >>> to18("01254000001upcK")
    '01254000001upcKAAQ'
    """
    if not is_id(record_id):
        raise ValueError(f"{record_id!r} is not a Salesforce id: 15 or 18 letters and digits")
    return record_id[:15] + suffix(record_id[:15])

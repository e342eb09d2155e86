"""What all parts of a load have in common, whichever API carries them."""

from __future__ import annotations

from dataclasses import dataclass

from sfframe.facts import Delimiter, LineEnding, Operation


@dataclass(frozen=True, slots=True)
class LoadJob:
    """A load as the org is told of it.

    ``column_delimiter`` and ``line_ending`` are those of the parts; the org is told in words, and Bulk 1.0 and
    collections always take the defaults. ``assignment_rule_id`` is for Case and Lead. ``allow_duplicates`` says whether
    records are saved that a duplicate rule with an alert speaks against (None: as the org is set up). ``all_or_none``
    rolls a collections call back when one of its rows fails; ``serial`` has Bulk 1.0 take one batch after the other.
    """

    sobject: str
    operation: Operation
    external_id_field: str | None = None
    column_delimiter: Delimiter = "COMMA"
    line_ending: LineEnding = "LF"
    assignment_rule_id: str | None = None
    allow_duplicates: bool | None = None
    all_or_none: bool = False
    serial: bool = False

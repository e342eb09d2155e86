"""The tree that a SOQL text parses to. Frozen data; every node that can be wrong knows where it stood."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal as OneOf


@dataclass(frozen=True, slots=True)
class Path:
    """A field, or a field of a parent: ``Owner.Profile.Name`` is ("Owner", "Profile", "Name"), as typed.

    ``at`` is the offset of its first character in the query text, from 0.
    """

    parts: tuple[str, ...]
    at: int = 0

    @property
    def text(self) -> str:
        """The path as it is written in a query."""
        return ".".join(self.parts)


@dataclass(frozen=True, slots=True)
class Call:
    """A function: ``COUNT(Id)``, ``CALENDAR_YEAR(CreatedDate)``, ``toLabel(Status)``, ``DISTANCE(...)``."""

    name: str
    args: tuple[Path | Call | Value, ...]
    at: int = 0


@dataclass(frozen=True, slots=True)
class Value:
    r"""A literal. ``text`` is the unescaped text of a string, else the literal as typed (without its quotes).

    On the right of LIKE the text keeps the pairs ``\_``, ``\%`` and ``\\``: there the backslash still tells a
    character from a wildcard.
    """

    kind: OneOf["string", "number", "boolean", "null", "date", "datetime", "time", "date_literal", "currency", "bind"]
    text: str
    n: int | None = None  # of LAST_N_DAYS:n
    at: int = 0


@dataclass(frozen=True, slots=True)
class Selected:
    """A field or function of the select list, with its alias where it has one."""

    expr: Path | Call
    alias: str | None = None


@dataclass(frozen=True, slots=True)
class FieldsOf:
    """``FIELDS(ALL | STANDARD | CUSTOM)``; ``*`` is the star, which only ``parse(..., star=True)`` takes."""

    group: OneOf["ALL", "STANDARD", "CUSTOM", "*"]
    at: int = 0


@dataclass(frozen=True, slots=True)
class TypeOf:
    """``TYPEOF rel WHEN Type THEN fields ... ELSE fields END``."""

    relationship: Path
    whens: tuple[tuple[str, tuple[Path, ...]], ...]
    otherwise: tuple[Path, ...] = ()
    at: int = 0


@dataclass(frozen=True, slots=True)
class SubQuery:
    """A child sub-query of the select list."""

    query: Query
    at: int = 0


@dataclass(frozen=True, slots=True)
class Comparison:
    """``left op right``: ``=``, ``!=``, ``<``, ``<=``, ``>``, ``>=``, ``LIKE`` (``<>`` is read as ``!=``)."""

    left: Path | Call
    op: str
    right: Value
    at: int = 0


@dataclass(frozen=True, slots=True)
class Membership:
    """``left IN | NOT IN | INCLUDES | EXCLUDES (values)``, or IN with a sub-select."""

    left: Path | Call
    op: OneOf["IN", "NOT IN", "INCLUDES", "EXCLUDES"]
    values: tuple[Value, ...] | Query
    at: int = 0


@dataclass(frozen=True, slots=True)
class Logic:
    """``AND`` or ``OR`` of two or more conditions."""

    op: OneOf["AND", "OR"]
    terms: tuple[Condition, ...]


@dataclass(frozen=True, slots=True)
class Negation:
    """``NOT`` of one condition."""

    term: Condition
    at: int = 0


Condition = Comparison | Membership | Logic | Negation


@dataclass(frozen=True, slots=True)
class Ordering:
    """One member of ORDER BY; ``nulls`` is None where the query says nothing."""

    expr: Path | Call
    descending: bool = False
    nulls: OneOf["FIRST", "LAST"] | None = None


@dataclass(frozen=True, slots=True)
class Grouping:
    """GROUP BY, plain or as ROLLUP or CUBE."""

    exprs: tuple[Path | Call, ...]
    kind: OneOf["", "ROLLUP", "CUBE"] = ""


@dataclass(frozen=True, slots=True)
class Source:
    """``FROM object alias``; ``name`` is the relationship's name in a child sub-query."""

    name: str
    alias: str | None = None
    at: int = 0


@dataclass(frozen=True, slots=True)
class Query:
    """A whole SELECT. ``count_only`` marks ``SELECT COUNT()``, whose select list is empty."""

    select: tuple[Selected | FieldsOf | TypeOf | SubQuery, ...]
    source: Source
    count_only: bool = False
    related: tuple[Source, ...] = ()  # FROM Contact c, c.Account a
    scope: str | None = None
    where: Condition | None = None
    with_clause: str | None = None  # as typed, after WITH
    group_by: Grouping | None = None
    having: Condition | None = None
    order_by: tuple[Ordering, ...] = ()
    limit: int | None = None
    offset: int | None = None
    for_clauses: tuple[str, ...] = ()  # VIEW, REFERENCE, UPDATE
    update: tuple[str, ...] = ()  # TRACKING, VIEWSTAT
    all_rows: bool = False

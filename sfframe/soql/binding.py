"""Values for the ``:names`` of a query. Python values become literals of the tree, never pieces of its text."""

from __future__ import annotations

import datetime as dt
import math
import re
from collections.abc import Iterable, Mapping
from dataclasses import replace
from decimal import Decimal
from zoneinfo import ZoneInfo

from sfframe.errors import UsageError
from sfframe.soql.position import at
from sfframe.soql.tree import (
    Comparison,
    Condition,
    Logic,
    Membership,
    Negation,
    Path,
    Query,
    SubQuery,
    Value,
)

MAX_STRING = 4_000  # characters of one string in a WHERE (rest.md 13.1)

_NAME = re.compile(r"[A-Za-z_]\w*", re.ASCII)
# What an empty list means: no record is without an Id, so nothing is in it and everything is outside of it.
_NONE = Comparison(Path(("Id",)), "=", Value("null", "null"))
_EVERY = Comparison(Path(("Id",)), "!=", Value("null", "null"))


def bind(query: Query, params: Mapping[str, object], *, text: str = "", timezone: str | None = None) -> Query:
    """The query with the values of ``params`` in place of its ``:names``, in sub-queries and sub-selects too.

    A text, number, boolean, None, date, time or datetime is one value; any other iterable is a list, which needs IN,
    NOT IN, INCLUDES or EXCLUDES. An empty list finds nothing (after NOT IN and EXCLUDES everything). Repeated values
    are sent once. On the right of LIKE ``%`` and ``_`` are wildcards unless a backslash stands before them.

    ``text`` is the query as typed, for positions in messages. ``timezone`` is what a datetime without zone means.
    Raises ``UsageError`` for a name without a value, a value without a name, and a value that SOQL cannot say.

    >>> from sfframe.soql import parse, to_text
    >>> to_text(bind(parse("SELECT Id FROM Contact WHERE LastName = :who"), {"who": "O'Neill' OR Name != '"}))
    "SELECT Id FROM Contact WHERE LastName = 'O\\\\'Neill\\\\' OR Name != \\\\''"
    """
    binder = _Binder(params, text, timezone)
    bound = binder.query(query)
    unused = [name for name in params if name not in binder.used]
    if unused:
        raise UsageError(
            f"The query has no :{unused[0]}",
            where="params",
            remedy=f"Leave {unused[0]!r} out of params, or write :{unused[0]} where its value belongs.",
        )
    return bound


def literal(value: object, *, timezone: str | None = None, name: str = "") -> Value:
    """A Python value as a literal of SOQL; ``name`` is what messages call it.

    >>> literal(dt.datetime(2026, 3, 4, 5, 6, tzinfo=dt.UTC)).text
    '2026-03-04T05:06:00.000Z'
    """
    match value:
        case None:
            return Value("null", "null")
        case bool():
            return Value("boolean", "true" if value else "false")
        case str():
            return Value("string", _checked_text(value, name))
        case dt.datetime():
            return Value("datetime", _datetime(value, timezone, name))
        case dt.date():
            return Value("date", value.isoformat())
        case dt.time():
            return Value("time", _time(value, name))
        case int() | float() | Decimal():
            return Value("number", _number(value, name))
    plain = getattr(value, "item", None)  # numpy's scalars; its datetimes have no zone, and may become numbers
    if callable(plain) and getattr(value, "dtype", None) is not None and value.dtype.kind in "biuf":  # type: ignore[attr-defined]
        return literal(plain(), timezone=timezone, name=name)
    raise UsageError(
        f"SOQL has no value for a {type(value).__name__}",
        where=f":{name}",
        remedy="Give a text, number, boolean, date, datetime, time or None, or a list of them.",
    )


class _Binder:
    def __init__(self, params: Mapping[str, object], text: str, timezone: str | None) -> None:
        self.used: set[str] = set()
        self._params = params
        self._text = text
        self._timezone = timezone

    def query(self, query: Query) -> Query:
        return replace(
            query,
            select=tuple(
                replace(one, query=self.query(one.query)) if isinstance(one, SubQuery) else one for one in query.select
            ),
            where=self.condition(query.where) if query.where is not None else None,
            having=self.condition(query.having) if query.having is not None else None,
        )

    def condition(self, condition: Condition) -> Condition:
        match condition:
            case Comparison(right=Value(kind="bind") as bound):
                return replace(condition, right=self.one(bound))
            case Membership(values=Query() as inner):
                return replace(condition, values=self.query(inner))
            case Membership(values=tuple() as values):
                return self.members(condition, values)
            case Logic():
                return replace(condition, terms=tuple(self.condition(one) for one in condition.terms))
            case Negation():
                return replace(condition, term=self.condition(condition.term))
        return condition

    def members(self, condition: Membership, values: tuple[Value, ...]) -> Condition:
        found: list[Value] = []
        for value in values:
            given = self.value(value) if value.kind == "bind" else value
            if isinstance(given, Value):
                found.append(given)
            else:
                found += [literal(one, timezone=self._timezone, name=value.text) for one in given]
        if not found:
            return _NONE if condition.op in {"IN", "INCLUDES"} else _EVERY
        return replace(condition, values=tuple({(one.kind, one.text, one.n): one for one in found}.values()))

    def one(self, bound: Value) -> Value:
        given = self.value(bound)
        if isinstance(given, Value):
            return given
        raise UsageError(
            "a list can only be compared by IN, NOT IN, INCLUDES or EXCLUDES",
            where=self.place(bound),
            remedy=f"Write IN :{bound.text}, or give a single value.",
        )

    def value(self, bound: Value) -> Value | Iterable[object]:
        """The literal of a name, or the members of its list."""
        name = bound.text
        if _NAME.fullmatch(name) is None:
            raise UsageError(
                f":{name} is an expression of Apex", where=self.place(bound), remedy="Give it a plain name, such as :x."
            )
        if name not in self._params:
            raise UsageError(
                f"there is no value for :{name}", where=self.place(bound), remedy=f'Add params={{"{name}": ...}}.'
            )
        self.used.add(name)
        given = self._params[name]
        if isinstance(given, Iterable) and not isinstance(given, str | bytes | bytearray | Mapping):
            return given
        return literal(given, timezone=self._timezone, name=name)

    def place(self, bound: Value) -> str:
        row, column = at(self._text, bound.at)
        return f"SOQL row {row}, column {column}"


def _checked_text(text: str, name: str) -> str:
    if len(text) > MAX_STRING:
        raise UsageError(
            f"the text has {len(text):,} characters, and a WHERE compares at most {MAX_STRING:,}",
            where=f":{name}",
            remedy="Compare a shorter text, or read the rows and filter the frame.",
        )
    try:
        text.encode()
    except UnicodeEncodeError:
        raise UsageError(
            "the text holds half of a surrogate pair, which no request can carry",
            where=f":{name}",
            remedy="Correct the text.",
        ) from None
    return text


def _number(value: float | Decimal, name: str) -> str:
    """Digits without an exponent."""
    if not math.isfinite(value):
        raise UsageError(f"{value} is no number of SOQL", where=f":{name}", remedy="Give a finite number, or None.")
    if isinstance(value, int):
        return str(int(value))
    return f"{Decimal(repr(float(value))) if isinstance(value, float) else value:f}"


def _datetime(value: dt.datetime, timezone: str | None, name: str) -> str:
    if value != value:  # noqa: PLR0124  # NaT of pandas
        raise UsageError("NaT is no datetime of SOQL", where=f":{name}", remedy="Give a datetime, or None.")
    if value.tzinfo is None:
        if timezone is None:
            raise UsageError(
                "the datetime has no zone",
                where=f":{name}",
                remedy='Give it one (tzinfo=...), or add timezone="Europe/Berlin" to ReadOptions or the profile.',
            )
        value = value.replace(tzinfo=ZoneInfo(timezone))
    utc = value.astimezone(dt.UTC)
    return f"{utc:%Y-%m-%dT%H:%M:%S}.{utc.microsecond // 1000:03d}Z".rjust(len("2026-01-01T00:00:00.000Z"), "0")


def _time(value: dt.time, name: str) -> str:
    if value.tzinfo is not None:
        raise UsageError("a time of the day has no zone", where=f":{name}", remedy="Leave its tzinfo out.")
    return f"{value:%H:%M:%S}.{value.microsecond // 1000:03d}Z"

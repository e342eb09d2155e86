"""One comparison of a field with a value as SOQL: what the org then finds, and whether that is what polars finds.

A ``Claim`` never finds too little. It finds too much where SOQL compares otherwise than polars: text without case, or
points in time by the second. The rules are those of rest.md 13.3.
"""

from __future__ import annotations

import datetime as dt
import math
from collections.abc import Sequence
from dataclasses import dataclass
from decimal import ROUND_CEILING, ROUND_FLOOR, Decimal
from typing import Final, Literal

from sfframe.codec.layout import ShapeColumn
from sfframe.codec.types import SIGNIFICANT, rule_for
from sfframe.frames.predicate import Match, Operator
from sfframe.ids import is_id, to18
from sfframe.soql import Comparison, Condition, Logic, Membership, Path, Value

MOST_VALUES: Final = 20_000  # of a list; a longer one is cheaper to read past
MAX_STRING: Final = 4_000  # characters of a string in WHERE (rest.md 13.1)
_TEXTS: Final = frozenset({"string", "picklist", "combobox", "textarea", "phone", "url", "email"})
_DAYS: Final = (dt.date(1700, 1, 1), dt.date(4000, 12, 30))  # rest.md 13.2, and room for a day's rounding
_DIGITS: Final = 18  # of a number field, before and after its point
_INT: Final = 2**31  # an int field holds 32 bits

_NULL = Value("null", "null")
_LONG = "the list is too long for a query"
_NO_CASE = "SOQL compares text without case"
_NO_ORDER = "SOQL sorts text in another order"
_PICKS = "SOQL compares multi-select picklists as sets"
_SECONDS = "an org may compare points in time by the second"
_DIGITS_LOST = "a number of so many digits is rounded in a frame"


@dataclass(frozen=True, slots=True)
class Claim:
    """A condition, or True for every row and False for none.

    ``why`` says why the rows that it finds may be too many; empty where they are exactly those that polars keeps.
    """

    condition: Condition | bool
    why: str = ""

    @property
    def exact(self) -> bool:
        """True where the org finds what polars keeps."""
        return not self.why


EVERY = Claim(True)
NONE = Claim(False)


def both(op: Literal["AND", "OR"], left: Claim, right: Claim) -> Claim:
    """AND or OR of two claims. A side of an AND that says nothing is left out; beside an OR nothing can be said."""
    deciding = op == "OR"  # True OR x is True; False AND x is False
    for one, other in ((left, right), (right, left)):
        if one.condition is deciding:
            return Claim(deciding, one.why if deciding else "")
        if isinstance(one.condition, bool) and other.condition is not deciding:
            return Claim(other.condition, one.why or other.why)
    whole = (*_terms(op, left.condition), *_terms(op, right.condition))
    return Claim(Logic(op, whole), left.why or right.why)


def _terms(op: str, condition: Condition | bool) -> tuple[Condition, ...]:
    if isinstance(condition, bool):  # one of the four cases above
        return ()
    return condition.terms if isinstance(condition, Logic) and condition.op == op else (condition,)


class FieldRules:
    """What can be asked of one column of an answer."""

    __slots__ = ("column", "kind", "path")

    def __init__(self, column: ShapeColumn) -> None:
        self.column = column
        self.path = Path(column.keys)
        kind = rule_for(column.type).kind
        self.kind = "" if kind == "text" and column.type not in _TEXTS else kind

    @property
    def refusal(self) -> str:
        """Why nothing can be asked of it; empty when something can."""
        field = self.column.field
        if field is None:
            return "SOQL filters by fields, and this is worked out"
        if self.column.dtype.is_nested() and self.kind != "multipicklist":
            return "SOQL does not filter by compound fields"
        if not field.filterable or not self.kind or self.kind == "binary":
            return f"the org does not filter by {self.column.name}"
        if field.calculated and self.kind == "number":
            return "what the org works out may have more digits than it answers"
        return ""

    @property
    def of_parent(self) -> bool:
        """True for a field of a parent, which may be absent."""
        return len(self.path.parts) > 1

    # -- conditions without a value ---------------------------------------------------------------------------------

    def is_null(self) -> Claim:
        """The field has no value. Checkboxes always have one, and SOQL takes an absent parent's for false."""
        if self.kind == "boolean":
            return Claim(True, "SOQL knows no null for checkboxes")
        if self.column.field is not None and self.column.field.calculated:
            return Claim(True, "an empty result of a formula may not be null for the org")
        return Claim(Comparison(self.path, "=", _NULL))

    def not_null(self, why: str = "") -> Claim:
        """The field has a value."""
        if self.kind == "boolean":
            return Claim(True, "SOQL knows no null for checkboxes")
        return Claim(Comparison(self.path, "!=", _NULL), why)

    def truth(self, wanted: bool) -> Claim:
        """A checkbox that is ``wanted``."""
        if self.kind != "boolean":
            return Claim(True, "this is no checkbox")
        absent = "SOQL takes the checkbox of an absent parent for false" if self.of_parent and not wanted else ""
        return Claim(Comparison(self.path, "=", Value("boolean", "true" if wanted else "false")), absent)

    # -- one value --------------------------------------------------------------------------------------------------

    def compare(self, op: Operator, value: object) -> Claim:
        """``field op value`` for rows where the field has a value; ``value`` is not None."""
        match self.kind, value:
            case "boolean", bool():
                if op in {"=", "!="}:
                    return self.truth(value is (op == "="))
            case (("int" | "number"), (int() | float() | Decimal())) if not isinstance(value, bool):
                return self._number(op, value)
            case "date", dt.date() if not isinstance(value, dt.datetime) and _DAYS[0] <= value <= _DAYS[1]:
                return self._exactly(op, Value("date", value.isoformat()))
            case "datetime", dt.datetime(tzinfo=dt.tzinfo()) if _DAYS[0] <= value.date() <= _DAYS[1]:
                return self._moment(op, *_around(value.astimezone(dt.UTC)))
            case "time", dt.time() if value < dt.time(23, 59, 59):
                # Python cuts polars' nanoseconds, so what looks like a whole second may be more.
                low = dt.datetime.combine(dt.date(2000, 1, 1), value.replace(microsecond=0))
                return self._moment(op, low, low + dt.timedelta(seconds=1))
            case (("text" | "id" | "multipicklist"), str()):
                return self._text(op, value)
        return self.not_null("SOQL has no such comparison, or no such value")

    def _exactly(self, op: Operator, value: Value) -> Claim:
        """SOQL's != finds rows without a value, too (rest.md 13.3)."""
        one = Comparison(self.path, op, value)
        if op != "!=":
            return Claim(one)
        return both("AND", Claim(one), self.not_null())

    def _number(self, op: Operator, value: float | Decimal) -> Claim:
        if isinstance(value, float) and not math.isfinite(value):
            return self.not_null("SOQL has no such number")
        exact = Decimal(repr(value)) if isinstance(value, float) else Decimal(value)
        if exact and not -_DIGITS <= exact.adjusted() < _DIGITS:
            return self.not_null("SOQL has no such number")
        if self.kind == "int":
            return self._whole(op, exact)
        field = self.column.field
        scale = field.scale if field is not None and field.precision else _DIGITS
        if max(exact.adjusted(), 0) + 1 + scale > SIGNIFICANT:  # two stored numbers may be the same float
            low, high = (Decimal(repr(math.nextafter(float(exact), end))) for end in (-math.inf, math.inf))
            return self._between(op, _number(low), _number(high), why=_DIGITS_LOST)
        unit = Decimal(1).scaleb(-scale)
        low, high = (exact.quantize(unit, rounding) for rounding in (ROUND_FLOOR, ROUND_CEILING))
        if low == high:
            return self._exactly(op, _number(exact))
        return self._between(op, _number(low), _number(high), why="the field keeps fewer decimals")

    def _whole(self, op: Operator, value: Decimal) -> Claim:
        """Whole numbers against a number that need not be one: 1.5 lies between two of them."""
        below = math.floor(value)
        if not -_INT <= below < _INT - 1:
            return self.not_null("the field holds no such number")
        if below == value:
            return self._exactly(op, _number(Decimal(below)))
        if op in {"=", "!="}:
            return NONE if op == "=" else self.not_null()
        return self._exactly("<=" if op in {"<", "<="} else ">", _number(Decimal(below)))

    def _moment(self, op: Operator, low: dt.datetime, high: dt.datetime) -> Claim:
        """``low`` and ``high`` are the whole seconds around the value, the same where it is one."""
        first, last = (self._moment_value(one) for one in (low, high))
        if low == high and op in {"<", ">="}:
            return Claim(Comparison(self.path, op, first))
        return self._between(op, first, last, why=_SECONDS)

    def _moment_value(self, moment: dt.datetime) -> Value:
        if self.kind == "time":
            return Value("time", moment.strftime("%H:%M:%S.000Z"))
        return Value("datetime", moment.strftime("%Y-%m-%dT%H:%M:%SZ"))

    def _between(self, op: Operator, low: Value, high: Value, *, why: str) -> Claim:
        """All that can be ``op`` a value that lies from ``low`` to ``high``."""
        above, below = Comparison(self.path, ">=", low), Comparison(self.path, "<=", high)
        match op:
            case "=":
                return Claim(Logic("AND", (above, below)), why)
            case "!=":
                return self.not_null(why)
            case "<" | "<=":
                return Claim(below, why)
        return Claim(above, why)

    def _text(self, op: Operator, value: str) -> Claim:
        if op == "=":
            return self.among([value])
        if op == "!=" and self.kind == "id" and is_id(value):
            if to18(value) != value:  # a frame's ids have 18 characters
                return self.not_null()
            return self._exactly("!=", Value("string", value))
        return self.not_null({"id": _NO_ORDER, "multipicklist": _PICKS}.get(self.kind, _NO_CASE))

    # -- several values ---------------------------------------------------------------------------------------------

    def among(self, values: Sequence[object]) -> Claim:
        """The field has one of ``values``, none of which is None."""
        if not values:
            return NONE
        if len(values) > MOST_VALUES:
            return self.not_null(_LONG)
        if self.kind in {"text", "id", "multipicklist"}:
            return self._among_texts([value for value in values if isinstance(value, str)])
        if len(values) == 1:
            return self.compare("=", values[0])
        members, why = self._members(values)
        if not members:
            return self.not_null("not every value of the list can be told to the org")
        return Claim(Membership(self.path, "IN", members), why)

    def not_among(self, values: Sequence[object]) -> Claim:
        """The field has a value, and none of ``values``."""
        if not values:
            return self.not_null()
        if len(values) > MOST_VALUES:
            return self.not_null(_LONG)
        if len(values) == 1:
            return self.compare("!=", values[0])
        if self.kind == "id" and not all(isinstance(one, str) and is_id(one) and to18(one) == one for one in values):
            return self.not_null(_NO_CASE)
        members, why = self._members(values)
        if not members or why or self.kind in {"text", "multipicklist"}:
            return self.not_null(why or _NO_CASE)
        return both("AND", Claim(Membership(self.path, "NOT IN", members)), self.not_null())

    def _members(self, values: Sequence[object]) -> tuple[tuple[Value, ...], str]:
        """The literals of a list, empty where one of them has none; and why it may find too much."""
        claims = [self._member(value) for value in values]
        if any(value is None for value in claims):
            return (), ""
        return tuple(value for value in claims if value is not None), _SECONDS if self.kind == "datetime" else ""

    def _member(self, value: object) -> Value | None:
        if self.kind == "datetime" and isinstance(value, dt.datetime) and value.microsecond == 0:
            claim = self.compare(">=", value)
        elif self.kind in {"date", "int", "number"}:
            claim = self.compare("=", value)
        elif self.kind == "id":
            return Value("string", str(value))
        else:
            return None
        one = claim.condition
        return one.right if claim.exact and isinstance(one, Comparison) else None

    def _among_texts(self, values: list[str]) -> Claim:
        if self.kind == "id":
            if not all(map(is_id, values)):
                return self.not_null("not every value is an id")
            complete = [to18(value) for value in values]
            why = "" if complete == values else "an id of 15 characters is never one of 18"
            return self._listed(complete, "IN", why)
        if any(len(value) > MAX_STRING or "\0" in value for value in values):
            return self.not_null("SOQL has no such text")
        if self.kind == "multipicklist":
            return self._listed(values, "INCLUDES", _PICKS) if all(values) else self.not_null(_PICKS)
        claim = self._listed([value for value in values if value], "IN", _NO_CASE)
        # Salesforce stores no empty text; should there be one, the org takes it for null.
        return claim if all(values) else both("OR", claim, Claim(self.is_null().condition, _NO_CASE))

    def _listed(self, values: list[str], op: str, why: str) -> Claim:
        members = tuple(Value("string", value) for value in dict.fromkeys(values))
        if not members:
            return NONE
        if op == "INCLUDES":
            return Claim(Membership(self.path, "INCLUDES", members), why)
        if len(members) == 1:
            return Claim(Comparison(self.path, "=", members[0]), why)
        return Claim(Membership(self.path, "IN", members), why)

    # -- parts of text ----------------------------------------------------------------------------------------------

    def matches(self, match: Match) -> Claim:
        """The text begins or ends with a part, or contains it."""
        if self.kind != "text":
            return self.not_null(_PICKS if self.kind == "multipicklist" else "SOQL has LIKE for text only")
        if match.how == "whole":
            return self._among_texts([match.part])
        pattern = "".join(f"\\{one}" if one in "\\%_" else one for one in match.part)
        if len(pattern) + 2 > MAX_STRING or "\0" in pattern:
            return self.not_null("SOQL has no such text")
        before, after = match.how != "starts", match.how != "ends"
        like = f"{'%' if before else ''}{pattern}{'%' if after else ''}"
        return Claim(Comparison(self.path, "LIKE", Value("string", like)), _NO_CASE)

    def includes(self, item: object) -> Claim:
        """The list of a multi-select picklist has ``item``."""
        if self.kind != "multipicklist" or not isinstance(item, str) or not item or ";" in item or "\0" in item:
            return self.not_null(_PICKS)
        return self._listed([item], "INCLUDES", _NO_CASE)


def _number(value: Decimal) -> Value:
    """A number in digits, without an exponent and without minus zero."""
    return Value("number", format(value, "f") if value else "0")


def _around(moment: dt.datetime) -> tuple[dt.datetime, dt.datetime]:
    """The whole seconds before and after a point in time; twice the same for a whole second."""
    low = moment.replace(microsecond=0)
    return low, low if low == moment else low + dt.timedelta(seconds=1)

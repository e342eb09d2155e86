"""A polars predicate as a SOQL condition that finds at least the rows that polars keeps.

Polars has three truth values and a filter keeps the rows of one of them, so two questions are asked of every part of
the predicate: where is it true, and where is it false? NOT swaps the questions; SOQL's own NOT, which also finds rows
without a value (rest.md 13.3), is never needed. A part that SOQL cannot say, or says otherwise, is remembered with its
reason, and the caller applies the whole predicate again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import Literal

import polars as pl

from sfframe.codec.layout import ShapeColumn
from sfframe.frames.comparing import EVERY, NONE, Claim, FieldRules, both
from sfframe.frames.predicate import (
    Among,
    Both,
    Compare,
    Constant,
    Filled,
    Has,
    IsNull,
    Leaf,
    Match,
    Not,
    Opaque,
    Operator,
    Predicate,
    Truth,
    read,
)
from sfframe.soql import Condition, Logic, Membership, Query, condition_text

_NEGATED: dict[Operator, Operator] = {"=": "!=", "!=": "=", "<": ">=", ">=": "<", ">": "<=", "<=": ">"}
_SWAPPED: dict[Literal["AND", "OR"], Literal["AND", "OR"]] = {"AND": "OR", "OR": "AND"}
MOST_QUERIES = 20  # that one long list is spread over; a longer one is cheaper to read past


@dataclass(frozen=True, slots=True)
class Residual:
    """A part of a predicate that polars applies again: the part, and why. ``narrowed`` where SOQL still helped."""

    part: str
    why: str
    narrowed: bool


@dataclass(frozen=True, slots=True)
class Pushed:
    """``condition`` finds every row that the predicate keeps; True stands for all rows, False for none.

    Where ``exact`` is False it finds others as well, and ``residuals`` says which parts are to blame.
    """

    condition: Condition | bool
    exact: bool
    residuals: tuple[Residual, ...] = ()
    lists: tuple[tuple[Condition | bool, Among], ...] = ()


@dataclass(frozen=True, slots=True)
class Slice:
    """One of the queries that a predicate is spread over, and the rows of its answer that belong to it (None: all).

    ``whole`` is False where a part of the condition had to be left out.
    """

    condition: Condition | bool
    whole: bool = True
    only: pl.Expr | None = None


def push(predicate: pl.Expr | Predicate, columns: Iterable[ShapeColumn]) -> Pushed:
    """What of ``predicate`` the org can be asked, for the columns of a query's answer.

    >>> import polars as pl, sfframe as sf
    >>> from sfframe.codec.layout import ShapeColumn
    >>> name = ShapeColumn("Name", ("Name",), "string", pl.String(), sf.Field("Name", "Name", "string"))
    >>> pushed = push((pl.col("Name") == "Acme") & (pl.col("Name").str.len_chars() == 4), [name])
    >>> condition_text(pushed.condition), pushed.exact
    ("Name = 'Acme'", False)
    """
    translator = _Translator({column.name: FieldRules(column) for column in columns})
    tree = read(predicate) if isinstance(predicate, pl.Expr) else predicate
    claim = translator.where(tree, wanted=True)
    return Pushed(claim.condition, claim.exact, tuple(translator.residuals.values()), tuple(translator.lists))


def spread(pushed: Pushed, fits: Callable[[Condition | bool], bool]) -> tuple[Slice, ...]:
    """The queries to ask, each of which ``fits``: one, or several where a list of values is too long for one.

    Every row of the answer belongs to exactly one of them. What cannot be made to fit is not asked: the answer is
    larger then, and the predicate, applied again, cuts it.
    """
    if isinstance(pushed.condition, bool) or fits(pushed.condition):
        return (Slice(pushed.condition),)
    terms = _conjuncts(pushed.condition)
    longest = max(terms, key=lambda term: len(condition_text(term)))
    others = tuple(term for term in terms if term is not longest)
    rest = replace(pushed, condition=_all(others))
    among = next((one for condition, one in pushed.lists if condition is longest), None)
    if fits(rest.condition) and among is not None and isinstance(longest, Membership):
        pieces = _pieces(longest, among, others, fits)
        if pieces:
            return pieces
    return tuple(replace(one, whole=False) for one in spread(rest, fits))


def narrowed(query: Query, condition: Condition | bool) -> Query:
    """The query with ``condition`` beside its own WHERE; True and False leave it as it is."""
    if isinstance(condition, bool):
        return query
    own = () if query.where is None else _conjuncts(query.where)
    terms = (*own, *_conjuncts(condition))
    return replace(query, where=terms[0] if len(terms) == 1 else Logic("AND", terms))


def _pieces(
    longest: Membership,
    among: Among,
    others: tuple[Condition, ...],
    fits: Callable[[Condition | bool], bool],
) -> tuple[Slice, ...]:
    """The list in equal pieces, as few as will fit; empty where they would be too many."""
    values, members = _listed(among), longest.values
    if not isinstance(members, tuple) or len(members) != len(values):
        return ()
    for count in range(2, min(MOST_QUERIES, len(values)) + 1):
        size = -(-len(values) // count)
        starts = range(0, len(values), size)
        conditions = [_all((*others, Membership(longest.left, longest.op, members[at : at + size]))) for at in starts]
        if all(map(fits, conditions)):
            # Without case two pieces may find the same row; it belongs to the one that has its very value.
            kept = [pl.col(among.column).is_in(values[at : at + size].implode()) for at in starts]
            return tuple(Slice(one, only=only) for one, only in zip(conditions, kept, strict=True))
    return ()


def _listed(among: Among) -> pl.Series:
    return among.values.drop_nulls().unique(maintain_order=True)


def _conjuncts(condition: Condition) -> tuple[Condition, ...]:
    return condition.terms if isinstance(condition, Logic) and condition.op == "AND" else (condition,)


def _all(terms: tuple[Condition, ...]) -> Condition | bool:
    if not terms:
        return True
    return terms[0] if len(terms) == 1 else Logic("AND", terms)


class _Translator:
    def __init__(self, rules: dict[str, FieldRules]) -> None:
        self.rules = rules
        self.residuals: dict[str, Residual] = {}
        self.lists: list[tuple[Condition | bool, Among]] = []

    def where(self, part: Predicate, *, wanted: bool) -> Claim:
        """Where ``part`` is true (or false, as ``wanted``)."""
        match part:
            case Both(op, left, right):
                return both(
                    op if wanted else _SWAPPED[op], self.where(left, wanted=wanted), self.where(right, wanted=wanted)
                )
            case Not(term):
                return self.where(term, wanted=not wanted)
            case Filled(term, value, text):
                if value is not wanted:  # then null is not what is wanted, as without filling
                    return self.where(term, wanted=wanted)
                return self._told(text, Claim(True, "SOQL cannot ask where a condition is null"))
            case Constant(value):
                return EVERY if value is wanted else NONE
            case Opaque(text, why):
                return self._told(text, Claim(True, why))
        rules = self.rules.get(part.column)
        refusal = "the scan has no such column" if rules is None else rules.refusal
        if rules is None or refusal:
            return self._told(part.text, Claim(True, refusal))
        return self._told(part.text, self._leaf(part, rules, wanted))

    def _told(self, text: str, claim: Claim) -> Claim:
        if not claim.exact:
            self.residuals[text] = Residual(text, claim.why, claim.condition is not True)
        return claim

    def _leaf(self, part: Leaf, rules: FieldRules, wanted: bool) -> Claim:
        match part:
            case Truth():
                return rules.truth(wanted)
            case IsNull():
                return rules.is_null() if wanted else rules.not_null()
            case Compare():
                return self._compare(part, rules, wanted)
            case Among():
                return self._among(part, rules, wanted)
            case Match():
                return rules.matches(part) if wanted else rules.not_null("SOQL compares text without case")
            case Has():
                # A null in a list is no value of a picklist; polars says false, not null, for a row without one.
                return rules.includes(part.item) if wanted else Claim(True, "SOQL compares text without case")

    def _compare(self, part: Compare, rules: FieldRules, wanted: bool) -> Claim:
        op, value = part.op if wanted else _NEGATED[part.op], part.value
        if not part.missing:
            return NONE if value is None else rules.compare(op, value)  # a comparison with null is null
        if rules.kind == "boolean":
            return Claim(True, "SOQL knows no null for checkboxes")
        if value is None:
            return rules.is_null() if op == "=" else rules.not_null()
        found = rules.compare(op, value)
        return found if op == "=" else both("OR", found, rules.is_null())

    def _among(self, part: Among, rules: FieldRules, wanted: bool) -> Claim:
        values = _listed(part).to_list()
        if part.nulls_equal and rules.kind == "boolean":
            return Claim(True, "SOQL knows no null for checkboxes")
        with_null = part.nulls_equal and part.values.null_count() > 0
        if wanted:
            found = rules.among(values)
            self.lists.append((found.condition, part))
            return both("OR", found, rules.is_null()) if with_null else found
        if not values and not part.nulls_equal:
            return Claim(True, "an empty list")
        found = rules.not_among(values)
        return both("OR", found, rules.is_null()) if part.nulls_equal and not with_null else found

"""A polars predicate as a small tree, read from the JSON of ``Expr.meta.serialize``.

That JSON may change with any version of polars (measured.md 4). So only the nodes that are known here are read, all
others are ``Opaque``, and ``trusted`` says whether this polars still writes what is known.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import re
from dataclasses import dataclass
from functools import cache
from typing import Any, Literal

import polars as pl

Operator = Literal["=", "!=", "<", "<=", ">", ">="]
How = Literal["starts", "ends", "contains", "whole"]


@dataclass(frozen=True, slots=True)
class Both:
    """``left & right``, with ``op`` AND or OR."""

    op: Literal["AND", "OR"]
    left: Predicate
    right: Predicate


@dataclass(frozen=True, slots=True)
class Not:
    """``~term``."""

    term: Predicate


@dataclass(frozen=True, slots=True)
class Filled:
    """``term.fill_null(value)``."""

    term: Predicate
    value: bool
    text: str


@dataclass(frozen=True, slots=True)
class Constant:
    """The same answer for every row; None is polars' null, which a filter drops."""

    value: bool | None


@dataclass(frozen=True, slots=True)
class Truth:
    """A boolean column by itself."""

    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Compare:
    """``column op value``. With ``missing`` null is a value like any other (``eq_missing``, ``ne_missing``)."""

    column: str
    op: Operator
    value: object
    text: str
    missing: bool = False


@dataclass(frozen=True, slots=True, eq=False)
class Among:
    """``column.is_in(values)``; with ``nulls_equal`` a null in the list matches a null in the column."""

    column: str
    values: pl.Series
    text: str
    nulls_equal: bool = False


@dataclass(frozen=True, slots=True)
class IsNull:
    """``column.is_null()``."""

    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Match:
    """Text that starts or ends with ``part``, or contains it; ``whole`` is equality."""

    column: str
    how: How
    part: str
    text: str


@dataclass(frozen=True, slots=True)
class Has:
    """A list column that contains ``item``."""

    column: str
    item: object
    text: str


@dataclass(frozen=True, slots=True)
class Opaque:
    """What is not understood, and why."""

    text: str
    why: str


Predicate = Both | Not | Filled | Constant | Truth | Compare | Among | IsNull | Match | Has | Opaque
Leaf = Truth | Compare | Among | IsNull | Match | Has

# A part of a serialised expression; what is in it is found out as it is read.
Node = Any

_OPERATORS: dict[str, Operator] = {"Eq": "=", "NotEq": "!=", "Lt": "<", "LtEq": "<=", "Gt": ">", "GtEq": ">="}
_MISSING: dict[str, Operator] = {"EqValidity": "=", "NotEqValidity": "!="}
_LOGIC: dict[str, Literal["AND", "OR"]] = {"And": "AND", "LogicalAnd": "AND", "Or": "OR", "LogicalOr": "OR"}
_TURNED: dict[Operator, Operator] = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
_BETWEEN = {"Both": ("GtEq", "LtEq"), "Left": ("GtEq", "Lt"), "Right": ("Gt", "LtEq"), "None": ("Gt", "Lt")}
_MOST_BYTES = 1_000_000  # of a serialised predicate; the lists in a larger one are longer than any query
_PER_DAY = {"ms": 86_400_000, "us": 86_400_000_000, "ns": 86_400_000_000_000}
_EPOCH = dt.date(1970, 1, 1)
_PYTHON_DAYS = ((dt.date.min - _EPOCH).days, (dt.date.max - _EPOCH).days)
_PLAIN_PATTERN = re.compile(r"(\^?)([\w ,;:@'\"&/-]*)(\$?)")  # no character here but ^ and $ means more than itself
_ANCHORED: dict[tuple[str, str], How] = {
    ("", ""): "contains",
    ("^", ""): "starts",
    ("", "$"): "ends",
    ("^", "$"): "whole",
}


def read(predicate: pl.Expr) -> Predicate:
    """The tree of a predicate as polars hands it to a scan; a whole that cannot be read is one ``Opaque``."""
    if not trusted():
        return Opaque(str(predicate), f"polars {pl.__version__} serialises expressions in a way not known here")
    try:
        if len(predicate.meta.serialize()) > _MOST_BYTES:
            return Opaque("the whole filter", "it holds more values than a query can")
        return read_node(json.loads(serialised(predicate), object_hook=_unnamed))
    except (ValueError, RecursionError, pl.exceptions.PolarsError):
        return Opaque(str(predicate), "polars cannot serialise it, or it is nested too deeply")


def serialised(expression: pl.Expr) -> str:
    """The JSON of an expression."""
    return expression.meta.serialize(format="json")


def _unnamed(node: Node) -> Node:
    """The node without a name: polars writes ``lit(True) & col("a")`` as ``col("a").alias("literal")``."""
    match node:
        case {"Alias": [term, _]}:
            return term
    return node


def read_node(node: Node) -> Predicate:
    """The tree of one serialised node. ``{"Opaque": text}`` stands for what could not be serialised."""
    match node:
        case {"BinaryExpr": {"left": left, "op": op, "right": right}} if op in _LOGIC:
            return Both(_LOGIC[op], read_node(left), read_node(right))
        case {"Function": {"input": [term], "function": {"Boolean": "Not"}}}:
            return Not(read_node(term))
        case {"Function": {"input": [value, low, high], "function": {"Boolean": {"IsBetween": {"closed": closed}}}}}:
            above, below = _BETWEEN[closed]
            # Between false and null is false, as it is with AND.
            return Both("AND", _leaf(_comparison(above, value, low)), _leaf(_comparison(below, value, high)))
        case {"Function": {"input": [term, {"Literal": _} as literal], "function": "FillNull"}}:
            filling = _leaf(literal)
            if isinstance(filling, Constant) and filling.value is not None:
                return Filled(read_node(term), filling.value, text_of(node))
    return _leaf(node)


def _comparison(op: str, left: Node, right: Node) -> Node:
    return {"BinaryExpr": {"left": left, "op": op, "right": right}}


def _leaf(node: Node) -> Predicate:
    text = text_of(node)
    try:
        match node:
            case {"Column": str(name)}:
                return Truth(name, text)
            case {"Literal": _}:
                value = _value(node)
                if value is None or isinstance(value, bool):
                    return Constant(value)
            case {"BinaryExpr": {"left": left, "op": op, "right": right}} if op in _OPERATORS:
                return _compare(text, left, _OPERATORS[op], right)
            case {"BinaryExpr": {"left": left, "op": op, "right": right}} if op in _MISSING:
                return _compare(text, left, _MISSING[op], right, missing=True)
            case {"Function": {"input": [{"Column": str(name)}], "function": {"Boolean": "IsNull"}}}:
                return IsNull(name, text)
            case {"Function": {"input": [{"Column": str(name)}], "function": {"Boolean": "IsNotNull"}}}:
                return Not(IsNull(name, text))
            case {"Function": {"input": [{"Column": str(name)}, {"Literal": _} as literal], "function": function}}:
                return _function(text, name, function, literal)
    except (ValueError, pl.exceptions.PolarsError):  # NaN, which JSON cannot say
        return Opaque(text, "a value in it cannot be told to the org")
    return Opaque(text, "SOQL has no such expression, or none that is known to mean the same")


def _compare(text: str, left: Node, op: Operator, right: Node, *, missing: bool = False) -> Predicate:
    """A comparison of a column with a value, whichever stands first."""
    if "Literal" in left:
        left, op, right = right, _TURNED[op], left
    match left:
        case {"Column": str(name)} if "Literal" in right:
            return Compare(name, op, _value(right), text, missing)
        case {"Cast": {"expr": {"Column": str(name)}, "dtype": {"Literal": "Float64"}}} if "Literal" in right:
            return Compare(name, op, _value(right), text, missing)  # polars' way to compare an Int64 with 1.5
    return Opaque(text, "SOQL compares a field with a value only")


def _function(text: str, column: str, function: Node, literal: Node) -> Predicate:
    match function:
        case {"Boolean": {"IsIn": {"nulls_equal": bool(nulls_equal)}}}:
            values = _series(literal)
            if values.dtype == pl.List and len(values) == 1:
                values = values.explode(empty_as_null=False)
            if not values.dtype.is_nested():
                return Among(column, _checked(values), text, nulls_equal)
        case {"StringExpr": "StartsWith" | "EndsWith" as how}:
            return _match(column, "starts" if how == "StartsWith" else "ends", _value(literal), text)
        case {"StringExpr": {"Contains": {"literal": True}}}:
            return _match(column, "contains", _value(literal), text)
        case {"StringExpr": {"Contains": {"literal": False}}}:
            plain = _PLAIN_PATTERN.fullmatch(_value(literal) or "")
            if plain is None:
                return Opaque(text, "SOQL knows no regular expressions")
            return _match(column, _ANCHORED[plain[1], plain[3]], plain[2], text)
        case {"ListExpr": {"Contains": _}}:
            return Has(column, _value(literal), text)
    return Opaque(text, "SOQL has no such function")


def _match(column: str, how: How, part: str | None, text: str) -> Predicate:
    return Match(column, how, part, text) if part else Opaque(text, "there is nothing to look for")


def _series(node: Node) -> pl.Series:
    """A literal, worked out by polars itself."""
    return pl.select(pl.Expr.deserialize(io.StringIO(json.dumps(node)), format="json")).to_series()


def _value(node: Node) -> Node:
    return _checked(_series(node)).item()


def _checked(values: pl.Series) -> pl.Series:
    """Raises ValueError for moments that Python has no words for; polars would panic at them."""
    if isinstance(values.dtype, pl.Date | pl.Datetime):
        per_day = 1 if isinstance(values.dtype, pl.Date) else _PER_DAY[values.dtype.time_unit]
        if not (values.to_physical().cast(pl.Int64) // per_day).drop_nulls().is_between(*_PYTHON_DAYS).all():
            raise ValueError("a year before 1 or after 9999")
    return values


def text_of(node: Node) -> str:
    """The node as polars shows it to people."""
    if "Opaque" in node:
        return str(node["Opaque"])
    try:
        return str(pl.Expr.deserialize(io.StringIO(json.dumps(node)), format="json"))
    except (ValueError, pl.exceptions.PolarsError):
        return "an expression that polars cannot read back"


@cache
def trusted() -> bool:
    """False where polars no longer serialises expressions as this module knows them; asked once."""
    column = pl.col("a")
    samples: list[tuple[pl.Expr, Predicate]] = [
        ((column > 1) & ~(column <= 2), Both("AND", _sample(">", 1), Not(_sample("<=", 2)))),
        ((column == "x") | (column != "y"), Both("OR", _sample("=", "x"), _sample("!=", "y"))),
        (column.ne_missing(1.5), Compare("a", "!=", 1.5, "", missing=True)),
        (column.is_null(), IsNull("a", "")),
        (column.is_between(1, 2, closed="left"), Both("AND", _sample(">=", 1), _sample("<", 2))),
        (column.str.starts_with("x"), Match("a", "starts", "x", "")),
        (column.list.contains("x"), Has("a", "x", "")),
    ]
    try:
        found = [read_node(json.loads(serialised(expression))) for expression, _ in samples]
        listed = read_node(json.loads(serialised(column.is_in([1, None]))))
        unknown = read_node(json.loads(serialised(column.str.to_lowercase() == "x")))
    except Exception:  # noqa: BLE001 - whatever an unknown polars does here means the same
        return False
    same = [_bare(one) for one in found] == [expected for _, expected in samples]
    members = listed.values.to_list() if isinstance(listed, Among) else []
    return same and members == [1, None] and isinstance(unknown, Opaque)


def _sample(op: Operator, value: object) -> Compare:
    return Compare("a", op, value, "")


def _bare(predicate: Predicate) -> Predicate:
    """Without the texts for people, which may change."""
    match predicate:
        case Both(op, left, right):
            return Both(op, _bare(left), _bare(right))
        case Not(term):
            return Not(_bare(term))
        case Compare(column, op, value, _, missing):
            return Compare(column, op, value, "", missing)
        case IsNull(column):
            return IsNull(column, "")
        case Match(column, how, part):
            return Match(column, how, part, "")
        case Has(column, item):
            return Has(column, item, "")
    return predicate

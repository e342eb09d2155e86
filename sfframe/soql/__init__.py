"""The query language SOQL: text to a tree that knows its positions, and back to text."""

from sfframe.soql.binding import bind, literal
from sfframe.soql.parser import parse
from sfframe.soql.position import at, excerpt, offset_of
from sfframe.soql.text import condition_text, expression_text, string_text, to_text, value_text
from sfframe.soql.tree import (
    Call,
    Comparison,
    Condition,
    FieldsOf,
    Grouping,
    Logic,
    Membership,
    Negation,
    Ordering,
    Path,
    Query,
    Selected,
    Source,
    SubQuery,
    TypeOf,
    Value,
)

__all__ = [
    "Call",
    "Comparison",
    "Condition",
    "FieldsOf",
    "Grouping",
    "Logic",
    "Membership",
    "Negation",
    "Ordering",
    "Path",
    "Query",
    "Selected",
    "Source",
    "SubQuery",
    "TypeOf",
    "Value",
    "at",
    "bind",
    "condition_text",
    "excerpt",
    "expression_text",
    "literal",
    "offset_of",
    "parse",
    "string_text",
    "to_text",
    "value_text",
]

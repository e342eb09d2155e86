"""A tree back to SOQL text: keywords in capitals, one blank between words, parentheses only where they are needed."""

from __future__ import annotations

import re

from sfframe.soql.tree import (
    Call,
    Comparison,
    Condition,
    FieldsOf,
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

_ESCAPED = {"\n": "\\n", "\r": "\\r", "\t": "\\t", "\b": "\\b", "\f": "\\f", "'": "\\'", "\\": "\\\\"}
_TO_ESCAPE = re.compile(r"[\n\r\t\b\f'\\]")
_TO_ESCAPE_IN_PATTERN = re.compile(r"\\[_%\\]|[\n\r\t\b\f'\\]")


def to_text(query: Query) -> str:
    """The query as SOQL; parsing it again gives an equal tree but for the positions.

    >>> from sfframe.soql import parse
    >>> to_text(parse("select Id from Account where (Name='O\\\\'Neill')"))
    "SELECT Id FROM Account WHERE Name = 'O\\\\'Neill'"
    """
    parts = ["SELECT", "COUNT()" if query.count_only else ", ".join(_select_item(one) for one in query.select)]
    parts += ["FROM", ", ".join(_source(one) for one in (query.source, *query.related))]
    if query.scope is not None:
        parts += ["USING SCOPE", query.scope]
    if query.where is not None:
        parts += ["WHERE", condition_text(query.where)]
    if query.with_clause is not None:
        parts += ["WITH", query.with_clause]
    if query.group_by is not None:
        exprs = ", ".join(expression_text(one) for one in query.group_by.exprs)
        parts += ["GROUP BY", f"{query.group_by.kind}({exprs})" if query.group_by.kind else exprs]
    if query.having is not None:
        parts += ["HAVING", condition_text(query.having)]
    if query.order_by:
        parts += ["ORDER BY", ", ".join(_ordering(one) for one in query.order_by)]
    if query.limit is not None:
        parts += ["LIMIT", str(query.limit)]
    if query.offset is not None:
        parts += ["OFFSET", str(query.offset)]
    parts += [f"FOR {one}" for one in query.for_clauses]
    if query.update:
        parts += ["UPDATE", ", ".join(query.update)]
    if query.all_rows:
        parts.append("ALL ROWS")
    return " ".join(parts)


def condition_text(condition: Condition) -> str:
    """A condition as it stands behind WHERE."""
    if isinstance(condition, Comparison):
        right = value_text(condition.right, pattern=condition.op == "LIKE")
        return f"{expression_text(condition.left)} {condition.op} {right}"
    if isinstance(condition, Membership):
        return f"{expression_text(condition.left)} {condition.op} {_members(condition.values)}"
    if isinstance(condition, Negation):
        return f"NOT {_nested(condition.term)}"
    return f" {condition.op} ".join(_nested(one) for one in condition.terms)


def expression_text(expr: Path | Call) -> str:
    """A field or a function call."""
    if isinstance(expr, Path):
        return expr.text
    args = [value_text(one) if isinstance(one, Value) else expression_text(one) for one in expr.args]
    return f"{expr.name}({', '.join(args)})"


def value_text(value: Value, *, pattern: bool = False) -> str:
    r"""A literal; in a ``pattern`` (the right side of LIKE) ``\_``, ``\%`` and ``\\`` are escapes already."""
    if value.kind == "string":
        return string_text(value.text, pattern=pattern)
    if value.kind == "bind":
        return f":{value.text}"
    return value.text if value.n is None else f"{value.text}:{value.n}"


def string_text(text: str, *, pattern: bool = False) -> str:
    """``text`` as a quoted SOQL string."""
    found = _TO_ESCAPE_IN_PATTERN if pattern else _TO_ESCAPE
    return "'" + found.sub(lambda one: _ESCAPED.get(one[0], one[0]), text) + "'"


def _nested(condition: Condition) -> str:
    text = condition_text(condition)
    return f"({text})" if isinstance(condition, Logic) else text


def _members(values: tuple[Value, ...] | Query) -> str:
    if isinstance(values, Query):
        return f"({to_text(values)})"
    if len(values) == 1 and values[0].kind == "bind":
        return value_text(values[0])
    return f"({', '.join(value_text(one) for one in values)})"


def _select_item(item: Selected | FieldsOf | TypeOf | SubQuery) -> str:
    if isinstance(item, Selected):
        text = expression_text(item.expr)
        return text if item.alias is None else f"{text} {item.alias}"
    if isinstance(item, FieldsOf):
        return "*" if item.group == "*" else f"FIELDS({item.group})"
    if isinstance(item, SubQuery):
        return f"({to_text(item.query)})"
    parts = ["TYPEOF", item.relationship.text]
    for name, paths in item.whens:
        parts += ["WHEN", name, "THEN", ", ".join(one.text for one in paths)]
    if item.otherwise:
        parts += ["ELSE", ", ".join(one.text for one in item.otherwise)]
    return " ".join([*parts, "END"])


def _source(source: Source) -> str:
    return source.name if source.alias is None else f"{source.name} {source.alias}"


def _ordering(ordering: Ordering) -> str:
    text = expression_text(ordering.expr)
    if ordering.descending:
        text += " DESC"
    return text if ordering.nulls is None else f"{text} NULLS {ordering.nulls}"

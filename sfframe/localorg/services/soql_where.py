"""WHERE as SQL, with Salesforce's rules about null and case (rest.md 13.3)."""

from __future__ import annotations

from collections.abc import Callable

from sfframe.localorg.services.soql_functions import column_of
from sfframe.localorg.services.soql_names import Column, Names
from sfframe.localorg.services.soql_values import (
    DAY_TYPES,
    ID_TYPES,
    folded,
    folds_case,
    is_null,
    literal,
    quoted_text,
    wrong_type,
)
from sfframe.localorg.store.store import COMPOUND_TYPES
from sfframe.soql import Call, Comparison, Condition, Logic, Membership, Negation, Path, Query, Value

_NO_ORDER = frozenset({"boolean", "multipicklist"})
_NO_LIKE = frozenset({*ID_TYPES, "multipicklist", "boolean", "int", "long", "double", "currency", "percent", "time"})


MAX_STRING = 4_000  # characters of a string in WHERE (rest.md 13.1)
# Guesses but for convertCurrency (rest.md 13.5): what has no meaning as a filter.
_NOT_IN_WHERE = frozenset({"CONVERTCURRENCY", "FORMAT", "GROUPING"})

SemiJoin = Callable[[Column, Membership, Query], str]


class Where:
    """Compiles conditions over ``names``.

    ``semi_join`` turns the sub-select of a semi-join into SQL of one column; without it there may be none.
    """

    def __init__(
        self,
        names: Names,
        semi_join: SemiJoin | None,
        resolve: Callable[[Path | Call], Column] | None = None,
    ) -> None:
        self.names = names
        self.semi_join = semi_join
        self.resolve = resolve or (lambda expr: column_of(names, expr))

    def sql(self, condition: Condition, *, negated: bool = False, nested: bool = False) -> str:
        """The condition as SQL. Inside a negation it is never null: NOT matches rows without a value.

        ``nested`` says that it stands below an OR or a NOT, where no semi-join may be.
        """
        if isinstance(condition, Logic):
            below = nested or condition.op == "OR"
            terms = [self.sql(one, negated=negated, nested=below) for one in condition.terms]
            return "(" + f" {condition.op} ".join(terms) + ")"
        if isinstance(condition, Negation):
            return f"(NOT {self.sql(condition.term, negated=True, nested=True)})"
        if nested and isinstance(condition, Membership) and isinstance(condition.values, Query):
            problem = (
                "Semi join sub-selects are only allowed at the top level WHERE expressions and not in nested WHERE "
                "expressions."
            )
            raise self.names.refusal("MALFORMED_QUERY", condition.at, problem)
        column = self._filterable(condition.left)
        if isinstance(condition, Comparison):
            is_distance = isinstance(condition.left, Call) and condition.left.name.upper() == "DISTANCE"
            if is_distance and condition.op not in {"<", ">"}:  # rest.md 13.5
                raise self._wrong_operator(column, condition.at)
            sql = self.comparison(column, condition.op, condition.right, condition.at)
        else:
            sql = self.membership(column, condition)
        return f"coalesce({sql}, false)" if negated else sql

    def _filterable(self, expr: Path | Call) -> Column:
        if isinstance(expr, Call) and expr.name.upper() in _NOT_IN_WHERE:
            raise self.names.refusal("MALFORMED_QUERY", expr.at, f"{expr.name} can not be used in a filter")
        column = self.resolve(expr)
        if not column.field.filterable or column.field.type in COMPOUND_TYPES:
            problem = f"field '{column.field.name}' can not be filtered in a query call"
            raise self.names.refusal("INVALID_FIELD", expr.at, problem)
        return column

    def _wrong_operator(self, column: Column, at: int) -> Exception:
        kind = "id" if column.field.type in ID_TYPES else column.field.type
        return self.names.refusal("INVALID_QUERY_FILTER_OPERATOR", at, f"invalid operator on {kind} field")

    def comparison(self, column: Column, op: str, value: Value, at: int) -> str:
        """``column op value``."""
        kind = column.field.type
        if op == "LIKE":
            return self._like(column, value, at)
        if op not in {"=", "!="} and (kind in _NO_ORDER or is_null(value)):
            raise self._wrong_operator(column, at)
        if is_null(value):
            return self._null(column, op)
        if value.kind == "date_literal":
            return self._days(column, op, value, at)
        right = self._literal(column, value, at)
        if kind == "multipicklist":
            left, right = _parts(column, column.sql), _parts(column, quoted_text(value.text))
            return f"{left} {'=' if op == '=' else 'IS DISTINCT FROM'} {right}"
        left = self._compared(column)
        return f"{left} IS DISTINCT FROM {right}" if op == "!=" else f"{left} {op} {right}"

    def _literal(self, column: Column, value: Value, at: int) -> str:
        if value.kind == "string" and len(value.text) > MAX_STRING:
            problem = f"Maximum length of criteria in where clause is {MAX_STRING} characters."
            raise self.names.refusal("MALFORMED_QUERY", value.at, problem)
        return literal(self.names, column, value, at)

    def _compared(self, column: Column) -> str:
        """The column in the form in which it is compared; a boolean without a value is false."""
        kind = column.field.type
        if kind == "boolean":
            return f"coalesce({column.sql}, false)"
        return folded(column, column.sql) if _is_text(kind) else column.sql

    def _null(self, column: Column, op: str) -> str:
        if column.field.type == "boolean":
            return f"coalesce({column.sql}, false) {op} false"
        return f"{column.sql} IS {'' if op == '=' else 'NOT '}NULL"

    def _like(self, column: Column, value: Value, at: int) -> str:
        if column.field.type in _NO_LIKE or column.field.type in DAY_TYPES:
            raise self._wrong_operator(column, at)
        if is_null(value):
            return self._null(column, "=")
        if value.kind != "string":
            raise wrong_type(self.names, column, at)
        return f"{self._compared(column)} LIKE {folded(column, quoted_text(value.text))} ESCAPE '\\'"

    def _days(self, column: Column, op: str, value: Value, at: int) -> str:
        """A date literal is a range: rest.md 13.2 says what each operator makes of it."""
        if column.field.type not in DAY_TYPES:
            raise wrong_type(self.names, column, at)
        try:
            start_sql, end_sql = self.names.clock.days_sql(value.text, value.n, column.field.type)
        except OverflowError as error:
            raise self.names.refusal("MALFORMED_QUERY", value.at, f"Invalid date: {value.text}") from error
        inside = f"({column.sql} >= {start_sql} AND {column.sql} < {end_sql})"
        return {
            "=": inside,
            "!=": f"(NOT coalesce({inside}, false))",
            "<": f"{column.sql} < {start_sql}",
            "<=": f"{column.sql} < {end_sql}",
            ">": f"{column.sql} >= {end_sql}",
            ">=": f"{column.sql} >= {start_sql}",
        }[op]

    def membership(self, column: Column, condition: Membership) -> str:
        """IN, NOT IN, INCLUDES, EXCLUDES."""
        if condition.op in {"INCLUDES", "EXCLUDES"}:
            return self._picks(column, condition)
        if isinstance(condition.values, Query):
            if self.semi_join is None:
                problem = "Semi join sub-selects are not allowed in a HAVING clause"
                raise self.names.refusal("MALFORMED_QUERY", condition.at, problem)
            members = self.semi_join(column, condition, condition.values)
            inside = f"{column.sql} IN ({members})"
            return inside if condition.op == "IN" else f"({column.sql} IS NULL OR NOT {inside})"
        inside = self._in_list(column, condition.values, condition.at)
        return inside if condition.op == "IN" else f"(NOT coalesce({inside}, false))"

    def _in_list(self, column: Column, values: tuple[Value, ...], at: int) -> str:
        listed = [one for one in values if not is_null(one)]
        alternatives = [self._null(column, "=")] if len(listed) < len(values) else []
        if column.field.type == "multipicklist" or any(one.kind == "date_literal" for one in listed):
            alternatives += [self.comparison(column, "=", one, at) for one in listed]
        elif listed:
            members = ", ".join(self._literal(column, one, at) for one in listed)
            alternatives.append(f"{self._compared(column)} IN ({members})")
        return f"({' OR '.join(alternatives)})"

    def _picks(self, column: Column, condition: Membership) -> str:
        """``('A;B','C')`` means (A and B) or C."""
        if column.field.type != "multipicklist" or isinstance(condition.values, Query):
            raise self._wrong_operator(column, condition.at)
        alternatives = []
        for value in condition.values:
            if is_null(value):
                alternatives.append(self._null(column, "="))
                continue
            self._literal(column, value, condition.at)
            wanted = _parts(column, quoted_text(value.text))
            alternatives.append(f"list_has_all({_parts(column, column.sql)}, {wanted})")
        inside = f"({' OR '.join(alternatives)})"
        return inside if condition.op == "INCLUDES" else f"(NOT coalesce({inside}, false))"


def _is_text(kind: str) -> bool:
    return kind not in ID_TYPES and kind not in {*DAY_TYPES, "time", "int", "long", "double", "currency", "percent"}


def _parts(column: Column, sql: str) -> str:
    """A multi-select picklist's values as a sorted list."""
    return f"list_sort(string_split({folded(column, sql)}, ';'))"


def order_key(column: Column) -> list[str]:
    """What to sort by: text by upper-cased characters, picklists in their defined order (rest.md 13.3)."""
    kind = column.field.type
    if kind == "boolean":
        return [f"coalesce({column.sql}, false)"]
    if not _is_text(kind):
        return [column.sql]
    text = f"upper({column.sql})" if folds_case(column) else column.sql
    if kind != "picklist" or not column.field.picklist:
        return [text]
    defined = ", ".join(f"upper({quoted_text(one.value)})" for one in column.field.picklist)
    place = f"coalesce(list_position([{defined}], upper({column.sql})), {len(column.field.picklist) + 1})"
    return [f"CASE WHEN {column.sql} IS NULL THEN NULL ELSE {place} END", text]

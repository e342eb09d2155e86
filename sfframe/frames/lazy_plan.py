"""What a lazy frame will ask of the scans in it: polars' optimized plan, read without running anything.

The plan is seen through the visitor that polars has for the engines of others. It is no public interface; where it has
changed, ``asked_of_scans`` says so and nothing else suffers.
"""

from __future__ import annotations

import inspect
import json
from collections.abc import Iterator
from dataclasses import dataclass

import polars as pl

from sfframe.errors import UsageError
from sfframe.frames.predicate import Node, Predicate, read_node, serialised


@dataclass(frozen=True, slots=True)
class Asked:
    """What polars will ask of one scan: the source that was registered, the columns (None: all), the filter (None: no
    filter), and how many rows (None: all).
    """

    source: object
    columns: list[str] | None
    predicate: Predicate | None
    rows: int | None


def asked_of_scans(lazy: pl.LazyFrame) -> list[Asked]:
    """All scans of Python sources in the optimized plan, in the order in which polars lists its inputs.

    Raises UsageError where this polars does not show its plan.
    """
    try:
        # The same optimizations as collect() without options.
        visitor = lazy._ldf.with_optimizations(pl.QueryOptFlags()._pyoptflags).visit()  # noqa: SLF001
        return list(_scans(visitor, visitor.get_node()))
    except (AttributeError, LookupError, TypeError, ValueError, NotImplementedError) as problem:
        raise UsageError(
            f"polars {pl.__version__} does not show the plan of this lazy frame: {problem}",
            remedy="lazy.explain() shows it in polars' own words.",
        ) from problem


def _scans(visitor: Node, number: int) -> Iterator[Asked]:
    visitor.set_node(number)
    inputs = visitor.get_inputs()
    if not inputs:
        plan = visitor.view_current_node()
        if type(plan).__name__ == "PythonScan":
            yield _asked(visitor, *plan.options)
    for one in inputs:
        yield from _scans(visitor, one)


def _asked(
    visitor: Node, function: Node, columns: list[str] | None, _kind: str, predicate: Node, rows: int | None
) -> Asked:
    source = inspect.getclosurevars(function).nonlocals.get("io_source")
    if predicate is None:
        return Asked(source, columns, None, rows)
    _language, number = predicate
    return Asked(source, columns, read_node(_node(visitor, number)), rows)


def _node(visitor: Node, number: int) -> Node:
    """An expression of the plan as ``Expr.meta.serialize`` would write it; what has no such form here is Opaque."""
    try:
        seen = visitor.view_expression(number)
    except NotImplementedError as problem:
        return {"Opaque": str(problem)}
    children = [_node(visitor, one) for one in _children(seen)]
    node = _with_children(seen, children)
    logic = type(seen).__name__ == "BinaryExpr" and str(seen.op).endswith(("And", "Or"))
    unknown = next((one for one in children if "Opaque" in one), None)
    return node if unknown is None or logic or _is_not(node) else unknown


def _children(seen: Node) -> list[int]:
    match type(seen).__name__:
        case "BinaryExpr":
            return [seen.left, seen.right]
        case "Cast":
            return [seen.expr]
        case "Function":
            return list(seen.input)
    return []


def _with_children(seen: Node, children: list[Node]) -> Node:
    match type(seen).__name__:
        case "Column":
            return {"Column": seen.name}
        case "Literal":
            return _literal(seen.value, seen.dtype)
        case "BinaryExpr":
            return {"BinaryExpr": {"left": children[0], "op": str(seen.op).rpartition(".")[2], "right": children[1]}}
        case "Cast":
            dtype = {"Literal": str(seen.dtype)}
            return {"Cast": {"expr": children[0], "dtype": dtype, "options": "NonStrict"}}
        case "Function":
            function = _function(*seen.function_data)
            if function is not None:
                return {"Function": {"input": children, "function": function}}
            return {"Opaque": f"the function {str(seen.function_data[0]).rpartition('.')[2]}"}
    return {"Opaque": f"a {type(seen).__name__} of polars"}


def _literal(value: Node, dtype: pl.DataType) -> Node:
    try:
        # A column that stands in the expression is handed out as what is inside a Series of polars.
        bare = type(value).__name__ == "PySeries"
        told = pl.lit(pl.Series._from_pyseries(value)) if bare else pl.lit(value, dtype=dtype)  # noqa: SLF001
        return json.loads(serialised(told))
    except (TypeError, ValueError, pl.exceptions.PolarsError):
        return {"Opaque": f"a value of type {dtype}"}


def _function(named: object, *options: Node) -> Node | None:
    """The functions that ``read_node`` knows."""
    kind, _, name = str(named).rpartition(".")
    match kind, name:
        case "BooleanFunction", "IsNull" | "IsNotNull" | "Not":
            return {"Boolean": name}
        case "BooleanFunction", "IsBetween":
            return {"Boolean": {name: {"closed": options[0].capitalize()}}}
        case "BooleanFunction", "IsIn":
            return {"Boolean": {name: {"nulls_equal": options[0]}}}
        case "StringFunction", "StartsWith" | "EndsWith":
            return {"StringExpr": name}
        case "StringFunction", "Contains":
            return {"StringExpr": {name: {"literal": options[0], "strict": options[1]}}}
        case "", "fill_null":
            return "FillNull"
    return None


def _is_not(node: Node) -> bool:
    match node:
        case {"Function": {"function": {"Boolean": "Not"}}}:
            return True
    return False

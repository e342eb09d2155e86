"""Which stored row an uploaded one means: by Id, or by the external id of an upsert (bulk2.md 2.15)."""

from __future__ import annotations

from dataclasses import dataclass

from sfframe.localorg.services import lookups
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.lookups import Joined
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Task

_NOTHING = "CAST(NULL AS VARCHAR)"


@dataclass(frozen=True, slots=True)
class Match:
    """``keys`` are computed with the typed values; ``target`` is the row meant, ``named`` the id that was sent."""

    keys: tuple[str, ...]
    joined: Joined
    target: str
    named: str


def match(task: Task) -> Match:
    """How the rows are matched. Raises LookupError for an upsert without the column of its external id."""
    key, column = task.key, task.key_column
    if key is None:
        return Match((), Joined((), "", ()), _NOTHING, _NOTHING)
    if key.name == "Id":
        return _by_id(task, column)
    if column is None:
        raise LookupError(key.name)
    return _by_external_id(task, column)


def _by_id(task: Task, column: Column | None) -> Match:
    operation = task.operation
    blank = problem(
        "MISSING_ARGUMENT", literal(f"Id not specified in {'a delete' if task.deletes else 'an update'} call")
    )
    if column is None:
        nameless = [] if operation == "upsert" else [f"WHEN true THEN {blank}"]
        return Match((), Joined((), "", tuple(nameless)), _NOTHING, _NOTHING)
    cell, typed = f"b.{column.cell}", f"b.v{column.position}"
    label = column.field.label
    malformed = problem("MALFORMED_ID", f"'malformed id ' || {cell}")
    if operation == "upsert":
        malformed = problem("MALFORMED_ID", "'Id in upsert is not valid'", "'Id'")
    wrong_type = problem("MALFORMED_ID", f"{literal(f'{label}: id value of incorrect type: ')} || {cell}", "'Id'")
    unknown = problem("INVALID_CROSS_REFERENCE_KEY", "'invalid cross reference id'")
    deleted = problem("ENTITY_IS_DELETED", "'entity is deleted'")
    # A second delete of a row finds it deleted; a second update is refused (bulk2.md 10).
    again = problem("DUPLICATE_VALUE", f"'Duplicate id specified: ' || {cell}", "'Id'")
    whens = [] if operation == "upsert" else [f"WHEN coalesce({cell}, '') = '' THEN {blank}"]
    whens += [
        f"WHEN {cell} <> '' AND {typed} IS NULL THEN {malformed}",
        f"WHEN left({typed}, 3) <> {literal(task.prefix)} THEN {wrong_type}",
        f"WHEN {typed} IS NOT NULL AND t.id IS NULL THEN {unknown}",
        f"WHEN t.gone THEN {deleted}",
        f"WHEN {typed} IS NOT NULL AND nth > 1 THEN {deleted if task.deletes else again}",
    ]
    found = (
        f'SELECT "Id" AS id, {lookups.deleted(task.obj)} AS gone FROM {task.table} '
        f'WHERE "Id" IN ({lookups.wanted(task, f"v{column.position}", column.cell)})'
    )
    nth = _nth(task, column, typed)
    return Match((), Joined((nth,), f"LEFT JOIN ({found}) t ON t.id = {typed}", tuple(whens)), "t.id", typed)


def _by_external_id(task: Task, column: Column) -> Match:
    cell, name = f"b.{column.cell}", column.field.name
    # The words are those of the first Bulk API (bulk2.md 2.15), the code is a guess.
    blank = problem(
        "MISSING_ARGUMENT",
        literal(f"External ID was blank for {task.obj.name}. An External ID must be specified for upsert."),
    )
    several = problem(
        "DUPLICATE_EXTERNAL_ID",
        f"{literal(f'{name}: more than one record found for external id field: [')} || t.ids || ']'",
        literal(name),
    )
    again = problem("DUPLICATE_VALUE", f"'Duplicate external id specified: ' || {cell}", literal(name))
    key = lookups.key_value(column.field, column.cell, task.staged.null_mark, trimmed=task.staged.trimmed)
    found = lookups.rows_by_key(task.store, task.obj, column.field, lookups.wanted(task, "match_key", key))
    joined = Joined(
        (_nth(task, column, "b.match_key"),),
        f"LEFT JOIN ({found}) t ON t.k = b.match_key",
        (
            f"WHEN b.match_key IS NULL THEN {blank}",
            f"WHEN t.n > 1 THEN {several}",
            f"WHEN nth > 1 THEN {again}",
        ),
    )
    return Match((f"{key} AS match_key",), joined, "t.id", _NOTHING)


def _nth(task: Task, column: Column, key: str) -> str:
    """SQL: whether the row is the first of its key, the second and so on."""
    if column.cell in task.staged.distinct:
        return "1 AS nth"  # a window over a few rows takes as long as all the rest
    return f"row_number() OVER (PARTITION BY {key} ORDER BY b.record) AS nth"

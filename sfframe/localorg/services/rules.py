"""Validation and duplicate rules at work, on the rows as they would be after the save (rest.md 12, bulk2.md 6.3)."""

from __future__ import annotations

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services import lookups, writing
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.query import compile_text
from sfframe.localorg.services.task import Task
from sfframe.localorg.store.rules import DuplicateRule, Rule, ValidationRule
from sfframe.localorg.store.store import Store

_AFTER = "saving_after"
_VERSION = "v60.0"  # any will do: nothing of a condition is shown


def declare(store: Store, rule: Rule) -> None:
    """Add a rule, or replace the one of its name. Raises ValueError where it does not fit the object."""
    obj = store.catalogue.find(rule.object)
    if obj is None:
        raise ValueError(f"{rule.name}: The org has no object {rule.object}. Deploy it, or correct the name.")
    names = [rule.field] if isinstance(rule, ValidationRule) and rule.field else []
    names += rule.fields if isinstance(rule, DuplicateRule) else ()
    for name in names:
        if obj.field(name) is None:
            raise ValueError(f"{rule.name}: {rule.object} has no field {name}.")
    if isinstance(rule, ValidationRule):
        try:
            _violating(store, obj, rule)
        except ServiceError as error:
            raise ValueError(f"{rule.name}: the condition is no SOQL condition of {rule.object}: {error}") from error
    with store.writing, store.cursor() as cursor:
        store.rules.keep(store.rules.with_rule(rule), cursor)


def present(task: Task) -> bool:
    """Whether there is a rule for the rows."""
    return bool(task.store.rules.of(task.obj.name)) and not task.deletes


def refuse_invalid(task: Task, cursor: duckdb.DuckDBPyConnection, rows: int) -> None:
    """Mark the rows of ``saving_rows`` that break a rule; of several broken rules the first declared is told.

    A real org tells all of them; here a row has one problem.
    """
    if not present(task):
        return
    rules = task.store.rules.of(task.obj.name)
    cursor.execute(f"""
        CREATE OR REPLACE TEMP TABLE {_AFTER} AS SELECT * FROM {task.table} WHERE "Id" IN
        (SELECT id FROM saving_rows WHERE problem IS NULL AND NOT creates)
    """)
    if task.operation != "update":
        writing.insert_rows(task, cursor, max(rows, 1), into=_AFTER)
    if task.operation != "insert":
        writing.update_rows(task, cursor, into=_AFTER)
    for rule in rules:
        if isinstance(rule, ValidationRule):
            said = problem("FIELD_CUSTOM_VALIDATION_EXCEPTION", literal(rule.message), literal(rule.field or ""))
            ids = _violating(task.store, task.obj, rule)
            cursor.execute(f"UPDATE saving_rows SET problem = {said} WHERE problem IS NULL AND id IN ({ids})")
    for rule in rules:
        if isinstance(rule, DuplicateRule):
            cursor.execute(_duplicates(task, rule))


def _violating(store: Store, obj: ObjectDef, rule: ValidationRule) -> str:
    """SQL: the ids of the rows to come for which the rule's condition holds."""
    text = f"SELECT Id FROM {obj.name} WHERE ({rule.when})"
    statement = compile_text(store, text, _VERSION, all_rows=True)
    ids = statement.select_sql(statement.columns[:1])
    return ids.replace(f"FROM {store.table(obj)} ", f"FROM {_AFTER} ", 1)


def _duplicates(task: Task, rule: DuplicateRule) -> str:
    """SQL that marks rows with a double; empty values match nothing (a guess), of equal new rows the first is good."""
    obj = task.obj
    keys = [lookups.key_column(field) for name in rule.fields if (field := obj.field(name)) is not None]
    names = [f"k{at}" for at in range(len(keys))]
    chosen = ", ".join(f"{key} AS {name}" for key, name in zip(keys, names, strict=True))
    filled = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    said = problem("DUPLICATES_DETECTED", literal(rule.message))
    return f"""
        WITH coming AS MATERIALIZED (
            SELECT w.record, a."Id" AS id, {chosen} FROM {_AFTER} a JOIN saving_rows w ON w.id = a."Id"
            WHERE w.problem IS NULL AND {filled}
        ), held AS (
            SELECT "Id" AS id, {chosen} FROM {task.table}
            WHERE NOT {lookups.deleted(obj)} AND {filled} AND "Id" NOT IN (SELECT id FROM coming)
        ), doubles AS (
            SELECT record FROM coming SEMI JOIN held USING ({", ".join(names)})
            UNION SELECT record FROM coming
            QUALIFY row_number() OVER (PARTITION BY {", ".join(names)} ORDER BY record) > 1
        )
        UPDATE saving_rows SET problem = {said} WHERE record IN (SELECT record FROM doubles)
    """

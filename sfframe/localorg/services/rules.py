"""Validation and duplicate rules at work, on the rows as they would be after the save (rest.md 12, bulk2.md 6.3)."""

from __future__ import annotations

from contextvars import ContextVar
from dataclasses import dataclass

import duckdb

from sfframe.localorg.catalogue.model import ObjectDef
from sfframe.localorg.services import lookups, writing
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.query import compile_text
from sfframe.localorg.services.task import Task
from sfframe.localorg.store.rules import DuplicateRule, Rule, ValidationRule
from sfframe.localorg.store.store import Store

DUPLICATE = "DUPLICATES_DETECTED"
# Whether the request at hand saves what rules only warn of (Sforce-Duplicate-Rule-Header: allowSave, rest.md 1.3).
allow_save: ContextVar[bool] = ContextVar("allow_save", default=False)
_AFTER = "saving_after"
_DOUBLES = "saving_doubles"
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
    declared = [rule for rule in rules if isinstance(rule, DuplicateRule) and (rule.block or not allow_save.get())]
    if declared:
        cursor.execute(f"CREATE OR REPLACE TEMP TABLE {_DOUBLES} (record BIGINT, rule VARCHAR, id VARCHAR)")
    for rule in declared:
        cursor.execute(_doubles(task, rule))
        said = problem(DUPLICATE, literal(rule.message))
        found = f"SELECT record FROM {_DOUBLES} WHERE rule = {literal(rule.name)}"
        cursor.execute(f"UPDATE saving_rows SET problem = {said} WHERE record IN ({found})")


@dataclass(frozen=True, slots=True)
class Doubles:
    """The rule that found a row to be a double, and the ids of the stored rows that it doubles."""

    rule: DuplicateRule
    ids: tuple[str, ...]

    def result(self, base: str) -> dict[str, object]:
        """``duplicateResult`` (rest.md 12: the names are those of the WSDL); ``base`` is ``/services/data/vNN.0``."""
        name = self.rule.object
        records = [
            {
                "additionalInformation": [],
                "fieldDiffs": [{"difference": "SAME", "name": field} for field in self.rule.fields],
                "matchConfidence": 100.0,
                "record": {"attributes": {"type": name, "url": f"{base}/sobjects/{name}/{one}"}, "Id": one},
            }
            for one in self.ids
        ]
        match = {
            "entityType": name,
            "errors": [],
            "matchEngine": "ExactMatchEngine",
            "matchRecords": records,
            "rule": self.rule.name,
            "size": len(records),
            "success": True,
        }
        return {
            "duplicateResult": {
                "allowSave": not self.rule.block,
                "duplicateRule": self.rule.name,
                "duplicateRuleEntityType": name,
                "errorMessage": self.rule.message,
                "matchResults": [match],
            }
        }


def doubles(store: Store, obj: ObjectDef, cursor: duckdb.DuckDBPyConnection) -> dict[int, Doubles]:
    """What the last save on this cursor, of which rows were refused as DUPLICATE, found; by record."""
    rules = {rule.name: rule for rule in store.rules.of(obj.name) if isinstance(rule, DuplicateRule)}
    rows = cursor.execute(
        f"SELECT record, first(rule), list(id ORDER BY id) FILTER (id IS NOT NULL) FROM {_DOUBLES} GROUP BY record"
    ).fetchall()
    return {record: Doubles(rules[rule], tuple(ids or ())) for record, rule, ids in rows}


def _violating(store: Store, obj: ObjectDef, rule: ValidationRule) -> str:
    """SQL: the ids of the rows to come for which the rule's condition holds."""
    text = f"SELECT Id FROM {obj.name} WHERE ({rule.when})"
    statement = compile_text(store, text, _VERSION, all_rows=True)
    ids = statement.select_sql(statement.columns[:1])
    return ids.replace(f"FROM {store.table(obj)} ", f"FROM {_AFTER} ", 1)


def _doubles(task: Task, rule: DuplicateRule) -> str:
    """SQL that notes rows with a double; empty values match nothing (a guess), of equal new rows the first is good."""
    obj = task.obj
    keys = [lookups.key_column(field) for name in rule.fields if (field := obj.field(name)) is not None]
    names = [f"k{at}" for at in range(len(keys))]
    chosen = ", ".join(f"{key} AS {name}" for key, name in zip(keys, names, strict=True))
    filled = " AND ".join(f"{key} IS NOT NULL" for key in keys)
    same = ", ".join(names)
    return f"""
        INSERT INTO {_DOUBLES} WITH coming AS MATERIALIZED (
            SELECT w.record, a."Id" AS id, {chosen} FROM {_AFTER} a JOIN saving_rows w ON w.id = a."Id"
            WHERE w.problem IS NULL AND {filled}
        ), held AS (
            SELECT "Id" AS id, {chosen} FROM {task.table}
            WHERE NOT {lookups.deleted(obj)} AND {filled} AND "Id" NOT IN (SELECT id FROM coming)
        ), repeated AS (
            SELECT record FROM coming QUALIFY row_number() OVER (PARTITION BY {same} ORDER BY record) > 1
        )
        SELECT coming.record, {literal(rule.name)}, held.id FROM coming JOIN held USING ({same})
        UNION ALL SELECT record, {literal(rule.name)}, NULL FROM repeated
    """

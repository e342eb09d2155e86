"""Fields that may not be written and fields that must be (bulk2.md 6.3): checks that depend on insert or update."""

from __future__ import annotations

from sfframe.localorg.services import derived
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Task

Condition = tuple[str, str]
"""A field name and the SQL of when it is to be named."""


def refused_objects(task: Task) -> list[str]:
    """WHEN ... THEN for objects of which no row may be inserted, changed or deleted; the words are from memory."""
    if task.deletes:
        return [] if task.obj.deletable else [f"WHEN true THEN {_refused_object(task, 'deleted')}"]
    created = [] if task.obj.createable else [f"WHEN creates THEN {_refused_object(task, 'inserted')}"]
    changed = [] if task.obj.updateable else [f"WHEN NOT creates THEN {_refused_object(task, 'updated')}"]
    return created + changed


def _refused_object(task: Task, verb: str) -> str:
    words = f"entity type cannot be {verb}: {task.obj.label}"
    return problem("CANNOT_INSERT_UPDATE_ACTIVATE_ENTITY", literal(words))


def not_writable(task: Task) -> str | None:
    """WHEN ... THEN for cells of fields that nobody may write; None where all may be written."""
    operation, key = task.operation, task.key
    refused: list[Condition] = []
    for column in task.columns:
        field, given = column.field, f"b.{column.cell} <> ''"
        if field is key and field.name == "Id":
            continue
        if field.name == "Id" and operation == "insert":
            said = problem("INVALID_FIELD_FOR_INSERT_UPDATE", "'cannot specify Id in an insert call'", "'Id'")
            return f"WHEN {given} THEN {said}"  # the words are from memory
        if not field.createable and operation != "update":
            refused.append((field.name, f"{given} AND creates"))
        if not field.updateable and operation != "insert":
            refused.append((field.name, f"{given} AND NOT creates"))
    if not refused:
        return None
    names = _names(refused)
    words = (
        f"'Unable to create/update fields: ' || {names} || '. Please check the security settings of this field and "
        "verify that it is read/write for your profile or permission set.'"
    )
    return f"WHEN {_any(refused)} THEN {problem('INVALID_FIELD_FOR_INSERT_UPDATE', words, names)}"


def required(task: Task) -> str | None:
    """WHEN ... THEN that lists all required fields which a new row lacks, or which a changed row would lose."""
    operation = task.operation
    sent = {column.field.name: column for column in task.columns}
    missing: list[Condition] = []
    for field in task.obj:
        if field.nillable or field.type == "boolean" or not (field.createable or field.updateable):
            continue
        column = sent.get(field.name)
        if column is not None and column.cell in task.staged.filled:
            continue
        filled = field.defaulted_on_create or derived.default(field, task.store) is not None
        empty = f"b.{column.cell} = ''" if column else "true"
        null = _null(column) if column else "true"
        if operation != "update" and field.createable and not (filled and column is None):
            condition = f"creates AND {null}" + (f" AND NOT {empty}" if filled else "")
            missing.append((field.name, condition))
        if operation != "insert" and column is not None:
            missing.append((field.name, f"NOT creates AND {null} AND NOT {empty}"))
    if not missing:
        return None
    names = _names(missing)
    words = f"'Required fields are missing: [' || {names} || ']'"
    return f"WHEN {_any(missing)} THEN {problem('REQUIRED_FIELD_MISSING', words, names)}"


def _null(column: Column) -> str:
    # The value of a relationship column comes from a join and is a column of that join.
    return f"p{column.position}.id IS NULL" if column.key else f"b.v{column.position} IS NULL"


def _names(conditions: list[Condition]) -> str:
    """SQL: the names whose condition holds, as Salesforce lists fields."""
    cases = ", ".join(f"CASE WHEN {condition} THEN {literal(name)} END" for name, condition in conditions)
    return f"concat_ws(', ', {cases})"


def _any(conditions: list[Condition]) -> str:
    return " OR ".join(f"({condition})" for _, condition in conditions)

"""Parents of the rows that are saved: found by id or by external id, all rows at once (bulk2.md 3.4, 3.5)."""

from __future__ import annotations

from dataclasses import dataclass

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services import coercion
from sfframe.localorg.services.columns import Column, ParentKey
from sfframe.localorg.services.problems import literal, problem
from sfframe.localorg.services.task import Task
from sfframe.localorg.store.store import Store, quoted


@dataclass(frozen=True, slots=True)
class Joined:
    """What one join adds to the rows: columns, the join itself, and the problems that it shows (WHEN ... THEN)."""

    columns: tuple[str, ...]
    join: str
    whens: tuple[str, ...]


def deleted(obj: ObjectDef) -> str:
    """SQL: whether a row of the object's table lies in the recycle bin."""
    return quoted("IsDeleted") if obj.field("IsDeleted") else "false"


def key_value(field: FieldDef, cell: str, null_mark: str, *, trimmed: bool) -> str:
    """SQL: a cell as it is compared with an external id or a unique field: without case unless the field has case."""
    typed = coercion.value(field, cell, null_mark, trimmed=trimmed)
    return f"lower({typed})" if _ignores_case(field) else typed


def key_column(field: FieldDef) -> str:
    """SQL: the stored side of the comparison of ``key_value``."""
    return f"lower({quoted(field.name)})" if _ignores_case(field) else quoted(field.name)


def _ignores_case(field: FieldDef) -> bool:
    return coercion.is_text(field) and not field.case_sensitive


def rows_by_key(store: Store, obj: ObjectDef, field: FieldDef, keys: str) -> str:
    """SQL: the live rows with one of the wanted keys, as k, id (the first), n and ids (all, as text)."""
    key = key_column(field)
    return (
        f'SELECT {key} AS k, min("Id") AS id, count(*) AS n, string_agg("Id", \', \' ORDER BY "Id") AS ids '
        f"FROM {store.table(obj)} WHERE NOT {deleted(obj)} AND {key} IN ({keys}) GROUP BY 1"
    )


def wanted(task: Task, name: str, value: str) -> str:
    """SQL: all values of one kind in the rows; ``name`` is their column in ``saving_cells``, ``value`` what it holds.

    The few rows of a JSON body are read once more: with ``saving_cells`` the SQL of all columns would be planned twice.
    """
    return f"SELECT {value} FROM {task.staged.relation}" if task.staged.trimmed else f"SELECT {name} FROM saving_cells"


def _parent_by_key(task: Task, column: Column, key: ParentKey) -> Joined:
    """The parents that a relationship column names."""
    at = column.position
    value = key_value(key.field, column.cell, "", trimmed=task.staged.trimmed)
    cell = f"b.{column.cell}"
    not_found = (
        f"{literal('Foreign key external ID: ')} || {cell} || "
        f"{literal(f' not found for field {key.field.name} in entity {key.parent.name}')}"
    )
    several = f"'More than one record found for external id field: [' || p{at}.ids || ']'"
    found = rows_by_key(task.store, key.parent, key.field, wanted(task, f"k{at}", value))
    return Joined(
        (f"p{at}.id AS v{at}",),
        f"LEFT JOIN ({found}) p{at} ON p{at}.k = b.k{at}",
        (
            f"WHEN {cell} <> '' AND p{at}.id IS NULL THEN {problem('INVALID_FIELD', not_found)}",
            f"WHEN p{at}.n > 1 THEN {problem('INVALID_FIELD', several)}",
        ),
    )


def _parent_by_id(task: Task, column: Column) -> Joined:
    """The parents that an id column names; only objects of this org's catalogue can be checked for being there."""
    at, field = column.position, column.field
    cell, typed = f"b.{column.cell}", f"b.v{column.position}"
    parents = [task.store.catalogue.find(name) for name in field.reference_to]
    known = [parent for parent in parents if parent is not None]
    wrong_type = f"{literal(f'{field.label}: id value of incorrect type: ')} || {cell}"
    malformed = problem("MALFORMED_ID", wrong_type, literal(field.name))
    given = f"{cell} <> '' AND {cell} <> {literal(task.staged.null_mark)}"
    whens = [f"WHEN {given} AND {typed} IS NULL THEN {malformed}"]
    if not known or len(known) < len(parents):
        return Joined((), "", tuple(whens))
    prefixes = ", ".join(literal(parent.key_prefix or "") for parent in known)
    mismatch = f"WHEN left({typed}, 3) NOT IN ({prefixes}) THEN "
    missing = f"WHEN {typed} IS NOT NULL AND r{at}.id IS NULL THEN "
    if known[0].name == "RecordType":
        invalid = f"{literal(f'{field.label}: this ID value isn{chr(39)}t valid for the user: ')} || {cell}"
        said = problem("INVALID_CROSS_REFERENCE_KEY", invalid, literal(field.name))
        whens += [mismatch + said, missing + said]
    else:
        whens += [
            mismatch + problem("FIELD_INTEGRITY_EXCEPTION", wrong_type, literal(field.name)),
            missing + problem("INVALID_CROSS_REFERENCE_KEY", literal("invalid cross reference id")),
            f"WHEN r{at}.gone THEN {problem('ENTITY_IS_DELETED', literal('entity is deleted'))}",
        ]
    ids = wanted(task, f"v{at}", column.cell)
    tables = " UNION ALL ".join(_ids_of(task, parent, ids) for parent in known)
    return Joined((), f"LEFT JOIN ({tables}) r{at} ON r{at}.id = {typed}", tuple(whens))


def _ids_of(task: Task, parent: ObjectDef, ids: str) -> str:
    found = f'SELECT "Id" AS id, {deleted(parent)} AS gone FROM {task.store.table(parent)} WHERE "Id" IN ({ids})'
    if parent.name == "RecordType" and parent.field("SobjectType"):
        return f'{found} AND "SobjectType" = {literal(task.obj.name)}'
    return found


def parents(task: Task) -> list[Joined]:
    """The joins of all reference columns, in upload order; they look into ``saving_cells``, the rows as b."""
    return [
        _parent_by_key(task, column, column.key) if column.key else _parent_by_id(task, column)
        for column in task.columns
        if column.field.type == "reference"
    ]

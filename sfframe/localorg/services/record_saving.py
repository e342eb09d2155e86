"""Saving records of one object that came in JSON: one save for all of them, one outcome for each (rest.md 7, 8.5)."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services import problems, rules, saving
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody
from sfframe.localorg.services.json_rows import Row, RowFault, stage, undeserializable
from sfframe.localorg.services.rules import Doubles
from sfframe.localorg.services.task import Operation, Task
from sfframe.localorg.store.store import Store


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong with a record; ``fields`` is None where the service names no fields at all."""

    code: str
    message: str
    fields: list[str] | None
    doubles: Doubles | None = None

    def error(self) -> ServiceError:
        """The problem as the answer to a request about this record alone."""
        status = {"ENTITY_IS_DELETED": 404, "INSUFFICIENT_ACCESS_OR_READONLY": 403}.get(self.code, 400)
        ahead = self.doubles.result if self.doubles else None
        return ServiceError(status, self.code, self.message, fields=self.fields, ahead=ahead)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of a record. A bad one has only the id that it was sent with, if that is one."""

    id: str | None
    created: bool
    problem: Problem | None

    def result(self, version: str, *, created: bool = False) -> dict[str, object]:
        """The outcome as collections word it in a version; ``created`` says whether that is told, as upserts do.

        ``duplicateResult`` stands before the other members, as it does in the answer about a single record; that it is
        there follows from the WSDL, whose DuplicateError is an Error with it.
        """
        found: dict[str, object] = {} if self.id is None else {"id": self.id}
        if self.problem is None:
            found |= {"success": True, "errors": []}
            return found | {"created": self.created} if created else found
        one = self.problem
        ahead = one.doubles.result(f"/services/data/{version}") if one.doubles else {}
        error = {"statusCode": one.code, "message": one.message, "fields": one.fields or []}
        found |= {"success": False, "errors": [ahead | error]}
        return found | {"created": False} if created else found


@dataclass(frozen=True, slots=True)
class Save:
    """One save: what is done to which object; ``key`` is the field that an upsert goes by."""

    obj: ObjectDef
    operation: Operation
    key: FieldDef | None = None


def save_rows(store: Store, save: Save, rows: list[Row], body: JsonBody) -> list[Outcome]:
    """Save rows that were read from ``body``, inside a transaction of the store; outcomes in the order of the rows."""
    readable = [row for row in rows if row.fault is None]
    found: list[saving.Answer] = []
    doubles: dict[int, Doubles] = {}
    if readable:
        staged = stage(readable, save.obj, store.catalogue)
        with store.transaction() as cursor:
            task = Task(store, save.obj, save.operation, staged, store.now(), save.key)
            found = saving.answers(task, cursor)
            refused = any(problem and problem.startswith(rules.DUPLICATE) for _, _, problem in found)
            doubles = rules.doubles(store, save.obj, cursor) if refused else {}
    answers = iter(
        _outcome(save.obj, row, body, answer, doubles.get(at))
        for at, (row, answer) in enumerate(zip(readable, found, strict=True))
    )
    return [_unread(row.fault) if row.fault else next(answers) for row in rows]


def _unread(fault: RowFault) -> Outcome:
    return Outcome(None, created=False, problem=Problem(fault.code, fault.message, fault.fields))


def _outcome(obj: ObjectDef, row: Row, body: JsonBody, answer: saving.Answer, doubles: Doubles | None) -> Outcome:
    id_, created, said = answer
    problem = None if said is None else _problem(obj, row, body, said)
    if problem is not None and problem.code == rules.DUPLICATE:
        problem = replace(problem, doubles=doubles)
    return Outcome(id_, created, problem)


def _problem(obj: ObjectDef, row: Row, body: JsonBody, problem: str) -> Problem:
    code, said = problem.split(problems.SEPARATOR, 1)
    message, fields = said.rsplit(problems.SEPARATOR, 1)  # a value in the message may hold anything
    if code != "JSON_PARSER_ERROR":
        return Problem(code, message, fields.split(", ") if fields else [])
    # The save found a value that cannot be read and left the words to us; its message is the field's name.
    field = next(one for one in obj if one.name == message)
    place = row.path + row.keys[field.name]
    return Problem(code, undeserializable(body, field, body.at(place), place), None)

"""The caller's columns -> fields of the object: by name, by a given mapping, or through a parent."""

from __future__ import annotations

import difflib
from collections.abc import Callable, Mapping, Sequence

from sfframe.codec.layout import SentColumn
from sfframe.errors import NotFound, UsageError
from sfframe.facts import Operation
from sfframe.frames.failures import column_failures, contract_error
from sfframe.schema.sobject import Field, SObject

Describe = Callable[[str], SObject]
DELETES = ("delete", "hardDelete")


def match_columns(
    names: Sequence[str],
    sobject: SObject,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    describe: Describe,
) -> tuple[SentColumn, ...]:
    """The columns to send, in the caller's order.

    Names match fields without case, and the file says the field's own name. ``columns`` renames the caller's columns;
    None leaves one out (it still comes back in the result). ``Account.Ext_Id__c`` names a parent by one of its keys,
    ``User:Owner.Username`` does so where the parent can be of several kinds (bulk2.md 3.5). ``describe`` is asked for
    such parents only. A delete sends its Id column and nothing else (bulk2.md 2.15): all other columns stay at home and
    come back in the result. An upsert does not demand required fields, as its rows may all exist.

    Raises ``ContractError`` with one failure for each column that cannot be sent, and for each that is missing.
    """
    if (external_id_field is not None) != (operation == "upsert"):
        raise UsageError(
            f"operation={operation!r} with external_id_field={external_id_field!r}",
            where=sobject.name,
            remedy="An upsert needs external_id_field, the field that finds its records; nothing else takes it.",
        )
    matcher = _Matcher(sobject, operation, external_id_field, describe)
    mapping = dict(columns or {})
    for name in mapping:
        if name not in names:
            matcher.refuse(
                name, "mapping", f"columns= names {name!r}, which the frame does not have{_near(name, names)}."
            )
    matcher.check_object()
    for name in names:
        target = mapping.get(name, name)
        if target is not None:
            matcher.add(name, target)
    matcher.check_missing()
    if matcher.failures:
        raise contract_error(column_failures(matcher.failures), sobject.name)
    return tuple(matcher.sent)


def _near(name: str, known: Sequence[str]) -> str:
    hits = difflib.get_close_matches(name, known, n=3)
    return f" (near: {', '.join(hits)})" if hits else ""


class _Matcher:
    def __init__(self, sobject: SObject, operation: Operation, key: str | None, describe: Describe) -> None:
        self.sent: list[SentColumn] = []
        self.failures: list[tuple[str, str, str]] = []
        self._sobject = sobject
        self._operation = operation
        self._describe = describe
        self._key = "id" if operation in ("update", *DELETES) else (key or "").casefold()
        self._filled: dict[str, str] = {}

    def refuse(self, name: str, rule: str, message: str) -> None:
        self.failures.append((name, rule, message))

    def check_object(self) -> None:
        """The object itself must allow the operation."""
        allowed = {
            "insert": self._sobject.createable,
            "update": self._sobject.updateable,
            "upsert": self._sobject.createable and self._sobject.updateable,
        }.get(self._operation, self._sobject.deletable)
        if not allowed:
            self.refuse(self._sobject.name, "object", f"This user cannot {self._operation} records of this object.")
        if self._operation == "upsert":
            field = self._sobject.field(self._key)
            if field is None or not field.is_key:
                keys = ", ".join(one.name for one in self._sobject if one.is_key)
                self.refuse(self._key, "not_a_key", f"It finds no records. Keys of {self._sobject.name}: {keys}.")

    def add(self, name: str, target: str) -> None:
        """Matches one of the caller's columns."""
        if self._operation in DELETES:
            if target.casefold() == "id":
                field = self._sobject.field("Id") or Field("Id", "Id", "id")
                self._send(SentColumn(name, "Id", field))
            return
        column = self._parent(name, target) if "." in target else self._own(name, target)
        if column is not None and self._writeable(column):
            self._send(column)

    def _send(self, column: SentColumn) -> None:
        field = column.relationship or column.field
        other = self._filled.get(field.name)
        if other is not None:
            message = f"It fills {field.name}, and so does column {other!r}. {_leave_out(column.name)}"
            self.refuse(column.name, "two_columns", message)
            return
        self._filled[field.name] = column.name
        self.sent.append(column)

    def _own(self, name: str, target: str) -> SentColumn | None:
        field = self._sobject.field(target)
        if field is not None:
            return SentColumn(name, field.name, field)
        near = self._sobject.near(target)
        hint = f" Did you mean {' or '.join(near)}?" if near else ""
        first = near[0] if near else "Field__c"
        self.refuse(
            name,
            "unknown_column",
            f"{target!r} is no field of {self._sobject.name} that this user can see.{hint} Map it with "
            f"columns={{{name!r}: {first!r}}}, or leave it out with columns={{{name!r}: None}}.",
        )
        return None

    def _parent(self, name: str, target: str) -> SentColumn | None:
        """A parent named by its key: ``Account.Ext__c``, ``User:Owner.Username``."""
        path, _, key = target.rpartition(".")
        kind, colon, relation = path.rpartition(":")
        reference = self._sobject.relationship(relation)
        if reference is None or "." in relation:
            known = sorted(one.relationship_name for one in self._sobject if one.relationship_name)
            message = f"{self._sobject.name} has no parent called {relation!r}{_near(relation, known)}."
            self.refuse(name, "unknown_parent", f"{message} {_leave_out(name)}")
            return None
        several = reference.polymorphic or len(reference.reference_to) > 1
        if several != bool(colon):
            kinds = ", ".join(reference.reference_to)
            header = f"{reference.relationship_name}.{key}"
            want = f"{reference.reference_to[0]}:{header}" if several and reference.reference_to else header
            self.refuse(
                name,
                "polymorphic",
                f"The parent {reference.relationship_name} is of {'the kinds' if several else 'one kind only,'} "
                f"{kinds}. "
                f"Map it with columns={{{name!r}: {want!r}}}.",
            )
            return None
        kinds_known = {one.casefold(): one for one in reference.reference_to}
        parent_name = kinds_known.get(kind.casefold()) if several else next(iter(reference.reference_to), None)
        parent = self._parent_object(parent_name)
        if parent is None:
            message = f"{reference.name} does not refer to {kind or parent_name!r}. {_leave_out(name)}"
            self.refuse(name, "unknown_parent", message)
            return None
        field = parent.field(key)
        if field is None or not field.is_key:
            keys = ", ".join(one.name for one in parent if one.is_key)
            message = f"{key} does not find records of {parent.name}; its keys are {keys}. {_leave_out(name)}"
            self.refuse(name, "not_a_key", message)
            return None
        prefix = f"{parent.name}:" if several else ""
        return SentColumn(name, f"{prefix}{reference.relationship_name}.{field.name}", field, reference)

    def _parent_object(self, name: str | None) -> SObject | None:
        if name is None:
            return None
        try:
            return self._describe(name)
        except NotFound:
            return None

    def _writeable(self, column: SentColumn) -> bool:
        """Refuses a column that this operation cannot write; the key of the operation need not be writeable.

        An upsert takes what can be written in one of its two cases (a parent that is fixed on create): for the other
        case the org answers row by row.
        """
        field = column.relationship or column.field
        if column.relationship is None and field.name.casefold() == self._key:
            return True
        creates, updates = self._operation in ("insert", "upsert"), self._operation in ("update", "upsert")
        if (creates and field.createable) or (updates and field.updateable):
            return True
        rule, reason = self._why_not(field, creates=creates)
        self.refuse(column.name, rule, f"{reason} {_leave_out(column.name)}")
        return False

    def _why_not(self, field: Field, *, creates: bool) -> tuple[str, str]:
        parts = [one.name for one in self._sobject if one.compound_field_name == field.name and one is not field]
        if field.type in ("address", "location") or parts:
            named = f" Fill its parts: {', '.join(parts)}." if parts else ""
            return "compound", f"{field.name} is put together by the org.{named}"
        if field.calculated:
            return "calculated", f"{field.name} is calculated by the org."
        if field.auto_number:
            return "auto_number", f"{field.name} is numbered by the org."
        if field.type == "id":
            if self._operation == "insert":
                return (
                    "id_on_insert",
                    "The org gives new records their ids. Use operation='update' for records that exist.",
                )
            return "not_createable", f"This upsert finds its records by another field than {field.name}."
        if creates and not field.createable:
            return "not_createable", f"{field.name} cannot be set when a record is created (or not by this user)."
        return "not_updateable", f"{field.name} cannot be changed on a record that exists (or not by this user)."

    def check_missing(self) -> None:
        """What must be there: the key of the operation, and on insert the required fields."""
        filled = {name.casefold() for name in self._filled}
        refused = {name.casefold() for name, _, _ in self.failures}
        if self._key and self._key not in filled | refused:
            field = self._sobject.field(self._key)
            name = field.name if field else self._key
            self.refuse(
                name,
                "missing_key",
                f"{self._operation} finds its records by {name}, which no column fills. Add the column, or map "
                f"one with columns={{'...': {name!r}}}.",
            )
        if self._operation != "insert":
            return
        for field in self._sobject:
            if field.required_on_create and field.name.casefold() not in filled | refused:
                self.refuse(
                    field.name,
                    "missing_column",
                    f"{self._sobject.name} requires it on insert, and no column fills it. Add the column, or map "
                    f"one with columns={{'...': {field.name!r}}}.",
                )


def _leave_out(name: str) -> str:
    return f"Leave the column out with columns={{{name!r}: None}}."

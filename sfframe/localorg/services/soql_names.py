"""Names: what the fields, parents and aliases of one SELECT mean, and the joins that they need."""

from __future__ import annotations

from dataclasses import dataclass, replace

from sfframe.localorg.catalogue.model import FieldDef, ObjectDef
from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.user_clock import UserClock
from sfframe.localorg.store.store import COMPOUND_TYPES, Store, quoted
from sfframe.soql import Path, Source, excerpt

MAX_LEVELS = 5  # rest.md 13.4
MAX_RELATIONSHIPS = 55  # rest.md 13.4
_NAMED = "Please reference your WSDL or the describe call for the appropriate names."

# The fields of the object Name, as which a polymorphic parent appears (rest.md 5).
_NAME_FIELDS = ("Id", "Name", "Alias", "Email", "FirstName", "IsActive", "LastName", "Phone", "ProfileId", "Title")
_NAME_FIELDS_OF_USERS = ("Username", "UserRoleId")


def refusal(text: str, code: str, at: int, problem: str) -> ServiceError:
    """The error that points at the offset ``at`` of the query ``text`` (rest.md 12)."""
    return ServiceError(400, code, f"\n{excerpt(text, at)}\n{problem}")


def unknown_object(text: str, source: Source) -> ServiceError:
    """The refusal of an object that is not there or cannot be queried."""
    problem = (
        f"sObject type '{source.name}' is not supported. If you are attempting to use a custom object, be sure to "
        f"append the '__c' after the entity name. {_NAMED}"
    )
    return refusal(text, "INVALID_TYPE", source.at, problem)


def unknown_relationship(text: str, name: str, at: int, *, child: bool) -> ServiceError:
    """The refusal of a parent in a field path, or of a ``child`` relationship behind FROM."""
    code, place = ("INVALID_TYPE", "FROM part of query call") if child else ("INVALID_FIELD", "field path")
    problem = (
        f"Didn't understand relationship '{name}' in {place}. If you are attempting to use a custom relationship, be "
        f"sure to append the '__r' after the custom relationship name. {_NAMED}"
    )
    return refusal(text, code, at, problem)


@dataclass(frozen=True, slots=True)
class Parent:
    """A joined parent, reached by the field ``foreign_key``.

    ``type_sql`` gives the name of the record's own object, ``shown_type`` is what REST calls it.
    """

    name: str
    foreign_key: str
    alias: str
    obj: ObjectDef
    shown_type: str
    type_sql: str

    @property
    def id_sql(self) -> str:
        """The parent's Id; null where there is no parent."""
        return f'{self.alias}."Id"'


@dataclass(frozen=True, slots=True)
class Column:
    """A value of the row: its SQL, its field (made up for a function), and how it is reached, in canonical names."""

    sql: str
    field: FieldDef
    parents: tuple[Parent, ...] = ()
    alias: str = ""

    @property
    def name(self) -> str:
        """``Owner.Profile.Name``."""
        return ".".join([*(one.name for one in self.parents), self.field.name])


class Names:
    """Resolves the paths of one SELECT over ``obj``; ``text`` is the whole query, for the positions of refusals.

    ``clock`` is the whole query's: all its parts have the same today.
    """

    def __init__(
        self,
        store: Store,
        text: str,
        obj: ObjectDef,
        source: Source,
        related: tuple[Source, ...],
        *,
        level: int,
        clock: UserClock,
    ) -> None:
        self.store = store
        self.clock = clock
        self.text = text
        self.obj = obj
        self.level = level
        self.is_semi_join = False
        self.alias = f"r{level}"
        self._parents: dict[tuple[str, ...], Parent] = {}
        self._joins: list[str] = []
        self._branches: list[tuple[Names, str]] = []
        self._aliases: dict[str, tuple[str, ...]] = {}
        if source.alias:
            self._aliases[source.alias.casefold()] = ()
        for one in related:
            path = self._expanded(tuple(one.name.split(".")))
            alias = one.alias or path[-1]
            if alias.casefold() in self._aliases:
                raise self.refusal("MALFORMED_QUERY", one.at, f"duplicate alias: {alias}")
            self._aliases[alias.casefold()] = path

    def refusal(self, code: str, at: int, problem: str) -> ServiceError:
        """The error that points at the offset ``at`` of the query (rest.md 12)."""
        return refusal(self.text, code, at, problem)

    def source_sql(self) -> str:
        """The FROM clause; complete only after all paths are resolved."""
        return f"FROM {self.store.table(self.obj)} AS {self.alias} {self.joins_sql()}".rstrip()

    def joins_sql(self) -> str:
        """The parents' part of the FROM clause."""
        joins = list(self._joins)
        for branch, reference_sql in self._branches:
            rows = self.store.table(branch.obj)
            joins.append(f'LEFT JOIN {rows} AS {branch.alias} ON {branch.alias}."Id" = {reference_sql}')
            joins.append(branch.joins_sql())
        return " ".join(one for one in joins if one)

    def branch(self, obj: ObjectDef, reference: Column, *, level: int) -> Names:
        """The names of the parents that are ``obj``, where the field ``reference`` points at several objects."""
        made = Names(self.store, self.text, obj, Source(obj.name), (), level=level, clock=self.clock)
        self._branches.append((made, reference.sql))
        return made

    def reference(self, path: Path) -> Column:
        """The field behind a relationship path: ``OwnerId`` of ``Owner``."""
        *relationships, name = self._expanded(path.parts)
        parents = tuple(self._parent(tuple(relationships[: depth + 1]), path.at) for depth in range(len(relationships)))
        obj, alias = (parents[-1].obj, parents[-1].alias) if parents else (self.obj, self.alias)
        field = obj.relationship(name)
        if field is None:
            raise unknown_relationship(self.text, name, path.at, child=False)
        return Column(f"{alias}.{quoted(field.name)}", field, parents, alias)

    def column(self, path: Path) -> Column:
        """The column of a field path; compound fields are found too, though they have no SQL."""
        *relationships, name = self._expanded(path.parts)
        if len(relationships) > MAX_LEVELS:
            problem = f"SOQL relationships may not be followed over more than {MAX_LEVELS} levels"
            raise self.refusal("MALFORMED_QUERY", path.at, problem)
        parents = tuple(self._parent(tuple(relationships[: depth + 1]), path.at) for depth in range(len(relationships)))
        obj, alias = (parents[-1].obj, parents[-1].alias) if parents else (self.obj, self.alias)
        field = obj.field(name)
        if field is None:
            raise self.no_such_column(name, obj, path.at)
        sql = "" if field.type in COMPOUND_TYPES else f"{alias}.{quoted(field.name)}"
        return Column(sql, field, parents, alias)

    def no_such_column(self, name: str, obj: ObjectDef, at: int) -> ServiceError:
        """The refusal of an unknown field."""
        problem = (
            f"No such column '{name}' on entity '{obj.name}'. If you are attempting to use a custom field, be sure to "
            f"append the '__c' after the custom field name. {_NAMED}"
        )
        return self.refusal("INVALID_FIELD", at, problem)

    def _expanded(self, parts: tuple[str, ...]) -> tuple[str, ...]:
        """The path without aliases and without the object's own name in front."""
        first = parts[0].casefold()
        if len(parts) == 1:
            return parts
        if first in self._aliases:
            return self._aliases[first] + parts[1:]
        if first == self.obj.name.casefold() and self.obj.relationship(first) is None:
            return parts[1:]
        return parts

    def _parent(self, path: tuple[str, ...], at: int) -> Parent:
        key = tuple(one.casefold() for one in path)
        known = self._parents.get(key)
        if known is not None:
            return known
        below = self._parents.get(key[:-1])
        obj, alias = (below.obj, below.alias) if below else (self.obj, self.alias)
        field = obj.relationship(path[-1])
        targets = [found for name in field.reference_to if (found := self.store.catalogue.find(name))] if field else []
        if field is None or not targets:
            raise unknown_relationship(self.text, path[-1], at, child=False)
        if len(self._parents) == MAX_RELATIONSHIPS:
            problem = f"a query may follow at most {MAX_RELATIONSHIPS} child-to-parent relationships"
            raise self.refusal("MALFORMED_QUERY", at, problem)
        new = f"p{self.level}_{len(self._parents)}"
        if field.polymorphic or len(field.reference_to) > 1:
            name_object, rows = _name_object(self.store, targets)
            parent = Parent(field.relationship_name or "", field.name, new, name_object, "Name", f'{new}."Type"')
        else:
            rows = self.store.table(targets[0])
            name = targets[0].name
            parent = Parent(field.relationship_name or "", field.name, new, targets[0], name, f"'{name}'")
        self._joins.append(f'LEFT JOIN {rows} AS {new} ON {new}."Id" = {alias}.{quoted(field.name)}')
        self._parents[key] = parent
        return parent


def _name_object(store: Store, targets: list[ObjectDef]) -> tuple[ObjectDef, str]:
    """The object Name over the records of all ``targets``, and its rows as SQL."""
    wanted = _NAME_FIELDS + (_NAME_FIELDS_OF_USERS if any(one.name == "User" for one in targets) else ())
    fields: list[FieldDef] = []
    for name in wanted:
        found = next((field for one in targets if (field := one.field(name)) is not None), None)
        if found is None and name == "Name":
            found = next((replace(field, name="Name") for one in targets for field in one if field.name_field), None)
        if found is not None:
            fields.append(found)
    kind = FieldDef(name="Type", label="Type", type="string", length=255)
    selects = []
    for one in targets:
        columns = [f"'{one.name}' AS \"Type\""]
        for field in fields:
            own = one.field(field.name)
            if own is None and field.name == "Name":
                own = next((candidate for candidate in one if candidate.name_field), None)
            columns.append(f"{quoted(own.name) if own else 'NULL'} AS {quoted(field.name)}")
        selects.append(f"SELECT {', '.join(columns)} FROM {store.table(one)}")
    obj = ObjectDef(name="Name", label="Name", label_plural="Names", key_prefix=None, fields=(*fields, kind))
    return obj, f"({' UNION ALL '.join(selects)})"

"""Rules that a user declares for tests: what may not be saved. They are definitions: a file keeps them, a reset too."""

from __future__ import annotations

import json
from dataclasses import asdict, dataclass

import duckdb


@dataclass(frozen=True, slots=True)
class ValidationRule:
    """A row is refused with ``message`` where ``when``, a SOQL condition over the row as it would be, holds.

    ``field`` names the field that the error is shown at.
    """

    object: str
    name: str
    when: str
    message: str
    field: str | None = None


@dataclass(frozen=True, slots=True)
class DuplicateRule:
    """A row is refused with ``message`` where a live row has the same values in all ``fields``; text without case.

    A rule that does not ``block`` only warns: a request that says so saves the row all the same.
    """

    object: str
    name: str
    fields: tuple[str, ...]
    message: str = "Use one of these records?"  # bulk2.md 6.3
    block: bool = True


Rule = ValidationRule | DuplicateRule


class Rules:
    """The rules of one org, in the order in which they were declared. A name declares a rule anew."""

    def __init__(self) -> None:
        self._rules: tuple[Rule, ...] = ()

    def load(self, cursor: duckdb.DuckDBPyConnection) -> None:
        """Read what the file of an org keeps."""
        cursor.execute("CREATE TABLE IF NOT EXISTS org.rules (position BIGINT, kind VARCHAR, described VARCHAR)")
        rows = cursor.execute("SELECT kind, described FROM org.rules ORDER BY position").fetchall()
        self._rules = tuple(_read(kind, json.loads(described)) for kind, described in rows)

    def keep(self, rules: tuple[Rule, ...], cursor: duckdb.DuckDBPyConnection) -> None:
        """Make these the rules."""
        cursor.execute("DELETE FROM org.rules")
        for position, rule in enumerate(rules):
            cursor.execute(
                "INSERT INTO org.rules VALUES (?, ?, ?)", [position, type(rule).__name__, json.dumps(asdict(rule))]
            )
        self._rules = rules

    def with_rule(self, rule: Rule) -> tuple[Rule, ...]:
        """The rules, with this one added or put in the place of its namesake."""
        same = [(one.object, one.name) == (rule.object, rule.name) for one in self._rules]
        if any(same):
            return tuple(rule if hit else one for hit, one in zip(same, self._rules, strict=True))
        return (*self._rules, rule)

    @property
    def all(self) -> tuple[Rule, ...]:
        """All rules."""
        return self._rules

    def of(self, sobject: str) -> tuple[Rule, ...]:
        """The rules of an object."""
        return tuple(rule for rule in self._rules if rule.object == sobject)


def _read(kind: str, described: dict[str, str | list[str]]) -> Rule:
    if kind == "ValidationRule":
        return ValidationRule(**described)  # type: ignore[arg-type]
    return DuplicateRule(**described | {"fields": tuple(described["fields"])})  # type: ignore[arg-type]

"""A query text and its values -> a Plan: what is sent, and what the answer looks like."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cache
from typing import TYPE_CHECKING

from sfframe import soql
from sfframe.errors import UsageError
from sfframe.read_options import ReadOptions

if TYPE_CHECKING:
    import polars as pl

    from sfframe.codec.layout import Shape
    from sfframe.connection.org import Org
    from sfframe.frames.shape import Describe


@dataclass(frozen=True, slots=True)
class Plan:
    """A read that is decided on: the text that is sent, what it means, and the columns of its answer."""

    query: str
    parsed: soql.Query
    shape: Shape
    include_deleted: bool = False
    options: ReadOptions = field(default_factory=ReadOptions)

    @property
    def schema(self) -> pl.Schema:
        """Names and types of the answer."""
        from sfframe.codec.decode import readers_of, schema_of

        readers = readers_of(self.shape, decimals=self.options.decimals, split=self.options.split_multipicklists)
        return schema_of(self.shape, readers)

    def with_query(self, query: soql.Query, org: Org) -> Plan:
        """Another query of the same read; its names must be known ones."""
        from sfframe.frames.shape import shape

        columns = shape(query, org.describe(query.source.name), org.describe)
        return replace(self, query=soql.to_text(query), parsed=query, shape=columns)

    def with_rows(self, query: soql.Query) -> Plan:
        """A query with the same columns that finds other rows."""
        return replace(self, query=soql.to_text(query), parsed=query)


def planned(
    org: Org,
    query: str,
    params: Mapping[str, object] | None = None,
    *,
    include_deleted: bool = False,
    options: ReadOptions = ReadOptions(),
    structs: bool = False,
) -> Plan:
    """What a query text means in this org. Only describes are asked for, and nothing before the text is parsed.

    Raises SoqlSyntaxError for the text, and UsageError for values and names; ``structs`` is ``understood``'s.
    """
    parsed = soql.parse(query, star=True)
    bound = soql.bind(parsed, params or {}, text=query, timezone=options.timezone or org.timezone)
    if bound.all_rows:  # what Apex calls it; the API has a resource of its own (rest.md 5)
        bound, include_deleted = replace(bound, all_rows=False), True
    plan = understood(org, bound, include_deleted=include_deleted, options=options, structs=structs)
    return replace(plan, query=query) if plan.parsed == parsed else plan


def understood(
    org: Org, query: soql.Query, *, include_deleted: bool, options: ReadOptions, structs: bool = False
) -> Plan:
    """What a query without ``:names`` means in this org, its ``*`` written out. With ``structs`` the objects' names are
    selected of parents that can be of several.

    Before a name is refused, the describes are asked for once more (architecture.md 4.11).
    """
    try:
        written, columns = _looked_up(query, org.describe, structs)
    except UsageError:
        written, columns = _looked_up(query, cache(lambda name: org.describe(name, fresh=True)), structs)
    return Plan(soql.to_text(written), written, columns, include_deleted, options)


def _looked_up(query: soql.Query, describe: Describe, structs: bool) -> tuple[soql.Query, Shape]:
    from sfframe.frames.selection import with_object_names, written_out
    from sfframe.frames.shape import shape

    sobject = describe(query.source.name)
    if not sobject.queryable:
        raise UsageError(
            f"{sobject.name} cannot be queried",
            where=f"FROM {query.source.name}",
            remedy="Ask for another object, or for access: this user may not read it.",
        )
    written = written_out(query, sobject, describe)
    if structs:
        written = with_object_names(written, sobject, describe)
    return written, shape(written, sobject, describe)

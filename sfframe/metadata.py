"""describe, frame_schema, validate_frame: what the org says of an object, and what it would refuse of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, overload

from sfframe import orgs
from sfframe.facts import Operation

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl

    from sfframe.frames.description import Description
    from sfframe.orgs import OrgLike


@overload
def describe(sobject: str, *, org: OrgLike | None = None, fresh: bool = False) -> Description: ...
@overload
def describe(sobject: None = None, *, org: OrgLike | None = None, fresh: bool = False) -> pl.DataFrame: ...
def describe(sobject: str | None = None, *, org: OrgLike | None = None, fresh: bool = False) -> object:
    """What the org says of an object: its ``fields``, ``picklists``, ``child_relationships`` and ``record_types`` as
    frames. Without a name, a frame of all objects that this user can see.

    The answer holds what this user may see and do. It is asked for once per connection and then kept; of an earlier
    process only what the org confirms is used, and ``fresh=True`` takes nothing that was kept. The name is found
    whatever its case. Raises NotFound, with the names that may have been meant, where the org has no such object or
    hides it.

    >>> import sfframe as sf
    >>> account = sf.describe("account", org="local")
    >>> account.name, account.key_prefix, account.field("annualrevenue").type
    ('Account', '001', 'currency')
    >>> account.fields.filter("required").get_column("name").to_list()
    ['Name']
    >>> sf.describe(org="local").filter(name="Account").select("label", "createable").row(0)
    ('Account', True)
    """
    connection = orgs.connect(org)
    if sobject is None:
        import polars as pl

        return pl.DataFrame(list(connection.objects(fresh=fresh)))
    from sfframe.frames.description import Description

    return Description(connection.describe(sobject, fresh=fresh))


def frame_schema(sobject: str, *, operation: Operation, org: OrgLike | None = None) -> pa.DataFrameSchema:
    """A pandera schema (for polars frames) that accepts what the org accepts in this operation.

    It checks values in the types of the describe: lengths, restricted picklists, ids, numbers that fit, nulls.
    Validate collected frames: on a lazy frame pandera looks at the columns' types only.

    >>> import polars as pl, sfframe as sf
    >>> schema = sf.frame_schema("Account", operation="insert", org="local")
    >>> schema.validate(pl.DataFrame({"Name": ["Acme"], "NumberOfEmployees": [12]})).height
    1
    """
    from sfframe.frames.contract import frame_schema as schema_of

    return schema_of(orgs.connect(org).describe(sobject), operation=operation)


def validate_frame(
    df: object,
    sobject: str,
    *,
    operation: Operation,
    external_id_field: str | None = None,
    columns: Mapping[str, str | None] | None = None,
    timezone: str | None = None,
    org: OrgLike | None = None,
) -> pl.DataFrame:
    """Every cell that ``write_sobject`` would refuse: row, column, value, rule, message. Nothing is sent.

    One line per cell; ``row`` counts from 0 and is null where a whole column is refused, ``column`` is the caller's
    name. Empty when the frame could be sent as it is. Options mean what they mean in ``write_sobject``.

    >>> import sfframe as sf
    >>> rows = [{"Name": "Acme"}, {"Name": None}]
    >>> sf.validate_frame(rows, "Account", operation="insert", org="local").select("row", "rule").rows()
    [(1, 'required')]
    """
    from sfframe.errors import ContractError
    from sfframe.frames.columns import match_columns
    from sfframe.frames.contract import check
    from sfframe.frames.intake import take

    taken = take(df)
    connection = orgs.connect(org)
    described = connection.describe(sobject)
    try:
        sent = match_columns(
            taken.frame.columns,
            described,
            operation=operation,
            external_id_field=external_id_field,
            columns=columns,
            describe=connection.describe,
        )
    except ContractError as refused:
        if refused.failures is None:
            raise
        return refused.failures
    return check(
        taken.frame,
        sent,
        described,
        operation=operation,
        external_id_field=external_id_field,
        timezone=timezone or connection.timezone,
        from_csv=taken.from_csv,
    ).failures

"""describe, frame_schema, validate_frame: what the org says of an object, and what it would refuse of a frame."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from sfframe import orgs
from sfframe.facts import Operation

if TYPE_CHECKING:
    import pandera.polars as pa
    import polars as pl

    from sfframe.orgs import OrgLike
    from sfframe.schema import SObject


def describe(sobject: str, *, org: OrgLike | None = None, fresh: bool = False) -> SObject:
    """The object's describe as plain data: its fields with their types, lengths, flags and picklist values.

    Asked once per connection and then kept; ``fresh=True`` asks again. The name is found whatever its case.
    Raises NotFound, with the names that may have been meant, where the org has no such object or hides it.

    >>> import sfframe as sf
    >>> account = sf.describe("account", org="local")
    >>> account.name, account.key_prefix, account.field("annualrevenue").type
    ('Account', '001', 'currency')
    """
    return orgs.connect(org).describe(sobject, fresh=fresh)


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

    return schema_of(describe(sobject, org=org), operation=operation)


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

"""Records of a query as XML, put together in SQL (bulk1.md 4: in the manner of the partner API, with two Ids)."""

from __future__ import annotations

from sfframe.localorg.services.bulk1_results import NAMESPACE, xml_text
from sfframe.localorg.services.bulk_query_rules import text_sql
from sfframe.localorg.services.problems import literal
from sfframe.localorg.services.soql_shape import Leaf, Record
from sfframe.localorg.services.soql_sql import Statement

_HEAD = (
    f'<?xml version="1.0" encoding="UTF-8"?><queryResult\n   xmlns="{NAMESPACE}" '
    'xmlns:xsi="http://www.w3.org/2001/XMLSchema-instance">\n'
)


def document(statement: Statement) -> tuple[str, str, str]:
    """What stands before the rows, the SQL of the rows with a column ``line``, and what stands behind them."""
    return (
        _HEAD,
        f"SELECT {_record(statement.record, 'records')} AS line FROM ({statement.select_sql()})",
        "</queryResult>",
    )


def _record(record: Record, tag: str) -> str:
    own_type = literal(record.type) if record.own_type is None else f"c{record.own_type}"
    selected = [item.name for item in record.items if isinstance(item, Leaf)]
    pieces = [literal(f'<{tag} xsi:type="sObject"><type>'), own_type, "'</type>'"]
    if "Id" not in selected:
        pieces.append("'<Id xsi:nil=\"true\"/>'")
    for item in record.items:
        if isinstance(item, Leaf):
            value = _element(item.name, xml_text(text_sql(item.field, f"c{item.column}")))
            pieces += [value, value] if item.name == "Id" else [value]
        elif isinstance(item, Record):
            nothing = literal(f'<{item.name} xsi:nil="true"/>')
            pieces.append(f"CASE WHEN c{item.id_column} IS NULL THEN {nothing} ELSE {_record(item, item.name)} END")
    return f"concat({', '.join([*pieces, literal(f'</{tag}>')])})"


def _element(name: str, value: str) -> str:
    nothing = literal(f'<{name} xsi:nil="true"/>')
    return f"coalesce({literal(f'<{name}>')} || {value} || {literal(f'</{name}>')}, {nothing})"

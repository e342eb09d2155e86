"""Records as JSON text, put together in SQL: one expression over the columns of a statement (rest.md 5)."""

from __future__ import annotations

import json

from sfframe.localorg.services.soql_shape import Branches, Children, Compound, Leaf, Record
from sfframe.localorg.services.soql_values import quoted_text


def record_sql(record: Record, version: str) -> str:
    """The SQL of the record's JSON object; ``version`` (``v66.0``) stands in its URLs.

    Every piece is text and never null, so that ``concat`` loses none.
    """
    pieces = [quoted_text('{"attributes":{"type":' + _json(record.type))]
    if record.id_column is not None:
        own_type = quoted_text(record.type) if record.own_type is None else f"c{record.own_type}"
        pieces += [quoted_text(f',"url":"/services/data/{version}/sobjects/'), own_type]
        pieces += ["'/'", f"c{record.id_column}", "'\"'"]
    pieces.append("'}'")
    for item in record.items:
        pieces.append(quoted_text("," + _json(item.name) + ":"))
        if isinstance(item, Leaf):
            pieces.append(_value(item, record, version))
        elif isinstance(item, Compound):
            pieces.append(_compound(item, record, version))
        elif isinstance(item, Children):
            pieces.append(f"coalesce(c{item.column}.text, 'null')")
        else:
            records = item.records if isinstance(item, Branches) else (item,)
            cases = [f"WHEN c{one.id_column} IS NOT NULL THEN {record_sql(one, version)}" for one in records]
            pieces.append(f"CASE {' '.join(cases)} ELSE 'null' END")
    pieces.append("'}'")
    return f"concat({', '.join(pieces)})"


def _value(leaf: Leaf, record: Record, version: str) -> str:
    column = f"c{leaf.column}"
    match leaf.field.type:
        case "boolean":
            return f"CAST(coalesce({column}, false) AS VARCHAR)"
        case "int" | "long":
            text = f"CAST({column} AS VARCHAR)"
        case "double" | "currency" | "percent":
            # Always with a decimal point; DuckDB leaves it out of 1e+22.
            text = f"regexp_replace(CAST(CAST({column} AS DOUBLE) AS VARCHAR), '^(-?[0-9]+)e', '\\1.0e')"
        case "date":
            text = f"'\"' || CAST({column} AS VARCHAR) || '\"'"
        case "datetime":
            text = f"'\"' || strftime({column}, '%Y-%m-%dT%H:%M:%S.%g+0000') || '\"'"
        case "time":
            text = f"'\"' || strftime(DATE '2000-01-01' + {column}, '%H:%M:%S.%gZ') || '\"'"
        case "complexvalue":
            text = column  # JSON already
        case "base64":
            url = quoted_text(f'"/services/data/{version}/sobjects/{record.type}/')
            text = f"CASE WHEN {column} THEN {url} || c{record.id_column} || '/{leaf.name}\"' END"
        case _:
            text = f"CAST(to_json({column}) AS VARCHAR)"
    return f"coalesce({text}, 'null')"


def _compound(compound: Compound, record: Record, version: str) -> str:
    if not compound.parts:
        return "'null'"
    pieces = []
    for number, part in enumerate(compound.parts):
        pieces += [quoted_text(("," if number else "{") + _json(part.name) + ":"), _value(part, record, version)]
    empty = " AND ".join(f"c{part.column} IS NULL" for part in compound.parts)
    return f"CASE WHEN {empty} THEN 'null' ELSE concat({', '.join(pieces)}, '}}') END"


def _json(text: str) -> str:
    return json.dumps(text, ensure_ascii=False)

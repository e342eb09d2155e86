"""JSON as Salesforce prints it for ``X-PrettyPrint: 1``, like the Jackson library does (recorded: cumulusci)."""

from __future__ import annotations

import json
from json.encoder import encode_basestring


class _Number(str):
    """A number with a fraction, as it was written: ``9.0E7`` stays so."""

    __slots__ = ()


def pretty(text: str) -> str:
    """The JSON text with one member per line; arrays stay on their line: ``[ {`` and ``}, {``."""
    return _written(json.loads(text, parse_float=_Number), "\n")


def _written(value: object, line: str) -> str:
    """``line`` is a line end with the indent that stands at this depth."""
    if isinstance(value, str):
        return value if isinstance(value, _Number) else encode_basestring(value)
    if isinstance(value, dict):
        inner = f"{line}  "
        members = [f"{inner}{encode_basestring(name)} : {_written(one, inner)}" for name, one in value.items()]
        return f"{{{','.join(members)}{line}}}" if members else "{ }"
    if isinstance(value, list):
        return f"[ {', '.join([_written(one, line) for one in value])} ]" if value else "[ ]"
    return json.dumps(value)

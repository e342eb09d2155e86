"""JSON as it enters the house: the only place besides the resources' own readers where ``Any`` is met."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from sfframe.protocol.call import Reply

JsonObject = Mapping[str, Any]


class UnreadableAnswer(ValueError):
    """An answer with a good status that is not what the resource gives; ``error_body.answer`` makes an error of it."""


def read_object(reply: Reply) -> JsonObject:
    """The body as a JSON object."""
    value = _loads(reply.body)
    if not isinstance(value, dict):
        raise UnreadableAnswer(f"a JSON object was expected, but {_kind(value)} came")
    return value


def read_array(reply: Reply) -> list[Any]:
    """The body as a JSON array."""
    value = _loads(reply.body)
    if not isinstance(value, list):
        raise UnreadableAnswer(f"a JSON array was expected, but {_kind(value)} came")
    return value


def objects(value: object) -> list[JsonObject]:
    """The objects in a JSON array; null and everything that is no object are left out."""
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def required_text(source: JsonObject, key: str) -> str:
    """A text that the resource always gives."""
    value = source.get(key)
    if not isinstance(value, str) or not value:
        raise UnreadableAnswer(f"the answer has no {key}")
    return value


def text(source: JsonObject, key: str) -> str:
    """A text that may be absent or null; then the empty text."""
    value = source.get(key)
    return value if isinstance(value, str) else ""


def number(source: JsonObject, key: str) -> int:
    """A whole number that may be absent or null; then 0."""
    return number_or_none(source, key) or 0


def number_or_none(source: JsonObject, key: str) -> int | None:
    """A whole number; None where it is absent or null."""
    value = source.get(key)
    return int(value) if isinstance(value, int | float) and not isinstance(value, bool) else None


def flag(source: JsonObject, key: str, *, absent: bool = False) -> bool:
    """A boolean; ``absent`` where the key is missing or null."""
    value = source.get(key)
    return value if isinstance(value, bool) else absent


def _loads(body: bytes) -> object:
    try:
        return json.loads(body)
    except ValueError as problem:
        raise UnreadableAnswer("the answer is not JSON") from problem


def _kind(value: object) -> str:
    return "an object" if isinstance(value, dict) else "an array" if isinstance(value, list) else "a single value"

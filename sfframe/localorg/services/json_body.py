"""The JSON of a request: its values, and where in the text a value stands, which error texts tell (rest.md 12)."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import NoReturn

from sfframe.localorg.services.errors import ServiceError

_BLANK = re.compile(r"[ \t\r\n]*")
Path = tuple[str | int, ...]
"""Keys and positions that lead to a value: ``("records", 3, "Name")``."""


class NumberText(str):
    """A number with a point or an exponent, spelled as it was sent: a double would lose digits."""

    __slots__ = ()


@dataclass(frozen=True, slots=True)
class JsonBody:
    """A parsed body. Numbers with a fraction are NumberText."""

    text: str
    value: object

    @classmethod
    def of(cls, value: object) -> JsonBody:
        """The body with this value."""
        return cls(json.dumps(value, ensure_ascii=False), value)

    def place(self, path: Path) -> str:
        """``[line:1, column:17]``: where the value begins, both counted from 1."""
        at = _begin(self.text, path)
        line = self.text.count("\n", 0, at) + 1
        return f"[line:{line}, column:{at - (self.text.rfind(chr(10), 0, at) + 1) + 1}]"

    def at(self, path: Path) -> object:
        """The value at the path; None where there is none."""
        value = self.value
        for step in path:
            if isinstance(value, dict):
                value = value.get(step)
            elif isinstance(value, list) and isinstance(step, int):
                value = value[step]
            else:
                return None
        return value

    def expect_object(self) -> dict[str, object]:
        """The value, which has to be an object."""
        if not isinstance(self.value, dict):
            raise unexpected(self, (), self.value)
        return self.value


def parse(body: bytes) -> JsonBody:
    """Parse a body; raises the service's JSON_PARSER_ERROR for all that is no JSON."""
    try:
        text = body.decode()
    except UnicodeDecodeError as error:
        raise ServiceError(400, "JSON_PARSER_ERROR", f"Invalid UTF-8 at byte {error.start}") from error
    try:
        value = json.loads(text, parse_float=NumberText, parse_constant=_no_constant)
    except json.JSONDecodeError as error:
        raise malformed(error) from error
    except (RecursionError, ValueError) as error:  # too deep, or a number of thousands of digits
        raise ServiceError(400, "JSON_PARSER_ERROR", "The request body is nested too deeply or too large") from error
    if "\\u" in text and not _is_text(value):
        raise ServiceError(400, "JSON_PARSER_ERROR", "The request body holds half of a surrogate pair")
    return JsonBody(text, value)


def _is_text(value: object) -> bool:
    """Whether all texts in the value can be stored: an escaped half of a pair is valid JSON and no character."""
    try:
        json.dumps(value, ensure_ascii=False).encode()
    except UnicodeEncodeError:
        return False
    return True


def malformed(error: json.JSONDecodeError) -> ServiceError:
    """The error of a body that is not JSON (rest.md 12)."""
    place = f"at [line:{error.lineno}, column:{error.colno}]"
    found = error.doc[error.pos : error.pos + 1]
    what = f"Unexpected character ('{found}' (code {ord(found)}))" if found else "Unexpected end-of-input"
    return ServiceError(400, "JSON_PARSER_ERROR", f"{what}: {error.msg} {place}")


def unexpected(body: JsonBody, path: Path, value: object) -> ServiceError:
    """The error of a value that is of another kind than what is expected there; recorded of arrays (rest.md 12)."""
    kind = "array" if isinstance(value, list) else "object" if isinstance(value, dict) else "value"
    return ServiceError(400, "JSON_PARSER_ERROR", f"Can not deserialize: unexpected {kind} at {body.place(path)}")


def token(value: object) -> str:
    """How the service's parser calls a value and shows it: ``VALUE_STRING value abc`` (recorded, rest.md 12)."""
    if isinstance(value, dict | list):
        return "START_OBJECT value {" if isinstance(value, dict) else "START_ARRAY value ["
    if isinstance(value, bool):
        return "VALUE_TRUE value true" if value else "VALUE_FALSE value false"
    if isinstance(value, NumberText):
        return f"VALUE_NUMBER_FLOAT value {value}"
    return f"VALUE_NUMBER_INT value {value}" if isinstance(value, int) else f"VALUE_STRING value {value}"


def _no_constant(text: str) -> NoReturn:
    raise json.JSONDecodeError(f"'{text}' is no number", text, 0)


def _begin(text: str, path: Path) -> int:
    """Where the value of the path begins; the text is known to be JSON that has it."""
    read = json.JSONDecoder().raw_decode
    at = _behind_blanks(text, 0)
    for step in path:
        at = _behind_blanks(text, at + 1)
        if isinstance(step, int):
            for _ in range(step):
                at = _behind_blanks(text, read(text, at)[1])  # the comma
                at = _behind_blanks(text, at + 1)
            continue
        found = at
        while text[at] != "}":  # of equal keys the last counts
            key, at = read(text, at)
            value_at = _behind_blanks(text, _behind_blanks(text, at) + 1)
            found = value_at if key == step else found
            at = _behind_blanks(text, read(text, value_at)[1])
            if text[at] == ",":
                at = _behind_blanks(text, at + 1)
        at = found
    return at


def _behind_blanks(text: str, at: int) -> int:
    found = _BLANK.match(text, at)
    return found.end() if found else at

"""Where a value of a JSON text stands, and what is said of texts that are no JSON."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.json_body import JsonBody, NumberText, Path, parse

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
    max_leaves=12,
)


def paths(value: object, path: Path = ()) -> list[Path]:
    """The paths of all values."""
    below: list[tuple[str | int, object]] = []
    if isinstance(value, dict):
        below = list(value.items())
    elif isinstance(value, list):
        below = list(enumerate(value))
    return [path, *(found for step, one in below for found in paths(one, (*path, step)))]


@given(JSON, st.sampled_from([None, 0, 3]))
def test_every_value_is_found_where_it_stands(value: object, indent: int | None) -> None:
    body = parse(json.dumps(value, indent=indent).encode())
    for path in paths(body.value):
        line, column = (int(part) for part in body.place(path).strip("[]").replace("line:", "").split(", column:"))
        begin = sum(len(one) + 1 for one in body.text.split("\n")[: line - 1]) + column - 1
        assert json.JSONDecoder().raw_decode(body.text, begin)[0] == body.at(path)


def test_of_equal_keys_the_last_counts() -> None:
    body = parse(b'{"a": 1, "a": [1, 2.50]}')
    assert body.value == {"a": [1, "2.50"]}
    assert isinstance(body.at(("a", 1)), NumberText)
    assert body.place(("a", 1)) == "[line:1, column:19]"


def test_a_path_that_leads_nowhere_has_no_value() -> None:
    body = JsonBody.of({"a": {"b": 1}})
    assert (body.at(("a", "c")), body.at(("a", "b", "c")), body.at(("x",))) == (None, None, None)


@pytest.mark.parametrize(
    "text",
    [b"", b"{", b"[1,]", b"nul", b"NaN", b"[Infinity]", b'"\xff"', b"1" * 5_000, b"[" * 99_999, b'{"a": "\\ud800"}'],
)
def test_what_is_no_json_is_a_parser_error(text: bytes) -> None:
    with pytest.raises(ServiceError) as caught:
        parse(text)
    assert (caught.value.status, caught.value.code) == (400, "JSON_PARSER_ERROR")

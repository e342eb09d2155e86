"""Printed JSON says what the compact JSON says, in the layout of the recordings."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sfframe.localorg.routes.pretty_json import pretty

VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(), inner, max_size=4),
)


@given(VALUES)
def test_nothing_of_a_value_changes(value: object) -> None:
    assert json.loads(pretty(json.dumps(value, ensure_ascii=False))) == value


@pytest.mark.parametrize(
    ("compact", "printed"),
    [
        ('{"a":[],"b":{}}', '{\n  "a" : [ ],\n  "b" : { }\n}'),
        ('[{"a":9.0E7},{"a":-1.50}]', '[ {\n  "a" : 9.0E7\n}, {\n  "a" : -1.50\n} ]'),
        ('{"a":{"b":["x","ü\\"",null]}}', '{\n  "a" : {\n    "b" : [ "x", "ü\\"", null ]\n  }\n}'),
    ],
)
def test_members_have_lines_and_numbers_keep_their_text(compact: str, printed: str) -> None:
    assert pretty(compact) == printed

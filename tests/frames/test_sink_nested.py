"""Frames with children as CSV: each list is JSON in its cell."""

from __future__ import annotations

import csv
import datetime as dt
import io
import json

import polars as pl

from sfframe.frames.sink import text_of


def test_children_and_structs_are_json_in_their_cells_and_lists_of_text_are_joined():
    child = pl.Struct({"Name": pl.String, "At": pl.Datetime("ms", "UTC"), "Amount": pl.Float64})
    when = dt.datetime(2026, 3, 4, 5, 6, 7, tzinfo=dt.UTC)
    frame = pl.DataFrame(
        {
            "Id": ["1", "2"],
            "Children": [[{"Name": 'a "b" ü', "At": when, "Amount": 1.5}], []],
            "Owner": [{"Name": "Me"}, {"Name": None}],
            "Tags": [["A", "B"], None],
        },
        schema={
            "Id": pl.String,
            "Children": pl.List(child),
            "Owner": pl.Struct({"Name": pl.String}),
            "Tags": pl.List(pl.String),
        },
    )
    first, second = csv.DictReader(io.StringIO(text_of(frame)))
    [cell] = json.loads(first.pop("Children"))
    assert (cell["Name"], cell["Amount"], cell["At"][:10]) == ('a "b" ü', 1.5, "2026-03-04")
    assert first == {"Id": "1", "Owner": '{"Name":"Me"}', "Tags": "A;B"}
    assert second == {"Id": "2", "Children": "[]", "Owner": '{"Name":null}', "Tags": ""}

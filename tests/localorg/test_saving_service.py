"""The saving of rows that come from no CSV: what other interfaces hand over and get back."""

from __future__ import annotations

from typing import Any

from sfframe.localorg.services import problems
from sfframe.localorg.services.columns import resolve
from sfframe.localorg.services.saving import save
from sfframe.localorg.services.task import Operation, Staged, Task
from tests.localorg.ingest_org import IngestOrg

NULL = "\x00null"


def saved(org: IngestOrg, operation: Operation, names: list[str], values: str, key: str | None = None) -> list[Any]:
    """Save literal rows in a transaction of its own; answers record, id, created, code, message and fields."""
    widget = org.store.catalogue.find("Widget__c")
    assert widget is not None
    cells = ", ".join(f"c{at}" for at in range(len(names)))
    relation = f"(SELECT *, NULL::VARCHAR AS fault FROM (VALUES {values}) AS given(record, {cells}))"
    staged = Staged(relation, resolve(names, widget, org.store.catalogue), null_mark=NULL)
    parts = ", ".join(part("problem") for part in (problems.code, problems.message, problems.fields))
    with org.store.writing, org.store.cursor() as cursor:
        cursor.execute("BEGIN")
        upsert_key = widget.field(key) if key else None
        outcome = save(Task(org.store, widget, operation, staged, org.store.now(), upsert_key), cursor)
        rows = cursor.execute(
            f"SELECT record, id, created, {parts} FROM ({outcome.outcomes}) ORDER BY record"
        ).fetchall()
        cursor.execute("COMMIT")
    assert (outcome.processed, outcome.failed) == (len(rows), sum(1 for row in rows if row[3]))
    return rows


def test_null_cells_leave_a_field_alone_and_the_null_mark_clears_it() -> None:
    with IngestOrg() as org:
        first = saved(org, "insert", ["Name", "Text__c", "Flag__c"], "(0, 'a', '#N/A', NULL), (1, NULL, 'x', 'true')")
        assert first == [
            (0, org.id(1), True, None, None, None),
            (1, org.id(2), True, None, None, None),
        ]
        assert org.rows('"Name", "Text__c", "Flag__c"') == [("a", "#N/A", False), (org.id(2)[:15], "x", True)]
        again = saved(
            org,
            "update",
            ["Id", "Name", "Text__c"],
            f"(5, '{org.id(1)}', NULL, '{NULL}'), (6, NULL, 'b', NULL), (7, '{org.id(9)}', 'c', NULL)",
        )
        assert again == [
            (5, org.id(1), False, None, None, None),
            (6, None, False, "MISSING_ARGUMENT", "Id not specified in an update call", ""),
            (7, org.id(9), False, "INVALID_CROSS_REFERENCE_KEY", "invalid cross reference id", ""),
        ]
        assert org.rows('"Name", "Text__c"') == [("a", None), (org.id(2)[:15], "x")]


def test_an_upsert_tells_created_from_changed_and_names_fields() -> None:
    with IngestOrg() as org:
        rows = saved(org, "upsert", ["Ext__c", "Text__c"], "(1, 'K', 'x'), (2, 'L', 'far too long')", "Ext__c")
        words = "Text: data value too large: far too long (max length=10)"
        assert rows == [
            (1, org.id(1), True, None, None, None),
            (2, None, False, "STRING_TOO_LONG", words, "Text__c"),
        ]
        assert saved(org, "upsert", ["Ext__c", "Text__c"], "(1, 'k', 'y')", "Ext__c") == [
            (1, org.id(1), False, None, None, None)
        ]

"""What a look at a few cells says: never that a cell is good which the SQL of a save would refuse or read otherwise."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.catalogue.model import FieldDef, PicklistEntry
from sfframe.localorg.services import checks, coercion, few_rows
from sfframe.localorg.services.columns import Column
from sfframe.localorg.services.problems import first_of
from sfframe.localorg.services.task import Staged
from sfframe.localorg.store.store import Store

MARK = "\x1d"
FIELDS = [
    FieldDef("Text__c", "Text", "string", length=5),
    FieldDef("Mail__c", "Mail", "email", length=20),
    FieldDef("Kind__c", "Kind", "picklist", length=40, restricted_picklist=True, picklist=(PicklistEntry("a", "A"),)),
    FieldDef("Kinds__c", "Kinds", "multipicklist", restricted_picklist=True, picklist=(PicklistEntry("a", "A"),)),
    FieldDef("Flag__c", "Flag", "boolean"),
    FieldDef("Count__c", "Count", "int", digits=3),
    FieldDef("Long__c", "Long", "long"),
    FieldDef("Amount__c", "Amount", "currency", precision=5, scale=2),
    FieldDef("Free__c", "Free", "double"),
    FieldDef("Wide__c", "Wide", "double", precision=18, scale=0),
    FieldDef("Day__c", "Day", "date"),
    FieldDef("Moment__c", "Moment", "datetime"),
    FieldDef("Clock__c", "Clock", "time"),
]
CELLS = st.one_of(
    st.text(min_size=1, max_size=8).map(str.strip).filter(bool),
    st.sampled_from(["a", "A", "a;b", "true", "false", "True", "1", "0", "a@b.cd", "a@b", "é@x.yz", "a@b..c"]),
    st.decimals(allow_nan=False, allow_infinity=False, places=3).map(str),
    st.integers(-(10**10), 10**10).map(str),
    st.dates().map(str),
    st.datetimes().map(lambda one: one.isoformat() + "Z"),
    st.builds(
        "{}{}".format,
        st.datetimes().map(lambda one: one.isoformat(timespec="seconds")),
        st.sampled_from(["Z", "+00:00", "+0130", "-1459", "-15:00", "+23:59", "+1", ""]),
    ),
    st.from_regex(r"[0-9]{4}-[0-9]{2}-[0-9]{2}", fullmatch=True),
)


@pytest.fixture(scope="module")
def store() -> Iterator[Store]:
    opened = Store(None, Catalogue.standard())
    yield opened
    opened.close()


@settings(max_examples=300)
@given(cell=CELLS, field=st.sampled_from(FIELDS))
def test_a_sound_cell_is_one_that_sql_reads_and_accepts(store: Store, cell: str, field: FieldDef) -> None:
    column = Column(0, "c0", field)
    looked = few_rows.look([column], [[cell]], MARK)
    assert looked.filled == {"c0"}
    if not looked.sound:
        return
    staged = Staged("", (column,), MARK, source="json")
    plain = coercion.value(field, "c0", MARK, trimmed=True)
    quick = coercion.sound_value(field, "c0", MARK)
    wrong = first_of([coercion.unreadable(field, "b.c0", "b.v0", 0, staged), *checks.value_checks(column, "b")])
    with store.cursor() as cursor:
        found = cursor.execute(
            f"SELECT v0 IS NOT NULL, v0 IS NOT DISTINCT FROM quick, {wrong} FROM "
            f"(SELECT c0, {plain} AS v0, {quick} AS quick FROM (SELECT CAST($cell AS VARCHAR) AS c0)) b",
            {"cell": cell},
        ).fetchall()
    assert found == [(True, True, None)]


def test_ordinary_cells_of_every_simple_type_are_sound() -> None:
    cells = {
        "Text__c": "12345",
        "Mail__c": "a.b@example.org",
        "Kind__c": "a",
        "Flag__c": "true",
        "Count__c": "-123",
        "Amount__c": "12.345",
        "Day__c": "2024-02-29",
        "Moment__c": "2024-02-29T23:59:59.123Z",
    }
    columns = [Column(at, f"c{at}", field) for at, field in enumerate(FIELDS)]
    looked = few_rows.look(columns, [[cells.get(field.name, "?")] for field in FIELDS], MARK)
    assert [one.field.name for one in columns if one.cell in looked.sound] == list(cells)


def test_cells_that_are_cleared_or_not_sent_are_sound_but_not_filled() -> None:
    columns = [Column(at, f"c{at}", field) for at, field in enumerate(FIELDS[:2])]
    looked = few_rows.look(columns, [["a", None], ["a@b.cd", MARK]], MARK)
    assert looked == few_rows.Looked(frozenset(), frozenset({"c0", "c1"}), frozenset())


def test_keys_differ_only_where_no_two_are_alike_without_case() -> None:
    key = FieldDef("Key__c", "Key", "string", length=20, external_id=True, id_lookup=True)
    columns = [Column(0, "c0", key), Column(1, "c1", key)]
    looked = few_rows.look(columns, [["a", "b", None], ["a", "A", None]], MARK)
    assert looked.distinct == {"c0"}

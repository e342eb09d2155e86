"""Whatever text is sent as a query, the answer is rows or an error of the service: never a 500, never a traceback."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from urllib.parse import quote

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sfframe.errors import SoqlSyntaxError
from sfframe.localorg.catalogue.catalogue import Catalogue
from sfframe.localorg.server import make_app
from sfframe.localorg.services.services import Services
from sfframe.localorg.store.settings import Settings
from sfframe.soql import parse
from tests.localorg.app_client import AppClient
from tests.localorg.query_rows import WIDGET, StoppedStore, insert, record_id


def one_of(words: str) -> st.SearchStrategy[str]:
    return st.sampled_from(words.split(" "))


WORDS = one_of(
    "SELECT FROM WHERE AND OR NOT IN LIKE INCLUDES EXCLUDES GROUP BY ORDER HAVING LIMIT OFFSET FOR VIEW UPDATE ALL "
    "ROWS WITH USING SCOPE TYPEOF WHEN THEN ELSE END FIELDS COUNT ( ) , = != < >= . : ' 'x' '\\n' '\\q' 5 -3.5 1e400 "
    "99999999999999999999 null true TODAY LAST_N_DAYS:3 LAST_N_DAYS:999999999 2024-02-30 2024-02-29 9999-12-31 "
    "2024-01-01T00:00:00Z 25:00:00 USD5 :bind * ; -- /* é \x00 Id Name Account Contacts Owner.Name a.b.c.d.e.f.g.h "
    "toLabel FORMAT DISTANCE GEOLOCATION CALENDAR_YEAR convertTimezone GROUPING ROLLUP CUBE NULLS FIRST ASC "
    "Widget__c Account__r.Name Who__r"
)
SOUP = st.lists(WORDS, max_size=14).map(" ".join)

FIELDS = one_of(
    "Id Name Amount__c Count__c Due__c Seen__c At__c Done__c Tags__c Code__c Notes__c Size__c OwnerId Account__c "
    "Account__r.Name Account__r.BillingAddress Account__r.Owner.Profile.Name Who__r.Name Who__r.Type Owner.Name "
    "CreatedDate Nothing__c Account__r w.Name"
)
FUNCTIONS = one_of(
    "COUNT COUNT_DISTINCT MIN MAX SUM AVG GROUPING toLabel FORMAT convertCurrency CALENDAR_YEAR FISCAL_QUARTER "
    "WEEK_IN_YEAR HOUR_IN_DAY DAY_ONLY DISTANCE GEOLOCATION convertTimezone Foo"
)
LITERALS = one_of(
    "null '' 'a' 'A;B' '%_' '\\_\\%\\\\' '001000000000001' '001qk0000000001AAA' 5 -2.5 1e300 1e400 true 2024-05-15 "
    "1699-12-31 2024-05-15T10:30:00Z 4000-12-31T23:59:59-12:00 10:30:00Z 24:00:00Z TODAY THIS_FISCAL_QUARTER "
    "N_YEARS_AGO:5 LAST_N_DAYS:99999999999 NEXT_N_MONTHS:99999 EUR5 :x"
)
EXPRESSIONS = st.recursive(
    FIELDS,
    lambda inner: st.tuples(FUNCTIONS, st.lists(st.one_of(inner, LITERALS), max_size=3)).map(
        lambda one: f"{one[0]}({', '.join(one[1])})"
    ),
    max_leaves=3,
)
COMPARISONS = st.tuples(
    EXPRESSIONS,
    st.one_of(
        st.tuples(st.sampled_from(["=", "!=", "<", ">", "<=", ">=", "LIKE"]), LITERALS).map(" ".join),
        st.tuples(
            st.sampled_from(["IN", "NOT IN", "INCLUDES", "EXCLUDES"]), st.lists(LITERALS, min_size=1, max_size=3)
        ).map(lambda one: f"{one[0]} ({', '.join(one[1])})"),
        st.sampled_from(["IN (SELECT Id FROM Account)", "NOT IN (SELECT AccountId FROM Contact WHERE Name = 'x')"]),
    ),
).map(" ".join)
CONDITIONS = st.recursive(
    COMPARISONS,
    lambda inner: st.one_of(
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(lambda one: f"({' '.join(one)})"),
        inner.map(lambda one: f"(NOT {one})"),
    ),
    max_leaves=4,
)


def clause(word: str, content: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    return st.one_of(st.just(""), content.map(lambda text: f" {word} {text}"))


ITEMS = st.one_of(
    EXPRESSIONS,
    st.tuples(EXPRESSIONS, st.sampled_from(["n", "expr0", "Name"])).map(" ".join),
    st.sampled_from(["FIELDS(ALL)", "FIELDS(CUSTOM)", "(SELECT Id FROM Things__r)"]),
    st.tuples(FIELDS, FIELDS).map(lambda one: f"TYPEOF Who__r WHEN Contact THEN {one[0]} ELSE {one[1]} END"),
)
ALMOST = st.tuples(
    st.lists(ITEMS, min_size=1, max_size=4).map(", ".join),
    st.sampled_from([" FROM Widget__c", " FROM Widget__c w", " FROM Widget__c w, w.Account__r a", " FROM Account"]),
    clause("WHERE", CONDITIONS),
    clause(
        "GROUP BY", st.one_of(EXPRESSIONS, st.lists(FIELDS, max_size=4).map(lambda one: f"ROLLUP({', '.join(one)})"))
    ),
    clause("HAVING", CONDITIONS),
    clause("ORDER BY", EXPRESSIONS.map(lambda one: f"{one} DESC NULLS LAST")),
    st.sampled_from(["", " LIMIT 5", " LIMIT 0 OFFSET 3", " OFFSET 2001", " FOR VIEW", " ALL ROWS", " WITH X"]),
).map(lambda parts: "SELECT " + "".join(parts))


@pytest.fixture(scope="module")
def client() -> Iterator[AppClient]:
    """Calls of an org with a few widgets, in this process."""
    store = StoppedStore(None, Catalogue.standard())
    store.deploy([WIDGET])
    insert(store, "Account", [{"Id": record_id("001", 1), "Name": "Acme", "IsDeleted": False}])
    widget = {"Name": "w", "Amount__c": 1.5, "Tags__c": "A;B", "Account__c": record_id("001", 1), "IsDeleted": False}
    insert(store, "Widget__c", [widget | {"Id": record_id("a00", at), "Count__c": at} for at in range(3)])
    services = Services(store, Settings(daily_api_requests=10**9))
    yield AppClient(make_app(services), services.sessions.open_session())
    services.close()
    store.close()


@given(st.one_of(SOUP, st.text(max_size=60)))
def test_the_parser_raises_nothing_but_its_own_error(text: str):
    with contextlib.suppress(SoqlSyntaxError):
        parse(text)


FREELY = settings(max_examples=150)


@given(text=st.one_of(SOUP, ALMOST), way=st.sampled_from(["q", "explain", "columns", "queryAll"]))
@FREELY
def test_a_query_is_answered_or_refused(client: AppClient, text: str, way: str):
    path = "/services/data/v66.0/" + ("queryAll" if way == "queryAll" else "query")
    parameters = {"explain": text} if way == "explain" else {"q": text}
    answer = client.get(path, params=parameters | ({"columns": "true"} if way == "columns" else {}))
    assert answer.status_code in {200, 400}, (text, answer.text)
    if answer.status_code == 400:
        [problem] = answer.json()
        assert list(problem) == ["message", "errorCode"]


@given(text=ALMOST)
@FREELY
def test_a_bulk_query_is_answered_or_refused(client: AppClient, text: str):
    answer = client.post("/services/data/v66.0/jobs/query", json={"operation": "query", "query": text})
    assert answer.status_code in {200, 400}, (text, answer.text)


@given(text=st.text(st.characters(exclude_categories=["Cs"], exclude_characters="/"), max_size=40))
@FREELY
def test_any_text_is_a_locator_or_none(client: AppClient, text: str):
    answer = client.get(f"/services/data/v66.0/query/{quote(text, safe='')}")
    assert answer.status_code in {200, 400, 404}, answer.text

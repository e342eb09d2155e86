"""Child sub-queries with pages of their own (rest.md 1.3, 5, 13.4)."""

from __future__ import annotations

import json
from typing import Any

import pytest

from sfframe.localorg.services.errors import ServiceError
from sfframe.localorg.services.query import QueryService
from tests.localorg.query_rows import VERSION, StoppedStore, insert, queries, record_id, rows, store

__all__ = ["queries", "rows", "store"]


@pytest.fixture
def families(store: StoppedStore) -> StoppedStore:
    """Four accounts with 3, 1,100, 0 and 250 contacts."""
    insert(store, "Account", [{"Id": record_id("001", at), "Name": str(at), "IsDeleted": False} for at in range(4)])
    with store.cursor() as cursor:
        for at, count in enumerate([3, 1_100, 0, 250]):
            cursor.execute(
                'INSERT INTO data."Contact" ("Id", "LastName", "AccountId", "IsDeleted") '
                "SELECT sf_id('003', $1 * 10000 + i), 'C' || i, $2, false FROM range($3) AS t(i)",
                [at, record_id("001", at), count],
            )
    return store


def every_page(queries: QueryService, first: str) -> list[dict[str, Any]]:
    pages = [json.loads(first)]
    while not pages[-1]["done"]:
        pages.append(json.loads(queries.more(pages[-1]["nextRecordsUrl"].rpartition("/")[2], VERSION)))
    return pages


TEXT = "SELECT Name, (SELECT LastName FROM Contacts ORDER BY Id) FROM Account ORDER BY Name"


@pytest.mark.parametrize(
    ("asked", "parents", "shown"),
    [(None, [["0"], ["1"], ["2", "3"]], 499), (200, [["0"], ["1"], ["2"], ["3"]], 199)],
)
def test_child_rows_count_as_rows_of_the_page(
    families: StoppedStore, queries: QueryService, asked: int | None, parents: list[list[str]], shown: int
):
    pages = every_page(queries, queries.query(TEXT, VERSION, page_rows=asked))
    assert [[one["Name"] for one in page["records"]] for page in pages] == parents
    assert {page["totalSize"] for page in pages} == {4}
    big = pages[1]["records"][0]["Contacts"]
    assert (big["totalSize"], big["done"], len(big["records"])) == (1_100, False, shown)
    assert list(big) == ["totalSize", "done", "nextRecordsUrl", "records"]
    further = every_page(queries, json.dumps(big))
    assert [row["LastName"] for page in further for row in page["records"]] == [f"C{at}" for at in range(1_100)]


def test_a_limit_of_the_sub_query_holds_on_its_pages_too(families: StoppedStore, queries: QueryService):
    text = "SELECT (SELECT LastName FROM Contacts ORDER BY Id LIMIT 600) FROM Account WHERE Name = '1'"
    [page] = every_page(queries, queries.query(text, VERSION))
    children = page["records"][0]["Contacts"]
    assert children["totalSize"] == 600
    assert [len(one["records"]) for one in every_page(queries, json.dumps(children))] == [499, 101]


def test_sub_queries_nest_since_version_58(families: StoppedStore, queries: QueryService):
    insert(
        families,
        "CampaignMember",
        [{"Id": record_id("00v", 1), "ContactId": "003qk0000000001", "Status": "Sent", "IsDeleted": False}],
    )
    text = "SELECT Name, (SELECT LastName, (SELECT Status FROM CampaignMembers) FROM Contacts) FROM Account LIMIT 1"
    answer = json.loads(queries.query(text, "v58.0"))
    assert [one["CampaignMembers"] for one in answer["records"][0]["Contacts"]["records"]] == [None, None, None]
    with pytest.raises(ServiceError, match="more than 1 level away from the root entity object"):
        queries.query(text, "v57.0")


def test_a_query_has_at_most_20_sub_queries(families: StoppedStore, queries: QueryService):
    with pytest.raises(ServiceError, match="at most 20 child sub-queries"):
        queries.query(f"SELECT {', '.join(['(SELECT Id FROM Contacts)'] * 21)} FROM Account", VERSION)


@pytest.mark.parametrize("source", ["Contacts", "Account.Contacts", "a.Contacts"])
def test_the_relationship_may_be_named_with_its_object(rows: StoppedStore, queries: QueryService, source: str):
    answer = json.loads(queries.query(f"SELECT (SELECT Contact.LastName FROM {source}) FROM Account a", VERSION))
    assert answer["records"][0]["Contacts"]["totalSize"] == 2
    with pytest.raises(ServiceError, match=r"Didn't understand relationship 'Lead\.Contacts' in FROM part"):
        queries.query("SELECT (SELECT Id FROM Lead.Contacts) FROM Account a", VERSION)

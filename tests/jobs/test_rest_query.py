"""The pages of a REST query: in order, each once, several at the same time where the locator allows it."""

import json

import pytest

from sfframe.errors import IncompleteAnswer
from sfframe.jobs.rest_query import rest_pages
from sfframe.protocol.call import Reply
from sfframe.protocol.error_body import answer

SOQL = "SELECT Id, Name FROM Account"
LOCATOR = "/services/data/v66.0/query/0r8xx2kLxPgVdZiAUK-"


class RestOrg:
    """Pages of a REST query by their paths."""

    def __init__(self, *pages: dict[str, object]) -> None:
        self.pages = [json.dumps(page).encode() for page in pages]
        self.asked: list[str] = []

    def send(self, call, *, cancel=None):
        assert cancel is None or not cancel.is_set()
        self.asked.append(call.path)
        number = int(call.path.rpartition("-")[2]) if "-" in call.path else 0
        return answer(call, Reply(200, {}, self.pages[number]))

    def stream(self, call, *, cancel=None):
        raise AssertionError(f"REST pages are not streamed: {call} {cancel}")


def page_to(number: int | None, total: int = 3) -> dict[str, object]:
    more = {} if number is None else {"nextRecordsUrl": f"/services/data/v66.0/query/0r8-{number}"}
    return {"totalSize": total, "done": number is None, **more, "records": [{"Id": "1"}]}


def test_rest_pages_follow_the_next_path_to_the_end():
    org = RestOrg(page_to(1), page_to(2), page_to(None))
    assert [page.done for page in rest_pages(org, SOQL)] == [False, False, True]
    assert org.asked == ["query", "/services/data/v66.0/query/0r8-1", "/services/data/v66.0/query/0r8-2"]


def test_rest_pages_are_asked_only_as_far_as_they_are_wanted():
    org = RestOrg(page_to(1), page_to(None))
    next(rest_pages(org, SOQL, include_deleted=True))
    assert org.asked == ["queryAll"]


def test_a_total_that_changes_between_pages_is_an_error():
    with pytest.raises(IncompleteAnswer, match="first page names 3 records, a later one 4"):
        list(rest_pages(RestOrg(page_to(1), page_to(None, total=4)), SOQL))


def test_a_next_path_that_comes_back_does_not_loop():
    with pytest.raises(IncompleteAnswer, match="same page twice"):
        list(rest_pages(RestOrg(page_to(1), page_to(1)), SOQL))


class LongOrg(RestOrg):
    """A REST query of ``total`` records whose pages begin at ``starts``; other places get a page of their own size."""

    def __init__(self, starts: list[int], total: int) -> None:
        super().__init__()
        self.starts, self.total = starts, total

    def send(self, call, *, cancel=None):
        assert cancel is None or not cancel.is_set()
        self.asked.append(call.path)
        begin = int(call.path.rpartition("-")[2]) if "-" in call.path else 0
        end = next((one for one in self.starts if one > begin), self.total)
        more = {"nextRecordsUrl": f"{LOCATOR}{end}"} if end < self.total else {}
        page = {"totalSize": self.total, "done": not more, **more, "records": list(range(begin, end))}
        return answer(call, Reply(200, {}, json.dumps(page).encode()))


def records_of(pages):
    return [one for page in pages for one in json.loads(page.body)["records"]]


@pytest.mark.parametrize("ahead", [1, 2, 4])
def test_places_of_later_pages_are_foretold_from_the_locator(ahead):
    org = LongOrg([0, 20, 40, 60, 80], 95)
    assert records_of(rest_pages(org, SOQL, ahead=ahead)) == list(range(95))
    assert sorted(org.asked) == sorted(["query", *(f"{LOCATOR}{begin}" for begin in (20, 40, 60, 80))])


@pytest.mark.parametrize("starts", [[0, 20, 40, 50, 70, 90], [0, 20, 30, 55, 57, 91], [0, 50, 51, 52, 53]])
def test_pages_of_another_size_than_foretold_cost_calls_but_no_record(starts):
    assert records_of(rest_pages(LongOrg(starts, 95), SOQL, ahead=3)) == list(range(95))


def test_an_opaque_place_is_followed_one_page_after_the_other():
    org = RestOrg(page_to(1), page_to(2), page_to(None))
    assert [page.done for page in rest_pages(org, SOQL, ahead=4)] == [False, False, True]
    assert org.asked == ["query", "/services/data/v66.0/query/0r8-1", "/services/data/v66.0/query/0r8-2"]

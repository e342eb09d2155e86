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

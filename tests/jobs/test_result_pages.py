"""Result pages of bulk queries, several at once: each whole, in order, and found again when its place is lost."""

import json
import threading

import pytest

from sfframe.errors import DecodeError, IncompleteAnswer, QueryError
from sfframe.jobs.result_pages import Incoming, PageTaker
from sfframe.protocol.bulk2_job import JobInfo
from sfframe.protocol.call import Reply
from tests.jobs.scripted_org import Failure, FastClock, Killed, ScriptedJob, ScriptedOrg, killed

JOB = "750AB0000000001AAA"


class PagedOrg(ScriptedOrg):
    """A complete query job of several pages. ``linked`` says how many of them one call names, 0 for none."""

    def __init__(self, *bodies: bytes, linked: int = 5, failures: tuple[Failure, ...] = ()) -> None:
        super().__init__(*failures)
        self.jobs[JOB] = ScriptedJob(JOB, "query", {}, "JobComplete")
        last = len(bodies) - 1
        self.pages = [
            (body, {"sforce-numberofrecords": "1", "sforce-locator": "null" if n == last else str(n + 1)})
            for n, body in enumerate(bodies)
        ]
        self.linked = linked
        self.asked: list[str | None] = []
        self.lost: set[str] = set()

    def _resultPages(self, call, _job):  # noqa: N802 - the resource's own name
        if not self.linked:
            return Reply(404, {}, b'[{"errorCode":"NOT_FOUND","message":"The requested resource does not exist"}]')
        begin = int(dict(call.query).get("locator", "0"))
        end = min(begin + self.linked, len(self.pages))
        links = [{"resultUrl": f"/services/data/v66.0/{call.path}?locator={n}"} for n in range(begin, end)]
        more = {"nextRecordsUrl": f"/x?locator={end}"} if end < len(self.pages) else {}
        return Reply(200, {}, json.dumps({"resultPages": links, "done": not more, **more}).encode())

    def _result(self, call, job):
        locator = dict(call.query).get("locator")
        self.asked.append(locator)
        if locator in self.lost:
            self.lost.discard(locator)
            return Reply(400, {}, b'[{"errorCode":"INVALID_QUERY_LOCATOR","message":"invalid query locator"}]')
        return super()._result(call, job)


def taker(org, take=lambda page: b"".join(page.chunks), *, ahead=3, counted=None):
    info = JobInfo(JOB, "JobComplete", records_processed=len(org.pages) if counted is None else counted)
    return PageTaker(org, info, take, ahead=ahead, clock=FastClock(), jitter=lambda: 0.5)


SIX = tuple(f"page {number}".encode() for number in range(6))


@pytest.mark.parametrize("linked", [0, 2, 5, 9])
@pytest.mark.parametrize("ahead", [1, 2, 5])
def test_all_pages_come_in_order_whether_or_not_the_org_names_them_ahead(linked, ahead):
    org = PagedOrg(*SIX, linked=linked)
    assert tuple(taker(org, ahead=ahead).results()) == SIX
    assert sorted(org.asked, key=str) == ["1", "2", "3", "4", "5", None]


def test_one_page_alone_costs_one_call():
    org = PagedOrg(b"all")
    assert list(taker(org).results()) == [b"all"]
    assert org.steps == ["results"]


def test_a_later_page_is_on_its_way_while_an_earlier_one_is_used():
    org = PagedOrg(*SIX)
    second = threading.Event()

    def take(page: Incoming) -> int:
        if page.number == 1:
            second.set()
        return page.number

    results = taker(org, take).results()
    assert next(results) == 0
    assert second.wait(60)
    assert list(results) == [1, 2, 3, 4, 5]


def test_a_page_that_breaks_off_is_fetched_again_from_its_own_place():
    org = PagedOrg(*SIX[:2])
    org.broken["results"] = 3
    assert tuple(taker(org).results()) == SIX[:2]
    assert len(org.asked) == 5


@pytest.mark.parametrize("error", [DecodeError("it is no whole CSV"), IncompleteAnswer("it has 1 rows")])
def test_a_page_that_turns_out_not_to_be_whole_is_fetched_again_three_times_at_most(error):
    tries: list[int] = []

    def take(page: Incoming) -> bytes:
        tries.append(page.number)
        if len(tries) < 3:
            raise error
        return b"".join(page.chunks)

    assert list(taker(PagedOrg(b"all"), take).results()) == [b"all"]
    tries.clear()

    def never(_page: Incoming) -> bytes:
        tries.append(0)
        raise error

    with pytest.raises(type(error)):
        list(taker(PagedOrg(b"all"), never).results())
    assert len(tries) == 3


def test_a_lost_place_is_asked_for_anew_from_the_page_before_it():
    org = PagedOrg(*SIX[:3], linked=0)
    org.lost = {"2"}
    assert tuple(taker(org, ahead=1).results()) == SIX[:3]
    assert org.asked == [None, "1", "2", "1", "2"]


def test_where_the_place_before_is_lost_too_the_way_begins_further_back():
    org = PagedOrg(*SIX[:3], linked=0)
    pages = taker(org, ahead=1).results()
    assert [next(pages), next(pages)] == [SIX[0], SIX[1]]
    org.lost = {"1", "2"}
    assert list(pages) == [SIX[2]]
    assert org.asked == [None, "1", "2", "1", None, "1", "2"]


def test_a_place_that_stays_lost_raises_in_the_orgs_words():
    class Forgetful(PagedOrg):
        def _result(self, call, job):
            self.lost = {"1"}
            return super()._result(call, job)

    with pytest.raises(QueryError, match="invalid query locator"):
        list(taker(Forgetful(*SIX[:2])).results())


def test_links_that_leave_a_page_out_are_noticed():
    class Leaping(PagedOrg):
        def _resultPages(self, call, job):  # noqa: N802
            reply = super()._resultPages(call, job)
            return Reply(200, {}, reply.body.replace(b"locator=3", b"locator=4"))

    with pytest.raises(IncompleteAnswer):
        list(taker(Leaping(*SIX), counted=6).results())


def test_rows_other_than_the_job_counted_are_incomplete():
    pages = taker(PagedOrg(*SIX[:2]), counted=3).results()
    assert [next(pages), next(pages)] == [SIX[0], SIX[1]]
    with pytest.raises(IncompleteAnswer, match="the pages have 2 rows, the job counted 3"):
        next(pages)


def test_the_end_of_the_process_is_not_taken_for_a_broken_page():
    org = PagedOrg(*SIX, failures=(Failure("results", False, killed, 2),))
    with pytest.raises(Killed):
        list(taker(org).results())

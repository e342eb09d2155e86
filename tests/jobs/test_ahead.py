"""Work ahead: in order, no further than said, and ended when nobody waits for it."""

import threading
from concurrent.futures import Future

import pytest

from sfframe.errors import Cancelled
from sfframe.jobs.ahead import awaited, run_ahead


def test_results_come_in_the_order_of_the_work_whichever_is_done_first():
    second_done = threading.Event()

    def first(_stop):
        assert second_done.wait(60)
        return 1

    def second(_stop):
        second_done.set()
        return 2

    assert list(run_ahead([first, second], ahead=2)) == [1, 2]


def test_no_more_is_begun_than_said():
    begun: list[int] = []

    def piece(number):
        def run(_stop):
            begun.append(number)
            return number

        return run

    results = run_ahead(map(piece, range(5)), ahead=2)
    assert next(results) == 0
    assert set(begun) <= {0, 1}  # the second may just be on its way
    assert list(results) == [1, 2, 3, 4]
    assert sorted(begun) == [0, 1, 2, 3, 4]


def test_fewer_lanes_than_pieces_ahead_do_one_piece_after_the_other():
    lanes: list[str] = []

    def piece(number):
        def run(_stop):
            lanes.append(threading.current_thread().name)
            return number

        return run

    threads = threading.active_count()
    results = run_ahead(map(piece, range(9)), ahead=4, lanes=1)
    assert next(results) == 0
    assert threading.active_count() == threads + 1
    assert list(results) == list(range(1, 9))
    assert len(lanes) == 9


def test_an_error_comes_in_its_turn_and_nothing_begins_after_it():
    begun = []

    def bad(_stop):
        raise ValueError("bad")

    results = run_ahead([lambda _stop: 1, bad, lambda _stop: begun.append("third")], ahead=1)
    assert next(results) == 1
    with pytest.raises(ValueError, match="bad"):
        next(results)
    assert begun == []


def test_what_is_under_way_is_told_to_stop_when_nobody_waits_any_more():
    told = threading.Event()

    def long(stop):
        assert stop.wait(60)
        told.set()

    results = run_ahead([lambda _stop: 1, long], ahead=2)
    assert next(results) == 1
    results.close()
    assert told.wait(60)


def test_a_cancel_ends_the_waiting():
    cancel, going = threading.Event(), threading.Event()

    def hangs(stop):
        going.set()
        stop.wait(60)

    def cancelled_soon(_stop):
        assert going.wait(60)
        cancel.set()

    with pytest.raises(Cancelled):
        list(run_ahead([hangs, cancelled_soon], ahead=2, cancel=cancel))


def test_a_timeout_of_the_work_itself_is_not_taken_for_waiting():
    def late(_stop):
        raise TimeoutError("its own")

    with pytest.raises(TimeoutError, match="its own"):
        list(run_ahead([late], ahead=1))


class EndsWithTheLook(Future[int]):
    """Is done at the very moment at which somebody gives up looking."""

    def result(self, timeout=None):
        try:
            return super().result(timeout)
        except TimeoutError:
            self.set_result(1)
            raise


def test_work_that_ends_just_as_a_look_at_it_does_has_not_timed_out():
    future = EndsWithTheLook()

    def end() -> None:
        if not future.done():
            future.set_result(2)

    ends = threading.Timer(0.3, end)
    ends.start()
    assert awaited(future, None) == 2
    ends.join()

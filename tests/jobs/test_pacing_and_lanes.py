"""When to poll, and several conversations at once."""

import threading
import time

import pytest

from sfframe.errors import Cancelled, ConnectionFailed, JobTimeout
from sfframe.jobs.lanes import run_lanes
from sfframe.jobs.pacing import Pacing, SystemClock


def test_the_pauses_grow_to_their_longest_and_are_later_still_after_half_an_hour():
    pacing = Pacing(timeout=None)
    assert [round(pacing.wait(polls, 0.0, jitter=0.5) or 0, 2) for polls in (0, 1, 2, 13, 14, 500)] == [
        0.05, 0.08, 0.13, 22.52, 30.0, 30.0,
    ]  # fmt: skip
    assert pacing.wait(80, 1_800.0, jitter=0.5) == 120.0


def test_chance_moves_a_pause_by_a_fifth():
    pacing = Pacing(first=10.0, timeout=None)
    assert [pacing.wait(0, 0.0, jitter=jitter) for jitter in (0.0, 0.5, 1.0)] == pytest.approx([8.0, 10.0, 12.0])


def test_the_last_poll_comes_when_the_time_ends_and_then_none():
    pacing = Pacing(timeout=100.0)
    assert pacing.wait(20, 95.0, jitter=0.5) == 5.0
    assert pacing.wait(21, 100.0, jitter=0.5) is None


def test_no_time_at_all_means_no_poll():
    assert Pacing(timeout=0).wait(0, 0.0, jitter=0.5) is None


def test_a_cancel_wakes_the_real_clock_at_once():
    cancel = threading.Event()
    clock, began = SystemClock(), time.monotonic()
    threading.Timer(0.02, cancel.set).start()
    assert clock.wait(60.0, cancel) is True
    assert time.monotonic() - began < 30
    assert clock.wait(0.0, None) is False


def test_results_come_in_the_order_of_the_work_whatever_ends_first():
    gates = [threading.Event() for _ in range(3)]

    def piece(number: int):
        def work(_stop: threading.Event) -> int:
            if number < 2:
                assert gates[number + 1].wait(60)
            gates[number].set()
            return number

        return work

    assert run_lanes([piece(number) for number in range(3)], cap=3) == [0, 1, 2]


def test_no_more_than_the_cap_run_at_once():
    running, most, lock = 0, 0, threading.Lock()

    def work(_stop: threading.Event) -> None:
        nonlocal running, most
        with lock:
            running += 1
            most = max(most, running)
        time.sleep(0.005)
        with lock:
            running -= 1

    run_lanes([work] * 12, cap=3)
    assert most <= 3


def test_no_work_is_no_result():
    assert run_lanes([], cap=4) == []


def test_after_the_first_error_nothing_new_begins_and_what_runs_goes_on_to_its_end():
    begun: list[str] = []
    ended: list[str] = []
    failed = threading.Event()

    def fails(_stop: threading.Event) -> None:
        begun.append("fails")
        failed.set()
        raise ConnectionFailed("lost")

    def goes_on(_stop: threading.Event) -> None:
        begun.append("goes on")
        assert failed.wait(60)
        time.sleep(0.05)
        ended.append("goes on")

    def never(_stop: threading.Event) -> None:
        begun.append("never")

    with pytest.raises(ConnectionFailed):
        run_lanes([goes_on, fails, never, never], cap=2)
    assert (sorted(begun), ended) == (["fails", "goes on"], ["goes on"])


def test_further_errors_are_noted_on_the_first():
    both = threading.Barrier(2)

    def fails(_stop: threading.Event) -> None:
        both.wait(60)
        raise JobTimeout("too slow")

    with pytest.raises(JobTimeout) as caught:
        run_lanes([fails, fails], cap=2)
    assert caught.value.__notes__ == ["1 more parts failed as well."]


def seconds_to_stop() -> float:
    """From a cancel to the end of the lanes, of which one hangs."""
    cancel, hang = threading.Event(), threading.Event()
    cancelled = 0.0

    def stops(stop: threading.Event) -> None:
        stop.wait(60)
        raise Cancelled("cancelled")

    def hangs(_stop: threading.Event) -> None:
        nonlocal cancelled
        cancelled = time.monotonic()
        cancel.set()
        hang.wait(60)

    with pytest.raises(Cancelled):
        run_lanes([stops, hangs, stops], cap=2, cancel=cancel)
    hang.set()
    return time.monotonic() - cancelled


def test_a_cancel_stops_the_lanes_within_half_a_second_even_when_one_hangs():
    # On a busy machine it takes longer now and then; lanes that wait for what hangs would never be so quick.
    assert any(seconds_to_stop() < 0.5 for _ in range(10))


def test_an_error_goes_before_the_cancels_that_follow_it():
    both = threading.Barrier(2)

    def fails(_stop: threading.Event) -> None:
        both.wait(60)
        raise ConnectionFailed("lost")

    def cancelled(_stop: threading.Event) -> None:
        both.wait(60)
        raise Cancelled("cancelled")

    with pytest.raises(ConnectionFailed):
        run_lanes([cancelled, fails], cap=2)


def test_an_interrupt_in_the_main_thread_stops_the_lanes_and_goes_on_up():
    stopped = threading.Event()

    def works(stop: threading.Event) -> None:
        stop.wait(30)
        stopped.set()

    class Interrupted(threading.Event):
        def is_set(self) -> bool:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_lanes([works], cap=1, cancel=Interrupted())
    assert stopped.wait(60)


def test_work_begins_while_more_of_it_is_still_being_made():
    began = threading.Event()

    def pieces():
        def first(_stop):
            began.set()
            return "first"

        yield first
        assert began.wait(60)  # would never come if all work were gathered first
        yield lambda _stop: "second"

    assert run_lanes(pieces(), cap=1) == ["first", "second"]


def test_an_error_while_work_is_made_is_raised_when_the_begun_work_has_ended():
    done = []

    def pieces():
        yield lambda _stop: done.append("first")
        raise ValueError("no more")

    with pytest.raises(ValueError, match="no more"):
        run_lanes(pieces(), cap=2)

"""Many pictures at once: order, bounds, signals."""

import os
import signal
import threading
import time
from collections.abc import Iterator

import pytest

from service.cli.batch import Interruption, run_in_order


def test_results_come_in_the_order_of_the_items() -> None:
    def work(number: int) -> int:
        time.sleep(0.02 if number % 5 == 0 else 0)
        return number * number

    with Interruption() as interruption:
        results = list(run_in_order(range(50), work, 4, interruption))
    assert results == [number * number for number in range(50)]


def test_items_are_taken_as_they_are_needed() -> None:
    taken: list[int] = []

    def items() -> Iterator[int]:
        for number in range(100_000):
            taken.append(number)
            yield number

    with Interruption() as interruption:
        outcomes = run_in_order(items(), lambda number: number, 2, interruption)
        for number in range(10):
            assert next(outcomes) == number
        outcomes.close()
    assert len(taken) < 30


def test_work_is_done_at_once_within_the_number_of_jobs() -> None:
    lock = threading.Lock()
    meeting = threading.Barrier(3, timeout=5)
    now: list[int] = []
    most = 0

    def work(number: int) -> None:
        nonlocal most
        with lock:
            now.append(number)
            most = max(most, len(now))
        meeting.wait()
        with lock:
            now.remove(number)

    with Interruption() as interruption:
        list(run_in_order(range(30), work, 3, interruption))
    assert most == 3


def test_a_fault_of_the_work_comes_through() -> None:
    def work(_: int) -> None:
        raise TimeoutError("late")

    with Interruption() as interruption, pytest.raises(TimeoutError, match="late"):
        list(run_in_order(range(3), work, 2, interruption))


@pytest.mark.parametrize(
    ("number", "code"), [(signal.SIGINT, 130), (signal.SIGTERM, 143), (signal.SIGHUP, 129)]
)
def test_after_a_signal_what_is_under_way_is_finished_and_nothing_is_begun(
    number: signal.Signals, code: int
) -> None:
    begun: list[int] = []
    before = signal.getsignal(number)

    def work(item: int) -> int:
        begun.append(item)
        if item == 3:
            os.kill(os.getpid(), number)
        time.sleep(0.05)
        return item

    with Interruption() as interruption:
        results = list(run_in_order(range(1000), work, 2, interruption))
        # A second one is to end the process.
        assert signal.getsignal(number) is signal.SIG_DFL
    assert interruption.exit_code == code
    assert results == begun == sorted(begun)
    assert 4 <= len(begun) < 20
    assert signal.getsignal(number) == before


def test_an_ignored_signal_stays_ignored() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with Interruption():
            assert signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
    finally:
        signal.signal(signal.SIGHUP, before)

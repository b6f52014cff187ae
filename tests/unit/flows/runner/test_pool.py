"""The threads of sync tasks: bounded, in order, and free while their work only waits."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest

from prefect_governor.flows.runner.pool import Pool, only_waiting

PATIENCE_SECONDS = 30.0


def test_those_that_do_not_wait_never_exceed_the_size() -> None:
    lock, running, most, ended = threading.Lock(), [0], [0], [0]

    def step(change: int) -> None:
        with lock:
            running[0] += change
            most[0] = max(most[0], running[0])

    def work() -> None:
        step(1)
        for _ in range(3):
            step(-1)
            with only_waiting():
                time.sleep(0)
            step(1)
            time.sleep(0.0005)  # long enough that two are seen at once
        step(-1)
        ended[0] += 1

    pool = Pool(2, "test")
    for _ in range(100):
        pool.submit(work)
    pool.close()
    assert (running[0], ended[0]) == (0, 100)
    assert most[0] == 2


def test_one_thread_starts_work_in_order() -> None:
    seen: list[int] = []
    pool = Pool(1, "test")
    for item in range(50):
        pool.submit(lambda item=item: seen.append(item))  # type: ignore[misc]
    pool.close()
    assert seen == list(range(50))


def test_what_waits_lets_that_run_for_which_it_waits() -> None:
    done = threading.Event()
    outcome: list[bool] = []

    def waits() -> None:
        with only_waiting():
            outcome.append(done.wait(PATIENCE_SECONDS))

    pool = Pool(1, "test")
    for fn in (waits, waits, done.set):
        pool.submit(fn)
    pool.close()
    assert outcome == [True, True]


def test_waiting_threads_are_bounded() -> None:
    """Those above the bound hold their place: a thousand retries are not a thousand threads."""
    gate, started = threading.Event(), threading.Semaphore(0)

    def waits() -> None:
        started.release()
        with only_waiting():
            gate.wait(PATIENCE_SECONDS)

    pool = Pool(2, "test", most_waiting=3)
    for _ in range(10):
        pool.submit(waits)
    for _ in range(5):  # two run, three wait
        assert started.acquire(timeout=PATIENCE_SECONDS)
    assert not started.acquire(timeout=0.05)
    gate.set()
    pool.close()


def test_a_wait_that_is_interrupted_keeps_the_count() -> None:
    class Interrupted(BaseException):
        pass

    def waits() -> None:
        try:
            with only_waiting():
                raise Interrupted
        except Interrupted:
            pass

    lock, running, most = threading.Lock(), [0], [0]

    def work() -> None:
        with lock:
            running[0] += 1
            most[0] = max(most[0], running[0])
        time.sleep(0.001)
        with lock:
            running[0] -= 1

    pool = Pool(1, "test")
    fns: list[Callable[[], None]] = [waits, work, work, work]
    for fn in fns:
        pool.submit(fn)
    pool.close()
    assert most[0] == 1


def test_wait_whose_time_is_over_goes_on_though_others_took_its_place() -> None:
    """Else `future.wait(timeout=1)` would take as long as whatever began meanwhile."""
    others, gone_on = threading.Event(), threading.Event()
    outcome: list[bool] = []
    began = threading.Event()

    def waits() -> None:
        with only_waiting(lambda: False):
            began.wait(PATIENCE_SECONDS)
        gone_on.set()

    def other() -> None:
        began.set()
        outcome.append(others.wait(PATIENCE_SECONDS))

    pool = Pool(1, "test")
    pool.submit(waits)
    pool.submit(other)
    there = gone_on.wait(PATIENCE_SECONDS / 6)
    others.set()
    pool.close()
    assert there, "it waited for what had begun in its place"
    assert outcome == [True]


def test_work_is_refused_once_closed_and_threads_are_let_go() -> None:
    pool = Pool(4, "closed-pool")
    pool.submit(lambda: None)
    pool.close()
    with pytest.raises(RuntimeError, match="ended"):
        pool.submit(lambda: None)
    assert not [each for each in threading.enumerate() if each.name.startswith("closed-pool")]

"""The list of tag limits: how old an answer may be, and who waits for a read."""

from __future__ import annotations

import asyncio
import logging
import threading

from prefect_governor.flows.runner.tag_limits import TagLimits
from tests.unit.clocks import Seconds

WAIT_SECONDS = 10.0
LOGGER = logging.getLogger("test")


class Server:
    """Answers reads with `tags`; a read can be held, and can fail."""

    def __init__(self, *tags: str) -> None:
        self.tags = frozenset(tags)
        self.fails = False
        self.reads = 0
        self.open = threading.Event()
        self.open.set()
        self.began = threading.Semaphore(0)
        self.ended = threading.Semaphore(0)

    def read(self) -> frozenset[str]:
        self.reads += 1
        tags = self.tags
        self.began.release()
        try:
            assert self.open.wait(WAIT_SECONDS)
            if self.fails:
                raise ConnectionError("server away")
            return tags
        finally:
            self.ended.release()


def limits_of(server: Server, clock: Seconds) -> TagLimits:
    return TagLimits(server.read, logger=LOGGER, trust_seconds=5, refresh_seconds=2.5, clock=clock)


def settled(limits: TagLimits) -> None:
    """Wait for the read in the background to have been taken in."""
    if (reading := limits._reading) is not None:
        reading.result(WAIT_SECONDS)


def test_a_limit_on_any_of_the_tags_is_seen() -> None:
    limits = limits_of(Server("solo"), Seconds())
    assert limits.none_exists(["llm"])
    assert not limits.none_exists(["llm", "solo"])


def test_no_tags_need_no_read() -> None:
    server = Server()
    assert limits_of(server, Seconds()).none_exists([])
    assert server.reads == 0


def test_a_limit_made_later_is_seen_within_the_trusted_age() -> None:
    server, clock = Server(), Seconds()
    limits = limits_of(server, clock)
    assert limits.none_exists(["solo"])
    server.tags = frozenset(["solo"])
    clock.now += 5.01
    assert not limits.none_exists(["solo"])


def test_an_answer_ages_from_the_beginning_of_its_read() -> None:
    server, clock = Server(), Seconds()
    limits = limits_of(server, clock)
    server.open.clear()
    answers: list[bool] = []
    asker = threading.Thread(target=lambda: answers.append(limits.none_exists(["llm"])))
    asker.start()
    assert server.began.acquire(timeout=WAIT_SECONDS)
    clock.now += 6  # the read took longer than its answer may be old
    server.open.set()
    asker.join(WAIT_SECONDS)
    assert answers == [False]


def test_steady_work_never_waits_for_a_refresh() -> None:
    server, clock = Server(), Seconds()
    limits = limits_of(server, clock)
    assert limits.none_exists(["llm"])
    server.open.clear()
    clock.now += 3
    assert limits.none_exists(["llm"])  # answered from the old list while the new one is read
    assert limits.none_exists(["llm"])
    assert server.began.acquire(timeout=WAIT_SECONDS)
    server.open.set()
    settled(limits)
    assert server.reads == 2
    clock.now += 4
    assert limits.none_exists(["llm"])  # 4 s after the second read, 7 s after the first
    settled(limits)


def test_an_unreadable_list_leaves_the_question_to_the_engine() -> None:
    server, clock = Server(), Seconds()
    server.fails = True
    limits = limits_of(server, clock)
    assert not limits.none_exists(["llm"])
    server.fails = False
    assert limits.none_exists(["llm"])


async def test_many_askers_share_one_read_and_a_cancelled_one_does_not_end_it() -> None:
    server = Server()
    limits = limits_of(server, Seconds())
    server.open.clear()
    askers = [asyncio.ensure_future(limits.anone_exists(["llm"])) for _ in range(20)]
    await asyncio.to_thread(server.began.acquire, True, WAIT_SECONDS)
    askers[0].cancel()
    await asyncio.sleep(0)
    server.open.set()
    answers = await asyncio.gather(*askers, return_exceptions=True)
    assert isinstance(answers[0], asyncio.CancelledError)
    assert answers[1:] == [True] * 19
    assert server.reads == 1

"""Workers that make plain calls under one cap, forked from a warm parent, and what they told.

`python -m tests.chaos.crew` is the parent, as `tests.chaos.nursery` is for its workers.
"""

import asyncio
import contextlib
import os
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NoReturn

import httpx

from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.ledger.postgres.link import driver
from prefect_governor.blocks.models.clients import POOL
from prefect_governor.blocks.terms.limit import Limit
from tests.chaos.nursery import MODEL, Nursery, warm
from tests.chaos.storm import Hand
from tests.chaos.storm import Nursery as NurseryHandle
from tests.talk import tell

TAG = "llm"
LOCAL = "crew"
TIMEOUT_SECONDS = 600.0


@dataclass(frozen=True)
class CrewOrder:
    """What a worker is told.

    Attributes:
        how: "governed"; "semaphore", bare httpx under one of `cap`; "free", nothing holds it.
        calls: how many it makes; 0 for on and on, until SIGUSR1 says so.
        callers: how many it has under way or waiting at once.
        governor: the name of a saved one; None for one of the ledger alone, with this cap.
        priority: of its calls.
    """

    name: str
    api_base: str
    cap: int
    how: Literal["governed", "semaphore", "free"] = "governed"
    calls: int = 0
    callers: int = 40
    governor: str | None = None
    ledger_url: str | None = None
    priority: int = 0


class CrewWorker:
    """Makes its calls, and tells how they ended."""

    def __init__(self, order: CrewOrder) -> None:
        self.order = order
        self.stopped = False
        self.left = order.calls or sys.maxsize
        self.at = 0
        self.met: Counter[str] = Counter()
        self.governor: Governor | None = None
        if order.how == "governed":
            self.governor = (
                Governor.local(
                    LOCAL,
                    max_usd=1000,
                    limits=[Limit(tag=TAG, max_concurrent=order.cap)],
                    ledger_url=order.ledger_url,
                )
                if order.governor is None
                else _loaded(order.governor)
            )
            # The keeper begins here, not with the first call.
            assert self.governor.runtime

    def stop(self, *_: object) -> None:
        self.stopped = True

    async def call_on(self, client: httpx.AsyncClient, slots: Any) -> None:
        while self.left > 0 and not self.stopped:
            self.left -= 1
            self.at += 1
            tag = f"{self.order.name}-{self.at}"
            body = {
                "model": MODEL,
                "messages": [{"role": "user", "content": f"call {tag}: who pays, and how much?"}],
                "max_tokens": 20,
            }
            try:
                async with slots:
                    reply = await client.post(
                        "/chat/completions", json=body, headers={"x-test-tag": tag}
                    )
                self.met[str(reply.status_code)] += 1
            except Exception as error:
                self.met[type(error).__name__] += 1
                if isinstance(error, RuntimeError) and "closed" in str(error):
                    raise

    @contextlib.asynccontextmanager
    async def client(self) -> AsyncIterator[httpx.AsyncClient]:
        made = (
            httpx.AsyncClient(limits=POOL)
            if self.governor is None
            else self.governor.async_http_client(tags=(TAG,), raise_refusals=True)
        )
        made.base_url = self.order.api_base
        made.headers["authorization"] = "Bearer sk-crew"
        made.timeout = TIMEOUT_SECONDS
        async with made:
            yield made

    async def work(self) -> None:
        order = self.order
        slots: Any = contextlib.nullcontext()
        if order.how == "semaphore":
            slots = asyncio.Semaphore(order.cap)
        async with self.client() as client:
            with _active(self.governor, order.priority):
                await asyncio.gather(*(self.call_on(client, slots) for _ in range(order.callers)))


@contextlib.contextmanager
def _active(governor: Governor | None, priority: int) -> Iterator[None]:
    if governor is None:
        yield
        return
    with governor.activate(priority=priority):
        yield


def _loaded(name: str) -> Governor:
    governor = Governor.load(name)
    assert isinstance(governor, Governor)
    return governor


def _born(order: CrewOrder) -> NoReturn:
    """In a child: work, and never return."""
    status = 1
    try:
        began = time.monotonic()
        worker = CrewWorker(order)
        signal.signal(signal.SIGUSR1, worker.stop)
        asyncio.run(worker.work())
        ended = time.monotonic()
        if worker.governor is not None:
            from prefect_governor.blocks.work.registry import stop_all

            desk = worker.governor.runtime.desk
            stop_all()
            desk.close()
        told = {"met": dict(worker.met), "seconds": ended - began}
        tell({"of": order.name, **told})
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


@dataclass
class Told:
    """How a worker's calls ended, by status or error, and its seconds."""

    met: dict[str, int] = field(default_factory=dict)
    seconds: float = 0.0


class Crew(NurseryHandle):
    """The warm parent, from outside."""

    def __init__(self, home: Path) -> None:
        super().__init__(home, "tests.chaos.crew")
        self.told: dict[str, Told] = {}

    def look(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        found = super().look(seconds)
        for told in found:
            if "of" in told:
                self.told[told["of"]] = Told(told["met"], told["seconds"])
        return found

    def end(self, *hands: Hand, seconds: float = 120.0) -> dict[str, Told]:
        """Waits until these have ended well; what they told, by name."""
        deadline = time.monotonic() + seconds
        while any(hand.status is None or hand.name not in self.told for hand in hands):
            assert time.monotonic() < deadline, [hand.name for hand in hands if not hand.status]
            self.look(0.1)
            for hand in hands:
                assert hand.status in (None, 0), f"{hand.name} ended with {hand.status}"
        return {hand.name: self.told[hand.name] for hand in hands}

    def stop(self, *hands: Hand, seconds: float = 120.0) -> dict[str, Told]:
        """Tells them to end what they have open and start no more, and waits for it."""
        for hand in hands:
            os.kill(hand.pid, signal.SIGUSR1)
        return self.end(*hands, seconds=seconds)


if __name__ == "__main__":
    warm()
    driver()
    import prefect.client.orchestration  # noqa: F401

    Nursery(CrewOrder, _born).run()

"""Processes that call a provider on and on, under a governor that they share, or under none.

`python -m tests.scale.callers` reads an `Order` as JSON, forks its processes, and tells what each
has met once they have ended.
"""

import asyncio
import json
import os
import sys
import time
from collections import Counter
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

import httpx

from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.terms.limit import Limit
from tests.chaos.nursery import MODEL, warm
from tests.provider.process import ProviderProcess
from tests.talk import Talk, tell

NAME = "rates"
# Nobody governs these: after a refusal they try again so soon, in seconds.
AGAIN_SECONDS = 0.2


@dataclass(frozen=True)
class Order:
    """`limit` is a Limit's fields, None for calls that nothing holds back."""

    api_base: str
    limit: dict[str, Any] | None
    seconds: float
    processes: int = 4
    callers: int = 50
    max_tokens: int = 60


@dataclass
class Caller:
    """One process."""

    order: Order
    met: Counter[str]
    least_waiting: int = sys.maxsize

    async def call_on(self, client: httpx.AsyncClient, number: int) -> None:
        for at in range(sys.maxsize):
            text = f"call {os.getpid()}-{number}-{at}: " + "who pays, and how much? " * (at % 7)
            body = {
                "model": MODEL,
                "messages": [{"role": "user", "content": text}],
                "max_tokens": self.order.max_tokens,
            }
            reply = await client.post("/chat/completions", json=body)
            self.met[str(reply.status_code)] += 1
            if reply.status_code == 429:
                await asyncio.sleep(AGAIN_SECONDS)

    async def watch(self, in_flight: Callable[[], int]) -> None:
        """How many wait, at the least, from when the first are through."""
        await asyncio.sleep(1.0)
        while True:
            self.least_waiting = min(self.least_waiting, self.order.callers - in_flight())
            await asyncio.sleep(0.1)

    async def work(self) -> None:
        order, governor = self.order, None
        if order.limit is not None:
            governor = Governor.local(NAME, max_usd=1000, limits=[Limit(**order.limit)])
        made = (
            httpx.AsyncClient()
            if governor is None
            else governor.async_http_client(raise_refusals=True)
        )
        made.base_url, made.timeout = order.api_base, 600
        made.headers["authorization"] = "Bearer sk-rates"
        async with made as client:
            with nullcontext() if governor is None else governor.activate():
                work = [self.call_on(client, number) for number in range(order.callers)]
                if governor is not None:
                    desk = governor.runtime.desk
                    work.append(self.watch(lambda: desk.stats(None).in_flight))
                tasks = [asyncio.ensure_future(each) for each in work]
                done, pending = await asyncio.wait(
                    tasks, timeout=order.seconds, return_when=asyncio.FIRST_EXCEPTION
                )
                for task in pending:
                    task.cancel()
                await asyncio.gather(*pending, return_exceptions=True)
                for task in done:
                    task.result()
        if governor is not None:
            governor.runtime.desk.close()


def _child(order: Order) -> None:
    status = 1
    try:
        caller = Caller(order, Counter())
        asyncio.run(caller.work())
        tell({"least_waiting": caller.least_waiting, **caller.met})
        status = 0
    finally:
        os._exit(status)


def main() -> None:
    order = Order(**json.loads(sys.stdin.readline()))
    warm()
    pids = []
    for _ in range(order.processes):
        pid = os.fork()
        if pid == 0:
            _child(order)
        pids.append(pid)
    statuses = [os.waitpid(pid, 0)[1] for pid in pids]
    sys.exit(any(statuses))


def call(order: Order, home: Path) -> list[dict[str, int]]:
    """Run an order in processes of its own. Returns what each has met."""
    environment = {**os.environ, "PREFECT_HOME": str(home)}
    environment = {k: v for k, v in environment.items() if not k.lower().endswith("_proxy")}
    with Talk([sys.executable, "-m", "tests.scale.callers"], env=environment) as talk:
        talk.say(asdict(order))
        met = [talk.hear(order.seconds + 120) for _ in range(order.processes)]
    assert talk.process.returncode == 0
    return met


@dataclass(frozen=True)
class Served:
    """What a provider's log says: of `requests` so many were `refused`; and of its window of
    `seconds`, from `after` seconds on, how much of each thing was served."""

    requests: int
    refused: int
    counted: int
    tokens: int


def served(provider: ProviderProcess, *, after: float, seconds: float) -> Served:
    records = provider.log()
    began = min(each["arrival"] for each in records)
    inside = [
        each
        for each in records
        if each["status"] == 200 and after <= each["arrival"] - began < after + seconds
    ]
    return Served(
        len(records),
        sum(each["status"] == 429 for each in records),
        len(inside),
        sum(each["input"] + each["output"] for each in inside),
    )


def until_settled(provider: ProviderProcess, seconds: float = 30.0) -> None:
    deadline = time.monotonic() + seconds
    while provider.stats()["open"] and time.monotonic() < deadline:
        time.sleep(0.05)


if __name__ == "__main__":
    main()

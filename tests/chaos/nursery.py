"""A warm parent that has imported everything and opened nothing, and the workers that it forks.

`python -m tests.chaos.nursery` reads an `Order` a line, as JSON, forks a worker for it, and tells
`{"name": …, "pid": …}`; when one has ended, `{"name": …, "status": …}`, its exit code, or the
number of the signal that killed it, negative. When its input ends, it ends its workers and itself.
"""

import asyncio
import json
import os
import select
import signal
import sys
import time
import traceback
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module
from random import Random
from typing import Any, Generic, NoReturn, Protocol, TypeVar

import httpx

from prefect_governor.blocks.errors import LedgerUnavailable, OverBudget
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.ledger.postgres.link import driver
from prefect_governor.blocks.money.usd import to_usd
from prefect_governor.blocks.prices.prices import load_price
from prefect_governor.blocks.prices.tokens import count_tokens, encoding_of
from tests.talk import tell

MODEL = "gpt-4o-mini"
NAME = "chaos"
WORDS = ("the", "ledger", "holds", "what", "a", "call", "may", "cost", "until", "it", "ends")
# A reply is waited for so long at most, in seconds: hanging calls are cut off by their callers.
READ_SECONDS = 6.0
STREAMED = 0.4
# Of the calls in flight, those made by threads that block; the others are awaited.
BLOCKING = 4


@dataclass(frozen=True)
class Order:
    """What a worker is told.

    Attributes:
        ceiling_nano: the budget's, as it is when the worker starts; `version` says which.
        in_flight: how many callers it has.
    """

    name: str
    api_base: str
    ceiling_nano: int
    version: str
    in_flight: int
    seed: str
    ledger_url: str | None = None


class Named(Protocol):
    @property
    def name(self) -> str: ...


OrderT = TypeVar("OrderT", bound=Named)


class Worker:
    """Calls on and on, so many at once, until the money is gone or SIGUSR1 says so."""

    def __init__(self, order: Order) -> None:
        self.order = order
        self.chance = Random(order.seed)
        self.stopped = False
        self.met: Counter[str] = Counter()
        self.governor = Governor.local(
            NAME, max_usd=to_usd(order.ceiling_nano), ledger_url=order.ledger_url
        )
        # The ceiling may have been set anew since the order was given.
        self.governor._local_version = order.version

    def stop(self, *_: object) -> None:
        self.stopped = True

    def body(self) -> dict[str, Any]:
        text = " ".join(self.chance.choices(WORDS, k=self.chance.randint(5, 60)))
        body: dict[str, Any] = {
            "model": MODEL,
            "messages": [{"role": "user", "content": text}],
            "max_tokens": self.chance.choice((80, 120, 400)),
        }
        if self.chance.random() < STREAMED:
            body["stream"] = True
        return body

    async def call_on_and_on(self, client: httpx.AsyncClient) -> None:
        while not self.stopped:
            body = self.body()
            try:
                async with client.stream("POST", "/chat/completions", json=body) as reply:
                    if body.get("stream") and self.chance.random() < 0.05:
                        # A caller that has seen enough.
                        async for _ in reply.aiter_bytes():
                            break
                        continue
                    await reply.aread()
            except OverBudget:
                return
            except (httpx.HTTPError, LedgerUnavailable) as error:
                self.met[type(error).__name__] += 1

    def call_on_and_on_blocking(self, client: httpx.Client) -> None:
        while not self.stopped:
            try:
                client.post("/chat/completions", json=self.body())
            except OverBudget:
                return
            except (httpx.HTTPError, LedgerUnavailable) as error:
                self.met[type(error).__name__] += 1

    async def work(self) -> None:
        options: Any = {
            "base_url": self.order.api_base,
            "headers": {"authorization": "Bearer sk-chaos", "x-test-tag": self.order.name},
            "timeout": httpx.Timeout(30, read=READ_SECONDS),
        }
        with self.governor.activate(user=self.order.name):
            asynchronous = _set(self.governor.async_http_client(raise_refusals=True), options)
            blocking = _set(self.governor.http_client(raise_refusals=True), options)
            await asyncio.gather(
                *(
                    asyncio.to_thread(self.call_on_and_on_blocking, blocking)
                    for _ in range(BLOCKING)
                ),
                *(
                    self.call_on_and_on(asynchronous)
                    for _ in range(self.order.in_flight - BLOCKING)
                ),
            )
            await asynchronous.aclose()
            blocking.close()
        self.governor.runtime.desk.close()
        if self.met:
            print(f"{self.order.name} met {dict(self.met)}", file=sys.stderr)


def _set(client: Any, options: dict[str, Any]) -> Any:
    client.base_url = options["base_url"]
    client.headers.update(options["headers"])
    client.timeout = options["timeout"]
    return client


def _born(order: Order) -> NoReturn:
    """In a child: work, and never return."""
    status = 1
    try:
        worker = Worker(order)
        signal.signal(signal.SIGUSR1, worker.stop)
        asyncio.run(worker.work())
        status = 0
    except BaseException:
        traceback.print_exc()
    finally:
        sys.stderr.flush()
        os._exit(status)


class Nursery(Generic[OrderT]):
    """The parent's loop. `read` makes an order of its fields, `born` follows it in a child."""

    def __init__(self, read: Callable[..., OrderT], born: Callable[[OrderT], NoReturn]) -> None:
        self.read, self.born = read, born
        self.names: dict[int, str] = {}
        self.pending = b""

    def fork(self, order: OrderT) -> None:
        pid = os.fork()
        if pid == 0:
            os.close(0)
            self.born(order)
        self.names[pid] = order.name
        tell({"name": order.name, "pid": pid})

    def reap(self) -> None:
        while self.names:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            tell({"name": self.names.pop(pid), "status": os.waitstatus_to_exitcode(status)})

    def run(self) -> None:
        tell({"ready": True})
        while True:
            self.reap()
            if not select.select([0], [], [], 0.02)[0]:
                continue
            data = os.read(0, 65536)
            if not data:
                break
            *lines, self.pending = (self.pending + data).split(b"\n")
            for line in lines:
                self.fork(self.read(**json.loads(line)))
        for pid in self.names:
            os.kill(pid, signal.SIGKILL)
        for pid in list(self.names):
            os.waitpid(pid, 0)


def warm() -> None:
    """Whatever is made when it is first needed: prices, tokenizers, drivers. Opens no ledger."""
    assert load_price(f"openai/{MODEL}") is not None
    encoding = encoding_of(MODEL, "openai")
    assert encoding is not None
    count_tokens("warm", encoding)
    for module in ("sqlite.store", "postgres.store", "postgres.owner"):
        import_module(f"prefect_governor.blocks.ledger.{module}")
    driver()


if __name__ == "__main__":
    began = time.monotonic()
    warm()
    print(f"warm after {time.monotonic() - began:.1f} s", file=sys.stderr)
    Nursery(Order, _born).run()

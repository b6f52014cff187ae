"""What the hook costs a request that is no model call: outside a scope, and inside one.

    ./run python -m tests.benchmarks.bypass [--requests N] [--rounds N]

Each round sends the same requests to a loopback server in three ways, in an order that turns with
the rounds: without the hook, with it outside a scope, with it inside one. Printed is, for each
library, the median over the rounds of this process's CPU time with the hook by that without it in
the same round, beside the time of the hook's own lines alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

BODY: Any = {"name": "of no model", "values": [1, 2, 3]}
WAYS = ("without", "outside", "inside")


@contextmanager
def put_back(places: dict[tuple[Any, str], Any]) -> Iterator[None]:
    """The libraries as they are without the hook."""
    hooked = {place: getattr(*place) for place in places}
    for (owner, name), original in places.items():
        setattr(owner, name, original)
    try:
        yield
    finally:
        for (owner, name), hook in hooked.items():
            setattr(owner, name, hook)


def unhooked() -> dict[tuple[Any, str], Any]:
    """What was hooked, and what was there before."""
    import aiohttp
    import httpx
    import urllib3

    owners = [
        (aiohttp.ClientSession, "_request"),
        (httpx.HTTPTransport, "handle_request"),
        (httpx.AsyncHTTPTransport, "handle_async_request"),
        (urllib3.HTTPConnectionPool, "urlopen"),
    ]
    return {place: getattr(*place).__wrapped__ for place in owners}


def senders(url: str, count: int) -> dict[str, Callable[[], None]]:
    """`count` requests of each library, over one connection."""
    import aiohttp
    import httpx
    import requests

    client, session = httpx.Client(), requests.Session()

    def httpx_() -> None:
        for _ in range(count):
            client.post(url, json=BODY)

    def requests_() -> None:
        for _ in range(count):
            session.post(url, json=BODY)

    def httpx_async() -> None:
        async def send() -> None:
            async with httpx.AsyncClient() as each:
                for _ in range(count):
                    await each.post(url, json=BODY)

        asyncio.run(send())

    def aiohttp_() -> None:
        async def send() -> None:
            async with aiohttp.ClientSession() as each:
                for _ in range(count):
                    async with each.post(url, json=BODY) as reply:
                        await reply.read()

        asyncio.run(send())

    return {
        "httpx": httpx_, "httpx, async": httpx_async, "aiohttp": aiohttp_, "requests": requests_,
    }  # fmt: skip


def own_seconds(governor: Any) -> float:
    """What the hook itself does for a request inside a scope, of one."""
    from prefect_governor.blocks.bypass.calls import looking, place_of

    count = 100_000
    with governor:
        began = time.perf_counter()
        for _ in range(count):
            looking()
            place_of("POST", "127.0.0.1", "/_provider/config", {})
    return (time.perf_counter() - began) / count


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--requests", type=int, default=200)
    parser.add_argument("--rounds", type=int, default=15)
    asked = parser.parse_args()
    os.environ["PREFECT_HOME"] = tempfile.mkdtemp()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

    from prefect_governor import Governor
    from tests.provider.process import ProviderProcess

    governor = Governor.local("bypass", max_usd=1)
    with ProviderProcess() as provider:
        sending = senders(f"{provider.url}/_provider/config", asked.requests)
        own, places = own_seconds(governor), unhooked()
        print(f"the hook's own lines, inside a scope: {own * 1e6:.2f} microseconds a request")
        worst = 0.0
        for library, send in sending.items():
            took: dict[str, list[float]] = {way: [] for way in WAYS}
            send()
            for round_ in range(asked.rounds):
                for at in range(len(WAYS)):
                    way = WAYS[(at + round_) % len(WAYS)]
                    with (
                        put_back(places) if way == "without" else nullcontext(),
                        governor.activate() if way == "inside" else nullcontext(),
                    ):
                        began = time.process_time()
                        send()
                        took[way].append(time.process_time() - began)
            plain = statistics.median(took["without"]) / asked.requests
            ratios = {
                way: statistics.median(
                    one / other for one, other in zip(took[way], took["without"], strict=True)
                )
                for way in WAYS[1:]
            }
            worst = max(worst, own / plain)
            print(
                f"{library:14} {plain * 1e3:6.3f} ms of CPU a request; outside {ratios['outside']:.3f},"
                f" inside {ratios['inside']:.3f} times that; its own lines {own / plain:.2%}"
            )
    print(f"at most {worst:.2%} of a request (target 2%)")
    return 0 if worst <= 0.02 else 1


if __name__ == "__main__":
    sys.exit(main())

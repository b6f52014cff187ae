"""What the hook costs a request that is no model call: outside a scope, and inside one.

    ./run python -m tests.benchmarks.bypass [--rounds N]

Each round sends the same request to a loopback server in three ways, in an order that turns with
the rounds: without the hook, with it outside a scope, with it inside one. Printed is, for each
library, the median of this process's CPU time in each, and the hook's own lines alone.
"""

from __future__ import annotations

import argparse
import asyncio
import os
import statistics
import sys
import tempfile
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager, nullcontext
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


Send = Callable[[], Awaitable[None]]


@asynccontextmanager
async def senders(url: str) -> AsyncIterator[dict[str, Send]]:
    """One request of each library, over a connection that stays open."""
    import aiohttp
    import httpx
    import requests

    async def httpx_() -> None:
        client.post(url, json=BODY)

    async def requests_() -> None:
        session.post(url, json=BODY)

    async def httpx_async() -> None:
        await async_client.post(url, json=BODY)

    async def aiohttp_() -> None:
        async with async_session.post(url, json=BODY) as reply:
            await reply.read()

    with httpx.Client() as client, requests.Session() as session:
        async with httpx.AsyncClient() as async_client, aiohttp.ClientSession() as async_session:
            yield {
                "httpx": httpx_, "httpx, async": httpx_async, "aiohttp": aiohttp_,
                "requests": requests_,
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


async def compared(provider: Any, governor: Any, rounds: int) -> float:
    """Prints a line for each library; returns the largest share of a request that the hook is."""
    worst = 0.0
    async with senders(f"{provider.url}/_provider/config") as sending:
        own, places = own_seconds(governor), unhooked()
        print(f"the hook's own lines, inside a scope: {own * 1e6:.2f} microseconds a request")
        for library, send in sending.items():
            took: dict[str, list[float]] = {way: [] for way in WAYS}
            await send()
            for round_ in range(rounds):
                for at in range(len(WAYS)):
                    way = WAYS[(at + round_) % len(WAYS)]
                    with (
                        put_back(places) if way == "without" else nullcontext(),
                        governor.activate() if way == "inside" else nullcontext(),
                    ):
                        began = time.process_time()
                        await send()
                        took[way].append(time.process_time() - began)
            plain, outside, inside = (statistics.median(took[way]) for way in WAYS)
            worst = max(worst, own / plain)
            print(
                f"{library:14} {plain * 1e3:6.3f} ms of CPU; with the hook outside a scope"
                f" {outside / plain:.3f}, inside {inside / plain:.3f} times that; its own lines"
                f" {own / plain:.2%}",
                flush=True,
            )
    return worst


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rounds", type=int, default=500)
    asked = parser.parse_args()
    os.environ["PREFECT_HOME"] = tempfile.mkdtemp()
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"

    from prefect_governor import Governor
    from tests.provider.process import ProviderProcess

    governor = Governor.local("bypass", max_usd=1)
    with governor:
        # From here on the hook is there.
        pass
    with ProviderProcess() as provider:
        worst = asyncio.run(compared(provider, governor, asked.rounds))
    print(f"at most {worst:.2%} of a request (target 2%)")
    return 0 if worst <= 0.02 else 1


if __name__ == "__main__":
    sys.exit(main())

"""A machine of its own. `python -m tests.chaos.machines.apart GOVERNOR API_BASE CALLERS SECONDS`
calls on and on under a saved governor, until the budget has refused for `SECONDS`, and tells how it
went."""

import asyncio
import json
import sys
import time
from collections import Counter

import httpx

from prefect_governor import Governor
from prefect_governor.blocks.errors import LedgerUnavailable, OverBudget

MODEL = "gpt-4o-mini"
MAX_TOKENS = 100
met: Counter[str] = Counter()


async def call_on_and_on(client: httpx.AsyncClient, name: str, seconds: float) -> None:
    refused: float | None = None
    at = 0
    while refused is None or time.monotonic() - refused < seconds:
        at += 1
        body = {
            "model": MODEL,
            "messages": [{"role": "user", "content": f"call {name} {at}: who pays?"}],
            "max_tokens": MAX_TOKENS,
        }
        try:
            reply = await client.post("/chat/completions", json=body)
            met[str(reply.status_code)] += 1
            refused = None
        except OverBudget:
            met["over budget"] += 1
            refused = refused or time.monotonic()
            await asyncio.sleep(0.5)
        except (httpx.HTTPError, LedgerUnavailable) as error:
            met[type(error).__name__] += 1


async def work(governor: Governor, api_base: str, callers: int, seconds: float) -> None:
    client = governor.async_http_client(tags=("llm",), raise_refusals=True)
    client.base_url = api_base
    client.headers["authorization"] = "Bearer sk-apart"
    client.timeout = 60
    async with client:
        with governor.activate():
            await asyncio.gather(
                *(call_on_and_on(client, f"c{at}", seconds) for at in range(callers))
            )


def main() -> None:
    name, api_base, callers, seconds = sys.argv[1:]
    governor = Governor.load(name)
    assert isinstance(governor, Governor)
    print(json.dumps({"ready": time.time()}), flush=True)
    asyncio.run(work(governor, api_base, int(callers), float(seconds)))
    print(json.dumps(dict(met)), flush=True)


if __name__ == "__main__":
    main()

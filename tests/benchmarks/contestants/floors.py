"""The floors: bare httpx, and LiteLLM, under an `asyncio.Semaphore`."""

import asyncio
import sys
from collections.abc import Awaitable, Callable
from typing import Any

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, answered, compete


def httpx_cap(work: Work) -> int:
    import httpx

    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": work.max_tokens}

    async def run() -> int:
        limits = httpx.Limits(max_connections=None)
        async with httpx.AsyncClient(limits=limits, timeout=120, trust_env=False) as client:

            async def call() -> None:
                url = f"{work.api_base}/chat/completions"
                headers = {"Authorization": f"Bearer {KEY}"}
                reply = await client.post(url, json=body, headers=headers)
                reply.raise_for_status()

            return await _under_semaphore(work, call)

    return asyncio.run(run())


def litellm_cap(work: Work) -> int:
    async def run() -> int:
        await _completion(work)
        work.warm()
        return await _under_semaphore(work, lambda: _completion(work))

    return asyncio.run(run())


def litellm_budget(work: Work) -> int:
    import litellm

    async def run() -> int:
        await _completion(work)
        work.warm()
        litellm.max_budget = work.ceiling_usd
        work.start()
        calls = [_completion(work) for _ in range(work.calls)]
        return answered(await asyncio.gather(*calls, return_exceptions=True))

    return asyncio.run(run())


async def _completion(work: Work) -> Any:
    import litellm

    return await litellm.acompletion(
        f"openai/{MODEL}", MESSAGES, max_tokens=work.max_tokens, api_base=work.api_base,
        api_key=KEY,
    )  # fmt: skip


async def _under_semaphore(work: Work, call: Callable[[], Awaitable[Any]]) -> int:
    slots = asyncio.Semaphore(work.cap)

    async def one() -> None:
        async with slots:
            await call()

    work.start()
    return answered(
        await asyncio.gather(*(one() for _ in range(work.calls)), return_exceptions=True)
    )


if __name__ == "__main__":
    if sys.argv[2] == "httpx":
        compete(cap=httpx_cap)
    else:
        compete(cap=litellm_cap, budget=litellm_budget)

"""aiometer around httpx: a rate in one process."""

import asyncio
import functools

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, answered, compete


def rate(work: Work) -> int:
    import aiometer
    import httpx

    body = {"model": MODEL, "messages": MESSAGES, "max_tokens": work.max_tokens}

    async def run() -> int:
        async with httpx.AsyncClient(timeout=120, trust_env=False) as client:

            async def call(_: int) -> object:
                try:
                    reply = await client.post(
                        f"{work.api_base}/chat/completions", json=body,
                        headers={"Authorization": f"Bearer {KEY}"},
                    )  # fmt: skip
                    return reply.raise_for_status()
                except httpx.HTTPError as error:
                    return error

            work.start()
            calls = [functools.partial(call, at) for at in range(work.calls)]
            return answered(await aiometer.run_all(calls, max_per_second=work.per_second))

    return asyncio.run(run())


if __name__ == "__main__":
    compete(rate=rate)

"""Plain Prefect: its global concurrency limits, its `rate_limit`, a Variable as the budget."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, compete


def run(work: Work) -> int:
    from prefect import flow, get_client, task
    from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate

    before, after = _governing(work)
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(
            GlobalConcurrencyLimitCreate(
                name=f"benchmark-{work.scenario}",
                limit=work.cap if work.scenario == "cap" else work.per_second,
                slot_decay_per_second=float(work.per_second) if work.scenario == "rate" else 0.0,
            )
        )

    async def call() -> Any:
        import litellm

        return await litellm.acompletion(
            f"openai/{MODEL}", MESSAGES, max_tokens=work.max_tokens, api_base=work.api_base,
            api_key=KEY,
        )  # fmt: skip

    @task(tags=["llm"])
    async def ask(item: int) -> float:
        import litellm
        from prefect.concurrency.asyncio import concurrency, rate_limit

        await before()
        if work.scenario == "cap":
            async with concurrency("benchmark-cap"):
                reply = await call()
        else:
            if work.scenario == "rate":
                await rate_limit("benchmark-rate")
            reply = await call()
        await after(litellm.completion_cost(reply))
        return 0.0

    @flow
    def ask_all() -> int:
        asyncio.run(call())
        work.warm()
        work.start()
        states = ask.map(range(work.calls), return_state=True)
        return sum(state.is_completed() for state in states)

    return ask_all()


def _governing(
    work: Work,
) -> tuple[Callable[[], Awaitable[None]], Callable[[float], Awaitable[None]]]:
    """What a careful person writes with what Prefect has: look before, add after."""
    from prefect.variables import Variable

    async def spent() -> float:
        return float(await Variable.aget("benchmark_spent", 0.0))

    async def before() -> None:
        if work.scenario == "budget" and await spent() >= work.ceiling_usd:
            raise RuntimeError("over budget")

    async def after(usd: float) -> None:
        if work.scenario == "budget":
            await Variable.aset("benchmark_spent", await spent() + usd, overwrite=True)

    return before, after


if __name__ == "__main__":
    compete(cap=run, rate=run, budget=run)

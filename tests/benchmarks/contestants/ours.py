"""prefect-governor: a flow of mapped tasks under a governor."""

import asyncio
from typing import Any

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, compete


def governed(work: Work) -> int:
    from prefect import flow, task

    from prefect_governor import GovernedTaskRunner, Governor, Limit, acompletion

    limits = {
        "cap": [Limit(max_concurrent=work.cap)],
        "rate": [Limit(requests_per_second=work.per_second)],
        "budget": [],
    }[work.scenario]
    ceiling = str(round(work.ceiling_usd, 9)) if work.scenario == "budget" else 1000
    governor = Governor.local("benchmark", max_usd=ceiling, limits=limits)

    async def call() -> Any:
        return await acompletion(
            f"openai/{MODEL}", MESSAGES, max_tokens=work.max_tokens, api_base=work.api_base,
            api_key=KEY,
        )  # fmt: skip

    @task(tags=["llm"])
    async def ask(item: int) -> Any:
        return await call()

    @flow(task_runner=GovernedTaskRunner(governor))
    def ask_all() -> int:
        with Governor.local("warm", max_usd=1):
            asyncio.run(call())
        work.warm()
        work.start()
        states = ask.map(range(work.calls), return_state=True)
        return sum(state.is_completed() for state in states)

    return ask_all()


if __name__ == "__main__":
    compete(cap=governed, rate=governed, budget=governed)

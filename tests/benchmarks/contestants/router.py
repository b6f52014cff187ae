"""LiteLLM's Router."""

import asyncio
from typing import Any

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, answered, compete


def run(work: Work) -> int:
    from litellm.router import Router

    limit: dict[str, Any] = (
        {"max_parallel_requests": work.cap}
        if work.scenario == "cap"
        else {"rpm": 60 * work.per_second}
    )
    router = Router(
        model_list=[
            {
                "model_name": MODEL,
                "litellm_params": {
                    "model": f"openai/{MODEL}", "api_base": work.api_base, "api_key": KEY, **limit,
                },
            }
        ],
        # Without it the rpm is advice to the choice of a deployment.
        optional_pre_call_checks=["enforce_model_rate_limits"] if work.scenario == "rate" else None,
        num_retries=3,
    )  # fmt: skip

    messages: Any = MESSAGES

    async def ask() -> int:
        await router.acompletion(MODEL, messages, max_tokens=work.max_tokens)
        work.warm()
        work.start()
        calls = [
            router.acompletion(MODEL, messages, max_tokens=work.max_tokens)
            for _ in range(work.calls)
        ]
        return answered(await asyncio.gather(*calls, return_exceptions=True))

    return asyncio.run(ask())


if __name__ == "__main__":
    compete(cap=run, rate=run)

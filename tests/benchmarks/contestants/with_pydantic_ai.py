"""pydantic-ai: an agent run a call, its concurrency limit and its shared usage limits."""

import asyncio

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, answered, compete


def run(work: Work) -> int:
    from pydantic_ai import Agent
    from pydantic_ai.models.concurrency import ConcurrencyLimitedModel
    from pydantic_ai.models.openai import OpenAIChatModel
    from pydantic_ai.providers.openai import OpenAIProvider
    from pydantic_ai.usage import RunUsage, UsageLimits

    async def ask() -> int:
        provider = OpenAIProvider(base_url=work.api_base, api_key=KEY)
        model = OpenAIChatModel(MODEL, provider=provider)
        limited = ConcurrencyLimitedModel(model, work.cap) if work.scenario == "cap" else model
        agent = Agent(limited, model_settings={"max_tokens": work.max_tokens})
        # One for all runs, which is how a budget is shared.
        usage = RunUsage()
        limits = UsageLimits(
            request_limit=None,
            total_tokens_limit=work.ceiling_tokens if work.scenario == "budget" else None,
        )
        text = MESSAGES[0]["content"]
        work.start()
        calls = [agent.run(text, usage=usage, usage_limits=limits) for _ in range(work.calls)]
        return answered(await asyncio.gather(*calls, return_exceptions=True))

    return asyncio.run(ask())


if __name__ == "__main__":
    compete(cap=run, budget=run)

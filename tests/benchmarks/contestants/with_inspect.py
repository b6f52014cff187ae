"""inspect_ai: one sample a call, its connections and its cost limit."""

import asyncio
import os
import tempfile

from tests.benchmarks.contestants.contest import KEY, MESSAGES, MODEL, Work, compete


def cap(work: Work) -> int:
    from inspect_ai import Task, eval
    from inspect_ai.dataset import Sample
    from inspect_ai.model import GenerateConfig, get_model
    from inspect_ai.solver import generate

    config = GenerateConfig(max_connections=work.cap, max_tokens=work.max_tokens)
    model = get_model(f"openai/{MODEL}", base_url=work.api_base, api_key=KEY, config=config)
    text = MESSAGES[0]["content"]
    samples = [Sample(input=text, id=at) for at in range(work.calls)]
    with tempfile.TemporaryDirectory() as folder:
        work.start()
        (log,) = eval(
            Task(dataset=samples, solver=generate()), model=model, log_dir=folder, display="none",
            fail_on_error=False, max_samples=work.calls, score=False,
        )  # fmt: skip
        return sum(bool(each.output.completion) for each in log.samples or [])


def budget(work: Work) -> int:
    from inspect_ai.model import GenerateConfig, ModelCost, get_model, set_model_cost
    from inspect_ai.util import cost_limit

    set_model_cost(
        f"openai/{MODEL}",
        ModelCost(input=0.15, output=0.6, input_cache_write=0.15, input_cache_read=0.075),
    )
    config = GenerateConfig(max_connections=work.calls, max_tokens=work.max_tokens)
    model = get_model(f"openai/{MODEL}", base_url=work.api_base, api_key=KEY, config=config)
    done = 0

    async def call() -> None:
        nonlocal done
        await model.generate(MESSAGES[0]["content"])
        done += 1

    async def run() -> None:
        work.start()
        try:
            with cost_limit(work.ceiling_usd):
                await asyncio.gather(*(call() for _ in range(work.calls)), return_exceptions=True)
        except Exception as error:
            if "imit" not in type(error).__name__:
                raise

    asyncio.run(run())
    return done


if __name__ == "__main__":
    os.environ.setdefault("INSPECT_LOG_LEVEL", "error")
    compete(cap=cap, budget=budget)

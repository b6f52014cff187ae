"""The sub-agent that a fan-out maps over its items: one document, one answer."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from prefect import task
from prefect.cache_policies import NO_CACHE
from prefect.context import TaskRunContext
from prefect.tasks import exponential_backoff

from prefect_governor.blocks.errors import CallRefused, ItemFailed, OverBudget, RunStopped
from prefect_governor.blocks.model.completion import acompletion
from prefect_governor.blocks.model.fallback import models_to_ask
from prefect_governor.blocks.scope import Scope, kept_only, one_answer, scope
from prefect_governor.blocks.wire.waits import wait_async
from prefect_governor.flows.failures import (
    ends_the_run,
    failure_of,
    worth_a_retry,
    worth_another_model,
)
from prefect_governor.flows.job import TAG, Job, current_job
from prefect_governor.flows.parts import parts_of
from prefect_governor.flows.prompt import (
    Message,
    combining_messages,
    first_messages,
    repair_messages,
)
from prefect_governor.flows.sources import read_text

RETRIES = 3
# Seconds before the first retry; doubled for each further one, plus up to as much in jitter.
BACKOFF_SECONDS = 1.0
# How long the first calls wait for each other at the most, in seconds.
FILL_SECONDS = 3.0


def _retry(_task: Any, _run: Any, state: Any) -> bool:
    return isinstance(state.data, BaseException) and worth_a_retry(state.data)


@task(
    name="sub-agent",
    task_run_name="{key}",
    tags=[TAG],
    retries=RETRIES,
    retry_delay_seconds=exponential_backoff(backoff_factor=BACKOFF_SECONDS),
    retry_jitter_factor=1.0,
    retry_condition_fn=_retry,
    # Finished items are kept by the ledger, in the transaction that settles them.
    cache_policy=NO_CACHE,
    persist_result=False,
)
async def sub_agent(key: str, position: int) -> Any:
    """Answer the run's question about one item.

    Raises ItemFailed for an item that cannot be read, is too long, or whose answer does not
    validate; CallRefused and the provider's own errors as they come.
    """
    job = current_job.get()
    assert job is not None, "sub_agent runs in a fan-out only"
    _note_attempt(job, key)
    here = Scope(
        governor=job.runtime, tags=(TAG,), run_id=job.kept_as, item=key, stop=job.control.stop
    )
    with scope(here):
        try:
            return await _answer_and_keep(job, position)
        except Exception as error:
            reason = ends_the_run(error)
            if reason is not None and not job.control.stop.is_set():
                job.control.reason = reason
                job.control.stop.set()
            raise
        finally:
            job.waited[key] = job.waited.get(key, 0.0) + here.spent.waited_seconds


async def _answer_and_keep(job: Job, position: int) -> Any:
    item = job.request.items[position]
    key = item.key
    if job.control.stop.is_set():
        raise RunStopped(job.control.reason or "the run was stopped before this item began")
    document = await asyncio.to_thread(read_text, item)
    if not job.filled.done():
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(wait_async(job.filled), FILL_SECONDS)
    result = await _answer(job, key, document.text)
    record = json.dumps({"result": result, "note": job.notes.get(key)})
    input_hash = job.input_hash(document.text)
    await wait_async(
        job.runtime.desk.write(
            lambda batch: batch.rows.put_item(job.kept_as, key, input_hash, record)
        )
    )
    return result


async def _answer(job: Job, key: str, text: str) -> Any:
    request = job.request
    schema = request.shape.schema if request.shape else None
    parts = parts_of(request.model, text)
    if len(parts) == 1:
        return await _ask(job, key, first_messages(request.ask, key=key, text=text, schema=schema))
    answers = []
    for at, part in enumerate(parts, start=1):
        named = f"part {at} of {len(parts)}"
        answer = await _ask(
            job, key, first_messages(request.ask, key=key, text=part, schema=schema, part=named)
        )
        answers.append(answer if isinstance(answer, str) else json.dumps(answer))
    return await _ask(
        job, key, combining_messages(request.ask, key=key, answers=answers, schema=schema)
    )


async def _ask(job: Job, key: str, messages: list[Message]) -> Any:
    """One answer, read by the run's schema if it has one, with one repair turn."""
    shape = job.request.shape
    answer = await _call(job, key, messages)
    if shape is None:
        return answer
    try:
        return shape.read(answer)
    except ValueError as problems:
        repair = repair_messages(messages, answer, str(problems))
    try:
        return shape.read(await _call(job, key, repair))
    except ValueError as problems:
        raise ItemFailed(f"the answer does not validate, after a repair: {problems}") from None


async def _call(job: Job, key: str, messages: list[Message]) -> str:
    """A call to the model, or to the next of its fallbacks when one fails; to the cheaper of them
    alone where the governor falls back."""
    model, shape = job.request.model, job.request.shape
    options: dict[str, Any] = {
        "max_tokens": model.max_output_tokens,
        "timeout": model.timeout_seconds,
    }
    if shape is not None:
        options["response_format"] = shape.response_format
    if model.api_base is not None:
        options["api_base"] = model.api_base
    if model.api_key is not None:
        options["api_key"] = model.api_key.get_secret_value()
    if model.allow_untested_provider:
        options["allow_untested_provider"] = True
    with one_answer():
        reply = await _kept(messages, options, model.names) if len(model.names) > 1 else None
        if reply is None:
            reply = await _affordable_answer(job, messages, options)
    return _text(job, key, reply)


async def _kept(messages: list[Message], options: dict[str, Any], names: tuple[str, ...]) -> Any:
    """The reply that one of the models gave before, None where none did: what a fallback answered
    is not asked of the first model again."""
    with kept_only():
        for name in names:
            try:
                return await acompletion(name, messages, **options)
            except Exception:
                # NotKept, or what the call itself will say.
                continue
    return None


async def _affordable_answer(job: Job, messages: list[Message], options: dict[str, Any]) -> Any:
    """The answer of the run's models, or of the cheaper ones where the governor falls back."""
    model = job.request.model
    names = models_to_ask(model.names, price_of=model.price_of)
    try:
        reply = await _first_answer(messages, options, names)
    except OverBudget:
        cheaper = models_to_ask(model.names, price_of=model.price_of, refused=True)
        if cheaper == names:
            raise
        names = cheaper
        reply = await _first_answer(messages, options, names)
    job.fell_back += names != model.names
    return reply


async def _first_answer(
    messages: list[Message], options: dict[str, Any], names: tuple[str, ...]
) -> Any:
    failures: list[Exception] = []
    for name in names:
        try:
            return await acompletion(name, messages, **options)
        except CallRefused:
            raise
        except Exception as error:
            if not worth_another_model(error):
                raise
            failures.append(error)
    raise failure_of(failures)


def _text(job: Job, key: str, reply: Any) -> str:
    choice = reply.choices[0]
    text = choice.message.content or ""
    if choice.finish_reason == "length":
        job.notes[key] = (
            f"the answer was cut at {job.request.model.max_output_tokens:,} output tokens:"
            " raise --max-output-tokens for the whole of it"
        )
    if not text.strip():
        raise ItemFailed("the model answered with nothing")
    return str(text)


def _note_attempt(job: Job, key: str) -> None:
    context = TaskRunContext.get()
    job.attempts[key] = context.task_run.run_count if context else 1
    job.began.setdefault(key, time.monotonic())
    if len(job.began) >= job.first and not job.filled.done():
        job.filled.set_result(None)

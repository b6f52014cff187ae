"""The sub-agent that a fan-out maps over its items: one document, one answer."""

import asyncio
import json
import time
from contextlib import suppress
from typing import Any

from prefect import task
from prefect.context import TaskRunContext

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.context.waits import wait_async
from prefect_governor.blocks.machine.stops import check_not_stopped, under
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.parts import parts_beside
from prefect_governor.flows.run.job import TAG, Job, Request, current_job
from prefect_governor.flows.run.outcomes import kept_record
from prefect_governor.flows.subagent.asking import ModelAnswer, ask_model, ask_to_read
from prefect_governor.flows.subagent.prompt import (
    VERSION,
    Message,
    combining_messages,
    first_messages,
    repair_messages,
)
from prefect_governor.flows.subagent.retrying import RETRYING
from prefect_governor.flows.subagent.tool_prompt import VERSION as WITH_TOOLS
from prefect_governor.flows.subagent.working import answer_with_tools, quoting_messages
from prefect_governor.flows.subagent.workplace import snapshots_of

# Texts that are hashed in less time than a thread takes.
_SHORT_CHARACTERS = 65_536


@task(name="sub-agent", task_run_name="{key}", tags=[TAG], **RETRYING)
async def sub_agent(key: str, position: int) -> Any:
    """Answer the run's question about one item.

    Raises ItemFailed for an item that cannot be read or is too long, BadAnswer where its answer did
    not end well or does not validate; CallRefused and the provider's own errors as they come.
    """
    job = current_job.get()
    assert job is not None, "sub_agent runs in a fan-out only"
    context = TaskRunContext.get()
    return await answer_item(job, position, context.task_run.run_count if context else 1)


async def answer_item(job: Job, position: int, attempt: int) -> Any:
    """`sub_agent` for one attempt, counted from 1, in whatever task run."""
    key = job.items[position].key
    _note_attempt(job, key, attempt)
    here = Scope(
        governor=job.runtime,
        tags=(TAG,),
        run_id=job.kept_as,
        item=key,
        retry_failed=job.control.retry_failed,
    )
    with scope(here), under(job.control.stop):
        try:
            return await _answer_and_keep(job, position)
        except Exception as error:
            job.control.heed(error)
            raise
        finally:
            job.waited[key] = job.waited.get(key, 0.0) + here.spent.waited_seconds


def prompts_of(request: Request) -> str:
    """Names what a request's questions are asked with."""
    return VERSION if request.kit is None else f"{VERSION}/{WITH_TOOLS}"


async def _answer_and_keep(job: Job, position: int) -> Any:
    item = job.items[position]
    key = item.key
    check_not_stopped()
    # A file is read, and perhaps parsed, beside the loop; a text is there.
    document = (
        job.document(item) if item.text is not None else await asyncio.to_thread(job.document, item)
    )
    if left := job.fill.left():
        with suppress(asyncio.TimeoutError):
            await asyncio.wait_for(wait_async(job.fill.ended), left)
    if job.request.kit is None:
        result = await _answer(job, key, document.text)
        input_hash = await _input_hash(job, item, document.text)
    else:
        input_hash = await _input_hash(job, item, document.text)
        result = await _answer_with_kit(job, item, document.text, input_hash)
    record = kept_record(result, job.notes.get(key), job.endings.get(key), job.files.record(key))
    kept = job.control.answers_as or job.kept_as
    await wait_async(
        job.runtime.desk.write(lambda batch: batch.rows.put_item(kept, key, input_hash, record))
    )
    if job.request.kit is not None:
        # Not before: whoever went on without its answer would run its programs again.
        await asyncio.to_thread(snapshots_of(job.kept_as, key).remove)
    return result


async def _input_hash(job: Job, item: Item, text: str) -> str:
    # Of a folder all is read, and a long text takes its time.
    if item.folder is None and len(text) <= _SHORT_CHARACTERS:
        return job.input_hash(item, text)
    return await asyncio.to_thread(job.input_hash, item, text)


async def _answer_with_kit(job: Job, item: Item, text: str, input_hash: str) -> Any:
    request = job.request
    if not is_offline(request.model.name):
        return await answer_with_tools(job, item, text, input_hash)
    if item.folder is None:
        return await _answer(job, item.key, text)
    messages = await asyncio.to_thread(quoting_messages, request.ask, item)
    return await _ask(job, item.key, messages)


async def _answer(job: Job, key: str, text: str) -> Any:
    request = job.request
    schema = request.shape.schema if request.shape else None
    parts = await parts_beside(request.model, text)
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
    request = job.request
    value: Any
    if request.shape is None:
        answer = await ask_model(request.model, messages, **_options(job))
        value = answer.text
    else:
        value, answer = await ask_to_read(
            request.model,
            messages,
            read=request.shape.read,
            repair=repair_messages,
            wrong="the answer does not validate",
            response_format=request.shape.response_format,
            **_options(job),
        )
    _take_note(job, key, answer)
    return value


def _options(job: Job) -> dict[str, Any]:
    def fell_back() -> None:
        job.fell_back += 1

    return {"fell_back": fell_back, "accept": job.request.accept}


def _take_note(job: Job, key: str, answer: ModelAnswer) -> None:
    if answer.note is not None:
        job.notes[key] = answer.note
        job.endings[key] = answer.ending.kind


def _note_attempt(job: Job, key: str, attempt: int) -> None:
    job.attempts[key] = attempt
    if key not in job.began:
        job.began[key] = time.monotonic()
        job.fill.began()

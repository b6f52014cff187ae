# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: disable-error-code="arg-type,call-overload,misc,no-any-return,return-value"
# mypy: disable-error-code="attr-defined,list-item,operator,unused-coroutine,var-annotated"
"""`python -m tests.integration.runner.stalls`: programs that would wait for themselves for ever.

A warm parent that has imported everything and opened nothing. It is told the name of one, runs it
in a child that it forks, and that tells what came of it: an error's text, or what it gave.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import sys
from typing import Any, NoReturn

from prefect import flow, task
from prefect.utilities.annotations import quote

from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.flows.runner import GovernedTaskRunner
from tests.integration.governing import HELLO, MODEL
from tests.talk import tell


def governor(name: str, **limit: Any) -> Governor:
    return Governor.local(f"stalls-{name}", max_usd=1, limits=[Limit(**limit)])


async def until_held(under: Governor) -> None:
    """Until somebody else holds something under it, and a little longer."""
    runtime = under.runtime
    store, account = runtime.desk.store, runtime.accounts_[0].key

    def held() -> bool:
        # Other tests have left calls of their own in the ledger. A task's slot costs nothing.
        gates = [store.read_gate(each.key) for each in runtime.limits_]
        return any(gate is not None and gate.in_flight for gate in gates) or bool(
            store.read_calls(("reserved",), account=account)
        )

    while not held():
        await asyncio.sleep(0.02)
    await asyncio.sleep(0.1)


CALLS = {"max_tokens": 20}
# Far more than any of them takes.
WATCHDOG_SECONDS = 30


@task(tags=["llm"])
async def called(text: str = "hello") -> str:
    from prefect_governor import acompletion

    reply = await acompletion(MODEL, [{"role": "user", "content": text}], **CALLS)
    return str(reply.choices[0].message.content)


@task(tags=["llm"])
async def called_blocking(under: Governor) -> str:
    from prefect_governor import completion

    await until_held(under)
    return str(completion(MODEL, HELLO, **CALLS).choices[0].message.content)


def child_waited_for_on_the_loop() -> Any:
    """One async task has a call in flight, another blocks their loop for a child that calls."""

    under = governor("child", tag="llm", max_concurrent=1)

    @task(tags=["llm"])
    async def parent() -> str:
        await until_held(under)
        return called.submit("child").result()

    @flow(task_runner=GovernedTaskRunner(under))
    def work() -> Any:
        states = [called.submit("first"), parent.submit()]
        return [each.result(raise_on_failure=False) for each in states]

    return work()


def task_slots_and_a_child() -> Any:
    """The same with a limit that counts tasks."""

    @task(tags=["cpu"])
    async def busy() -> str:
        await asyncio.sleep(1)
        return "busy"

    @task(tags=["cpu"])
    async def child() -> str:
        return "child"

    @task
    async def parent() -> str:
        await until_held(under)
        return child.submit().result()

    under = governor("tasks", tag="cpu", max_concurrent=1, counts="tasks")

    @flow(task_runner=GovernedTaskRunner(under))
    def work() -> Any:
        states = [busy.submit(), parent.submit()]
        return [each.result(raise_on_failure=False) for each in states]

    return work()


def blocking_call_in_async_code() -> Any:
    """An async task calls with the synchronous function, while others' calls are in flight."""

    under = governor("sync", tag="llm", max_concurrent=1)

    @flow(task_runner=GovernedTaskRunner(under))
    def work() -> Any:
        states = [called.submit("first"), called_blocking.submit(quote(under))]
        return [each.result(raise_on_failure=False) for each in states]

    return work()


def blocking_call_and_little_money() -> Any:
    """No cap, and money for one call at its bound."""
    under = Governor.local("stalls-money", max_usd="0.000025")

    @flow(task_runner=GovernedTaskRunner(under))
    def work() -> Any:
        states = [called.submit("first"), called_blocking.submit(quote(under))]
        return [each.result(raise_on_failure=False) for each in states]

    return work()


def call_while_a_stream_is_read() -> Any:
    """A stream holds the one slot, and who reads it asks for another before its end."""
    from prefect_governor import acompletion

    async def read() -> Any:
        async with governor("stream", max_concurrent=1):
            stream = await acompletion(MODEL, HELLO, max_tokens=20, stream=True)
            async for _ in stream:
                await acompletion(MODEL, HELLO, **CALLS)
        return "read"

    return asyncio.run(read())


def call_while_a_stream_is_read_in_a_thread() -> Any:
    """The same, synchronous."""
    from prefect_governor import completion

    with governor("stream-sync", max_concurrent=1):
        for _ in completion(MODEL, HELLO, max_tokens=20, stream=True):
            completion(MODEL, HELLO, **CALLS)
    return "read"


def sync_flow_in_an_async_one() -> Any:
    """A sync flow waits for its tasks on the loop of the async flow that it was called in, while
    calls of that are in flight."""
    under = governor("flows", tag="llm", max_concurrent=1)

    @flow(task_runner=GovernedTaskRunner())
    def inner() -> Any:
        return [each.result(raise_on_failure=False) for each in called.map(["a", "b"])]

    @flow
    async def outer() -> Any:
        async with under:
            first = asyncio.create_task(under.acompletion(MODEL, HELLO, tags=("llm",), **CALLS))
            await until_held(under)
            found = inner()
            await first
            return found

    return asyncio.run(outer())


PROGRAMS = {
    each.__name__: each
    for each in (
        child_waited_for_on_the_loop,
        task_slots_and_a_child,
        blocking_call_in_async_code,
        blocking_call_and_little_money,
        call_while_a_stream_is_read,
        call_while_a_stream_is_read_in_a_thread,
        sync_flow_in_an_async_one,
    )
}


def run(name: str) -> NoReturn:
    # One that waits for itself ends here, whatever it blocks.
    signal.alarm(WATCHDOG_SECONDS)
    try:
        tell(repr(PROGRAMS[name]()))
    except BaseException as error:
        tell(f"{type(error).__name__}: {error}")
    finally:
        os._exit(0)


def main() -> None:
    litellm()
    tell("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            tell(f"it never ended ({status})")


if __name__ == "__main__":
    main()

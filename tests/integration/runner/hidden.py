# Prefect types what an async task's future gives as a coroutine; it gives the result.
# mypy: disable-error-code="arg-type,attr-defined,call-arg,call-overload,misc,operator,return-value"
# mypy: disable-error-code="union-attr,no-any-return,list-item,var-annotated"
"""`python -m tests.integration.runner.hidden`: work under a Prefect that lacks one private name.

A warm parent that has imported Prefect and LiteLLM, and of the package only the look-up of names.
It is told a name, forks a child that does not find it, and there imports the package and does some
work. What is told: what came of the work, and the warnings.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import sys
import threading
import time
from typing import Any, NoReturn
from uuid import uuid4

import litellm  # noqa: F401
import prefect.flow_engine
import prefect.server.schemas.responses  # noqa: F401
from prefect import flow, task

from prefect_governor.blocks.prefect_internals import names
from tests.talk import tell

# Far more than any of it takes.
WATCHDOG_SECONDS = 60


def hide(hidden: str) -> list[str]:
    """Nothing of Prefect has the name from here on; gives the list of what is warned of."""
    known = names._member

    def member(owner: Any, name: str) -> Any:
        if name == hidden:
            raise AttributeError(name)
        return known(owner, name)

    names._member = member
    is_there = names._is_there
    names._is_there = lambda file: file.stem != hidden and is_there(file)
    warned: list[str] = []

    class Listener(logging.Handler):
        def emit(self, record: logging.LogRecord) -> None:
            warned.append(record.getMessage())

    names.logger.addHandler(Listener())
    return warned


def tasks_run() -> dict[str, Any]:
    """Under a governor whose limit counts tasks: futures of all kinds, a retry, timeouts."""
    from prefect.utilities.annotations import quote

    from prefect_governor import GovernedTaskRunner, Governor, Limit

    counted, most, lock = 0, 0, threading.Lock()
    tries: list[int] = []

    @task
    async def twice(number: int) -> int:
        return 2 * number

    @task
    def added(first: int, others: list[int]) -> int:
        return first + sum(others)

    @task(tags=["counted"])
    def at_work() -> None:
        nonlocal counted, most
        with lock:
            counted += 1
            most = max(most, counted)
        time.sleep(0.05)
        with lock:
            counted -= 1

    @task(retries=1, retry_delay_seconds=0)
    def tried() -> int:
        tries.append(len(tries))
        if len(tries) == 1:
            raise ValueError("once")
        return len(tries)

    @task(timeout_seconds=0.5)
    def slow() -> None:
        until = time.monotonic() + 0.8
        while time.monotonic() < until:
            time.sleep(0.01)

    @task(timeout_seconds=0.5)
    async def late() -> None:
        await asyncio.sleep(30)

    @task
    async def waits_in_it(number: int) -> int:
        return await twice.submit(number)

    @flow(task_runner=GovernedTaskRunner(
        Governor.local(
            f"hidden-{uuid4().hex[:8]}", max_usd=1,
            limits=[Limit(tag="counted", max_concurrent=2, counts="tasks")],
        )
    ))  # fmt: skip
    def work() -> dict[str, Any]:
        numbers = [twice.submit(each) for each in range(3)]
        busy = [at_work.submit() for _ in range(6)]
        late_ones = [slow.submit(), late.submit()]
        found = added.submit(numbers[0], numbers[1:]).result()
        for each in [*busy, *late_ones]:
            each.wait()
        return {
            "added": found,
            "nested": waits_in_it.submit(4).result(),
            "quoted": task(lambda value: type(value).__name__).submit(quote([1])).result(),
            "tries": tried.submit().result(),
            "timed out": [each.state.name for each in late_ones],
            "at once": most,
        }

    return work()


TASKS_RUN = {
    "added": 6,
    "nested": 8,
    "quoted": "list",
    "tries": 2,
    "timed out": ["TimedOut", "TimedOut"],
    "at once": 2,
}


def blocks_are_used() -> dict[str, Any]:
    """A saved budget, a governor that draws on it, and the load of both."""
    from prefect_governor import Budget, Governor
    from prefect_governor.blocks.governor import resolve

    name = f"hidden-{uuid4().hex[:8]}"
    budget = Budget(max_usd=2)
    budget.save(name, _sync=True)
    Governor(budget=budget).save(name, _sync=True)
    loaded = resolve(name)
    with loaded.reserve(max_usd="0.5") as spend:
        spend.settle("0.25")
    schema = Governor.model_json_schema()
    return {
        "drawn": Budget.load(name, _sync=True).state().spent_nano,
        "parent": loaded.budget.parent == name,
        "references": schema["block_schema_references"],
    }


BLOCKS_ARE_USED = {"drawn": 250_000_000, "parent": True, "references": {}}


def items_are_asked() -> dict[str, Any]:
    """The ready flow, and a report of tasks of which one was skipped."""
    from prefect_governor import Item, fan_out, publish_report

    @task
    async def fails() -> None:
        raise ValueError("no")

    @task
    async def after(_: Any) -> None:
        return None

    @flow
    def reported() -> Any:
        first = fails.submit()
        return publish_report([first, after.submit(first)], keys=["first", "second"])

    report = fan_out(
        [Item(key=key, text=f"the {key} of things") for key in "ab"],
        ask="What is it?", model="offline/extract",
    )  # fmt: skip
    state = reported(return_state=True)
    return {
        "outcome": report.outcome,
        "keys": [each.key for each in report.items],
        "state": state.type.value,
        "skipped": "1 skipped" in str(state.message),
    }


ITEMS_ARE_ASKED = {"outcome": "complete", "keys": ["a", "b"], "state": "FAILED", "skipped": True}


def a_server_is_known() -> dict[str, Any]:
    """The server that is there is used, and what one would be started with."""
    from prefect.settings import get_current_settings

    from prefect_governor.blocks.machine.home import state_folder
    from prefect_governor.flows.server.background import BackgroundServer, ServerInfo
    from prefect_governor.flows.server.server import use_server

    url = str(get_current_settings().api.url)
    use_server(ServerInfo(url=url, ui_url=url))
    environment = BackgroundServer(state_folder())._environment(4200)
    return {
        "url": os.environ["PREFECT_API_URL"] == url,
        "home": environment["PREFECT_HOME"] == os.environ["PREFECT_HOME"],
    }


def a_start_fails() -> dict[str, Any]:
    """A flow whose governor does not load."""
    from prefect_governor import GovernedTaskRunner
    from prefect_governor.blocks.errors import ConfigurationError

    @flow(task_runner=GovernedTaskRunner("a-governor-that-nobody-saved"))
    def empty() -> None:
        raise AssertionError("its function is not called")

    try:
        empty()
    except ConfigurationError as error:
        return {"named": "nobody-saved" in str(error)}
    return {}


A_START_FAILS = {"named": True}


A_SERVER_IS_KNOWN = {"url": True, "home": True}

# Of each kind of work, what is expected of it.
WORK = {
    "tasks": (tasks_run, TASKS_RUN),
    "blocks": (blocks_are_used, BLOCKS_ARE_USED),
    "items": (items_are_asked, ITEMS_ARE_ASKED),
    "server": (a_server_is_known, A_SERVER_IS_KNOWN),
    "starts": (a_start_fails, A_START_FAILS),
}


def run(name: str, kind: str) -> NoReturn:
    # What waits for ever ends here.
    signal.alarm(WATCHDOG_SECONDS)
    warned = hide(name)
    try:
        work, expected = WORK[kind]
        found = work()
        tell({"found": found, "expected": expected, "warned": warned})
    except BaseException as error:
        tell({"found": f"{type(error).__name__}: {error}", "expected": None, "warned": warned})
    finally:
        os._exit(0)


def main() -> None:
    tell("ready")
    for line in sys.stdin:
        pid = os.fork()
        if pid == 0:
            run(*json.loads(line))
        status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
        if status:
            tell({"found": f"it never ended ({status})", "expected": None, "warned": []})


if __name__ == "__main__":
    main()

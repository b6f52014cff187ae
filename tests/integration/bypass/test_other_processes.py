"""What a flow submits inside a governor's scope is governed in the processes that it runs in."""

import asyncio
import os
from typing import Any

import httpx
import pytest
from prefect import flow, task
from prefect.task_runners import ProcessPoolTaskRunner

from prefect_governor import Governor, Limit
from prefect_governor.blocks.work.ledgers import desk
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("server", "home")]


def ask(at: int) -> int:
    """By a client that knows of no governor. Returns its process, or less than 0 with the status
    where it is refused."""
    reply = httpx.post(
        os.environ["OPENAI_API_BASE"] + "/chat/completions",
        json={
            "model": "gpt-4o-mini",
            "messages": [{"role": "user", "content": f"call {at}: who pays?"}],
            "max_tokens": 20,
        },
        headers={"authorization": "Bearer sk-other"},
        timeout=60,
    )
    return os.getpid() if reply.is_success else -reply.status_code


async def ask_async(at: int) -> int:
    return await asyncio.to_thread(ask, at)


asked = task(name="asked", tags=["llm"])(ask)
asked_async = task(name="asked-async")(ask_async)


def test_the_scope_of_a_flow_goes_along_to_its_tasks_processes(upstream: ProviderProcess) -> None:
    governor = Governor.local(
        "elsewhere", max_usd="0.001", limits=[Limit(tag="llm", max_concurrent=1)]
    )

    runner: Any = ProcessPoolTaskRunner(max_workers=1)

    @flow(name="elsewhere", task_runner=runner)
    def submits() -> tuple[list[Any], list[Any], list[Any]]:
        def ends() -> list[Any]:
            futures = [each.submit(at) for at in range(2) for each in (asked, asked_async)]
            return [each.result(raise_on_failure=False) for each in futures]

        outside = ends()
        assert desk().store.read_spend("task", {}) == {}, "nobody governs what no scope is around"
        with governor.activate(tags=("night",), user="ann"):
            inside = ends()
        with Governor.local("too-poor", max_usd="0.000001"):
            refused = ends()
        return outside, inside, refused

    outside, inside, refused = submits()
    assert min(*outside, *inside) > 0, (outside, inside)
    assert os.getpid() not in inside
    assert refused == [-402] * 4
    stats = upstream.settled_stats()
    assert stats["requests"] == 8
    spend = desk().store.read_spend
    by_task = spend("task", {})
    assert {name: each.calls for name, each in by_task.items()} == {"asked": 2, "asked-async": 2}
    # Equal calls, of which half had a governor.
    assert sum(each.spent_nano for each in by_task.values()) == stats["billed_nano"] / 2 > 0
    assert set(spend("user", {})) == {"ann"}
    assert "night" in spend("tag", {})
    assert set(spend("flow", {})) == {"elsewhere"}

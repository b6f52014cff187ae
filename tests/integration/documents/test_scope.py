"""Governors at work in code: a script's own, one in another, around tasks."""

import os
import subprocess
import sys
import textwrap
from pathlib import Path
from typing import Any, cast

import pytest
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_governor import Budget, Governor, Limit, acompletion, completion, governed
from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.documents.documents import accounts_of
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.work.runtime import Runtime
from tests.integration.governing import HELLO, MODEL
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


def test_script_with_a_local_governor_needs_no_server(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    program = f"""
        from prefect_governor import Governor, Limit, completion
        governor = Governor.local("scratch", max_usd=1, limits=[Limit(max_concurrent=2)])
        with governor:
            reply = completion({MODEL!r}, {HELLO!r}, max_tokens=9)
        assert reply.choices[0].message.content
        print(governor.runtime.desk.store.read_purse("local/scratch")[1].spent_nano)
    """
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "home")}
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == upstream.settled_stats()["billed_nano"] > 0
    # Neither a server of ours nor one that Prefect starts for whoever asks its API.
    assert not (tmp_path / "home" / "governor" / "server.json").exists()
    assert not (tmp_path / "home" / "prefect.db").exists()


def test_governors_nest_and_the_outer_one_comes_back(name: str) -> None:
    outer = Governor.local(f"{name}-outer", max_usd=1)
    inner = Governor.local(f"{name}-inner", max_usd=1)

    def at_work() -> str | None:
        here = current_scope.get()
        return None if here is None else cast(Runtime, here.governor).name

    with outer:
        assert at_work() == f"{name}-outer"
        with inner:
            assert at_work() == f"{name}-inner"
            with outer:
                assert at_work() == f"{name}-outer"
            assert at_work() == f"{name}-inner"
        with pytest.raises(ValueError, match="x"), inner:
            raise ValueError("x")
        assert at_work() == f"{name}-outer"
    assert at_work() is None


async def test_async_with_governs_the_calls_in_it(name: str, upstream: ProviderProcess) -> None:
    governor = Governor.local(name, max_usd=1)
    async with governor:
        await acompletion(MODEL, HELLO, max_tokens=9)
    assert current_scope.get() is None
    known = governor.runtime.desk.store.read_purse(f"local/{name}")
    assert known is not None
    assert known[1].spent_nano == upstream.settled_stats()["billed_nano"] > 0


def test_governed_tasks_under_prefects_own_runner(name: str, upstream: ProviderProcess) -> None:
    Governor(budget=Budget(max_usd=1), limits=[Limit(tag="llm", max_concurrent=3)]).save(name)
    upstream.configure(latency_seconds=0.1)

    @task(tags=["llm"])
    @governed(name, user="ann")
    def in_a_thread(at: int) -> str:
        reply = completion(MODEL, HELLO, max_tokens=9)
        return str(reply.choices[0].message.content)

    @task(tags=["llm"])
    @governed(name, user="bob")
    async def on_a_loop(at: int) -> str:
        reply = await acompletion(MODEL, HELLO, max_tokens=9)
        return str(reply.choices[0].message.content)

    runner: Any = ThreadPoolTaskRunner(max_workers=8)

    @flow(name="governed-tasks", task_runner=runner)
    def work() -> list[Any]:
        threads, loops = in_a_thread.map(range(8)), on_a_loop.map(range(8))
        return [*threads.result(), *loops.result()]

    assert len(work()) == 16
    stats = upstream.settled_stats()
    assert stats["requests"] == 16
    assert stats["max_open"] <= 3
    _, (account,) = accounts_of(name)
    spent = load_governor(name).runtime.desk.store.read_spend("user", {}, account=account.key)
    assert {user: each.calls for user, each in spent.items()} == {"ann": 8, "bob": 8}
    assert sum(each.spent_nano for each in spent.values()) == stats["billed_nano"]
    tasks = load_governor(name).runtime.desk.store.read_spend("task", {}, account=account.key)
    assert set(tasks) == {"in_a_thread", "on_a_loop"}
    by_flow = load_governor(name).runtime.desk.store.read_spend("flow", {}, account=account.key)
    assert by_flow["governed-tasks"].calls == 16

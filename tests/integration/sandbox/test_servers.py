"""MCP servers that are programs: each in a sandbox, a hostile one ends alone with its reason."""

import asyncio
import json
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest

from prefect_governor.blocks import sandbox as block
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.sandbox import Sandbox
from prefect_governor.blocks.sandboxes.docker import runtime
from prefect_governor.blocks.workspaces.places import sweep
from prefect_governor.flows.agent.tools import Tool
from prefect_governor.flows.mcp import quarters, sessions
from prefect_governor.flows.mcp.servers import servers_of
from prefect_governor.flows.mcp.serving import Serving, ready_serving
from tests import ROOT
from tests.engine import IMAGE, NoEngine, containers, shared, skip_loudly
from tests.integration.sandbox.left import groups_of, processes_of
from tests.integration.sandbox.runtimes import runtime_named
from tests.unit.flows.mcp import programs
from tests.waiting import readable, until

PROGRAM = Path(programs.__file__)
HOSTILE = {
    "one endless line": "a line above 4 MiB",
    "garbage": "more than 100 lines that are no messages",
    "empty lines": "more than 5,000 lines",
    "small messages": "more than 5,000 lines",
    "messages without end": "output above 8,192 KiB",
    "fork bomb": "more than 16 processes",
    "memory": "out of memory at 128 MiB",
    "exit": "its program ended with 7: no licence was found",
    "silence": "it does not answer",
    "disk": "workspace full at 64 MiB",
    "network": "Network is unreachable",
}


@pytest.fixture(params=["bubblewrap", pytest.param("docker", marks=pytest.mark.docker)])
def sandbox(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[Sandbox]:
    bounds: dict[str, Any] = {"memory_mib": 128, "processes": 16}
    if request.param == "bubblewrap":
        runtime_named("bubblewrap")
        yield Sandbox(runtime="bubblewrap", **bounds)
        return
    try:
        engine = shared()
    except NoEngine as error:
        skip_loudly(f"NOT TESTED, no Docker engine: {error}")
    # Closed with the test.
    monkeypatch.setattr(runtime, "_shared", {})
    monkeypatch.setattr(block, "_proved", {})
    yield Sandbox(runtime="docker", image=IMAGE, host=engine.host, **bounds)
    runtime.shared(IMAGE, engine.host, None).close()
    monkeypatch.undo()
    assert engine.containers() == []


def told(**more: Any) -> dict[str, Any]:
    return {"command": "python3", "args": ["programs.py"], "cwd": str(PROGRAM.parent), **more}


def serving_of(sandbox: Sandbox, **servers: dict[str, Any]) -> Serving:
    return Serving(servers_of({"mcpServers": servers}, folder=ROOT), sandbox)


@asynccontextmanager
async def agent(serving: Serving) -> AsyncIterator[dict[str, Tool]]:
    async with serving.agent() as tools:
        yield {tool.name: tool for tool in tools}


async def said(tools: dict[str, Tool], name: str, what: str = "") -> str:
    return (await tools[name].call(json.dumps({"what": what}))).text


async def test_each_agent_has_a_program_of_its_own_without_a_key_and_with_what_was_named(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "key-of-the-host-4711")
    monkeypatch.setenv("DEPOT_KEY", "key-planted-for-it-4711")
    serving = serving_of(sandbox, own=told(env={"DEPOT_KEY": "${DEPOT_KEY}", "MODE": "quiet"}))
    here = sorted(each.name for each in PROGRAM.parent.iterdir())
    with serving.open():
        async with agent(serving) as one, agent(serving) as other:
            assert await said(one, "own__count") == "1 calls"
            assert await said(one, "own__write", "left.txt") == "2 calls"
            variables, files = json.loads(await said(one, "own__look"))
            assert await said(other, "own__count") == "1 calls"
            assert "left.txt" not in json.loads(await said(other, "own__look"))[1]
    # The last is what Python sets itself.
    names = {name for name, _ in variables} - {"LC_CTYPE"}
    assert names == {"PATH", "HOME", "TMPDIR", "PWD", "DEPOT_KEY", "MODE"}
    # It has the key; what it says of it goes back to the model without.
    assert "left.txt" in files and "4711" not in str(variables)
    assert sorted(each.name for each in PROGRAM.parent.iterdir()) == here
    assert not processes_of(os.getpid()) and not groups_of(os.getpid())


async def test_a_server_that_goes_beyond_a_bound_ends_alone_and_its_tools_say_which(
    sandbox: Sandbox, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_CALL_SECONDS", 3.0)
    monkeypatch.setattr(quarters, "OUTPUT_KIB", 8 * 1024)
    serving = serving_of(sandbox, own=told())
    with serving.open():
        async with agent(serving) as good:
            assert await said(good, "own__count") == "1 calls"
            for what, why in HOSTILE.items():
                async with agent(serving) as bad:
                    answer = await said(bad, "own__misbehave", what)
                    assert answer.startswith("error: ") and why in answer, (what, answer)
                    if why.startswith("it does not"):
                        continue
                    again = await said(bad, "own__count")
                    assert why in again, (what, again)
            assert await said(good, "own__count") == "2 calls"
    assert not processes_of(os.getpid()) and not groups_of(os.getpid())


@pytest.mark.parametrize(
    ("command", "why"),
    [
        (["no-such-server"], "'no-such-server' cannot be started"),
        (["sh", "-c", "echo 'no licence' >&2; exit 3"], "ended with 3: no licence"),
        (["sleep", "60"], "does not answer in 2 s"),
    ],
    ids=["unknown", "ends at once", "silent"],
)
def test_a_server_that_does_not_come_is_named_with_its_reason_before_anything_is_spent(
    sandbox: Sandbox, command: Sequence[str], why: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sessions, "_CONNECT_SECONDS", 2.0)
    serving = serving_of(sandbox, own={"command": command[0], "args": [*command[1:]]})
    with pytest.raises(ConfigurationError, match=f"'own' cannot be connected to: .*{why}"):
        _ = serving.offers


async def test_an_agent_with_two_servers_takes_room_for_both_or_waits_with_none(
    sandbox: Sandbox,
) -> None:
    serving = serving_of(sandbox, one=told(), two=told())
    _ = serving.offers

    async def works() -> tuple[str, str]:
        async with agent(serving) as tools:
            first = await said(tools, "one__count")
            await asyncio.sleep(0)
            return first, await said(tools, "two__count")

    with serving.open():
        done = await asyncio.wait_for(asyncio.gather(*(works() for _ in range(3))), 60)
    assert done == [("1 calls", "1 calls")] * 3


def test_without_a_sandbox_a_program_is_refused_in_one_line(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("DOCKER_HOST", f"unix://{tmp_path}/none.sock")
    monkeypatch.setattr("prefect_governor.blocks.sandbox._proved", {})
    with pytest.raises(ConfigurationError, match="'own' is a program, which runs in a") as caught:
        ready_serving({"mcpServers": {"own": told()}}, folder=ROOT)
    assert "\n" not in str(caught.value) and "bubblewrap is not installed" in str(caught.value)


HOLDING = """
import asyncio, sys
from pathlib import Path
from prefect_governor.blocks.sandbox import Sandbox
from prefect_governor.flows.mcp.servers import servers_of
from prefect_governor.flows.mcp.serving import Serving

async def main(sandbox, servers):
    serving = Serving(servers_of(servers, folder=Path.cwd()), Sandbox(**sandbox))
    with serving.open():
        async with serving.agent() as tools:
            print(await tools[0].call("{}"), flush=True)
            await tools[-1].call('{"what": "silence"}')

asyncio.run(main(*map(eval, sys.argv[1:])))
"""


def test_servers_of_a_process_that_is_killed_end_with_it(sandbox: Sandbox) -> None:
    told_of = {name: getattr(sandbox, name) for name in ("runtime", "image", "host", "memory_mib")}
    servers = {"mcpServers": {"own": told()}}
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDING, repr(told_of), repr(servers)], stdout=subprocess.PIPE
    )
    try:
        assert holder.stdout is not None
        with holder.stdout:
            assert readable(holder.stdout, 90) and b"1 calls" in holder.stdout.readline()
            left = len(processes_of(holder.pid)) + len(containers())
            assert left
    finally:
        holder.kill()
        holder.wait()
    until(lambda: not processes_of(holder.pid) and not containers(), seconds=30)
    # What it wrote is removed by whoever begins next.
    until(lambda: sweep() > 0)

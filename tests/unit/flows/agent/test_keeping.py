"""A run that is gone on with asks what it asked before, whatever its tools would say by now."""

import itertools
import json
from typing import Any

from prefect_governor.flows.agent import loop
from prefect_governor.flows.agent.keeping import Elapsed, Keeping, Result
from prefect_governor.flows.agent.loop import Bounds, Turn, run_agent
from prefect_governor.flows.agent.tools import Tool, tool_of, tools_of
from tests.unit.flows.agent.test_loop import QUESTION, Script, calls, waits


class InMemory(Keeping):
    def __init__(self) -> None:
        self.records: dict[str, Result] = {}
        self.made = 0

    def kept(self, name: str) -> Result | None:
        return self.records.get(name)

    async def call(self, name: str, tool: Tool, arguments: str, elapsed: Elapsed) -> Result:
        self.made += 1
        result = Result(await tool.call(arguments), elapsed())
        await self.keep(name, result)
        return result

    async def keep(self, name: str, result: Result) -> None:
        self.records[name] = result


def ticking() -> Any:
    ticks = itertools.count(1)

    def now() -> int:
        """Another answer each time."""
        return next(ticks)

    return now


async def asked_with(keeping: Keeping | None, *, ids: str = "c") -> list[str]:
    """What the model was sent, call by call, without the ids that a client makes up."""
    turn = calls(("now", {}), ("now", {}))
    turn = Turn(turn.text, tuple((f"{ids}{each[0]}", *each[1:]) for each in turn.calls), 1)
    script = Script(turn, turn, Turn("done"))
    await run_agent(QUESTION, tools_of([NOW]), script, keeping=keeping)
    return [json.dumps([each.get("content") for each in messages]) for messages, _ in script.asked]


NOW = ticking()


async def test_what_tools_said_is_told_again_and_no_tool_is_called() -> None:
    keeping = InMemory()
    first = await asked_with(keeping)
    assert keeping.made == 4
    assert await asked_with(keeping, ids="other-") == first and keeping.made == 4
    # The control: without it each attempt is told something else.
    assert await asked_with(None) != await asked_with(None)


async def test_what_was_said_in_another_conversation_is_not_told_here() -> None:
    keeping = InMemory()
    await asked_with(keeping)
    script = Script(calls(("now", {})), Turn("done"))
    other = [{"role": "user", "content": "how many by now?"}]
    await run_agent(other, tools_of([NOW]), script, keeping=keeping)
    assert keeping.made == 5


async def test_that_a_tool_came_too_late_and_so_the_time_is_over_is_kept_as_well(
    monkeypatch: Any,
) -> None:
    monkeypatch.setattr(loop, "_LEAST_SECONDS", 0.05)
    keeping = InMemory()
    told = []
    for _ in range(2):
        script = Script(calls(("waits", {})), Turn("done"))
        await run_agent(
            QUESTION, tools_of([tool_of(waits)]), script, bounds=Bounds(seconds=0.05),
            keeping=keeping,
        )  # fmt: skip
        told.append([each.get("content") for each in script.asked[1][0]])
    assert told[0] == told[1] and keeping.made == 1
    assert "was still at it" in str(told[0][-2]) and "used up your time" in str(told[0][-1])

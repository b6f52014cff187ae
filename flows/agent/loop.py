"""The loop of an agent: ask the model, do what it asks for, until it answers or a bound is met."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any

from prefect_governor.blocks.errors import BadAnswer
from prefect_governor.flows.agent.evidence import Evidence
from prefect_governor.flows.agent.keeping import Elapsed, Keeping, NothingKept, Result, call_names
from prefect_governor.flows.agent.marking import marked
from prefect_governor.flows.agent.showing import Told
from prefect_governor.flows.agent.tools import Tool

Message = dict[str, Any]
# Asks the model: the messages, the tools, and whether it must answer without calling any.
Ask = Callable[[Sequence[Message], Sequence[Mapping[str, Any]], bool], Awaitable["Turn"]]

_ANSWER_NOW = (
    "You have used up your {what}. Answer now, from what you have found, and say what is missing."
)
_IN_WORDS = (
    "No tool can be called any more. Write your answer now, in words, from what stands above, and"
    " say what is missing."
)
# What a tool may take at least, in seconds, however late it is.
_LEAST_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Turn:
    """A model's reply. `calls` are (id, tool's name, arguments as JSON text)."""

    text: str
    calls: tuple[tuple[str, str, str], ...] = ()
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Bounds:
    """How much one agent may do.

    Attributes:
        turns: replies of the model, its answer included.
        tool_calls: calls of tools, together.
        tokens: billed tokens, input and output, after which it must answer.
        seconds: after which it must answer.
    """

    turns: int = 8
    tool_calls: int = 24
    tokens: int = 200_000
    seconds: float = 600.0


@dataclass
class Trace:
    """What an agent did: for its report, and for tests. `said` is the conversation so far, without
    its answer."""

    turns: int = 0
    tool_calls: int = 0
    tokens: int = 0
    tools: dict[str, int] = field(default_factory=dict)
    stopped_by: str | None = None
    said: list[Message] = field(default_factory=list)


async def run_agent(
    messages: Sequence[Message],
    tools: Mapping[str, Tool],
    ask: Ask,
    *,
    bounds: Bounds = Bounds(),
    evidence: Evidence | None = None,
    clock: Callable[[], float] = time.monotonic,
    trace: Trace | None = None,
    keeping: Keeping | None = None,
) -> str:
    """The agent's answer. `evidence` gets the lines that the model was given, after every cut: of a
    tool that came too late it was given none. `keeping` has what tools said in an earlier attempt,
    and keeps what they say now. What they say is marked as data.

    Tool calls of one reply are made at the same time; their results stand in the order in which
    they were asked for, so that the next request does not depend on which came first. Once a bound
    is met the model is asked to answer without tools, once.

    A tool that runs beyond the agent's time is left, and its call says so. A model that calls tools
    although it was told to answer is asked once more, with no tools at all.

    Raises BadAnswer where it answers with nothing; whatever `ask` raises.
    """
    trace = trace if trace is not None else Trace()
    trace.said = said = list(messages)
    keeping = keeping if keeping is not None else NothingKept()
    schemas = [tool.schema for tool in tools.values()]
    must_answer = not schemas
    began = clock()
    while True:
        spent = clock() - began
        met = _met(bounds, trace, spent)
        if met is not None and not must_answer and trace.turns:
            trace.stopped_by = met
            said.append({"role": "user", "content": _ANSWER_NOW.format(what=met)})
            must_answer = True
        turn = await ask(said, schemas, must_answer)
        trace.turns += 1
        trace.tokens += turn.tokens
        if turn.text.strip() and (not turn.calls or must_answer):
            return turn.text
        if not turn.calls or not schemas:
            raise BadAnswer("empty", "the agent answered with nothing")
        if must_answer:
            said.append({"role": "user", "content": _IN_WORDS})
            schemas = []
            continue
        names = call_names(said, turn.calls)
        said.append(_asked(turn))
        left = bounds.tool_calls - trace.tool_calls
        caller = _Caller(
            tools,
            trace,
            keeping,
            seconds=max(_LEAST_SECONDS, bounds.seconds - spent),
            elapsed=partial(_since, clock, began),
        )
        made = [
            asyncio.ensure_future(caller.result(name, call, spare=at < left))
            for at, (name, call) in enumerate(zip(names, turn.calls, strict=True))
        ]
        try:
            results = await asyncio.gather(*made)
        finally:
            # An error of ours ends the agent: nothing beside it runs on, or is paid for.
            for each in made:
                each.cancel()
        for (call_id, _, _), result in zip(turn.calls, results, strict=True):
            said.append({"role": "tool", "tool_call_id": call_id, "content": result.told.text})
            if evidence is not None:
                evidence.update(result.told.lines)
            # Where it was told so in an earlier attempt, the time of that one counts.
            began = min(began, clock() - result.seconds)


def _met(bounds: Bounds, trace: Trace, seconds: float) -> str | None:
    if trace.turns >= bounds.turns - 1:
        return "turns"
    if trace.tool_calls >= bounds.tool_calls:
        return "tool calls"
    if trace.tokens >= bounds.tokens:
        return "tokens"
    return "time" if seconds >= bounds.seconds else None


def _asked(turn: Turn) -> Message:
    return {
        "role": "assistant",
        "content": turn.text or None,
        "tool_calls": [
            {"id": call_id, "type": "function", "function": {"name": name, "arguments": arguments}}
            for call_id, name, arguments in turn.calls
        ],
    }


def _since(clock: Callable[[], float], began: float) -> float:
    return clock() - began


@dataclass(frozen=True)
class _Caller:
    """Makes the tool calls of one reply, each within `seconds`."""

    tools: Mapping[str, Tool]
    trace: Trace
    keeping: Keeping
    seconds: float
    elapsed: Elapsed

    async def result(self, kept_as: str, call: tuple[str, str, str], *, spare: bool) -> Result:
        _, name, arguments = call
        tool = self.tools.get(name)
        if not spare:
            return Result(Told("error: not called: you have used up your tool calls"))
        if tool is None:
            there = ", ".join(self.tools)
            return Result(Told(f"error: there is no tool {name!r}; there are: {there}"))
        self.trace.tool_calls += 1
        self.trace.tools[name] = self.trace.tools.get(name, 0) + 1
        result = self.keeping.kept(kept_as)
        if result is None:
            result = await self._in_time(kept_as, tool, arguments)
        told = Told(marked(result.told.text, source=name), result.told.lines)
        return Result(told, result.seconds)

    async def _in_time(self, kept_as: str, tool: Tool, arguments: str) -> Result:
        """What a tool says in time. One that does not end is told to, and not waited for."""
        called = asyncio.ensure_future(self.keeping.call(kept_as, tool, arguments, self.elapsed))
        try:
            await asyncio.wait({called}, timeout=self.seconds)
        finally:
            if not called.done():
                called.cancel()
        if not called.cancelled() and called.done():
            return called.result()
        what = f"error: {tool.name} was still at it after {self.seconds:,.0f} s, and was left"
        late = Result(Told(what), self.elapsed())
        await self.keeping.keep(kept_as, late)
        return late

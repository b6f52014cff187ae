"""The loop of an agent: ask the model, do what it asks for, until it answers or a bound is met."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from prefect_governor.blocks.errors import BadAnswer
from prefect_governor.flows.agent.evidence import Evidence
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
    """What an agent did: for its report, and for tests."""

    turns: int = 0
    tool_calls: int = 0
    tokens: int = 0
    tools: dict[str, int] = field(default_factory=dict)
    stopped_by: str | None = None


async def run_agent(
    messages: Sequence[Message],
    tools: Mapping[str, Tool],
    ask: Ask,
    *,
    bounds: Bounds = Bounds(),
    evidence: Evidence | None = None,
    clock: Callable[[], float] = time.monotonic,
    trace: Trace | None = None,
) -> str:
    """The agent's answer. `evidence` gets the lines that the model was given, after every cut: of a
    tool that came too late it was given none.

    Tool calls of one reply are made at the same time; their results stand in the order in which
    they were asked for, so that the next request does not depend on which came first. Once a bound
    is met the model is asked to answer without tools, once.

    A tool that runs beyond the agent's time is left, and its call says so. A model that calls tools
    although it was told to answer is asked once more, with no tools at all.

    Raises BadAnswer where it answers with nothing; whatever `ask` raises.
    """
    said = list(messages)
    trace = trace if trace is not None else Trace()
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
        said.append(_asked(turn))
        left = bounds.tool_calls - trace.tool_calls
        seconds = max(_LEAST_SECONDS, bounds.seconds - spent)
        results = await asyncio.gather(
            *(
                _result(tools, trace, call, spare=at < left, seconds=seconds)
                for at, call in enumerate(turn.calls)
            )
        )
        for (call_id, _, _), told in zip(turn.calls, results, strict=True):
            said.append({"role": "tool", "tool_call_id": call_id, "content": told.text})
            if evidence is not None:
                evidence.update(told.lines)


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


async def _result(
    tools: Mapping[str, Tool],
    trace: Trace,
    call: tuple[str, str, str],
    *,
    spare: bool,
    seconds: float,
) -> Told:
    _, name, arguments = call
    tool = tools.get(name)
    if not spare:
        return Told("error: not called: you have used up your tool calls")
    if tool is None:
        return Told(f"error: there is no tool {name!r}; there are: {', '.join(tools)}")
    trace.tool_calls += 1
    trace.tools[name] = trace.tools.get(name, 0) + 1
    return await _within(seconds, tool, arguments)


async def _within(seconds: float, tool: Tool, arguments: str) -> Told:
    """What a tool says in time. One that does not end is told to, and not waited for."""
    called = asyncio.ensure_future(tool.call(arguments))
    try:
        await asyncio.wait({called}, timeout=seconds)
    finally:
        if not called.done():
            called.cancel()
    if called.cancelled() or not called.done():
        return Told(f"error: {tool.name} was still at it after {seconds:,.0f} s, and was left")
    return called.result()

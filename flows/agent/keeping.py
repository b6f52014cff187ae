"""What tools said, kept: an agent that is gone on with is told what it was told before, so that it
asks what it asked before and no finished call is paid for again."""

import hashlib
import json
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from prefect_governor.flows.agent.showing import Told
from prefect_governor.flows.agent.tools import Tool

# How long the agent has been at work, in seconds.
Elapsed = Callable[[], float]


@dataclass(frozen=True, slots=True)
class Result:
    """What an agent was told when it had been at work for so many `seconds`: its time goes on from
    there."""

    told: Told
    seconds: float = 0.0


class Keeping(ABC):
    """Results by the names of their calls. A name stands for the whole conversation before it."""

    @abstractmethod
    def kept(self, name: str) -> Result | None:
        """What an earlier attempt was told; None where it was told nothing."""

    @abstractmethod
    async def call(self, name: str, tool: Tool, arguments: str, elapsed: Elapsed) -> Result:
        """What the tool says now, kept before it is told."""

    @abstractmethod
    async def keep(self, name: str, result: Result) -> None:
        """Keep what is told in place of a result that came too late."""


class NothingKept(Keeping):
    """Every call is made."""

    def kept(self, name: str) -> Result | None:
        return None

    async def call(self, name: str, tool: Tool, arguments: str, elapsed: Elapsed) -> Result:
        return Result(await tool.call(arguments), elapsed())

    async def keep(self, name: str, result: Result) -> None:
        return None


def call_names(
    said: Sequence[Mapping[str, Any]], calls: Sequence[tuple[str, str, str]]
) -> list[str]:
    """Names of a reply's calls, (id, tool's name, arguments) each: by all that was said before
    them and their place. Ids are no part of it: some clients make them up anew each time."""
    before = [_without_ids(message) for message in said]
    return [_hash([before, at, name, arguments]) for at, (_, name, arguments) in enumerate(calls)]


def _without_ids(message: Mapping[str, Any]) -> list[Any]:
    calls = [
        [call["function"]["name"], call["function"]["arguments"]]
        for call in message.get("tool_calls") or ()
    ]
    return [message["role"], message.get("content"), calls]


def _hash(value: Any) -> str:
    return hashlib.sha256(json.dumps(value).encode()).hexdigest()

"""The model of an agent that calls tools, asked turn by turn."""

from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any

from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.flows.agent.loop import Message, Turn
from prefect_governor.flows.subagent.asking import ModelAnswer, ask_model


class Turns:
    """Asks a model as `run_agent` does.

    `taken` are the answers that were taken though they did not end well, `last` is the latest one.
    `unusable` is as `ask_model` has it.
    """

    def __init__(
        self,
        model: ModelChoice,
        *,
        accept: Collection[str],
        fell_back: Callable[[], None] = lambda: None,
        unusable: Callable[[str], bool] = lambda text: False,
    ) -> None:
        self._model = model
        self._options: dict[str, Any] = {
            "accept": accept, "fell_back": fell_back, "unusable": unusable
        }  # fmt: skip
        self.taken: list[ModelAnswer] = []
        self.last: ModelAnswer | None = None

    async def __call__(
        self, messages: Sequence[Message], schemas: Sequence[Mapping[str, Any]], must_answer: bool
    ) -> Turn:
        options: dict[str, Any] = {"tools": list(schemas)} if schemas else {}
        if schemas and must_answer:
            # Those who hold tool calls in their messages want to be told of the tools all the same.
            options["tool_choice"] = "none"
        answer = await ask_model(self._model, messages, **self._options, **options)
        self.last = answer
        if answer.note is not None:
            self.taken.append(answer)
        return Turn(answer.text, answer.calls, answer.tokens)

    async def answer_to(
        self, messages: Sequence[Message], schemas: Sequence[Mapping[str, Any]]
    ) -> ModelAnswer:
        """An answer in words."""
        await self(messages, schemas, True)
        assert self.last is not None
        return self.last

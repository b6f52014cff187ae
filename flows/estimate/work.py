"""The calls that a run will make, counted from its real items. Reads them; calls nothing."""

import json
from collections.abc import Iterable
from dataclasses import dataclass

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.prices.tokens import count_tokens, encoding_of
from prefect_governor.flows.items.parts import parts_of
from prefect_governor.flows.items.sources import read_text
from prefect_governor.flows.run.job import Request
from prefect_governor.flows.subagent.prompt import Message, combining_messages, first_messages

# What OpenAI's chat models count beside the texts: for each message, and to begin the reply.
_PER_MESSAGE, _PER_REQUEST = 4, 3
# Without the model's own tokenizer a token is taken to be this many bytes.
_BYTES_PER_TOKEN = 4
# The bound that a call is reserved at, as promise P1 has it.
_BOUND_NUMERATOR, _BOUND_DENOMINATOR = 3, 2
_BOUND_MESSAGE, _BOUND_REQUEST = 16, 16
# Of JSON around the texts, in bytes: names of fields, quotes, the model.
_BODY_BYTES = 300


@dataclass(frozen=True, slots=True)
class PlannedCall:
    """A call of a sub-agent.

    Attributes:
        input_tokens: what the tokenizer counts of it, or its bytes stand for.
        bound_tokens: the most that a provider can count of it.
        answers: so many answers of calls before it are part of its input besides.
    """

    input_tokens: int
    bound_tokens: int
    answers: int = 0


@dataclass(frozen=True, slots=True)
class PlannedItem:
    """An item that can be read, and its calls in order: one, or one a part and one that combines
    their answers. The calls of one item follow each other."""

    key: str
    calls: tuple[PlannedCall, ...]


@dataclass(frozen=True)
class Work:
    """All of a run's items. `unreadable`: those that would fail, each with its reason.

    `prompt_tokens`: a first call without its document.
    """

    items: tuple[PlannedItem, ...]
    unreadable: tuple[tuple[str, str], ...]
    prompt_tokens: int

    @property
    def calls(self) -> list[PlannedCall]:
        return [call for item in self.items for call in item.calls]

    @property
    def longest(self) -> int:
        """The most calls that one item makes, one after another."""
        return max((len(item.calls) for item in self.items), default=0)


def plan_work(request: Request) -> Work:
    """Read every item of a request and count the calls about it."""
    planned: list[PlannedItem] = []
    unreadable: list[tuple[str, str]] = []
    for item in request.items:
        try:
            calls = _calls(request, item.key, read_text(item).text)
        except ItemFailed as error:
            unreadable.append((item.key, str(error)))
        else:
            planned.append(PlannedItem(item.key, tuple(calls)))
    return Work(tuple(planned), tuple(unreadable), prompt_tokens(request))


def prompt_tokens(request: Request) -> int:
    """Tokens of a first call's messages without their document."""
    return _counted(request, first_messages(request.ask, key="", text="", schema=_schema(request)))[
        0
    ]


def _calls(request: Request, key: str, text: str) -> Iterable[PlannedCall]:
    parts = parts_of(request.model, text)
    schema = _schema(request)
    for at, part in enumerate(parts, start=1):
        named = f"part {at} of {len(parts)}" if len(parts) > 1 else None
        messages = first_messages(request.ask, key=key, text=part, schema=schema, part=named)
        yield PlannedCall(*_counted(request, messages))
    if len(parts) > 1:
        messages = combining_messages(
            request.ask, key=key, answers=[""] * len(parts), schema=schema
        )
        tokens, bound = _counted(request, messages)
        # An answer may be counted dearer as input than it was as output.
        most = len(parts) * request.model.max_output_tokens
        bound += most * _BOUND_NUMERATOR // _BOUND_DENOMINATOR
        yield PlannedCall(tokens, bound, answers=len(parts))


def _counted(request: Request, messages: list[Message]) -> tuple[int, int]:
    """What is counted of a call, and the most that a provider can count of it."""
    texts = [str(message["content"]) for message in messages]
    if request.shape is not None:
        texts.append(json.dumps(request.shape.response_format))
    size = sum(len(text.encode()) for text in texts)
    beside = _PER_REQUEST + _PER_MESSAGE * len(messages)
    room = _BOUND_REQUEST + _BOUND_MESSAGE * len(messages)
    encoding = encoding_of(request.model.name)
    if encoding is None:
        return size // _BYTES_PER_TOKEN + beside, size + _BODY_BYTES + room
    local = sum(count_tokens(text, encoding) for text in texts)
    bound = min(size + _BODY_BYTES, -(-local * _BOUND_NUMERATOR // _BOUND_DENOMINATOR))
    return local + beside, bound + room


def _schema(request: Request) -> dict[str, object] | None:
    return request.shape.schema if request.shape else None

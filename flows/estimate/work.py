"""The calls that a run will make, counted from its real items. Reads them; calls nothing."""

import json
from collections.abc import Iterable
from dataclasses import dataclass
from decimal import Decimal

from prefect_governor.blocks.errors import ItemFailed
from prefect_governor.blocks.prices.tokens import count_tokens, encoding_of
from prefect_governor.flows.agent.offline import is_offline
from prefect_governor.flows.estimate.loops import LIKELY_CALLS, SPREAD, likely_calls, most_calls
from prefect_governor.flows.estimate.planned import Planned, PlannedCall
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.parts import parts_of
from prefect_governor.flows.items.sources import read_text
from prefect_governor.flows.run.job import Request
from prefect_governor.flows.subagent.prompt import Message, combining_messages, first_messages
from prefect_governor.flows.subagent.tool_prompt import tool_messages
from prefect_governor.flows.subagent.working import BOUNDS, quoting_messages

# What OpenAI's chat models count beside the texts: for each message, and to begin the reply.
_PER_MESSAGE, _PER_REQUEST = 4, 3
# Without the model's own tokenizer a token is taken to be this many bytes.
_BYTES_PER_TOKEN = 4
# The bound that a call is reserved at, as promise P1 has it.
_BOUND_NUMERATOR, _BOUND_DENOMINATOR = 3, 2
_BOUND_MESSAGE, _BOUND_REQUEST = 16, 16
# Of JSON around the texts, in bytes: names of fields, quotes, the model.
_BODY_BYTES = 300


@dataclass(frozen=True)
class Work:
    """All of a run's items that can be read: so many, and the calls about them. `high` are those
    that 19 of 20 such runs stay under, `most` all that there can be. `unreadable`: the items that
    would fail, each with its reason.

    `prompt_tokens`: a first call without its document.
    """

    items: int
    likely: Planned
    high: Planned
    most: Planned
    unreadable: tuple[tuple[str, str], ...]
    prompt_tokens: int


def plan_work(request: Request, *, loop_calls: int = LIKELY_CALLS) -> Work:
    """Read every item of a request and count the calls about it, of one item one, or one a part
    and one that combines their answers; with tools a loop of so many in place of each."""
    in_loops, likely = loops(request), Planned()
    high, most = (Planned(), Planned()) if in_loops else (likely, likely)
    high_calls = min(BOUNDS.turns, loop_calls * SPREAD)
    unreadable: list[tuple[str, str]] = []
    for item in request.every_item():
        try:
            document = read_text(item, bounds=request.workspace_bounds, reading=request.reading)
            calls = list(_calls(request, item, document.text))
        except ItemFailed as error:
            unreadable.append((item.key, str(error)))
            continue
        if not in_loops:
            likely.add(calls)
            continue
        likely.add([each for first in calls for each in likely_calls(first, loop_calls)])
        high.add([each for first in calls for each in likely_calls(first, high_calls)])
        most.add([each for first in calls for each in most_of_a_loop(request, first)])
    items = likely.lengths.total()
    return Work(items, likely, high, most, tuple(unreadable), prompt_tokens(request))


def prompt_tokens(request: Request) -> int:
    """Tokens of a first call's messages without their document."""
    return _counted(request, first_call(request))[0]


def first_call(request: Request) -> list[Message]:
    """A first call's messages without their document."""
    return _messages(request, key="", text="")


def loops(request: Request) -> bool:
    """Whether an item's agent calls tools."""
    return request.kit is not None and not is_offline(request.model.name)


def most_of_a_loop(request: Request, first: PlannedCall) -> list[PlannedCall]:
    """The most calls that a loop with this first one can come to."""
    price = request.model.price_of(request.model.name)
    return most_calls(
        first,
        BOUNDS,
        output_tokens=request.model.max_output_tokens,
        context=None if price is None else price.context_tokens,
    )


def searches_usd(request: Request, searches: int) -> Decimal:
    """What an item's agent pays for so many searches of the web, or for as many as it may make."""
    if request.kit is None or not loops(request):
        return Decimal(0)
    return request.kit.search_usd * min(searches, BOUNDS.tool_calls)


def most_searches_usd(request: Request) -> Decimal:
    """The most that an item's agent can pay for searches: all its calls of tools are ones."""
    return searches_usd(request, BOUNDS.tool_calls)


def _messages(request: Request, *, key: str, text: str, part: str | None = None) -> list[Message]:
    kit, schema = request.kit, _schema(request)
    if kit is None or not loops(request):
        return first_messages(request.ask, key=key, text=text, schema=schema, part=part)
    source = key if part is None else f"{key} ({part})"
    return tool_messages(
        request.ask, source=source, text=text, schema=schema, workspace=kit.works_on_files
    )


def _calls(request: Request, item: Item, text: str) -> Iterable[PlannedCall]:
    if item.folder is not None and not loops(request):
        yield PlannedCall(*_counted(request, quoting_messages(request.ask, item)))
        return
    parts = parts_of(request.model, text)
    for at, part in enumerate(parts, start=1):
        named = f"part {at} of {len(parts)}" if len(parts) > 1 else None
        messages = _messages(request, key=item.key, text=part, part=named)
        yield PlannedCall(*_counted(request, messages))
    if len(parts) > 1:
        messages = combining_messages(
            request.ask, key=item.key, answers=[""] * len(parts), schema=_schema(request)
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
    if request.kit is not None and loops(request):
        texts += [json.dumps(schema) for schema in request.kit.schemas]
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

"""With each provider of its list, one response is one request through our transport, streamed or
not."""

import json
from collections.abc import Callable
from typing import Any

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import NotGoverned
from prefect_governor.blocks.models.providers import RESPONSES_PROVIDERS
from prefect_governor.blocks.models.responses import aresponses, responses
from tests.unit.blocks.models.network import Network, ask, assert_one_call, called, quiet
from tests.unit.blocks.models.replies import response
from tests.unit.fakes import FakeGoverning, event_stream

pytestmark = quiet
TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}


def response_events() -> list[bytes]:
    started = response("in_progress", output=[], usage=None)
    delta = {"item_id": "msg_1", "output_index": 0, "content_index": 0, "delta": "hello"}
    events: list[tuple[str, dict[str, Any]]] = [
        ("response.created", {"response": started}),
        ("response.output_text.delta", {**delta, "logprobs": []}),
        ("response.completed", {"response": response()}),
    ]
    return [
        f"event: {kind}\ndata: ".encode()
        + json.dumps({"type": kind, "sequence_number": at, **fields}).encode()
        + b"\n\n"
        for at, (kind, fields) in enumerate(events)
    ]


@pytest.mark.parametrize("provider", sorted(RESPONSES_PROVIDERS))
async def test_one_response_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.answer(response())
    with scope(Scope(governing)):
        reply = await aresponses(**ask(provider))
    assert reply.output[0].content[0].text == "hello"
    assert_one_call(network, governing, provider, "/responses")
    assert governing.desk.spent == 10 * 150 + 5 * 600


@pytest.mark.parametrize("provider", sorted(RESPONSES_PROVIDERS))
def test_synchronous_response_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.answer(response())
    with scope(Scope(governing)):
        responses(**ask(provider, instructions="Be brief.", tools=[TOOL]))
    assert_one_call(network, governing, provider, "/responses")


async def test_streamed_response_is_settled_by_its_own_usage(
    network: Network, governing: FakeGoverning
) -> None:
    network.replies = [event_stream(response_events())]
    with scope(Scope(governing)):
        stream = await aresponses(**{**ask("openai", stream=True), "model": "openai/gpt-4o-mini"})
        assert governing.desk.outcomes == []
        kinds = [event.type async for event in stream]
    assert kinds == ["response.created", "response.output_text.delta", "response.completed"]
    assert_one_call(network, governing, "openai", "/responses", model="gpt-4o-mini")
    assert network.bodies[0]["stream"] is True
    assert governing.desk.spent == 10 * 150 + 5 * 600


def test_synchronous_streamed_response_too(network: Network, governing: FakeGoverning) -> None:
    network.replies = [event_stream(response_events())]
    with scope(Scope(governing)):
        stream = responses(**{**ask("openai", stream=True), "model": "openai/gpt-4o-mini"})
        kinds = [event.type for event in stream]
    assert kinds[-1] == "response.completed"
    assert_one_call(network, governing, "openai", "/responses", model="gpt-4o-mini")


@pytest.mark.parametrize("provider", sorted(RESPONSES_PROVIDERS))
async def test_stream_of_a_model_that_litellm_does_not_know_is_one_call_all_the_same(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.answer(response())
    with scope(Scope(governing)):
        stream = await aresponses(**ask(provider, stream=True))
        kinds = [event.type async for event in stream]
    assert kinds[-1] == "response.completed"
    assert_one_call(network, governing, provider, "/responses")


@pytest.mark.parametrize("pair", [aresponses, responses])
async def test_response_that_would_become_chat_completions_is_refused(
    pair: Callable[..., Any], network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        with pytest.raises(NotGoverned, match="use_chat_completions_api"):
            await called(pair, **ask("openai"), use_chat_completions_api=True)
        with pytest.raises(NotGoverned, match="chat completions"):
            await called(pair, **{**ask("openai"), "model": "openai/chat_completions/gpt-4o"})
    assert not network.requests

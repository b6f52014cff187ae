"""With each provider of the tested list, one completion is one request through our transport."""

import asyncio
import json
import math
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import (
    NotKept,
    Scope,
    current_scope,
    kept_only,
    one_answer,
    scope,
)
from prefect_governor.blocks.errors import ConfigurationError, NotBounded, NotGoverned, OverBudget
from prefect_governor.blocks.models import clients
from prefect_governor.blocks.models.compatible import COMPATIBLE
from prefect_governor.blocks.models.completion import (
    LITELLM_CLIENT,
    OPENAI_CLIENT,
    acompletion,
    acompletion_under,
    completion,
    completion_under,
)
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.wire.requests.routing import OWN_KEY
from tests.unit.blocks.models.network import ADDRESS, Network, failures, quiet
from tests.unit.fakes import (
    FakeDesk,
    FakeGoverning,
    chat_events,
    chat_reply,
    event_stream,
)
from tests.unit.prices import PRICE

pytestmark = quiet
MESSAGES = [{"role": "user", "content": "What is it?"}]
# Those of the list that are spoken to in OpenAI's chat dialect.
ONLINE = sorted((OPENAI_CLIENT | LITELLM_CLIENT | COMPATIBLE.keys()) - {"offline"})
# LiteLLM writes a short name out.
SENT_AS = {"fireworks_ai": "accounts/fireworks/models/some-model"}


@pytest.fixture
def network(network: Network) -> Network:
    # Groq's client reads the tier without asking whether it is there.
    network.answer(chat_reply(service_tier="on_demand"))
    return network


def reach(provider: str) -> dict[str, Any]:
    return {
        "model": f"{provider}/some-model",
        "messages": MESSAGES,
        "max_tokens": 20,
        **ADDRESS,
    }


@pytest.mark.parametrize("provider", ONLINE)
async def test_one_completion_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        reply = await acompletion(**reach(provider))
    assert reply.choices[0].message.content == "hello"
    assert len(network.requests) == len(governing.desk.demands) == 1
    assert governing.desk.outcomes == ["settle"]
    assert network.requests[0].url.path.endswith("/chat/completions")
    assert network.requests[0].url.host == "gateway.test"
    assert network.requests[0].headers["authorization"] == "Bearer sk-test"
    assert governing.asked == [f"{provider}/{SENT_AS.get(provider, 'some-model')}"]


@pytest.mark.parametrize("provider", ONLINE)
def test_synchronous_completion_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        reply = completion(**reach(provider))
    assert reply.choices[0].message.content == "hello"
    assert len(network.requests) == len(governing.desk.demands) == 1
    assert governing.desk.outcomes == ["settle"]


@pytest.mark.parametrize("provider", ONLINE)
async def test_streamed_completion_is_one_request_and_settled_by_its_own_usage(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.replies = [event_stream(chat_events(1001, 7, text="one two three"))]
    with scope(Scope(governing)):
        stream = await acompletion(**reach(provider), stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
    assert text.split() == ["one", "two", "three"]
    assert governing.desk.outcomes == ["settle"]
    # OpenRouter says what it billed; here it does not, so what a key of one's own adds counts too.
    more = OWN_KEY if provider == "openrouter" else 1
    assert governing.desk.spent == math.ceil(more * (1001 * 150 + 7 * 600))
    assert len(network.requests) == 1


@pytest.mark.parametrize("provider", ONLINE)
@failures
async def test_client_library_sends_nothing_again_by_itself(
    provider: str, failure: Any, network: Network, governing: FakeGoverning
) -> None:
    network.replies = [failure]
    with scope(Scope(governing)), pytest.raises(Exception, match="litellm"):
        await acompletion(**reach(provider), num_retries=5, max_retries=5)
    assert len(network.requests) == len(governing.desk.demands) == 1
    assert len(governing.desk.outcomes) == 1


@pytest.mark.parametrize("provider", ["openai", "groq"])
def test_synchronous_client_sends_nothing_again_by_itself(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.replies = [httpx.RemoteProtocolError("disconnected")]
    with scope(Scope(governing)), pytest.raises(Exception, match="litellm"):
        completion(**reach(provider))
    assert len(network.requests) == 1
    assert governing.desk.outcomes == ["unconfirm"]


@pytest.mark.parametrize("provider", ["openai", "groq"])
async def test_refusal_comes_out_as_itself_and_not_as_the_librarys(
    provider: str, network: Network
) -> None:
    poor = FakeGoverning(FakeDesk(ceiling_nano=1), price=PRICE)
    with scope(Scope(poor)), pytest.raises(OverBudget):
        await acompletion(**reach(provider))
    with scope(Scope(poor)), pytest.raises(NotBounded, match="max_tokens"):
        await acompletion(**{**reach(provider), "max_tokens": None})
    with scope(Scope(poor)), pytest.raises(OverBudget):
        completion(**reach(provider))
    assert not network.requests


async def test_plain_openai_name_goes_to_openai_with_its_key(
    network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", "sk-env")
    with scope(Scope(governing)):
        await acompletion("gpt-4o-mini", MESSAGES, max_tokens=20)
    assert str(network.requests[0].url) == "https://api.openai.com/v1/chat/completions"
    assert network.requests[0].headers["authorization"] == "Bearer sk-env"
    assert governing.asked == ["openai/gpt-4o-mini"]


async def test_no_key_is_said_before_anything_is_started(
    network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)), pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
        await acompletion("gpt-4o-mini", MESSAGES, max_tokens=20)
    assert not governing.desk.demands


async def test_provider_off_the_list_is_refused_with_the_list(
    network: Network, governing: FakeGoverning
) -> None:
    for model in ("azure_ai/gpt-4o", "watsonx/ibm/granite-3", "nobody/knows"):
        with scope(Scope(governing)), pytest.raises(NotGoverned, match="openrouter"):
            await acompletion(model, MESSAGES, max_tokens=20)
    assert not network.requests


async def test_outside_any_governor_nothing_is_sent(network: Network) -> None:
    with pytest.raises(NotGoverned, match="with governor"):
        await acompletion(**reach("openai"))
    with pytest.raises(NotGoverned, match="with governor"):
        completion(**reach("openai"))
    assert not network.requests


@pytest.mark.parametrize(
    "argument",
    [
        {"client": object()},
        {"fallbacks": ["gpt-4o"]},
        {"mock_response": "free"},
        {"caching": True},
        {"model_list": [{}]},
        {"custom_llm_provider": "anthropic"},
    ],
)
async def test_argument_that_passes_by_the_governor_is_refused_by_name(
    argument: dict[str, Any], network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)), pytest.raises(NotGoverned, match=next(iter(argument))):
        await acompletion(**reach("openai"), **argument)
    assert not network.requests


@pytest.mark.parametrize("name", ["num_retries", "model_fallbacks"])
async def test_second_layer_of_retries_is_found_and_said(
    name: str, network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(litellm(), name, 3)
    with scope(Scope(governing)), pytest.raises(ConfigurationError, match=f"litellm.{name}"):
        await acompletion(**reach("openai"))
    assert not network.requests


async def test_model_for_the_responses_api_does_not_slip_out_by_another_path(
    network: Network, governing: FakeGoverning
) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with scope(Scope(governing)):
        with pytest.raises(NotGoverned, match="responses"):
            await acompletion(**{**reach("openai"), "model": "openai/o1-pro"})
        await acompletion(
            **{**reach("openai"), "model": "openai/gpt-5.4"}, tools=[tool], reasoning_effort="low"
        )
    assert [request.url.path for request in network.requests] == ["/v1/chat/completions"]


async def test_answer_that_came_by_another_way_is_an_alarm(
    network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def elsewhere(**_: Any) -> dict[str, Any]:
        return chat_reply()

    monkeypatch.setattr(litellm(), "acompletion", elsewhere)
    with scope(Scope(governing)), pytest.raises(NotGoverned, match="without sending"):
        await acompletion(**reach("openai"))


async def test_governors_own_completion_overrides_the_context(
    network: Network, governing: FakeGoverning
) -> None:
    other = FakeGoverning(price=PRICE)
    with scope(Scope(other, tags=("here",), run_id="run")):
        await acompletion_under(governing, tags=["llm"], **reach("openai"))
        here = current_scope.get()
        assert here is not None and here.governor is other
        completion_under(governing, **reach("openai"))
    await acompletion_under(governing, **reach("openai"))
    assert not other.desk.demands
    whose = [demand.attribution for demand in governing.desk.demands.values()]
    assert [(who.tags, who.run_id) for who in whose] == [
        (("here", "llm"), "run"),
        (("here",), "run"),
        ((), None),
    ]


async def test_local_ollama_is_spoken_to_in_the_dialect_that_is_known(
    network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        await acompletion("ollama/llama3", MESSAGES, max_tokens=20)
    assert str(network.requests[0].url) == "http://localhost:11434/v1/chat/completions"
    assert json.loads(network.requests[0].content)["model"] == "llama3"


async def test_offline_model_is_governed_like_any_other(network: Network) -> None:
    governing = FakeGoverning()
    text = "Paris is the capital of France.\nWhat is the capital of France?"
    messages = [{"role": "user", "content": text}]
    with scope(Scope(governing)):
        reply = await acompletion("offline/extract", messages, max_tokens=200)
        stream = await acompletion("offline/extract", messages, max_tokens=200, stream=True)
        streamed = "".join([chunk.choices[0].delta.content or "" async for chunk in stream])
        waited = completion("offline/extract", messages)
    assert "Paris" in reply.choices[0].message.content
    assert streamed == reply.choices[0].message.content == waited.choices[0].message.content
    assert governing.desk.outcomes == ["settle"] * 3
    assert governing.desk.spent > 0
    assert not network.requests


async def test_proxy_of_the_environment_is_used_and_its_exceptions_kept(
    governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked: list[bytes] = []
    body = json.dumps(chat_reply()).encode()

    async def proxy(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        head = await reader.readuntil(b"\r\n\r\n")
        asked.append(head.split(b"\r\n")[0])
        length = int(head.lower().split(b"content-length: ")[1].split(b"\r\n")[0])
        await reader.readexactly(length)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n")
        writer.write(b"content-length: %d\r\nconnection: close\r\n\r\n" % len(body) + body)
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(proxy, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    monkeypatch.setenv("HTTP_PROXY", f"http://127.0.0.1:{port}")
    monkeypatch.setenv("NO_PROXY", "127.0.0.1")
    monkeypatch.setattr(clients, "_by_loop", {})
    async with server:
        with scope(Scope(governing)):
            await acompletion(**reach("openai"))
            await acompletion(**{**reach("openai"), "api_base": f"http://127.0.0.1:{port}/v1"})
        await clients.aclose_clients()
    assert asked == [
        b"POST http://gateway.test/v1/chat/completions HTTP/1.1",
        b"POST /v1/chat/completions HTTP/1.1",
    ]
    assert governing.desk.outcomes == ["settle"] * 2


def test_each_loop_has_its_own_connections_and_closed_loops_are_forgotten(
    network: Network, governing: FakeGoverning
) -> None:
    async def twice() -> None:
        with scope(Scope(governing)):
            await acompletion(**reach("openai"))
            await acompletion(**reach("openai"))
        (held,) = [clients._by_loop[asyncio.get_running_loop()]]
        assert len(held.clients) == 1

    for _ in range(3):
        asyncio.run(twice())
    assert len(clients._by_loop) == 1


async def test_hundreds_of_calls_are_in_flight_at_once_and_each_is_settled(
    network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        await asyncio.gather(*(acompletion(**reach("openai")) for _ in range(300)))
    assert governing.desk.outcomes == ["settle"] * 300


@pytest.mark.parametrize("provider", ["openai", "mistral"])
async def test_reply_that_was_kept_is_asked_for_without_a_call(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    def item() -> Scope:
        return Scope(governing, run_id="r", item="i")

    with scope(item()), one_answer(), kept_only(), pytest.raises(NotKept):
        await acompletion(**reach(provider))
    assert not network.requests
    assert not governing.desk.demands
    with scope(item()), one_answer():
        # What was only looked for takes no place.
        with kept_only(), pytest.raises(NotKept):
            await acompletion(**reach(provider))
        paid = await acompletion(**reach(provider))
    with scope(item()), one_answer(), kept_only():
        kept = await acompletion(**reach(provider))
        assert completion(**reach(provider)).choices[0].message == kept.choices[0].message
    assert kept.choices[0].message == paid.choices[0].message
    assert len(network.requests) == 1


async def test_cache_that_litellm_makes_with_gemini_is_refused_with_the_reason(
    network: Network, governing: FakeGoverning
) -> None:
    network.answer({"cachedContents": []})
    text = {"type": "text", "text": "word " * 5000, "cache_control": {"type": "ephemeral"}}
    messages = [{"role": "system", "content": [text]}, *MESSAGES]
    with scope(Scope(governing)), pytest.raises(NotGoverned, match=r"cache_control.*by the hour"):
        await acompletion("gemini/gemini-2.5-flash", messages, max_tokens=20, api_key="sk-test")
    assert not governing.desk.demands
    assert {request.method for request in network.requests} <= {"GET"}

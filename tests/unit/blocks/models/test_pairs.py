"""Each embedding and each response is one request through our transport, with every provider of
their lists."""

import json
from collections.abc import Callable, Iterator
from decimal import Decimal
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import (
    ConfigurationError,
    NotBounded,
    NotGoverned,
    NotPriced,
    OverBudget,
)
from prefect_governor.blocks.models import clients
from prefect_governor.blocks.models.completion import acompletion, completion
from prefect_governor.blocks.models.embedding import (
    aembedding,
    aembedding_under,
    embedding,
    embedding_under,
)
from prefect_governor.blocks.models.library import litellm
from prefect_governor.blocks.models.providers import EMBEDDING_PROVIDERS, RESPONSES_PROVIDERS
from prefect_governor.blocks.models.responses import (
    aresponses,
    aresponses_under,
    responses,
    responses_under,
)
from prefect_governor.blocks.terms.price import PriceOverride
from tests.unit.fakes import FakeDesk, FakeGoverning, FakeProvider, chat_reply, event_stream

# LiteLLM's own models warn as pydantic builds them.
pytestmark = pytest.mark.filterwarnings(
    "ignore:Item 'summary' on TypedDict:UserWarning",
    "ignore:Pydantic serializer warnings:UserWarning",
    "ignore:Accessing the 'model_:DeprecationWarning",
)

PRICE = PriceOverride(
    input_usd_per_million_tokens=Decimal("0.15"), output_usd_per_million_tokens=Decimal("0.6")
).price()
TOOL = {"type": "function", "name": "find", "parameters": {"type": "object"}}


def embeddings_reply() -> dict[str, Any]:
    return {
        "object": "list",
        "model": "some-model",
        "data": [{"object": "embedding", "index": 0, "embedding": [0.5, 0.25]}],
        "usage": {"prompt_tokens": 10, "total_tokens": 10},
    }


def response(status: str = "completed", **fields: Any) -> dict[str, Any]:
    text = {"type": "output_text", "text": "hello", "annotations": []}
    message = {"id": "msg_1", "type": "message", "role": "assistant", "status": "completed"}
    return {
        "id": "resp_1",
        "object": "response",
        "created_at": 1,
        "model": "some-model",
        "status": status,
        "error": None,
        "incomplete_details": None,
        "instructions": None,
        "metadata": {},
        "output": [{**message, "content": [text]}],
        "parallel_tool_calls": True,
        "temperature": 1.0,
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
        "usage": {
            "input_tokens": 10,
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens": 5,
            "output_tokens_details": {"reasoning_tokens": 0},
            "total_tokens": 15,
        },
        **fields,
    }


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


class Network(FakeProvider):
    """What every client of ours sends to instead of a network."""

    def __init__(self) -> None:
        super().__init__([httpx.Response(500)])

    def answer(self, reply: Any) -> None:
        self.replies = [lambda: httpx.Response(200, json=reply)]


@pytest.fixture
def network(monkeypatch: pytest.MonkeyPatch) -> Iterator[Network]:
    net = Network()
    monkeypatch.setattr(clients, "async_pool", lambda: net)
    monkeypatch.setattr(clients, "blocking_pool", lambda: net)
    monkeypatch.setattr(clients, "_by_loop", {})
    monkeypatch.setattr(clients, "_blocking", [])
    for name in ("OPENAI_API_KEY", "OPENAI_BASE_URL", "OPENAI_API_BASE", "OLLAMA_API_BASE"):
        monkeypatch.delenv(name, raising=False)
    yield net


@pytest.fixture
def governing() -> FakeGoverning:
    return FakeGoverning(price=PRICE)


def reach(provider: str, **fields: Any) -> dict[str, Any]:
    address = {"api_key": "sk-test", "api_base": "http://gateway.test/v1"}
    return {"model": f"{provider}/some-model", "input": "What is it?", **address, **fields}


def ask(provider: str, **fields: Any) -> dict[str, Any]:
    return reach(provider, max_output_tokens=20, **fields)


def assert_one_call(
    network: Network,
    governing: FakeGoverning,
    provider: str,
    path: str,
    *,
    model: str = "some-model",
) -> None:
    (request,) = network.requests
    assert len(governing.desk.demands) == 1
    assert governing.desk.outcomes == ["settle"]
    assert request.url.host == "gateway.test"
    assert request.url.path == f"/v1{path}"
    assert request.headers["authorization"] == "Bearer sk-test"
    assert governing.asked == [f"{provider}/{model}"]


@pytest.mark.parametrize("provider", sorted(EMBEDDING_PROVIDERS))
async def test_one_embedding_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.answer(embeddings_reply())
    with scope(Scope(governing)):
        reply = await aembedding(**reach(provider))
    assert reply.data[0]["embedding"] == [0.5, 0.25]
    assert_one_call(network, governing, provider, "/embeddings")
    assert governing.desk.spent == 10 * 150


@pytest.mark.parametrize("provider", sorted(EMBEDDING_PROVIDERS))
def test_synchronous_embedding_is_one_request_and_one_reservation(
    provider: str, network: Network, governing: FakeGoverning
) -> None:
    network.answer(embeddings_reply())
    with scope(Scope(governing)):
        more = {} if provider == "openai" else {"dimensions": 2}
        embedding(**reach(provider, input=["a", "b"], encoding_format="float", **more))
    assert_one_call(network, governing, provider, "/embeddings")
    assert network.bodies[0]["input"] == ["a", "b"]


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


FAILURES = [
    httpx.RemoteProtocolError("disconnected"),
    httpx.ConnectError("refused"),
    httpx.ReadTimeout("hangs"),
    httpx.Response(500, json={"error": {"message": "boom"}}),
]
NAMES = ["disconnected", "refused", "timeout", "500"]


@pytest.mark.parametrize("failure", FAILURES, ids=NAMES)
async def test_client_library_sends_nothing_again_by_itself(
    failure: Any, network: Network, governing: FakeGoverning
) -> None:
    network.replies = [failure]
    calls: list[Callable[[], Any]] = [
        lambda: aembedding(**reach("openai"), num_retries=5, max_retries=5),
        lambda: aresponses(**ask("openai"), num_retries=5, max_retries=5),
    ]
    for at, call in enumerate(calls, 1):
        with scope(Scope(governing)), pytest.raises(Exception, match="litellm"):
            await call()
        assert len(network.requests) == len(governing.desk.demands) == at


@pytest.mark.parametrize("failure", FAILURES, ids=NAMES)
def test_synchronous_client_sends_nothing_again_by_itself(
    failure: Any, network: Network, governing: FakeGoverning
) -> None:
    network.replies = [failure]
    calls: list[Callable[[], Any]] = [
        lambda: embedding(**reach("openai"), num_retries=5, max_retries=5),
        lambda: responses(**ask("openai"), num_retries=5, max_retries=5),
    ]
    for at, call in enumerate(calls, 1):
        with scope(Scope(governing)), pytest.raises(Exception, match="litellm"):
            call()
        assert len(network.requests) == len(governing.desk.demands) == at


def test_embedding_leaves_no_retries_to_the_chat_calls_of_the_same_client(
    network: Network, governing: FakeGoverning
) -> None:
    """LiteLLM sets the retries of the client that it is handed: to 2, for embeddings."""
    network.answer(embeddings_reply())
    with scope(Scope(governing)):
        embedding(**reach("openai"))
    (held,) = clients._blocking
    (client,) = held.clients.values()
    assert client.max_retries == 0
    client.max_retries = 2
    assert client.max_retries == 0


# Outside of what is governed

PAIRS: list[Callable[..., Any]] = [aembedding, embedding, aresponses, responses]


async def called(pair: Callable[..., Any], **fields: Any) -> Any:
    reply = pair(**fields)
    return await reply if pair in (aembedding, aresponses) else reply


@pytest.mark.parametrize("pair", PAIRS)
async def test_outside_any_governor_nothing_is_sent(
    pair: Callable[..., Any], network: Network
) -> None:
    with pytest.raises(NotGoverned, match=r"outside any governor.*Make it inside"):
        await called(pair, **reach("openai"))
    assert not network.requests


@pytest.mark.parametrize("pair", PAIRS)
async def test_what_would_pass_by_the_governor_is_refused(
    pair: Callable[..., Any], network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        for name in ("client", "mock_response", "fallbacks", "custom_llm_provider"):
            with pytest.raises(NotGoverned, match=name):
                await called(pair, **reach("openai"), **{name: "x"})
        with pytest.raises(NotGoverned, match="'cohere' is not on the list"):
            await called(pair, **reach("cohere"))
        with pytest.raises(ConfigurationError, match="OPENAI_API_KEY"):
            await called(pair, model="openai/x", input="x")
    assert not network.requests


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


async def test_call_without_a_bound_a_price_or_the_money_is_refused_by_name(
    network: Network, governing: FakeGoverning
) -> None:
    with scope(Scope(governing)):
        with pytest.raises(NotBounded, match="max_output_tokens"):
            await aresponses(**reach("openai"))
        for field in ("previous_response_id", "prompt"):
            with pytest.raises(NotBounded, match=field):
                await aresponses(**ask("openai", **{field: {"id": "x"}}))
        for kind in ("web_search", "mcp", "file_search"):
            with pytest.raises(NotBounded, match=kind):
                await aresponses(**ask("openai", tools=[{"type": kind, "server_url": "litellm"}]))
    with scope(Scope(FakeGoverning())), pytest.raises(NotPriced, match="some-model"):
        await aembedding(**reach("openai"))
    poor = FakeGoverning(price=PRICE, desk=FakeDesk(ceiling_nano=10))
    with scope(Scope(poor)):
        with pytest.raises(OverBudget):
            await aembedding(**reach("openai"))
        with pytest.raises(OverBudget):
            responses(**ask("openai"))
    assert not network.requests


async def test_model_for_something_else_is_refused_with_what_to_use(
    network: Network, governing: FakeGoverning
) -> None:
    embeds = {"model": "openai/text-embedding-3-small"}
    with scope(Scope(governing)):
        with pytest.raises(NotGoverned, match="for embedding, not for responses"):
            await aresponses(**{**ask("openai"), **embeds})
        with pytest.raises(NotGoverned, match="use `responses`, `embedding`"):
            await acompletion(**embeds, messages=[], api_key="sk-test")
        with pytest.raises(NotGoverned, match="for responses, not for chat"):
            completion("openai/o3-pro", [], api_key="sk-test")
        with pytest.raises(NotGoverned, match="for chat, not for embeddings"):
            await aembedding(**{**reach("openai"), "model": "openai/gpt-4o-mini"})
    assert not network.requests


async def test_governors_own_pairs_override_the_context(
    network: Network, governing: FakeGoverning
) -> None:
    other = FakeGoverning(price=PRICE)
    with scope(Scope(other, tags=("here",))):
        network.answer(embeddings_reply())
        await aembedding_under(governing, tags=["llm"], **reach("openai"))
        embedding_under(governing, **reach("openai"))
        network.answer(response())
        await aresponses_under(governing, tags=["llm"], **ask("openai"))
        responses_under(governing, **ask("openai"))
    assert not other.desk.demands
    tags = [demand.attribution.tags for demand in governing.desk.demands.values()]
    assert tags == [("here", "llm"), ("here",)] * 2


async def test_reply_that_came_by_another_way_is_an_error(
    network: Network, governing: FakeGoverning, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def elsewhere(**arguments: Any) -> dict[str, Any]:
        return chat_reply()

    monkeypatch.setattr(litellm(), "aresponses", elsewhere)
    monkeypatch.setattr(litellm(), "aembedding", elsewhere)
    with scope(Scope(governing)):
        for call in (aresponses(**ask("openai")), aembedding(**reach("openai"))):
            with pytest.raises(NotGoverned, match="without sending"):
                await call

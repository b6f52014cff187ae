"""`offline/extract` over HTTP and through LiteLLM: one call is one request, its usage is right."""

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import litellm
import openai
import pytest
from litellm.exceptions import BadRequestError
from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler, HTTPHandler

from prefect_governor.blocks.errors import OverBudget, governor_error
from prefect_governor.blocks.offline.answering import answer
from prefect_governor.blocks.offline.provider import register
from prefect_governor.blocks.offline.transport import (
    BASE_URL,
    OfflineSyncTransport,
    OfflineTransport,
)

MESSAGES = [
    {"role": "system", "content": "Use only what the document says."},
    {
        "role": "user",
        "content": 'What burns?\n\n<document key="a.md">\n# Fire\n\nPaper burns.\n</document>',
    },
]
EXPECTED = answer(MESSAGES, max_tokens=300)
CALL: dict[str, Any] = {"model": "offline/extract", "messages": MESSAGES, "max_tokens": 300}
URL = f"{BASE_URL}/chat/completions"


class Counted(httpx.AsyncBaseTransport):
    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._inner = OfflineTransport()

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return await self._inner.handle_async_request(request)


class CountedSync(httpx.BaseTransport):
    def __init__(self) -> None:
        self.requests: list[httpx.Request] = []
        self._inner = OfflineSyncTransport()

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        self.requests.append(request)
        return self._inner.handle_request(request)


class Refusing(httpx.AsyncBaseTransport):
    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise OverBudget("needs $0.0100, $0.0000 of the $1.00 ceiling is left")


@pytest.fixture(autouse=True)
def registered() -> Iterator[None]:
    providers = list(litellm.custom_provider_map)
    register()
    register()
    assert [each["provider"] for each in litellm.custom_provider_map].count("offline") == 1
    yield
    litellm.custom_provider_map[:] = providers


def usage_of(reply: Any) -> tuple[int, int]:
    return reply.usage.prompt_tokens, reply.usage.completion_tokens


def handler_around(client: httpx.AsyncClient) -> AsyncHTTPHandler:
    handler = AsyncHTTPHandler()
    handler.client = client
    return handler


CLIENTS: dict[str, Callable[[httpx.AsyncClient], Any]] = {
    "httpx": lambda client: client,
    "litellm": handler_around,
    "openai": lambda client: openai.AsyncOpenAI(
        http_client=client, api_key="none", base_url=BASE_URL, max_retries=0
    ),
}


@pytest.mark.parametrize("kind", CLIENTS)
async def test_a_call_is_one_request_of_the_client_given(kind: str) -> None:
    transport = Counted()
    client = CLIENTS[kind](httpx.AsyncClient(transport=transport))
    reply = await litellm.acompletion(**CALL, client=client)
    assert isinstance(reply, litellm.ModelResponse)
    assert reply.choices[0].message.content == EXPECTED.text
    assert reply.choices[0].finish_reason == "stop"
    assert usage_of(reply) == (EXPECTED.input_tokens, EXPECTED.output_tokens)
    assert [str(each.url) for each in transport.requests] == [URL]
    body = json.loads(transport.requests[0].content)
    assert (body["model"], body["max_tokens"]) == ("offline/extract", 300)


async def test_a_streamed_call_is_one_request_and_tells_its_usage() -> None:
    transport = Counted()
    stream = await litellm.acompletion(
        **CALL,
        client=httpx.AsyncClient(transport=transport),
        stream=True,
        stream_options={"include_usage": True},
    )
    text, usage = "", None
    async for chunk in stream:
        text += (chunk.choices[0].delta.content or "") if chunk.choices else ""
        usage = getattr(chunk, "usage", None) or usage
    assert text == EXPECTED.text
    assert usage is not None
    assert (usage.prompt_tokens, usage.completion_tokens) == (
        EXPECTED.input_tokens,
        EXPECTED.output_tokens,
    )
    assert len(transport.requests) == 1


async def test_without_a_client_it_answers_all_the_same() -> None:
    reply = await litellm.acompletion(**CALL)
    assert reply.choices[0].message.content == EXPECTED.text


def test_a_synchronous_call_is_one_request_of_the_client_given() -> None:
    transport = CountedSync()
    handler = HTTPHandler(client=httpx.Client(transport=transport))
    assert usage_of(litellm.completion(**CALL, client=handler))[0] == EXPECTED.input_tokens
    chunks = litellm.completion(**CALL, client=handler, stream=True)
    assert "".join(each.choices[0].delta.content or "" for each in chunks) == EXPECTED.text
    assert len(transport.requests) == 2
    assert litellm.completion(**CALL).choices[0].message.content == EXPECTED.text


def test_a_client_of_the_wrong_kind_is_refused_and_not_gone_around() -> None:
    with pytest.raises(BadRequestError, match="no httpx"):
        litellm.completion(**CALL, client=httpx.AsyncClient(transport=Counted()))


@pytest.mark.parametrize("stream", [False, True])
async def test_a_refusal_of_the_transport_is_found_behind_litellms_error(stream: bool) -> None:
    client = httpx.AsyncClient(transport=Refusing())
    with pytest.raises(Exception) as caught:
        reply = await litellm.acompletion(**CALL, client=client, stream=stream)
        async for _ in reply:
            pass
    assert isinstance(governor_error(caught.value), OverBudget)


async def test_a_schema_reaches_the_model_through_litellm() -> None:
    schema = {"type": "object", "properties": {"text": {"type": "string"}}, "required": ["text"]}
    shape = {"type": "json_schema", "json_schema": {"name": "answer", "schema": schema}}
    reply = await litellm.acompletion(**CALL, response_format=shape)
    assert json.loads(reply.choices[0].message.content) == {"text": "Paper burns."}


async def test_openais_own_client_reads_plain_and_streamed_replies() -> None:
    client = openai.AsyncOpenAI(
        http_client=httpx.AsyncClient(transport=OfflineTransport()),
        api_key="none",
        base_url=BASE_URL,
        max_retries=0,
    )
    plain = await client.chat.completions.create(**CALL)
    assert plain.choices[0].message.content == EXPECTED.text
    assert plain.id == (await client.chat.completions.create(**CALL)).id
    chunks = [
        chunk
        async for chunk in await client.chat.completions.create(
            **CALL, stream=True, stream_options={"include_usage": True}
        )
    ]
    assert chunks[-1].usage.total_tokens == EXPECTED.input_tokens + EXPECTED.output_tokens
    assert [each.choices[0].finish_reason for each in chunks if each.choices][-1] == "stop"


async def test_a_large_text_does_not_hold_the_loop() -> None:
    text = "A line about fire and water and little else, again.\n" * 3_000
    content = f'What burns?\n<document key="a.txt">\n{text}\n</document>'
    body = {"model": "extract", "messages": [{"role": "user", "content": content}]}
    turns = 0

    async def turn() -> None:
        nonlocal turns
        while True:
            turns += 1
            await asyncio.sleep(0)

    ticking = asyncio.create_task(turn())
    async with httpx.AsyncClient(transport=OfflineTransport()) as client:
        request = client.build_request("POST", URL, json=body)
        before = turns
        response = await client.send(request)
    ticking.cancel()
    assert response.status_code == 200
    assert turns - before > 10


@pytest.mark.parametrize(
    ("body", "status"),
    [
        (b"not json", 400),
        (b"[]", 400),
        (b'{"model": "x"}', 400),
        (b'{"messages": [{"role": "user", "content": "Hi"}], "max_tokens": -1}', 400),
        (b'{"messages": [{"role": "user", "content": "Hi"}]}', 200),
    ],
)
def test_what_is_no_chat_completion_is_refused_as_openai_refuses(body: bytes, status: int) -> None:
    with httpx.Client(transport=OfflineSyncTransport()) as client:
        response = client.post(URL, content=body)
        assert response.status_code == status
        assert ("error" in response.json()) == (status != 200)
        assert client.get(f"{BASE_URL}/models").status_code == 404

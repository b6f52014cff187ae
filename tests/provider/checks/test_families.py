"""Anthropic's, Gemini's, Ollama's and Cohere's APIs: as they are, over the one bill and the one
set of faults."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.provider.fixtures import MakeProvider
from tests.provider.process import ProviderProcess

HELLO = [{"role": "user", "content": "hello there"}]
TOOL = {"name": "find", "input_schema": {"type": "object"}}


@pytest.fixture(scope="module")
def process() -> Iterator[ProviderProcess]:
    with ProviderProcess() as started:
        yield started


@pytest.fixture
def make_provider(process: ProviderProcess) -> MakeProvider:
    """The one process of these tests, as new."""

    def make(**config: Any) -> ProviderProcess:
        process.settled_stats()
        process.renew(**config)
        return process

    return make


def post(provider: ProviderProcess, path: str, body: dict[str, Any], **headers: str) -> Any:
    root = provider.api_base.removesuffix("/v1")
    return httpx.post(root + path, json=body, headers=headers)


def message(**fields: Any) -> dict[str, Any]:
    return {"model": "claude-sonnet-4-5", "max_tokens": 40, "messages": HELLO, **fields}


def generate(**fields: Any) -> dict[str, Any]:
    contents = [{"role": "user", "parts": [{"text": "hello there"}]}]
    return {"contents": contents, "generationConfig": {"maxOutputTokens": 40}, **fields}


def events(reply: httpx.Response) -> list[dict[str, Any]]:
    lines = reply.text.replace("\r\n", "\n").split("\n")
    return [json.loads(line.removeprefix("data: ")) for line in lines if line.startswith("data: ")]


COMMAND = "command-r7b-12-2024"
LITE = "/v1beta/models/gemini-2.5-flash-lite"


def test_messages_usage_is_what_is_billed(make_provider: MakeProvider) -> None:
    provider = make_provider(cached_fraction=0.25, written_fraction=0.5)
    control = {"type": "ephemeral", "ttl": "1h"}
    system = [{"type": "text", "text": "Be brief. " * 40, "cache_control": control}]
    usage = post(provider, "/v1/messages", message(system=system)).json()["usage"]
    stats = provider.settled_stats()
    read, written = usage["cache_read_input_tokens"], usage["cache_creation_input_tokens"]
    assert read and written == usage["cache_creation"]["ephemeral_1h_input_tokens"]
    assert usage["input_tokens"] + read + written == stats["input_tokens"]
    nano = usage["input_tokens"] * 3000 + read * 300 + written * 6000
    assert stats["billed_nano"] == nano + usage["output_tokens"] * 15000


def test_messages_stream_says_the_usage_at_its_start_and_its_end(
    provider: ProviderProcess,
) -> None:
    found = events(post(provider, "/v1/messages", message(stream=True)))
    kinds = [each["type"] for each in found]
    assert kinds[0] == "message_start" and kinds[-2:] == ["message_delta", "message_stop"]
    stats = provider.settled_stats()
    assert found[0]["message"]["usage"]["input_tokens"] == stats["input_tokens"]
    assert found[-2]["usage"]["output_tokens"] == stats["output_tokens"]
    plain = post(provider, "/v1/messages", message()).json()["content"][0]["text"]
    said = [each["delta"]["text"] for each in found if each["type"] == "content_block_delta"]
    assert plain and "".join(said) == plain


@pytest.mark.parametrize("stream", [False, True])
def test_messages_tools_are_called(make_provider: MakeProvider, stream: bool) -> None:
    provider = make_provider(tool_calls=2)
    reply = post(provider, "/v1/messages", message(tools=[TOOL], stream=stream))
    if stream:
        blocks = [e["content_block"] for e in events(reply) if e["type"] == "content_block_start"]
    else:
        assert reply.json()["stop_reason"] == "tool_use"
        blocks = reply.json()["content"]
    assert [block["name"] for block in blocks] == ["find", "find"]


def test_messages_region_is_billed_and_said(make_provider: MakeProvider) -> None:
    provider = make_provider(auto_tier="us")
    asked = message(model="claude-sonnet-4-6")
    home = post(provider, "/v1/messages", asked).json()["usage"]
    near = provider.settled_stats()["billed_nano"]
    away = post(provider, "/v1/messages", {**asked, "inference_geo": "global"}).json()["usage"]
    assert (home["inference_geo"], away["inference_geo"]) == ("us", "global")
    assert near * 10 == (provider.settled_stats()["billed_nano"] - near) * 11


@pytest.mark.parametrize("body", [message(max_tokens=None), message(messages=[])])
def test_messages_that_anthropic_would_refuse_are_refused(
    provider: ProviderProcess, body: dict[str, Any]
) -> None:
    assert post(provider, "/v1/messages", body).status_code == 400
    assert provider.settled_stats()["billed_calls"] == 0


def test_gemini_usage_is_what_is_billed_plain_and_streamed(provider: ProviderProcess) -> None:
    plain = post(provider, f"{LITE}:generateContent", generate()).json()
    usage, stats = plain["usageMetadata"], provider.settled_stats()
    assert (usage["promptTokenCount"], usage["candidatesTokenCount"]) == (
        stats["input_tokens"],
        stats["output_tokens"],
    )
    assert stats["billed_nano"] == usage["promptTokenCount"] * 100 + 24 * 400
    found = events(post(provider, f"{LITE}:streamGenerateContent?alt=sse", generate()))
    assert [each["candidates"][0].get("finishReason") for each in found][-2:] == [None, "STOP"]
    assert found[-1]["usageMetadata"] == usage
    said = "".join(each["candidates"][0]["content"]["parts"][0]["text"] for each in found)
    assert said == plain["candidates"][0]["content"]["parts"][0]["text"]


@pytest.mark.parametrize("path", ["/api/chat", "/api/generate"])
def test_ollama_streams_by_default_and_counts_in_its_last_line(
    provider: ProviderProcess, path: str
) -> None:
    body: dict[str, Any] = {"model": "llama3.1", "options": {"num_predict": 9}}
    body |= {"messages": HELLO} if path == "/api/chat" else {"prompt": "hello there"}
    lines = [json.loads(line) for line in post(provider, path, body).text.splitlines()]
    assert [line["done"] for line in lines] == [False] * (len(lines) - 1) + [True]
    assert (lines[-1]["eval_count"], lines[-1]["done_reason"]) == (9, "length")
    whole = post(provider, path, {**body, "stream": False}).json()
    assert whole["prompt_eval_count"] == lines[-1]["prompt_eval_count"]
    assert provider.settled_stats()["billed_nano"] == 0


def test_cohere_bills_less_than_its_model_saw_and_says_both(provider: ProviderProcess) -> None:
    asked = {"model": COMMAND, "messages": HELLO, "max_tokens": 9}
    whole = post(provider, "/v2/chat", asked).json()
    usage, stats = whole["usage"], provider.settled_stats()
    assert whole["finish_reason"] == "MAX_TOKENS"
    assert usage["billed_units"] == {
        "input_tokens": stats["input_tokens"],
        "output_tokens": stats["output_tokens"],
    }
    assert usage["tokens"]["input_tokens"] > stats["input_tokens"]
    assert post(provider, "/v2/chat", {**asked, "n": 2}).status_code == 400


FAMILIES = [
    ("/v1/messages", message()),
    ("/v1/messages", message(stream=True)),
    (f"{LITE}:generateContent", generate()),
    (f"{LITE}:streamGenerateContent?alt=sse", generate()),
    ("/api/chat", {"model": "llama3.1", "messages": HELLO, "stream": False}),
    ("/api/chat", {"model": "llama3.1", "messages": HELLO}),
    ("/v2/chat", {"model": COMMAND, "messages": HELLO}),
    ("/v2/chat", {"model": COMMAND, "messages": HELLO, "stream": True}),
]


@pytest.mark.parametrize(("path", "body"), FAMILIES)
def test_reply_without_usage_is_whole_but_for_it(
    make_provider: MakeProvider, path: str, body: dict[str, Any]
) -> None:
    provider = make_provider(faults={"no_usage": 1})
    reply = post(provider, path, body)
    assert reply.status_code == 200 and reply.text
    for word in ("usage", "usageMetadata", "eval_count"):
        assert word not in reply.text
    assert provider.settled_stats()["billed_calls"] == 1


@pytest.mark.parametrize(("path", "body"), FAMILIES)
def test_cut_reply_is_billed_and_not_whole(
    make_provider: MakeProvider, path: str, body: dict[str, Any]
) -> None:
    provider = make_provider(faults={"cut_stream": 1})
    try:
        text = post(provider, path, body).text
    except httpx.RemoteProtocolError:
        text = ""
    for word in ("message_stop", "finishReason", '"done":true', "finish_reason"):
        assert word not in text
    assert provider.settled_stats()["billed_calls"] == 1


@pytest.mark.parametrize("header", ["x-api-key", "x-goog-api-key", "authorization"])
def test_key_is_shown_as_each_family_has_it(make_provider: MakeProvider, header: str) -> None:
    provider = make_provider(keys=["good"])
    scheme = "Bearer " if header == "authorization" else ""
    assert post(provider, "/v1/messages", message(), **{header: f"{scheme}good"}).status_code == 200
    assert post(provider, "/v1/messages", message(), **{header: f"{scheme}bad"}).status_code == 401

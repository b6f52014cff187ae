"""The provider as Azure: strict about paths, versions and keys; its filters, and what it bills."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import httpx
import orjson
import pytest

from tests.provider.process import ProviderProcess

DEPLOYED = {"ours": {"model": "o3-mini-2025-01-31", "price": {"input": "0.3", "output": "0.7"}}}
DATED = "/openai/deployments/{}/{}?api-version=2024-10-21"
CHAT = {"messages": [{"role": "user", "content": "hi"}], "max_completion_tokens": 9}


@pytest.fixture(scope="module")
def process() -> Iterator[ProviderProcess]:
    with ProviderProcess() as started:
        yield started


@pytest.fixture
def azure(process: ProviderProcess) -> ProviderProcess:
    process.settled_stats()
    process.renew(deployments=DEPLOYED)
    return process


def post(
    azure: ProviderProcess, path: str, body: Any = None, headers: Any = None
) -> httpx.Response:
    shown = {"api-key": "key"} if headers is None else headers
    return httpx.post(azure.url + path, json=body or CHAT, headers=shown)


@pytest.mark.parametrize(
    ("path", "body", "headers", "status", "said"),
    [
        (DATED.format("ours", "chat/completions"), None, {}, 401, "Access denied"),
        (DATED.format("ours", "chat/completions"), None, {"x-api-key": "k"}, 401, "Access denied"),
        (DATED.format("nobody", "chat/completions"), None, None, 404, "DeploymentNotFound"),
        (DATED.format("ours", "responses"), None, None, 404, "Resource not found"),
        ("/openai/deployments/ours/chat/completions", None, None, 404, "Resource not found"),
        ("/openai/chat/completions?api-version=2024-10-21", None, None, 404, "Resource not found"),
        ("/openai/deployments/ours/chat/completions?api-version=v1", None, None, 404, "Resource"),
        ("/openai/v1/chat/completions?api-version=2024-10-21", None, None, 400, "not supported"),
        ("/openai/v1/images", None, None, 404, "Resource not found"),
        (
            DATED.format("ours", "chat/completions"), {**CHAT, "service_tier": "default"}, None,
            400, "service_tier",
        ),
        (
            DATED.format("ours", "chat/completions"),
            {"messages": CHAT["messages"], "max_tokens": 9}, None, 400, "max_completion_tokens",
        ),
    ],
)  # fmt: skip
def test_what_azure_refuses_is_refused_and_not_billed(
    azure: ProviderProcess, path: str, body: Any, headers: Any, status: int, said: str
) -> None:
    reply = post(azure, path, body, headers)
    assert (reply.status_code, azure.settled_stats()["billed_nano"]) == (status, 0)
    assert said in reply.text


@pytest.mark.parametrize("headers", [{"api-key": "key"}, {"authorization": "Bearer token"}])
@pytest.mark.parametrize(
    "path", [DATED.format("ours", "chat/completions"), "/openai/v1/chat/completions"]
)
def test_deployment_is_billed_by_its_price_and_names_its_model(
    azure: ProviderProcess, path: str, headers: Any
) -> None:
    reply = post(azure, path, {**CHAT, "model": "ours"}, headers).raise_for_status().json()
    assert reply["model"] == "o3-mini-2025-01-31"
    assert reply["prompt_filter_results"]
    assert reply["choices"][0]["content_filter_results"]["hate"]["filtered"] is False
    used = reply["usage"]
    nano = (3 * used["prompt_tokens"] + 7 * used["completion_tokens"]) * 10**8
    assert azure.settled_stats()["billed_nano"] == nano


@pytest.mark.parametrize("late", [False, True])
def test_stream_begins_with_the_filters_word_on_the_prompt(
    azure: ProviderProcess, late: bool
) -> None:
    azure.configure(asynchronous_filter=late)
    body = {**CHAT, "stream": True, "stream_options": {"include_usage": True}}
    text = post(azure, DATED.format("ours", "chat/completions"), body).text
    *events, done = [event.removeprefix("data: ") for event in text.split("\n\n") if event]
    assert done == "[DONE]"
    chunks = [orjson.loads(each) for each in events]
    assert (chunks[0]["choices"], chunks[0]["model"]) == ([], "")
    assert "prompt_filter_results" in chunks[0]
    assert ("content_filter_offsets" in str(chunks[-1])) is late
    assert any(chunk.get("usage") for chunk in chunks)


@pytest.mark.parametrize("states_usage", [False, True])
def test_filtered_prompt_is_a_400_that_is_billed(
    azure: ProviderProcess, states_usage: bool
) -> None:
    reply = {"status": 400, "filtered": True, "states_usage": states_usage}
    azure.configure(script={"hi": reply})
    answer = post(azure, DATED.format("ours", "chat/completions"))
    assert answer.status_code == 400
    error = answer.json()["error"]
    assert (error["code"], error["innererror"]["code"]) == (
        "content_filter", "ResponsibleAIPolicyViolation"
    )  # fmt: skip
    assert ("usage" in answer.json()) is states_usage
    stats = azure.settled_stats()
    assert (stats["billed_calls"], stats["internal_errors"]) == (1, 0)
    assert stats["billed_nano"] > 0

"""Over the wire: what a reply says was used is what was billed, in every form of reply."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import orjson
import pytest

from tests.provider.checks.conftest import body
from tests.provider.process import ProviderError, ProviderProcess

MINI_INPUT, MINI_CACHED, MINI_OUTPUT = 150, 75, 600


def _events(reply: httpx.Response) -> list[dict[str, Any]]:
    """A stream's events; fails unless it ends with [DONE]."""
    lines = [line.removeprefix("data: ") for line in reply.text.split("\n\n") if line]
    assert lines[-1] == "[DONE]"
    return [orjson.loads(line) for line in lines[:-1]]


def _chat(client: httpx.Client, **fields: Any) -> dict[str, Any]:
    reply = client.post("/chat/completions", json=body(**fields))
    assert reply.status_code == 200, reply.text
    parsed: dict[str, Any] = orjson.loads(reply.content)
    return parsed


def test_plain_bill_is_the_usage_at_the_price(judge: ProviderProcess, client: httpx.Client) -> None:
    usage = _chat(client)["usage"]
    stats = judge.stats()
    assert (usage["prompt_tokens"], usage["completion_tokens"]) == (3 + 4 + 2, 24)
    assert stats["billed_nano"] == 9 * MINI_INPUT + 24 * MINI_OUTPUT
    assert usage["total_tokens"] == stats["input_tokens"] + stats["output_tokens"] == 33
    (record,) = judge.log()
    assert record["billed_nano"] == stats["billed_nano"]
    assert record["arrival"] <= record["billed_at"] <= record["end"]
    assert (record["status"], record["tag"], record["max_output"]) == (200, "hi there", 50)


def test_stream_bills_and_says_what_the_plain_reply_does(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    plain = _chat(client)
    options: dict[str, Any] = {"stream": True, "stream_options": {"include_usage": True}}
    *chunks, last = _events(client.post("/chat/completions", json=body(**options)))
    assert last["choices"] == []
    assert last["usage"] == plain["usage"]
    assert all(chunk["usage"] is None for chunk in chunks)
    text = "".join(chunk["choices"][0]["delta"].get("content") or "" for chunk in chunks)
    assert text == plain["choices"][0]["message"]["content"]
    first, second = judge.log()
    assert first["billed_nano"] == second["billed_nano"] > 0


def test_stream_without_include_usage_says_nothing_of_it_but_is_billed(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    chunks = _events(client.post("/chat/completions", json=body(stream=True)))
    assert all("usage" not in chunk and chunk["choices"] for chunk in chunks)
    assert chunks[-1]["choices"][0]["finish_reason"] == "stop"
    assert judge.stats()["billed_nano"] > 0


def test_cached_input_is_reported_and_billed_as_such(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(cached_fraction=0.5, output_tokens=1)
    usage = _chat(client)["usage"]
    assert usage["prompt_tokens_details"]["cached_tokens"] == 4
    assert judge.stats()["billed_nano"] == 5 * MINI_INPUT + 4 * MINI_CACHED + MINI_OUTPUT


@pytest.mark.parametrize(
    ("asked", "auto", "billed_as", "nano"),
    [
        (None, "default", "default", 9 * 150 + 600),
        ("priority", "default", "priority", 9 * 250 + 1000),
        (None, "priority", "priority", 9 * 250 + 1000),
        ("default", "priority", "default", 9 * 150 + 600),
    ],
)
def test_service_tier_is_billed_and_echoed(
    judge: ProviderProcess,
    client: httpx.Client,
    asked: str | None,
    auto: str,
    billed_as: str,
    nano: int,
) -> None:
    judge.renew(auto_tier=auto, output_tokens=1)
    reply = _chat(client, **({"service_tier": asked} if asked else {}))
    assert reply["service_tier"] == billed_as
    assert judge.stats()["billed_nano"] == nano


def test_long_context_makes_the_whole_request_dearer(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    dear = {"input": "0.000002", "output": "0.000005"}
    judge.renew(
        prices={"m": {"input": "0.000001", "output": "0.000001", "above": {"20": dear}}},
        output_tokens=1,
    )
    words = "one two three"
    _chat(client, model="m")
    usage = _chat(client, model="m", text=" ".join([words] * 5))["usage"]
    assert usage["prompt_tokens"] == 22
    assert [each["billed_nano"] for each in judge.log()] == [9000 + 1000, 22 * 2000 + 5000]


def test_factor_and_choices_are_in_the_usage_and_the_bill(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(token_factor=1.4, output_tokens=[10, 60])
    reply = _chat(client, n=3)
    assert len(reply["choices"]) == 3
    assert reply["usage"]["prompt_tokens"] == 13
    assert 30 <= reply["usage"]["completion_tokens"] <= 150
    expected = 13 * MINI_INPUT + reply["usage"]["completion_tokens"] * MINI_OUTPUT
    assert judge.stats()["billed_nano"] == expected


def test_request_without_a_maximum_gets_the_configs_allowance(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.renew(output_tokens="max", default_output_tokens=77)
    unbounded = {key: value for key, value in body().items() if key != "max_tokens"}
    reply = client.post("/chat/completions", json=unbounded).json()
    assert reply["usage"]["completion_tokens"] == 77
    assert (
        _chat(client, max_tokens=None, max_completion_tokens=5)["usage"]["completion_tokens"] == 5
    )


@pytest.mark.parametrize(
    ("config", "fields", "status", "code"),
    [
        ({}, {"model": "gpt-9"}, 404, "model_not_found"),
        ({}, {"messages": []}, 400, None),
        ({}, {"messages": [{"content": "x"}]}, 400, None),
        ({}, {"messages": [{"role": "user"}]}, 400, None),
        ({}, {"max_tokens": 0}, 400, None),
        ({}, {"max_tokens": "9"}, 400, None),
        ({}, {"max_completion_tokens": 5}, 400, None),
        ({}, {"stream_options": {"include_usage": True}}, 400, None),
        ({}, {"service_tier": "flex"}, 400, None),
        ({}, {"tools": [{"type": "function"}]}, 400, None),
        ({"keys": ["good"]}, {}, 401, "invalid_api_key"),
        ({"context_tokens": 58}, {}, 400, "context_length_exceeded"),
        ({"insufficient_quota": True}, {}, 429, "insufficient_quota"),
    ],
)
def test_bad_call_is_refused_as_openai_refuses_it_and_not_billed(
    judge: ProviderProcess,
    client: httpx.Client,
    config: dict[str, Any],
    fields: dict[str, Any],
    status: int,
    code: str | None,
) -> None:
    judge.renew(**config)
    reply = client.post("/chat/completions", json=body(**fields))
    assert reply.status_code == status
    error = reply.json()["error"]
    assert error["message"]
    assert error["code"] == code
    stats = judge.stats()
    assert (stats["billed_nano"], stats["requests"]) == (0, 1)
    assert stats["statuses"] == {str(status): 1}


def test_context_that_just_fits_is_served(judge: ProviderProcess, client: httpx.Client) -> None:
    judge.renew(context_tokens=59)
    assert _chat(client)["usage"]["prompt_tokens"] + 50 == 59


def test_broken_json_and_unknown_paths_have_proper_errors(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    assert client.post("/chat/completions", content=b"{nope").status_code == 400
    for reply in (client.post("/nothing", json={}), client.get("/nothing")):
        assert reply.status_code == 404
        assert "Invalid URL" in reply.json()["error"]["message"]
    assert judge.stats()["requests"] == 2  # a GET is no call


def test_right_key_is_let_in(judge: ProviderProcess, client: httpx.Client) -> None:
    judge.renew(keys=["good"])
    headers = {"authorization": "Bearer good"}
    assert client.post("/chat/completions", json=body(), headers=headers).status_code == 200
    assert client.get("/models").status_code == 401


def test_script_may_answer_with_an_error_or_with_nonsense(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    refusal = {
        "status": 400,
        "text": "no",
        "code": "content_policy_violation",
        "headers": {"x-why": "policy"},
    }
    judge.renew(
        script={
            "bad": refusal,
            "broken": {"body": "{oops"},
            "tool": {"tool_calls": [{"name": "search", "arguments": {"q": "x"}}]},
        }
    )
    reply = client.post("/chat/completions", json=body("bad"))
    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "content_policy_violation")
    assert reply.headers["x-why"] == "policy"
    assert judge.stats()["billed_nano"] == 0
    assert client.post("/chat/completions", json=body("broken")).content == b"{oops"
    assert judge.stats()["billed_calls"] == 1
    message = _chat(client, text="tool")["choices"][0]["message"]
    assert message["tool_calls"][0]["function"] == {"name": "search", "arguments": '{"q":"x"}'}


def test_tag_header_names_the_call(judge: ProviderProcess, client: httpx.Client) -> None:
    client.post("/chat/completions", json=body(), headers={"x-test-tag": "item-7"})
    client.post("/chat/completions", json=body("first line\nsecond"))
    assert [record["tag"] for record in judge.log()] == ["item-7", "first line"]


def test_config_changes_live_and_a_bad_change_changes_nothing(
    judge: ProviderProcess, client: httpx.Client
) -> None:
    judge.configure(output_tokens=3)
    with pytest.raises(ProviderError, match="token_factor"):
        judge.configure(output_tokens=9, token_factor=7)
    assert _chat(client)["usage"]["completion_tokens"] == 3
    judge.reset()
    assert judge.stats()["requests"] == 0
    assert _chat(client)["usage"]["completion_tokens"] == 3


def test_openai_sdk_reads_plain_streamed_tools_and_models(judge: ProviderProcess) -> None:
    tool = {"type": "function", "function": {"name": "f", "parameters": {"type": "object"}}}
    with openai.OpenAI(base_url=judge.api_base, api_key="x", max_retries=0) as sdk:
        ask: Any = sdk.chat.completions.create
        assert "gpt-4o-mini" in [model.id for model in sdk.models.list()]
        plain = ask(**body())
        streamed = list(ask(**body(stream=True, stream_options={"include_usage": True})))
        assert streamed[-1].usage == plain.usage
        called = ask(**body(tools=[tool], tool_choice="required"))
        assert called.choices[0].message.tool_calls[0].function.arguments == "{}"
        deltas = [
            call.function.arguments
            for chunk in ask(**body(tools=[tool], tool_choice="required", stream=True))
            for call in chunk.choices[0].delta.tool_calls or []
        ]
        assert "".join(deltas) == "{}"
        judge.configure(keys=["other"])
        with pytest.raises(openai.AuthenticationError):
            ask(**body())

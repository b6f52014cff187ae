"""Bedrock's InvokeModel: Anthropic's messages in its path and by its headers, no other body."""

import json
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.dialects.bedrock.invoke import InvokeAnthropic
from prefect_governor.blocks.wire.requests.plans import CallPlan
from prefect_governor.blocks.wire.transport import GovernedTransport
from tests.unit.fakes import FakeGoverning, FakeProvider
from tests.unit.prices import priced

CLAUDE = "anthropic.claude-3-5-haiku-20241022-v1:0"


def invoke(model: str = CLAUDE, verb: str = "invoke", **fields: Any) -> CallPlan:
    body = {
        "anthropic_version": "bedrock-2023-05-31",
        "max_tokens": 50,
        "messages": [{"role": "user", "content": "What is it?"}],
        **fields,
    }
    where = f"/model/{model}/{verb}"
    dialect = dialect_of("POST", where)
    assert isinstance(dialect, InvokeAnthropic)
    asked = dialect.open(json.dumps(body).encode(), path=where)
    return dialect.plan(asked, price=priced(f"bedrock/{CLAUDE}"), encoding=None)


def test_bound_is_that_of_anthropics_messages() -> None:
    made = invoke(anthropic_beta=["interleaved-thinking-2025-05-14"])
    assert len(made.body) < made.input_tokens < len(made.body) + 120
    assert (made.output_tokens, made.least_output_tokens, made.streamed) == (50, 1, False)
    assert set(json.loads(made.body)) == {
        "anthropic_version", "anthropic_beta", "max_tokens", "messages"
    }  # fmt: skip
    assert json.loads(InvokeAnthropic().refit(made, 9).body)["max_tokens"] == 9


def test_path_says_whether_it_is_a_stream() -> None:
    made = invoke(verb="invoke-with-response-stream")
    assert made.streamed and made.least_output_tokens == 1


def test_models_own_limit_is_written_into_a_request_without_one() -> None:
    made = invoke(max_tokens=None)
    assert made.own_limit and json.loads(made.body)["max_tokens"] == 8192


def test_image_is_bounded_by_the_models_rule() -> None:
    source = {"type": "base64", "media_type": "image/png", "data": "A" * 100_000}
    content = [{"type": "image", "source": source}]
    assert 1600 < invoke(messages=[{"role": "user", "content": content}]).input_tokens < 3000


@pytest.mark.parametrize(
    ("headers", "named"),
    [
        ({"X-Amzn-Bedrock-GuardrailIdentifier": "g"}, "guardrail"),
        ({"X-Amzn-Bedrock-PerformanceConfig-Latency": "optimized"}, "latency"),
        ({"X-Amzn-Bedrock-Service-Tier": "reserved"}, "service-tier"),
    ],
)
@pytest.mark.parametrize("path", [f"/model/{CLAUDE}/invoke", "/openai/v1/chat/completions"])
def test_header_that_costs_is_refused_by_name(
    path: str, headers: dict[str, str], named: str
) -> None:
    provider = FakeProvider([httpx.Response(500)])
    transport = GovernedTransport(provider)
    url = f"https://bedrock-runtime.us-east-1.amazonaws.com{path}"
    body = {"model": "openai.gpt-oss-20b-1:0", "max_tokens": 9, "messages": []}
    with scope(Scope(FakeGoverning())), pytest.raises(NotBounded, match=named):
        transport.handle_request(httpx.Request("POST", url, json=body, headers=headers))
    assert not provider.requests


def test_openais_chat_at_bedrock_has_its_price_and_its_limit() -> None:
    provider = FakeProvider([httpx.Response(400)])
    governing = FakeGoverning()
    url = "https://bedrock-runtime.us-east-1.amazonaws.com/openai/v1/chat/completions"
    body = {"model": "openai.gpt-oss-20b-1:0", "messages": [{"role": "user", "content": "hi"}]}
    with scope(Scope(governing)):
        GovernedTransport(provider).handle_request(httpx.Request("POST", url, json=body))
    assert governing.asked == ["bedrock/openai.gpt-oss-20b-1:0"]
    assert json.loads(provider.requests[0].content)["max_completion_tokens"] > 1000


@pytest.mark.parametrize(
    "model", ["meta.llama3-8b-instruct-v1:0", "us.amazon.nova-lite-v1:0", "anthropic.other-v1"]
)
def test_body_of_another_vendor_is_refused_with_what_to_use(model: str) -> None:
    with pytest.raises(NotBounded, match=f"bedrock/converse/{model}"):
        invoke(model)


def test_field_that_goes_around_the_bound_is_refused() -> None:
    with pytest.raises(NotBounded, match="max_tokens_to_sample"):
        invoke(max_tokens_to_sample=10**6)

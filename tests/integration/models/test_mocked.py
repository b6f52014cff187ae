"""Who stands where httpx sends sees the calls that a governor's pool makes, and they are governed:
respx's and pytest-httpx's mocks, and OpenTelemetry's instrumentation."""

from typing import Any

import httpx
import pytest
import respx
from opentelemetry.instrumentation.httpx import HTTPXClientInstrumentor
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter
from pytest_httpx import HTTPXMock

from prefect_governor import Governor, acompletion, completion, install
from tests.integration.models.bill import assert_spent_is_the_bill, figures
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

URL = "https://api.openai.com/v1/chat/completions"
REPLY = {
    "id": "chatcmpl-1",
    "object": "chat.completion",
    "created": 1,
    "model": "gpt-4o-mini",
    "choices": [
        {"index": 0, "message": {"role": "assistant", "content": "Ann."}, "finish_reason": "stop"}
    ],
    "usage": {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110},
}
# At $0.15 and $0.60 a million tokens.
SPENT_NANO = 100 * 150 + 10 * 600
ASKED: dict[str, Any] = {
    "model": "openai/gpt-4o-mini",
    "messages": [{"role": "user", "content": "Who pays?"}],
    "max_tokens": 20,
    "api_key": "sk-mocked",
}


async def ask(governor: Governor) -> None:
    """By LiteLLM, by a client on httpx, and without a loop."""
    with governor:
        reply = await acompletion(**ASKED)
        assert reply.choices[0].message.content == "Ann."
        assert completion(**ASKED).choices[0].message.content == "Ann."
    body = {"model": "gpt-4o-mini", "messages": ASKED["messages"], "max_tokens": 20}
    async with governor.async_http_client() as client:
        assert (await client.post(URL, json=body)).json() == REPLY


async def test_respx_answers_what_is_sent_under_a_governor() -> None:
    governor = Governor.local("respx", max_usd=1)
    with respx.mock(assert_all_called=True) as mocked:
        route = mocked.post(URL).mock(return_value=httpx.Response(200, json=REPLY))
        await ask(governor)
    assert route.call_count == 3
    assert figures(governor).spent_nano == 3 * SPENT_NANO


async def test_pytest_httpx_answers_what_is_sent_under_a_governor(httpx_mock: HTTPXMock) -> None:
    httpx_mock.add_response(url=URL, json=REPLY, is_reusable=True)
    governor = Governor.local("pytest-httpx", max_usd=1)
    await ask(governor)
    assert len(httpx_mock.get_requests()) == 3
    assert figures(governor).spent_nano == 3 * SPENT_NANO


async def test_a_mock_is_asked_for_nothing_that_the_ceiling_does_not_pay(
    httpx_mock: HTTPXMock,
) -> None:
    governor = Governor.local("mocked-poor", max_usd="0.000001")
    async with governor.async_http_client() as client:
        body = {"model": "gpt-4o-mini", "messages": ASKED["messages"], "max_tokens": 20}
        assert (await client.post(URL, json=body)).status_code == 402
    assert httpx_mock.get_requests() == []


@pytest.mark.parametrize("hooked", ["before", "after"])
async def test_opentelemetry_has_a_span_for_each_call_that_is_sent_under_a_governor(
    hooked: str, upstream: ProviderProcess
) -> None:
    spans, provider = InMemorySpanExporter(), TracerProvider()
    provider.add_span_processor(SimpleSpanProcessor(spans))
    if hooked == "before":
        install()
    instrumentor = HTTPXClientInstrumentor()
    instrumentor.instrument(tracer_provider=provider)
    try:
        governor = Governor.local(f"instrumented-{hooked}", max_usd=1)
        with governor:
            await acompletion(**ASKED, api_base=upstream.api_base)
            completion(**ASKED, api_base=upstream.api_base)
    finally:
        instrumentor.uninstrument()
    assert_spent_is_the_bill(governor, upstream, requests=2)
    told = [span.attributes for span in spans.get_finished_spans() if span.attributes]
    assert [each.get("http.url") or each.get("url.full") for each in told] == [
        f"{upstream.api_base}/chat/completions"
    ] * 2

    # Without it the pool sends again as it did.
    spans.clear()
    with governor:
        await acompletion(**ASKED, api_base=upstream.api_base)
    assert spans.get_finished_spans() == ()
    assert_spent_is_the_bill(governor, upstream, requests=3)

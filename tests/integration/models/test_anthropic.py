"""Anthropic's own SDK, and what only Anthropic bills."""

import asyncio
from typing import Any

import anthropic
import httpx
import httpx2
import pytest

from prefect_governor import Governor, NotBounded
from prefect_governor.blocks.errors import governor_error
from prefect_governor.blocks.wire.httpx2_bridge import Bridge
from prefect_governor.blocks.wire.transport import GovernedTransport
from tests.integration.models.bill import assert_spent_is_the_bill, calls
from tests.integration.models.cases import CURRENT, HELLO, KEY, PNG, root
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.unit.fakes import FakeGoverning, FakeProvider

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


# Anthropic's own SDK


def client(governor: Governor, provider: ProviderProcess) -> anthropic.Anthropic:
    return anthropic.Anthropic(
        api_key=KEY,
        base_url=root(provider),
        http_client=governor.http_client("httpx2"),
        max_retries=0,
    )


def told(sdk: anthropic.Anthropic, *, stream: bool = False, **more: Any) -> str:
    asked: Any = {"model": CURRENT, "max_tokens": 30, "messages": HELLO, **more}
    if stream:
        with sdk.messages.stream(**asked) as events:
            return "".join(events.text_stream)
    return str(sdk.messages.create(**asked).content[0].text)


@pytest.mark.parametrize("stream", [False, True])
def test_anthropics_sdk_spends_what_is_billed(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    with client(governor, provider) as sdk:
        assert all([told(sdk, stream=stream) for _ in range(3)])
        raw = sdk.messages.create(model=CURRENT, max_tokens=30, messages=HELLO, stream=True)
        assert [event.type for event in raw][-1] == "message_stop"
    assert_spent_is_the_bill(governor, provider, requests=4)


@pytest.mark.parametrize("stream", [False, True])
async def test_anthropics_async_sdk_too(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    async with anthropic.AsyncAnthropic(
        api_key=KEY,
        base_url=root(provider),
        http_client=governor.async_http_client("httpx2"),
        max_retries=0,
    ) as sdk:

        async def one() -> str:
            if not stream:
                reply = await sdk.messages.create(model=CURRENT, max_tokens=30, messages=HELLO)
                return str(reply.content[0].text)  # type: ignore[union-attr]
            async with sdk.messages.stream(model=CURRENT, max_tokens=30, messages=HELLO) as events:
                return "".join([text async for text in events.text_stream])

        assert all(await asyncio.gather(*(one() for _ in range(5))))
    assert_spent_is_the_bill(governor, provider, requests=5)


def test_image_is_within_its_bound_and_a_pdf_is_refused(
    governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(image_tokens=1590)
    picture = {"type": "base64", "media_type": "image/png", "data": PNG}
    paper = {"type": "base64", "media_type": "application/pdf", "data": "JVBERi0="}
    with client(governor, provider) as sdk:
        parts = [{"type": "image", "source": picture}, {"type": "text", "text": "What is it?"}]
        told(sdk, messages=[{"role": "user", "content": parts}])
        with pytest.raises(anthropic.BadRequestError) as raised:
            document = [{"type": "document", "source": paper}]
            told(sdk, messages=[{"role": "user", "content": document}])
    assert isinstance(governor_error(raised.value), NotBounded)
    assert_spent_is_the_bill(governor, provider)
    (call,) = calls(governor)
    assert call.usage is not None
    assert 1590 < call.usage.input_tokens <= call.bound.input_tokens < 2000


def test_counting_tokens_is_neither_admitted_nor_held_back() -> None:
    governing = FakeGoverning()
    upstream = FakeProvider([httpx.Response(200, json={"input_tokens": 9})])
    http = httpx2.Client(transport=Bridge(GovernedTransport(upstream, governing)))
    with anthropic.Anthropic(api_key=KEY, http_client=http, max_retries=0) as sdk:
        counted = sdk.messages.count_tokens(model=CURRENT, messages=HELLO)
    assert counted.input_tokens == 9
    assert len(upstream.requests) == 1 and not governing.desk.demands


# What only Anthropic bills


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("life", ["5m", "1h"])
def test_cache_that_is_read_and_written_is_settled_at_its_price(
    life: str, stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(cached_fraction=0.4, written_fraction=0.5)
    control = {"type": "ephemeral", "ttl": life}
    system = [{"type": "text", "text": "Be brief. " * 100, "cache_control": control}]
    with client(governor, provider) as sdk:
        told(sdk, system=system, stream=stream)
    stats = provider.settled_stats()
    assert stats["cached_tokens"] > 0
    # More than all of it fresh would have been, less the cache's reads: it was written.
    fresh = stats["input_tokens"] - stats["cached_tokens"]
    floor = fresh * 3000 + stats["cached_tokens"] * 300 + stats["output_tokens"] * 15000
    assert stats["billed_nano"] > floor
    assert_spent_is_the_bill(governor, provider)


@pytest.mark.parametrize("stream", [False, True])
def test_dearer_region_that_the_workspace_chose_is_settled_at_its_price(
    stream: bool, governor: Governor, provider: ProviderProcess
) -> None:
    provider.configure(auto_tier="us")
    with client(governor, provider) as sdk:
        told(sdk, model="claude-sonnet-4-6", stream=stream)
        told(sdk, model="claude-sonnet-4-6", stream=stream, extra_body={"inference_geo": "global"})
    assert_spent_is_the_bill(governor, provider, requests=2)

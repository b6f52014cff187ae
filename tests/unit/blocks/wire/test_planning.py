"""What is sent is what was measured; what has no governor, bound or price is refused by name."""

import gzip
import json
from typing import Any

import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import NotBounded, NotGoverned, NotPriced
from tests.unit.blocks.wire.transports import SECRET, MakeWire, ok
from tests.unit.fakes import chat_request


async def test_call_outside_any_governor_is_refused_with_the_fix(wire: MakeWire) -> None:
    made = wire(ok())
    with pytest.raises(NotGoverned, match="with governor"):
        await made.post()
    assert not made.provider.requests


async def test_path_that_no_dialect_knows_is_refused_by_name(wire: MakeWire) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)), pytest.raises(NotGoverned, match="/v1/images/generations"):
        await made.post(url="https://api.openai.com/v1/images/generations")
    assert not made.provider.requests


async def test_model_without_a_price_is_refused_by_name(wire: MakeWire) -> None:
    made = wire(ok())
    with (
        scope(Scope(made.governing)),
        pytest.raises(NotPriced, match=r"'openai/nobody-knows-it'.*Model block"),
    ):
        await made.post(chat_request(model="nobody-knows-it"))
    assert not made.provider.requests


async def test_azure_answers_by_the_deployment_of_the_path_whatever_the_body_says(
    wire: MakeWire,
) -> None:
    made = wire(ok())
    url = "https://ours.openai.azure.com/openai/deployments/{}/chat/completions"
    for body in (chat_request(model="gpt-4o"), chat_request(model=None)):
        await made.post(body, governing=made.governing, url=url.format("gpt-4o-mini"))
    with pytest.raises(NotPriced, match=r"'azure/our-chat'.*names a deployment"):
        await made.post(chat_request(), governing=made.governing, url=url.format("our-chat"))
    assert made.governing.asked == ["azure/gpt-4o-mini", "azure/gpt-4o-mini", "azure/our-chat"]


async def test_provider_in_the_price_is_told_by_the_host_or_the_transport(wire: MakeWire) -> None:
    made = wire(ok())
    await made.post(governing=made.governing)
    await made.post(governing=made.governing, url="http://127.0.0.1:9/v1/chat/completions")
    with pytest.raises(NotPriced):
        await made.post(governing=made.governing, provider="groq")
    assert made.governing.asked == ["openai/gpt-4o-mini", "gpt-4o-mini", "groq/gpt-4o-mini"]


async def test_compressed_request_cannot_hide_what_it_asks_for(wire: MakeWire) -> None:
    made = wire(ok())
    with scope(Scope(made.governing)), pytest.raises(NotBounded, match="compressed"):
        await made.post(
            gzip.compress(json.dumps(chat_request()).encode()),
            headers={"content-encoding": "gzip"},
        )


async def test_key_that_stands_twice_is_sent_as_it_was_measured(wire: MakeWire) -> None:
    made = wire(ok())
    body = b'{"model":"gpt-4o-mini","max_tokens":9000,"max_tokens":5,"messages":[]}'
    with scope(Scope(made.governing)):
        await made.post(body)
    sent = made.provider.requests[0]
    assert sent.content.count(b"max_tokens") == 1
    assert made.provider.bodies[0]["max_tokens"] == 5
    assert int(sent.headers["content-length"]) == len(sent.content)
    assert sent.headers["authorization"] == f"Bearer {SECRET}"


async def test_no_error_message_holds_a_key_or_a_request(wire: MakeWire) -> None:
    bodies: list[Any] = [
        chat_request(messages=[{"role": "user", "content": SECRET}], max_tokens="many"),
        chat_request(messages=SECRET),
        chat_request(unknown_field=SECRET),
        f'{{"model": "{SECRET}"'.encode(),
        chat_request(messages=[{"role": "user", "content": [{"type": "x", "url": SECRET}]}]),
    ]
    for body in bodies:
        made = wire(ok())
        with scope(Scope(made.governing)), pytest.raises(NotBounded) as caught:
            await made.post(body)
        assert SECRET not in str(caught.value)
        assert not made.provider.requests

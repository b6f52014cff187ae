"""What is only observed is never refused for want of a price, a bound or a known path; where tokens
alone have a ceiling, a price is not wanted."""

import gzip
import json
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import NotBounded, NotGoverned, NotPriced
from prefect_governor.blocks.records.calls import Bound
from tests.unit.blocks.wire.transports import URL, MakeWire, ok
from tests.unit.fakes import FakeGoverning, chat_events, chat_request, event_stream

FILE: Any = [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}]
SPEECH = "https://api.openai.com/v1/audio/speech"


async def passed(
    wire: MakeWire, body: Any, reply: Any, *, url: str = URL, **options: Any
) -> tuple[Any, httpx.Response]:
    """The same, refused where it is enforced, and passed where it is observed."""
    enforced = wire(ok())
    with pytest.raises((NotBounded, NotPriced, NotGoverned)):
        await enforced.post(body, url=url, governing=enforced.governing, **options)
    assert not enforced.provider.requests
    made = wire(reply, governing=FakeGoverning(observe=True))
    response = await made.post(body, url=url, governing=made.governing, **options)
    assert response.is_success
    (demand,) = made.desk.demands.values()
    assert demand.bound == Bound(0, 0, 0)
    return made, response


def told(made: Any) -> str:
    (demand,) = made.desk.demands.values()
    return str(demand.unmeasured)


async def test_unknown_model_passes_and_its_tokens_are_counted(wire: MakeWire) -> None:
    made, _ = await passed(wire, chat_request(model="nobody-knows-it"), ok())
    assert told(made).startswith("POST /v1/chat/completions: ")
    assert "'openai/nobody-knows-it'" in told(made)
    ((outcome, usage),) = made.desk.resolved.values()
    assert (outcome, usage.nano, usage.tokens) == ("settle", 0, 15)


async def test_unknown_models_stream_is_asked_for_its_usage(wire: MakeWire) -> None:
    body = chat_request(model="nobody-knows-it", stream=True)
    made, response = await passed(wire, body, lambda: event_stream(chat_events()))
    assert "usage" not in response.text
    ((outcome, usage),) = made.desk.resolved.values()
    assert (outcome, usage.nano, usage.tokens) == ("settle", 0, 15)


@pytest.mark.parametrize(
    ("fields", "why"),
    [
        ({"messages": FILE}, "a part of type 'file'"),
        ({"next_years": 1}, "`next_years`"),
        ({"model": "nobody-knows-it", "max_tokens": None}, "'openai/nobody-knows-it'"),
        ({"max_tokens": "many"}, "max_tokens"),
        ({"messages": "hello"}, "`messages`"),
    ],
)
async def test_unknown_bound_passes_as_it_came_and_its_reply_is_read(
    wire: MakeWire, fields: dict[str, Any], why: str
) -> None:
    body = chat_request(**fields)
    made, _ = await passed(wire, body, ok())
    assert why in told(made)
    assert made.provider.bodies == [body]
    ((outcome, usage),) = made.desk.resolved.values()
    assert (outcome, usage.tokens) == ("settle", 15)
    assert (usage.nano > 0) == ("model" not in fields)


async def test_unknown_bound_of_a_stream_is_settled_if_it_says_its_usage(wire: MakeWire) -> None:
    made, response = await passed(
        wire, chat_request(messages=FILE, stream=True), lambda: event_stream(chat_events())
    )
    assert response.text.endswith("[DONE]\n\n")
    assert made.desk.outcomes == ["settle"]


@pytest.mark.parametrize(
    "body",
    [{"model": "tts-1", "input": "hi"}, b"--part\r\nnot json", b"\x1f\x8b\x00"],
    ids=["json", "multipart", "bytes"],
)
async def test_unknown_path_passes_byte_for_byte(wire: MakeWire, body: Any) -> None:
    sound = httpx.Response(200, headers={"content-type": "audio/mpeg"}, content=b"\xff\xfb\x00")
    made, response = await passed(wire, body, sound, url=SPEECH)
    assert response.content == b"\xff\xfb\x00"
    assert told(made).startswith("POST /v1/audio/speech: ")
    (demand,) = made.desk.demands.values()
    named = isinstance(body, dict)
    assert demand.attribution.model == ("openai/tts-1" if named else "openai/")
    (request,) = made.provider.requests
    assert request.content == (json.dumps(body).encode() if named else body)
    assert made.desk.outcomes == ["unconfirm"]


async def test_compressed_request_keeps_the_header_that_says_so(wire: MakeWire) -> None:
    body = gzip.compress(json.dumps(chat_request()).encode())
    headers = {"content-encoding": "gzip"}
    made, _ = await passed(wire, body, ok(), headers=headers)
    (request,) = made.provider.requests
    assert request.headers["content-encoding"] == "gzip"
    assert request.content == body
    assert "compressed" in told(made)


async def test_reply_in_the_form_of_a_stream_passes_where_none_was_to_come(wire: MakeWire) -> None:
    sent = httpx.Response(200, headers={"content-type": "text/plain"}, content=b"vectors")
    body = {"model": "text-embedding-3-small", "input": [[["no tokens"]]]}
    url = "https://api.openai.com/v1/embeddings"
    made, response = await passed(wire, body, sent, url=url)
    assert response.content == b"vectors"
    assert made.desk.outcomes == ["unconfirm"]


async def test_key_that_stands_in_a_path_is_not_told(wire: MakeWire) -> None:
    key = "sk-in-a-path-0123456789abcdef"
    made, _ = await passed(
        wire, chat_request(model="nobody-knows-it"), ok(),
        url=f"https://gateway.test/{key}/v1/chat/completions",
        headers={"authorization": f"Bearer {key}"},
    )  # fmt: skip
    assert key not in told(made) and "/v1/chat/completions" in told(made)


async def test_what_was_measured_is_not_said_to_be_not(wire: MakeWire) -> None:
    made = wire(ok(), governing=FakeGoverning(observe=True))
    await made.post(governing=made.governing)
    (demand,) = made.desk.demands.values()
    assert demand.unmeasured is None
    assert demand.bound.nano > 0


async def test_where_tokens_alone_have_a_ceiling_no_price_is_wanted(wire: MakeWire) -> None:
    made = wire(ok(), governing=FakeGoverning(tokens_alone=True))
    with scope(Scope(made.governing)):
        await made.post(chat_request(model="nobody-knows-it"))
        with pytest.raises(NotBounded, match="max_tokens"):
            await made.post(chat_request(model="nobody-knows-it", max_tokens=None))
        with pytest.raises(NotGoverned):
            await made.post(url=SPEECH)
    (demand,) = made.desk.demands.values()
    assert (demand.bound.nano, demand.bound.output_tokens, demand.unmeasured) == (0, 20, None)
    ((_, usage),) = made.desk.resolved.values()
    assert (usage.nano, usage.tokens) == (0, 15)

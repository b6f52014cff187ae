"""Azure on the wire: whose prices and limits a call has, what is sent, how its streams end."""

import json
from contextlib import suppress
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.errors import NotBounded, NotPriced
from prefect_governor.blocks.terms.limit import GovernedLimit, Limit
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.replies.secrets import Secrets
from tests.unit.blocks.wire.dialects.openai.plans import chat_plan
from tests.unit.blocks.wire.transports import MakeWire, ok
from tests.unit.blocks.work.test_runtime import runtime
from tests.unit.fakes import FakeGoverning, chat_reply, chat_request, event_stream

HOST = "https://ours.openai.azure.com"
GATEWAY = "https://models.example.org/azure"
DATED = "/openai/deployments/{}/chat/completions?api-version="
FILTERED = {"error": {"code": "content_filter", "message": "filtered", "status": 400}}


@pytest.mark.parametrize(
    ("url", "told", "model"),
    [
        (f"{HOST}{DATED.format('our-chat')}2024-10-21", None, "azure/our-chat"),
        (f"{HOST}/openai/v1/chat/completions", None, "azure/gpt-4o-mini"),
        # OpenAI's name for whatever speaks like it: the place decides.
        (f"{HOST}/openai/v1/chat/completions", "openai", "azure/gpt-4o-mini"),
        (f"{GATEWAY}{DATED.format('our-chat')}2024-10-21", None, "azure/our-chat"),
        (f"{GATEWAY}/openai/responses?api-version=2025-04-01-preview", None, "azure/gpt-4o-mini"),
        (f"{GATEWAY}/openai/v1/chat/completions", "azure", "azure/gpt-4o-mini"),
        # OpenAI's own, everywhere: a limit on openai/* holds them as they are.
        ("https://eu.api.openai.com/v1/chat/completions", None, "openai/gpt-4o-mini"),
        ("https://us.api.openai.com/v1/chat/completions", "openai", "openai/gpt-4o-mini"),
        # Groq's path, and whoever else has it.
        (f"{GATEWAY}/openai/v1/chat/completions", None, "gpt-4o-mini"),
        ("https://api.groq.com/openai/v1/chat/completions", None, "groq/gpt-4o-mini"),
    ],
)
async def test_host_path_and_client_say_whose_price_it_is(
    wire: MakeWire, url: str, told: str | None, model: str
) -> None:
    made = wire(ok())
    more = {} if told is None else {"provider": told}
    # Whether it is then sent is not the question here.
    with suppress(NotPriced, NotBounded):
        await made.post(governing=made.governing, url=url, **more)
    assert made.governing.asked == [model]


@pytest.mark.parametrize("end", ["chat/completions", "embeddings", "responses"])
async def test_deployment_without_its_model_is_refused_with_what_to_say(
    wire: MakeWire, end: str
) -> None:
    made = wire(ok())
    body = {"model": "our-chat", "messages": [], "input": "hi", "max_tokens": 9}
    with pytest.raises(NotPriced, match=r"names a deployment.*\"base_model\": \"azure/…\""):
        await made.post(body, governing=made.governing, url=f"{HOST}/openai/v1/{end}")
    assert not made.provider.requests


def test_limit_on_openais_models_holds_azures_deployments_and_is_not_held_by_them() -> None:
    made, _, _ = runtime()
    patterns = ("openai/*", "azure/*", "gpt-4o*", "our-*", "anthropic/*")
    made.limits_ = tuple(
        GovernedLimit(Limit(model=each, max_concurrent=9), each, leased=False) for each in patterns
    )
    made._upstreams.update({"upstream/here/azure/our-chat", "upstream/here/openai/gpt-4o"})
    also = ("azure/gpt-4o-mini", "openai/gpt-4o-mini")
    held = made.limits(tags=(), model="azure/our-chat", host="here", also=also)
    assert held == ("openai/*", "azure/*", "gpt-4o*", "our-*", "upstream/here/azure/our-chat")
    # A 429 of Azure's is about the deployment: OpenAI itself may serve.
    assert made.throttle_keys(held, model="azure/our-chat") == (
        "azure/*", "our-*", "upstream/here/azure/our-chat",
    )  # fmt: skip
    there = made.limits(tags=(), model="openai/gpt-4o", host="here")
    assert there == ("openai/*", "gpt-4o*", "upstream/here/openai/gpt-4o")


class Heard(FakeGoverning):
    """Notes what a call is called."""

    def limits(self, **asked: Any) -> tuple[str, ...]:
        self.called = (asked["model"], *asked["also"])
        return ()


@pytest.mark.parametrize(
    ("deployment", "base_model", "called"),
    [
        ("our-chat", "azure/eu/gpt-4o", ("azure/our-chat", "azure/gpt-4o", "openai/gpt-4o")),
        ("gpt-4o", None, ("azure/gpt-4o", "azure/gpt-4o", "openai/gpt-4o")),
        ("our-chat", "azure/gpt-4*", ("azure/our-chat", "openai/our-chat")),
    ],
)
async def test_a_deployment_is_called_by_the_model_behind_it_too(
    wire: MakeWire, deployment: str, base_model: str | None, called: tuple[str, ...]
) -> None:
    heard = Heard()
    made = wire(ok(), governing=heard)
    url = f"{HOST}{DATED.format(deployment)}2024-10-21"
    await made.post(governing=heard, url=url, base_model=base_model)
    assert heard.called == called
    assert [each.attribution.model for each in made.desk.demands.values()] == [called[0]]


@pytest.mark.parametrize(
    ("version", "sent"),
    [
        # What came before the tiers refuses the field, and an error of Azure's may be billed.
        ("2024-10-21", None),
        ("2025-04-01-preview", None),
        ("2025-10-01-preview", "default"),
        ("v1", "default"),
        ("preview", "default"),
    ],
)
async def test_dated_api_is_sent_no_service_tier_that_it_does_not_know(
    wire: MakeWire, version: str, sent: str | None
) -> None:
    made = wire(ok())
    url = f"{HOST}{DATED.format('gpt-4.1')}{version}"
    await made.post(chat_request(model="gpt-4.1"), governing=made.governing, url=url)
    assert made.provider.bodies[0].get("service_tier") == sent


@pytest.mark.parametrize("provider", [None, "azure"])
async def test_gateway_before_azure_does_not_make_its_400_free(
    wire: MakeWire, provider: str | None
) -> None:
    made = wire(httpx.Response(400, json=FILTERED))
    path = "/openai/v1/chat/completions" if provider else DATED.format("gpt-4o-mini") + "2024-10-21"
    more = {"provider": provider} if provider else {}
    await made.post(governing=made.governing, url=GATEWAY + path, **more)
    assert made.desk.outcomes == ["unconfirm"]


async def test_call_is_settled_by_the_version_that_its_reply_names(wire: MakeWire) -> None:
    replies = [
        httpx.Response(200, json={**chat_reply(1000, 100), "model": model})
        for model in ("gpt-4o-2024-08-06", "gpt-4o-2024-05-13", "our-gpt-4o")
    ]
    made = wire(*replies)
    for _ in replies:
        await made.post(
            chat_request(model="gpt-4o"), governing=made.governing,
            url=f"{HOST}{DATED.format('gpt-4o')}2024-10-21",
        )  # fmt: skip
    spent = [usage.nano for _, usage in made.desk.resolved.values()]
    assert spent == [2750_000 + 1100_000, 5500_000 + 1650_000, 5500_000 + 1650_000]


def chunk(*choices: dict[str, Any], **more: Any) -> bytes:
    return b"data: " + json.dumps({"choices": list(choices), **more}).encode() + b"\n\n"


SAFE = {"hate": {"filtered": False, "severity": "safe"}}
# learn.microsoft.com/azure/ai-foundry/openai/concepts/content-streaming
STREAM = [
    chunk(id="", model="", object="", created=0, prompt_filter_results=[{"prompt_index": 0}]),
    chunk({"index": 0, "delta": {"content": "hi"}, "content_filter_results": SAFE}, model="gpt-4o"),
    chunk({"index": 0, "delta": {}, "finish_reason": "stop"}, model="gpt-4o-2024-08-06"),
]
FOUND = {"index": 0, "finish_reason": None, "content_filter_results": SAFE}
LATE = chunk({**FOUND, "content_filter_offsets": {"check_offset": 44}}, id="", model="")
USAGE = chunk(usage={"prompt_tokens": 9, "completion_tokens": 2}, model="gpt-4o-2024-08-06")


@pytest.mark.parametrize("end", [[USAGE, LATE], [LATE, USAGE], [USAGE, LATE, b"data: [DONE]\n\n"]])
def test_what_a_filter_finds_late_is_no_more_of_the_answer(end: list[bytes]) -> None:
    reader = OpenAIChat().stream(chat_plan(model="gpt-4o", stream=True))
    for event in (*STREAM, *end):
        reader.feed(event)
    assert reader.all_said()
    reader.flush()
    billed = reader.finished()
    assert billed is not None
    assert (billed.parts.output_tokens, billed.model) == (2, "gpt-4o-2024-08-06")


async def test_filters_chunks_are_passed_on_as_they_come(wire: MakeWire) -> None:
    events = [*STREAM, USAGE, LATE, b"data: [DONE]\n\n"]
    made = wire(event_stream(events))
    reply = await made.post(
        chat_request(model="gpt-4o", stream=True, stream_options={"include_usage": True}),
        governing=made.governing, url=f"{HOST}{DATED.format('gpt-4o')}2024-10-21",
    )  # fmt: skip
    assert reply.content == b"".join(events)
    assert made.desk.outcomes == ["settle"]


@pytest.mark.parametrize("header", ["api-key", "authorization"])
def test_key_tells_accounts_apart_and_a_token_of_an_hour_does_not(header: str) -> None:
    def fingerprint(secret: str) -> str:
        shown = f"Bearer {secret}" if header == "authorization" else secret
        return Secrets(httpx.Request("POST", HOST, headers={header: shown})).fingerprint

    keys = [fingerprint(f"{letter}0123456789abcdef") for letter in "ab"]
    assert len({*keys}) == 2
    assert all(len(each) == 8 for each in keys)
    assert fingerprint("eyJ0eXAiOiJKV1Qi.eyJhdWQiOiJodHRwcz.c2lnbmF0dXJl") == ""

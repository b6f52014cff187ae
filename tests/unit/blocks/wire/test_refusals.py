"""What an SDK's user sees of a refusal: the SDK's own exception, which says it, after one try."""

import asyncio
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Any

import anthropic
import httpx
import openai
import pytest

from prefect_governor import (
    CallRefused,
    ConfigurationError,
    Governor,
    LedgerUnavailable,
    NotBounded,
    NotGoverned,
    NotPriced,
    OverBudget,
    QueueTimeout,
    RunStopped,
)
from prefect_governor.blocks.errors import REFUSAL, GovernorError, governor_error
from prefect_governor.blocks.models.failures import ends_the_run, worth_a_retry
from prefect_governor.blocks.wire.refusals import refusal
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from prefect_governor.flows.report.reasons import leading, reason_of
from tests.unit.fakes import FakeDesk, FakeGoverning, FakeProvider, chat_reply, chat_request

HI: Any = [{"role": "user", "content": "hi"}]
CHAT = "https://api.openai.com/v1/chat/completions"
# Like `tests.integration.models.cases.CURRENT`: of no other does the SDK say that it is deprecated.
CLAUDE = "claude-sonnet-4-6"


@pytest.fixture
def poor(home: Any) -> Governor:
    return Governor.local("penny-box", max_usd="0.000004")


def by_openai(governor: Governor, sent: list[str], **more: Any) -> Any:
    http = governor.http_client()
    http.event_hooks["request"].append(lambda request: sent.append(request.url.path))
    with openai.OpenAI(api_key="sk-1", http_client=http, **more) as sdk:
        return sdk.chat.completions.create(model="gpt-4o-mini", messages=HI, max_tokens=200)


def by_openai_streamed(governor: Governor, sent: list[str]) -> Any:
    http = governor.http_client()
    http.event_hooks["request"].append(lambda request: sent.append(request.url.path))
    with openai.OpenAI(api_key="sk-1", http_client=http) as sdk:
        return sdk.responses.create(
            model="gpt-4o-mini", input="hi", max_output_tokens=200, stream=True
        )


def by_anthropic(governor: Governor, sent: list[str]) -> Any:
    http = governor.http_client("httpx2")
    http.event_hooks["request"].append(lambda request: sent.append(request.url.path))
    with anthropic.Anthropic(api_key="sk-1", http_client=http) as sdk:
        return sdk.messages.create(model=CLAUDE, messages=HI, max_tokens=200)


def by_async_openai(governor: Governor, sent: list[str]) -> Any:
    async def call() -> Any:
        async def note(request: Any) -> None:
            sent.append(request.url.path)

        http = governor.async_http_client()
        http.event_hooks["request"].append(note)
        async with openai.AsyncOpenAI(api_key="sk-1", http_client=http) as sdk:
            return await sdk.chat.completions.create(
                model="gpt-4o-mini", messages=HI, max_tokens=200, stream=True
            )

    return asyncio.run(call())


def by_async_anthropic(governor: Governor, sent: list[str]) -> Any:
    async def call() -> Any:
        async def note(request: Any) -> None:
            sent.append(request.url.path)

        http = governor.async_http_client("httpx2")
        http.event_hooks["request"].append(note)
        async with (
            anthropic.AsyncAnthropic(api_key="sk-1", http_client=http) as sdk,
            sdk.messages.stream(model=CLAUDE, messages=HI, max_tokens=200) as events,
        ):
            return [text async for text in events.text_stream]

    return asyncio.run(call())


@pytest.mark.parametrize(
    "call", [by_openai, by_openai_streamed, by_async_openai, by_anthropic, by_async_anthropic]
)
def test_error_of_an_sdk_over_budget_says_whose_what_is_left_and_what_to_do(
    poor: Governor, call: Callable[[Governor, list[str]], Any]
) -> None:
    sent: list[str] = []
    with pytest.raises((openai.APIStatusError, anthropic.APIStatusError)) as raised:
        call(poor, sent)
    error: Any = raised.value
    said = str(error)
    assert "prefect-governor refused this call" in said
    assert "$0.00000400 of the $0.00000400 ceiling of budget 'penny-box' is left" in said
    assert "raise the ceiling to go on" in said
    assert error.status_code == 402
    assert error.response.headers[REFUSAL] == "OverBudget"
    # It tries twice more by default what it thinks may succeed.
    assert len(sent) == 1
    assert isinstance(governor_error(error), OverBudget)


def test_refusals_are_raised_where_that_is_asked_for(poor: Governor) -> None:
    with poor.http_client(raise_refusals=True) as http, pytest.raises(OverBudget):
        http.post(CHAT, json=chat_request())

    async def call() -> None:
        async with poor.async_http_client(raise_refusals=True) as http:
            await http.post(CHAT, json=chat_request())

    with pytest.raises(OverBudget):
        asyncio.run(call())


@dataclass
class Refusing(FakeDesk):
    """Refuses every call with one error."""

    error: Exception | None = None

    def admit(self, *args: Any, **more: Any) -> "Future[Any]":
        future: Future[Any] = Future()
        future.set_exception(self.error)
        return future


def sent_through(kind: str, governing: FakeGoverning, url: str = CHAT) -> httpx.Response:
    provider = FakeProvider([httpx.Response(200, json=chat_reply())])

    async def call() -> httpx.Response:
        governed = GovernedAsyncTransport(provider, governing, answers=True)
        async with httpx.AsyncClient(transport=governed) as client:
            return await client.post(url, json=chat_request())

    if kind == "async":
        return asyncio.run(call())
    with httpx.Client(transport=GovernedTransport(provider, governing, answers=True)) as client:
        return client.post(url, json=chat_request())


@pytest.mark.parametrize("kind", ["async", "blocking"])
@pytest.mark.parametrize(
    ("error", "status"),
    [
        (OverBudget("x"), 402),
        (QueueTimeout("x"), 429),
        (LedgerUnavailable("x"), 503),
        (NotPriced("x"), 400),
        (NotBounded("x"), 400),
        (RunStopped("x"), 400),
        (CallRefused("x"), 400),
        (ConfigurationError("x"), 400),
    ],
)
def test_each_refusal_has_its_status_and_is_not_tried_again(
    kind: str, error: GovernorError, status: int
) -> None:
    governing = FakeGoverning(Refusing(error=error), queue_timeout_seconds=7.5)
    reply = sent_through(kind, governing)
    assert reply.status_code == status
    assert reply.headers["x-should-retry"] == "false"
    assert reply.headers.get("retry-after") == ("8" if status == 429 else None)
    assert reply.extensions[REFUSAL] is error
    failed = openai.APIStatusError("e", response=reply, body=reply.json()["error"])
    assert governor_error(failed) is error
    assert not worth_a_retry(failed) and ends_the_run(failed) is None


@pytest.mark.parametrize("kind", ["async", "blocking"])
def test_what_a_provider_answers_is_not_taken_for_a_refusal(kind: str) -> None:
    reply = sent_through(kind, FakeGoverning())
    assert reply.status_code == 200 and REFUSAL not in reply.headers


def test_path_that_nobody_knows_is_answered_too() -> None:
    reply = sent_through("blocking", FakeGoverning(), "https://api.openai.com/v1/batches")
    assert reply.status_code == 400
    assert "on no path whose cost is known" in reply.json()["error"]["message"]
    assert reply.headers[REFUSAL] == NotGoverned.__name__


GEMINI = "https://generativelanguage.googleapis.com/v1beta/models/gemini-2.5-flash:generateContent"


@pytest.mark.parametrize(
    ("url", "says"),
    [
        (CHAT, lambda body: body["error"]["message"]),
        ("https://api.mistral.ai/v1/chat/completions", lambda body: body["error"]["message"]),
        ("https://api.groq.com/openai/v1/chat/completions", lambda body: body["error"]["message"]),
        ("https://api.openai.com/v1/embeddings", lambda body: body["error"]["message"]),
        ("https://api.openai.com/v1/responses", lambda body: body["error"]["message"]),
        ("https://api.anthropic.com/v1/messages", lambda body: body["error"]["message"]),
        (GEMINI, lambda body: body["error"]["message"]),
        ("http://127.0.0.1:11434/api/chat", lambda body: body["error"]),
    ],
)
def test_body_has_the_form_of_the_family(url: str, says: Callable[[Any], str]) -> None:
    reply = refusal(OverBudget("needs more"), httpx.Request("POST", url))
    body = reply.json()
    assert says(body) == "prefect-governor refused this call: OverBudget: needs more"
    # Nobody takes it for the provider's own word.
    marks = [
        word for word in ("prefect_governor_refusal", "prefect-governor") if word in reply.text
    ]
    assert marks and "OverBudget" in reply.text
    assert body.get("type") == ("error" if "anthropic" in url else body.get("type"))
    if url == GEMINI:
        assert body["error"]["code"] == reply.status_code == 402


class KeepsNoResponse(Exception):
    """As Cohere's and Ollama's errors are."""

    def __init__(self, status_code: int, text: str) -> None:
        super().__init__(f"status_code: {status_code}, body: {text}")
        self.status_code = status_code


def test_refusal_is_known_by_its_text_where_an_sdk_keeps_nothing_else() -> None:
    reply = refusal(OverBudget("needs more"), httpx.Request("POST", CHAT))
    error = KeepsNoResponse(402, reply.text)
    told = leading(error)
    assert isinstance(told, OverBudget) and "needs more" in reason_of(error)
    assert governor_error(KeepsNoResponse(500, reply.text)) is None
    assert governor_error(KeepsNoResponse(402, "Insufficient balance")) is None
    assert governor_error(ValueError(reply.text)) is None


async def test_item_whose_sdk_was_refused_is_over_budget(poor: Governor) -> None:
    from prefect_governor.flows.report.states import _of_error

    call: Callable[[], Awaitable[Any]] = lambda: asyncio.to_thread(by_openai, poor, [])  # noqa: E731
    with pytest.raises(openai.APIStatusError) as raised:
        await call()
    ending = _of_error(raised.value)
    assert ending.state == "over_budget"
    assert ending.reason is not None and ending.reason.startswith("needs $")

"""A governor's own methods and clients, with SDKs as they are, and what a fork leaves of them."""

import asyncio
import json
import os
import signal
import threading
import traceback
from collections.abc import Awaitable, Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import httpx
import openai
import pytest

from prefect_governor import Governor, Limit, NotBounded, OverBudget
from prefect_governor.blocks.errors import chain, governor_error
from prefect_governor.blocks.models import clients
from prefect_governor.blocks.models.clients import aclose_clients, blocking_client
from prefect_governor.blocks.models.openai_clients import Wanted
from prefect_governor.blocks.work.ledgers import account_state
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.unit.fakes import chat_reply

MODEL = "gpt-4o-mini"
HELLO: Any = [{"role": "user", "content": "hello"}]
# No pattern knows these for keys.
KEYS = ["test-key-123", "abcDEF123", "sk-proj-abcdEFGH1234567890"]

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


@pytest.fixture
def governor() -> Governor:
    return Governor.local("clients", max_usd="0.50", limits=[Limit(tag="sdk", max_concurrent=2)])


def figures(governor: Governor) -> tuple[int, int, int]:
    """Spent, reserved and unconfirmed, in nano-dollars."""
    state = account_state(governor.runtime.accounts_[0])
    return state.spent_nano, state.reserved_nano, state.unconfirmed_nano


def assert_spent_is_the_bill(governor: Governor, upstream: ProviderProcess, calls: int) -> None:
    stats = upstream.settled_stats()
    assert stats["requests"] == calls
    assert stats["billed_nano"] > 0
    assert figures(governor) == (stats["billed_nano"], 0, 0)


# The SDKs' clients


def ask(client: openai.OpenAI, *, stream: bool = False) -> str:
    arguments: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 30}
    if not stream:
        reply = client.chat.completions.create(**arguments)
        return str(reply.choices[0].message.content)
    chunks = client.chat.completions.create(**arguments, stream=True)
    return "".join(each.choices[0].delta.content or "" for each in chunks if each.choices)


async def aask(client: openai.AsyncOpenAI, *, stream: bool = False) -> str:
    arguments: Any = {"model": MODEL, "messages": HELLO, "max_tokens": 30}
    if not stream:
        reply = await client.chat.completions.create(**arguments)
        return str(reply.choices[0].message.content)
    chunks = await client.chat.completions.create(**arguments, stream=True)
    return "".join([each.choices[0].delta.content or "" async for each in chunks if each.choices])


@pytest.mark.parametrize("stream", [False, True])
def test_sdk_over_the_governors_client_spends_what_is_billed(
    governor: Governor, upstream: ProviderProcess, stream: bool
) -> None:
    with openai.OpenAI(http_client=governor.http_client(tags=("sdk",)), max_retries=0) as client:
        client.base_url = upstream.api_base
        assert [bool(ask(client, stream=stream)) for _ in range(3)] == [True] * 3
    assert_spent_is_the_bill(governor, upstream, calls=3)


@pytest.mark.parametrize("stream", [False, True])
async def test_async_sdk_too_and_under_the_limits_of_its_tags(
    governor: Governor, upstream: ProviderProcess, stream: bool
) -> None:
    upstream.configure(latency_seconds=0.1)
    http_client = governor.async_http_client(tags=("sdk",))
    async with openai.AsyncOpenAI(http_client=http_client, max_retries=0) as client:
        client.base_url = upstream.api_base
        assert all(await asyncio.gather(*(aask(client, stream=stream) for _ in range(6))))
    assert_spent_is_the_bill(governor, upstream, calls=6)
    assert upstream.stats()["max_open"] == 2


def test_sdk_is_refused_before_it_sends_what_the_budget_cannot_cover(
    upstream: ProviderProcess,
) -> None:
    poor = Governor.local("poor", max_usd="0.000001")
    with openai.OpenAI(http_client=poor.http_client(), max_retries=0) as client:
        client.base_url = upstream.api_base
        with pytest.raises(openai.APIStatusError, match="budget 'poor'") as raised:
            ask(client)
    assert raised.value.status_code == 402
    assert isinstance(governor_error(raised.value), OverBudget)
    assert upstream.stats()["requests"] == 0


def test_timeouts_stay_the_sdks(governor: Governor) -> None:
    alone = openai.OpenAI(api_key="unused")
    with openai.OpenAI(api_key="unused", http_client=governor.http_client()) as governed:
        assert governed.timeout == alone.timeout
    own = openai.OpenAI(api_key="unused", timeout=7, http_client=governor.http_client())
    assert own.timeout == 7


# The governor's own methods


@pytest.mark.parametrize("stream", [False, True])
async def test_governors_own_completions_need_no_context(
    governor: Governor, upstream: ProviderProcess, stream: bool
) -> None:
    arguments: Any = {"max_tokens": 30, "stream": stream, "tags": ("sdk",)}
    blocking = await asyncio.to_thread(
        lambda: (lambda reply: list(reply) if stream else reply)(
            governor.completion(f"openai/{MODEL}", HELLO, **arguments)
        )
    )
    reply = await governor.acompletion(f"openai/{MODEL}", HELLO, **arguments)
    assert blocking
    if stream:
        assert [chunk async for chunk in reply]
    else:
        assert reply.choices[0].message.content
    assert_spent_is_the_bill(governor, upstream, calls=2)
    with pytest.raises(NotBounded, match="next_years"):
        governor.completion(f"openai/{MODEL}", HELLO, extra_body={"next_years": 1})
    more: Any = {"extra_body": {"next_years": 1}, "allow_fields": ["next_years"]}
    assert governor.completion(f"openai/{MODEL}", HELLO, **more).choices
    await aclose_clients()


def test_client_and_limit_accept_what_nobody_sees(upstream: ProviderProcess) -> None:
    body = {
        "model": MODEL,
        "messages": [{"role": "user", "content": [{"type": "file", "file": {"file_id": "f"}}]}],
        "max_tokens": 30,
        "next_years": 1,
    }
    url = f"{upstream.api_base}/chat/completions"
    plain = Governor.local("plain", max_usd="0.50")
    limited = Governor.local("limited", max_usd="0.50", limits=[Limit(tag="pdf", unseen="context")])
    with plain.http_client(raise_refusals=True) as http, pytest.raises(NotBounded):
        http.post(url, json=body)
    with plain.http_client(allow_fields=("next_years",), unseen="context") as http:
        assert http.post(url, json=body).is_success
    with limited.http_client(allow_fields=("next_years",), tags=("pdf",)) as http:
        assert http.post(url, json=body).is_success
    strict = limited.http_client(allow_fields=("next_years",), raise_refusals=True)
    with strict as http, pytest.raises(NotBounded):
        http.post(url, json=body)
    assert upstream.settled_stats()["requests"] == 2


# A provider that quotes the key


class Echo(BaseHTTPRequestHandler):
    """Refuses each call in words that hold its key, or answers; notes who called from where."""

    protocol_version = "HTTP/1.1"
    server: "EchoServer"

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["content-length"]))
        self.server.callers.append(self.client_address[1])
        key = (self.headers["api-key"] or self.headers["authorization"]).split()[-1]
        status = self.server.status
        reply: Any = chat_reply() if status == 200 else {"error": {"message": f"bad key: {key}"}}
        body = json.dumps(reply).encode()
        self.send_response(status, "OK" if status == 200 else f"Refused {key}")
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        if status != 200:
            self.send_header("x-refused", f"key={key}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        pass


class EchoServer(ThreadingHTTPServer):
    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Echo)
        self.status = 200
        self.callers: list[int] = []

    @property
    def api_base(self) -> str:
        return f"http://127.0.0.1:{self.server_address[1]}/v1"


@pytest.fixture
def echo() -> Iterator[EchoServer]:
    with EchoServer() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def everything_said(error: BaseException) -> str:
    """All that a log, a state or a report could take from an error."""
    said = ["".join(traceback.format_exception(error))]
    for each in chain(error):
        said += [str(each), repr(each), repr(each.args)]
        said += [repr(getattr(each, name, None)) for name in ("body", "message", "headers")]
        response = getattr(each, "response", None)
        if isinstance(response, httpx.Response):
            said += [response.text, repr(response.headers), response.reason_phrase]
    return "\n".join(said)


Call = Callable[[Governor, EchoServer, str], Awaitable[Any]]


async def through_litellm(governor: Governor, echo: EchoServer, key: str) -> Any:
    return await governor.acompletion(
        f"openai/{MODEL}", HELLO, max_tokens=30, api_base=echo.api_base, api_key=key
    )


async def through_litellms_own_client(governor: Governor, echo: EchoServer, key: str) -> Any:
    return await governor.acompletion(
        "mistral/mistral-small-latest", HELLO, max_tokens=30, api_base=echo.api_base, api_key=key
    )


async def through_azures_client(governor: Governor, echo: EchoServer, key: str) -> Any:
    return await governor.acompletion(
        f"azure/{MODEL}", HELLO, max_tokens=30, api_base=echo.api_base, api_key=key
    )


async def streamed(governor: Governor, echo: EchoServer, key: str) -> Any:
    return await governor.acompletion(
        f"openai/{MODEL}", HELLO, max_tokens=30, stream=True, api_base=echo.api_base, api_key=key
    )


async def in_a_thread(governor: Governor, echo: EchoServer, key: str) -> Any:
    return await asyncio.to_thread(
        governor.completion, f"openai/{MODEL}", HELLO,
        max_tokens=30, api_base=echo.api_base, api_key=key,
    )  # fmt: skip


async def through_the_sdk(governor: Governor, echo: EchoServer, key: str) -> Any:
    async with openai.AsyncOpenAI(
        api_key=key,
        base_url=echo.api_base,
        http_client=governor.async_http_client(),
        max_retries=0,
    ) as client:
        return await aask(client)


@pytest.mark.parametrize("status", [401, 400, 500])
@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize(
    "call",
    [
        through_litellm,
        through_litellms_own_client,
        through_azures_client,
        streamed,
        in_a_thread,
        through_the_sdk,
    ],
)
async def test_key_that_a_provider_quotes_is_in_nothing_that_an_error_says(
    governor: Governor, echo: EchoServer, call: Call, key: str, status: int
) -> None:
    echo.status = status
    with pytest.raises(Exception) as raised:
        await call(governor, echo, key)
    said = everything_said(raised.value)
    assert echo.callers
    assert key not in said
    assert "bad key: [redacted]" in said
    await aclose_clients()


def test_client_that_is_shown_does_not_show_its_key() -> None:
    wanted = Wanted("openai", "http://127.0.0.1/v1", KEYS[1])
    assert KEYS[1] not in repr(wanted)
    assert wanted != Wanted("openai", "http://127.0.0.1/v1", KEYS[0])


# A fork


@pytest.mark.filterwarnings("ignore:.*use of fork:DeprecationWarning")
def test_forked_child_talks_over_connections_of_its_own(
    governor: Governor, echo: EchoServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(clients, "_blocking", [])
    wanted = Wanted("openai", echo.api_base, KEYS[0])

    def call() -> None:
        with governor:
            ask(blocking_client(wanted))

    call()
    (parents,) = clients._blocking
    # Another thread of the parent makes a client at this very moment.
    with clients._lock:
        child = os.fork()
        if child == 0:
            signal.alarm(20)
            try:
                # Not closed by the collector either.
                assert any(each is parents for each in clients._parents)
                call()
            except BaseException:
                traceback.print_exc()
                os._exit(1)
            os._exit(0)
    _, status = os.waitpid(child, 0)
    assert os.waitstatus_to_exitcode(status) == 0
    call()
    first, childs, again = echo.callers
    assert first == again, "the parent's connection was closed"
    assert childs != first, "the child talked over its parent's connection"


# A provider that throttles


def test_429_holds_what_stands_for_the_model_and_no_other_model() -> None:
    governor = Governor.local(
        "throttled",
        max_usd=1,
        limits=[
            Limit(max_concurrent=9),
            Limit(tag="sdk", max_concurrent=9),
            Limit(model="gpt-4o*", requests_per_minute=9),
            Limit(tag="sdk", model="openai/*", requests_per_minute=9),
        ],
    )
    runtime = governor.runtime
    limits = runtime.limits(tags=("sdk",), model="openai/gpt-4o", host="api.openai.com")
    assert len(limits) == 5
    held = runtime.throttle_keys(limits)
    assert held == (
        "local/throttled/gpt-4o*",
        "local/throttled/sdk openai/*",
        "upstream/api.openai.com/openai/gpt-4o",
    )
    other = runtime.limits(tags=("sdk",), model="groq/llama", host="api.groq.com")
    assert not set(held) & set(other)

"""Twenty calls at once that set no limit to their output, on money for ten: the provider's bill is
never above the ceiling, and all of it is used."""

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import httpx
import openai
import pytest
from google import genai
from google.genai.types import HttpOptions
from google.oauth2.credentials import Credentials

from prefect_governor import Governor, OverBudget
from prefect_governor.blocks.errors import governor_error
from prefect_governor.blocks.models.clients import aclose_clients, async_pool
from prefect_governor.blocks.money.usd import NANO
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport
from tests.integration.models.bill import figures
from tests.integration.models.cases import CASES, HELLO, KEY, root
from tests.integration.models.warned import QUIET
from tests.provider.families.vertex import TOKEN
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

AT_ONCE, MONEY_FOR = 20, 10
ANSWER_TOKENS = 400


class Elsewhere(httpx.AsyncBaseTransport):
    """Sends to the provider here what is meant for a provider's own host."""

    def __init__(self, provider: ProviderProcess) -> None:
        self._inner = async_pool()
        self._root = httpx.URL(root(provider))

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        path = request.url.path
        for end in (
            ()
            if path.startswith("/openai/deployments/")
            else ("/chat/completions", "/responses", "/messages")
        ):
            path = f"/v1{end}" if path.endswith(end) else path
        url = request.url.copy_with(
            scheme="http", host=self._root.host, port=self._root.port, path=path
        )
        sent = httpx.Request(
            request.method, url, headers=request.headers, stream=request.stream,
            extensions=request.extensions,
        )  # fmt: skip
        return await self._inner.handle_async_request(sent)

    async def aclose(self) -> None:
        await self._inner.aclose()


Ask = Callable[[httpx.AsyncClient], Awaitable[Any]]


def posted(url: str, *, key: str = KEY, **body: Any) -> Ask:
    async def ask(http: httpx.AsyncClient) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return (await http.post(url, json=body, headers=headers)).raise_for_status()

    return ask


async def openais_sdk(http: httpx.AsyncClient) -> Any:
    sdk = openai.AsyncOpenAI(api_key=KEY, http_client=http, max_retries=0)
    return await sdk.chat.completions.create(model="gpt-4o-mini", messages=HELLO)


async def openais_responses(http: httpx.AsyncClient) -> Any:
    sdk = openai.AsyncOpenAI(api_key=KEY, http_client=http, max_retries=0)
    return await sdk.responses.create(model="gpt-4o-mini", input="hello there")


async def azures_sdk(http: httpx.AsyncClient) -> Any:
    sdk = openai.AsyncAzureOpenAI(
        api_key=KEY, azure_endpoint="https://mine.openai.azure.com", api_version="2024-10-21",
        http_client=http, max_retries=0,
    )  # fmt: skip
    return await sdk.chat.completions.create(model="gpt-4.1-nano", messages=HELLO)


async def googles_sdk(http: httpx.AsyncClient) -> Any:
    sdk = genai.Client(
        vertexai=True, project="a-project", location="global",
        credentials=Credentials(TOKEN),  # type: ignore[no-untyped-call]
        http_options=HttpOptions(httpx_async_client=http),
    )  # fmt: skip
    return await sdk.aio.models.generate_content(
        model="gemini-2.5-flash-lite", contents="hello there"
    )


PATHS: dict[str, Ask] = {
    "openai": openais_sdk,
    "openai responses": openais_responses,
    "azure": azures_sdk,
    "anthropic": posted(
        "https://api.anthropic.com/v1/messages", model="claude-sonnet-4-5", messages=HELLO
    ),
    "google-genai": posted(
        "https://generativelanguage.googleapis.com/v1beta/models/"
        "gemini-2.5-flash-lite:generateContent",
        contents=[{"role": "user", "parts": [{"text": "hello there"}]}],
    ),
    "bedrock": posted(
        "https://bedrock-runtime.us-east-1.amazonaws.com/model/"
        f"{CASES['bedrock'].bare}/converse",
        messages=[{"role": "user", "content": [{"text": "hello there"}]}],
    ),
    "vertex": googles_sdk,
    "vertex claude": posted(
        "https://aiplatform.googleapis.com/v1/projects/a-project/locations/global/publishers/"
        "anthropic/models/claude-haiku-4-5:rawPredict",
        key=TOKEN, anthropic_version="vertex-2023-10-16", messages=HELLO,
    ),
    "mistral": posted(
        "https://api.mistral.ai/v1/chat/completions",
        model="mistral-small-latest", messages=HELLO,
    ),
    "groq": posted(
        "https://api.groq.com/openai/v1/chat/completions",
        model="openai/gpt-oss-20b", messages=HELLO,
    ),
}  # fmt: skip


async def ask_all(ask: Callable[[], Awaitable[Any]], *, at_once: int = AT_ONCE) -> int:
    """How many were answered; the others were over budget, and nothing else."""
    asked = await asyncio.gather(*(ask() for _ in range(at_once)), return_exceptions=True)
    refused = [each for each in asked if isinstance(each, BaseException)]
    for each in refused:
        assert isinstance(governor_error(each), OverBudget), each
    return at_once - len(refused)


def assert_all_is_used(name: str, governor: Governor, provider: ProviderProcess, done: int) -> None:
    stats, state = provider.settled_stats(), figures(governor)
    ceiling = state.ceiling_nano
    assert ceiling is not None
    print(
        f"{name}: bill {stats['billed_nano'] / ceiling:.1%} of the ceiling, {done} of {AT_ONCE} "
        f"answered, {stats['requests']} requests"
    )
    assert stats["billed_nano"] == state.spent_nano
    assert state.unconfirmed_nano == state.reserved_nano == 0
    assert 0.95 * ceiling <= stats["billed_nano"] <= ceiling
    assert done >= MONEY_FOR - 1


async def money_for_ten(
    ask: Callable[[Governor], Awaitable[Any]], provider: ProviderProcess
) -> str:
    """What ten calls cost, in USD, by the bill of one."""
    await ask(Governor.local("rich", max_usd=50))
    nano = MONEY_FOR * provider.settled_stats()["billed_nano"]
    provider.reset()
    return f"{nano / NANO:.9f}"


@pytest.mark.parametrize("name", PATHS)
async def test_twenty_calls_without_a_limit_use_all_of_the_money_for_ten(
    name: str, provider: ProviderProcess
) -> None:
    provider.configure(output_tokens=ANSWER_TOKENS, latency_seconds=0.02)

    async def through(governor: Governor, at_once: int) -> int:
        transport = GovernedAsyncTransport(Elsewhere(provider), governor.runtime)
        async with httpx.AsyncClient(transport=transport, timeout=60) as http:
            return await ask_all(lambda: PATHS[name](http), at_once=at_once)

    ceiling = await money_for_ten(lambda rich: through(rich, 1), provider)
    governor = Governor.local("ten", max_usd=ceiling)
    done = await through(governor, AT_ONCE)
    assert_all_is_used(name, governor, provider, done)


@pytest.mark.parametrize("name", ["openai", "azure", "anthropic", "bedrock"])
async def test_so_do_twenty_through_litellm(name: str, provider: ProviderProcess) -> None:
    provider.configure(output_tokens=ANSWER_TOKENS, latency_seconds=0.02)
    case = CASES[name]

    async def asked(governor: Governor, at_once: int) -> int:
        base = root(provider) + case.base
        return await ask_all(
            lambda: governor.acompletion(case.model, HELLO, api_base=base, api_key=KEY),
            at_once=at_once,
        )

    try:
        ceiling = await money_for_ten(lambda rich: asked(rich, 1), provider)
        governor = Governor.local("ten", max_usd=ceiling)
        done = await asked(governor, AT_ONCE)
    finally:
        await aclose_clients()
    assert_all_is_used(f"litellm {name}", governor, provider, done)


async def test_answers_as_long_as_they_may_be_are_held_by_what_is_sent(
    provider: ProviderProcess,
) -> None:
    provider.configure(output_tokens="max")
    # Ten times what the model's longest answer costs, and its input's bound.
    governor = Governor.local("ten", max_usd="0.0985")
    transport = GovernedAsyncTransport(Elsewhere(provider), governor.runtime)
    async with httpx.AsyncClient(transport=transport, timeout=60) as http:
        done = await ask_all(lambda: openais_sdk(http))
    assert {each["max_output"] for each in provider.log()} >= {16_384}
    assert_all_is_used("openai, whole answers", governor, provider, done)

"""The real SDK's clients and the module's own pairs against the provider: what the ledger says was
spent is what the provider billed, to the nano-dollar, and each request had its reservation."""

import asyncio
import csv
import io
from collections.abc import AsyncIterator, Callable, Iterator
from decimal import Decimal
from typing import Any

import openai
import pytest

import prefect_governor
from prefect_governor import Governor, NotBounded, NotGoverned, OverBudget
from prefect_governor.blocks.errors import governor_error
from prefect_governor.blocks.models.clients import aclose_clients
from prefect_governor.blocks.prices.prices import Price, Rates, Tariff
from prefect_governor.blocks.records.calls import CallRecord
from prefect_governor.blocks.work.ledgers import account_state
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess
from tests.waiting import until

CHAT = "gpt-4o-mini"
EMBEDS = "text-embedding-3-small"
# 5.5 and 49.98 nano-dollars a token: no call of these is a whole number of them by itself.
ODD = Price(
    Tariff(Rates(Decimal("0.0000000055"), Decimal("0.00000004998"), Decimal("0.0000000011")))
)
ODD_JSON = {"input": "0.0000000055", "output": "0.00000004998", "cached_input": "0.0000000011"}
TEXTS = ["the budget of the team", "a ceiling that holds", "hi"]
TOOL: Any = {"type": "function", "name": "find", "parameters": {"type": "object"}}

pytestmark = [pytest.mark.usefixtures("home"), QUIET]


@pytest.fixture
def governor() -> Governor:
    return Governor.local("pairs", max_usd="0.50")


@pytest.fixture
async def closed_clients() -> AsyncIterator[None]:
    yield
    await aclose_clients()


def calls_of(governor: Governor) -> list[CallRecord]:
    states: Any = ("reserved", "spent", "unconfirmed", "released")
    return list(governor.runtime.desk.store.read_calls(states))


def assert_spent_is_the_bill(governor: Governor, upstream: ProviderProcess, calls: int) -> None:
    """Requests at the provider = reservations, each settled at what it was billed."""
    stats = upstream.settled_stats()
    state = account_state(governor.runtime.accounts_[0])
    assert stats["requests"] == stats["billed_calls"] == calls
    assert stats["billed_nano"] > 0
    assert (state.spent_nano, state.reserved_nano, state.unconfirmed_nano) == (
        stats["billed_nano"],
        0,
        0,
    )
    kept = calls_of(governor)
    assert len(kept) == calls
    billed = {
        row["request_id"]: Decimal(row["cost_usd"]) * 10**9
        for row in csv.DictReader(io.StringIO(upstream.usage_export()))
    }
    spent = {each.request_id: each.usage.nano for each in kept if each.usage is not None}
    assert spent == billed, "call by call, by the id that both know it by"


# The SDK's own clients


def chat(client: openai.OpenAI, model: str, stream: bool) -> Any:
    asked: Any = {"model": model, "max_tokens": 30, "stream": stream}
    reply = client.chat.completions.create(messages=[{"role": "user", "content": "hi"}], **asked)
    return list(reply) if stream else reply


def respond(client: openai.OpenAI, model: str, stream: bool) -> Any:
    asked: Any = {"model": model, "max_output_tokens": 30, "stream": stream, "input": "hi"}
    reply = client.responses.create(**asked, instructions="Be brief.", tools=[TOOL])
    return list(reply) if stream else reply


def embed(client: openai.OpenAI, model: str, stream: bool) -> Any:
    return client.embeddings.create(model=model, input=TEXTS)


async def achat(client: openai.AsyncOpenAI, model: str, stream: bool) -> Any:
    asked: Any = {"model": model, "max_tokens": 30, "stream": stream}
    messages: Any = [{"role": "user", "content": "hi"}]
    reply: Any = await client.chat.completions.create(messages=messages, **asked)
    return [each async for each in reply] if stream else reply


async def arespond(client: openai.AsyncOpenAI, model: str, stream: bool) -> Any:
    asked: Any = {"model": model, "max_output_tokens": 30, "stream": stream, "input": "hi"}
    reply: Any = await client.responses.create(**asked)
    return [each async for each in reply] if stream else reply


async def aembed(client: openai.AsyncOpenAI, model: str, stream: bool) -> Any:
    return await client.embeddings.create(model=model, input=TEXTS)


SYNC = [(chat, False), (chat, True), (respond, False), (respond, True), (embed, False)]
ASYNC = [(achat, False), (achat, True), (arespond, False), (arespond, True), (aembed, False)]


def configure(upstream: ProviderProcess) -> None:
    """Odd prices, a provider that counts half as much again, part of the input from its cache."""
    upstream.configure(
        prices={"odd": ODD_JSON}, token_factor=1.5, cached_fraction=0.3, output_tokens=[1, 30]
    )


@pytest.mark.parametrize("price", ["shipped", "odd"])
@pytest.mark.parametrize(("call", "stream"), SYNC)
def test_sdk_spends_what_is_billed(
    governor: Governor,
    upstream: ProviderProcess,
    call: Callable[..., Any],
    stream: bool,
    price: str,
) -> None:
    configure(upstream)
    model = (EMBEDS if call is embed else CHAT) if price == "shipped" else "odd"
    governor.runtime.prices = {"odd": ODD}
    with openai.OpenAI(http_client=governor.http_client(), max_retries=0) as client:
        client.base_url = upstream.api_base
        for _ in range(3):
            assert call(client, model, stream)
    assert_spent_is_the_bill(governor, upstream, calls=3)


@pytest.mark.parametrize("price", ["shipped", "odd"])
@pytest.mark.parametrize(("call", "stream"), ASYNC)
async def test_async_sdk_spends_what_is_billed(
    governor: Governor,
    upstream: ProviderProcess,
    call: Callable[..., Any],
    stream: bool,
    price: str,
) -> None:
    configure(upstream)
    model = (EMBEDS if call is aembed else CHAT) if price == "shipped" else "odd"
    governor.runtime.prices = {"odd": ODD}
    client = openai.AsyncOpenAI(http_client=governor.async_http_client(), max_retries=0)
    async with client:
        client.base_url = upstream.api_base
        assert all(await asyncio.gather(*(call(client, model, stream) for _ in range(4))))
    assert_spent_is_the_bill(governor, upstream, calls=4)


def test_price_of_a_fraction_of_a_nano_dollar_is_rounded_up_once_a_call(
    governor: Governor, upstream: ProviderProcess
) -> None:
    upstream.configure(prices={"odd": ODD_JSON})
    governor.runtime.prices = {"odd": ODD}
    with openai.OpenAI(http_client=governor.http_client(), max_retries=0) as client:
        client.base_url = upstream.api_base
        for _ in range(3):
            reply = client.embeddings.create(model="odd", input=[[1, 2, 3]])
            assert reply.usage.prompt_tokens == 3
    # 16.5 each: 17, not 16 and not 49.5 for all.
    assert_spent_is_the_bill(governor, upstream, calls=3)
    assert account_state(governor.runtime.accounts_[0]).spent_nano == 3 * 17


@pytest.mark.parametrize("tier", [None, "auto", "default", "priority"])
@pytest.mark.parametrize("stream", [False, True])
def test_tier_that_the_response_names_is_the_one_that_is_settled(
    governor: Governor, upstream: ProviderProcess, tier: Any, stream: bool
) -> None:
    """The account's own setting is a dear one."""
    upstream.configure(auto_tier="priority", output_tokens=100)
    with openai.OpenAI(http_client=governor.http_client(), max_retries=0) as client:
        client.base_url = upstream.api_base
        asked: Any = {} if tier is None else {"service_tier": tier}
        # Cut at its limit: incomplete, and billed all the same.
        reply: Any = client.responses.create(
            model=CHAT, input="hi", max_output_tokens=30, stream=stream, **asked
        )
        end = list(reply)[-1].response if stream else reply
    assert end.status == "incomplete"
    assert end.service_tier == ("priority" if tier in ("auto", "priority") else "default")
    assert_spent_is_the_bill(governor, upstream, calls=1)


@pytest.mark.parametrize("fault", ["no_usage", "cut_stream", "malformed_json"])
@pytest.mark.parametrize(("call", "stream"), [each for each in SYNC if each[0] is not chat])
def test_reply_without_its_usage_stays_charged_at_its_bound(
    governor: Governor,
    upstream: ProviderProcess,
    call: Callable[..., Any],
    stream: bool,
    fault: str,
) -> None:
    upstream.configure(faults={"at": {1: fault}})
    with openai.OpenAI(http_client=governor.http_client(), max_retries=0) as client:
        client.base_url = upstream.api_base
        try:
            call(client, EMBEDS if call is embed else CHAT, stream)
        except Exception as error:
            # The SDK may find fault with it too.
            assert governor_error(error) is None
    stats = upstream.settled_stats()
    assert stats["faults"][fault] == 1
    account = governor.runtime.accounts_[0]
    # Whoever closes a stream before its end does not wait for the ledger.
    until(lambda: account_state(account).reserved_nano == 0)
    state = account_state(account)
    # At a broken event the SDK reads no further, so that nobody saw the end.
    assert state.spent_nano == 0
    assert state.unconfirmed_nano >= stats["billed_nano"] > 0


def test_sdk_is_refused_before_it_sends_what_has_no_bound_or_no_money(
    governor: Governor, upstream: ProviderProcess
) -> None:
    poor = Governor.local("poor", max_usd="0.00000001")
    asked: list[tuple[Governor, type[Exception], Callable[[openai.OpenAI], Any]]] = [
        (
            governor,
            NotBounded,
            lambda c: c.responses.create(
                model=CHAT, input="hi", max_output_tokens=30, tools=[{"type": "web_search"}]
            ),
        ),
        (
            governor,
            NotBounded,
            lambda c: c.responses.create(
                model=CHAT, input="hi", max_output_tokens=30, previous_response_id="resp_1"
            ),
        ),
        (
            governor,
            NotGoverned,
            lambda c: c.completions.create(model="gpt-3.5-turbo-instruct", prompt="hi"),
        ),
        (poor, OverBudget, lambda c: c.responses.create(model=CHAT, input="hi")),
        (poor, OverBudget, lambda c: respond(c, CHAT, False)),
        (poor, OverBudget, lambda c: embed(c, EMBEDS, False)),
    ]
    for whose, error, call in asked:
        with openai.OpenAI(http_client=whose.http_client(), max_retries=0) as client:
            client.base_url = upstream.api_base
            with pytest.raises(openai.APIStatusError) as raised:
                call(client)
        assert isinstance(governor_error(raised.value), error)
    assert upstream.stats()["requests"] == 0


# The pairs


@pytest.fixture(params=["context", "governor"])
def place(request: pytest.FixtureRequest, governor: Governor) -> Iterator[Any]:
    """Where the pairs are found: the module, under the governor of the context, or the governor."""
    if request.param == "governor":
        yield governor
    else:
        with governor:
            yield prefect_governor


def test_pairs_spend_what_is_billed(
    governor: Governor, upstream: ProviderProcess, place: Any
) -> None:
    configure(upstream)
    asked: Any = {"model": f"openai/{CHAT}", "input": "hi", "max_output_tokens": 30}
    assert place.responses(**asked).output
    assert list(place.responses(**asked, stream=True))[-1].type.startswith("response.")
    assert len(place.embedding(f"openai/{EMBEDS}", TEXTS).data) == 3
    assert len(place.embedding(EMBEDS, TEXTS, encoding_format="float").data) == 3
    assert_spent_is_the_bill(governor, upstream, calls=4)


@pytest.mark.usefixtures("closed_clients")
async def test_async_pairs_spend_what_is_billed(
    governor: Governor, upstream: ProviderProcess, place: Any
) -> None:
    configure(upstream)
    asked: Any = {"model": f"openai/{CHAT}", "input": "hi", "max_output_tokens": 30}
    assert (await place.aresponses(**asked)).output
    stream = await place.aresponses(**asked, stream=True)
    assert [event.type async for event in stream][-1].startswith("response.")
    replies = await asyncio.gather(*(place.aembedding(f"openai/{EMBEDS}", TEXTS) for _ in range(3)))
    assert [len(reply.data) for reply in replies] == [3] * 3
    assert_spent_is_the_bill(governor, upstream, calls=5)


def test_pairs_under_a_governor_are_attributed_and_tagged(
    governor: Governor, upstream: ProviderProcess
) -> None:
    governor.embedding(EMBEDS, TEXTS, tags=("index",))
    governor.responses("hi", f"openai/{CHAT}", max_output_tokens=30, tags=("ask",))
    found = {each.attribution.model: each.attribution.tags for each in calls_of(governor)}
    assert found == {f"openai/{EMBEDS}": ("index",), f"openai/{CHAT}": ("ask",)}

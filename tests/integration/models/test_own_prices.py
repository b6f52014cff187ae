"""A price of one's own: what NotPriced advises is followed word for word, in each way to call."""

import asyncio
import json
from collections.abc import Callable
from typing import Any

import httpx
import pytest

from prefect_governor import Governor, NotPriced, acompletion, completion, governed
from prefect_governor.blocks.models.clients import aclose_clients
from tests.integration.models.bill import assert_spent_is_the_bill, calls
from tests.integration.models.cases import HELLO, KEY
from tests.integration.models.warned import QUIET
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.usefixtures("home"), QUIET]

MODEL = "house-model"
BILLED = {"input": "0.000003", "output": "0.000005"}
Given = dict[str, Any]
Way = Callable[[Any, ProviderProcess], None]


@pytest.fixture
def house(provider: ProviderProcess) -> ProviderProcess:
    provider.renew(prices={MODEL: BILLED, "served": {"input": "0", "output": "0"}})
    return provider


def advised(said: str) -> Given:
    """`prices={…}` as the error has it, the two prices in place of the dots."""
    text = said.split("prices=", 1)[1].replace("…", "3", 1).replace("…", "5", 1)
    found, _ = json.JSONDecoder().raw_decode(text.replace("'", '"'))
    prices: Given = found
    return prices


def arguments(house: ProviderProcess, model: str = f"openai/{MODEL}") -> dict[str, Any]:
    return {
        "model": model, "messages": HELLO, "max_tokens": 30, "api_base": house.api_base,
        "api_key": KEY,
    }  # fmt: skip


def team(prices: Any) -> Governor:
    return Governor.local("own", max_usd=5, prices=prices)


def by_acompletion(prices: Any, house: ProviderProcess) -> None:
    async def asking() -> None:
        try:
            async with team(prices):
                await acompletion(**arguments(house))
        finally:
            await aclose_clients()

    asyncio.run(asking())


def by_governed(prices: Any, house: ProviderProcess) -> None:
    @governed(team(prices))
    def ask() -> None:
        completion(**arguments(house))

    ask()


def by_governor(prices: Any, house: ProviderProcess) -> None:
    team(prices).completion(**arguments(house))


def post(http: httpx.Client, house: ProviderProcess) -> None:
    body = {"model": MODEL, "messages": HELLO, "max_tokens": 30}
    http.post(f"{house.api_base}/chat/completions", json=body).raise_for_status()


def by_client(prices: Any, house: ProviderProcess) -> None:
    with team(None).http_client(prices=prices, raise_refusals=True) as http:
        post(http, house)


def by_governors_client(prices: Any, house: ProviderProcess) -> None:
    with team(prices).http_client(raise_refusals=True) as http:
        post(http, house)


def by_async_client(prices: Any, house: ProviderProcess) -> None:
    async def asking() -> None:
        async with team(None).async_http_client(prices=prices, raise_refusals=True) as http:
            body = {"model": MODEL, "messages": HELLO, "max_tokens": 30}
            reply = await http.post(f"{house.api_base}/chat/completions", json=body)
            reply.raise_for_status()

    asyncio.run(asking())


WAYS = [by_acompletion, by_governed, by_governor, by_client, by_governors_client, by_async_client]


@pytest.mark.parametrize("way", WAYS, ids=lambda way: way.__name__)
def test_the_advice_of_a_refusal_works_word_for_word(way: Way, house: ProviderProcess) -> None:
    with pytest.raises(NotPriced) as refused:
        way(None, house)
    assert house.settled_stats()["requests"] == 0
    way(advised(str(refused.value)), house)
    assert_spent_is_the_bill(team(None), house)


@pytest.mark.parametrize("model", ["hosted_vllm/served", "lm_studio/served", "openai/served"])
@pytest.mark.parametrize("prices", ["free", {"hosted_vllm/*": "free", "*/served": "free"}])
def test_what_ones_own_machine_serves_is_free_in_one_word(
    prices: Any, model: str, house: ProviderProcess
) -> None:
    governor = team(prices)
    governor.completion(**arguments(house, model))
    stats = house.settled_stats()
    (call,) = calls(governor)
    assert (call.state, call.bound.nano, stats["requests"], stats["billed_nano"]) == (
        "spent", 0, 1, 0
    )  # fmt: skip
    assert call.usage is not None
    assert call.usage.input_tokens + call.usage.output_tokens > 0


def test_a_price_that_is_lower_than_the_lists_is_the_calls(house: ProviderProcess) -> None:
    house.renew(prices={"gpt-4o-mini": {"input": "0.00000007", "output": "0.0000003"}})
    flat: Given = {"context_tiers": [], "service_tiers": []}
    price = {"input_usd_per_million_tokens": 0.07, "output_usd_per_million_tokens": 0.3, **flat}
    governor = team({"openai/gpt-4o-mini": price})
    governor.completion(**arguments(house, "openai/gpt-4o-mini"))
    assert_spent_is_the_bill(governor, house)

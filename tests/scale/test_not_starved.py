"""Worst cases many times what calls cost, and the last cent: nobody starves, nothing is left over.

The judge is the strict provider, in a process of its own.
"""

import asyncio
import json
import random
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from decimal import Decimal
from pathlib import Path
from typing import Any

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.errors import OverBudget, QueueTimeout
from prefect_governor.blocks.ledger.decision.learned import FEWEST_SAMPLES
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.models.clients import async_pool
from prefect_governor.blocks.prices.tariffs import Price, Rates, Tariff
from prefect_governor.blocks.prices.tokens import encoding_of
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.wire.dialects.openai.chat import OpenAIChat
from prefect_governor.blocks.wire.requests.plans import CallPlan
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport
from prefect_governor.blocks.work.runtime import Runtime
from tests.provider.books.log import in_flight_seconds
from tests.provider.fixtures import MakeProvider
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.scale, pytest.mark.slow]

MODEL = "gpt-4o"
# Dear input, so that a ceiling of 20 worst cases is spent by hundreds of calls, not by 13,000.
INPUT_USD, OUTPUT_USD = "0.000096", "0.000015"
PRICES = {MODEL: {"input": INPUT_USD, "output": OUTPUT_USD}}
PRICE = Price(Tariff(Rates(Decimal(INPUT_USD), Decimal(OUTPUT_USD))), provider="openai")
WORDS = ("budget", "ceiling", "ledger", "slot", "rate", "queue", "reply", "token", "parcel")
SECONDS = 120.0


def request(at: int, *, words: int, max_tokens: int) -> dict[str, Any]:
    draw = random.Random(at)
    text = " ".join(draw.choice(WORDS) for _ in range(words))
    content = f"item {at:05d}\n{text}"
    return {
        "model": MODEL,
        "messages": [{"role": "user", "content": content}],
        "max_tokens": max_tokens,
    }


def plan_of(body: dict[str, Any]) -> CallPlan:
    chat = OpenAIChat()
    asked = chat.open(json.dumps(body).encode())
    return chat.plan(asked, price=PRICE, encoding=encoding_of(MODEL, "openai"))


@contextmanager
def governor(folder: Path, ceiling_nano: int, **fields: Any) -> Iterator[Runtime]:
    desk = LedgerDesk(SQLiteStore(folder / "ledger.sqlite"), Owner(folder / "owners"))
    runtime = Runtime(
        name="team",
        desk=desk,
        accounts_=(Account("team", "team", ceiling_nano, None, version="1"),),
        limits_=(),
        prices={f"openai/{MODEL}": PRICE},
        **fields,
    )
    runtime.apply()
    try:
        yield runtime
    finally:
        desk.close()


def client_of(provider: ProviderProcess) -> httpx.AsyncClient:
    transport = GovernedAsyncTransport(async_pool(), provider="openai")
    return httpx.AsyncClient(transport=transport, base_url=provider.api_base, timeout=SECONDS)


def figures(runtime: Runtime) -> tuple[int, int, int]:
    """Spent, unconfirmed and reserved, in nano-dollars."""
    known = runtime.desk.store.read_purse("team")
    assert known is not None
    purse = known[1]
    return purse.spent_nano, purse.unconfirmed_nano, purse.reserved_nano


async def test_worst_cases_of_64000_tokens_do_not_starve_answers_of_97(
    make_provider: MakeProvider, tmp_path: Path
) -> None:
    workers, words, asked = 50, 250, 64_000
    whole = plan_of(request(0, words=words, max_tokens=asked)).bound(PRICE).nano
    ceiling = 20 * whole
    provider = make_provider(
        prices=PRICES, context_tokens=200_000, output_tokens=[90, 104], latency_seconds=2.0
    )
    waiting: list[str] = []
    numbers = iter(range(1, 100_000))

    async def work(client: httpx.AsyncClient) -> str:
        while True:
            body = request(next(numbers), words=words, max_tokens=asked)
            try:
                reply = await client.post("/chat/completions", json=body)
            except OverBudget as refused:
                return str(refused)
            assert reply.json()["choices"][0]["finish_reason"] == "stop"

    with governor(tmp_path, ceiling) as runtime:

        async def ask_why(client: httpx.AsyncClient) -> None:
            """What somebody is told who waits while the first worst cases hold all the money."""
            with scope(Scope(replace(runtime, queue_timeout_seconds=0.3))):
                try:
                    await client.post(
                        "/chat/completions", json=request(0, words=words, max_tokens=asked)
                    )
                except QueueTimeout as late:
                    waiting.append(str(late))

        async with client_of(provider) as client:
            with scope(Scope(runtime)):
                working = [asyncio.create_task(work(client)) for _ in range(workers)]
                await asyncio.create_task(ask_why(client))
                refusals = await asyncio.gather(*working)
        spent, unconfirmed, reserved = figures(runtime)
        learned = runtime.desk.store.read_learned(f"openai/{MODEL}")
    stats = provider.settled_stats()
    records = provider.log()
    assert learned is not None
    # Warm: enough answers were seen, and what they taught was read (a second at most).
    ends = sorted(record["end"] for record in records)
    warm = ends[FEWEST_SAMPLES] + 2.0
    # While the money that is left would do for all of the workers, at their fitted bound.
    small = plan_of(request(0, words=words, max_tokens=208)).bound(PRICE).nano
    billed, low = 0, ends[-1]
    for record in sorted(records, key=lambda each: each["end"]):
        billed += record["billed_nano"]
        if ceiling - billed < 2 * workers * small:
            low = record["end"]
            break
    in_flight = in_flight_seconds(records, warm, low) / (low - warm)
    print(
        f"\nworst case {whole / 1e9:.4f} USD, ceiling {ceiling / 1e9:.4f}, a fitted bound"
        f" {small / 1e9:.4f}, a call {spent / stats['requests'] / 1e9:.4f}"
        f"\n{stats['requests']} calls; in flight {in_flight:.1f} of {workers} on average over"
        f" {low - warm:.1f} s after {warm - records[0]['arrival']:.1f} s of warm-up,"
        f" {stats['max_open']} at most"
        f"\nlimits sent: {Counter(record['max_output'] for record in records).most_common(5)}"
        f"\nbill / ceiling {stats['billed_nano'] / ceiling:.4f}, used"
        f" {(spent + unconfirmed) / ceiling:.4f}, 99% of answers within"
        f" {learned.output_quantile()} tokens"
        f"\nwho waited: {waiting[0] if waiting else None}\nwho was refused: {refusals[0]}"
    )
    assert low - warm > 5
    assert in_flight >= 40
    assert stats["billed_nano"] == spent <= ceiling
    assert (unconfirmed, reserved) == (0, 0)
    assert spent >= 0.95 * ceiling
    assert len(waiting) == 1
    assert "held by reservations" in waiting[0]
    assert "'team'" in waiting[0]
    assert all("raise" in refusal for refusal in refusals)


async def test_200_callers_want_the_last_cent_and_exactly_as_many_get_it_as_fit(
    make_provider: MakeProvider, tmp_path: Path
) -> None:
    callers, fit = 200, 38
    body = request(0, words=40, max_tokens=50)
    provider = make_provider(prices=PRICES, output_tokens="max", latency_seconds=0.2)
    bound = plan_of(body).bound(PRICE).nano
    async with client_of(provider) as client:
        with governor(tmp_path / "one", 10**9) as runtime, scope(Scope(runtime)):
            await client.post("/chat/completions", json=body)
            cost = figures(runtime)[0]
    assert 0 < cost < bound
    provider.settled_stats()
    provider.reset()
    # The one before the last leaves exactly a bound, the last one less.
    ceiling = (fit - 1) * cost + bound
    with governor(tmp_path / "all", ceiling, fit=False) as runtime:
        async with client_of(provider) as client:
            with scope(Scope(runtime)):
                answers = await asyncio.gather(
                    *(client.post("/chat/completions", json=body) for _ in range(callers)),
                    return_exceptions=True,
                )
        spent, unconfirmed, reserved = figures(runtime)
    stats = provider.settled_stats()
    kinds = Counter(type(answer).__name__ for answer in answers)
    refusals = {str(answer) for answer in answers if isinstance(answer, OverBudget)}
    print(
        f"\n{dict(kinds)}; bill {stats['billed_nano']} of {ceiling} nano-dollars, bound {bound},"
        f" cost {cost}; told: {refusals}"
    )
    assert kinds == {"Response": fit, "OverBudget": callers - fit}
    assert stats["requests"] == fit
    assert stats["billed_nano"] == spent == fit * cost
    assert ceiling - spent < bound
    assert (unconfirmed, reserved) == (0, 0)

"""Agents that share small money: what one spends is not what another had, and nothing is lost."""

import asyncio
import pickle
from typing import Any

import pytest
from prefect import flow, task

from prefect_governor import ConfigurationError, GovernedTaskRunner, Governor, OverBudget
from prefect_governor.blocks.claims.sharing import Share
from prefect_governor.blocks.money.usd import NANO
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("home")

AGENTS, CIRCLING, CALLS = 12, 3, 5
# An agent that goes in circles asks for so many things at once.
AT_ONCE = 8
BODY: Any = {
    "model": "gpt-4o-mini", "messages": [{"role": "user", "content": "hello"}], "max_tokens": 30
}  # fmt: skip


def left(governor: Governor) -> int:
    state = governor.budget.state()
    assert state.ceiling_nano is not None
    return state.ceiling_nano - state.spent_nano - state.reserved_nano - state.allocated_nano


async def cost(provider: ProviderProcess) -> tuple[int, int]:
    """What a call is billed, and its bound, in nano-dollars."""
    probe = Governor.local("probe", max_usd=1)
    async with probe.async_http_client() as client:
        await client.post(f"{provider.api_base}/chat/completions", json=BODY)
    (call,) = probe.runtime.desk.store.read_calls(["spent"], account=probe.runtime.accounts_[0].key)
    assert call.usage is not None
    return call.usage.nano, call.bound.nano


def with_money(name: str, nano: int) -> Governor:
    return Governor.local(name, max_usd=f"{nano / NANO:.9f}")


async def finished(
    governor: Governor, provider: ProviderProcess, *, circling: int, shares: int | None
) -> int:
    """How many agents made all of their calls. Those that go in circles never have."""
    async with governor.async_http_client(raise_refusals=True) as client:

        async def ask() -> None:
            await client.post(f"{provider.api_base}/chat/completions", json=BODY)

        async def agent(number: int) -> bool:
            try:
                if number < circling:
                    while True:
                        await asyncio.gather(*(ask() for _ in range(AT_ONCE)))
                for _ in range(CALLS):
                    await ask()
            except OverBudget:
                return False
            return True

        async def with_share(number: int, share: Share) -> bool:
            async with share:
                return await agent(number)

        if shares is None:
            return sum(await asyncio.gather(*map(agent, range(AGENTS))))
        async with governor.share(shares) as parts:
            return sum(await asyncio.gather(*map(with_share, range(AGENTS), parts)))


async def test_agents_that_go_in_circles_leave_the_others_their_money(
    upstream: ProviderProcess,
) -> None:
    upstream.configure(output_tokens="max", latency_seconds=0.02)
    billed, bound = await cost(upstream)
    # Each can finish, and for the last call of each the bound is there.
    money = AGENTS * (CALLS * billed + bound)
    for circling, funds, rows in (
        (CIRCLING, money, (None, AGENTS)),
        (0, money // 2, (None, AGENTS, AGENTS // 2)),
    ):
        done: dict[int | None, int] = {}
        for shares in rows:
            upstream.reset()
            governor = with_money(f"{circling}-{shares}", funds)
            done[shares] = await finished(governor, upstream, circling=circling, shares=shares)
            stats, state = upstream.settled_stats(), governor.budget.state()
            print(
                f"{AGENTS} agents of {CALLS} calls, {circling} in circles, money for"
                f" {funds // money:.0f}{'' if funds == money else '.5'} of all,"
                f" {'no' if shares is None else shares} shares: {done[shares]} finish, the bill is"
                f" {stats['billed_nano'] / funds:.0%} of the ceiling"
            )
            assert stats["billed_nano"] == state.spent_nano <= funds
            assert state.allocated_nano == state.reserved_nano == 0
        if circling:
            assert done[AGENTS] == AGENTS - circling > 2 * (done[None] or 0)
        else:
            assert done[AGENTS // 2] == AGENTS // 2 > (done[None] or 0)


async def test_what_a_share_has_left_is_for_those_that_used_up_theirs(
    upstream: ProviderProcess,
) -> None:
    billed, bound = await cost(upstream)
    governor = with_money("flows-back", 2 * (billed + bound))
    async with governor.async_http_client(raise_refusals=True) as client:
        url = f"{upstream.api_base}/chat/completions"
        with governor.share(2) as (one, other):
            with one:
                assert (await client.post(url, json=BODY)).is_success
                with pytest.raises(OverBudget, match="flows-back"):
                    await client.post(url, json=dict(BODY, max_tokens=120))
                with other:
                    pass
                assert (await client.post(url, json=dict(BODY, max_tokens=60))).is_success
            with pytest.raises(OverBudget, match="was given back"), one:
                await client.post(url, json=BODY)
    assert governor.budget.state().allocated_nano == 0


def test_shares_are_equal_parts_of_what_is_left_and_all_of_it_comes_back() -> None:
    governor = Governor.local("parts", max_usd="0.000000100", max_total_tokens=31)
    with governor.share(3) as shares:
        states = [each.state() for each in shares]
        assert [each.ceiling_nano for each in states] == [33] * 3
        assert [each.ceiling_tokens for each in states] == [10] * 3
        assert [each.label for each in shares] == ["share 1 of 3", "share 2 of 3", "share 3 of 3"]
        assert left(governor) == 1
        with pytest.raises(OverBudget, match="3 shares: nothing is free"):
            governor.share(3)
        with shares[0], shares[0], governor.share(3, label="inner") as inner:
            assert [each.state().ceiling_nano for each in inner] == [11] * 3
        assert left(governor) == 34
    assert left(governor) == 100
    assert len(shares) == 3


@pytest.mark.parametrize("parts", [0, -1, True, 2.5, "2"])
def test_what_is_no_number_of_parts_is_a_mistake(parts: Any) -> None:
    with pytest.raises(ConfigurationError, match="whole number of parts"):
        Governor.local("parts", max_usd=1).share(parts)


def test_where_nothing_has_a_ceiling_there_is_nothing_to_share() -> None:
    governor = Governor.local("tokens", max_total_tokens=10)
    with governor.share(2) as shares:
        assert [each.state().ceiling_tokens for each in shares] == [5, 5]
        with pytest.raises(TypeError, match="belongs to the process"):
            pickle.dumps(shares[0])


@pytest.mark.usefixtures("server")
def test_shares_are_mapped_over_as_any_argument(upstream: ProviderProcess) -> None:
    governor = Governor.local("mapped", max_usd="0.01")

    @task(retries=0)
    async def ask(word: str, share: Share) -> str:
        async with share, governor.async_http_client() as client:
            reply = await client.post(f"{upstream.api_base}/chat/completions", json=BODY)
            reply.raise_for_status()
            return word + share.label

    @flow(task_runner=GovernedTaskRunner(governor))
    def ask_all() -> list[str]:
        with governor.share(2) as shares:
            said: list[Any] = ask.map(["a", "b"], shares).result()
            return said

    assert ask_all() == ["ashare 1 of 2", "bshare 2 of 2"]
    assert governor.budget.state().allocated_nano == 0

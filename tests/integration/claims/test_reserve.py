"""`governor.reserve`: money for what is no model call."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import uuid4

import pytest

from prefect_governor import ConfigurationError, Governor, Limit, OverBudget
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.blocks.records.calls import CallRecord

NANO = 10**9


@pytest.fixture
def governor() -> Governor:
    return Governor.local(f"reserve-{uuid4().hex[:8]}", max_usd=1)


def figures(governor: Governor) -> tuple[int, int, int]:
    state: AccountState = governor.budget.state()
    return state.spent_nano, state.unconfirmed_nano, state.reserved_nano


def calls(governor: Governor) -> list[CallRecord]:
    states: Any = ("reserved", "spent", "released", "unconfirmed")
    account = governor.runtime.accounts_[0].key
    return governor.runtime.desk.store.read_calls(states, account=account)


def test_money_is_taken_before_and_settled_after(governor: Governor) -> None:
    with governor.reserve(max_usd="0.004", label="search", tags=("web",)) as spend:
        assert figures(governor) == (0, 0, 4_000_000)
        spend.settle("0.003")
        assert figures(governor) == (3_000_000, 0, 0)
    assert figures(governor) == (3_000_000, 0, 0)
    (record,) = calls(governor)
    assert record.call_id == spend.call_id
    assert (record.attribution.label, record.attribution.tags) == ("search", ("web",))
    assert record.attribution.model is None


async def test_money_is_taken_and_settled_in_async_code(governor: Governor) -> None:
    async with governor.reserve(max_usd="0.004") as spend:
        assert figures(governor) == (0, 0, 4_000_000)
        spend.settle("0.003")
    assert figures(governor) == (3_000_000, 0, 0)


def test_reservation_left_unsettled_stays_charged_in_full(governor: Governor) -> None:
    with governor.reserve(max_usd="0.004"):
        pass
    with pytest.raises(ZeroDivisionError), governor.reserve(max_usd="0.002"):
        _ = 1 / 0
    assert figures(governor) == (0, 6_000_000, 0)
    assert {each.state for each in calls(governor)} == {"unconfirmed"}
    assert any("ZeroDivisionError" in str(each.reason) for each in calls(governor))


async def test_task_that_is_cancelled_inside_stays_charged_in_full(governor: Governor) -> None:
    inside = asyncio.Event()

    async def work() -> None:
        async with governor.reserve(max_usd="0.004"):
            inside.set()
            await asyncio.Event().wait()

    task = asyncio.create_task(work())
    await inside.wait()
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    # What was asked of the desk before is done before what is asked now.
    await asyncio.to_thread(governor.runtime.desk.write(lambda _: None).result)
    assert figures(governor) == (0, 4_000_000, 0)


async def test_task_that_is_cancelled_while_it_waits_holds_nothing(governor: Governor) -> None:
    async with governor.reserve(max_usd=1) as spend:
        waiting = asyncio.create_task(governor.reserve(max_usd="0.5").__aenter__())
        await asyncio.sleep(0)
        waiting.cancel()
        with pytest.raises(asyncio.CancelledError):
            await waiting
        spend.void("nothing was bought")
    assert figures(governor) == (0, 0, 0)


def test_void_gives_all_of_it_back(governor: Governor) -> None:
    with governor.reserve(max_usd=1) as spend:
        spend.void("the shop was closed")
        with governor.reserve(max_usd=1) as next_one:
            next_one.void("and so was the next")
    assert figures(governor) == (0, 0, 0)


def test_more_than_was_reserved_is_recorded_as_it_is(governor: Governor) -> None:
    with governor.reserve(max_usd="0.4", label="job") as spend:
        spend.settle("1.5")
    assert figures(governor) == (NANO * 3 // 2, 0, 0)
    with pytest.raises(OverBudget), governor.reserve(max_usd="0.000000001"):
        pytest.fail("entered beyond the ceiling")


def test_second_settle_that_says_the_same_is_nothing_new(governor: Governor) -> None:
    with governor.reserve(max_usd="0.4") as spend:
        spend.settle("0.1")
        spend.settle("0.10")
        with pytest.raises(ConfigurationError, match=r"settled at \$0\.10 before"):
            spend.settle("0.2")
        with pytest.raises(ConfigurationError, match=r"settled at \$0\.10 before"):
            spend.void("no")
    assert figures(governor) == (NANO // 10, 0, 0)


NONSENSE = ["nan", "-1", "1e-10", float("inf"), True, None, "99999999999"]


@pytest.mark.parametrize("usd", NONSENSE)
def test_amount_that_is_none_is_refused_before_anything_is_reserved(
    governor: Governor, usd: Any
) -> None:
    with pytest.raises(ConfigurationError, match="max_usd"):
        governor.reserve(max_usd=usd)
    with governor.reserve(max_usd="0.004") as spend, pytest.raises(ConfigurationError, match="usd"):
        spend.settle(usd)
    assert figures(governor) == (0, 4_000_000, 0)


@pytest.mark.parametrize("act", [lambda s: s.settle(1), lambda s: s.void("x")])
def test_settling_what_was_never_entered_says_how(
    governor: Governor, act: Callable[[Any], None]
) -> None:
    with pytest.raises(ConfigurationError, match=r"with governor\.reserve"):
        act(governor.reserve(max_usd=1))


def test_reservation_is_entered_once(governor: Governor) -> None:
    with governor.reserve(max_usd="0.1") as spend:
        spend.settle("0.1")
        with pytest.raises(ConfigurationError, match="make another"):
            spend.__enter__()
    with pytest.raises(ConfigurationError, match="make another"):
        spend.__enter__()


def test_limits_on_model_calls_do_not_hold_it() -> None:
    name = f"reserve-{uuid4().hex[:8]}"
    governor = Governor.local(name, max_usd=1, limits=[Limit(max_concurrent=1)])
    with governor.reserve(max_usd="0.1") as outer, governor.reserve(max_usd="0.1") as inner:
        outer.settle("0.1")
        inner.settle("0.1")


def test_spend_inside_a_governed_context_bears_its_user_and_tags(governor: Governor) -> None:
    with (
        governor.activate(tags=("nightly",), user="ann"),
        governor.reserve(max_usd="0.1", tags=("web",)) as spend,
    ):
        spend.settle("0.1")
    (record,) = calls(governor)
    assert record.attribution.user == "ann"
    assert record.attribution.tags == ("nightly", "web")


async def test_two_hundred_that_want_the_last_cent_get_as_many_as_fit() -> None:
    governor = Governor.local(f"reserve-{uuid4().hex[:8]}", max_usd="0.01")

    async def one() -> bool:
        try:
            async with governor.reserve(max_usd="0.0003") as spend:
                spend.settle("0.0003")
        except OverBudget:
            return False
        return True

    got = await asyncio.gather(*(one() for _ in range(200)))
    assert sum(got) == 33
    assert figures(governor) == (9_900_000, 0, 0)

"""Time and the bottleneck: each limit allows a throughput, and the smallest that holds is named."""

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.records.calls import Attribution, Bound, CallRecord, Usage
from prefect_governor.blocks.records.limits import LimitRecord, Rate
from prefect_governor.flows.estimate.covering import at_stake_usd, items_over_budget
from prefect_governor.flows.estimate.history import summed_up
from prefect_governor.flows.estimate.pace import Left, Load, bottleneck, run_seconds, throughputs


def load(calls: int = 100, *, seconds: float = 2.0, chain: int = 1, **fields: int) -> Load:
    return Load(
        items=fields.get("items", calls // chain),
        calls=calls,
        chain=chain,
        input_tokens=fields.get("input_tokens", calls * 1000),
        output_tokens=fields.get("output_tokens", calls * 100),
        seconds=seconds,
        slowest=seconds,
        bound_nano=fields.get("bound_nano", calls * 10**6),
        bound_tokens=fields.get("bound_tokens", calls * 2000),
    )


def cap(slots: int) -> LimitRecord:
    return LimitRecord("llm", "llm", slots)


def rate(meter: str, amount: int, window: int = 60) -> LimitRecord:
    return LimitRecord("llm", "llm", None, (Rate(meter, amount, window),))  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("limits", "left", "name", "calls_per_second"),
    [
        ([cap(10)], [], "max_concurrent", 5.0),
        ([cap(10), rate("requests", 60)], [], "requests_per_minute", 1.0),
        ([cap(1), rate("requests", 60)], [], "max_concurrent", 0.5),
        ([cap(10), rate("tokens", 11_000)], [], "tokens_per_minute", 10 / 60),
        ([cap(10), rate("input_tokens", 6_000)], [], "input_tokens_per_minute", 0.1),
        ([cap(10), rate("output_tokens", 1_200)], [], "output_tokens_per_minute", 0.2),
        ([rate("requests", 50, 86_400)], [], "requests_per_day", 50 / 86_400),
        # What is left holds the bounds of four calls at once.
        ([cap(10)], [Left("team", 4 * 10**6, None)], "budget_usd", 2.0),
        ([cap(10)], [Left("team", None, 2_000)], "budget_total_tokens", 0.5),
    ],
)
def test_smallest_throughput_is_the_bottleneck(
    limits: list[LimitRecord], left: list[Left], name: str, calls_per_second: float
) -> None:
    held = bottleneck(throughputs(load(), limits, left))
    assert held is not None
    assert held.name == name
    assert held.calls_per_second == pytest.approx(calls_per_second)
    assert "llm" in held.why or "team" in held.why


def test_limit_that_the_run_never_comes_up_against_is_no_bottleneck() -> None:
    found = throughputs(load(10), [cap(10), rate("requests", 10)], [Left("team", 10**9, 10**9)])
    assert len(found) == 4
    assert bottleneck(found) is None


def test_wall_clock_is_that_of_the_cap() -> None:
    # Ten waves of 2 s, and a second for the run itself.
    assert run_seconds(load(), throughputs(load(), [cap(10)], [])) == pytest.approx(21.0)


def test_wall_clock_is_that_of_the_rate() -> None:
    # 40 go at once, 40 a minute later, 20 in the third minute.
    found = throughputs(load(), [cap(100), rate("requests", 40)], [])
    assert run_seconds(load(), found) == pytest.approx(1 + 120 + 2)


def test_calls_of_one_item_follow_each_other() -> None:
    split = load(50, chain=25)
    assert run_seconds(split, throughputs(split, [cap(100)], [])) == pytest.approx(51.0)


def test_no_calls_take_no_time() -> None:
    nothing = load(0)
    assert throughputs(nothing, [cap(1), rate("tokens", 5)], [Left("x", 0, 0)]) == []
    assert run_seconds(nothing, []) == 0.0


@given(
    calls=st.integers(1, 5_000),
    slots=st.integers(1, 200),
    amount=st.integers(1, 10_000),
    seconds=st.floats(0.01, 100),
)
def test_more_items_never_take_less_time(
    calls: int, slots: int, amount: int, seconds: float
) -> None:
    limits = [cap(slots), rate("requests", amount), rate("tokens", amount * 500)]
    few, many = load(calls, seconds=seconds), load(calls + 1, seconds=seconds)
    took = [run_seconds(each, throughputs(each, limits, [])) for each in (few, many)]
    assert took[0] <= took[1] + 1e-9
    assert took[0] >= max(seconds, (calls * seconds / slots) * 0.999 - seconds)


# What the money covers


def test_items_that_the_money_does_not_pay_for() -> None:
    left = [Left("run", 10**9, None), Left("team", 5 * 10**8, 900)]
    assert items_over_budget(10, usd=Decimal("0.5"), tokens=900, left=left) == 0
    assert items_over_budget(10, usd=Decimal("1.0"), tokens=900, left=left) == 5
    assert items_over_budget(10, usd=Decimal("0.1"), tokens=1000, left=left) == 1
    assert items_over_budget(10, usd=Decimal(0), tokens=0, left=[Left("run", 0, 0)]) == 0
    assert items_over_budget(10, usd=Decimal(1), tokens=0, left=[Left("run", 0, None)]) == 10


@given(
    items=st.integers(1, 1000),
    nano=st.integers(1, 10**12),
    left=st.integers(0, 10**12),
)
def test_covered_items_fit_the_money_and_one_more_does_not(
    items: int, nano: int, left: int
) -> None:
    usd = Decimal(nano) / 10**9
    over = items_over_budget(items, usd=usd, tokens=0, left=[Left("x", left, None)])
    assert 0 <= over <= items
    paid = items - over
    assert paid * nano <= left * items
    if over:
        assert (paid + 1) * nano > left * items


def test_no_more_is_at_stake_than_the_budgets_leave() -> None:
    assert at_stake_usd(Decimal(9), []) == 9
    assert at_stake_usd(Decimal(9), [Left("a", 2 * 10**9, None), Left("b", None, 5)]) == 2


# What past calls were like


def call(run: str, output: int, *, seconds: float = 1.0, cached: int = 0) -> CallRecord:
    return CallRecord(
        call_id="c", state="spent", owner="o", pid=None, bound=Bound(10, 300, 1024),
        usage=Usage(5, 150, output, cached), reason=None, observed=None, request_id=None,
        created_wall=0, resolved_wall=int(seconds * 1e9), attribution=Attribution(run_id=run),
    )  # fmt: skip


def test_past_calls_give_their_mean_their_spread_and_their_pace() -> None:
    calls = [call("a", 10), call("a", 30, seconds=3), call("b", 80, cached=75)]
    found = summed_up(calls, same=True)
    assert (found.runs, found.calls) == (2, 3)
    assert found.output_mean == pytest.approx(40)
    assert found.output_deviation == pytest.approx(29.4, abs=0.1)
    assert found.output_between == pytest.approx(42.4, abs=0.1)
    assert found.input_share == pytest.approx(0.5)
    assert found.cached_share == pytest.approx(1 / 6)
    assert found.seconds_mean == pytest.approx(5 / 3)
    assert found.seconds_high == 3.0


def test_one_past_run_says_nothing_of_how_runs_differ() -> None:
    assert summed_up([call("a", 10), call("a", 20)], same=True).output_between == 0.0

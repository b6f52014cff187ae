"""`budget.allocate`: a part of a budget set aside, whose rest returns."""

import asyncio
import os
import subprocess
import sys
import textwrap
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest

from prefect_governor import Budget, ConfigurationError, Governor, OverBudget, completion
from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.governor import load_governor
from tests.integration.governing import HELLO, MODEL, NANO, loaded_as, spend_reserved
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("put_out_of_work")


@pytest.fixture
def governor() -> Governor:
    return Governor.local(f"allocate-{uuid4().hex[:8]}", max_usd=1)


def free(governor: Governor) -> int:
    """What is neither gone, reserved nor set aside, in nano-dollars."""
    state = governor.budget.state()
    assert state.ceiling_nano is not None
    taken = state.spent_nano + state.unconfirmed_nano + state.reserved_nano
    return state.ceiling_nano - taken - state.allocated_nano


def test_what_is_set_aside_is_nobody_elses(governor: Governor) -> None:
    allocation = governor.budget.allocate(max_usd="0.4", label="synthesis")
    assert governor.budget.state().allocated_nano == NANO * 4 // 10
    spend_reserved(governor, "0.6")
    with pytest.raises(OverBudget, match=r"synthesis|allocat"):
        spend_reserved(governor, "0.1")
    with allocation:
        spend_reserved(governor, "0.4")
    assert allocation.state().spent_nano == NANO * 4 // 10
    assert free(governor) == 0


def test_rest_of_an_allocation_goes_back_and_is_spent(governor: Governor) -> None:
    allocation = governor.budget.allocate(max_usd="0.9", label="shard 1")
    with allocation:
        spend_reserved(governor, "0.2")
    allocation.close()
    allocation.close()
    assert free(governor) == NANO * 8 // 10
    spend_reserved(governor, "0.8")
    assert governor.budget.state().spent_nano == NANO


def test_sums_never_pass_the_parent(governor: Governor) -> None:
    for part in ("0.5", "0.4"):
        governor.budget.allocate(max_usd=part, label=part)
    with pytest.raises(OverBudget):
        governor.budget.allocate(max_usd="0.2", label="one too many")
    governor.budget.allocate(max_usd="0.1", label="the last")
    assert free(governor) == 0


def test_part_of_a_part_is_taken_from_it(governor: Governor) -> None:
    with governor.budget.allocate(max_usd="0.6", label="shard") as shard:
        inner = governor.budget.allocate(max_usd="0.5", label="a part of it")
        with pytest.raises(OverBudget):
            governor.budget.allocate(max_usd="0.2", label="more than is left of it")
        with inner:
            spend_reserved(governor, "0.4")
    assert shard.state().spent_nano == NANO * 4 // 10
    assert free(governor) == NANO * 4 // 10
    inner.close()
    shard.close()
    assert free(governor) == NANO * 6 // 10


def test_budget_a_run_is_allocated_in_the_runs_own_window() -> None:
    governor = Governor.local(f"allocate-{uuid4().hex[:8]}", max_usd=1, window="run")
    with governor.activate() as here:
        for run in ("one", "two"):
            token = current_scope.set(replace(here, run_id=run))
            allocation = governor.budget.allocate(max_usd=1, label=run)
            with allocation:
                spend_reserved(governor, "0.5")
            current_scope.reset(token)
            known = governor.runtime.desk.store.read_purse(
                governor.runtime.accounts_[0].key, f"run:{run}"
            )
            assert known is not None
            assert (known[1].spent_nano, known[1].allocated_nano) == (NANO // 2, NANO // 2)


def test_fixed_allocation_holds_its_own_ceiling(governor: Governor) -> None:
    with (
        governor.budget.allocate(max_usd="0.1", label="a small part"),
        pytest.raises(OverBudget, match="a small part"),
    ):
        spend_reserved(governor, "0.2")


def test_elastic_allocations_of_a_run_draw_on_each_other(governor: Governor) -> None:
    with governor.activate() as here:
        token = current_scope.set(replace(here, run_id=uuid4().hex))
        try:
            rich = governor.budget.allocate(max_usd="0.6", label="rich", elastic=True)
            poor = governor.budget.allocate(max_usd="0.4", label="poor", elastic=True)
            with poor:
                spend_reserved(governor, "0.7")
            assert governor.budget.state().spent_nano == NANO * 7 // 10
            with rich, pytest.raises(OverBudget):
                spend_reserved(governor, "0.4")
            with rich:
                spend_reserved(governor, "0.3")
        finally:
            current_scope.reset(token)


async def test_tasks_enter_one_allocation_at_once_and_leave_no_trace(governor: Governor) -> None:
    allocation = governor.budget.allocate(max_usd="0.5", label="shard")

    async def one() -> None:
        async with allocation, governor.reserve(max_usd="0.1") as spend:
            spend.settle("0.1")

    await asyncio.gather(*(one() for _ in range(5)))
    assert current_scope.get() is None
    assert allocation.state().spent_nano == NANO // 2
    await allocation.aclose()
    assert governor.budget.state().allocated_nano == 0


def test_calls_inside_draw_on_it_first(governor: Governor, upstream: ProviderProcess) -> None:
    allocation = governor.budget.allocate(max_usd="0.5", label="calls")
    with allocation:
        completion(MODEL, HELLO, max_tokens=9)
    billed = upstream.settled_stats()["billed_nano"]
    assert allocation.state().spent_nano == billed > 0
    assert governor.budget.state().spent_nano == billed


def test_tokens_are_set_aside_too() -> None:
    governor = Governor.local(f"allocate-{uuid4().hex[:8]}", max_total_tokens=1000)
    governor.budget.allocate(max_total_tokens=700, label="most")
    assert governor.budget.state().allocated_tokens == 700
    with pytest.raises(OverBudget, match="tokens"):
        governor.budget.allocate(max_total_tokens=400, label="too many")


@pytest.mark.parametrize(
    "amounts",
    [{}, {"max_usd": "nan"}, {"max_usd": -1}, {"max_usd": "1e-10"}, {"max_total_tokens": -1}],
)
def test_amount_that_is_none_is_refused(governor: Governor, amounts: dict[str, Any]) -> None:
    with pytest.raises(ConfigurationError, match=r"max_usd|max_total_tokens"):
        governor.budget.allocate(**amounts, label="x")
    with pytest.raises(ConfigurationError, match="label"):
        governor.budget.allocate(max_usd=1, label=" ")
    assert governor.budget.state().allocated_nano == 0


def test_governors_on_one_budget_object_allocate_from_their_own() -> None:
    budget = Budget(max_usd=1)
    first, second = (Governor(budget=budget) for _ in range(2))
    for each in (first, second):
        each._local_name = f"allocate-{uuid4().hex[:8]}"
    first.budget.allocate(max_usd=1, label="all of it")
    assert second.budget.state().allocated_nano == 0
    assert first.budget == second.budget


def test_death_of_the_process_gives_its_allocations_back() -> None:
    name = f"allocate-{uuid4().hex[:8]}"
    program = f"""
        import os
        from prefect_governor import Governor
        governor = Governor.local({name!r}, max_usd=1)
        governor.budget.allocate(max_usd="0.6", label="mine")
        governor.budget.allocate(max_usd="0.3", label="a shard's", outlives_process=True)
        os._exit(1)
    """
    subprocess.run([sys.executable, "-c", textwrap.dedent(program)], env={**os.environ})
    governor = Governor.local(name, max_usd=1)
    runtime = governor.runtime
    # The next sweep finds its lock free; what this process asks may come before it.
    until(lambda: governor.budget.state().allocated_nano == NANO * 3 // 10, seconds=30)
    assert runtime.desk.store.read_allocations(runtime.accounts_[0].key)[0][0].label == "a shard's"


@pytest.mark.usefixtures("server")
def test_allocation_is_taken_from_every_budget_up_the_chain() -> None:
    name = f"allocate-{uuid4().hex[:8]}"
    Budget(max_usd=1).save(f"{name}-top")
    for each in ("a", "b"):
        Governor(budget=Budget(max_usd=5, parent=f"{name}-top")).save(f"{name}-{each}")
    first, second = (load_governor(f"{name}-{each}") for each in ("a", "b"))
    first.budget.allocate(max_usd="0.7", label="a's")
    with pytest.raises(OverBudget, match=f"{name}-top"):
        second.budget.allocate(max_usd="0.4", label="b's")
    top = loaded_as(Budget, f"{name}-top")
    assert top.state().allocated_nano == NANO * 7 // 10


@pytest.mark.usefixtures("server")
def test_budget_loaded_by_itself_allocates_for_a_governor_on_it() -> None:
    name = f"allocate-{uuid4().hex[:8]}"
    Budget(max_usd=1).save(f"{name}-top")
    allocation = loaded_as(Budget, f"{name}-top").allocate(max_usd="0.5", label="of the team")
    with pytest.raises(ConfigurationError, match="inside a governor"):
        allocation.__enter__()
    Governor(budget=Budget(parent=f"{name}-top")).save(name)
    governor = load_governor(name)
    with governor, allocation:
        spend_reserved(governor, "0.3")
    assert allocation.state().spent_nano == NANO * 3 // 10
    allocation.close()
    state = loaded_as(Budget, f"{name}-top").state()
    assert (state.spent_nano, state.allocated_nano) == (NANO * 3 // 10, 0)

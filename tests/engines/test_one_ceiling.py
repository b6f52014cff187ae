"""P1, P3, P9, P11, P17, P22: a governor holds across the processes of a Dask or Ray cluster, one of
which is killed on the way."""

import time
from collections import Counter
from pathlib import Path
from uuid import uuid4

import pytest
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.figures.figures import BudgetFigures, budget_figures
from prefect_governor.blocks.governor import resolve
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.blocks.work.registry import stop_all
from prefect_governor.flows.server.background import ServerInfo
from tests.engines.heavy import Engine, Order
from tests.engines.program import Program
from tests.provider.books.log import max_in_flight, utilization
from tests.provider.process import ProviderProcess

pytestmark = [pytest.mark.engines, pytest.mark.usefixtures("server")]

SHORT = 60
LONG = pytest.param(1000, marks=pytest.mark.scale)
CAP = 4
PLACES = 8
LATENCY_SECONDS = 0.3
# What the provider bills a call: 18 tokens of input and 20 of output.
CALL_NANO = 14_700
# The money is there for so much of the items.
AFFORDED = 0.9
DEAD_SECONDS = 30.0
OUTSIDERS_SECONDS = 75.0
PATIENCE_SECONDS = 1500.0

engines = pytest.mark.parametrize("engine", ["dask", "ray"], indirect=True)


@pytest.fixture
def governor() -> str:
    return f"heavy-{uuid4().hex[:8]}"


def save(governor: str, *, calls: float) -> int:
    """A governor whose money is there for so many calls; its ceiling in nano-dollars."""
    nano = round(calls * CALL_NANO)
    Governor(
        budget=Budget(max_usd=f"{nano / 10**9:.9f}", window="total"),
        limits=[Limit(tag="llm", max_concurrent=CAP)],
    ).save(governor)
    return nano


def unconfirmed_calls() -> set[str]:
    """What is settled, voided or unconfirmed holds no slot: that is one transaction."""
    return {each.call_id for each in desk().store.read_calls(("unconfirmed",))}


def figures(governor: str) -> BudgetFigures:
    return budget_figures(resolve(governor).runtime, None)


@pytest.mark.parametrize("items", [SHORT, LONG])
@engines
def test_one_ceiling_and_one_cap_hold_in_all_processes_though_one_is_killed(
    engine: Engine,
    items: int,
    governor: str,
    upstream: ProviderProcess,
    client: SyncPrefectClient,
    tmp_path: Path,
) -> None:
    ceiling = save(governor, calls=items * AFFORDED)
    upstream.configure(latency_seconds=LATENCY_SECONDS, limits={"max_concurrent": CAP})
    with Program(Order(engine, items, governor, places=PLACES), tmp_path / "log") as program:
        before = unconfirmed_calls()
        killed, dead = program.kill_a_caller(upstream, after=items // 3)
        while unconfirmed_calls() == before:
            assert time.monotonic() < killed + DEAD_SECONDS, (
                "the dead one's slots are still its own"
            )
            time.sleep(0.1)
        freed = time.monotonic() - killed
        told = program.told(seconds=PATIENCE_SECONDS)
        ended = time.monotonic()
        assert program.left() == []
    stats, records = upstream.settled_stats(), upstream.log()

    # Each item has an outcome, and the only reason not to have succeeded is the money.
    assert len(told["ends"]) == items
    reasons = [each["reason"] for each in told["ends"] if each["reason"] is not None]
    assert all("OverBudget" in each for each in reasons), [
        each for each in reasons if "OverBudget" not in each
    ]
    answered = {each["result"] for each in told["ends"] if each["reason"] is None}
    assert len(answered) + len(reasons) == items

    # What the dead one had in flight is unconfirmed, and nothing is held.
    now = figures(governor)
    assert now.reserved_usd == 0
    unconfirmed, spent = (round(each * 10**9) for each in (now.unconfirmed_usd, now.spent_usd))
    assert unconfirmed > 0
    assert spent <= stats["billed_nano"] <= spent + unconfirmed
    assert stats["billed_nano"] <= ceiling
    assert spent + unconfirmed <= ceiling
    assert spent + unconfirmed >= 0.95 * ceiling

    # What was finished in the dead one is not asked for again, though its cluster runs it again.
    asked = Counter(each["tag"].partition("/")[2] for each in records)
    twice = {item for item, times in asked.items() if times > 1}
    begun = {each["tag"] for each in records if each["tag"].startswith(f"{dead}/")}
    assert twice <= {each.partition("/")[2] for each in begun}
    assert len(twice) <= PLACES, twice

    # Never more at once than the cap.
    assert stats["throttled"] == 0
    assert max_in_flight(records) == stats["max_open"] == CAP

    # Who spent it.
    spend = desk().store.read_spend
    mine = {"flow": f"heavy-on-{engine}", "task": "review"}
    (flow_run,) = [
        key for key, each in spend("flow_run_id", mine).items()
        if each.spent_nano == spent and key == told["flow_run"]
    ]  # fmt: skip
    assert flow_run is not None
    by_task_run = spend("task_run_id", {**mine, "flow_run_id": flow_run})
    assert sum(each.spent_nano for each in by_task_run.values()) == spent
    assert len(by_task_run) >= len(answered)

    # Flows that know nothing of it have the slots, too.
    stop_all()
    back = _given_back(client, f"governor:{governor}:llm", ended + OUTSIDERS_SECONDS)
    print(
        f"\n{engine}, {items} items: {told['seconds']:.1f} s, {len(answered)} succeeded,"
        f" {len(reasons)} over budget; bill {stats['billed_nano']} + ledger's unconfirmed"
        f" {unconfirmed} of a ceiling of {ceiling} nano-dollars, spent {spent};"
        f" most open {stats['max_open']} of {CAP}, {utilization(records, CAP):.1%} of the cap used;"
        f" {len(twice)} items asked twice; the dead one's slots free {freed:.1f} s later;"
        f" Prefect's limit free {back - ended:.1f} s after the end"
    )


def _given_back(client: SyncPrefectClient, limit: str, until: float) -> float:
    while time.monotonic() < until:
        found = client.read_global_concurrency_limit_by_name(limit)
        if found.active_slots == 0:
            return time.monotonic()
        time.sleep(1)
    raise AssertionError(f"{limit} still holds {found.active_slots} slots")


@engines
def test_without_a_governor_the_same_program_passes_the_cap_and_the_ceiling(
    engine: Engine, governor: str, upstream: ProviderProcess, tmp_path: Path
) -> None:
    ceiling = SHORT * AFFORDED * CALL_NANO
    upstream.configure(latency_seconds=LATENCY_SECONDS)
    with Program(Order(engine, SHORT, governor, how="free"), tmp_path / "log") as program:
        told = program.told(seconds=PATIENCE_SECONDS)
    stats = upstream.settled_stats()
    print(
        f"\n{engine}, ungoverned: most open {stats['max_open']} of {CAP}, bill"
        f" {stats['billed_nano']} of a ceiling of {ceiling:.0f} nano-dollars"
    )
    assert all(each["reason"] is None for each in told["ends"])
    assert stats["max_open"] > CAP
    assert stats["billed_nano"] > ceiling


@pytest.mark.scale
def test_what_a_thousand_items_take_on_each_engine(
    governor: str, upstream: ProviderProcess, server: ServerInfo, tmp_path: Path
) -> None:
    """Printed: the wall, and how full the cap was."""
    pytest.importorskip("prefect_dask")
    pytest.importorskip("prefect_ray")
    for engine in ("ours", "dask", "ray"):
        name = f"{governor}-{engine}"
        save(name, calls=2000)
        upstream.renew(latency_seconds=LATENCY_SECONDS, limits={"max_concurrent": CAP})
        order = Order(engine, 1000, name, how="flow")
        began = time.monotonic()
        with Program(order, tmp_path / "log") as program:
            told = program.told(seconds=PATIENCE_SECONDS)
        wall = time.monotonic() - began
        stats = upstream.settled_stats()
        assert all(each["reason"] is None for each in told["ends"])
        assert stats["throttled"] == 0
        ideal = 1000 * LATENCY_SECONDS / CAP
        print(
            f"\n{engine}: {told['seconds']:.0f} s in the flow ({ideal:.0f} s is the least),"
            f" {wall:.0f} s with the cluster; {utilization(upstream.log(), CAP):.1%} of the cap"
        )

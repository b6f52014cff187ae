"""Two machines that share nothing but Prefect's API: what they draw, what is lost on the way, what
people do to the counter."""

from collections.abc import Iterator
from pathlib import Path

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.settings import PREFECT_API_URL, temporary_settings
from pydantic import SecretStr

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.documents.documents import define, read_by_id
from prefect_governor.blocks.draws.counter import CounterLost, variable_name
from prefect_governor.blocks.draws.counters import PrefectCounters
from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.leases.limit_server import ServerAway
from prefect_governor.blocks.leases.prefect_limits import impatient
from prefect_governor.blocks.ledger.decision.purse import PurseKey
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.terms.governor import rate_parts
from prefect_governor.flows.server.server import ServerInfo
from tests.integration.governing import NANO, ask, document_of, spend
from tests.integration.leases.lossy import LossyProxy
from tests.unit.blocks.draws.test_machines import Machine
from tests.unit.clocks import Clock

CEILING = 1000


class Pair:
    """Two, under one budget of a name that no other test has."""

    def __init__(self, folder: Path, name: str) -> None:
        self.key: PurseKey = (name, "total")
        self.clock = Clock()
        self.machines = [
            Machine(folder / each, PrefectCounters(), self.clock, self.key) for each in "ab"
        ]
        self.version = 0
        self.set_ceiling(CEILING)
        self.calls = 0

    def set_ceiling(self, ceiling: int) -> None:
        self.version += 1
        for each in self.machines:
            each.define(ceiling, f"{self.version:04}")

    def spend(self, machine: Machine, size: int) -> bool | None:
        """True where it was admitted, and billed at its bound; None where it waits."""
        self.calls += 1
        machine.ask(f"{self.calls:04}", size)
        machine.drawer.tick()
        machine.desk.run_once()
        future = machine.calls[-1][1]
        if not future.done():
            return None
        if future.exception() is not None:
            return False
        machine.desk.settle(f"{self.calls:04}", Usage(size, 0, 0))
        machine.desk.run_once()
        return True

    def counter(self, client: SyncPrefectClient) -> str:
        found = client.read_variable_by_name(variable_name(self.key, "nano"))
        assert found is not None and isinstance(found.value, dict)
        return str(found.value["counter"])


@pytest.fixture
def pair(tmp_path: Path, request: pytest.FixtureRequest, server: ServerInfo) -> Iterator[Pair]:
    with impatient():
        made = Pair(tmp_path, f"{request.node.name}-{tmp_path.name}")
        yield made
    for each in made.machines:
        each.desk.store.close()


def test_two_machines_draw_no_more_than_the_ceiling(pair: Pair, client: SyncPrefectClient) -> None:
    one, other = pair.machines
    assert pair.spend(one, 400) and pair.spend(other, 400)
    assert pair.spend(one, 300) is False
    refusal = one.calls[-1][1].exception()
    assert isinstance(refusal, OverBudget) and "drawn by other machines" in str(refusal)
    found = client.read_global_concurrency_limit_by_name(pair.counter(client))
    held = sum(each.figures()[1] for each in pair.machines)
    assert found.limit == CEILING and found.active_slots == held <= CEILING
    # Idle, what is spare goes back, and the other has it.
    other.drawer.tick()
    pair.clock.pass_(10)
    other.drawer.tick()
    assert other.figures() == (400, 400)
    assert pair.spend(one, 200)


def test_a_raise_is_drawn_and_a_lowered_ceiling_given_back_at_once(
    pair: Pair, client: SyncPrefectClient
) -> None:
    one, other = pair.machines
    assert pair.spend(one, 500) and pair.spend(other, 400)
    pair.set_ceiling(5000)
    assert pair.spend(one, 3000)
    pair.set_ceiling(2000)
    for each in pair.machines:
        each.drawer.tick()
        assert each.figures()[0] == each.figures()[1]
    assert pair.spend(other, 1) is False
    found = client.read_global_concurrency_limit_by_name(pair.counter(client))
    assert (found.limit, found.active_slots) == (2000, 3900)


@pytest.mark.parametrize("how", ["deleted", "made anew", "switched off"])
def test_a_counter_that_is_lost_admits_no_more_than_was_drawn(
    pair: Pair, client: SyncPrefectClient, how: str
) -> None:
    one = pair.machines[0]
    assert pair.spend(one, 500)
    drawn = one.figures()[1]
    name = pair.counter(client)
    if how == "switched off":
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active=False))
    else:
        client.delete_global_concurrency_limit_by_name(name)
    if how == "made anew":
        PrefectCounters().create(name, CEILING)
    with pytest.raises(CounterLost, match=how):
        pair.spend(one, 400)
    one.desk.run_once()
    refusal = one.calls[-1][1].exception()
    assert isinstance(refusal, OverBudget) and "its counter is lost" in str(refusal)
    one.ask("small", drawn - 500)
    assert one.calls[-1][1].exception() is None
    # A machine that has drawn nothing draws nothing.
    with pytest.raises(CounterLost, match=how):
        pair.spend(pair.machines[1], 1)
    if how == "switched off":
        client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(active=True))
        pair.clock.pass_(10)
        one.drawer.tick()
        assert pair.spend(one, 200)


@pytest.mark.parametrize("request_too", [False, True])
def test_a_lost_reply_is_looked_up_and_nothing_is_given_back_twice(
    pair: Pair, client: SyncPrefectClient, server: ServerInfo, request_too: bool
) -> None:
    one, other = pair.machines
    with LossyProxy(str(server.url)) as proxy, temporary_settings({PREFECT_API_URL: proxy.url}):
        assert pair.spend(one, 100) and pair.spend(other, 10)
        proxy.lose = {"/increment", "/decrement"}
        proxy.cut = lambda end: request_too
        with pytest.raises(ServerAway):
            pair.spend(one, 400)
        proxy.lose = set()
        one.drawer.tick()
        one.desk.run_once()
        assert one.calls[-1][1].exception() is None
        other.drawer.tick()
        proxy.lose = {"/increment", "/decrement"}
        pair.clock.pass_(10)
        with pytest.raises(ServerAway):
            other.drawer.tick()
        proxy.lose = set()
        other.drawer.tick()
        assert sum(proxy.lost.values()) == 2
    found = client.read_global_concurrency_limit_by_name(pair.counter(client))
    held = sum(each.figures()[1] for each in pair.machines)
    # A give-back that never arrived stays charged: it may arrive yet.
    assert (found.active_slots == held) is not request_too
    assert found.active_slots is not None and held <= found.active_slots <= CEILING


def test_a_saved_governor_draws_allocates_and_has_its_part_of_a_rate(
    server: ServerInfo, home: Path, client: SyncPrefectClient
) -> None:
    governor = Governor(
        budget=Budget(max_usd=2),
        limits=[Limit(tag="llm", requests_per_minute=100)],
        ledger_url=SecretStr("prefect-api"),
        machines=4,
    )
    governor.save("apart", overwrite=True)
    runtime = governor.runtime
    spend(runtime, 0.5)
    with governor.budget.allocate(max_usd=1, label="synthesis"):
        assert governor.budget.state().allocated_nano == NANO
        _, refused = ask(runtime, 0.9)
        with pytest.raises(OverBudget):
            refused.result(30)
    assert [each.amount for each in runtime.limits_[0].terms.rates] == [25]
    assert rate_parts(define(read_by_id(document_of(governor))).governor) == 4
    assert governor.budget.state().spent_nano == NANO // 2

"""The keeper of leases on a limit that others use too: their slots stay theirs, their edits too."""

import logging

import pytest

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.leases.lease_keeper import LimitKeeper
from prefect_governor.blocks.ledger.desk import LedgerDesk
from tests.unit.blocks.leases.ledger import KEY, ask, define, leased
from tests.unit.blocks.leases.server import Limit, Server
from tests.unit.clocks import Clock


def test_slots_of_others_on_a_shared_limit_stay_theirs_when_the_server_forgets(
    desk: LedgerDesk, server: Server, clock: Clock
) -> None:
    server.limits["shared"] = Limit(20, active_slots=5)
    keeper = LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, now=clock)
    ask(desk, 8)
    keeper.tick()
    server.leases.clear()
    clock.pass_(25)
    keeper.tick()
    keeper.tick()
    assert server.taken("shared") == 5 + 8
    # Not renewed in time: the server's own service may have given them back, and did.
    server.leases.clear()
    server.limits["shared"].active_slots = 5
    clock.pass_(70)
    keeper.tick()
    assert server.taken("shared") == 5 + leased(desk)


def test_limit_that_becomes_another_of_prefects_gives_back_what_the_old_one_had(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 8)
    keeper.tick()
    server.limits["shared"] = Limit(8)
    LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, now=clock).tick()
    assert (server.taken(), server.taken("shared"), leased(desk)) == (0, 8, 8)


def test_few_free_slots_beside_others_are_taken_one_by_one_and_a_full_limit_is_named(
    desk: LedgerDesk, server: Server, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    define(desk, 80)
    server.limits["shared"] = Limit(80, active_slots=80)
    keeper = LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, now=clock)
    ask(desk, 80)
    keeper.tick()
    assert [each for each in server.asked if "acquire" in each] == [
        "acquire 10", "acquire 5", "acquire 2", "acquire 1",
    ]  # fmt: skip
    server.asked.clear()
    with caplog.at_level(logging.WARNING):
        for _ in range(4):
            clock.pass_(2)
            keeper.tick()
    assert [each for each in server.asked if "acquire" in each] == ["acquire 1"] * 4
    assert [each.message for each in caplog.records] == [
        "Prefect's limit 'shared' is full (none of its slots is ours yet), so calls wait; see"
        " `prefect gcl inspect shared`"
    ]
    server.limits["shared"].active_slots = 73
    for _ in range(4):
        keeper.tick()
    assert (leased(desk), server.taken("shared")) == (7, 80)


def test_shared_limit_is_never_edited(desk: LedgerDesk, server: Server, clock: Clock) -> None:
    server.limits["shared"] = Limit(8)
    keeper = LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, now=clock)
    keeper.tick()
    define(desk, 12)
    clock.pass_(3)
    keeper.tick()
    assert server.limits["shared"].limit == 8


def test_what_is_reserved_for_others_is_never_leased_also_when_that_is_edited_under_load(
    desk: LedgerDesk, server: Server, clock: Clock, caplog: pytest.LogCaptureFixture
) -> None:
    server.limits["shared"] = Limit(8)
    keeper = LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, reserve=2, now=clock)
    ask(desk, 20)
    keeper.tick()
    assert (leased(desk), server.taken("shared")) == (6, 6)
    keeper.reserve = 5
    clock.pass_(3)
    keeper.tick()
    clock.pass_(2)
    keeper.tick()
    gate = desk.store.read_gate(KEY)
    assert gate is not None
    # Nobody is let in above it, whatever is leased still.
    assert (gate.cap, leased(desk), server.taken("shared")) == (3, 3, 3)
    assert not caplog.records
    keeper.reserve = 8
    clock.pass_(3)
    keeper.tick()
    clock.pass_(2)
    keeper.tick()
    assert (leased(desk), server.taken("shared")) == (0, 0)
    (said,) = caplog.records
    assert "reserve_for_others keeps 8 of them" in said.message


def test_shared_limit_that_is_gone_lets_nobody_in_and_its_leases_go_back_when_it_is_there_again(
    desk: LedgerDesk, server: Server, clock: Clock
) -> None:
    server.limits["shared"] = Limit(8, active=False)
    keeper = LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, now=clock)
    ask(desk, 8)
    keeper.tick()
    gate = desk.store.read_gate(KEY)
    assert gate is not None
    assert gate.leased is None, "one that is switched off holds nobody"
    server.limits["shared"].active = True
    clock.pass_(3)
    keeper.tick()
    assert leased(desk) == 8
    del server.limits["shared"]
    clock.pass_(3)
    for _ in range(2):
        # Elected anew: it never saw the limit.
        heir = LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, now=clock)
        with pytest.raises(GovernorError, match="prefect gcl create shared --limit 8"):
            heir.tick()
        assert leased(desk) == 0
    server.asked.clear()
    heir.tick()
    assert server.asked == [], "a limit that is missing is not asked for at every tick"
    server.limits["shared"] = Limit(4)
    clock.pass_(3)
    heir.tick()
    assert (leased(desk), server.taken("shared"), len(server.leases)) == (4, 4, 4)

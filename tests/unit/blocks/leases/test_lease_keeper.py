"""The keeper of a limit's leases, beside a server that forgets, refuses and is edited."""

import pytest

from prefect_governor.blocks.leases.lease_keeper import LimitKeeper
from prefect_governor.blocks.leases.leasing import FORGOTTEN, usable_until
from prefect_governor.blocks.leases.limit_server import ServerAway
from prefect_governor.blocks.ledger.decision.store import Lease
from prefect_governor.blocks.ledger.desk import LedgerDesk
from tests.unit.blocks.leases.ledger import KEY, ask, define, leased, rows
from tests.unit.blocks.leases.server import NAME, Limit, Server
from tests.unit.clocks import Clock


def test_server_that_forgot_its_leases_gets_each_slot_back_once(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 8)
    keeper.tick()
    assert (leased(desk), server.taken()) == (8, 8)
    # Restarted with leases in memory: the slots stay taken, and nobody can renew them.
    server.leases.clear()
    clock.pass_(25)
    keeper.tick()
    keeper.tick()
    assert (leased(desk), server.taken()) == (8, 8)
    assert len(server.leases) == len(rows(desk)) == 8
    assert sum(each.startswith("give back") for each in server.asked) == 8


@pytest.mark.parametrize("known", [True, False], ids=["the server kept it", "it forgot it"])
def test_lease_of_an_earlier_boot_is_given_back(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, known: bool
) -> None:
    ask(desk, 0)
    keeper.tick()
    limit = server.limits[NAME]
    limit.active_slots = 5
    if known:
        server.leases["old"] = (limit.id, 5)
    old = Lease("old", KEY, str(limit.id), 5, FORGOTTEN)
    desk.write(lambda batch: batch.rows.put_lease(old)).result(30)
    keeper.tick()
    assert (rows(desk), server.taken()) == ([], 0)


def test_what_a_killed_process_held_on_our_own_limit_comes_free_though_the_server_restarted(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 8)
    keeper.tick()
    server.leases.clear()
    clock.pass_(300)
    heir = LimitKeeper(desk, server, key=KEY, name=NAME, now=clock)
    heir.tick()
    assert (leased(desk), server.taken()) == (8, 8)


def test_leases_of_a_limit_that_was_made_again_admit_nobody(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 8)
    keeper.tick()
    server.limits[NAME] = Limit(8, active_slots=6)
    # Elected anew: it never saw the old one.
    heir = LimitKeeper(desk, server, key=KEY, name=NAME, now=clock)
    heir.tick()
    assert leased(desk) == 2
    assert server.taken() == 8


def test_failing_release_stops_nothing_else_and_is_asked_again(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 8)
    keeper.tick()
    ask(desk, 0)
    keeper.tick()
    clock.pass_(2)
    server.fail["release"] = RuntimeError("409")
    with pytest.raises(RuntimeError):
        keeper.tick()
    assert server.asked.count("release") == 8
    assert (leased(desk), len(rows(desk)), server.taken()) == (0, 8, 8)
    server.fail.clear()
    # Whoever is elected next: it is in the ledger.
    LimitKeeper(desk, server, key=KEY, name=NAME, now=clock).tick()
    assert (rows(desk), server.taken()) == ([], 0)


@pytest.mark.parametrize("edited", [{"limit": 0}, {"active": False}], ids=["limit 0", "inactive"])
def test_nothing_is_given_back_where_the_server_would_drop_it(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock, edited: dict[str, int]
) -> None:
    ask(desk, 8)
    keeper.tick()
    vars(server.limits[NAME]).update(edited)
    ask(desk, 0)
    for _ in range(30):
        clock.pass_(3)
        keeper.tick()
    # Renewed all the while, so that no expiry frees what cannot be freed.
    assert len(rows(desk)) == len(server.leases) == 8
    assert "release" not in server.asked
    vars(server.limits[NAME]).update(limit=8, active=True)
    for _ in range(2):
        clock.pass_(3)
        keeper.tick()
    assert (rows(desk), server.taken()) == ([], 0)


def test_slots_are_given_back_when_a_busy_server_comes_round(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 1)
    keeper.tick()
    held = server.taken()
    server.leases.clear()
    clock.pass_(25)
    server.fail["give back 1"] = ServerAway("503", undone=True)
    with pytest.raises(ServerAway):
        keeper.tick()
    server.fail.clear()
    keeper.tick()
    keeper.tick()
    assert server.taken() == held == leased(desk)


def test_raised_cap_reaches_prefects_limit_and_an_ops_persons_edit_is_left_alone(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock,
    caplog: pytest.LogCaptureFixture,
) -> None:  # fmt: skip
    keeper.tick()
    define(desk, 12)
    clock.pass_(3)
    keeper.tick()
    assert server.limits[NAME].limit == 12
    server.limits[NAME].limit = 3
    define(desk, 20)
    clock.pass_(3)
    keeper.tick()
    assert server.limits[NAME].limit == 3
    assert not caplog.records
    # After a restart nobody knows who set it to 3.
    heir = LimitKeeper(desk, server, key=KEY, name=NAME, now=clock)
    for _ in range(2):
        heir.tick()
        clock.pass_(3)
    assert server.limits[NAME].limit == 3
    (said,) = caplog.records
    assert f"prefect gcl update {NAME} --limit 20" in said.message


def test_cap_that_was_cleared_is_none_and_prefect_is_asked_no_more(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 8)
    keeper.tick()
    define(desk, None)
    clock.pass_(3)
    keeper.tick()
    gate = desk.store.read_gate(KEY)
    assert gate is not None
    assert (gate.cap, gate.leased, rows(desk), server.taken()) == (None, None, [], 0)
    server.asked.clear()
    clock.pass_(3)
    keeper.tick()
    assert server.asked == []


def test_lease_is_counted_from_before_it_was_asked_for(
    desk: LedgerDesk, server: Server, keeper: LimitKeeper, clock: Clock
) -> None:
    ask(desk, 1)
    begun = clock.boot
    keeper.tick()
    assert {each.usable_until for each in rows(desk)} == {usable_until(begun)}

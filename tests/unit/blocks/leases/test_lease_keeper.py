"""The keeper of a limit's leases, beside a server that forgets, refuses and is edited."""

import logging
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from uuid import UUID, uuid4

import pytest

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.leases.lease_keeper import LimitKeeper
from prefect_governor.blocks.leases.leasing import FORGOTTEN, usable_until
from prefect_governor.blocks.leases.limit_server import ServerAway
from prefect_governor.blocks.ledger.decision.store import Lease
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.machine.clock import Instant
from prefect_governor.blocks.records.limits import LimitRecord

SECOND = 10**9
KEY, NAME = "governor/llm", "governor:team:llm"


@dataclass
class Clock:
    boot: int = 10**15

    def __call__(self) -> Instant:
        return Instant(self.boot, self.boot)

    def pass_(self, seconds: float) -> None:
        self.boot += int(seconds * SECOND)


@dataclass
class Limit:
    limit: int
    id: UUID = field(default_factory=uuid4)
    active: bool | None = True
    active_slots: int | None = 0


@dataclass
class Server:
    """Prefect's server as far as the keeper sees it, with its traps."""

    limits: dict[str, Limit] = field(default_factory=dict)
    leases: dict[str, tuple[UUID, int]] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)
    # Answers that fail, by what was asked.
    fail: dict[str, Exception] = field(default_factory=dict)

    def _ask(self, what: str) -> None:
        self.asked.append(what)
        if what in self.fail:
            raise self.fail[what]

    def read(self, name: str) -> Limit | None:
        self._ask("read")
        return self.limits.get(name)

    def create(self, name: str, slots: int) -> None:
        self._ask("create")
        self.limits[name] = Limit(slots)

    def update(self, name: str, slots: int) -> None:
        self._ask("update")
        self.limits[name].limit = slots

    def acquire(self, name: str, slots: int, seconds: float) -> str | None:
        self._ask(f"acquire {slots}")
        limit = self.limits[name]
        if self.taken(name) + slots > limit.limit:
            return None
        limit.active_slots = self.taken(name) + slots
        lease_id = str(uuid4())
        self.leases[lease_id] = (limit.id, slots)
        return lease_id

    def renew(self, lease_id: str, seconds: float) -> bool:
        self._ask("renew")
        return lease_id in self.leases

    def release(self, lease_id: str) -> None:
        self._ask("release")
        limit_id, slots = self.leases.pop(lease_id)
        for limit in self.limits.values():
            if limit.id == limit_id:
                limit.active_slots = max(0, (limit.active_slots or 0) - slots)

    def give_back(self, name: str, slots: int) -> None:
        self._ask(f"give back {slots}")
        self.limits[name].active_slots = max(0, self.taken(name) - slots)

    def taken(self, name: str = NAME) -> int:
        return self.limits[name].active_slots or 0


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def server() -> Server:
    return Server()


@pytest.fixture
def desk(tmp_path: Path, clock: Clock) -> Iterator[LedgerDesk]:
    made = LedgerDesk(
        SQLiteStore(tmp_path / "ledger.sqlite", now=clock), Owner(tmp_path / "owners")
    )
    define(made, 8)
    yield made
    made.close()


@pytest.fixture
def keeper(desk: LedgerDesk, server: Server, clock: Clock) -> LimitKeeper:
    return LimitKeeper(desk, server, key=KEY, name=NAME, now=clock)


def define(desk: LedgerDesk, max_concurrent: int | None) -> None:
    terms = LimitRecord(KEY, "llm", max_concurrent, (), max_concurrent is not None)
    desk.write(lambda batch: batch.define(terms)).result(30)


def ask(desk: LedgerDesk, calls: int) -> None:
    """That many calls wait, in some process."""
    desk.write(lambda batch: batch.rows.put_waiting("other", {KEY: calls})).result(30)


def rows(desk: LedgerDesk) -> list[Lease]:
    return desk.write(lambda batch: batch.rows.leases(KEY)).result(30)


def leased(desk: LedgerDesk) -> int:
    gate = desk.store.read_gate(KEY)
    assert gate is not None
    return gate.leased or 0


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


def test_shared_limit_is_never_edited(desk: LedgerDesk, server: Server, clock: Clock) -> None:
    server.limits["shared"] = Limit(8)
    keeper = LimitKeeper(desk, server, key=KEY, name="shared", adopt=True, now=clock)
    keeper.tick()
    define(desk, 12)
    clock.pass_(3)
    keeper.tick()
    assert server.limits["shared"].limit == 8


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

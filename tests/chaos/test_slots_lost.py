"""Processes that are killed and frozen with half of the slots: others have them within half a
minute, and the provider never sees one call too many."""

import os
import signal
import sys
import time
from collections.abc import Callable, Iterator
from concurrent.futures import TimeoutError as TooLate
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency

from prefect_governor.blocks.budget import Budget
from prefect_governor.blocks.errors import QueueTimeout
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.ledger.owner import Owner
from prefect_governor.blocks.ledger.postgres.owner import PostgresOwner
from prefect_governor.blocks.ledger.postgres.store import PostgresStore
from prefect_governor.blocks.ledger.sqlite.store import SQLiteStore
from prefect_governor.blocks.terms.limit import Limit
from prefect_governor.blocks.work.registry import stop_all
from tests.chaos.crew import Crew, CrewOrder
from tests.chaos.processes import FORKS, fork, kill
from tests.chaos.storm import Hand
from tests.postgres import shared_server
from tests.provider.books.log import in_flight_seconds
from tests.provider.process import ProviderProcess
from tests.talk import Talk
from tests.waiting import until

pytestmark = pytest.mark.chaos

CAP = 20
HALF = CAP // 2
CALL_SECONDS = 1.0
# P17: for governed work, and for flows that know nothing of a governor.
FREE_SECONDS = 30.0
STRANGERS_SECONDS = 75.0
FULL = 0.95
# The share in use is looked at over so many seconds.
SPAN_SECONDS = 4.0
STANDSTILL_SECONDS = 0.5


@dataclass
class Scene:
    """Three workers with calls enough for any cap, and one that is given half of the slots."""

    crew: Crew
    provider: ProviderProcess
    ledger_url: str | None

    def start(self, name: str, *, callers: int, priority: int = 0) -> Hand:
        return self.crew.start(
            CrewOrder(
                name,
                self.provider.api_base,
                CAP,
                callers=callers,
                ledger_url=self.ledger_url,
                priority=priority,
            )
        )

    def open_of(self, name: str) -> int:
        return sum(1 for each in self.provider.log() if each["end"] is None and _is_of(each, name))

    def holder_of_half(self, name: str) -> Hand:
        """One that goes first, with as many callers as half of the slots; returns when it has
        them, all others are taken, and it has for a while."""
        hand = self.start(name, callers=HALF, priority=1)
        _look_until(lambda: self.open_of(name) == HALF)
        time.sleep(SPAN_SECONDS)
        _look_until(lambda: self.used(time.monotonic() - SPAN_SECONDS) >= FULL)
        _look_until(lambda: self.open_of(name) == HALF)
        return hand

    def used(self, since: float, until_: float | None = None) -> float:
        """The share of the cap in use from an instant on."""
        until_ = until_ or time.monotonic()
        return in_flight_seconds(self.provider.log(), since, until_) / (CAP * (until_ - since))

    def seconds_to_full(self, since: float, *, seconds: float) -> float:
        """Watches for so long; how long after an instant the cap was in use again, and stayed
        so."""
        time.sleep(max(0.0, since + seconds - time.monotonic()))
        records, end = self.provider.log(), since + seconds
        steps = [since + step / 4 for step in range(int(4 * (seconds - SPAN_SECONDS)) + 1)]
        shares = [
            in_flight_seconds(records, step, step + SPAN_SECONDS) / (CAP * SPAN_SECONDS)
            for step in steps
        ]
        full = [
            step - since
            for at, step in enumerate(steps)
            if shares[at] >= FULL and _mean(records, step, end) >= FULL
        ]
        assert full, [f"{share:.2f}" for share in shares]
        return full[0]


def _look_until(what: Callable[[], bool], seconds: float = 30.0) -> None:
    """Seldom: the provider's log is long, and it has other things to do."""
    end = time.monotonic() + seconds
    while not what():
        assert time.monotonic() < end, f"not within {seconds} s"
        time.sleep(0.2)


def _is_of(record: dict[str, Any], name: str) -> bool:
    tag: str = record["tag"]
    return tag.rpartition("-")[0] == name


def _mean(records: list[dict[str, Any]], since: float, until_: float) -> float:
    return in_flight_seconds(records, since, until_) / (CAP * (until_ - since))


@contextmanager
def desk_on(home: Path, url: str | None) -> Iterator[LedgerDesk]:
    """A desk of this process, for a moment: one that is there would bury the dead itself."""
    if url is None:
        folder = home / "governor"
        desk = LedgerDesk(SQLiteStore(folder / "ledger.sqlite"), Owner(folder / "owners"))
    else:
        store = PostgresStore(url)
        desk = LedgerDesk(store, PostgresOwner(url), now=store.now)
    try:
        yield desk
    finally:
        desk.close()


def freeze(hand: Hand, home: Path, url: str | None) -> tuple[float, int]:
    """SIGSTOP, not in the midst of a write: on one file that holds up everybody until it goes on.
    Returns when it was, and how many times it stood in the way before."""
    for standstills in range(20):
        with desk_on(home, url) as desk:
            at = time.monotonic()
            os.kill(hand.pid, signal.SIGSTOP)
            try:
                desk.write(lambda batch: None).result(STANDSTILL_SECONDS)
                return at, standstills
            except TooLate:
                os.kill(hand.pid, signal.SIGCONT)
        time.sleep(1.0)
    raise AssertionError("it writes all the time")


@pytest.mark.parametrize("store", ["sqlite", "postgres"])
def test_slots_of_one_killed_and_of_one_frozen_are_others_within_30_seconds(
    tmp_path: Path, store: str
) -> None:
    url = shared_server().schema_url() if store == "postgres" else None
    limits = {"max_concurrent": CAP}
    with (
        Crew(tmp_path) as crew,
        ProviderProcess(latency_seconds=CALL_SECONDS, output_tokens=5, limits=limits) as provider,
    ):
        crew.wait_until_warm()
        scene = Scene(crew, provider, url)
        others = [scene.start(f"other{at}", callers=CAP) for at in range(3)]

        killed = scene.holder_of_half("killed")
        held = scene.open_of("killed")
        kill_at = time.monotonic()
        os.kill(killed.pid, signal.SIGKILL)
        after_kill = scene.seconds_to_full(kill_at, seconds=FREE_SECONDS + SPAN_SECONDS)

        frozen = scene.holder_of_half("frozen")
        held_frozen = scene.open_of("frozen")
        freeze_at, standstills = freeze(frozen, tmp_path, url)
        after_freeze = scene.seconds_to_full(freeze_at, seconds=FREE_SECONDS + SPAN_SECONDS)
        lost = _mean(provider.log(), freeze_at + CALL_SECONDS + 0.5, freeze_at + 10)

        # What it finds when it goes on is others' by now.
        os.kill(frozen.pid, signal.SIGCONT)
        back_at = time.monotonic()
        _look_until(
            lambda: any(
                each["arrival"] > back_at and _is_of(each, "frozen") for each in provider.log()
            )
        )
        back = scene.seconds_to_full(back_at, seconds=10.0)
        told = crew.stop(*others, frozen)
        stats = provider.settled_stats(timeout_seconds=20)
        provider.reset()
        free = crew.start(
            CrewOrder("free", provider.api_base, CAP, how="free", calls=3 * CAP, callers=3 * CAP)
        )
        crew.end(free)
        ungoverned = provider.settled_stats()
    print(
        f"\n{store}: killed with {held} of {CAP} open, {FULL:.0%} in use again after"
        f" {after_kill:.1f} s; frozen with {held_frozen} open ({standstills} times while writing"
        f" before), {lost:.0%} in use meanwhile, again after {after_freeze:.1f} s, and"
        f" {back:.1f} s after it went on; at most {stats['max_open']} open,"
        f" {stats['throttled']} refused, of {stats['requests']} calls; ungoverned at most"
        f" {ungoverned['max_open']}, {ungoverned['throttled']} refused"
        f"\n{ {name: each.met for name, each in told.items()} }"
    )
    # One of its calls may be on its way between two looks.
    assert min(held, held_frozen) >= HALF - 1
    assert after_kill <= FREE_SECONDS
    assert after_freeze <= FREE_SECONDS
    assert stats["max_open"] <= CAP
    assert stats["throttled"] == 0
    assert lost < FULL, "it held nothing: nothing was tested"
    assert ungoverned["throttled"] > 0
    assert killed.status == -signal.SIGKILL


@FORKS
def test_slot_of_a_tool_is_free_within_30_seconds_of_its_holders_death(home: Path) -> None:
    held = home / "held"
    home.mkdir()

    def governor() -> Governor:
        return Governor.local("tools", max_usd=1, limits=[Limit(tag="warehouse", max_concurrent=1)])

    def hold() -> None:
        with governor().slot("warehouse"):
            held.touch()
            time.sleep(100)

    child = fork(hold)
    until(held.exists)
    with pytest.raises(QueueTimeout), governor().slot("warehouse", queue_timeout_seconds=1.0):
        pass
    kill(child)
    began = time.monotonic()
    with governor().slot("warehouse", queue_timeout_seconds=FREE_SECONDS):
        waited = time.monotonic() - began
    print(f"\nthe slot was had {waited:.1f} s after its holder was killed")
    assert waited <= FREE_SECONDS


HOLD_BOTH = """
import time
from prefect_governor import Governor
from tests.talk import tell

governor = Governor.load("strangers")
with governor.slot("warehouse"), governor.slot("warehouse"):
    tell("held")
    time.sleep(1000)
"""


@pytest.mark.usefixtures("server", "home")
def test_slots_are_a_strangers_within_75_seconds_of_the_last_governed_processs_death() -> None:
    shared = "the-warehouse"
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=shared, limit=2))
    limit = Limit(tag="warehouse", max_concurrent=2, share_with=shared)
    Governor(budget=Budget(max_usd=1), limits=[limit]).save("strangers")
    stop_all()
    with Talk([sys.executable, "-c", HOLD_BOTH]) as holder:
        assert holder.hear() == "held"
        with (
            pytest.raises(TimeoutError),
            concurrency(shared, occupy=1, timeout_seconds=2, strict=True),
        ):
            pass
        holder.kill()
    began = time.monotonic()
    with concurrency(shared, occupy=2, timeout_seconds=2 * STRANGERS_SECONDS, strict=True):
        waited = time.monotonic() - began
    print(f"\na stranger had both slots {waited:.1f} s after their last holder was killed")
    assert waited <= STRANGERS_SECONDS

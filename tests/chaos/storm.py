"""Workers under one ceiling, killed and frozen while the provider fails them, and a reader that
compares the ledger with the provider's bill all the while."""

import os
import signal
import sys
import threading
import time
from collections.abc import Callable
from concurrent.futures import TimeoutError as TooLate
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from random import Random
from typing import Any, ClassVar, Literal, Protocol

from typing_extensions import Self

from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.ledger.decision.purse import WHOLE, Purse
from prefect_governor.blocks.ledger.decision.store import Store
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account
from tests.chaos.learned import LearnedCap
from tests.chaos.nursery import NAME, Order
from tests.provider.process import ProviderProcess
from tests.talk import Talk

KEY = f"local/{NAME}"
WORKERS = 4
IN_FLIGHT = 50
EVENT_SECONDS = 2.0
READ_SECONDS = 0.1
# Long enough that others expire what the frozen one has open, in seconds.
LONG_FREEZE_SECONDS = 34.0
# Where the ledger stands still for so long, whoever was just frozen was writing to it, in seconds.
STANDSTILL_SECONDS = 0.5
PLENTY = 10**13
FAULTS: dict[str, float] = {
    "error_500": 0.015,
    "error_500_billed": 0.015,
    "disconnect_before_billing": 0.015,
    "disconnect_after_billing": 0.015,
    "hang": 0.006,
    "hang_billed": 0.006,
    "malformed_json": 0.01,
    "cut_stream": 0.015,
    "drop_stream": 0.015,
    "no_usage": 0.015,
}
Fate = Literal["killed", "continued", "continued late"]


class Orders(Protocol):
    """What a worker is told, of which the nursery knows its name."""

    __dataclass_fields__: ClassVar[dict[str, Any]]

    @property
    def name(self) -> str: ...


@dataclass
class Hand:
    """A worker, and what became of it."""

    name: str
    pid: int
    started: float
    status: int | None = None
    frozen: float | None = None
    fate: Fate | None = None
    fate_at: float = 0.0
    dead: float | None = None
    held: int = 0

    @property
    def at_work(self) -> bool:
        return self.status is None and self.frozen is None and self.fate is None


@dataclass
class Figures:
    """What was seen."""

    reads: int = 0
    least_gap: int | None = None
    peak: int = 0
    held_at_kills: list[int] = field(default_factory=list)
    held_at_freezes: list[int] = field(default_factory=list)
    standstills: int = 0
    recovered: list[float] = field(default_factory=list)
    expired_frozen: list[float] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)


class Nursery:
    """The warm parent, from outside. Ends it, and so its workers, at the end of the `with`."""

    def __init__(self, home: Path, module: str = "tests.chaos.nursery") -> None:
        environment = {**os.environ, "PREFECT_HOME": str(home)}
        environment = {k: v for k, v in environment.items() if not k.lower().endswith("_proxy")}
        self._talk = Talk([sys.executable, "-m", module], env=environment)
        self.hands: dict[str, Hand] = {}

    def wait_until_warm(self, seconds: float = 90.0) -> None:
        self._until(lambda told: "ready" in told, seconds)

    def start(self, order: Orders) -> Hand:
        """Returns when it was forked."""
        self._talk.say(asdict(order))
        told = self._until(lambda told: told.get("name") == order.name and "pid" in told, 10.0)
        hand = self.hands[order.name] = Hand(order.name, told["pid"], time.monotonic())
        return hand

    def look(self, seconds: float = 0.0) -> list[dict[str, Any]]:
        """What it told meanwhile."""
        found = self._talk.overhear(seconds)
        for told in found:
            if "status" in told:
                self.hands[told["name"]].status = told["status"]
        return found

    def _until(self, met: Callable[[dict[str, Any]], bool], seconds: float) -> dict[str, Any]:
        deadline = time.monotonic() + seconds
        while time.monotonic() < deadline:
            for told in self.look(0.05):
                if met(told):
                    return told
        raise AssertionError("the nursery did not answer")

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for hand in self.hands.values():
            if hand.status is None:
                _signal(hand, signal.SIGKILL)
        self._talk.close(20)


class Storm:
    """One run. Its own desk sets the ceiling and, like any process that lives, buries the dead."""

    def __init__(
        self,
        desk: LedgerDesk,
        reader: Store,
        provider: ProviderProcess,
        nursery: Nursery,
        *,
        seconds: float,
        seed: int,
        ledger_url: str | None,
    ) -> None:
        self.desk, self.reader, self.provider, self.nursery = desk, reader, provider, nursery
        self.seconds, self.seed, self.ledger_url = seconds, seed, ledger_url
        self.chance = Random(seed)
        self.figures = Figures()
        self.learned = LearnedCap(reader, provider.api_base, time.monotonic)
        self.account = Account(KEY, NAME, PLENTY, None, version=_version())
        self.set_ceiling(PLENTY)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._read_on)
        self._waited_for: dict[str, Hand] = {}
        self._late = seconds <= LONG_FREEZE_SECONDS

    # The money

    @property
    def ceiling(self) -> int:
        assert self.account.ceiling_nano is not None
        return self.account.ceiling_nano

    def set_ceiling(self, nano: int) -> None:
        self.account = replace(self.account, ceiling_nano=nano, version=_version())
        self.desk.write(lambda batch: batch.register(self.account)).result(60)

    def purse(self) -> Purse:
        known = self.reader.read_purse(KEY)
        assert known is not None
        return known[1]

    def gone_share(self) -> float:
        return self.purse().gone_nano / self.ceiling

    def _read_on(self) -> None:
        """The bill first: what is billed by then, the ledger has charged before."""
        try:
            while not self._stop.wait(READ_SECONDS):
                stats = self.provider.stats()
                purse = self.purse()
                charged = purse.gone_nano + purse.reserved_nano
                gap, figures = charged - stats["billed_nano"], self.figures
                figures.reads += 1
                figures.peak = max(figures.peak, stats["max_open"])
                if stats["billed_nano"] and (figures.least_gap is None or gap < figures.least_gap):
                    figures.least_gap = gap
                if gap < 0:
                    figures.wrong.append(f"{stats['billed_nano']} billed, {charged} charged")
                if purse.ceiling_nano is None or charged > purse.ceiling_nano:
                    figures.wrong.append(f"{charged} charged, the ceiling is {purse.ceiling_nano}")
                self._look_after_the_dead()
                self.learned.look()
        except BaseException as error:
            self.figures.wrong.append(f"the reader failed: {error!r}")

    def held_by(self) -> dict[str, int]:
        """How many calls each worker has reserved."""
        found: dict[str, int] = {}
        for call in self.reader.read_calls(("reserved",), account=KEY):
            name = call.attribution.user or ""
            found[name] = found.get(name, 0) + 1
        return found

    def _look_after_the_dead(self) -> None:
        if not self._waited_for:
            return
        held, now = self.held_by(), time.monotonic()
        for name, hand in list(self._waited_for.items()):
            if held.get(name):
                continue
            if hand.dead is not None:
                self.figures.recovered.append(now - hand.dead)
            elif hand.frozen is not None:
                self.figures.expired_frozen.append(now - hand.frozen)
            del self._waited_for[name]

    # The workers

    def start_one(self) -> None:
        name = f"w{len(self.nursery.hands)}"
        self.nursery.start(
            Order(
                name,
                self.provider.api_base,
                self.ceiling,
                self.account.version,
                IN_FLIGHT,
                f"{self.seed} {name}",
                self.ledger_url,
            )
        )

    def hands(self) -> list[Hand]:
        return list(self.nursery.hands.values())

    def strike(self, number: int) -> None:
        """Kill or freeze one of those at work, and start another in its place."""
        at_work = [hand for hand in self.hands() if hand.at_work]
        if not at_work:
            return
        hand = self.chance.choice(at_work)
        if number % 2:
            self.kill(hand)
        else:
            self.freeze(hand)
        self.start_one()

    def kill(self, hand: Hand) -> None:
        was_frozen, hand.fate = hand.frozen is not None, "killed"
        hand.dead, hand.frozen = time.monotonic(), None
        _signal(hand, signal.SIGKILL)
        hand.held = self.held_by().get(hand.name, 0)
        if not was_frozen:
            self.figures.held_at_kills.append(hand.held)
        if hand.held:
            self._waited_for[hand.name] = hand

    def freeze(self, hand: Hand) -> None:
        hand.frozen = time.monotonic()
        _signal(hand, signal.SIGSTOP)
        hand.held = self.held_by().get(hand.name, 0)
        self.figures.held_at_freezes.append(hand.held)
        try:
            self.desk.write(lambda batch: None).result(STANDSTILL_SECONDS)
        except TooLate:
            # It was stopped as it wrote, and holds up everybody.
            self.figures.standstills += 1
            hand.fate, hand.fate_at = "continued", time.monotonic()
            return
        if not self._late and hand.held:
            # One is left for so long that others take it for lost; what it has, it settles late.
            self._late = True
            hand.fate, after = "continued late", LONG_FREEZE_SECONDS + 6
            self._waited_for[hand.name] = hand
        else:
            hand.fate = self.chance.choice(("continued", "killed"))
            after = self.chance.uniform(0.5, 5.0)
        hand.fate_at = time.monotonic() + after

    def meet_fates(self, *, all_at_once: bool = False) -> None:
        for hand in self.hands():
            due = all_at_once and hand.fate != "continued late"
            if hand.frozen is None or not (due or time.monotonic() >= hand.fate_at):
                continue
            if hand.fate == "killed":
                self.kill(hand)
            else:
                hand.frozen = None
                if hand.fate == "continued":
                    # It ends what it has open, and starts nothing more. One that comes back late
                    # finds money that was unconfirmed, and spends that too.
                    _signal(hand, signal.SIGUSR1)
                _signal(hand, signal.SIGCONT)

    # The run

    def run(self) -> None:
        """Until the money is gone, everybody has ended and nothing is reserved any more."""
        self._thread.start()
        try:
            self._rage()
            self._calm_down()
        finally:
            self._stop.set()
            self._thread.join()

    def _rage(self) -> None:
        for _ in range(WORKERS):
            self.start_one()
        began = time.monotonic()
        number, next_at, is_last = 0, EVENT_SECONDS, False
        while self.gone_share() < 0.97:
            self.nursery.look(0.05)
            now = time.monotonic() - began
            assert now < 3 * self.seconds + 60, "the money is not spent"
            self.meet_fates()
            if not is_last and now >= self.seconds * 2 / 3:
                is_last = True
                self._set_last_ceiling(now)
            if now >= next_at:
                self.strike(number)
                number, next_at = number + 1, time.monotonic() - began + EVENT_SECONDS

    def _set_last_ceiling(self, passed: float) -> None:
        """What is gone, and what the rest of the time will take at the rate so far. In one
        transaction: it is never below what is charged."""

        def work(batch: Batch) -> Account:
            purse = batch.page.purse(batch.page.known_account(KEY), WHOLE)
            left = purse.gone_nano * (self.seconds - passed) / passed
            ceiling = purse.gone_nano + max(purse.reserved_nano, int(left))
            account = replace(self.account, ceiling_nano=ceiling, version=_version())
            assert batch.register(account)
            return account

        self.account = self.desk.write(work).result(60)

    def _calm_down(self) -> None:
        deadline = time.monotonic() + LONG_FREEZE_SECONDS + 60
        while any(hand.status is None for hand in self.hands()) or self.purse().reserved_nano:
            assert time.monotonic() < deadline, (
                f"{[h for h in self.hands() if h.status is None]}, reserved {self.held_by()}"
            )
            self.nursery.look(0.1)
            self.meet_fates(all_at_once=True)
        while self._waited_for and time.monotonic() < deadline:
            time.sleep(0.05)
        for hand in self.hands():
            expected = -signal.SIGKILL if hand.fate == "killed" else 0
            if hand.status != expected:
                self.figures.wrong.append(f"{hand} ended with {hand.status}")


def _signal(hand: Hand, number: int) -> None:
    try:
        os.kill(hand.pid, number)
    except ProcessLookupError:
        # It has ended by itself.
        hand.fate = None if hand.fate == "killed" else hand.fate
        hand.dead = None


def _version() -> str:
    return f"{time.time_ns():020d}"

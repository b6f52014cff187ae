"""A shard: a run whose items come in chunks that it claims in the ledger, with other processes."""

import os
import threading
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from contextlib import suppress
from dataclasses import replace
from types import TracebackType
from typing import Protocol

from prefect.logging import get_logger
from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError, GovernorError, LedgerUnavailable
from prefect_governor.blocks.ledger.decision import chunks
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.run.control import Control
from prefect_governor.flows.shards.plan import Plan, order
from prefect_governor.flows.shards.told import Teller, Told

# How often a shard looks whether it is to stop, and tells its figures, in seconds.
LOOK_SECONDS = 0.25
# How often one asks that found nothing left to claim, and still has items under way, in seconds.
ASK_SECONDS = 1.0
# A process that was cut off from its ledger may have lost its chunks to others (EX_TEMPFAIL).
CUT_OFF_STATUS = 75

_logger = get_logger("prefect_governor.flows")


class ChunkFeed:
    """Items of the chunks that this process claims, each as soon as there is room for it and no
    sooner: what it has not begun is another's to take.

    See `items.intake.Feed`. Of the items that it gives some may be finished: by whoever had their
    chunk before, or in an earlier attempt.
    """

    def __init__(self, plan: Plan, desk: LedgerDesk) -> None:
        self._plan = plan
        self._desk = desk
        self._ready: deque[tuple[int, Item]] = deque()
        # By the order in which they came, their places in the run.
        self._numbers: list[int] = []
        self._left: dict[int, int] = {}
        self._finishing: list[Future[bool]] = []
        self._dry = self._closed = False
        self._asked = 0.0
        self.skipped: list[Skipped] = []
        self.said: list[str] = []

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to take, now or later."""
        return self._dry and not self._ready

    exhausted = ended

    @property
    def problem(self) -> str | None:
        return None

    def number_of(self, position: int) -> int:
        """The place in the run of an item, by the order in which it came here."""
        return self._numbers[position]

    def take(self, most: int) -> list[Item]:
        """Up to so many. Raises ConfigurationError where the run has ended."""
        if most > len(self._ready) and self._may_ask():
            self._claim(-(-(most - len(self._ready)) // self._plan.size))
        taken = [self._ready.popleft() for _ in range(min(most, len(self._ready)))]
        self._numbers.extend(number for number, _ in taken)
        return [item for _, item in taken]

    def close(self) -> None:
        """Claim no more."""
        self._closed = True
        for finished in self._finishing:
            # Whoever claims such a chunk again finds all of it finished.
            with suppress(LedgerUnavailable):
                finished.result()

    def ended_at(self, number: int) -> None:
        """An item of a claimed chunk has its outcome, by its place in the run, safe on disk."""
        chunk = number // self._plan.size
        self._left[chunk] -= 1
        if not self._left[chunk]:
            del self._left[chunk]
            plan = self._plan
            self._finishing.append(
                self._desk.write(
                    lambda batch: chunks.finish(batch.rows, plan.work, chunk, owner=batch.owner)
                )
            )

    def _may_ask(self) -> bool:
        waited = time.monotonic() - self._asked >= ASK_SECONDS
        return not self._closed and (waited or not self._dry)

    def _claim(self, most: int) -> None:
        plan = self._plan
        asked = self._desk.write(
            lambda batch: chunks.claim(
                batch.rows,
                plan.work,
                numbers=range(len(plan.offsets)),
                attempt=plan.attempt,
                owner=batch.owner,
                most=most,
            )
        )
        try:
            claimed = asked.result()
        except LedgerUnavailable as error:
            _logger.warning("no items come while the ledger is away: %s", error)
            return
        self._dry, self._asked = not claimed, time.monotonic()
        for chunk in claimed:
            numbers = plan.positions(chunk)
            self._left[chunk] = len(numbers)
            self._ready.extend(zip(numbers, plan.items(chunk), strict=True))


class Feeding(Protocol):
    """What a shard's items come by."""

    def number_of(self, position: int) -> int:
        """The place in the run of an item, by the order in which it came here."""

    def ended_at(self, number: int) -> None:
        """An item has its outcome, by its place in the run, safe on disk."""


class Shard:
    """A process of a run that several share, while it works: it tells what its items came to, and
    hears what it is told. In the place of an `OutFile`."""

    def __init__(
        self,
        plan: Plan,
        number: int,
        *,
        desk: LedgerDesk,
        feed: Feeding,
        control: Control,
        figures: Callable[[], Told],
    ) -> None:
        self.plan = plan
        self.files: list[str] = []
        self.notes: list[str] = []
        self._feed = feed
        self._control = control
        self._figures = figures
        self._over = threading.Event()
        self._teller = Teller(plan.folder, f"shard-{number:04d}-{os.getpid()}")
        self._thread = threading.Thread(
            target=self._look_on, name="prefect-governor-shard", daemon=True
        )
        desk.on_cut_off(self._end_at_once)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._over.set()
        self._thread.join()
        reason = self._control.reason
        if reason is not None and self._control.stop.is_set():
            # A dead key is dead for all of them.
            order(self.plan.folder, stop=reason)
        with suppress(OSError):
            self._teller.figures(replace(self._figures(), over=True))
        self._teller.close()

    def put(self, ended: Mapping[int, ItemReport]) -> None:
        """Items that ended, by their positions here. What did not begin is another's to begin, or
        its run says so. Raises OSError."""
        numbers = {
            self._feed.number_of(position): each
            for position, each in ended.items()
            if each.state != "not_started"
        }
        self._teller.reports(numbers)
        for number in numbers:
            self._feed.ended_at(number)

    def finish(self, items: Sequence[ItemReport]) -> None:
        """All of them were told."""

    def _end_at_once(self) -> None:
        # Its chunks may be another's before it knows: going on, it would pay for them too.
        if self._thread.is_alive():
            os._exit(CUT_OFF_STATUS)

    def _look_on(self) -> None:
        told_at = 0.0
        while not self._over.wait(LOOK_SECONDS):
            try:
                self._heed()
                if time.monotonic() - told_at >= 2 * LOOK_SECONDS:
                    told_at = time.monotonic()
                    self._teller.figures(self._figures())
            except (OSError, GovernorError) as error:
                _logger.warning("a shard cannot tell how far it is: %s", error)

    def _heed(self) -> None:
        control = self._control
        if control.reason is not None and control.stop.is_set():
            order(self.plan.folder, stop=control.reason)
        reason = self.plan.told_to_stop()
        if reason is not None and not control.stop.is_set():
            control.stop.set(reason)
        if self.plan.told_to_abort():
            control.abort.set()


def check_ledger(plan: Plan, ledger_id: str) -> None:
    """A shard that spends from another ledger than its run would have a ceiling of its own.

    Raises ConfigurationError.
    """
    if plan.ledger != ledger_id:
        raise ConfigurationError(
            "this shard's ledger is not that of its run, so that each would have a ceiling of its"
            " own: share one on PostgreSQL (PREFECT_GOVERNOR_LEDGER_URL, the same for the run and"
            " its workers), or on one machine give both the same PREFECT_HOME"
        )

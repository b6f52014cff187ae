"""The shards of a run, from their start to their end: who is there, who has died."""

import time
from collections.abc import Callable, Iterator, Sequence
from types import TracebackType
from typing import TypeVar

from prefect.logging import get_logger
from typing_extensions import Self

from prefect_governor.blocks.claims.flow_stops import GRACE_SECONDS
from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.figures.figures import LimitFigures, limit_figures
from prefect_governor.blocks.ledger.decision import chunks
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.machine.stops import STOPPED, Now
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.run.job import TAG
from prefect_governor.flows.run.watch import Watched
from prefect_governor.flows.shards.figures import latest, merged, notes_of, pace_of
from prefect_governor.flows.shards.launching import Launched, Launcher
from prefect_governor.flows.shards.leaving import Leaving
from prefect_governor.flows.shards.plan import Plan, order
from prefect_governor.flows.shards.told import Listening, Told

# How often what the shards have told is looked at, in seconds.
LOOK_SECONDS = 0.2
# How often it is asked whether there is work for another shard, in seconds. A dead one's is free
# within 5 s of its death.
ASK_SECONDS = 1.0
# After so long it is said that shards have not begun, in seconds.
SLOW_SECONDS = 120.0
# How long a shard that is told to cut what is in flight may take to end, in seconds.
ABORT_SECONDS = 10.0
# So many may die, beside one each, without any item's outcome in between.
MORE_DEATHS = 2

GONE = "is gone: its process has died, or its machine"

T = TypeVar("T")

_logger = get_logger("prefect_governor.flows")


class Crew:
    """The processes that share a run.

    Args:
        run: whose they are.
        plan: what they read.
        numbers: of the chunks that there are to claim by now.
    """

    def __init__(
        self, run: Watched, plan: Plan, launcher: Launcher, *, numbers: Callable[[], Sequence[int]]
    ) -> None:
        self._run = run
        self._plan = plan
        self._launcher = launcher
        self._numbers = numbers
        self._listening = Listening(plan.folder)
        self._running: dict[int, Launched] = {}
        self._launched = 0
        self._deaths: list[str] = []
        self._asked = self._looked = 0.0
        self._leaving = Leaving()
        self._began = time.monotonic()
        self._said = False
        self._aborted: float | None = None
        self._most = 0

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        try:
            if error is not None and not isinstance(error, Now):
                # As the tasks of a flow that is left: what is in flight has a while to end.
                order(self._plan.folder, stop="its run has ended")
                deadline = time.monotonic() + GRACE_SECONDS
                while self._running and time.monotonic() < deadline:
                    self._ended()
                    time.sleep(LOOK_SECONDS)
        finally:
            self.end_all()

    @property
    def running(self) -> bool:
        """Whether any are there."""
        return bool(self._running)

    def reports(self) -> Iterator[tuple[int, ItemReport]]:
        """See `told.Listening`."""
        return self._listening.reports()

    def came(self) -> None:
        """Some item has its outcome: those that died before had their turn."""
        self._deaths.clear()

    def limits(self) -> LimitFigures:
        """What held the run back."""
        run, told = self._run, self.told()
        run.runtime.met(key for each in told for key in each.upstreams)
        here = limit_figures(
            run.runtime, run.kept_as, tags=(TAG,), models=run.models, pace=pace_of(told)
        )
        self._most = max(self._most, sum(each.in_flight for each in told))
        return merged(here, told, most=self._most_at_once())

    def notes(self) -> Sequence[str]:
        """What their calls came by, for the report."""
        return notes_of(self.told())

    def told(self) -> list[Told]:
        """What each told last."""
        return latest(self._listening.figures(), self._running)

    def _most_at_once(self) -> int:
        """The ledger's figure where the run has a limit of its own, else what was seen."""
        runtime = self._run.runtime
        own = f"run/{self._run.kept_as}/"
        keys = [limit.key for limit in runtime.limits_ if limit.key.startswith(own)]
        gates = [runtime.desk.store.read_gate(key) for key in keys]
        known = [gate.max_in_flight for gate in gates if gate is not None]
        return max(known, default=self._most)

    def look_after(self) -> None:
        """Replace those that died, heed orders, start those that are missing."""
        for number, how in self._ended():
            if how:
                _logger.warning("shard %d of the run %s", number, how)
                self._deaths.append(how)
        control = self._run.control
        self.heed()
        if control.stop.is_set():
            return
        if len(self._deaths) > self._plan.shards + MORE_DEATHS:
            control.reason = f"{len(self._deaths)} shards in a row died: {self._deaths[-1]}"
            control.stop.set(control.reason)
        elif len(self._running) < self._plan.shards and self._may_launch() and self._has_work():
            self._launched += 1
            self._running[self._launched] = self._launcher.launch(self._launched)
        elif not self._said and time.monotonic() - self._began >= SLOW_SECONDS:
            self._said = True
            missing = sorted({*self._running} - {*self._listening.figures()})
            if missing:
                _logger.warning(
                    "%d of %d shards have not begun after %.0f s: are there workers at the work"
                    " pool, and is this machine very busy?",
                    len(missing), self._plan.shards, SLOW_SECONDS,
                )  # fmt: skip

    def wait_for_all(self) -> None:
        """They have nothing more to do, and end by themselves: their flow runs with them. One that
        has not begun need not."""
        order(self._plan.folder, over=True)
        told = self._listening.figures()
        for number, shard in list(self._running.items()):
            if number not in told:
                shard.end()
                del self._running[number]
        while self._running:
            self.heed()
            self._ended()
            time.sleep(LOOK_SECONDS / 4)

    def end_all(self) -> None:
        """Those that are there, at once."""
        for shard in self._running.values():
            shard.end()
        self._running.clear()

    def heed(self) -> None:
        """Stops and aborts: of a person for all shards, of a shard for all others."""
        control, folder = self._run.control, self._plan.folder
        if not control.stop.is_set() and (reason := self._plan.told_to_stop()) is not None:
            control.reason = reason
            control.stop.set(reason)
        if control.stop.is_set():
            order(folder, stop=control.stop.reason or STOPPED)
        if control.abort.is_set():
            order(folder, abort=True)
            self._aborted = self._aborted or time.monotonic()
            if time.monotonic() - self._aborted >= ABORT_SECONDS:
                self.end_all()

    def _ended(self) -> list[tuple[int, str]]:
        """Those that have ended since, each with how."""
        found = []
        gone = self._gone()
        for number, shard in list(self._running.items()):
            how = shard.ended()
            if how is None and number in gone:
                how = GONE
                shard.end(gone=True)
            if how is not None:
                del self._running[number]
                found.append((number, how))
        return found

    def _gone(self) -> set[int]:
        """Those whose process the ledger has taken leave of before they had told all: of one on
        another machine, whose worker died with it, nobody else says so."""
        if time.monotonic() - self._looked < ASK_SECONDS:
            return set()
        self._looked = time.monotonic()
        told = {at: each for at, each in self._listening.figures().items() if not each.over}
        living = self._of_ledger(lambda batch: {row.owner for row in batch.rows.owners()})
        if living is None:
            return set()
        owners = {each.owner for each in told.values()}
        gone = self._leaving.gone(owners, living, self._looked)
        return {at for at, each in told.items() if each.owner in gone}

    def _may_launch(self) -> bool:
        most = self._launcher.at_once
        return most is None or len({*self._running} - {*self._listening.figures()}) < most

    def _has_work(self) -> bool:
        """Whether another shard would find something to do."""
        if not self._listening.figures():
            # Nobody has begun with anything.
            return True
        if time.monotonic() - self._asked < ASK_SECONDS:
            return False
        self._asked = time.monotonic()
        plan, numbers = self._plan, self._numbers()
        free = self._of_ledger(
            lambda batch: chunks.has_free(
                batch.rows, plan.work, numbers=numbers, attempt=plan.attempt
            )
        )
        return bool(free)

    def _of_ledger(self, ask: Callable[[Batch], T]) -> T | None:
        """None where it is away: it is asked again."""
        try:
            return self._run.runtime.desk.write(ask).result()
        except LedgerUnavailable as error:
            _logger.warning("the ledger does not say how the shards are: %s", error)
            return None

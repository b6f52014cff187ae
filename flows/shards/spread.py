"""A run whose items other processes work on: what they came to is merged as it comes."""

import time
from collections.abc import Callable, Sequence
from types import TracebackType
from typing import TypeVar

from prefect.logging import get_logger
from typing_extensions import Self

from prefect_governor.blocks.claims.flow_stops import GRACE_SECONDS
from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.blocks.figures.figures import LimitFigures, limit_figures
from prefect_governor.blocks.ledger.decision import chunks
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.machine.stops import Now
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.run.job import TAG, Job
from prefect_governor.flows.run.outcomes import not_started, stop_reason
from prefect_governor.flows.shards.figures import latest, merged, notes_of, pace_of
from prefect_governor.flows.shards.launching import Launched, Launcher
from prefect_governor.flows.shards.plan import Plan, order
from prefect_governor.flows.shards.told import Listening, Told
from prefect_governor.flows.subagent.here import Keep, Knows

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


class Spread:
    """The shards of a run, from their start to their end. See `subagent.here.Place`."""

    def __init__(self, job: Job, plan: Plan, launcher: Launcher) -> None:
        self._job = job
        self._plan = plan
        self._launcher = launcher
        self._listening = Listening(plan.folder)
        self._running: dict[int, Launched] = {}
        self._launched = 0
        self._known: set[int] = set()
        self._came: dict[int, ItemReport] = {}
        self._deaths: list[str] = []
        self._asked = self._looked = 0.0
        self._began = time.monotonic()
        self._said = False
        self._aborted: float | None = None
        self._most = 0
        self.unread: str | None = None

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
            self._end_all()

    def run(self, keep: Keep, knows: Knows) -> BaseException | None:
        """Answer all items."""
        # What was answered before is told by the shards, with the rest.
        knows(0)

        def conduct() -> None:
            while len(self._known) < self._plan.total:
                # Before what they told is read: one that has ended has told all.
                self._look_after_shards()
                over = not self._running and self._job.control.stop.is_set()
                self._listen()
                keep(self._came)
                # Where this is left before, they are told again.
                self._known.update(self._came)
                self._came = {}
                if over:
                    return
                time.sleep(LOOK_SECONDS)

        left_by = self._job.control.conducted(conduct)
        keep(self._came)
        self._known.update(self._came)
        rest = range(self._plan.total)
        keep({at: not_started(self._job, at) for at in rest if at not in self._known})
        self._wait_for_all()
        self._job.fell_back = sum(told.fell_back for told in self._told())
        return left_by

    def limits(self) -> LimitFigures:
        job = self._job
        told = self._told()
        job.runtime.met(key for each in told for key in each.upstreams)
        here = limit_figures(
            job.runtime, job.kept_as, tags=(TAG,), models=job.models, pace=pace_of(told)
        )
        self._most = max(self._most, sum(each.in_flight for each in told))
        return merged(here, told, most=self._most_at_once())

    def notes(self) -> Sequence[str]:
        return notes_of(self._told())

    def _told(self) -> list[Told]:
        return latest(self._listening.figures(), self._running)

    def _most_at_once(self) -> int:
        """The ledger's figure where the run has a limit of its own, else what was seen."""
        runtime = self._job.runtime
        own = f"run/{self._job.kept_as}/"
        keys = [limit.key for limit in runtime.limits_ if limit.key.startswith(own)]
        gates = [runtime.desk.store.read_gate(key) for key in keys]
        known = [gate.max_in_flight for gate in gates if gate is not None]
        return max(known, default=self._most)

    def _listen(self) -> None:
        """What came since, each item once."""
        for at, report in self._listening.reports():
            if at not in self._known:
                self._came[at] = report
                self._job.files.any = self._job.files.any or bool(report.files)
        if self._came:
            self._deaths.clear()

    def _look_after_shards(self) -> None:
        for number, how in self._ended():
            if how:
                _logger.warning("shard %d of the run %s", number, how)
                self._deaths.append(how)
        control = self._job.control
        self._heed()
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
        living = self._of_ledger(lambda batch: {row.owner for row in batch.rows.owners()})
        if living is None:
            return set()
        return {
            number
            for number, told in self._listening.figures().items()
            if not told.over and told.owner not in living
        }

    def _heed(self) -> None:
        """Stops and aborts: of a person for all shards, of a shard for all others."""
        control, folder = self._job.control, self._plan.folder
        if not control.stop.is_set() and (reason := self._plan.told_to_stop()) is not None:
            control.reason = reason
            control.stop.set(reason)
        if control.stop.is_set():
            order(folder, stop=stop_reason(self._job))
        if control.abort.is_set():
            order(folder, abort=True)
            self._aborted = self._aborted or time.monotonic()
            if time.monotonic() - self._aborted >= ABORT_SECONDS:
                self._end_all()

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
        plan = self._plan
        free = self._of_ledger(
            lambda batch: chunks.has_free(
                batch.rows, plan.work, count=len(plan.offsets), attempt=plan.attempt
            )
        )
        return bool(free)

    def _of_ledger(self, ask: Callable[[Batch], T]) -> T | None:
        """None where it is away: it is asked again."""
        try:
            return self._job.runtime.desk.write(ask).result()
        except LedgerUnavailable as error:
            _logger.warning("the ledger does not say how the shards are: %s", error)
            return None

    def _wait_for_all(self) -> None:
        """They have nothing more to do, and end by themselves: their flow runs with them. One that
        has not begun need not."""
        told = self._listening.figures()
        for number, shard in list(self._running.items()):
            if number not in told:
                shard.end()
                del self._running[number]
        while self._running:
            self._heed()
            self._ended()
            time.sleep(LOOK_SECONDS / 4)

    def _end_all(self) -> None:
        for shard in self._running.values():
            shard.end()
        self._running.clear()

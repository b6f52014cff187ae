"""A run whose items other processes work on: what they came to is merged as it comes."""

import time
from collections.abc import Sequence
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.figures.figures import LimitFigures
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.run.job import Job
from prefect_governor.flows.run.outcomes import not_started
from prefect_governor.flows.shards.crew import LOOK_SECONDS, Crew
from prefect_governor.flows.shards.launching import Launcher
from prefect_governor.flows.shards.plan import Plan
from prefect_governor.flows.subagent.here import Keep, Knows


class Spread:
    """The shards of a fan-out. See `subagent.here.Place`."""

    def __init__(self, job: Job, plan: Plan, launcher: Launcher) -> None:
        self._job = job
        self._plan = plan
        chunks = range(len(plan.offsets))
        self._crew = Crew(job, plan, launcher, numbers=lambda: chunks)
        self._known: set[int] = set()
        self._came: dict[int, ItemReport] = {}
        self.unread: str | None = None

    def __enter__(self) -> Self:
        self._crew.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._crew.__exit__(kind, error, trace)

    def run(self, keep: Keep, knows: Knows) -> BaseException | None:
        """Answer all items."""
        # What was answered before is told by the shards, with the rest.
        knows(0)

        def conduct() -> None:
            while len(self._known) < self._plan.total:
                # Before what they told is read: one that has ended has told all.
                self._crew.look_after()
                over = not self._crew.running and self._job.control.stop.is_set()
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
        self._crew.wait_for_all()
        self._job.fell_back = sum(told.fell_back for told in self._crew.told())
        return left_by

    def limits(self) -> LimitFigures:
        return self._crew.limits()

    def notes(self) -> Sequence[str]:
        return self._crew.notes()

    def _listen(self) -> None:
        """What came since, each item once."""
        for at, report in self._crew.reports():
            if at not in self._known:
                self._came[at] = report
                self._job.files.any = self._job.files.any or bool(report.files)
        if self._came:
            self._crew.came()

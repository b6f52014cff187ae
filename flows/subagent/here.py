"""The items of a run, worked on in this process: a window of them under way at a time."""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

from prefect.context import FlowRunContext

from prefect_governor.blocks.bypass.passed import passed_notes
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.figures import LimitFigures, limit_figures
from prefect_governor.blocks.limits.derived import Pace
from prefect_governor.blocks.limits.items import item_starts
from prefect_governor.blocks.wire.retries import retry_notes
from prefect_governor.flows.items.intake import Feed
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.run.fill import Fill
from prefect_governor.flows.run.job import NO_ITEMS, TAG, Job
from prefect_governor.flows.run.outcomes import Past, item_reports, not_started, stop_reason
from prefect_governor.flows.run.underway import Run
from prefect_governor.flows.run.window import Window, room_for, share_of
from prefect_governor.flows.runner import GovernedTaskRunner
from prefect_governor.flows.runner.lag import Late
from prefect_governor.flows.subagent.starting import Starting, taking_in

# Told of items that have their outcome, by their positions; in any order.
Keep = Callable[[Mapping[int, ItemReport]], None]
# Told how many of the items were answered in an earlier attempt, once that is known.
Knows = Callable[[int], None]


class Place(Protocol):
    """Where a run's items are worked on.

    `unread` says why not all of them were read, None where they were.
    """

    unread: str | None

    def run(self, keep: Keep, knows: Knows) -> BaseException | None:
        """Answer all items, and give what the run was left by: an order to end, an error. Some
        items may be told twice then. Raises ConfigurationError where there are none."""

    def limits(self) -> LimitFigures:
        """What held the run back."""

    def notes(self) -> Sequence[str]:
        """What its calls came by, for the report."""


class Here:
    """This process.

    Args:
        feed: what the items come from, where the job does not say so.
        of: how many processes share the run: each makes ready for its part of the calls at once.
    """

    def __init__(
        self,
        job: Job,
        *,
        feed: Feed | None = None,
        of: int = 1,
    ) -> None:
        self._job = job
        self._feed = feed
        self._of = of
        # Others may finish some of the items that come by a feed, until they come.
        self._past = Past(job, as_they_come=feed is not None)
        context = FlowRunContext.get()
        runner = None if context is None else context.task_runner
        # Whoever looks on does so from a thread of its own.
        self._runner = runner if isinstance(runner, GovernedTaskRunner) else None
        self._first: tuple[float, int, Late] | None = None
        self.unread: str | None = None

    def run(self, keep: Keep, knows: Knows) -> BaseException | None:
        job = self._job
        told: set[int] = set()

        def tell(reports: Mapping[int, ItemReport]) -> None:
            told.update(reports)
            keep(reports)

        cap = share_of(self.limits().cap, self._of)
        known = range(job.total)
        tell(kept := self._past.finished(known))
        knows(len(kept))
        missing = [at for at in known if at not in kept]
        job.fill = Fill(min(cap or 0, len(missing)))
        window = Window(missing, cap=cap)
        with (
            taking_in(job, most=room_for(cap), feed=self._feed) as intake,
            Starting(job, of=self._of) as starting,
        ):
            ended: list[tuple[int, Run]] = []

            def conduct() -> None:
                nonlocal ended
                while True:
                    stopped = job.control.stop.is_set()
                    if intake is not None and not stopped:
                        came = job.take(intake, window.room)
                        tell(kept := self._past.finished(came))
                        window.add(at for at in came if at not in kept)
                    if batch := window.next_batch(stopped=stopped):
                        _start(batch, job, window, starting)
                    # Not before others were begun in their place.
                    tell(item_reports(job, ended))
                    if not window.running and (stopped or intake is None or intake.ended):
                        return
                    ended = window.wait()
                    if job.control.abort.is_set():
                        tell(item_reports(job, [*ended, *window.cancel()]))
                        return

            left_by = job.control.conducted(conduct)
            keep({at: not_started(job, at) for at in range(job.total) if at not in told})
        if not job.total and self._feed is None:
            raise ConfigurationError((intake and intake.problem) or NO_ITEMS)
        if intake is not None and not intake.exhausted:
            self.unread = intake.problem or stop_reason(job)
        return left_by

    def limits(self) -> LimitFigures:
        job = self._job
        return limit_figures(
            job.runtime, job.kept_as, tags=(TAG,), models=job.models, pace=self.pace()
        )

    def pace(self) -> Pace | None:
        """What this process came to since its first calls, which wait for LiteLLM's import; None
        before."""
        calls = self._job.runtime.desk.stats(self._job.kept_as).calls
        if self._runner is None or not calls:
            return None
        late, now = self._runner.late, time.monotonic()
        self._first = self._first or (now, calls, late)
        began, before, earlier = self._first
        return Pace(calls - before, now - began, late.since(earlier).mean)

    def notes(self) -> Sequence[str]:
        return (*retry_notes(self._job.kept_as), *passed_notes(self._job.kept_as))


def _start(batch: list[int], job: Job, window: Window, starting: Starting) -> None:
    for position, run in starting.start(batch, window):
        window.started(position, run)
    if item_starts().figures().waiting_for is not None:
        # Some of the first will not begin before others have ended.
        job.fill.end()

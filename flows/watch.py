"""Watches a run from a thread of its own: the progress artifact, and whoever else looks on."""

import threading
from types import TracebackType
from uuid import UUID

from prefect.logging import get_logger
from typing_extensions import Self

from prefect_governor.blocks.figures import budget_figures, limit_figures
from prefect_governor.flows.job import TAG, Job
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.report.progress import ApiWriter, Progress, RunProgress

# How often whoever looks on is told, in seconds. The artifact has a slower pace of its own.
LOOK_SECONDS = 0.25

_logger = get_logger("prefect_governor.flows")


class Watch:
    """Tells where a run is until it is left, and once more then."""

    def __init__(self, job: Job) -> None:
        self._job = job
        self._done = 0
        self._failed = 0
        self._over = threading.Event()
        self._artifact = RunProgress(ApiWriter(UUID(job.run_id)), key_prefix="fan-out")
        self._thread = threading.Thread(target=self._look_on, name="prefect-governor-watch")

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

    def ended(self, report: ItemReport) -> None:
        """Count an item that has its outcome."""
        self._done += 1
        self._failed += report.state != "succeeded"

    def progress(self) -> Progress:
        """Where the run is now."""
        job = self._job
        budget = budget_figures(job.runtime, job.kept_as)
        limits = limit_figures(
            job.runtime, job.kept_as, tags=(TAG,), models=job.request.model.names
        )
        total = len(job.request.items)
        return Progress(
            total=total,
            done=self._done,
            failed=self._failed,
            queued=max(0, total - self._done - limits.in_flight),
            in_flight=limits.in_flight,
            cap=limits.cap,
            spent_usd=budget.spent_usd + budget.unconfirmed_usd,
            ceiling_usd=budget.ceiling_usd,
            bottleneck=limits.waiting_for,
        )

    def _look_on(self) -> None:
        last = False
        while not last:
            last = self._over.wait(LOOK_SECONDS)
            try:
                now = self.progress()
                if self._job.control.watch is not None:
                    self._job.control.watch(now)
                self._artifact.update(now, final=last)
            except Exception as error:
                # Looking on must never end what it looks at.
                _logger.warning("the progress of the run cannot be shown: %s", error)

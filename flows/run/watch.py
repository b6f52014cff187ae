"""Watches a run from a thread of its own: progress artifact, picture, and whoever else looks on."""

import threading
import time
from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from types import TracebackType
from typing import Protocol
from uuid import UUID

from prefect.logging import get_logger
from typing_extensions import Self

from prefect_governor.blocks.context.settings import under_these_settings
from prefect_governor.blocks.figures.figures import (
    LimitFigures,
    budget_figures,
    limit_figures,
    run_usd,
)
from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.machine.stops import STOPPED
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.flows.report.model import ItemState
from prefect_governor.flows.report.picture import as_svg
from prefect_governor.flows.report.progress import ApiWriter, Progress, RunProgress
from prefect_governor.flows.report.samples import Samples
from prefect_governor.flows.run.control import Control
from prefect_governor.flows.run.job import TAG
from prefect_governor.flows.run.log.run_log import RunLog

# How often whoever looks on is told, in seconds. The artifact has a slower pace of its own.
LOOK_SECONDS = 0.25
# What the run cost is a sum over all of its calls: read this often, in seconds, and so that reading
# takes at most this share of the time.
COST_SECONDS = 2.0
COST_SHARE = 0.05

_logger = get_logger("prefect_governor.flows")


class Watched(Protocol):
    """A run to be watched. `total` is how many items it has, `models` what it may call, `left_out`
    how much of its sources is no item."""

    run_id: str
    kept_as: str
    runtime: Runtime
    control: Control

    @property
    def total(self) -> int: ...

    @property
    def models(self) -> tuple[str, ...]: ...

    @property
    def left_out(self) -> int: ...


class Watch:
    """Tells where a run is until it is left, and once more then."""

    def __init__(
        self,
        run: Watched,
        *,
        key_prefix: str,
        log: RunLog,
        limits: Callable[[], LimitFigures] | None = None,
    ) -> None:
        self._run = run
        self._log = log
        # Of a run whose calls other processes make, they are theirs.
        self._limits = limits or self._limits_here
        self._done = 0
        self._failed = 0
        self._began = time.monotonic()
        self._samples = Samples()
        self._budget = ""
        self._cost = Decimal(0)
        self._cost_due = 0.0
        self._key_prefix = key_prefix
        self._over = threading.Event()
        self._artifact = RunProgress(ApiWriter(UUID(run.run_id)), key_prefix=key_prefix)
        self._thread = threading.Thread(
            target=under_these_settings(self._look_on), name="prefect-governor-watch"
        )

    def __enter__(self) -> Self:
        self._began = time.monotonic()
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

    def count(self, state: ItemState) -> None:
        """Count an item that has its outcome. What never began is not done."""
        if state != "not_started":
            self._done += 1
            self._failed += state != "succeeded"

    def progress(self, *, last: bool = False) -> Progress:
        """Where the run is now; what it cost may be some seconds old, but for the `last` time."""
        run = self._run
        budget = budget_figures(run.runtime, run.kept_as)
        limits = self._limits()
        total = run.total
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
            calls=limits.calls,
            rate=limits.rate,
            budget=budget.name,
            window=budget.window,
            run_usd=self._run_usd(last=last),
            throttled=limits.throttled,
            at_once=", ".join(term.short for term in limits.at_once),
            skipped=run.left_out,
        )

    def _tell_log(self, now: Progress) -> None:
        control = self._run.control
        stopped = (control.stop.reason or STOPPED) if control.stop.is_set() else None
        self._log.looked(now, stopped=stopped, circuit=control.reason is not None)

    def _run_usd(self, *, last: bool) -> Decimal:
        began = time.monotonic()
        if last or began >= self._cost_due:
            self._cost = run_usd(self._run.runtime, self._run.kept_as)
            ended = time.monotonic()
            self._cost_due = ended + max(COST_SECONDS, (ended - began) / COST_SHARE)
        return self._cost

    def keep_picture(self, folder: Path) -> str | None:
        """Write an SVG of the run until it was left; its path, None where it cannot be written."""
        title = f"{self._key_prefix}: {self._run.total:,} items"
        path = folder / "picture.svg"
        try:
            make_folder(folder)
            write_whole(path, as_svg(self._samples.kept, title=title, budget=self._budget))
        except OSError as error:
            _logger.warning("the picture of the run cannot be written: %s", error)
            return None
        return str(path)

    def _limits_here(self) -> LimitFigures:
        run = self._run
        return limit_figures(run.runtime, run.kept_as, tags=(TAG,), models=run.models)

    def _look_on(self) -> None:
        last = False
        while not last:
            last = self._over.wait(LOOK_SECONDS)
            try:
                now = self.progress(last=last)
                self._samples.add(time.monotonic() - self._began, now)
                self._budget = now.budget
                if self._run.control.watch is not None:
                    self._run.control.watch(now)
                self._tell_log(now)
                self._artifact.update(now, final=last)
            except Exception as error:
                # Looking on must never end what it looks at.
                _logger.warning("the progress of the run cannot be shown: %s", error)

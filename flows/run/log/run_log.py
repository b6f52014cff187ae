"""Says what a run does in its flow run's log."""

import time
from collections.abc import Callable, Sequence

from prefect.context import FlowRunContext
from prefect.logging.loggers import flow_run_logger

from prefect_governor.blocks.figures.figures import BudgetFigures
from prefect_governor.blocks.machine.text import storable
from prefect_governor.blocks.models.choice import ModelChoice
from prefect_governor.blocks.secrets.exits import scrubbed
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.report.progress import Progress
from prefect_governor.flows.report.reasons import one_line
from prefect_governor.flows.run.log import lines

# How long a run has waited for the same when that is said, and how long after it another wait is,
# in seconds.
FIRST_SECONDS = 10.0
AGAIN_SECONDS = 60.0
_LONGEST = 600


def in_the_log() -> Callable[[str], None]:
    """Says lines in the log of the flow run of the context, from any thread."""
    context = FlowRunContext.get()
    if context is None or context.flow_run is None:
        return lambda line: None
    logger = flow_run_logger(flow_run=context.flow_run, flow=context.flow)
    return lambda line: logger.info("%s", storable(scrubbed(one_line(line, longest=_LONGEST))))


class RunLog:
    """Some ten lines: what a run is under, what it waits for, how it ends. Never one a call.

    `looked` is told a few times a second where the run is; the others once. `clock` is in seconds.
    """

    def __init__(
        self,
        say: Callable[[str], None] | None = None,
        *,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._say = say or in_the_log()
        self._clock = clock
        self._throttled = False
        self._stopped = False
        # Since when the run waits for what it waits for, and when a wait was last said.
        self._cause: str | None = None
        self._since = 0.0
        self._said: str | None = None
        self._said_at: float | None = None
        # Since when it is paused, and how many calls it had sent by then.
        self._paused: tuple[float, int] | None = None

    def began(
        self, *, governor: str | None, budgets: Sequence[BudgetFigures], model: ModelChoice
    ) -> None:
        """Whose money, and which model."""
        self._say(lines.under(governor, budgets))
        self._say(lines.asked(model))

    def knows(self, items: int, *, left_out: int = 0, kept: int = 0, more: bool = False) -> None:
        """How many items it has, what is no item, what was answered in an earlier attempt, and
        whether more are to come."""
        self._say(lines.known(items, left_out=left_out, kept=kept, more=more))

    def looked(self, now: Progress, *, stopped: str | None = None, circuit: bool = False) -> None:
        """Where the run is: says what is new. `stopped` is why nothing more is started, `circuit`
        that this is no person's doing."""
        if stopped is not None and not self._stopped:
            self._stopped = True
            why = "a circuit opened" if circuit else "told to stop"
            self._say(f"{why}: {stopped}; nothing more is started, what is in flight ends")
        if now.throttled and not self._throttled:
            self._throttled = True
            self._say(lines.THROTTLED)
        waiting = now.bottleneck or ""
        self._look_at_pause(waiting, now.calls)
        self._look_at_wait("" if waiting.startswith(lines.PAUSED) else waiting)

    def ended(self, report: Report) -> None:
        """What came of it."""
        self._say(lines.ended(report))

    def _look_at_pause(self, waiting: str, calls: int) -> None:
        paused = waiting.startswith(lines.PAUSED)
        if paused and self._paused is None:
            self._paused = (self._clock(), calls)
            self._say(waiting)
        elif not paused and self._paused is not None:
            since, before = self._paused
            self._paused = None
            self._say(lines.resumed(self._clock() - since, called=calls > before))

    def _look_at_wait(self, waiting: str) -> None:
        now = self._clock()
        cause = lines.cause(waiting) if waiting else None
        if cause != self._cause:
            self._cause, self._since = cause, now
        if cause is None or cause == self._said or now - self._since < FIRST_SECONDS:
            return
        if self._said_at is None or now - self._said_at >= AGAIN_SECONDS:
            self._said, self._said_at = cause, now
            self._say(f"waiting: {waiting}")

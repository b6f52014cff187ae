"""What whoever starts a run may hold on to: stop it, and watch it."""

import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import ContextVar
from dataclasses import dataclass, field
from pathlib import Path

from prefect.exceptions import PrefectSignal

from prefect_governor.blocks.claims.flow_stops import GRACE_SECONDS, is_stop, reason_of
from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.errors import CallRefused
from prefect_governor.blocks.machine.stops import Stop
from prefect_governor.blocks.models.failures import ends_the_run
from prefect_governor.flows.report.model import ItemReport, Report
from prefect_governor.flows.report.progress import Progress

# Told to end, told to cancel; at the next nothing is waited for.
_MOST_ORDERS = 3


@dataclass
class Control:
    """The hold on a run.

    Attributes:
        stop: set to start nothing more, and to refuse the calls that are not admitted yet; what
            is in flight finishes and settles.
        abort: set to cancel what is in flight as well; it stays charged as unconfirmed.
        watch: called a few times a second, in a thread of its own, with where the run is.
        started: called once with the run's id.
        out: where the results go.
        told: called with each item that has its outcome, as it is written.
        reason: why the run stopped itself, in a person's words.
        interrupted: a person stopped it.
        kept_as: name in the ledger of the run that this one goes on with, None for a new one.
        answers_as: name in the ledger under which answers are kept, and found, None for the run's.
        retry_failed: answers of that run which were bad are asked for, and paid for, again.
        report: what came of it, as soon as that is known, whatever becomes of the flow run's state.
    """

    stop: Stop = field(default_factory=Stop)
    abort: threading.Event = field(default_factory=threading.Event)
    watch: Callable[[Progress], None] | None = None
    started: Callable[[str], None] | None = None
    out: Path | None = None
    told: Callable[[ItemReport], None] = lambda item: None
    reason: str | None = None
    interrupted: bool = False
    kept_as: str | None = None
    answers_as: str | None = None
    retry_failed: bool = False
    report: Report | None = None

    def conducted(self, conduct: Callable[[], None]) -> BaseException | None:
        """Call `conduct`, which runs the items until they have ended or the run is stopped; and go
        on with it where it is left by an order to end (SIGTERM, Ctrl-C) or an error, so that there
        is a report of what there is. Such is returned, to be raised once the report is published.

        What is in flight then has as long as under the task runner: 10 s, after Ctrl-C as long as
        it takes; another order cancels it, a third is raised at once.
        """
        left_by: BaseException | None = None
        grace = threading.Timer(GRACE_SECONDS, self.abort.set)
        grace.daemon = True
        try:
            for _ in range(_MOST_ORDERS):
                try:
                    conduct()
                    return left_by
                except PrefectSignal:
                    # It is suspended, and goes on.
                    raise
                except BaseException as error:
                    if left_by is not None or isinstance(error, Exception):
                        self.abort.set()
                    elif not isinstance(error, KeyboardInterrupt):
                        grace.start()
                    left_by = left_by or error
                    self.interrupted = self.interrupted or is_stop(left_by)
                    self.stop.set(_why(left_by))
            if isinstance(left_by, Exception):
                return left_by
            raise left_by or AssertionError("it was conducted")
        finally:
            grace.cancel()

    def heed(self, error: BaseException) -> None:
        """Stop the run where an error says that no other item can do better."""
        reason = ends_the_run(error)
        if reason is not None and not self.stop.is_set():
            self.reason = reason
            self.stop.set(reason)
            _tell(reason)


def _why(error: BaseException) -> str:
    return reason_of(error) if is_stop(error) else f"the run broke: {type(error).__name__}: {error}"


def _tell(reason: str) -> None:
    # Prefect's events, which the command line does not load to show its help.
    from prefect_governor.blocks.documents.notices import tell_circuit_opened

    here = current_scope.get()
    accounts: tuple[str, ...] = ()
    # A governor whose document is nonsense by now names no budget.
    with suppress(CallRefused):
        if here is not None:
            accounts = here.governor.accounts(attribution(model=""))
    tell_circuit_opened(reason, accounts)


current_control: ContextVar[Control | None] = ContextVar("prefect_governor_control", default=None)

"""What a caller asked of a desk, and its answer."""

import logging
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

from prefect_governor.blocks.errors import GovernorError, LedgerUnavailable
from prefect_governor.blocks.ledger.decision.batch import Batch
from prefect_governor.blocks.machine.answers import Answer

logger = logging.getLogger(__name__)


@dataclass
class Request:
    """Work for a transaction.

    Attributes:
        must_happen: what a provider billed must reach the ledger, if not with this transaction,
            then later; its caller waits so long, within reason.
        call_id: the call that it is about, read together with those of the others.
    """

    work: Callable[[Batch], Any]
    must_happen: bool = False
    call_id: str | None = None
    future: "Future[Any]" = field(default_factory=Answer)
    result: Any = None
    error: BaseException | None = None
    answered: bool = False

    def do(self, batch: Batch) -> None:
        """Do it in a transaction. What refuses it is its answer; any other exception ends the
        transaction for all that is in it."""
        self.error = None
        try:
            self.result = self.work(batch)
        except GovernorError as error:
            self.error = error

    def answer(self) -> None:
        """Tell the caller what became of it. Once: it may go on to happen after its failure."""
        if self.answered:
            return
        self.answered = True
        if not self.future.set_running_or_notify_cancel():
            return
        if self.error is not None:
            self.future.set_exception(self.error)
        else:
            self.future.set_result(self.result)

    def fail(self, error: BaseException) -> None:
        self.error = error
        self.answer()
        self.error = None


def fail(future: "Future[Any]", error: BaseException) -> None:
    """Answer a future with an error, unless it was cancelled."""
    if future.set_running_or_notify_cancel():
        future.set_exception(error)


def as_unavailable(error: Exception) -> GovernorError:
    """Why a transaction failed, as one of our errors; what is none is logged as a defect."""
    if isinstance(error, GovernorError):
        return error
    logger.error("the ledger's transaction failed", exc_info=error)
    unavailable = LedgerUnavailable(f"the ledger's transaction failed: {error!r}")
    unavailable.__cause__ = error
    return unavailable

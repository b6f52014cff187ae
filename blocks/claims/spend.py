"""Money for what is no model call, reserved before it is spent and settled after."""

import uuid
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import replace
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.context.purses import purse_run
from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.context.stopwatch import queueing
from prefect_governor.blocks.context.waits import wait_async, wait_blocking
from prefect_governor.blocks.errors import ConfigurationError, GovernorError
from prefect_governor.blocks.machine.endings import Block
from prefect_governor.blocks.machine.strands import current_strand
from prefect_governor.blocks.machine.text import label as text_of
from prefect_governor.blocks.machine.text import labels
from prefect_governor.blocks.money.usd import Money, show_usd, to_nano
from prefect_governor.blocks.records.calls import Admission, Bound, Demand, Usage
from prefect_governor.blocks.work.runtime import Runtime

_UNSETTLED = "it was left without being settled"


class Spend(Block):
    """A reservation in USD; see `Governor.reserve`. Entered once, with `with` or `async with`.

    Attributes:
        call_id: names it in the ledger, once it is entered.
    """

    def __init__(
        self,
        governor: Callable[[], Runtime],
        max_usd: Money,
        *,
        label: str | None = None,
        tags: tuple[str, ...] = (),
    ) -> None:
        self.call_id: str | None = None
        self._governor = governor
        self._bound = Bound(to_nano(max_usd, name="max_usd"), 0, 0)
        self._label = None if label is None else text_of(label, "label")
        self._tags = labels(tags, "tags")
        self._runtime: Runtime | None = None
        # What was asked for under, entered or not.
        self._asked: str | None = None
        self._outcome: str | None = None
        self._resolved: Future[None] | None = None
        self._awaited = False

    def settle(self, usd: Money) -> None:
        """What it came to, more than was reserved too: that is recorded as it is, and told as an
        event. Durable when it returns; under `async with`, when that is left.

        Saying the same again does nothing.

        Raises:
            ConfigurationError: `usd` is no amount in whole nano-dollars (the reservation stands),
                or it was settled or voided differently before.
            LedgerUnavailable: it could not be written; it is charged in full until it can be.
        """
        nano = to_nano(usd, name="usd")
        runtime, call_id = self._entered()
        self._resolve(
            f"settled at {show_usd(nano)}",
            lambda: runtime.desk.settle(call_id, Usage(nano, 0, 0)),
        )

    def void(self, reason: str) -> None:
        """It was provably not spent: the money goes back. Otherwise as `settle`."""
        runtime, call_id = self._entered()
        self._resolve(f"voided ({reason})", lambda: runtime.desk.void(call_id, reason))

    def __enter__(self) -> Self:
        runtime, demand = self._demand()
        try:
            future = self._ask(runtime, demand)
            with queueing():
                wait_blocking(future)
            self.call_id = demand.call_id
        except GovernorError:
            # It was refused: there is nothing to leave.
            self._asked = None
            raise
        except BaseException:
            self.end()
            raise
        return self

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._outcome is None:
            wait_blocking(self._unconfirm(error))
        self._ended()

    async def __aenter__(self) -> Self:
        self._awaited = True
        runtime, demand = self._demand()
        try:
            future = self._ask(runtime, demand)
            with queueing():
                await wait_async(future)
            self.call_id = demand.call_id
        except GovernorError:
            self._asked = None
            raise
        except BaseException:
            self.end()
            raise
        return self

    async def aleave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        resolved = self._unconfirm(error) if self._outcome is None else self._resolved
        self._ended()
        # Whoever is cancelled does not wait; the ledger has it in hand.
        if resolved is not None and (error is None or isinstance(error, Exception)):
            await wait_async(resolved)

    def end(self) -> None:
        """Whatever was interrupted: what nobody has seen goes back, the rest stays charged."""
        runtime, asked = self._runtime, self._asked
        if runtime is None or asked is None or self._outcome is not None:
            return
        if self.call_id is None:
            runtime.desk.abandon(asked)
            self._asked = None
        else:
            self._unconfirm(None)

    def _demand(self) -> tuple[Runtime, Demand]:
        if self._asked is not None or self._outcome is not None or self.call_id is not None:
            raise ConfigurationError("this reservation was entered before; make another one")
        runtime = self._governor()
        who = replace(attribution(model="", tags=self._tags), model=None, label=self._label)
        here = current_scope.get()
        accounts = runtime.accounts(who)
        if here is not None and here.allocation is not None:
            accounts = (here.allocation, *accounts)
        demand = Demand(
            uuid.uuid4().hex, accounts, (), self._bound, attribution=who, observe=runtime.observe,
            priority=0 if here is None else here.priority,
            purse_run=purse_run(who.run_id or who.flow_run_id) if runtime.by_run else None,
        )  # fmt: skip
        return runtime, demand

    def _ask(self, runtime: Runtime, demand: Demand) -> "Future[Admission]":
        self._runtime, self._asked = runtime, demand.call_id
        return runtime.desk.admit(
            demand,
            queue_timeout_seconds=runtime.queue_timeout_seconds,
            pause_seconds=runtime.pause_seconds,
            strand=current_strand(),
        )

    def _entered(self) -> tuple[Runtime, str]:
        if self._runtime is None or self.call_id is None:
            raise ConfigurationError(
                "nothing is reserved yet: settle inside `with governor.reserve(…) as spend:`"
            )
        return self._runtime, self.call_id

    def _resolve(self, outcome: str, work: "Callable[[], Future[None]]") -> None:
        if self._outcome is not None:
            if outcome != self._outcome:
                raise ConfigurationError(f"it was {self._outcome} before, and is not {outcome}")
            return
        self._resolved = work()
        self._outcome = outcome
        if not self._awaited:
            wait_blocking(self._resolved)

    def _unconfirm(self, error: BaseException | None) -> "Future[None]":
        runtime, call_id = self._entered()
        reason = _UNSETTLED if error is None else f"{_UNSETTLED}: {type(error).__name__}"
        self._resolved = resolved = runtime.desk.unconfirm(call_id, reason)
        self._outcome = "left unconfirmed"
        return resolved

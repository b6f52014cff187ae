"""Slots outside of calls: the right to have one piece of work under way under a limit, or alone."""

import uuid
from collections.abc import Callable, Iterable
from concurrent.futures import Future
from contextlib import AbstractAsyncContextManager, nullcontext, suppress
from contextvars import ContextVar
from dataclasses import replace
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.context.scope import attribution, current_scope
from prefect_governor.blocks.context.stopwatch import queueing
from prefect_governor.blocks.context.waits import wait_async, wait_blocking
from prefect_governor.blocks.errors import CallRefused, ConfigurationError, GovernorError
from prefect_governor.blocks.machine.endings import Block
from prefect_governor.blocks.machine.strands import Strand, current_strand
from prefect_governor.blocks.machine.text import labels
from prefect_governor.blocks.records.calls import Admission, Bound, Demand
from prefect_governor.blocks.work.runtime import Runtime

_FREE = Bound(0, 0, 0)


class Claim:
    """Slots under limits, all at once, that may be asked for and given back again and again.

    Args:
        label: what the ledger keeps it under while it is asked for and held.
        observe: never held back, only counted.
    """

    def __init__(
        self,
        runtime: Runtime,
        keys: tuple[str, ...],
        *,
        label: str,
        tags: tuple[str, ...] = (),
        queue_timeout_seconds: float | None = None,
        observe: bool = False,
    ) -> None:
        self.runtime, self.keys = runtime, keys
        self._label, self._tags, self._observe = label, labels(tags, "tags"), observe
        self._timeout = queue_timeout_seconds or runtime.queue_timeout_seconds
        self._call_id: str | None = None
        self.strand: Strand | None = None

    @property
    def observed(self) -> bool:
        """Whether it never waits."""
        return self._observe

    @property
    def active(self) -> bool:
        """Whether it is asked for or held now."""
        return self._call_id is not None

    def ask(self) -> "Future[Admission]":
        """Raises through the future: QueueTimeout, LedgerUnavailable, CallRefused."""
        who = replace(attribution(model="", tags=self._tags), model=None, label=self._label)
        here = current_scope.get()
        # Who asks again may be whoever ends a wait of its code.
        self.strand = self.strand or current_strand()
        self.give_back()
        # Known before it is asked for: whoever is interrupted meanwhile has it to give back.
        self._call_id = uuid.uuid4().hex
        demand = Demand(
            self._call_id, (), self.keys, _FREE, who, observe=self._observe,
            priority=0 if here is None else here.priority,
        )  # fmt: skip
        return self.runtime.desk.admit(
            demand, queue_timeout_seconds=self._timeout, strand=self.strand
        )

    def give_back(self) -> "Future[None] | None":
        """Give back what is held, or ask for it no longer. None where there is nothing to give. To
        the ledger it is nothing to be told again, so it is told before it is forgotten here."""
        call_id = self._call_id
        if call_id is None:
            return None
        given = None
        # A desk that is closed has given everything back; in a forked child it is the parent's.
        with suppress(CallRefused):
            given = self.runtime.desk.abandon(call_id)
        self._call_id = None
        return given


_holding: ContextVar[tuple[Claim, ...]] = ContextVar("prefect_governor_holding", default=())


class Slot(Block):
    """See `Governor.slot` and `Governor.exclusive`. Entered once, with `with` or `async with`."""

    def __init__(self, claim: Callable[[], tuple[Claim, int | None, str]]) -> None:
        self._make = claim
        self._claim: Claim | None = None

    @classmethod
    def of_limit(
        cls,
        runtime: Callable[[], Runtime],
        name: str,
        *,
        tags: tuple[str, ...] = (),
        queue_timeout_seconds: float | None = None,
    ) -> Self:
        """A slot of the limit called `name`."""

        def claim() -> tuple[Claim, int | None, str]:
            found = runtime()
            limit = found.limit_named(name)
            made = Claim(
                found,
                (limit.key,),
                label=f"slot {name}",
                tags=tags,
                queue_timeout_seconds=queue_timeout_seconds,
                observe=found.observe,
            )
            return made, limit.limit.max_concurrent, f"all slots of limit {name!r}"

        return cls(claim)

    @classmethod
    def of_keys(
        cls,
        runtime: Callable[[], Runtime],
        keys: Iterable[str],
        *,
        tags: tuple[str, ...] = (),
        queue_timeout_seconds: float | None = None,
    ) -> Self:
        """All of `keys`, alone, at once or not at all."""
        given = tuple(keys)

        def claim() -> tuple[Claim, int | None, str]:
            names = tuple(sorted(set(labels(given, "key"))))
            if not all(name.strip() for name in names):
                raise ConfigurationError("exclusive(key) needs a key that is not empty")
            found = runtime()
            if found.closed is not None:
                raise CallRefused(found.closed)
            made = Claim(
                found,
                tuple(found.exclusive(name) for name in names),
                label=f"exclusive {', '.join(names)}",
                tags=tags,
                queue_timeout_seconds=queue_timeout_seconds,
            )
            return made, 1, " or ".join(f"exclusive key {name!r}" for name in names)

        return cls(claim)

    def __enter__(self) -> Self:
        self._enter_once()
        try:
            claim, future = self._ask()
            with queueing():
                wait_blocking(future)
        except BaseException:
            self.end()
            raise
        self._hold(claim)
        return self

    def leave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        given = self._leave()
        if given is not None and (error is None or isinstance(error, Exception)):
            # The ledger has it in hand; the work inside is done whatever becomes of that.
            with suppress(GovernorError):
                wait_blocking(given)

    async def __aenter__(self) -> Self:
        self._enter_once()
        try:
            claim, future = self._ask()
            with queueing():
                await wait_async(future)
        except BaseException:
            self.end()
            raise
        self._hold(claim)
        return self

    async def aleave(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        given = self._leave()
        if given is not None and (error is None or isinstance(error, Exception)):
            with suppress(GovernorError):
                await wait_async(given)

    def _enter_once(self) -> None:
        if self._claim is not None:
            raise ConfigurationError("this slot was entered before; make another one")

    def _ask(self) -> "tuple[Claim, Future[Admission]]":
        claim, most, what = self._make()
        # Who inherited the context may go on beside the code that holds them: where that waits all
        # the same, the ledger finds out.
        here = current_strand()
        mine = sum(
            1
            for each in _holding.get()
            if each.active and each.strand == here and {*each.keys} & {*claim.keys}
        )
        if most is not None and mine >= most and not claim.observed:
            raise ConfigurationError(
                f"deadlock: the code here runs inside a block that holds {what} already, so it"
                " would wait for itself for ever; take it once, around all that needs it"
            )
        self._claim = claim
        return claim, claim.ask()

    def end(self) -> "Future[None] | None":
        """Give it back, or ask for it no longer."""
        return None if self._claim is None else self._claim.give_back()

    def _hold(self, claim: Claim) -> None:
        _holding.set((*_holding.get(), claim))

    def _leave(self) -> "Future[None] | None":
        given = self.end()
        _holding.set(tuple(each for each in _holding.get() if each is not self._claim))
        self._ended()
        return given


def alone(runtime: Runtime, keys: Iterable[str]) -> AbstractAsyncContextManager[object]:
    """`Governor.exclusive` under a governor at work; nothing where there are no keys."""
    keys = tuple(keys)
    return Slot.of_keys(lambda: runtime, keys) if keys else nullcontext()

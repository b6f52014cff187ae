"""What is left of a budget, in equal parts for consumers that run at once."""

import threading
import uuid
from collections.abc import Iterator, Sequence
from types import TracebackType
from typing import NoReturn, overload

from typing_extensions import Self

from prefect_governor.blocks.claims.allocation import BudgetAllocation
from prefect_governor.blocks.claims.drawing import once_drawn
from prefect_governor.blocks.claims.place import BudgetPlace, around
from prefect_governor.blocks.context.waits import wait_async, wait_blocking
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.decision.purse import ALLOCATION_PREFIX
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Allocation


class Share(BudgetAllocation):
    """One part; see `Governor.share`. `with share:` (or `async with`): what is spent inside draws
    on it. Once the last block that entered it is left, what it has left goes back; it is then over.
    """

    def __init__(self, place: BudgetPlace, allocation: Allocation) -> None:
        super().__init__(place.desk, allocation, governor=place.governor)
        self._inside = 0
        self._counting = threading.Lock()

    def __enter__(self) -> Self:
        entered = super().__enter__()
        self._count(1)
        return entered

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._count(-1) == 0:
            self.close()

    async def __aenter__(self) -> Self:
        return self.__enter__()

    async def __aexit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        super().__exit__(kind, error, trace)
        if self._count(-1) == 0:
            await self.aclose()

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "a share of a budget belongs to the process that made it, and cannot be sent to another"
        )

    def _count(self, change: int) -> int:
        with self._counting:
            self._inside += change
            return self._inside


class Shares(Sequence[Share]):
    """The parts, in order. `with` (or `async with`) around their use gives back what is left of
    all of them when it is left, of those too that nobody entered."""

    def __init__(self, desk: LedgerDesk, shares: Sequence[Share]) -> None:
        self._desk, self._shares = desk, tuple(shares)

    def __len__(self) -> int:
        return len(self._shares)

    @overload
    def __getitem__(self, at: int) -> Share: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Share, ...]: ...
    def __getitem__(self, at: int | slice) -> Share | tuple[Share, ...]:
        return self._shares[at]

    def __iter__(self) -> Iterator[Share]:
        return iter(self._shares)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for future in [self._desk.give_back(each.key) for each in self._shares]:
            wait_blocking(future)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        # All are asked for before the first is waited for, which may be cancelled.
        for future in [self._desk.give_back(each.key) for each in self._shares]:
            await wait_async(future)


def share(place: BudgetPlace, parts: int, *, label: str) -> Shares:
    """See `Governor.share`."""
    if isinstance(parts, bool) or not isinstance(parts, int) or parts < 1:
        raise ConfigurationError(f"a budget is shared in a whole number of parts, not {parts!r}")
    if not label.strip():
        raise ConfigurationError("label is empty: say what the shares are for")
    within = around(place)
    made = [
        Allocation(
            key=f"{ALLOCATION_PREFIX}{uuid.uuid4().hex}",
            label=f"{label.strip()} {at} of {parts}",
            within=within,
            # It grows with what others gave back, and takes nothing that others have: no group.
            elastic=True,
            owner=place.desk.process.id,
        )
        for at in range(1, parts + 1)
    ]
    once_drawn(lambda: place.desk.write(lambda batch: batch.share(made)), wait_blocking)
    return Shares(place.desk, [Share(place, each) for each in made])

"""A part of a budget, set aside for one consumer: a shard, a closing synthesis."""

from collections.abc import Callable
from dataclasses import replace

from prefect_governor.blocks.context.scope import Entered, Scope, current_scope
from prefect_governor.blocks.context.waits import wait_async, wait_blocking
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.budgets import Account, AccountState, Allocation
from prefect_governor.blocks.work.ledgers import account_state
from prefect_governor.blocks.work.runtime import Runtime


class BudgetAllocation(Entered):
    """Money set aside; see `Budget.allocate`.

    `with allocation:` (or `async with`) makes what is spent inside draw on it first, and on the
    budgets that it was taken from through it. It may be entered as often as one likes, by several
    tasks at once. Leaving it keeps what is left for the next; `close()` gives it back. So does the
    end of the process that made it.

    Attributes:
        key: names it in the ledger.
        label: what it is for.
    """

    def __init__(
        self, desk: LedgerDesk, allocation: Allocation, *, governor: Callable[[], Runtime] | None
    ) -> None:
        self.key = allocation.key
        self.label = allocation.label
        self._desk = desk
        self._governor = governor

    def close(self) -> None:
        """Give what is left of it back to the budgets that it came from. What is in flight under it
        settles all the same. Closing it again does nothing.

        Raises LedgerUnavailable.
        """
        wait_blocking(self._desk.give_back(self.key))

    async def aclose(self) -> None:
        """`close` for async code."""
        await wait_async(self._desk.give_back(self.key))

    def state(self) -> AccountState:
        """Its own ceiling, and what was spent of it. Raises LedgerUnavailable."""
        return account_state(Account(self.key, self.label, None, None), at=self._desk)

    def _scope(self) -> Scope:
        here = current_scope.get()
        if self._governor is not None:
            runtime = self._governor()
            if here is None or here.governor.desk is not runtime.desk:
                here = Scope(runtime)
        elif here is None:
            raise ConfigurationError(
                f"allocation {self.label!r} of a Budget is entered inside a governor: with"
                " `with governor:` around it, or in a task under @governed"
            )
        return replace(here, allocation=self.key)

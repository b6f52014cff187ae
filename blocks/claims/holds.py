"""What a governor holds for code that is no model call: money, a slot, a key, a folder."""

from abc import ABC, abstractmethod
from uuid import uuid4

from prefect_governor.blocks.claims.place import BudgetPlace
from prefect_governor.blocks.claims.sharing import Shares, share
from prefect_governor.blocks.claims.slots import Slot
from prefect_governor.blocks.claims.spend import Spend
from prefect_governor.blocks.context.scope import attribution
from prefect_governor.blocks.money.usd import Money
from prefect_governor.blocks.work.runtime import Runtime
from prefect_governor.blocks.workspaces.bounds import BOUNDS, checked_bounds
from prefect_governor.blocks.workspaces.held import HeldWorkspace


class Holds(ABC):
    """Part of `Governor`."""

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The governor at work in this process."""

    def reserve(
        self,
        max_usd: Money,
        *,
        label: str | None = None,
        tags: tuple[str, ...] = (),
    ) -> Spend:
        """Money for anything that costs and is no model call: a search, a job elsewhere.

        `with governor.reserve(max_usd="0.004", label="search") as spend:` (or `async with`) takes
        up to `max_usd` from the budgets before the code inside begins, or waits for it as a call
        does; `spend.settle("0.003")` says what it came to. Left unsettled, the whole of it stays
        charged as unconfirmed. Limits are for model calls: `max_concurrent` and rates do not hold
        it. It draws on the allocation of the context, if it is in one.

        Raises:
            ConfigurationError: `max_usd` is no amount in whole nano-dollars. Nothing is reserved.
            OverBudget: when it is entered: the ceiling cannot cover it.
            QueueTimeout: when it is entered: it waited longer than the governor lets calls wait.
            LedgerUnavailable: when it is entered: the ledger cannot be read or written.
        """
        return Spend(lambda: self.runtime, max_usd, label=label, tags=tags)

    def share(self, parts: int, *, label: str = "share") -> Shares:
        """What is left of the budget now, set aside in so many equal parts: for agents that run at
        once on little money, so that none is left without what another has spent.

        `with governor.share(8) as shares:` (or `async with`), and in each consumer `with share:`
        around its calls; `zip(agents, shares)` hands them out, and so does `task.map(items,
        shares)`. What a share has left when its block is left goes back, and is free for those that
        have used up theirs; leaving the outer block gives back the rest. Inside an allocation or a
        share its rest is what is shared.

        Args:
            parts: how many, at least 1.
            label: what they are for; in `budget show` each is "LABEL 1 of 8".

        Raises:
            ConfigurationError: `parts` is no such number, or no budget has a ceiling.
            OverBudget: nothing is free for each of them. Nothing is set aside.
            LedgerUnavailable: the ledger cannot be written.
        """
        runtime = self.runtime
        return share(
            BudgetPlace(runtime.desk, runtime.accounts_, lambda: self.runtime), parts, label=label
        )

    def slot(
        self,
        name: str,
        *,
        tags: tuple[str, ...] = (),
        queue_timeout_seconds: float | None = None,
    ) -> Slot:
        """A place under the limit called `name` (its tag), for a tool, a downstream system or
        CPU-bound work: `with governor.slot("warehouse"):` or `async with`.

        It costs no money. It counts in the same admission as calls, over all processes, waits in
        the same queue, up to `queue_timeout_seconds` (the governor's own where it is not given),
        and counts as one request under the limit's rates. It is given back when the block is left,
        and when the process dies.

        Raises:
            ConfigurationError: when it is entered: there is no such limit, or the code inside holds
                all of its slots already and would wait for itself.
            QueueTimeout: when it is entered: it waited longer than `queue_timeout_seconds`.
            LedgerUnavailable: when it is entered: the ledger cannot be read or written.
            CallRefused: when it is entered: the governor admits nothing more.
        """
        return Slot.of_limit(
            lambda: self.runtime, name, tags=tags, queue_timeout_seconds=queue_timeout_seconds
        )

    def exclusive(
        self,
        key: str,
        *more: str,
        tags: tuple[str, ...] = (),
        queue_timeout_seconds: float | None = None,
    ) -> Slot:
        """One holder of `key` at a time, over all processes that share the ledger: `with
        governor.exclusive("report.md"):` or `async with`. Of several keys, all at once or none.
        In the order of asking; also in observe mode. A process that dies leaves it; one that is
        merely frozen keeps it.

        Raises:
            ConfigurationError: when it is entered: the code inside a block that holds the key asks
                for it again, and would wait for itself.
            QueueTimeout: when it is entered: it waited longer than `queue_timeout_seconds`.
            LedgerUnavailable: when it is entered: the ledger cannot be read or written.
            CallRefused: when it is entered: the governor admits nothing more.
        """
        return Slot.of_keys(
            lambda: self.runtime,
            (key, *more),
            tags=tags,
            queue_timeout_seconds=queue_timeout_seconds,
        )

    def workspace(
        self,
        key: str,
        *,
        keep: bool = False,
        max_mib: int = BOUNDS.max_mib,
        max_files: int = BOUNDS.max_files,
        max_depth: int = BOUNDS.max_depth,
    ) -> HeldWorkspace:
        """A folder for one item, empty, that nobody else has: `with governor.workspace(item) as
        folder:` or `async with`, in any task, in any flow and outside of one. `folder` is its
        path.

        It is in `workspaces/RUN/ITEM` of the governor's state, of the mode 0700, and is removed
        when the block is left, or by the next process that makes one where this one dies. `key`
        names it; under the same name two tasks have two. It costs nothing and holds no slot.
        `environment()` of what this returns is what to give a program that runs in it.

        Args:
            keep: the folder stays where it is.
            max_mib: the size of all its files, in MiB, with those of its home and its temporary
                folder.
            max_files: files and folders.
            max_depth: folders in one another, and the file in them.

        Raises:
            ConfigurationError: `key` is no text, or empty, or a bound is none.
            ItemFailed: when it is left, without another error: it holds more than its bounds.
            OSError: when it is entered: it cannot be made.
        """
        bounds = checked_bounds(max_mib=max_mib, max_files=max_files, max_depth=max_depth)
        return HeldWorkspace(key, whose=_whose, keep=keep, bounds=bounds)


# The run of what is part of none.
_NO_RUN = f"process-{uuid4()}"


def _whose() -> tuple[str, str | None]:
    """The run and the item that the running code is part of."""
    who = attribution(model="")
    return who.run_id or who.flow_run_id or _NO_RUN, who.item

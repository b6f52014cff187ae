"""The Budget block: a ceiling that every flow on every machine that loads it shares."""

from typing import ClassVar, Protocol

from prefect.blocks.core import Block
from pydantic import PrivateAttr

from prefect_governor.blocks.claims.allocation import BudgetAllocation
from prefect_governor.blocks.claims.place import (
    BudgetPlace,
    allocate,
    place_in_governor,
    place_of_document,
)
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import Money
from prefect_governor.blocks.prefect_internals.block_documents import saved_id, saved_name
from prefect_governor.blocks.records.budgets import AccountState
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.document import DOCUMENTATION_URL, TOLD_WHERE_WRONG
from prefect_governor.blocks.work.ledgers import account_state
from prefect_governor.blocks.work.runtime import Runtime


class _Whole(Protocol):
    """The governor that a budget is part of."""

    @property
    def runtime(self) -> Runtime: ...


class _Bond:
    """The governor that a budget is part of. No part of what makes two budgets the same."""

    def __init__(self, governor: _Whole) -> None:
        self.governor = governor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bond)

    def __hash__(self) -> int:
        return hash(_Bond)


class Budget(BudgetTerms, Block):
    """A ceiling in USD, in total tokens, or both, over a window of time.

    The document holds the ceiling; `state()` gives the ledger's live figures. Editing it takes
    effect on running flows within seconds.

    Example:
        ```python
        from prefect_governor import Budget

        Budget(max_usd=5, window="day").save("research")
        ```
    """

    _block_type_name = BudgetTerms.block_type_name
    _block_type_slug = BudgetTerms.block_type_slug
    _documentation_url = DOCUMENTATION_URL
    _description: ClassVar[str] = (
        f"A hard ceiling on what model calls may cost, shared by all runs. {TOLD_WHERE_WRONG}"
    )
    # The UI offers it to be pasted, with the block's name in place of BLOCK_NAME.
    _code_example: ClassVar[str] = """\
        ```python
        from prefect_governor import Budget, Governor

        budget = Budget.load("BLOCK_NAME")
        print(budget.state())

        # A governor whose calls draw on it.
        Governor(budget=budget, max_concurrent=20).save("a-team")
        ```
    """

    # None for one that was loaded by itself.
    _bond: _Bond | None = PrivateAttr(default=None)

    def bind(self, governor: _Whole) -> None:
        """Make it a governor's own: what it is asked for is asked of that governor's ledger."""
        self._bond = _Bond(governor)

    def state(self) -> AccountState:
        """The live figures of the current window, from the ledger, under the ceiling that the
        document has now: an edit that no running flow has met yet is applied first.

        A governor's budget that only names a parent has the figures of that parent.

        Raises:
            ConfigurationError: this object was neither saved nor loaded, its document was deleted
                or is not valid, or its ledger is another than this process's.
            LedgerUnavailable: the ledger cannot be read.
        """
        place = self._place()
        return account_state(place.accounts[0], at=place.desk)

    def allocate(
        self,
        max_usd: Money | None = None,
        *,
        max_total_tokens: int | None = None,
        label: str,
        elastic: bool = False,
        outlives_process: bool = False,
    ) -> BudgetAllocation:
        """Set a part of the budget, and of every budget above it, aside for one consumer.

        Args:
            max_usd: how much of it, in US dollars.
            max_total_tokens: how many of its tokens, input and output together.
            label: what it is for, in words.
            elastic: allocations of one run that are elastic draw what is left of each other before
                any of them is over budget. A fixed one keeps what it has.
            outlives_process: it is kept when this process ends, for whoever closes it.

        Returns:
            What was set aside. Code inside `with allocation:` draws on it first; `close()` gives
            the rest back.

        Raises:
            ConfigurationError: no amount is given or one is none, or as `state` does.
            OverBudget: the budget, or one above it, has not so much left. Nothing is set aside.
            LedgerUnavailable: the ledger cannot be written.
        """
        return allocate(
            self._place,
            max_usd,
            max_total_tokens,
            label=label,
            elastic=elastic,
            outlives_process=outlives_process,
        )

    def _place(self) -> BudgetPlace:
        if self._bond is not None:
            governor = self._bond.governor
            return place_in_governor(lambda: governor.runtime, saved_id(governor))
        document_id = saved_id(self)
        if document_id is None:
            raise ConfigurationError(
                "this Budget was never saved, so nothing was spent from it; Budget.load(name) has"
                " the live figures"
            )
        return place_of_document(document_id, saved_name(self))

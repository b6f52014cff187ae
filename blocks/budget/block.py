"""The Budget block: a ceiling that every flow on every machine that loads it shares."""

from decimal import Decimal
from typing import TYPE_CHECKING, Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect.blocks.core import Block
from pydantic import (
    BeforeValidator,
    Field,
    HttpUrl,
    PlainSerializer,
    PrivateAttr,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from prefect_governor.blocks.budget.money import Money, parse_usd, plain_number, to_nano
from prefect_governor.blocks.budget.windows import Window
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.form import plain
from prefect_governor.blocks.ledger.records import Account, AccountState

if TYPE_CHECKING:
    from prefect_governor.blocks.budget.allocating import BudgetAllocation
    from prefect_governor.blocks.governor import Governor

DOCUMENTATION_URL = HttpUrl("https://github.com/prefect-governor/prefect-governor#readme")


def _exact(value: Any) -> Decimal | None:
    if value is None:
        return None
    try:
        return parse_usd(value, name="max_usd")
    except ConfigurationError as error:
        raise ValueError(str(error)) from None


Usd = Annotated[
    Decimal | str | int | float,
    BeforeValidator(_exact),
    PlainSerializer(plain_number),
    WithJsonSchema({"type": "number", "minimum": 0}),
]


class _Bond:
    """The governor that a budget is part of. No part of what makes two budgets the same."""

    def __init__(self, governor: "Governor") -> None:
        self.governor = governor

    def __eq__(self, other: object) -> bool:
        return isinstance(other, _Bond)

    def __hash__(self) -> int:
        return hash(_Bond)


class Budget(Block):
    """A ceiling in USD, in total tokens, or both, over a window of time.

    The document holds the ceiling; `state()` gives the ledger's live figures. Editing it takes
    effect on running flows within seconds.

    Example:
        ```python
        from prefect_governor import Budget

        Budget(max_usd=5, window="day").save("research")
        ```
    """

    _block_type_name = "Governor Budget"
    _block_type_slug = "governor-budget"
    _documentation_url = DOCUMENTATION_URL
    _description: ClassVar[str] = "A hard ceiling on what model calls may cost, shared by all runs."

    max_usd: Usd | None = Field(
        default=None,
        title="Max USD",
        description="The ceiling in US dollars. A ceiling is needed here or in the parent.",
        json_schema_extra=plain,
    )
    max_total_tokens: int | None = Field(
        default=None,
        ge=0,
        title="Max total tokens",
        description="The ceiling in tokens, input and output together.",
        json_schema_extra=plain,
    )
    window: Window = Field(
        default="total",
        title="Window",
        description=(
            "What the ceiling is counted over; it is whole again when the next begins. 'run' gives"
            " each run the whole of it, 'total' never ends."
        ),
    )
    time_zone: str = Field(
        default="UTC",
        title="Time zone",
        description="Where days, weeks and months begin, such as 'Europe/Berlin'.",
    )
    parent: str | None = Field(
        default=None,
        title="Parent budget",
        description=(
            "Name of a saved Governor Budget block that every spend draws on as well; the way to"
            " share one ceiling among governors."
        ),
        json_schema_extra=plain,
    )

    @field_validator("time_zone")
    @classmethod
    def _known_zone(cls, value: str) -> str:
        try:
            ZoneInfo(value)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            raise ValueError(f"unknown time zone {value!r}; use one such as 'UTC'") from None
        return value

    @model_validator(mode="after")
    def _has_ceiling(self) -> Self:
        if self.max_usd is None and self.max_total_tokens is None and self.parent is None:
            raise ValueError(
                "a budget needs a ceiling: set max_usd, max_total_tokens, or the parent that has it"
            )
        return self

    def account(self, key: str, *, name: str, version: str) -> Account:
        """The budget as the ledger has it."""
        return Account(
            key=key,
            name=name,
            ceiling_nano=None if self.max_usd is None else to_nano(self.max_usd),
            ceiling_tokens=self.max_total_tokens,
            window=self.window,
            time_zone=self.time_zone,
            version=version,
        )

    # None for one that was loaded by itself.
    _bond: _Bond | None = PrivateAttr(default=None)

    def bind(self, governor: "Governor") -> None:
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
        from prefect_governor.blocks.budget.at_work import place_of
        from prefect_governor.blocks.office import account_state

        place = place_of(self)
        return account_state(place.accounts[0], at=place.desk)

    def allocate(
        self,
        max_usd: Money | None = None,
        *,
        max_total_tokens: int | None = None,
        label: str,
        elastic: bool = False,
        outlives_process: bool = False,
    ) -> "BudgetAllocation":
        """Set a part of the budget, and of every budget above it, aside for one consumer.

        Args:
            max_usd: how much of it, in US dollars.
            max_total_tokens: how many of its tokens, input and output together.
            label: what it is for, in words.
            elastic: allocations of one run that are elastic draw what is left of each other before
                any of them is over budget. A fixed one keeps what it has.
            outlives_process: it is kept when this process ends, for whoever closes it.

        Returns:
            The allocation: code inside `with allocation:` draws on it first; `close()` gives the
            rest back.

        Raises:
            ConfigurationError: no amount is given or one is none, or as `state` does.
            OverBudget: the budget, or one above it, has not so much left. Nothing is set aside.
            LedgerUnavailable: the ledger cannot be written.
        """
        from prefect_governor.blocks.budget.at_work import allocate

        return allocate(
            self,
            max_usd,
            max_total_tokens,
            label=label,
            elastic=elastic,
            outlives_process=outlives_process,
        )

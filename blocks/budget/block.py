"""The Budget block: a ceiling that every flow on every machine that loads it shares."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from prefect.blocks.core import Block
from pydantic import (
    BeforeValidator,
    Field,
    HttpUrl,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from prefect_governor.blocks.budget.money import parse_usd, plain_number, to_nano
from prefect_governor.blocks.budget.windows import Window
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.form import plain
from prefect_governor.blocks.ledger.records import Account, AccountState

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

    def state(self) -> AccountState:
        """The live figures of the current window, from the ledger.

        Raises:
            ConfigurationError: this object was neither saved nor loaded.
            LedgerUnavailable: the ledger cannot be read.
        """
        from prefect_governor.blocks.office import account_state

        document_id: UUID | None = self._block_document_id
        if document_id is None:
            raise ConfigurationError(
                "this Budget was never saved, so nothing was spent from it; Budget.load(name) has"
                " the live figures"
            )
        return account_state(
            self.account(str(document_id), name=self._block_document_name or "", version="")
        )

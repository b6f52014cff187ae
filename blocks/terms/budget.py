"""A budget, as people write it."""

from decimal import Decimal
from typing import Annotated, Any, ClassVar
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from pydantic import (
    BeforeValidator,
    Field,
    PlainSerializer,
    WithJsonSchema,
    field_validator,
    model_validator,
)
from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.money.usd import parse_usd, plain_number, to_nano
from prefect_governor.blocks.money.windows import Window
from prefect_governor.blocks.records.budgets import Account
from prefect_governor.blocks.terms.document import DocumentTerms
from prefect_governor.blocks.terms.form import empty_is_none, plain
from prefect_governor.blocks.terms.limit import MOST_COUNT


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


class BudgetTerms(DocumentTerms):
    """A ceiling in USD, in total tokens, or both, over a window of time."""

    block_type_name: ClassVar[str] = "Governor Budget"
    block_type_slug: ClassVar[str] = "governor-budget"
    block_class: ClassVar[str] = "Budget"

    max_usd: Usd | None = Field(
        default=None,
        title="Max USD",
        description="The ceiling in US dollars. A ceiling is needed here or in the parent.",
        json_schema_extra=plain,
    )
    max_total_tokens: int | None = Field(
        default=None,
        ge=0,
        le=MOST_COUNT,
        title="Max total tokens",
        description="The ceiling in tokens, input and output together.",
        json_schema_extra=plain,
    )
    window: Window = Field(
        default="total",
        title="Window",
        description=(
            "What the ceiling is counted over; it is whole again when the next begins. 'run' gives"
            " each run the whole of it, with all of its subflows; 'total' never ends."
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

    _empty = field_validator("parent", mode="before")(empty_is_none)

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

"""A governor, as people write it: one budget, limits, and what else holds for its calls."""

from typing import ClassVar, Literal

from pydantic import ConfigDict, Field, SecretStr, field_validator, model_validator
from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.records.budgets import PREFECT_API
from prefect_governor.blocks.records.output import output_terms
from prefect_governor.blocks.terms.budget import BudgetTerms
from prefect_governor.blocks.terms.document import DocumentTerms
from prefect_governor.blocks.terms.form import UnseenParts, empty_is_none, plain
from prefect_governor.blocks.terms.limit import Count, Limit
from prefect_governor.blocks.terms.price import PricesByName

Mode = Literal["enforce", "observe"]
WhenSpent = Literal["stop", "pause", "fallback"]
Bypass = Literal["refuse", "warn", "allow"]


class GovernorTerms(DocumentTerms):
    """One budget, and limits on how many at once and how fast."""

    block_type_name: ClassVar[str] = "Governor"
    block_type_slug: ClassVar[str] = "governor"
    block_class: ClassVar[str] = "Governor"

    # No message of a value that is not valid may show the secret in ledger_url.
    model_config: ClassVar[ConfigDict] = ConfigDict(hide_input_in_errors=True)

    budget: BudgetTerms
    max_concurrent: Count | None = Field(
        default=None,
        title="All calls: max concurrent",
        description="Calls in flight at once, over all processes, such as 20. Empty: no cap.",
        json_schema_extra=plain,
    )
    requests_per_minute: Count | None = Field(
        default=None,
        title="All calls: requests per minute",
        description="In any 60 seconds, over all processes, such as 500. Empty: as many as come.",
        json_schema_extra=plain,
    )
    tokens_per_minute: Count | None = Field(
        default=None,
        title="All calls: tokens per minute",
        description="Input and output together, such as 200000. Empty: as many as come.",
        json_schema_extra=plain,
    )
    limits: list[Limit] = Field(
        default_factory=list,
        title="Limits by tag or model",
        description=(
            "More limits, each for a tag or a model pattern; every one that applies holds. As JSON:"
            ' [{"tag": "llm", "max_concurrent": 10, "requests_per_minute": 500},'
            ' {"model": "anthropic/*", "input_tokens_per_minute": 80000}]'
        ),
        examples=[
            [
                {"tag": "llm", "max_concurrent": 10, "requests_per_minute": 500},
                {"model": "anthropic/*", "input_tokens_per_minute": 80000},
            ]
        ],
    )
    queue_timeout_seconds: float | None = Field(
        default=None,
        gt=0,
        title="Queue timeout in seconds",
        description="How long a call may wait to be admitted. Empty: as long as it takes.",
        json_schema_extra=plain,
    )
    mode: Mode = Field(
        default="enforce",
        title="Mode",
        description=(
            "'observe' records every call, holds none back, and says which would have waited or"
            " been refused."
        ),
    )
    when_spent: WhenSpent = Field(
        default="stop",
        title="When spent",
        description=(
            "What a call does that the budget cannot pay for: 'stop' refuses it, 'pause' waits for"
            " a raise, 'fallback' asks the Model's cheaper fallbacks before it comes to that."
        ),
    )
    pause_timeout_seconds: float = Field(
        default=3600.0,
        gt=0,
        le=30 * 86_400,
        title="Pause timeout in seconds",
        description="How long a call waits for a raise when spent means 'pause'.",
    )
    fallback_share: float = Field(
        default=0.8,
        ge=0,
        le=1,
        title="Fallback share",
        description="The spent share (0 to 1) from which on 'fallback' asks cheaper models.",
    )
    bypass: Bypass = Field(
        default="refuse",
        title="Bypass",
        description=(
            "A model call made under it by a client that is not the governor's is governed. One"
            " that cannot be: 'refuse' refuses it, 'warn' lets it go and says so. 'allow' looks at"
            " no such call."
        ),
    )
    prices: PricesByName = Field(
        default_factory=dict,
        title="Prices",
        description=(
            "What models cost, by name or pattern, where LiteLLM's price map does not know it or is"
            " wrong: the fields of a Model's price, or 'free'. A Model block of the same name does"
            ' as well; these come first. As JSON: {"openai/mine": {"input_usd_per_million_tokens":'
            ' 0.2, "output_usd_per_million_tokens": 0.8}, "ollama/*": "free"}'
        ),
        examples=[
            {
                "openai/mine": {
                    "input_usd_per_million_tokens": 0.2,
                    "output_usd_per_million_tokens": 0.8,
                },
                "ollama/*": "free",
            }
        ],
    )
    max_output_tokens: int | None = Field(
        default=None,
        ge=1,
        title="Max output tokens",
        description=(
            "How long an answer may be where the request sets no limit. Empty: as long as the model"
            " writes at the most."
        ),
        json_schema_extra=plain,
    )
    output_ceiling: bool = Field(
        default=False,
        title="Output ceiling",
        description="Max output tokens holds too where the request asks for more.",
    )
    allow_fields: list[str] = Field(
        default_factory=list,
        title="Allow fields",
        description=(
            "Request fields that nobody here knows and that cost nothing beside the tokens: they"
            " pass. Any other such field is refused by its name."
        ),
    )
    unseen: UnseenParts = "refuse"
    ledger_url: SecretStr | None = Field(
        default=None,
        title="Ledger URL",
        description=(
            "A PostgreSQL that all machines reach: postgresql://user:password@host/database."
            " 'prefect-api' where they have no database in common: each draws its money on"
            " Prefect's API. Empty: the ledger of the machine, under PREFECT_HOME."
        ),
        json_schema_extra=plain,
    )

    machines: Count | None = Field(
        default=None,
        title="Machines",
        description=(
            "How many machines share it at the most, where its ledger is 'prefect-api': each has an"
            " equal part of every rate, such as a quarter of requests_per_minute for 4. Needed"
            " there for rates alone."
        ),
        json_schema_extra=plain,
    )

    _empty = field_validator("ledger_url", mode="before")(empty_is_none)

    @model_validator(mode="after")
    def _ceiling_of_something(self) -> Self:
        # What pydantic shows is text.
        try:
            output_terms(self.max_output_tokens, self.output_ceiling)
        except ConfigurationError as error:
            raise ValueError(str(error)) from error
        return self

    @model_validator(mode="after")
    def _rates_in_parts(self) -> Self:
        if self.ledger_url is None or self.ledger_url.get_secret_value() != PREFECT_API:
            return self
        for limit in self.every_limit:
            for rate in limit.terms(limit.name, leased=False).rates:
                if rate.amount < (self.machines or rate.amount + 1):
                    raise ValueError(
                        f"with ledger_url {PREFECT_API!r} every machine has an equal part of"
                        f" {rate.name} ({rate.amount:,}): set machines to how many there are at the"
                        " most, no more than that"
                    )
        return self

    @property
    def every_limit(self) -> tuple[Limit, ...]:
        """The limit on all calls, where there is one, and those by tag or model."""
        of_all = Limit(
            max_concurrent=self.max_concurrent,
            requests_per_minute=self.requests_per_minute,
            tokens_per_minute=self.tokens_per_minute,
        )
        return tuple(self.limits) if of_all == Limit() else (of_all, *self.limits)

    @model_validator(mode="after")
    def _one_limit_of_all(self) -> Self:
        if len(self.every_limit) > len(self.limits) and any(each.is_of_all for each in self.limits):
            raise ValueError(
                "the limit on all calls is there twice: as max_concurrent, requests_per_minute or"
                " tokens_per_minute, and among the limits without tag and model; merge them"
            )
        return self

    @field_validator("ledger_url")
    @classmethod
    def _on_postgres(cls, url: SecretStr | None) -> SecretStr | None:
        if url is None or url.get_secret_value() == PREFECT_API:
            return url
        if not url.get_secret_value().startswith(("postgresql://", "postgres://")):
            raise ValueError(
                "begins with postgresql://, as in postgresql://user@host/database, or is"
                f" {PREFECT_API!r}"
            )
        return url


def rate_parts(governor: GovernorTerms) -> int:
    """In how many parts every rate of a governor is, of which each machine has one."""
    url = governor.ledger_url
    drawn = url is not None and url.get_secret_value() == PREFECT_API
    return governor.machines or 1 if drawn else 1

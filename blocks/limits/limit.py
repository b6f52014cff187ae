"""A limit of a governor, as people write it."""

from fnmatch import fnmatchcase
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field

from prefect_governor.blocks.form import plain
from prefect_governor.blocks.ledger.records import LimitTerms, Rate

Count = Annotated[int, Field(ge=1)]

# Field of the model, what the ledger meters, the window in seconds.
_RATES = (
    ("requests_per_minute", "requests", 60),
    ("tokens_per_minute", "tokens", 60),
    ("input_tokens_per_minute", "input_tokens", 60),
    ("output_tokens_per_minute", "output_tokens", 60),
    ("requests_per_day", "requests", 86_400),
    ("tokens_per_day", "tokens", 86_400),
)


class Limit(BaseModel):
    """How much at once, and how fast, for the calls that a tag or a model pattern selects.

    Several limits may apply to one call: it needs room under all of them. Without `tag` and
    `model` a limit applies to every call of the governor.
    """

    model_config = ConfigDict(extra="forbid", frozen=True)

    tag: str | None = Field(
        default=None,
        title="Tag",
        description="Calls made in task runs (or clients) with this tag. Empty: whatever the tags.",
        pattern=r"^[^/%&<>]+$",
        json_schema_extra=plain,
    )
    model: str | None = Field(
        default=None,
        title="Model pattern",
        description=(
            "Calls of models that match, such as 'anthropic/*' or 'gpt-4o-mini'. Empty: every"
            " model."
        ),
        json_schema_extra=plain,
    )
    max_concurrent: Count | None = Field(
        default=None,
        title="Max concurrent",
        description=(
            "Calls in flight at once, over all processes. Stands as a Prefect global concurrency"
            " limit that you can watch and lower. Empty: no cap."
        ),
        json_schema_extra=plain,
    )
    requests_per_minute: Count | None = Field(
        default=None,
        title="Requests per minute",
        description="In any 60 seconds, over all processes.",
        json_schema_extra=plain,
    )
    tokens_per_minute: Count | None = Field(
        default=None,
        title="Tokens per minute",
        description="Input and output together.",
        json_schema_extra=plain,
    )
    input_tokens_per_minute: Count | None = Field(
        default=None,
        title="Input tokens per minute",
        description="Where the provider counts input by itself.",
        json_schema_extra=plain,
    )
    output_tokens_per_minute: Count | None = Field(
        default=None,
        title="Output tokens per minute",
        description="Where the provider counts output by itself.",
        json_schema_extra=plain,
    )
    requests_per_day: Count | None = Field(
        default=None,
        title="Requests per day",
        description="In any 24 hours.",
        json_schema_extra=plain,
    )
    tokens_per_day: Count | None = Field(
        default=None,
        title="Tokens per day",
        description="In any 24 hours, input and output together.",
        json_schema_extra=plain,
    )
    share_with: str | None = Field(
        default=None,
        title="Share with",
        description=(
            "Name of an existing Prefect global concurrency limit to take the slots of, instead"
            " of one made for this limit."
        ),
        pattern=r"^[^/%&<>]+$",
        json_schema_extra=plain,
    )

    @property
    def name(self) -> str:
        """What people call it: its tag, its model pattern, or "all"."""
        return " ".join(part for part in (self.tag, self.model) if part) or "all"

    def applies_to(self, *, tags: tuple[str, ...], model: str) -> bool:
        """Whether a call counts under this limit. `model` as LiteLLM has it, `provider/name`."""
        if self.tag is not None and self.tag not in tags:
            return False
        if self.model is None:
            return True
        bare = model.split("/", 1)[-1]
        return fnmatchcase(model, self.model) or fnmatchcase(bare, self.model)

    def terms(self, key: str, *, leased: bool) -> LimitTerms:
        """The limit as the ledger has it."""
        rates = tuple(
            Rate(meter, amount, seconds)  # type: ignore[arg-type]
            for name, meter, seconds in _RATES
            if (amount := getattr(self, name)) is not None
        )
        leased = leased and self.max_concurrent is not None
        return LimitTerms(key, self.name, self.max_concurrent, rates, leased)

"""A model, as people write it: LiteLLM's name of it, how it is reached and what it costs."""

from typing import Annotated, Any, ClassVar

from pydantic import Field, SecretStr, WithJsonSchema, field_validator

from prefect_governor.blocks.terms.document import DocumentTerms
from prefect_governor.blocks.terms.form import UnseenParts, empty_is_none, plain, section, unfilled
from prefect_governor.blocks.terms.price import PriceOverride, is_left_empty

# What the form of Prefect's default UI shows as filled in is not saved with it: it has to hold
# where nothing is.
USUAL = "openai/gpt-4o-mini"


class ModelTerms(DocumentTerms):
    """A model to call through a governor."""

    block_type_name: ClassVar[str] = "Governor Model"
    block_type_slug: ClassVar[str] = "governor-model"
    block_class: ClassVar[str] = "Model"

    name: str = Field(
        default=USUAL,
        title="Model name",
        description="As LiteLLM names it: 'openai/gpt-4o-mini', 'anthropic/claude-haiku-4-5'.",
        min_length=1,
    )
    fallbacks: list[str] = Field(
        default_factory=list,
        title="Fallbacks",
        description=(
            "Models to try in turn when this one fails, each admitted anew. As JSON:"
            ' ["anthropic/claude-haiku-4-5"]'
        ),
        examples=[["anthropic/claude-haiku-4-5"]],
    )
    api_base: str | None = Field(
        default=None,
        title="API base",
        description="Base URL of an OpenAI-compatible server or gateway. Empty: the provider's.",
        json_schema_extra=plain,
    )
    api_key: SecretStr | None = Field(
        default=None,
        title="API key",
        description=(
            "Empty: the environment variable that LiteLLM knows, such as OPENAI_API_KEY, where the"
            " flow runs."
        ),
        json_schema_extra=plain,
    )
    max_output_tokens: int = Field(
        default=1024,
        ge=1,
        title="Max output tokens",
        description="The most that one answer may have; a call's bound is taken with it.",
    )
    timeout_seconds: float = Field(
        default=120.0, gt=0, title="Timeout in seconds", description="For one request."
    )
    unseen: UnseenParts = "refuse"
    allow_untested_provider: bool = Field(
        default=False,
        title="Allow an untested provider",
        description=(
            "Call it although it is not proven that every request of its provider passes the"
            " governor. What does not pass is neither counted nor held back."
        ),
    )

    price: Annotated[PriceOverride | None, WithJsonSchema(section(PriceOverride))] = Field(
        default=None,
        title="Price",
        description=(
            "Leave it as it is where LiteLLM's price map knows the model. Else what it costs, for"
            " every call of it (at the API base, where one is given) under a saved governor."
        ),
        json_schema_extra=unfilled,
    )

    _empty = field_validator("api_base", "api_key", mode="before")(empty_is_none)

    @field_validator("price", mode="before")
    @classmethod
    def _stated(cls, price: Any) -> Any:
        return None if is_left_empty(price) else price

    @field_validator("fallbacks")
    @classmethod
    def _named(cls, names: list[str]) -> list[str]:
        return [name for name in names if name.strip()]

"""The Model block: a model as LiteLLM names it, with how to reach it and what it costs."""

from typing import ClassVar

from prefect.blocks.core import Block
from pydantic import Field, SecretStr

from prefect_governor.blocks.budget.block import DOCUMENTATION_URL
from prefect_governor.blocks.form import plain
from prefect_governor.blocks.model.prices import PriceOverride


class Model(Block):
    """A model to call through a governor.

    Example:
        ```python
        from prefect_governor import Model

        Model(name="openai/gpt-4o-mini", max_output_tokens=400).save("small")
        ```
    """

    _block_type_name = "Governor Model"
    _block_type_slug = "governor-model"
    _documentation_url = DOCUMENTATION_URL
    _description: ClassVar[str] = "A language model by its LiteLLM name, its key and its price."

    name: str = Field(
        title="Model name",
        description="As LiteLLM names it, such as 'openai/gpt-4o-mini'.",
        min_length=1,
    )
    fallbacks: list[str] = Field(
        default_factory=list,
        title="Fallbacks",
        description="Models to try in turn when this one fails, each admitted anew.",
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
    price: PriceOverride | None = Field(
        default=None,
        title="Price",
        description="What it costs, where LiteLLM's price map does not know it or is wrong.",
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
    allow_untested_provider: bool = Field(
        default=False,
        title="Allow an untested provider",
        description=(
            "Call it although it is not proven that every request of its provider passes the"
            " governor. What does not pass is neither counted nor held back."
        ),
    )

"""Which model a run calls: by LiteLLM's name, or the first that is there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import httpx
from pydantic import SecretStr

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.models.aws import check_there
from prefect_governor.blocks.models.compatible import COMPATIBLE, OTHER_KEY_VARIABLES
from prefect_governor.blocks.models.completion import CHAT_MODES, TESTED_PROVIDERS
from prefect_governor.blocks.models.providers import UNPROVEN
from prefect_governor.blocks.models.vertex import PROVIDER as VERTEX
from prefect_governor.blocks.models.vertex import check_vertex
from prefect_governor.blocks.prices.bedrock import LISTED_AS
from prefect_governor.blocks.prices.bedrock import PROVIDER as BEDROCK
from prefect_governor.blocks.prices.deployments import PROVIDER as AZURE
from prefect_governor.blocks.prices.prices import (
    OFFLINE,
    OFFLINE_PRICE,
    Price,
    load_price,
    upstream_price,
    why_unpriced,
)
from prefect_governor.blocks.records.accepted import Unseen

AUTO = "auto"
BLOCK = "block:"

# A model on one's own machine is billed by nobody; the nominal price is the offline model's.
OLLAMA_PRICE = OFFLINE_PRICE

DEFAULT_MAX_OUTPUT_TOKENS = 1024
DEFAULT_TIMEOUT_SECONDS = 120.0

# The variable that holds the key of a provider, by the prefix of LiteLLM's model names.
KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "azure": "AZURE_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "bedrock": "AWS_BEARER_TOKEN_BEDROCK",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "groq": "GROQ_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "xai": "XAI_API_KEY",
    "fireworks_ai": "FIREWORKS_API_KEY",
    "minimax": "MINIMAX_API_KEY",
    "ovhcloud": "OVHCLOUD_API_KEY",
    **COMPATIBLE,
}
# What else a provider's key is taken from.
OTHER_KEYS = {**OTHER_KEY_VARIABLES, AZURE: ("AZURE_OPENAI_API_KEY", "AZURE_AD_TOKEN")}
# Providers that have no address of their own.
ADDRESSED = frozenset({AZURE})
# What else a provider's address is read from than PROVIDER_API_BASE; the first that is set.
BASE_VARIABLES = {
    "openai": ("OPENAI_BASE_URL", "OPENAI_API_BASE"),
    "ollama_chat": ("OLLAMA_API_BASE",),
    "fireworks_ai": ("FIREWORKS_API_BASE",),
    "friendliai": ("FRIENDLI_API_BASE",),
    "lambda_ai": ("LAMBDA_API_BASE",),
    "scx-ai": ("SCX_API_BASE",),
    "tensormesh": ("TENSORMESH_SERVERLESS_BASE_URL",),
}
# What `auto` takes where a provider's key is there, in this order.
AUTO_MODELS = (
    ("OPENAI_API_KEY", "openai/gpt-4o-mini"),
    ("ANTHROPIC_API_KEY", "anthropic/claude-haiku-4-5"),
    ("GEMINI_API_KEY", "gemini/gemini-2.5-flash-lite"),
    ("GROQ_API_KEY", "groq/openai/gpt-oss-20b"),
    ("MISTRAL_API_KEY", "mistral/mistral-small-latest"),
    ("DEEPSEEK_API_KEY", "deepseek/deepseek-chat"),
)
_OLLAMA_SECONDS = 0.3


class NoKey(ConfigurationError):
    """This machine has no key for a model, which is read from `variable`."""

    def __init__(self, message: str, model: str = "", variable: str = "") -> None:
        super().__init__(message)
        self.model = model
        self.variable = variable


@dataclass(frozen=True)
class ModelChoice:
    """A model to call, how to reach it, and what else to try when it fails.

    `why` says in a person's words how it was chosen.
    """

    name: str
    why: str
    fallbacks: tuple[str, ...] = ()
    api_base: str | None = None
    api_key: SecretStr | None = None
    max_output_tokens: int = DEFAULT_MAX_OUTPUT_TOKENS
    timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS
    prices: Mapping[str, Price] = field(default_factory=dict)
    allow_untested_provider: bool = False
    unseen: Unseen = "refuse"

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.fallbacks)

    @property
    def asked_of(self) -> list[Any]:
        """What of it shapes an answer, whatever is asked: the models, where they are reached, and
        how long the answer may be. JSON values."""
        return [[(name, self.reached_at(name)) for name in self.names], self.max_output_tokens]

    def reached_at(self, name: str) -> str | None:
        """The address that one of the names is reached at, where a block or a variable gives one;
        None for the provider's own."""
        if self.api_base is not None:
            return self.api_base
        provider = _provider(name, load_price(name))
        variables = BASE_VARIABLES.get(provider, (f"{provider.upper()}_API_BASE",))
        return next((base for each in variables if (base := os.environ.get(each))), None)

    def price_of(self, name: str) -> Price | None:
        return self.prices.get(name) or load_price(name) or upstream_price(name)

    def provider_of(self, name: str) -> str:
        """Whose model one of the names means."""
        return _provider(name, load_price(name))

    def key_of(self, name: str) -> tuple[SecretStr | None, str]:
        """The key that one of the names is called with, and where it is from: the block, or a
        variable. None where there is none."""
        if self.api_key is not None:
            return self.api_key, "in the block"
        for variable in _key_variables(self.provider_of(name)):
            if value := os.environ.get(variable):
                return SecretStr(value), variable
        return None, ""

    def check(self) -> None:
        """Raises ConfigurationError (NoKey where it is that) where a key or a price is missing, or
        where a call of the model would be refused whatever it says."""
        for name in self.names:
            price = self.price_of(name)
            provider = _provider(name, load_price(name))
            if provider not in TESTED_PROVIDERS and not self.allow_untested_provider:
                raise ConfigurationError(
                    f"{name}: {provider!r} is not one of the providers that are proven to send"
                    f" through the governor ({', '.join(sorted(TESTED_PROVIDERS))}). {UNPROVEN}."
                    " Reach it through an OpenAI-compatible gateway: openai/MODEL in a Model block"
                    f" with api_base, named with --model {BLOCK}NAME, where"
                    " `allow_untested_provider` accepts it all the same"
                )
            if provider == VERTEX:
                account = self.api_key and self.api_key.get_secret_value()
                check_vertex(
                    name, {"vertex_credentials": account}, untested=self.allow_untested_provider
                )
            variable = KEY_VARIABLES.get(provider)
            keyless = provider not in ADDRESSED and self.api_base
            keyless = keyless or (provider == "openai" and self.reached_at(name))
            known = keyless or self.key_of(name)[0] is not None
            if provider == BEDROCK:
                check_there(name, bearer=self.api_key is not None, address=self.api_base)
            elif variable and not known:
                raise NoKey(
                    f"no key for {name}: set {variable}, give one in a Model block and name it"
                    f" with --model {BLOCK}NAME, or use --model {OFFLINE}, which needs none",
                    name,
                    variable,
                )
            if provider in ADDRESSED and not self.reached_at(name):
                raise ConfigurationError(
                    f"no address for {name}: set {provider.upper()}_API_BASE, or give api_base in a"
                    f" Model block and name it with --model {BLOCK}NAME"
                )
            if price is None:
                behind = "name the model behind it as base_model, or " if provider == AZURE else ""
                raise ConfigurationError(
                    f"{why_unpriced(name)}; so its cost cannot be held under a ceiling:"
                    f" {behind}give the price in a Model block (price) and name it with"
                    f" --model {BLOCK}NAME, or in the Governor's prices; 'free' where it costs"
                    " nothing"
                )
            if price.mode not in CHAT_MODES:
                raise ConfigurationError(
                    f"{name} is a model for {price.mode}, not for chat: name a chat model"
                )


def _provider(name: str, price: Price | None) -> str:
    """Whose model a name means, as LiteLLM reads it: the prefix that it knows, else the provider
    that it has the model's price from, else OpenAI."""
    prefix, slash, _ = name.partition("/")
    if slash and prefix in TESTED_PROVIDERS:
        return prefix
    if price is not None and price.provider is not None:
        return BEDROCK if price.provider in LISTED_AS else price.provider
    return prefix if slash else "openai"


def _key_variables(provider: str) -> tuple[str, ...]:
    variable = KEY_VARIABLES.get(provider)
    others = OTHER_KEYS.get(provider, ())
    return others if variable is None else (variable, *others)


def named(name: str, why: str) -> ModelChoice:
    """A model by LiteLLM's name. `why` in a person's words."""
    prices = {OFFLINE: OFFLINE_PRICE} if name == OFFLINE else {}
    return ModelChoice(name, why, prices=prices)


def first_there() -> ModelChoice:
    """What `auto` means: the first model that is there."""
    for variable, name in AUTO_MODELS:
        if os.environ.get(variable):
            return named(name, f"{variable} is set")
    base = os.environ.get("OLLAMA_API_BASE", "http://localhost:11434").rstrip("/")
    local = _ollama_model(base)
    if local is not None:
        name = f"ollama/{local}"
        return ModelChoice(name, f"Ollama runs at {base}", prices={name: OLLAMA_PRICE})
    return named(OFFLINE, "no key is set and no Ollama runs here")


def _ollama_model(base: str) -> str | None:
    """The first model that a local Ollama has."""
    try:
        found = httpx.get(f"{base}/api/tags", timeout=_OLLAMA_SECONDS).raise_for_status().json()
        return str(found["models"][0]["name"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
        return None

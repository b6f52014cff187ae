"""Which model a run calls: by LiteLLM's name, by a Model block's, or the first that is there."""

import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from decimal import Decimal

import httpx
from pydantic import SecretStr

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.model.completion import CHAT_MODES, TESTED_PROVIDERS
from prefect_governor.blocks.model.prices import Price, PriceOverride, load_price

OFFLINE = "offline/extract"
AUTO = "auto"
BLOCK = "block:"

# What the offline model "costs": nothing is billed, but the ledger counts it as if it were, so
# that a first run without a key shows a real budget at work.
OFFLINE_PRICE = PriceOverride(
    input_usd_per_million_tokens=Decimal("0.15"), output_usd_per_million_tokens=Decimal("0.60")
)
# A model on one's own machine is billed by nobody; the nominal price is the offline model's.
OLLAMA_PRICE = OFFLINE_PRICE

DEFAULT_MAX_OUTPUT_TOKENS = 1024
DEFAULT_TIMEOUT_SECONDS = 120.0

# The variable that holds the key of a provider, by the prefix of LiteLLM's model names.
KEY_VARIABLES = {
    "openai": "OPENAI_API_KEY",
    "anthropic": "ANTHROPIC_API_KEY",
    "gemini": "GEMINI_API_KEY",
    "openrouter": "OPENROUTER_API_KEY",
    "together_ai": "TOGETHERAI_API_KEY",
    "groq": "GROQ_API_KEY",
    "deepseek": "DEEPSEEK_API_KEY",
    "mistral": "MISTRAL_API_KEY",
    "xai": "XAI_API_KEY",
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

    @property
    def names(self) -> tuple[str, ...]:
        return (self.name, *self.fallbacks)

    def price_of(self, name: str) -> Price | None:
        return self.prices.get(name) or load_price(name)

    def check(self) -> None:
        """Raises ConfigurationError where a key or a price is missing, or where a call of the
        model would be refused whatever it says."""
        for name in self.names:
            price = self.price_of(name)
            provider = _provider(name, load_price(name))
            if provider not in TESTED_PROVIDERS and not self.allow_untested_provider:
                raise ConfigurationError(
                    f"{name}: {provider!r} is not one of the providers that are proven to send"
                    f" through the governor ({', '.join(sorted(TESTED_PROVIDERS))}); reach it"
                    " through an OpenAI-compatible gateway: openai/MODEL in a Model block with"
                    f" api_base, named with --model {BLOCK}NAME, where `allow_untested_provider`"
                    " accepts it all the same"
                )
            variable = KEY_VARIABLES.get(provider)
            keyless = self.api_base or (provider == "openai" and _openai_base())
            if not (self.api_key or keyless) and variable and not os.environ.get(variable):
                raise ConfigurationError(
                    f"no key for {name}: set {variable}, give one in a Model block and name it"
                    f" with --model {BLOCK}NAME, or use --model {OFFLINE}, which needs none"
                )
            if price is None:
                raise ConfigurationError(
                    f"no price is known for {name}, so its cost cannot be held under a ceiling:"
                    " give the price in a Model block (price) and name it with"
                    f" --model {BLOCK}NAME"
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
        return price.provider
    return prefix if slash else "openai"


def choose(
    name: str, *, max_output_tokens: int | None = None, timeout_seconds: float | None = None
) -> ModelChoice:
    """The model that a name means.

    Args:
        name: LiteLLM's name of a model, "auto", or "block:NAME" for a saved Model block.
        max_output_tokens: the most one answer may have; the block's or 1,024 where it is None.
        timeout_seconds: how long one request may take; the block's or 120 where it is None.

    Raises ConfigurationError: no such block, no key, no price.
    """
    if name.startswith(BLOCK):
        choice = _from_block(name.removeprefix(BLOCK))
    elif name == AUTO:
        choice = _first_there()
    else:
        choice = _named(name, "as asked")
    choice = replace(
        choice,
        max_output_tokens=max_output_tokens or choice.max_output_tokens,
        timeout_seconds=timeout_seconds or choice.timeout_seconds,
    )
    choice.check()
    return choice


def _named(name: str, why: str) -> ModelChoice:
    prices = {OFFLINE: OFFLINE_PRICE.price()} if name == OFFLINE else {}
    return ModelChoice(name, why, prices=prices)


def _first_there() -> ModelChoice:
    for variable, name in AUTO_MODELS:
        if os.environ.get(variable):
            return _named(name, f"{variable} is set")
    base = os.environ.get("OLLAMA_API_BASE", "http://localhost:11434").rstrip("/")
    local = _ollama_model(base)
    if local is not None:
        name = f"ollama/{local}"
        return ModelChoice(name, f"Ollama runs at {base}", prices={name: OLLAMA_PRICE.price()})
    return _named(OFFLINE, "no key is set and no Ollama runs here")


def _openai_base() -> str | None:
    """An OpenAI-compatible server of one's own may need no key."""
    return os.environ.get("OPENAI_BASE_URL") or os.environ.get("OPENAI_API_BASE")


def _ollama_model(base: str) -> str | None:
    """The first model that a local Ollama has."""
    try:
        found = httpx.get(f"{base}/api/tags", timeout=_OLLAMA_SECONDS).raise_for_status().json()
        return str(found["models"][0]["name"])
    except (httpx.HTTPError, ValueError, KeyError, IndexError, TypeError):
        return None


def _from_block(name: str) -> ModelChoice:
    from prefect_governor.blocks.model.block import Model
    from prefect_governor.blocks.registry import load_block

    block: Model = load_block(Model, name)
    price = {} if block.price is None else {block.name: block.price.price(load_price(block.name))}
    return ModelChoice(
        block.name,
        f"Model block {name!r}",
        fallbacks=tuple(block.fallbacks),
        api_base=block.api_base,
        api_key=block.api_key,
        max_output_tokens=block.max_output_tokens,
        timeout_seconds=block.timeout_seconds,
        prices=price,
        allow_untested_provider=block.allow_untested_provider,
    )

"""The tested list of providers, and what each is reached by: an address, a key, whose client."""

import os

from prefect_governor.blocks.errors import ConfigurationError, NotGoverned
from prefect_governor.blocks.models.compatible import COMPATIBLE
from prefect_governor.blocks.models.library.module import litellm
from prefect_governor.blocks.models.openai_clients import Wanted
from prefect_governor.blocks.prices.deployments import PROVIDER as AZURE
from prefect_governor.blocks.prices.prices import OFFLINE_HOST

# The tested list: with each of these, one completion is one request through our transport. The
# first, Azure and those of `compatible` are spoken to with OpenAI's clients, the others with
# LiteLLM's: in OpenAI's chat dialect, and the last in their own.
OPENAI_CLIENT = frozenset({"openai", "lm_studio", "ollama", "ollama_chat", "offline"})
LITELLM_CLIENT = frozenset(
    {
        "openrouter", "together_ai", "groq", "deepseek", "mistral", "hosted_vllm", "xai",
        "fireworks_ai", "minimax", "ovhcloud",
    }
)  # fmt: skip
OWN_DIALECT = frozenset({"anthropic", "bedrock", "gemini", "vertex_ai"})
TESTED_PROVIDERS = OPENAI_CLIENT | {AZURE} | LITELLM_CLIENT | OWN_DIALECT | frozenset(COMPATIBLE)
# Those of them whose embeddings and responses are proven too, all with OpenAI's paths.
EMBEDDING_PROVIDERS = frozenset(
    {
        "openai", AZURE, "lm_studio", "ollama", "ollama_chat", "hosted_vllm", "mistral",
        "together_ai",
    }
)  # fmt: skip
RESPONSES_PROVIDERS = frozenset(
    {"openai", AZURE, "lm_studio", "ollama", "ollama_chat", "hosted_vllm"}
)

UNPROVEN = (
    "What is not proven of it: that a call is one request through the governor and nothing leaves "
    "beside it, and that what is settled is what it bills"
)

_OFFLINE_BASE = f"http://{OFFLINE_HOST}/v1"
_OLLAMA_BASE = "http://localhost:11434"
_NO_KEY = "none-needed"


def provider_of(
    model: str, tested: frozenset[str] = TESTED_PROVIDERS, *, allow_untested: bool = False
) -> str:
    """Whose model a LiteLLM name means. Raises NotGoverned for one that is not on the list, unless
    the caller takes that upon them."""
    provider, slash, _ = model.partition("/")
    if not slash or provider not in tested:
        if provider in ("offline", "ollama", "ollama_chat"):
            raise NotGoverned(f"{model!r} names no model; write {provider}/<model>")
        try:
            _, provider, _, _ = litellm().get_llm_provider(model=model)
        except Exception:
            provider = model.partition("/")[0]
    if provider not in tested and not allow_untested:
        raise NotGoverned(
            f"{provider!r} is not on the list of providers that are proven to send through the "
            f"governor: {', '.join(sorted(tested))}. {UNPROVEN}. Reach it through an "
            "OpenAI-compatible gateway (openai/<model> with api_base), use its SDK with "
            "governor.http_client(), or accept it with allow_untested_provider=True"
        )
    return provider


def for_openai(
    provider: str, model: str, api_base: str | None, api_key: str | None
) -> tuple[str, Wanted]:
    """LiteLLM's name for the model and what OpenAI's client is built with.

    Raises ConfigurationError for a missing address or key.
    """
    bare = model.removeprefix(f"{provider}/")
    if provider == "offline":
        return f"openai/{bare}", Wanted(provider, _OFFLINE_BASE, _NO_KEY, offline=True)
    if provider in ("ollama", "ollama_chat"):
        # Its OpenAI-compatible API, beside the two of its own.
        base = (api_base or os.environ.get("OLLAMA_API_BASE") or _OLLAMA_BASE).rstrip("/")
        base = base if base.endswith("/v1") else f"{base}/v1"
        return f"openai/{bare}", Wanted(provider, base, api_key or _NO_KEY)
    if provider == "lm_studio":
        address = api_base or os.environ.get("LM_STUDIO_API_BASE")
        if not address:
            raise ConfigurationError("no address for lm_studio: set LM_STUDIO_API_BASE")
        local_key = api_key or os.environ.get("LM_STUDIO_API_KEY") or _NO_KEY
        return model, Wanted(provider, address, local_key)
    library = litellm()
    address = (
        api_base
        or library.api_base
        or os.environ.get("OPENAI_BASE_URL")
        or os.environ.get("OPENAI_API_BASE")
    )
    key = api_key or library.api_key or library.openai_key or os.environ.get("OPENAI_API_KEY")
    if not key and address is None:
        raise ConfigurationError(
            f"no key for {model!r}: set OPENAI_API_KEY, or the key in the Model block"
        )
    return model, Wanted(provider, address or "https://api.openai.com/v1", key or _NO_KEY)


def as_openai(
    provider: str, model: str, api_base: str | None, api_key: str | None
) -> tuple[str, Wanted]:
    """The same for the paths that all providers with an OpenAI-compatible API share: LiteLLM is
    told that the model is OpenAI's, and prices and limits stay those of `provider`.

    Raises ConfigurationError for a missing address or key.
    """
    name = f"openai/{model.removeprefix(f'{provider}/')}"
    if provider in OPENAI_CLIENT:
        return name, for_openai(provider, model, api_base, api_key)[1]
    return name, at_its_address(provider, model, api_base, api_key)


def at_its_address(provider: str, model: str, api_base: str | None, api_key: str | None) -> Wanted:
    """What OpenAI's client is built with for a provider whose address and key LiteLLM knows.

    Raises ConfigurationError for a missing address, and for a missing key of a provider of
    `compatible` that is asked at its own host.
    """
    _, _, key, address = litellm().get_llm_provider(model=model, api_base=api_base, api_key=api_key)
    address = api_base or address
    if not address:
        raise ConfigurationError(
            f"no address for {model!r}: set {provider.upper()}_API_BASE, or give api_base"
        )
    key = api_key or key
    if not key and api_base is None and provider in COMPATIBLE:
        raise ConfigurationError(
            f"no key for {model!r}: set {COMPATIBLE[provider]}, or the key in the Model block"
        )
    return Wanted(provider, address, key or _NO_KEY)

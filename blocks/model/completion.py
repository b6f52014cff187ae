"""LiteLLM's `completion` and `acompletion` under a governor: its names, arguments and replies.

LiteLLM is handed a client whose transport is ours (`wire.transport`), where the call is admitted
and settled. What would send beside it is refused, and its own retries are off.
"""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError, NotGoverned, governor_error
from prefect_governor.blocks.model.clients import (
    Wanted,
    async_client,
    blocking_client,
    requests_seen,
)
from prefect_governor.blocks.model.library import litellm
from prefect_governor.blocks.model.prices import load_price
from prefect_governor.blocks.scope import Scope, current_scope, scope
from prefect_governor.blocks.wire.exchange import OUTSIDE
from prefect_governor.blocks.wire.governing import Governing

# The tested list: with each of these, one completion is one request through our transport, in
# OpenAI's chat dialect. The first are spoken to with OpenAI's client, the others with LiteLLM's.
OPENAI_CLIENT = frozenset({"openai", "lm_studio", "ollama", "ollama_chat", "offline"})
LITELLM_CLIENT = frozenset(
    {"openrouter", "together_ai", "groq", "deepseek", "mistral", "hosted_vllm", "xai"}
)
TESTED_PROVIDERS = OPENAI_CLIENT | LITELLM_CLIENT

# Arguments of LiteLLM that send, answer or choose beside the governor, and what to do instead.
REFUSED_ARGUMENTS = {
    "client": "the governor brings its own; use governor.http_client() with an SDK of your own",
    "shared_session": "the governor brings its own client",
    "custom_llm_provider": "name the provider in the model: provider/model",
    "fallbacks": "give them in the Model block, where each is admitted anew",
    "context_window_fallback_dict": "give fallbacks in the Model block",
    "model_list": "call one model at a time",
    "mock_response": "nothing is called, so there is nothing to govern",
    "mock_tool_calls": "nothing is called, so there is nothing to govern",
    "mock_timeout": "nothing is called, so there is nothing to govern",
    "caching": "replies are kept by the governor",
    "cache": "replies are kept by the governor",
    "deployment_id": "name the model itself",
    "api_version": "Azure is not on the tested list yet",
}
# One layer retries, and it is not LiteLLM's.
_NEUTRALISED = ("num_retries", "max_retries", "retry_strategy", "retry_policy")
CHAT_MODES = (None, "chat", "completion")
_OFFLINE_BASE = "http://offline.invalid/v1"
_OLLAMA_BASE = "http://localhost:11434"
_NO_KEY = "none-needed"


async def acompletion(model: str, messages: Sequence[Any], **kwargs: Any) -> Any:
    """`litellm.acompletion` under the governor of the context.

    `model` is a LiteLLM name whose provider is on the tested list (`TESTED_PROVIDERS`). Set
    `max_tokens`: a call without an upper bound is refused. Returns LiteLLM's own reply, a stream
    with `stream=True`.

    Raises a CallRefused (NotGoverned, NotPriced, NotBounded, OverBudget, QueueTimeout, RunStopped,
    LedgerUnavailable) before anything is spent; ConfigurationError for a missing key; LiteLLM's
    errors for what the provider answers.
    """
    call = _prepare(model, kwargs)
    with _watched() as seen, _unwrapped():
        reply = await litellm().acompletion(
            model=call.model, messages=list(messages), client=async_client(call.wanted),
            **call.arguments,
        )  # fmt: skip
    return _came_through(reply, seen, model)


def completion(model: str, messages: Sequence[Any], **kwargs: Any) -> Any:
    """`acompletion` for synchronous code: the calling thread waits."""
    call = _prepare(model, kwargs)
    with _watched() as seen, _unwrapped():
        reply = litellm().completion(
            model=call.model, messages=list(messages), client=blocking_client(call.wanted),
            **call.arguments,
        )  # fmt: skip
    return _came_through(reply, seen, model)


async def acompletion_under(
    governing: Governing,
    model: str,
    messages: Sequence[Any],
    *,
    tags: Sequence[str] = (),
    **kwargs: Any,
) -> Any:
    """`acompletion` under this governor, whatever the context's is. `tags` are added to those of
    the context."""
    with _under(governing, tags):
        return await acompletion(model, messages, **kwargs)


def completion_under(
    governing: Governing,
    model: str,
    messages: Sequence[Any],
    *,
    tags: Sequence[str] = (),
    **kwargs: Any,
) -> Any:
    """`completion` under this governor, whatever the context's is."""
    with _under(governing, tags):
        return completion(model, messages, **kwargs)


@dataclass(frozen=True, slots=True)
class _Prepared:
    model: str
    wanted: Wanted
    # A key may be among them.
    arguments: dict[str, Any] = field(repr=False)


def _prepare(model: str, kwargs: dict[str, Any]) -> _Prepared:
    if current_scope.get() is None:
        raise NotGoverned(OUTSIDE)
    for name, instead in REFUSED_ARGUMENTS.items():
        if kwargs.get(name) is not None and kwargs[name] is not False:
            raise NotGoverned(f"`{name}` would pass by the governor: {instead}")
    arguments = {
        name: value
        for name, value in kwargs.items()
        if name not in _NEUTRALISED and name not in REFUSED_ARGUMENTS
    }
    api_base = arguments.pop("base_url", None) or arguments.pop("api_base", None)
    api_key = arguments.pop("api_key", None)
    arguments.pop("api_base", None)
    if hasattr(api_key, "get_secret_value"):
        api_key = api_key.get_secret_value()
    _one_layer_retries()
    provider = _provider(model)
    known = load_price(model)
    if known is not None and known.mode not in CHAT_MODES:
        raise NotGoverned(
            f"{model!r} is a model for {known.mode}, not for chat completions; use a chat model"
        )
    arguments |= {
        "max_retries": 0,
        "num_retries": 0,
        # A cache that is set up globally would answer in our place.
        "caching": False,
        # Both would send to other paths, with clients of LiteLLM's own.
        "_skip_responses_api_bridge": True,
        "_skip_mcp_handler": True,
    }
    if provider in OPENAI_CLIENT:
        name, wanted = _for_openai(provider, model, api_base, api_key)
        return _Prepared(name, wanted, arguments)
    if api_base is not None:
        arguments["api_base"] = api_base
    if api_key is not None:
        arguments["api_key"] = api_key
    # The key and the base go with each request, so one client serves them all.
    return _Prepared(model, Wanted(provider, None, None, openai=False), arguments)


def _one_layer_retries() -> None:
    """Raises ConfigurationError where LiteLLM was told, for all calls, to try again by itself."""
    library = litellm()
    for name in ("num_retries", "num_retries_per_request", "model_fallbacks"):
        if getattr(library, name, None):
            raise ConfigurationError(
                f"litellm.{name} is set, so LiteLLM would call again by itself; set it to None: "
                "retries and fallbacks are the governor's, each admitted anew"
            )


def _provider(model: str) -> str:
    provider, slash, _ = model.partition("/")
    if not slash or provider not in TESTED_PROVIDERS:
        if provider in ("offline", "ollama", "ollama_chat"):
            raise NotGoverned(f"{model!r} names no model; write {provider}/<model>")
        try:
            _, provider, _, _ = litellm().get_llm_provider(model=model)
        except Exception:
            provider = model.partition("/")[0]
    if provider not in TESTED_PROVIDERS:
        raise NotGoverned(
            f"{provider!r} is not on the list of providers that are proven to send through the "
            f"governor: {', '.join(sorted(TESTED_PROVIDERS))}. Reach it through an "
            "OpenAI-compatible gateway (openai/<model> with api_base), or use its SDK with "
            "governor.http_client()"
        )
    return provider


def _for_openai(
    provider: str, model: str, api_base: str | None, api_key: str | None
) -> tuple[str, Wanted]:
    """LiteLLM's name for the model and what OpenAI's client is built with."""
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


@contextmanager
def _under(governing: Governing, tags: Sequence[str]) -> Iterator[Scope]:
    here = current_scope.get()
    within = Scope(governing) if here is None else replace(here, governor=governing)
    with scope(replace(within, tags=tuple(sorted({*within.tags, *tags})))) as entered:
        yield entered


@contextmanager
def _watched() -> Iterator[list[str]]:
    seen: list[str] = []
    token = requests_seen.set(seen)
    try:
        yield seen
    finally:
        requests_seen.reset(token)


@contextmanager
def _unwrapped() -> Iterator[None]:
    """Raises our own error where LiteLLM and the SDK wrapped it in theirs."""
    try:
        yield
    except Exception as error:
        ours = governor_error(error)
        if ours is None or ours is error:
            raise
        raise ours from None


def _came_through(reply: Any, seen: list[str], model: str) -> Any:
    """The reply, if a request for it came through our transport."""
    if not seen:
        raise NotGoverned(
            f"LiteLLM answered for {model!r} without sending through the governor. What that cost "
            "is not counted; this version of LiteLLM cannot be used with it"
        )
    return reply

"""LiteLLM's `responses` and `aresponses` under a governor: its names, arguments and replies."""

import importlib
import sys
from collections.abc import Sequence
from dataclasses import replace
from functools import lru_cache
from types import ModuleType
from typing import Any

from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.errors import NotGoverned
from prefect_governor.blocks.models.azure import for_azure_responses
from prefect_governor.blocks.models.calls import (
    Prepared,
    accepting,
    came_through,
    check_governed,
    check_mode,
    taken,
    under,
    unwrapped,
    watched,
)
from prefect_governor.blocks.models.clients import async_client, blocking_client
from prefect_governor.blocks.models.library.module import litellm, litellm_off_loop
from prefect_governor.blocks.models.providers import (
    RESPONSES_PROVIDERS,
    as_openai,
    provider_of,
)
from prefect_governor.blocks.prices.deployments import PROVIDER as AZURE

# A chat model answers by this API too.
RESPONSES_MODES = (None, "chat", "responses")

# What sends by another path, with clients of LiteLLM's own, or has a prompt of unknown length.
_BRIDGES = ("use_chat_completions_api", "prompt_id")
_BRIDGE_PREFIX = "chat_completions/"

# LiteLLM's module that runs MCP tools by itself, where the package `mcp` is there.
_GATEWAY = "litellm.responses.mcp.litellm_proxy_mcp_handler"

Input = str | Sequence[Any]


async def aresponses(input: Input, model: str, *, tags: Sequence[str] = (), **kwargs: Any) -> Any:
    """`litellm.aresponses` under the governor of the context.

    What refers to an earlier response by its id is refused, as is every tool that the provider
    runs. Raises as `acompletion` does.

    Args:
        input: a text or items.
        model: a LiteLLM name whose provider is on the tested list for responses.
        tags: are added to those of the context; they choose the limits.
        **kwargs: LiteLLM's own arguments. Without `max_output_tokens` the model's own limit is the
            bound, or less where the money is not there for it; where no limit is known it is
            refused.

    Returns:
        LiteLLM's own reply, a stream of events with `stream=True` (which LiteLLM makes of a whole
        reply where it does not know that the model streams).
    """
    check_governed(kwargs)
    await litellm_off_loop()
    call = _prepare(model, kwargs)
    with accepting(call.accepted, tags), watched() as seen, unwrapped():
        reply = await _library().aresponses(
            input=input, model=call.model, client=async_client(call.wanted), **call.arguments
        )
    return came_through(reply, seen, model)


def responses(input: Input, model: str, *, tags: Sequence[str] = (), **kwargs: Any) -> Any:
    """`aresponses` for synchronous code: the calling thread waits."""
    check_governed(kwargs)
    call = _prepare(model, kwargs)
    with accepting(call.accepted, tags), watched() as seen, unwrapped():
        reply = _library().responses(
            input=input, model=call.model, client=blocking_client(call.wanted), **call.arguments
        )
    return came_through(reply, seen, model)


async def aresponses_under(
    governing: Governing, input: Input, model: str, *, tags: Sequence[str] = (), **kwargs: Any
) -> Any:
    """`aresponses` under this governor, whatever the context's is. `tags` are added to those of
    the context."""
    with under(governing, tags):
        return await aresponses(input, model, **kwargs)


def responses_under(
    governing: Governing, input: Input, model: str, *, tags: Sequence[str] = (), **kwargs: Any
) -> Any:
    """`responses` under this governor, whatever the context's is."""
    with under(governing, tags):
        return responses(input, model, **kwargs)


@lru_cache(maxsize=1)
def _library() -> Any:
    """LiteLLM, which imports its gateway for MCP tools for every response, told to skip it or not:
    a package that its own installation does not bring. Where it cannot be imported there is no
    gateway, and a place is held for it that says so."""
    library = litellm()
    try:
        importlib.import_module(_GATEWAY)
    except ImportError:
        module: Any = ModuleType(_GATEWAY, "No package `mcp` that LiteLLM can use is installed.")
        module.LiteLLM_Proxy_MCP_Handler = _NoGateway
        sys.modules[_GATEWAY] = module
    return library


class _NoGateway:
    """In place of LiteLLM's gateway for MCP tools."""

    @staticmethod
    def should_use_litellm_mcp_gateway(tools: Any = None) -> bool:
        return False


def _prepare(model: str, kwargs: dict[str, Any]) -> Prepared:
    given = taken(kwargs)
    for name in _BRIDGES:
        if given.arguments.get(name):
            raise NotGoverned(f"`{name}` would pass by the governor: use `completion` instead")
    provider = provider_of(model, RESPONSES_PROVIDERS)
    check_mode(model, RESPONSES_MODES, "not for responses; use a chat or a responses model")
    # It would call tools, and the model again, with clients of LiteLLM's own.
    arguments = {**given.arguments, "_skip_mcp_handler": True}
    if provider == AZURE:
        return for_azure_responses(model, given, arguments)
    name, wanted = as_openai(provider, model, given.api_base, given.api_key)
    if name.removeprefix("openai/").startswith(_BRIDGE_PREFIX):
        raise NotGoverned(f"{model!r} would send chat completions: use `completion` instead")
    arguments |= {"api_base": wanted.api_base, "api_key": wanted.api_key}
    # Spoken to with LiteLLM's own handler, to which the key and the base go with each request.
    return Prepared(
        name, replace(wanted, api_base=None, api_key=None, openai=False), arguments, given.accepted
    )

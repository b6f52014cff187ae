"""LiteLLM's `completion` and `acompletion` under a governor: its names, arguments and replies.

LiteLLM is handed a client whose transport is ours (`wire.transport`), where the call is admitted
and settled. What would send beside it is refused, and its own retries are off.
"""

from collections.abc import Sequence
from typing import Any

from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.models.aws import credentials_of, credentials_off_loop
from prefect_governor.blocks.models.azure import for_azure
from prefect_governor.blocks.models.calls import (
    REFUSED_ARGUMENTS,
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
from prefect_governor.blocks.models.compatible import COMPATIBLE
from prefect_governor.blocks.models.library.bookkeeping import Books
from prefect_governor.blocks.models.library.module import litellm, litellm_off_loop
from prefect_governor.blocks.models.openai_clients import Wanted
from prefect_governor.blocks.models.providers import (
    LITELLM_CLIENT,
    OPENAI_CLIENT,
    TESTED_PROVIDERS,
    as_openai,
    at_its_address,
    for_openai,
    provider_of,
)
from prefect_governor.blocks.models.vertex import PROVIDER as VERTEX
from prefect_governor.blocks.models.vertex import by_default, check_vertex
from prefect_governor.blocks.prices.deployments import PROVIDER as AZURE
from prefect_governor.blocks.wire.signing import signing_with

__all__ = [
    "CHAT_MODES",
    "LITELLM_CLIENT",
    "OPENAI_CLIENT",
    "REFUSED_ARGUMENTS",
    "TESTED_PROVIDERS",
    "acompletion",
    "acompletion_under",
    "completion",
    "completion_under",
]

CHAT_MODES = (None, "chat", "completion")


async def acompletion(
    model: str, messages: Sequence[Any], *, tags: Sequence[str] = (), **kwargs: Any
) -> Any:
    """`litellm.acompletion` under the governor of the context.

    Args:
        model: a LiteLLM name whose provider is on the tested list.
        messages: as LiteLLM takes them.
        tags: are added to those of the context; they choose the limits.
        **kwargs: LiteLLM's own arguments. Without `max_tokens` the model's own limit is the bound,
            or less where the money is not there for it; where no limit is known it is refused.
            With `allow_untested_provider=True` the provider may be any: what it sends through the
            governor is governed, and if nothing of it came through, NotGoverned is raised once it
            has answered. `allow_fields` and `unseen` are those of `Governor.http_client`.

    Returns:
        LiteLLM's own reply, a stream with `stream=True`.

    Raises:
        CallRefused: before anything is spent: `NotGoverned`, `NotPriced`, `NotBounded`,
            `OverBudget`, `QueueTimeout`, `RunStopped` or `LedgerUnavailable`. What the provider
            answers is raised as LiteLLM's own error.
        ConfigurationError: a key, a region or a package is missing.
    """
    check_governed(kwargs)
    library = await litellm_off_loop()
    call = _prepare(model, kwargs)
    credentials = await credentials_off_loop(call)
    with (
        signing_with(credentials), accepting(call.accepted, tags), watched() as seen, unwrapped(),
        by_default(),
    ):  # fmt: skip
        books = Books(
            library,
            "acompletion",
            {
                "model": call.model,
                "messages": list(messages),
                "client": async_client(call.wanted),
                **call.arguments,
            },
        )
        reply = books.close(await library.acompletion(**books.arguments))
        # Some providers' streams are only asked for when they are first read: here, at once.
        if not seen and hasattr(reply, "fetch_stream"):
            await reply.fetch_stream()
    return came_through(reply, seen, model)


def completion(
    model: str, messages: Sequence[Any], *, tags: Sequence[str] = (), **kwargs: Any
) -> Any:
    """`acompletion` for synchronous code: the calling thread waits."""
    check_governed(kwargs)
    call = _prepare(model, kwargs)
    credentials = credentials_of(call)
    with (
        signing_with(credentials), accepting(call.accepted, tags), watched() as seen, unwrapped(),
        by_default(),
    ):  # fmt: skip
        reply = litellm().completion(
            model=call.model, messages=list(messages), client=blocking_client(call.wanted),
            **call.arguments,
        )  # fmt: skip
        if not seen and hasattr(reply, "fetch_sync_stream"):
            reply.fetch_sync_stream()
    return came_through(reply, seen, model)


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
    with under(governing, tags):
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
    with under(governing, tags):
        return completion(model, messages, **kwargs)


def _prepare(model: str, kwargs: dict[str, Any]) -> Prepared:
    untested = kwargs.pop("allow_untested_provider", False) is True
    given = taken(kwargs)
    provider = provider_of(model, allow_untested=untested)
    check_mode(
        model, CHAT_MODES, "not for chat completions; use `responses`, `embedding` or a chat model"
    )
    arguments = {
        **given.arguments,
        # Both would send to other paths, with clients of LiteLLM's own.
        "_skip_responses_api_bridge": True,
        "_skip_mcp_handler": True,
    }
    if provider == AZURE:
        return for_azure(model, given, arguments)
    if provider in OPENAI_CLIENT:
        name, wanted = for_openai(provider, model, given.api_base, given.api_key)
        return Prepared(name, wanted, arguments, given.accepted)
    if provider in COMPATIBLE:
        wanted = at_its_address(provider, model, given.api_base, given.api_key)
        return Prepared(model, wanted, arguments, given.accepted)
    if provider not in TESTED_PROVIDERS and provider in litellm().openai_compatible_providers:
        name, wanted = as_openai(provider, model, given.api_base, given.api_key)
        return Prepared(name, wanted, arguments, given.accepted)
    if given.api_base is not None:
        arguments["api_base"] = given.api_base
    if given.api_key is not None:
        arguments["vertex_credentials" if provider == VERTEX else "api_key"] = given.api_key
    if provider == VERTEX:
        check_vertex(model, arguments, untested=untested)
    # The key and the base go with each request, so one client serves them all.
    return Prepared(model, Wanted(provider, None, None, openai=False), arguments, given.accepted)

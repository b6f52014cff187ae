"""LiteLLM's `embedding` and `aembedding` under a governor: its names, arguments and replies."""

from collections.abc import Sequence
from typing import Any

from prefect_governor.blocks.context.governing import Governing
from prefect_governor.blocks.models.azure import for_azure
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
    EMBEDDING_PROVIDERS,
    as_openai,
    provider_of,
)
from prefect_governor.blocks.prices.deployments import PROVIDER as AZURE

EMBEDDING_MODES = (None, "embedding")

Input = str | Sequence[str] | Sequence[int] | Sequence[Sequence[int]]


async def aembedding(model: str, input: Input, *, tags: Sequence[str] = (), **kwargs: Any) -> Any:
    """`litellm.aembedding` under the governor of the context.

    A call costs its input alone. Raises as `acompletion` does.

    Args:
        model: a LiteLLM name whose provider is on the tested list for embeddings.
        input: a text, texts, or lists of tokens.
        tags: are added to those of the context; they choose the limits.
        **kwargs: LiteLLM's own arguments.

    Returns:
        LiteLLM's own reply.
    """
    check_governed(kwargs)
    library = await litellm_off_loop()
    call = _prepare(model, kwargs)
    with accepting(call.accepted, tags), watched() as seen, unwrapped():
        reply = await library.aembedding(
            model=call.model, input=input, client=async_client(call.wanted), **call.arguments
        )
    return came_through(reply, seen, model)


def embedding(model: str, input: Input, *, tags: Sequence[str] = (), **kwargs: Any) -> Any:
    """`aembedding` for synchronous code: the calling thread waits."""
    check_governed(kwargs)
    call = _prepare(model, kwargs)
    with accepting(call.accepted, tags), watched() as seen, unwrapped():
        reply = litellm().embedding(
            model=call.model, input=input, client=blocking_client(call.wanted), **call.arguments
        )
    return came_through(reply, seen, model)


async def aembedding_under(
    governing: Governing, model: str, input: Input, *, tags: Sequence[str] = (), **kwargs: Any
) -> Any:
    """`aembedding` under this governor, whatever the context's is. `tags` are added to those of
    the context."""
    with under(governing, tags):
        return await aembedding(model, input, **kwargs)


def embedding_under(
    governing: Governing, model: str, input: Input, *, tags: Sequence[str] = (), **kwargs: Any
) -> Any:
    """`embedding` under this governor, whatever the context's is."""
    with under(governing, tags):
        return embedding(model, input, **kwargs)


def _prepare(model: str, kwargs: dict[str, Any]) -> Prepared:
    given = taken(kwargs)
    provider = provider_of(model, EMBEDDING_PROVIDERS)
    check_mode(model, EMBEDDING_MODES, "not for embeddings; use an embedding model")
    if provider == AZURE:
        arguments = {"allowed_openai_params": ["dimensions"], **given.arguments}
        return for_azure(model, given, arguments)
    name, wanted = as_openai(provider, model, given.api_base, given.api_key)
    arguments = given.arguments
    if provider != "openai":
        # LiteLLM knows of OpenAI's models alone which of them take it; the provider will say.
        arguments = {"allowed_openai_params": ["dimensions"], **arguments}
    return Prepared(name, wanted, arguments, given.accepted)

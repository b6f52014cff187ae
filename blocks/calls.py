"""The calls that a governor offers of its own: LiteLLM's pairs, and clients for SDKs on httpx."""

from collections.abc import Sequence
from typing import Any

import httpx

from prefect_governor.blocks.model.clients import async_pool, blocking_pool
from prefect_governor.blocks.model.completion import acompletion_under, completion_under
from prefect_governor.blocks.model.embedding import Input as EmbeddingInput
from prefect_governor.blocks.model.embedding import aembedding_under, embedding_under
from prefect_governor.blocks.model.responses import Input as ResponsesInput
from prefect_governor.blocks.model.responses import aresponses_under, responses_under
from prefect_governor.blocks.runtime import Runtime
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport


class Calls:
    """Made under the governor that has them, whatever the context's is. Part of `Governor`."""

    @property
    def runtime(self) -> Runtime:
        """The governor at work in this process."""
        raise NotImplementedError

    def http_client(self, *, tags: tuple[str, ...] = ()) -> httpx.Client:
        """A client for any SDK on httpx, whose calls are governed wherever they are made:
        `OpenAI(http_client=governor.http_client(), max_retries=0)`.

        It has a pool of its own, and httpx's default timeouts, in place of which an SDK sets its
        own; time in the queue does not count against them. Leave retries to the governor. Its calls
        raise what `wire.exchange` raises, wrapped as the SDK wraps errors of its transport.

        Raises what `runtime` raises.
        """
        transport = GovernedTransport(blocking_pool(), self.runtime, tags=tags)
        return httpx.Client(transport=transport, follow_redirects=True)

    def async_http_client(self, *, tags: tuple[str, ...] = ()) -> httpx.AsyncClient:
        """`http_client` for asynchronous code."""
        transport = GovernedAsyncTransport(async_pool(), self.runtime, tags=tags)
        return httpx.AsyncClient(transport=transport, follow_redirects=True)

    def completion(
        self, model: str, messages: Sequence[Any], *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.completion` under this governor, whatever the context's is."""
        return completion_under(self.runtime, model, messages, tags=tags, **kwargs)

    async def acompletion(
        self, model: str, messages: Sequence[Any], *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.acompletion` under this governor, whatever the context's is."""
        return await acompletion_under(self.runtime, model, messages, tags=tags, **kwargs)

    def embedding(
        self, model: str, input: EmbeddingInput, *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.embedding` under this governor, whatever the context's is."""
        return embedding_under(self.runtime, model, input, tags=tags, **kwargs)

    async def aembedding(
        self, model: str, input: EmbeddingInput, *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.aembedding` under this governor, whatever the context's is."""
        return await aembedding_under(self.runtime, model, input, tags=tags, **kwargs)

    def responses(
        self, input: ResponsesInput, model: str, *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.responses` under this governor, whatever the context's is."""
        return responses_under(self.runtime, input, model, tags=tags, **kwargs)

    async def aresponses(
        self, input: ResponsesInput, model: str, *, tags: tuple[str, ...] = (), **kwargs: Any
    ) -> Any:
        """`prefect_governor.aresponses` under this governor, whatever the context's is."""
        return await aresponses_under(self.runtime, input, model, tags=tags, **kwargs)

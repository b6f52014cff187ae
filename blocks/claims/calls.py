"""The calls that a governor offers of its own: LiteLLM's pairs."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Any

from prefect_governor.blocks.models.completion import acompletion_under, completion_under
from prefect_governor.blocks.models.embedding import Input as EmbeddingInput
from prefect_governor.blocks.models.embedding import aembedding_under, embedding_under
from prefect_governor.blocks.models.responses import Input as ResponsesInput
from prefect_governor.blocks.models.responses import aresponses_under, responses_under
from prefect_governor.blocks.work.runtime import Runtime


class Calls(ABC):
    """Made under the governor that has them, whatever the context's is. Part of `Governor`."""

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The governor at work in this process."""

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

"""What an agent of the user's own gets of the governor: clients whose calls are its task's."""

from collections.abc import Callable, Sequence
from typing import Any

import httpx

from prefect_governor.blocks.models.clients import async_pool, blocking_pool
from prefect_governor.blocks.models.completion import acompletion, completion
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport


class TaskGovernor:
    """Calls made through it are admitted, counted and kept for the task that is running.

    `tools` are plain functions with type hints and a docstring, as every library of agents takes
    them: `search_corpus` and `read` where there is a corpus, `read_result` where the task depends
    on others, and those that the run was given: coroutine functions where they name a limit. What
    the first two show may be cited.
    """

    def __init__(self, tools: Sequence[Callable[..., Any]] = ()) -> None:
        self.tools = list(tools)

    def http_client(self, *, tags: tuple[str, ...] = ()) -> httpx.Client:
        """For any SDK on httpx: `OpenAI(http_client=governor.http_client(), max_retries=0)`. A call
        that is refused is answered as `Governor.http_client` says."""
        transport = GovernedTransport(blocking_pool(), tags=tags, answers=True)
        return httpx.Client(transport=transport, follow_redirects=True)

    def async_http_client(self, *, tags: tuple[str, ...] = ()) -> httpx.AsyncClient:
        """`http_client` for asynchronous code."""
        transport = GovernedAsyncTransport(async_pool(), tags=tags, answers=True)
        return httpx.AsyncClient(transport=transport, follow_redirects=True)

    def completion(self, model: str, messages: list[Any], **kwargs: Any) -> Any:
        """`prefect_governor.completion`."""
        return completion(model, messages, **kwargs)

    async def acompletion(self, model: str, messages: list[Any], **kwargs: Any) -> Any:
        """`prefect_governor.acompletion`."""
        return await acompletion(model, messages, **kwargs)

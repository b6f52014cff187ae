"""The calls that a governor offers of its own: LiteLLM's pairs, and clients for SDKs on httpx."""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any, Literal, overload

import httpx

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.models.clients import async_pool, blocking_pool
from prefect_governor.blocks.models.completion import acompletion_under, completion_under
from prefect_governor.blocks.models.embedding import Input as EmbeddingInput
from prefect_governor.blocks.models.embedding import aembedding_under, embedding_under
from prefect_governor.blocks.models.responses import Input as ResponsesInput
from prefect_governor.blocks.models.responses import aresponses_under, responses_under
from prefect_governor.blocks.records.accepted import Unseen, accepted
from prefect_governor.blocks.terms.price import PricesGiven, parse_prices
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from prefect_governor.blocks.work.runtime import Runtime

if TYPE_CHECKING:
    import httpx2

Library = Literal["httpx", "httpx2"]


class Calls(ABC):
    """Made under the governor that has them, whatever the context's is. Part of `Governor`."""

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The governor at work in this process."""

    @overload
    def http_client(
        self,
        library: Literal["httpx"] = "httpx",
        *,
        tags: tuple[str, ...] = (),
        allow_fields: tuple[str, ...] = (),
        unseen: Unseen = "refuse",
        raise_refusals: bool = False,
        prices: PricesGiven | None = None,
        provider: str | None = None,
    ) -> httpx.Client: ...
    @overload
    def http_client(
        self,
        library: Literal["httpx2"],
        *,
        tags: tuple[str, ...] = (),
        allow_fields: tuple[str, ...] = (),
        unseen: Unseen = "refuse",
        raise_refusals: bool = False,
        prices: PricesGiven | None = None,
        provider: str | None = None,
    ) -> "httpx2.Client": ...
    def http_client(
        self,
        library: Library = "httpx",
        *,
        tags: tuple[str, ...] = (),
        allow_fields: tuple[str, ...] = (),
        unseen: Unseen = "refuse",
        raise_refusals: bool = False,
        prices: PricesGiven | None = None,
        provider: str | None = None,
    ) -> Any:
        """A client for any SDK on httpx, whose calls are governed wherever they are made:
        `OpenAI(http_client=governor.http_client(), max_retries=0)`; for an SDK on httpx2
        `Anthropic(http_client=governor.http_client("httpx2"), max_retries=0)`.

        It has a pool of its own, and httpx's default timeouts, in place of which an SDK sets its
        own; time in the queue does not count against them. Leave retries to the governor.

        A call that is refused is answered with a status (402 for money, 429 for a wait that was too
        long, 503 for the ledger, 400 for all else) and a body in the form of the provider's own
        errors, so that the SDK's exception says why. The header `x-prefect-governor-refusal` marks
        it, and names the error.

        Args:
            library: whose client it is.
            tags: are added to those of the calls; they choose the limits.
            allow_fields: names of request fields that this package does not know and that cost
                nothing beside the tokens: they pass. Any other such field is refused by its name.
            unseen: "context" bounds a part whose size nobody sees (a file or PDF by id or URL,
                audio, an earlier response or conversation by id, a hosted search within its
                declared number of uses) by the model's context window at its dearest rate, and the
                fee of each use. Default: such a part is refused by name.
            raise_refusals: raise a `CallRefused` from the transport instead, which SDKs wrap as
                they wrap a connection's errors, and may try again.
            prices: what models cost, by name or pattern, before what the governor says of them; in
                the form of `Governor.local`. "free": whatever this machine and its network serve.
            provider: whose models they are, by LiteLLM's name ("openrouter", "hosted_vllm"), where
                the host does not say it. Default: the host's, else the models' own names.

        Raises:
            ConfigurationError: a price is not valid, httpx2 is asked for and missing, or as
                `runtime` does.
            LedgerUnavailable: the ledger cannot be used.
        """
        transport = GovernedTransport(
            blocking_pool(),
            self._at_prices(prices),
            provider=provider,
            tags=tags,
            accepted=accepted(allow_fields, unseen),
            answers=not raise_refusals,
        )
        if library == "httpx":
            return httpx.Client(transport=transport, follow_redirects=True)
        httpx2, bridge = _httpx2(library)
        return httpx2.Client(transport=bridge.Bridge(transport), follow_redirects=True)

    @overload
    def async_http_client(
        self,
        library: Literal["httpx"] = "httpx",
        *,
        tags: tuple[str, ...] = (),
        allow_fields: tuple[str, ...] = (),
        unseen: Unseen = "refuse",
        raise_refusals: bool = False,
        prices: PricesGiven | None = None,
        provider: str | None = None,
    ) -> httpx.AsyncClient: ...
    @overload
    def async_http_client(
        self,
        library: Literal["httpx2"],
        *,
        tags: tuple[str, ...] = (),
        allow_fields: tuple[str, ...] = (),
        unseen: Unseen = "refuse",
        raise_refusals: bool = False,
        prices: PricesGiven | None = None,
        provider: str | None = None,
    ) -> "httpx2.AsyncClient": ...
    def async_http_client(
        self,
        library: Library = "httpx",
        *,
        tags: tuple[str, ...] = (),
        allow_fields: tuple[str, ...] = (),
        unseen: Unseen = "refuse",
        raise_refusals: bool = False,
        prices: PricesGiven | None = None,
        provider: str | None = None,
    ) -> Any:
        """`http_client` for asynchronous code."""
        transport = GovernedAsyncTransport(
            async_pool(),
            self._at_prices(prices),
            provider=provider,
            tags=tags,
            accepted=accepted(allow_fields, unseen),
            answers=not raise_refusals,
        )
        if library == "httpx":
            return httpx.AsyncClient(transport=transport, follow_redirects=True)
        httpx2, bridge = _httpx2(library)
        return httpx2.AsyncClient(transport=bridge.AsyncBridge(transport), follow_redirects=True)

    def _at_prices(self, prices: PricesGiven | None) -> Runtime:
        given = parse_prices(prices)
        return self.runtime.narrowed(prices=given) if given else self.runtime

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


def _httpx2(library: str) -> tuple[Any, Any]:
    """The library that was asked for, and what joins it to ours."""
    if library != "httpx2":
        raise ConfigurationError(f"library={library!r}: it is 'httpx' or 'httpx2'")
    try:
        import httpx2
    except ImportError as error:
        raise ConfigurationError(
            "httpx2 is not installed; an SDK that stands on it brings it, and for one on httpx"
            " http_client() is the client"
        ) from error
    from prefect_governor.blocks.wire import httpx2_bridge

    return httpx2, httpx2_bridge

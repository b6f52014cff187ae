"""Clients and transports that a governor offers to SDKs on httpx, and to those on httpx2."""

from abc import ABC, abstractmethod
from typing import TYPE_CHECKING, Any, Literal, TypedDict, overload

import httpx
from typing_extensions import Unpack

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.models.clients import async_pool, blocking_pool
from prefect_governor.blocks.records.accepted import Unseen, accepted
from prefect_governor.blocks.records.output import output_terms
from prefect_governor.blocks.terms.price import PricesGiven, parse_prices
from prefect_governor.blocks.wire.transport import GovernedAsyncTransport, GovernedTransport
from prefect_governor.blocks.work.runtime import Runtime

if TYPE_CHECKING:
    import httpx2

Library = Literal["httpx", "httpx2"]


class ClientTerms(TypedDict, total=False):
    """What `http_client` and its kin take; see there."""

    tags: tuple[str, ...]
    allow_fields: tuple[str, ...]
    unseen: Unseen
    raise_refusals: bool
    prices: PricesGiven | None
    provider: str | None
    max_output_tokens: int | None
    output_ceiling: bool


class Clients(ABC):
    """Their calls are made under the governor that has them, whatever the context's is. Part of
    `Governor`."""

    @property
    @abstractmethod
    def runtime(self) -> Runtime:
        """The governor at work in this process."""

    @overload
    def http_client(
        self, library: Literal["httpx"] = "httpx", **terms: Unpack[ClientTerms]
    ) -> httpx.Client: ...
    @overload
    def http_client(
        self, library: Literal["httpx2"], **terms: Unpack[ClientTerms]
    ) -> "httpx2.Client": ...
    def http_client(self, library: Library = "httpx", **terms: Unpack[ClientTerms]) -> Any:
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
            max_output_tokens: how long an answer may be, for requests that set no limit. Default:
                what the governor says, else the model's own limit.
            output_ceiling: hold requests that ask for more to it as well: it is lowered in what is
                sent. A ceiling of the governor's holds beside.

        Raises:
            ConfigurationError: a price or a limit is not valid, httpx2 is asked for and missing, or
                as `runtime` does.
            LedgerUnavailable: the ledger cannot be used.
        """
        client: Any = httpx.Client if library == "httpx" else _httpx2(library)[0].Client
        return client(transport=self.transport(library, **terms), follow_redirects=True)

    @overload
    def async_http_client(
        self, library: Literal["httpx"] = "httpx", **terms: Unpack[ClientTerms]
    ) -> httpx.AsyncClient: ...
    @overload
    def async_http_client(
        self, library: Literal["httpx2"], **terms: Unpack[ClientTerms]
    ) -> "httpx2.AsyncClient": ...
    def async_http_client(self, library: Library = "httpx", **terms: Unpack[ClientTerms]) -> Any:
        """`http_client` for asynchronous code, with the same arguments."""
        client: Any = httpx.AsyncClient if library == "httpx" else _httpx2(library)[0].AsyncClient
        return client(transport=self.async_transport(library, **terms), follow_redirects=True)

    @overload
    def clients(
        self, library: Literal["httpx"] = "httpx", **terms: Unpack[ClientTerms]
    ) -> tuple[httpx.Client, httpx.AsyncClient]: ...
    @overload
    def clients(
        self, library: Literal["httpx2"], **terms: Unpack[ClientTerms]
    ) -> "tuple[httpx2.Client, httpx2.AsyncClient]": ...
    def clients(self, library: Library = "httpx", **terms: Unpack[ClientTerms]) -> Any:
        """`http_client` and `async_http_client` with the same arguments, for what takes both:
        `http, ahttp = governor.clients()`, and then
        `ChatOpenAI(http_client=http, http_async_client=ahttp, max_retries=0)`."""
        return self.http_client(library, **terms), self.async_http_client(library, **terms)

    @overload
    def transport(
        self, library: Literal["httpx"] = "httpx", **terms: Unpack[ClientTerms]
    ) -> httpx.BaseTransport: ...
    @overload
    def transport(
        self, library: Literal["httpx2"], **terms: Unpack[ClientTerms]
    ) -> "httpx2.BaseTransport": ...
    def transport(self, library: Library = "httpx", **terms: Unpack[ClientTerms]) -> Any:
        """What `http_client` sends through, with the same arguments, for what makes a client of its
        own: `httpx.Client(transport=governor.transport(), timeout=60)`, or a library that takes
        arguments for its client (`client_args={"transport": governor.transport()}`).

        Each has a pool of connections of its own, which the client's closing closes. A client that
        is given one looks at no proxy of the environment; the pool does.
        """
        governed = GovernedTransport(blocking_pool(), **self._governed(**terms))
        return governed if library == "httpx" else _httpx2(library)[1].Bridge(governed)

    @overload
    def async_transport(
        self, library: Literal["httpx"] = "httpx", **terms: Unpack[ClientTerms]
    ) -> httpx.AsyncBaseTransport: ...
    @overload
    def async_transport(
        self, library: Literal["httpx2"], **terms: Unpack[ClientTerms]
    ) -> "httpx2.AsyncBaseTransport": ...
    def async_transport(self, library: Library = "httpx", **terms: Unpack[ClientTerms]) -> Any:
        """`transport` for asynchronous code, with the same arguments."""
        governed = GovernedAsyncTransport(async_pool(), **self._governed(**terms))
        return governed if library == "httpx" else _httpx2(library)[1].AsyncBridge(governed)

    def _governed(
        self,
        *,
        tags: tuple[str, ...] = (),
        allow_fields: tuple[str, ...] = (),
        unseen: Unseen = "refuse",
        raise_refusals: bool = False,
        prices: PricesGiven | None = None,
        provider: str | None = None,
        max_output_tokens: int | None = None,
        output_ceiling: bool = False,
    ) -> dict[str, Any]:
        """The arguments of a governed transport."""
        given = parse_prices(prices)
        return {
            "governing": self.runtime.narrowed(prices=given) if given else self.runtime,
            "provider": provider,
            "tags": tags,
            "accepted": accepted(allow_fields, unseen),
            "answers": not raise_refusals,
            "output": output_terms(max_output_tokens, output_ceiling),
        }


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

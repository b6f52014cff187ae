"""What a dialect says about a call: what it may cost, and what its reply did cost. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from prefect_governor.blocks.ledger.records import Bound, Usage
from prefect_governor.blocks.model.tariffs import Price, UsageParts, bound_cost, cost


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A request's body, read once."""

    model: str
    fields: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What is sent, and the most that it can be billed for.

    `service_tier` is what the request asks for, None or "auto" where the provider may choose.
    `hide_usage` says that the caller did not ask for the stream's usage and is not shown it.
    """

    body: bytes
    input_tokens: int
    output_tokens: int
    streamed: bool = False
    service_tier: str | None = "default"
    cache_writes: bool = False
    hide_usage: bool = False

    def bound(self, price: Price) -> Bound:
        nano = bound_cost(
            price,
            self.input_tokens,
            self.output_tokens,
            service_tier=self.service_tier,
            cache_writes=self.cache_writes,
        )
        return Bound(nano, self.input_tokens, self.output_tokens)


@dataclass(frozen=True, slots=True)
class Billed:
    """What a provider says that it billed. `service_tier` None: it did not say which it was."""

    parts: UsageParts
    service_tier: str | None = None

    def usage(self, price: Price, plan: CallPlan) -> Usage:
        tier = plan.service_tier if self.service_tier is None else self.service_tier
        return Usage(
            nano=cost(price, self.parts, service_tier=tier),
            input_tokens=self.parts.input_tokens,
            output_tokens=self.parts.output_tokens,
            cached_input_tokens=self.parts.cached_input_tokens,
        )


class StreamReader(Protocol):
    """Reads a streamed reply as it passes."""

    def feed(self, data: bytes) -> bytes:
        """Takes what arrived, returns what the caller is shown of it so far."""

    def flush(self) -> bytes:
        """The stream has ended: what is left to show."""

    def finished(self) -> Billed | None:
        """What was billed, once the terminator and the final usage were both seen."""


class Dialect(Protocol):
    """One family of APIs. Pure: bytes in, plans out."""

    @property
    def name(self) -> str: ...

    def matches(self, method: str, path: str) -> bool:
        """Whether a request to this path is one of this family's."""

    def open(self, body: bytes) -> CallRequest:
        """Reads a body. Raises NotBounded where it is none of this family's."""

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound of a call, and what to send. Raises NotBounded, naming the field or part."""

    def read(self, body: bytes) -> Billed | None:
        """The usage in a whole reply; None where there is none that can be trusted."""

    def stream(self, plan: CallPlan) -> StreamReader: ...

"""What a dialect says about a call: what it may cost, and what its reply did cost. No I/O."""

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, Protocol

from prefect_governor.blocks.money.usd import round_up
from prefect_governor.blocks.prices.tariffs import RERANK, Price, UsageParts, bound_cost, cost
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.records.calls import Bound, Usage
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.blocks.wire.replies.stated import stated_usd


@dataclass(frozen=True, slots=True)
class CallRequest:
    """A request's body, read once. `streamed` where it is the path that asks for a stream;
    `routed` where who may answer, and for how much at most, was read of it (`routing`).

    `provider` is LiteLLM's name of who is spoken to, None where nobody knows. `api_version` is the
    date of the API that Azure is asked for, None where there is none.
    """

    model: str
    fields: Mapping[str, Any]
    streamed: bool = False
    provider: str | None = None
    accepted: Accepted = field(default_factory=Accepted)
    routed: bool = False
    api_version: str | None = None


@dataclass(frozen=True, slots=True)
class CallPlan:
    """What is sent, and the most that it can be billed for.

    `service_tier` is what the request asks for, None or "auto" where the provider may choose.
    `hide_usage` says that the caller did not ask for the stream's usage and is not shown it.

    `local_input_tokens` is the local tokenizer's count without any factor or overhead, None where
    no tokenizer is known. `output_limit` is the `max_tokens` of its one answer, None where there
    are several, whose lengths nobody learns from. `least_output_tokens` is what that `max_tokens`
    may be fitted down to, None where it may not be fitted. `own_limit` says that the caller set
    none: it is the model's own, so that less of it will do where the whole is not to be had.
    `long_writes`: what is written to a cache may be kept for hours, not for minutes alone.
    `answers` is how many are asked for. `audio` says that some of the input may be audio or video,
    `searches` how many the provider may make. `image_tokens` are those of one image, where the
    answer may hold some: one that is begun within the limit is billed whole. 0 where it holds none.
    """

    body: bytes
    input_tokens: int
    output_tokens: int
    streamed: bool = False
    service_tier: str | None = "default"
    cache_writes: bool = False
    long_writes: bool = True
    hide_usage: bool = False
    local_input_tokens: int | None = None
    output_limit: int | None = None
    least_output_tokens: int | None = None
    own_limit: bool = False
    answers: int = 1
    audio: bool = False
    searches: int = 0
    image_tokens: int = 0

    def bound(self, price: Price) -> Bound:
        outputs = self.output_tokens + self.image_tokens * self.answers
        nano = bound_cost(
            price,
            self.input_tokens,
            outputs,
            service_tier=self.service_tier,
            cache_writes=self.cache_writes,
            long_writes=self.long_writes,
            audio=self.audio,
            searches=self.searches,
            images=self.image_tokens > 0,
        )
        return Bound(nano, self.input_tokens, outputs)


@dataclass(frozen=True, slots=True)
class Billed:
    """What a provider says that it billed. `service_tier` None: it did not say which it was.

    `cut` says that the answer did not end by itself: it stopped at `max_tokens`, or where the
    context was full. `said` is where in its reply the provider may state the cost itself: `usage`
    and, beside it, `cost`. `model` is which model answered, by the reply's own word.
    """

    parts: UsageParts
    service_tier: str | None = None
    cut: bool = False
    said: Mapping[str, Any] = field(default_factory=dict, compare=False, repr=False)
    model: str | None = field(default=None, compare=False)

    def is_priced(self, price: Price) -> bool:
        """Whether the price says what all of it costs: what is charged by the search alone says
        nothing of tokens."""
        if price.mode == RERANK and price.search_fee is not None:
            return self.parts.searches > 0
        return not self.parts.searches or price.search_fee is not None

    def usage(self, price: Price, plan: CallPlan, *, provider: str | None = None) -> Usage:
        """What it comes to. `provider` is whose reply it is, by LiteLLM's name: one that states
        what it billed is believed, before any list of prices."""
        stated = stated_usd(provider, self.said)
        tier = plan.service_tier if self.service_tier is None else self.service_tier
        parts = self.parts
        if parts.cache_write_short_tokens is None and not plan.long_writes:
            parts = replace(parts, cache_write_short_tokens=parts.cache_write_tokens)
        return Usage(
            nano=cost(price, parts, service_tier=tier) if stated is None else round_up(stated),
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

    def all_said(self) -> bool:
        """Whether every answer has said why it ended, to who may leave now: what is still to come
        is no more than the bill."""
        return False


def openai_error(status: int, kind: str, message: str) -> dict[str, Any]:
    """An error's body as OpenAI has it, and most who speak like it.
    (platform.openai.com/docs/guides/error-codes)"""
    inner = {"type": "prefect_governor_refusal", "code": kind, "param": None, "message": message}
    return {"error": inner}


class Dialect(Protocol):
    """One family of APIs. Pure: bytes in, plans out.

    To be inherited from: what a family need not say has a default here.
    """

    # Whose prices its models have where neither the transport nor the host says it, as LiteLLM
    # names it; None where the models' own names must do.
    provider: str | None = None
    # What is asked for, as OpenTelemetry's conventions for generative AI name it.
    operation: str = "chat"
    # Whether OpenRouter takes `provider` and `models` on its path.
    routes: bool = False
    # Where in a request the limit of an answer's output stands, by any of the names that the
    # provider takes, and where a budget of thoughts that count under it.
    output_fields: tuple[tuple[str, ...], ...] = ()
    thought_fields: tuple[tuple[str, ...], ...] = ()
    # Whether it asks for a ranking, whose prices hold for nothing else.
    ranks: bool = False

    @property
    def name(self) -> str: ...

    def matches(self, method: str, path: str) -> bool:
        """Whether a request to this path is one of this family's."""

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Reads a request: its body, and its URL's path where that names the model. Raises
        NotBounded where it is none of this family's."""

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound of a call, and what to send. Raises NotBounded, naming the field or part."""

    def read(self, body: bytes) -> Billed | None:
        """The usage in a whole reply; None where there is none that can be trusted."""

    def ending(self, body: bytes) -> Ending | None:
        """How the first answer of a whole reply ended; None for a reply that holds none."""
        return None

    def stream(self, plan: CallPlan) -> StreamReader: ...

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        """The body of an error as this family has it. `kind` is the name of an error of ours."""
        return openai_error(status, kind, message)

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        """The plan with its answer's `max_tokens` at `output_tokens`, between what
        `plan.least_output_tokens` says and `plan.output_limit`. Asked only where the plan may be
        fitted, which is where a family sets the former."""
        raise TypeError(f"{self.name}: a plan that says it may be fitted, and no `refit`")

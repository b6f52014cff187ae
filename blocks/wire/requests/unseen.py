"""Parts of a request whose size nobody sees here: the model's context window bounds them, where the
caller accepts that. Pure."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.requests.bodies import whole_number

LONG_CONTEXT_TOKENS = 1_000_000
ACCEPT = 'unseen="context" on the Limit, the Model or the client bounds it by the context window'


@dataclass
class Unseen:
    """What of one request is unseen.

    `uses` is how often a hosted tool may be used: each time the model reads the whole of its
    """

    accepted: Accepted
    parts: list[str] = field(default_factory=list)
    uses: int = 0
    audio: bool = False

    def met(self, what: str, why: str, instead: str) -> None:
        """Raises NotBounded where the caller does not accept it, with what to do instead."""
        if not self.accepted.unseen:
            raise NotBounded(f"{what} has no bound: {why}. {instead}; or {ACCEPT}")
        self.parts.append(what)

    def search(self, tool: str, uses: Any, declared_by: str) -> None:
        """A search that the provider makes, up to `uses` times. Raises NotBounded where the request
        does not say how often."""
        self.met(
            tool,
            "the provider runs it and bills what it does and reads",
            "Use function tools that run on your side",
        )
        if uses is None:
            raise NotBounded(
                f"{tool} has no bound: nothing says how often it is used. Set {declared_by}"
            )
        self.uses += whole_number(uses, declared_by.strip("`"))

    def code(self, what: str) -> None:
        """A template, which may say a text any number of times. It needs nobody's leave: it runs
        before the model does, and what it makes is within the context."""
        self.parts.append(what)

    def image(self, tokens: Callable[[Any], int], detail: Any) -> int:
        """The bound of an image, by the rule of the model that looks at it; where it has none the
        image is unseen."""
        try:
            return tokens(detail)
        except NotBounded as error:
            if not self.accepted.unseen:
                raise NotBounded(f"{error}; or {ACCEPT}") from None
            self.parts.append("an image")
            return 0

    def input_tokens(self, counted: int, price: Price, model: str) -> int:
        """The bound of the input, of which so many tokens were counted. Raises NotBounded where no
        context window is known."""
        if not self.parts:
            return counted
        if self.audio and price.audio_key is not None:
            raise NotBounded(
                f"{self.parts[0]} has no bound: {model!r} charges for audio or video by "
                f"`{price.audio_key}`, which tokens do not bound"
            )
        window = context_window(price)
        if window is None:
            raise NotBounded(
                f"{self.parts[0]} has no bound: no context window of {model!r} is known here. "
                "Leave it out, or use a model whose window LiteLLM's list knows"
            )
        return max(counted, window) * (1 + self.uses)

    def searches(self, price: Price, model: str) -> int:
        """How many searches are billed by the piece. Raises NotBounded where their price is not
        known."""
        if self.uses and price.search_fee is None:
            raise NotBounded(
                f"a hosted search has no bound: what one costs with {model!r} is not known here. "
                "Use function tools that run on your side"
            )
        return self.uses


def context_window(price: Price) -> int | None:
    """The most input that a model takes, None where nobody knows."""
    window = price.context_tokens
    # Where what is longer than the window has a price, it may be asked for.
    if window is not None and any(threshold >= window for threshold, _ in price.tiers):
        return max(window, LONG_CONTEXT_TOKENS)
    return window


def widened_by(headers: Mapping[str, str], price: Price) -> Price:
    """The price of a model whose window a request's headers may widen (Anthropic, "Context
    windows": a beta of a million tokens)."""
    if "context-1m" not in headers.get("anthropic-beta", "") or price.context_tokens is None:
        return price
    return replace(price, context_tokens=max(price.context_tokens, LONG_CONTEXT_TOKENS))

"""What is settled about a call before it may begin: key, model, tier, tokens, quota."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from fractions import Fraction

import orjson

from tests.provider.books.bill import Price
from tests.provider.books.tokens import OVERHEAD_CEILING, count_input, encoding_name, scaled
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest
from tests.provider.rules.gate import Refusal
from tests.provider.rules.limits import SECOND
from tests.provider.rules.routes import route
from tests.provider.rules.signatures import check_signature, is_signed
from tests.provider.wire import Request


@dataclass(slots=True)
class Ready:
    """A call that may begin: its price, its tier, its input tokens, its output limit a choice;
    whether its reply states what it was billed; the most input that its bytes can be."""

    price: Price
    tier: str
    input: int
    limit: int
    states_cost: bool = False
    most_input: int = 0


class Desk:
    """Checks requests against one config."""

    def __init__(self, config: Config) -> None:
        self._config = config
        self._prices = config.price_table()
        self._factor = Fraction(str(config.token_factor))

    def authorize(self, request: Request) -> None:
        """Raises ApiError 401 for a key that is not in the config's `keys`, if it has any. Shown
        as a bearer's, or as Anthropic, Gemini and Azure have it. ApiError 403 for a signature of
        AWS's that does not hold."""
        headers = request.headers
        if is_signed(request):
            check_signature(request, self._config.aws_keys, now=time.time())
            return
        keys = self._config.keys
        if keys is None:
            return
        scheme, _, key = headers.get("authorization", "").partition(" ")
        key = key.strip() if scheme.lower() == "bearer" else ""
        for name in ("x-api-key", "x-goog-api-key", "api-key"):
            key = key or headers.get(name, "")
        if key not in keys:
            raise ApiError(401, "Incorrect API key provided.", code="invalid_api_key")

    def models(self, path: str) -> bytes:
        """The reply to GET /v1/models and /v1/models/NAME; ApiError 404 for other paths."""
        cards = [
            {"id": name, "object": "model", "created": 1_700_000_000, "owned_by": "provider"}
            for name in self._prices
        ]
        if path == "/v1/models":
            return orjson.dumps({"object": "list", "data": cards})
        for card in cards:
            if path == f"/v1/models/{card['id']}":
                return orjson.dumps(card)
        raise ApiError(404, f"Invalid URL (GET {path})")

    def prepare(self, request: ChatRequest, body_bytes: int, host: str = "") -> Ready:
        """Raises ApiError: 404 for the model, 400 for the tier, the context or what is not served
        here, 429 for the quota."""
        config = self._config
        if request.elsewhere is not None and not config.hosted:
            raise request.elsewhere
        price = request.price or config.hosts.get(host, {}).get(request.model)
        routed = price is None and request.model in config.routes
        if price is None:
            price = (
                route(request.body, config.routes) if routed else self._prices.get(request.model)
            )
        if price is None:
            raise ApiError(
                404,
                f"The model `{request.model}` does not exist or you do not have access to it.",
                code="model_not_found",
            )
        tokens = self._input_tokens(request, body_bytes)
        limit = config.default_output_tokens if request.max_output is None else request.max_output
        if config.context_tokens is not None:
            asked = tokens + (request.max_output or 1)
            if asked > config.context_tokens:
                raise ApiError(
                    400,
                    f"This model's maximum context length is {config.context_tokens} tokens. "
                    f"However, you requested {asked} tokens ({tokens} in the messages).",
                    param="messages",
                    code="context_length_exceeded",
                )
            limit = min(limit, config.context_tokens - tokens)
        tier = self._tier(request.service_tier, price)
        if config.insufficient_quota:
            raise ApiError(
                429,
                "You exceeded your current quota, please check your plan and billing details.",
                kind="insufficient_quota",
                code="insufficient_quota",
            )
        parts = len(request.messages) + len(request.tools)
        most = body_bytes + OVERHEAD_CEILING * parts
        return Ready(price, tier, tokens, limit, states_cost=routed, most_input=most)

    def _input_tokens(self, request: ChatRequest, body_bytes: int) -> int:
        if request.counted is not None:
            ceiling = body_bytes + OVERHEAD_CEILING * len(request.messages)
            return min(scaled(request.counted, self._factor), ceiling)
        return count_input(
            request.body,
            body_bytes,
            factor=self._factor,
            image_tokens=self._config.image_tokens,
            encoding_of=encoding_name(request.model),
        )

    def _tier(self, asked: str, price: Price) -> str:
        if asked == "auto":
            return self._config.auto_tier if self._config.auto_tier in price.tiers else "default"
        if asked == "regional" and asked not in price.tiers:
            return "default"
        if asked != "default" and asked not in price.tiers:
            raise ApiError(400, f"Invalid service_tier argument: {asked}", param="service_tier")
        return asked

    def refused(self, refusal: Refusal, model: str, headers: dict[str, str]) -> ApiError:
        """The 429 for a limit, with OpenAI's headers."""
        seconds = refusal.wait / SECOND
        return ApiError(
            429,
            f"Rate limit reached for {model} on {refusal.label}: Limit {refusal.limit}, "
            f"Used {refusal.used}, Requested {refusal.requested}. "
            f"Please try again in {seconds:.3f}s.",
            kind="requests" if "request" in refusal.unit else "tokens",
            code="rate_limit_exceeded",
            headers={**headers, **retry_after(refusal.wait)},
            limit=refusal.label,
        )


def retry_after(wait_ns: int) -> dict[str, str]:
    """Whole seconds, rounded up, as HTTP has it, and OpenAI's milliseconds beside them."""
    return {
        "retry-after": str(max(1, math.ceil(wait_ns / SECOND))),
        "retry-after-ms": str(max(1, math.ceil(wait_ns / 10**6))),
    }

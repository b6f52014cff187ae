"""OpenAI's embeddings, which most gateways speak too: any path that ends so.

A call costs its input alone: there is no output to bound, and none is ever cut.
"""

from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price, UsageParts
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    compact,
    count_of,
    model_of,
    most_counted,
    read_reply,
    read_request,
    service_tier,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.plans import (
    Billed,
    CallPlan,
    CallRequest,
    Dialect,
    StreamReader,
)

# Fields that change no bound, of OpenAI's API and of those that are like it.
PLAIN_FIELDS = frozenset(
    {"model", "input", "dimensions", "encoding_format", "user", "service_tier", "truncate",
     "truncate_prompt_tokens", "output_dimension", "output_dtype", "input_type", "metadata",
     "priority", "request_id", "add_special_tokens"}
)  # fmt: skip

REFUSED_FIELDS: Mapping[str, str] = {
    "prompt": "Ollama's `/api/embeddings` says nothing of what it read; use `/api/embed`",
}


class OpenAIEmbeddings(Dialect):
    """`POST …/embeddings`."""

    name = "OpenAI embeddings"
    operation = "embeddings"

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/embeddings")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where neither the path nor the body, a JSON object, names a model."""
        return read_request(body, path=path)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound: of texts, as of a chat's messages; of tokens, one and a half times as many.

        Raises NotBounded, naming the field or the input.
        """
        fields = dict(request.fields)
        check_fields(fields, PLAIN_FIELDS, REFUSED_FIELDS, request.accepted)
        texts, lists = _inputs(fields)
        allowed = [compact(fields[name]) for name in request.accepted.fields if fields.get(name)]
        # Only one who names a tier, or has a dearer one to fear, sends a tier.
        tier = service_tier(fields, price, request)
        body = write(fields)
        tokens, local = len(body), None
        if lists:
            # Counted already, whatever their tokenizer is.
            local = sum(len(each) for each in lists)
            tokens = _scaled(local) + sum(len(each.encode()) for each in allowed)
        elif encoding is not None:
            local = sum(count_tokens(text, encoding) for text in (*texts, *allowed))
            tokens = min(tokens, _scaled(local))
        overhead = REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS * (len(texts) + len(lists))
        return CallPlan(
            body=body,
            input_tokens=tokens + overhead,
            output_tokens=0,
            service_tier=tier,
            local_input_tokens=local,
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else billed(reply)

    def stream(self, plan: CallPlan) -> StreamReader:
        """Nothing of embeddings is streamed: `plan` never says so."""
        raise NotBounded("embeddings have no stream, so what it would cost has no bound")

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        """There is no answer to cut: `plan` never says that it may be fitted."""
        return plan


def billed(reply: Mapping[str, Any]) -> Billed | None:
    """The usage of a reply; the larger where the prompt's and the total tokens differ. None where
    it is missing or cannot be: no request has no input."""
    usage = reply.get("usage")
    counts = [count_of(usage, "prompt_tokens"), count_of(usage, "total_tokens")]
    tokens = max((each for each in counts if each is not None), default=0)
    if not tokens:
        return None
    tier = reply.get("service_tier")
    return Billed(
        UsageParts(tokens, 0),
        tier if isinstance(tier, str) else None,
        said={"usage": usage, "cost": reply.get("cost")},
        model=model_of(reply),
    )


def _scaled(tokens: int) -> int:
    return most_counted(tokens)


def _inputs(fields: Mapping[str, Any]) -> tuple[list[str], list[list[int]]]:
    """The texts and the lists of tokens to embed: one of the two is empty."""
    given = fields.get("input")
    if isinstance(given, str):
        return [given], []
    if isinstance(given, list) and given:
        if all(isinstance(each, str) for each in given):
            return given, []
        if _is_tokens(given):
            return [], [given]
        if all(_is_tokens(each) for each in given):
            return [], given
    raise NotBounded(
        "`input` is neither a text, texts, a list of tokens nor lists of tokens, so the call has "
        "no bound. An image's tokens, say, are not bounded by its bytes"
    )


def _is_tokens(value: Any) -> bool:
    return isinstance(value, list) and all(
        isinstance(each, int) and not isinstance(each, bool) for each in value
    )

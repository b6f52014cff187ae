"""Cohere's embeddings: `POST …/v2/embed` and `…/v1/embed`. They cost their input alone."""

from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price, UsageParts
from prefect_governor.blocks.wire.dialects.cohere.chat import PROVIDER, cohere_error, objects
from prefect_governor.blocks.wire.dialects.cohere.replies import beside, units_of
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    read_reply,
    read_request,
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

# docs.cohere.com/reference/embed and /embed-v1. `max_tokens` is of each input.
FIELDS = frozenset(
    {"model", "texts", "inputs", "input_type", "embedding_types", "truncate", "max_tokens",
     "output_dimension", "priority"}
)  # fmt: skip
REFUSED_FIELDS: Mapping[str, str] = {
    "images": "an image's tokens are not bounded by its bytes, and have a price of their own",
}


class CohereEmbed(Dialect):
    """`POST …/v2/embed` and `…/v1/embed`."""

    name = "Cohere embed"
    operation = "embeddings"
    provider = PROVIDER

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith(("/v1/embed", "/v2/embed"))

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the body is not a JSON object that names a model."""
        return read_request(body)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound: the bytes of what is embedded. Raises NotBounded, naming the field or part."""
        fields = dict(request.fields)
        check_fields(fields, FIELDS, REFUSED_FIELDS, request.accepted)
        texts = fields.get("texts") or []
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise NotBounded("`texts` is not a list of texts, so the call has no bound")
        inputs = objects(fields, "inputs")
        for each in inputs:
            _check_input(each)
        body = write(fields)
        overhead = REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS * (len(texts) + len(inputs))
        return CallPlan(body=body, input_tokens=len(body) + overhead, output_tokens=0)

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return cohere_error(kind, message)

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        meta = None if reply is None else reply.get("meta")
        units = meta.get("billed_units") if isinstance(meta, dict) else None
        tokens = units_of(units, "input_tokens")
        # Of the input, how much was text is said beside.
        if not tokens or beside(units, {"input_tokens", "text_tokens"}):
            return None
        return Billed(UsageParts(tokens, 0), "standard")

    def stream(self, plan: CallPlan) -> StreamReader:
        """Nothing of embeddings is streamed: `plan` never says so."""
        raise NotBounded("embeddings have no stream, so what it would cost has no bound")


def _check_input(given: Mapping[str, Any]) -> None:
    content = given.get("content")
    for part in content if isinstance(content, list) else [None]:
        if not isinstance(part, dict) or part.get("type") != "text":
            kind = part.get("type") if isinstance(part, dict) else content
            raise NotBounded(
                f"a part of type {kind!r} in `inputs` has no bound: an image's tokens are not "
                "bounded by its bytes, and have a price of their own. Embed text alone"
            )

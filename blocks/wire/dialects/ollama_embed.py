"""Ollama's own embeddings: `POST …/api/embed`. The path before it, `…/api/embeddings`, says nothing
of what it read, and others have it for OpenAI's embeddings."""

from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price, UsageParts
from prefect_governor.blocks.wire.dialects.ollama import MODEL_PROMPT_TOKENS, ollama_error
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    count_of,
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

# docs.ollama.com/api/embed
FIELDS = frozenset({"model", "input", "truncate", "dimensions", "options", "keep_alive"})


class OllamaEmbed(Dialect):
    """`POST …/api/embed`."""

    name = "Ollama embed"
    operation = "embeddings"
    provider = "ollama"

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/api/embed")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the body is not a JSON object that names a model."""
        return read_request(body)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound: the bytes of what is embedded. Raises NotBounded, naming the field."""
        fields = dict(request.fields)
        check_fields(fields, FIELDS, {}, request.accepted)
        given = fields.get("input")
        texts = [given] if isinstance(given, str) else given
        if not isinstance(texts, list) or not all(isinstance(each, str) for each in texts):
            raise NotBounded("`input` is neither a text nor texts, so the call has no bound")
        body = write(fields)
        overhead = MODEL_PROMPT_TOKENS + REQUEST_OVERHEAD_TOKENS
        overhead += MESSAGE_OVERHEAD_TOKENS * len(texts)
        return CallPlan(body=body, input_tokens=len(body) + overhead, output_tokens=0)

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return ollama_error(kind, message)

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        tokens = None if reply is None else count_of(reply, "prompt_eval_count")
        return Billed(UsageParts(tokens, 0), "standard") if tokens else None

    def stream(self, plan: CallPlan) -> StreamReader:
        """Nothing of embeddings is streamed: `plan` never says so."""
        raise NotBounded("embeddings have no stream, so what it would cost has no bound")

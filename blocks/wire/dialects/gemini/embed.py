"""Gemini's own embeddings: `POST …/models/{model}:embedContent` and `:batchEmbedContents`.

They cost their input alone, of which text has a price that its bytes bound. Vertex AI's paths are
not read here: what it counts there is in another reply.
"""

import re
from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price, UsageParts
from prefect_governor.blocks.wire.dialects.gemini.errors import gemini_error
from prefect_governor.blocks.wire.dialects.gemini.names import camel
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    count_of,
    read_fields,
    read_reply,
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

_PATH = re.compile(r"(?<!/publishers/google)/models/([^/:]+):(embedContent|batchEmbedContents)/?$")
# ai.google.dev/api/embeddings
FIELDS = frozenset(
    {"model", "content", "taskType", "title", "outputDimensionality", "autoTruncate",
     "embedContentConfig"}
)  # fmt: skip


class GeminiEmbed(Dialect):
    """`POST …/models/{model}:embedContent` and `:batchEmbedContents`."""

    name = "Gemini embedContent"
    operation = "embeddings"
    provider = "gemini"

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and _PATH.search(path) is not None

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the path names no model or the body is no JSON object."""
        found = _PATH.search(path)
        if found is None:
            raise NotBounded("the request's path names no model, so its cost has no bound")
        return CallRequest(found[1], read_fields(body))

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound: the bytes of what is embedded. Raises NotBounded, naming the field or part."""
        fields = dict(request.fields)
        asked = fields.get("requests", [fields])
        if not isinstance(asked, list) or not all(isinstance(each, dict) for each in asked):
            raise NotBounded("`requests` is not a list of objects, so the call has no bound")
        if "requests" in fields:
            check_fields(fields, {"requests", "model"}, {}, request.accepted)
            _check_model(fields.get("model"), request.model)
        for each in asked:
            one = camel(each)
            check_fields(one, FIELDS, {}, request.accepted)
            _check_model(one.get("model"), request.model)
            _check_content(one.get("content"))
        body = write(fields)
        overhead = REQUEST_OVERHEAD_TOKENS + MESSAGE_OVERHEAD_TOKENS * len(asked)
        return CallPlan(body=body, input_tokens=len(body) + overhead, output_tokens=0)

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return gemini_error(status, kind, message)

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        usage = None if reply is None else reply.get("usageMetadata")
        # A count of its text alone is that of all, as only text is let through.
        tokens = count_of(usage, "promptTokenCount") or count_of(usage, "totalTokenCount")
        return Billed(UsageParts(tokens, 0), "standard") if tokens else None

    def stream(self, plan: CallPlan) -> StreamReader:
        """Nothing of embeddings is streamed: `plan` never says so."""
        raise NotBounded("embeddings have no stream, so what it would cost has no bound")


def _check_model(named: Any, model: str) -> None:
    """The path's model is the one that has the price; a body may name it once more."""
    if named is not None and str(named).removeprefix("models/") != model:
        raise NotBounded(
            f"the request names the model {named!r} beside its path's, {model!r}, and which of "
            "them is billed is not known. Name the path's in both places, or leave it out"
        )


def _check_content(content: Any) -> None:
    parts = content.get("parts") if isinstance(content, Mapping) else None
    for part in parts if isinstance(parts, list) else [parts]:
        named = sorted(part) if isinstance(part, dict) else [str(type(part).__name__)]
        if named != ["text"]:
            raise NotBounded(
                f"a part with {', '.join(named)!r} has no bound: what is no text has a price of its"
                " own, which its bytes do not bound. Embed its text"
            )

"""Ollama's own API: `POST …/api/chat` and `…/api/generate`.

Models that run on a machine of one's own cost nothing unless a price is given; their tokens are
counted all the same.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price, UsageParts
from prefect_governor.blocks.wire.replies.endings import Ending, ending, has_words, is_cut
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOL_OVERHEAD_TOKENS,
    count_of,
    read_reply,
    read_request,
    whole_number,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.own_limits import BYTES_A_TOKEN, own_limit
from prefect_governor.blocks.wire.requests.plans import (
    Billed,
    CallPlan,
    CallRequest,
    Dialect,
    StreamReader,
)
from prefect_governor.blocks.wire.requests.unseen import Unseen

PATHS = ("/api/chat", "/api/generate")
# github.com/ollama/ollama, docs/api.md.
FIELDS = frozenset(
    {"model", "messages", "prompt", "suffix", "system", "template", "context", "tools", "format",
     "options", "stream", "raw", "keep_alive", "think", "logprobs", "top_logprobs", "truncate",
     "shift", "images"}
)  # fmt: skip
MESSAGE_FIELDS = frozenset(
    {"role", "content", "thinking", "tool_calls", "tool_name", "tool_call_id", "images"}
)
_IMAGE = "how many tokens a model takes an image for is not known here"
REFUSED_FIELDS: Mapping[str, str] = {
    "width": "an image as output has no tokens",
    "height": "an image as output has no tokens",
    "steps": "an image as output has no tokens",
}
# A model's file may bring a system prompt of its own, and a template around each message.
MODEL_PROMPT_TOKENS = 1024


def ollama_error(kind: str, message: str) -> dict[str, Any]:
    """An error's body as Ollama has it (docs.ollama.com/api/errors)."""
    return {"type": "prefect_governor_refusal", "code": kind, "error": message}


class Ollama(Dialect):
    """`POST …/api/chat` and `…/api/generate`, plain or as lines of JSON, which is the default."""

    name = "Ollama"
    provider = "ollama"
    output_fields = (("options", "num_predict"),)

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith(PATHS)

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the body is not a JSON object that names a model."""
        return read_request(body)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send. Raises NotBounded, naming the field."""
        fields = dict(request.fields)
        unseen = Unseen(request.accepted)
        _check(fields, FIELDS, unseen)
        if fields.get("template") is not None:
            unseen.code("`template`")
        given = fields.get("options") or {}
        if not isinstance(given, dict):
            raise NotBounded("`options` must be an object, so the call has no bound")
        options = fields["options"] = dict(given)
        messages, tools = _list(fields, "messages"), _list(fields, "tools")
        for message in messages:
            _check(message, MESSAGE_FIELDS, unseen)
        overhead = (
            MODEL_PROMPT_TOKENS
            + REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * (len(messages) + 1)
            + TOOL_OVERHEAD_TOKENS * len(tools)
        )
        # To write without an end, or until the context is full, is no limit either.
        unlimited = options.get("num_predict") in (None, -1, -2)
        if unlimited:
            options["num_predict"] = own_limit(
                price,
                request.model,
                "options.num_predict",
                input_tokens=len(write(fields)) // BYTES_A_TOKEN + overhead,
            )
        output = whole_number(options["num_predict"], "num_predict")
        body = write(fields)
        streamed = fields.get("stream") is not False
        return CallPlan(
            body=body,
            input_tokens=unseen.input_tokens(len(body) + overhead, price, request.model),
            output_tokens=output,
            streamed=streamed,
            output_limit=output,
            least_output_tokens=1,
            own_limit=unlimited or request.accepted.no_limit,
        )

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return ollama_error(kind, message)

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        fields = json.loads(plan.body)
        fields["options"]["num_predict"] = output_tokens
        return replace(
            plan, body=write(fields), output_tokens=output_tokens, output_limit=output_tokens
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else _billed(reply)

    def ending(self, body: bytes) -> Ending | None:
        reply = read_reply(body)
        return None if reply is None else ending_of(reply)

    def stream(self, plan: CallPlan) -> "LineStream":
        return LineStream()


class LineStream(StreamReader):
    """A reply of a JSON object a line. Complete once one is `done` and has its counts."""

    def __init__(self) -> None:
        self._pending = b""
        self._billed: Billed | None = None

    def feed(self, data: bytes) -> bytes:
        *lines, self._pending = (self._pending + data).split(b"\n")
        for line in lines:
            self._read(line)
        return data

    def flush(self) -> bytes:
        self._read(self._pending)
        self._pending = b""
        return b""

    def finished(self) -> Billed | None:
        return self._billed

    def _read(self, line: bytes) -> None:
        reply = read_reply(line)
        if reply is not None and self._billed is None:
            self._billed = _billed(reply)


def _billed(reply: Mapping[str, Any]) -> Billed | None:
    """The counts of a reply's last (or only) object."""
    inputs, outputs = count_of(reply, "prompt_eval_count"), count_of(reply, "eval_count")
    if reply.get("done") is not True or not inputs:
        return None
    return Billed(
        UsageParts(inputs, outputs or 0), "standard", is_cut("ollama", reply.get("done_reason"))
    )


def ending_of(reply: Mapping[str, Any]) -> Ending:
    """How the answer of a whole reply ended, of either path."""
    message = reply.get("message")
    message = message if isinstance(message, dict) else {"content": reply.get("response")}
    return ending(
        "ollama",
        reply.get("done_reason"),
        says=bool(message.get("tool_calls")) or has_words(message.get("content")),
    )


def _check(fields: Mapping[str, Any], known: frozenset[str], unseen: Unseen) -> None:
    # What is 0 or empty asks for nothing.
    given = {name: value for name, value in fields.items() if value or name not in REFUSED_FIELDS}
    check_fields(given, known, REFUSED_FIELDS, unseen.accepted)
    if fields.get("images"):
        unseen.met("`images`", _IMAGE, "Leave them out")


def _list(fields: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    value = fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise NotBounded(f"`{name}` is not a list of objects, so the call has no bound")
    return value

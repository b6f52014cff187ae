"""Bedrock's InvokeModel for Anthropic's models: `POST …/model/{modelId}/invoke` and
`…/invoke-with-response-stream`, whose body and reply are those of Anthropic's messages."""

import base64
import binascii
from dataclasses import replace
from typing import Any

import prefect_governor.blocks.wire.dialects.bedrock.rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.dialects.anthropic.messages import AnthropicMessages
from prefect_governor.blocks.wire.dialects.anthropic.replies import MessageStream
from prefect_governor.blocks.wire.dialects.bedrock.requests import (
    claude_of,
    error,
    read_asked,
    verb_of,
)
from prefect_governor.blocks.wire.replies.event_stream import (
    Message,
    MessageSplitter,
    check_installed,
)
from prefect_governor.blocks.wire.requests.bodies import compact, read_reply
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, CallRequest, StreamReader
from prefect_governor.blocks.wire.requests.unseen import widened_by


class InvokeAnthropic(AnthropicMessages):
    """`POST …/model/{modelId}/invoke` of a model of Anthropic's, and its stream as AWS's messages,
    each of which holds an event of Anthropic's."""

    name = "Bedrock InvokeModel"
    provider = "bedrock"

    def matches(self, method: str, path: str) -> bool:
        return verb_of(method, path) in ("invoke", "invoke-with-response-stream")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the path names no model or the body is no JSON object."""
        return read_asked(body, path)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """As of Anthropic's messages. Raises NotBounded for another vendor's model, whose body has
        a form of its own; ConfigurationError for a stream that nothing installed reads."""
        claude = claude_of(request.model)
        if claude is None:
            raise NotBounded(
                f"InvokeModel of {request.model!r} has no bound: each vendor's body has a form of "
                "its own, and Anthropic's alone is known here. Use Converse: with LiteLLM, "
                f"bedrock/converse/{request.model}"
            )
        if request.streamed:
            check_installed()
        known = replace(request.accepted, fields=request.accepted.fields | rules.INVOKE_FIELDS)
        betas = {"anthropic-beta": str(request.fields.get("anthropic_beta"))}
        plan = super().plan(
            replace(request, model=claude, accepted=known),
            price=widened_by(betas, price),
            encoding=encoding,
        )
        return replace(
            plan,
            streamed=request.streamed,
            service_tier=rules.STANDARD_TIER,
        )

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return error(kind, message)

    def stream(self, plan: CallPlan) -> StreamReader:
        return InvokeStream()


class InvokeStream(StreamReader):
    """A streamed reply, read as the events that its messages hold, and shown as they are."""

    def __init__(self) -> None:
        self._messages = MessageSplitter()
        self._events = MessageStream()
        self._held = b""
        self._failed = False

    def feed(self, data: bytes) -> bytes:
        shown = b"".join(self._shown(message) for message in self._messages.feed(data))
        return shown + self.flush() if self._messages.broken else shown

    def flush(self) -> bytes:
        rest, self._held = self._held + self._messages.rest(), b""
        return rest

    def finished(self) -> Billed | None:
        return None if self._failed else self._events.finished()

    def _shown(self, message: Message) -> bytes:
        if message.kind != "chunk":
            self._failed = self._failed or not message.kind
            held, self._held = self._held, b""
            return held + message.raw
        # What is held back there is held back here.
        if not self._events.feed(_event(message.payload)):
            self._held += message.raw
            return b""
        held, self._held = self._held, b""
        return held + message.raw


def _event(payload: bytes) -> bytes:
    """The event in a message, as Anthropic's own stream has it."""
    chunk = read_reply(payload) or {}
    try:
        data = base64.b64decode(str(chunk.get("bytes") or ""), validate=True)
    except (binascii.Error, ValueError):
        data = b""
    event = read_reply(data) or {}
    return b"data: " + compact(event).encode("utf-8", "replace") + b"\n\n"

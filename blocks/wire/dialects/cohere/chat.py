"""Cohere's chat: `POST …/v2/chat`.

What a request may hold is in `rules`; here is what it may cost. There is no local tokenizer: a
token has at least a byte, which is the bound. What a model thinks is output within `max_tokens`
(docs.cohere.com/docs/reasoning: a budget of thoughts leaves 1,000 of the limit for the answer).
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import prefect_governor.blocks.wire.dialects.cohere.rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.dialects.cohere.replies import ChatStream, billed, ending_of
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOL_OVERHEAD_TOKENS,
    read_reply,
    read_request,
    whole_number,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.own_limits import BYTES_A_TOKEN, own_limit
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, CallRequest, Dialect
from prefect_governor.blocks.wire.requests.unseen import Unseen

# As LiteLLM names whose models they are.
PROVIDER = "cohere_chat"


def cohere_error(kind: str, message: str) -> dict[str, Any]:
    """An error's body as Cohere has it (docs.cohere.com/reference/errors)."""
    return {"type": "prefect_governor_refusal", "code": kind, "message": message}


class CohereChat(Dialect):
    """`POST …/v2/chat`, plain or as server-sent events."""

    name = "Cohere chat"
    provider = PROVIDER
    output_fields = (("max_tokens",),)
    thought_fields = (("thinking", "token_budget"),)

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/v2/chat")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the body is not a JSON object that names a model."""
        return read_request(body)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send. Raises NotBounded, naming the field, part or tool."""
        fields = dict(request.fields)
        unseen = Unseen(request.accepted)
        check_fields(fields, rules.FIELDS, rules.REFUSED_FIELDS, request.accepted)
        messages, tools = objects(fields, "messages"), objects(fields, "tools")
        for message in messages:
            _check_message(message, request, unseen)
        for tool in tools:
            _check_tool(tool)
        documents = fields.get("documents") or []
        if not isinstance(documents, list):
            raise NotBounded("`documents` is not a list, so the call has no bound")
        overhead = (
            REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * (len(messages) + len(documents))
            + TOOL_OVERHEAD_TOKENS * len(tools)
        )
        unlimited = fields.get("max_tokens") is None
        if unlimited:
            fields["max_tokens"] = own_limit(
                price,
                request.model,
                "max_tokens",
                input_tokens=len(write(fields)) // BYTES_A_TOKEN + overhead,
            )
        output = whole_number(fields["max_tokens"], "max_tokens")
        body = write(fields)
        streamed = bool(fields.get("stream"))
        return CallPlan(
            body=body,
            input_tokens=unseen.input_tokens(len(body) + overhead, price, request.model),
            output_tokens=output,
            streamed=streamed,
            output_limit=output,
            least_output_tokens=1 + _thinking_budget(fields),
            own_limit=unlimited or request.accepted.no_limit,
        )

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return cohere_error(kind, message)

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        fields = {**json.loads(plan.body), "max_tokens": output_tokens}
        return replace(
            plan, body=write(fields), output_tokens=output_tokens, output_limit=output_tokens
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else billed(reply)

    def ending(self, body: bytes) -> Ending | None:
        reply = read_reply(body)
        return None if reply is None else ending_of(reply)

    def stream(self, plan: CallPlan) -> ChatStream:
        return ChatStream()


def _check_message(message: Mapping[str, Any], request: CallRequest, unseen: Unseen) -> None:
    check_fields(message, rules.MESSAGE_FIELDS, {}, request.accepted, within="messages.")
    content = message.get("content")
    if content is None or isinstance(content, str):
        return
    if not isinstance(content, list):
        raise NotBounded("a message's `content` is neither text nor a list of parts")
    for part in content:
        kind = str(part.get("type")) if isinstance(part, dict) else "None"
        if kind in rules.UNSEEN_PARTS:
            why = rules.UNSEEN_PARTS[kind]
            unseen.met(f"a part of type {kind!r}", why, "Send what it shows as text")
        elif kind not in rules.BYTE_PARTS:
            raise NotBounded(
                f"a part of type {kind!r} has no bound: parts of this type have no rule here. "
                "Send its content as text"
            )


def _check_tool(tool: Mapping[str, Any]) -> None:
    kind = tool.get("type")
    if kind != rules.LOCAL_TOOL:
        raise NotBounded(
            f"a tool of type {kind!r} has no bound: the provider might run it and bill what it "
            "reads. Use function tools that run on your side"
        )


def _thinking_budget(fields: Mapping[str, Any]) -> int:
    """The tokens that the request itself sets aside for thoughts, 0 where it sets none."""
    thinking = fields.get("thinking")
    budget = thinking.get("token_budget") if isinstance(thinking, dict) else None
    return 0 if budget is None else whole_number(budget, "thinking.token_budget")


def objects(fields: Mapping[str, Any], name: str) -> list[dict[str, Any]]:
    """A field that is a list of objects, empty where it is missing. Raises NotBounded."""
    value = fields.get(name) or []
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        raise NotBounded(f"`{name}` is not a list of objects, so the call has no bound")
    return value

"""Cohere's own API: `/v2/chat`, whole or as server-sent events."""

from __future__ import annotations

import re
from typing import Any

import orjson

from tests.provider.answers.replies import Answer, Choice
from tests.provider.books.bill import Usage
from tests.provider.books.used import amended
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest, read_json

# docs.cohere.com/reference/chat
_FIELDS = frozenset(
    {"model", "messages", "stream", "max_tokens", "tools", "strict_tools", "tool_choice",
     "documents", "citation_options", "response_format", "safety_mode", "stop_sequences",
     "temperature", "seed", "frequency_penalty", "presence_penalty", "k", "p", "logprobs",
     "thinking", "priority"}
)  # fmt: skip
_PARTS = {
    "user": ("text", "image_url"),
    "assistant": ("text", "thinking"),
    "system": ("text",),
    "tool": ("text", "document"),
}
FINISH_REASONS = {"stop": "COMPLETE", "length": "MAX_TOKENS", "tool_calls": "TOOL_CALL"}
# What is added to a prompt and charged nobody for.
_ADDED = 500


def known(body: dict[str, Any], fields: frozenset[str], *, needs: tuple[str, ...]) -> None:
    """Raises ApiError 400 for a field that Cohere does not know, or one that is missing."""
    for name in needs:
        if not body.get(name):
            raise ApiError(400, f"invalid request: {name} is required.", param=name)
    for name in body.keys() - fields:
        raise ApiError(400, f"invalid request: unknown field {name}.", param=name)


def stated(units: dict[str, Any], usage: Usage) -> dict[str, Any]:
    """Units that were billed; those of nothing are left out."""
    return amended({name: count for name, count in units.items() if count}, usage)


class Chat:
    """`/v2/chat`."""

    content_type = "text/event-stream"
    done = (b"data: [DONE]\n\n",)

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body = read_json(raw)
        known(body, _FIELDS, needs=("model", "messages"))
        limit = body.get("max_tokens")
        if limit is not None and (type(limit) is not int or limit < 1):
            raise ApiError(400, "invalid request: max_tokens must be at least 1.")
        messages = [_message(each) for each in body["messages"]]
        for document in body.get("documents") or []:
            text = document if isinstance(document, str) else orjson.dumps(document).decode()
            messages.insert(0, {"role": "system", "content": text})
        tools = [_tool(each) for each in body.get("tools") or []]
        asked: dict[str, Any] = {"messages": messages, "tools": tools}
        choice = {"REQUIRED": "required", "NONE": "none"}.get(str(body.get("tool_choice")))
        asked |= {} if choice is None else {"tool_choice": choice}
        form = body.get("response_format") or {}
        if form.get("type") == "json_object":
            schema = form.get("json_schema") or {"type": "object"}
            asked["response_format"] = {"type": "json_schema", "json_schema": {"schema": schema}}
        return ChatRequest(
            body=asked,
            model=body["model"],
            messages=messages,
            max_output=limit,
            choices=1,
            stream=body.get("stream") is True,
            include_usage=True,
            service_tier="default",
            tools=tools,
        )

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return 0, 0

    def whole(
        self,
        answer: Answer,
        *,
        reply_id: str,
        created: int,
        model: str,
        tier: str,
        usage: Usage | None,
    ) -> dict[str, Any]:
        (choice,) = answer.choices
        message: dict[str, Any] = {"role": "assistant"}
        if choice.calls:
            message["tool_plan"] = "I will call them."
            message["tool_calls"] = _calls(choice)
        if choice.text:
            message["content"] = [{"type": "text", "text": choice.text}]
        reply = {"id": reply_id, "message": message, "finish_reason": _reason(choice)}
        return reply if usage is None else {**reply, "usage": usage_json(usage)}

    def events(
        self,
        answer: Answer,
        *,
        reply_id: str,
        created: int,
        model: str,
        tier: str,
        usage: Usage | None,
        include_usage: bool,
        chunk_tokens: int,
    ) -> list[bytes]:
        """As Cohere does: the reason and the usage are in the event that ends the message."""
        (choice,) = answer.choices
        begun = {"role": "assistant", "content": [], "tool_plan": "", "tool_calls": []}
        told: list[dict[str, Any]] = [
            {"type": "message-start", "id": reply_id, "delta": {"message": begun}}
        ]
        for at, call in enumerate(_calls(choice)):
            place: dict[str, Any] = {"index": at}
            arguments = call["function"]["arguments"]
            head = {**call, "function": {**call["function"], "arguments": ""}}
            part = {"function": {"arguments": arguments}}
            told += [
                {"type": "tool-call-start", **place, "delta": {"message": {"tool_calls": head}}},
                {"type": "tool-call-delta", **place, "delta": {"message": {"tool_calls": part}}},
                {"type": "tool-call-end", **place},
            ]
        pieces = re.findall(r"\s*\S+|\s+$", choice.text or "")
        if pieces:
            empty = {"message": {"content": {"type": "text", "text": ""}}}
            told.append({"type": "content-start", "index": 0, "delta": empty})
            for start in range(0, len(pieces), chunk_tokens):
                text = "".join(pieces[start : start + chunk_tokens])
                delta = {"message": {"content": {"text": text}}}
                told.append({"type": "content-delta", "index": 0, "delta": delta})
            told.append({"type": "content-end", "index": 0})
        end: dict[str, Any] = {"finish_reason": _reason(choice)}
        if usage is not None:
            end["usage"] = usage_json(usage)
        told.append({"type": "message-end", "id": reply_id, "delta": end})
        return [
            f"event: {each['type']}\ndata: ".encode() + orjson.dumps(each) + b"\n\n"
            for each in told
        ]


def usage_json(usage: Usage) -> dict[str, Any]:
    """What is billed, and beside it what the model saw."""
    units = {"input_tokens": usage.input, "output_tokens": usage.output}
    seen = {"input_tokens": usage.input + _ADDED, "output_tokens": usage.output + 3}
    return {"billed_units": amended(units, usage), "tokens": seen, "cached_tokens": usage.cached}


def _reason(choice: Choice) -> str:
    return FINISH_REASONS.get(choice.finish_reason, choice.finish_reason)


def _calls(choice: Choice) -> list[dict[str, Any]]:
    return [
        {
            "id": call.id,
            "type": "function",
            "function": {"name": call.name, "arguments": call.arguments},
        }
        for call in choice.calls
    ]


def _tool(tool: Any) -> dict[str, Any]:
    function = tool.get("function") if isinstance(tool, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise ApiError(400, "invalid request: tools must be functions with a name.")
    return {"type": "function", "function": function}


def _message(message: Any) -> dict[str, Any]:
    """A message as OpenAI's chat has it. Raises ApiError 400 for what Cohere has not."""
    role = message.get("role") if isinstance(message, dict) else None
    if role not in _PARTS:
        raise ApiError(400, f"invalid request: no role {role!r}.")
    content = message.get("content")
    if isinstance(content, list):
        for part in content:
            if part.get("type") not in _PARTS[role]:
                raise ApiError(400, f"invalid request: no part {part.get('type')!r} of a {role}.")
        content = [_part(part) for part in content]
    elif not isinstance(content, str) and not message.get("tool_calls"):
        raise ApiError(400, "invalid request: a message must have content.")
    told = {"role": role, "content": content}
    if message.get("tool_plan"):
        told["name"] = message["tool_plan"]
    return {**told, "tool_calls": message["tool_calls"]} if message.get("tool_calls") else told


def _part(part: dict[str, Any]) -> dict[str, Any]:
    if part["type"] == "image_url":
        return part
    text = part.get("text") or part.get("thinking") or orjson.dumps(part.get("document")).decode()
    return {"type": "text", "text": text}


COHERE_CHAT = Chat()

"""Anthropic's messages: its requests, replies, streams and usage."""

from __future__ import annotations

import re
from typing import Any

import orjson

from tests.provider.answers.replies import Answer
from tests.provider.books.bill import Usage
from tests.provider.books.used import amended
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest, read_json
from tests.provider.families.family import written_where

STOP_REASONS = {"stop": "end_turn", "length": "max_tokens", "tool_calls": "tool_use"}


def usage_json(usage: Usage, tier: str) -> dict[str, Any]:
    """The input leaves out what was read from a cache or written to one."""
    written = usage.written + usage.written_long
    searched = (
        {"server_tool_use": {"web_search_requests": usage.searches}} if usage.searches else {}
    )
    whole = {
        "input_tokens": usage.input - usage.cached - written,
        "cache_read_input_tokens": usage.cached,
        "cache_creation_input_tokens": written,
        "cache_creation": {
            "ephemeral_5m_input_tokens": usage.written,
            "ephemeral_1h_input_tokens": usage.written_long,
        },
        "output_tokens": usage.output,
        "service_tier": "standard",
        "inference_geo": "us" if tier == "us" else "global",
        **searched,
    }
    return amended(whole, usage)


def sse(kind: str, **data: Any) -> bytes:
    """An event with its name."""
    return f"event: {kind}\ndata: ".encode() + orjson.dumps({"type": kind, **data}) + b"\n\n"


def openai_messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    """The conversation as OpenAI has it: the system prompt first, images as its image parts."""
    found: list[dict[str, Any]] = []
    for message in ({"role": "system", "content": body.get("system")}, *body["messages"]):
        content = message.get("content")
        if isinstance(content, list):
            content = [
                {"type": "image_url"}
                if part.get("type") == "image"
                else {"type": "text", "text": part.get("text") or _other(part)}
                for part in content
            ]
        if content is not None:
            found.append({"role": message["role"], "content": content})
    return found


def _other(part: dict[str, Any]) -> str:
    return "" if part.get("type") == "text" else orjson.dumps(part).decode()


def openai_tools(tools: list[dict[str, Any]], schema: str) -> list[dict[str, Any]]:
    """Tools as OpenAI has them; `schema` is where their parameters stand."""
    return [
        {
            "type": "function",
            "function": {
                "name": tool["name"],
                "description": tool.get("description", ""),
                "parameters": tool.get(schema) or {"type": "object"},
            },
        }
        for tool in tools
    ]


class Messages:
    """`/v1/messages`."""

    content_type = "text/event-stream; charset=utf-8"
    done = (sse("message_stop"),)

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body = read_json(raw)
        limit, messages = body.get("max_tokens"), body.get("messages")
        if not isinstance(limit, int) or limit < 1:
            raise ApiError(400, "max_tokens: Field required")
        if not isinstance(messages, list) or not messages:
            raise ApiError(400, "messages: Field required")
        tools = openai_tools(body.get("tools") or [], "input_schema")
        translated = openai_messages(body)
        return ChatRequest(
            body={"messages": translated, "tools": tools, "asked": body},
            model=str(body.get("model")),
            messages=translated,
            max_output=limit,
            choices=1,
            stream=body.get("stream") is True,
            include_usage=True,
            service_tier={"us": "us", "global": "default"}.get(
                str(body.get("inference_geo")), "auto"
            ),
            tools=tools,
        )

    def written(self, request: ChatRequest, fresh: int, config: Config) -> tuple[int, int]:
        return written_where(b'"cache_control"', request, fresh, config)

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
        content: list[dict[str, Any]] = []
        if choice.text is not None:
            content.append({"type": "text", "text": choice.text})
        for call in choice.calls:
            made = orjson.loads(call.arguments)
            content.append({"type": "tool_use", "id": call.id, "name": call.name, "input": made})
        reply = {
            "id": reply_id,
            "type": "message",
            "role": "assistant",
            "model": model,
            "content": content,
            "stop_reason": "refusal"
            if choice.refusal is not None
            else STOP_REASONS.get(choice.finish_reason, choice.finish_reason),
            "stop_sequence": None,
        }
        return reply if usage is None else {**reply, "usage": usage_json(usage, tier)}

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
        """As Anthropic does: the input's usage at the start, the output's, so far, at the end."""
        reply = self.whole(
            answer, reply_id=reply_id, created=created, model=model, tier=tier, usage=usage
        )
        content, stop_reason = reply["content"], reply["stop_reason"]
        start = {**reply, "content": [], "stop_reason": None}
        if usage is not None:
            start["usage"] = {**usage_json(usage, tier), "output_tokens": 1}
        found = [sse("message_start", message=start), sse("ping")]
        for index, block in enumerate(content):
            found += _block(index, block, chunk_tokens)
        delta: dict[str, Any] = {"delta": {"stop_reason": stop_reason, "stop_sequence": None}}
        if usage is not None:
            delta["usage"] = {"output_tokens": usage.output}
        return [*found, sse("message_delta", **delta)]


def _block(index: int, block: dict[str, Any], chunk_tokens: int) -> list[bytes]:
    if block["type"] == "text":
        empty: dict[str, Any] = {"type": "text", "text": ""}
        pieces = re.findall(r"\s*\S+|\s+$", block["text"])
        deltas: list[dict[str, Any]] = [
            {"type": "text_delta", "text": "".join(pieces[start : start + chunk_tokens])}
            for start in range(0, len(pieces), chunk_tokens)
        ]
    else:
        empty = {**block, "input": {}}
        made = orjson.dumps(block["input"]).decode()
        deltas = [{"type": "input_json_delta", "partial_json": made}]
    return [
        sse("content_block_start", index=index, content_block=empty),
        *(sse("content_block_delta", index=index, delta=delta) for delta in deltas),
        sse("content_block_stop", index=index),
    ]


MESSAGES = Messages()

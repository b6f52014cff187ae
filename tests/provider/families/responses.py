"""OpenAI's Responses API: its requests, replies, streams and usage."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

import orjson

from tests.provider.answers.replies import Answer, Choice
from tests.provider.books.bill import Usage
from tests.provider.books.used import amended
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest, read_json

LEAST_OUTPUT_TOKENS = 16
# What is served here; what refers to something by its id would need a memory.
BY_ID = ("previous_response_id", "conversation", "prompt")
# What a router reads, see `rules.routes`.
ROUTING = ("model", "models", "provider")
_ROLES = {"developer": "system"}
# Who thinks before it answers, and gives what it thought sealed where it is asked to; of all others
# to ask for it is an error.
_THINKS = re.compile(r"^(o[1-9]|gpt-5)(?!.*-chat)")
SEALED = "reasoning.encrypted_content"
INCOMPLETE = {"length": "max_output_tokens", "content_filter": "content_filter"}
STATUSES = {"failed": "failed", "cancelled": "cancelled"}


def usage_json(usage: Usage) -> dict[str, Any]:
    """The usage object: what was billed, and nothing else."""
    read = {"cached_tokens": usage.cached, "cache_write_tokens": usage.written}
    if usage.audio:
        read["audio_tokens"] = usage.audio
    stated = {} if usage.cost is None else {"cost": float(usage.cost), "is_byok": False}
    whole = {
        **stated,
        "input_tokens": usage.input,
        "input_tokens_details": read,
        "output_tokens": usage.output,
        "output_tokens_details": {"reasoning_tokens": usage.reasoning},
        "total_tokens": usage.input + usage.output,
    }
    return amended(whole, usage)


def _parts(content: Any) -> Any:
    """A content as chat completions have it."""
    if not isinstance(content, list):
        return content
    return [
        {"type": "image_url"}
        if part.get("type") == "input_image"
        else {"type": "text", "text": str(part.get("text", part.get("refusal", "")))}
        for part in content
    ]


def _message(item: dict[str, Any]) -> dict[str, Any] | None:
    """An input item as a message of chat completions; None for another kind."""
    kind = item.get("type") or ("message" if "role" in item else None)
    if kind == "message" and isinstance(item.get("role"), str):
        role = _ROLES.get(item["role"], item["role"])
        return {"role": role, "content": _parts(item.get("content"))}
    if kind == "function_call":
        function = {"name": item.get("name"), "arguments": item.get("arguments")}
        call = {"id": item.get("call_id"), "type": "function", "function": function}
        return {"role": "assistant", "content": None, "tool_calls": [call]}
    if kind == "function_call_output":
        return {"role": "tool", "content": _parts(item.get("output"))}
    if kind == "reasoning":
        return {"role": "assistant", "content": str(item.get("encrypted_content", ""))}
    return None


def _messages(body: dict[str, Any]) -> list[dict[str, Any]]:
    given = body.get("input")
    if isinstance(given, str):
        given = [{"role": "user", "content": given}]
    if not isinstance(given, list) or not all(isinstance(item, dict) for item in given):
        raise ApiError(400, "Missing required parameter: 'input'.", param="input")
    messages = [message for item in given if (message := _message(item)) is not None]
    if body.get("instructions"):
        messages.insert(0, {"role": "system", "content": body["instructions"]})
    return messages


def _tools(body: dict[str, Any]) -> list[dict[str, Any]]:
    return [
        {
            "type": "function",
            "function": {name: tool[name] for name in tool if name not in ("type", "strict")},
        }
        for tool in body.get("tools") or []
        if _is_function(tool)
    ]


def _is_function(tool: dict[str, Any]) -> bool:
    return tool.get("type") == "function" and isinstance(tool.get("name"), str)


def _elsewhere(body: dict[str, Any]) -> ApiError | None:
    """What a request asks for that would need a memory, or somebody to run it."""
    for name in BY_ID:
        if body.get(name) is not None:
            return ApiError(400, f"Nothing is stored here: '{name}'.", param=name)
    for index, tool in enumerate(body.get("tools") or []):
        if not _is_function(tool):
            return ApiError(400, f"Unsupported tool: {tool.get('type')}", param=f"tools[{index}]")
    given = body.get("input")
    for item in given if isinstance(given, list) else ():
        if _message(item) is None:
            return ApiError(400, f"Invalid value: {item.get('type')!r}.", param="input")
        if item.get("type") == "reasoning" and not item.get("encrypted_content"):
            return ApiError(404, f"Item with id '{item.get('id')}' not found.", param="input")
    return None


def _limit(body: dict[str, Any]) -> int | None:
    limit = body.get("max_output_tokens")
    if limit is not None and (
        not isinstance(limit, int) or isinstance(limit, bool) or limit < LEAST_OUTPUT_TOKENS
    ):
        raise ApiError(
            400,
            f"Invalid 'max_output_tokens': expected a value >= {LEAST_OUTPUT_TOKENS}.",
            param="max_output_tokens",
        )
    return limit


class Responses:
    """`/v1/responses`."""

    content_type = "text/event-stream; charset=utf-8"
    # The event that ends a stream holds the response, so it is one of the stream's own.
    done: tuple[bytes, ...] = ()

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body = read_json(raw)
        model = body.get("model")
        if not isinstance(model, str) or not model:
            raise ApiError(400, "Missing required parameter: 'model'.", param="model")
        thinks = _THINKS.search(model.rpartition("/")[2]) is not None
        sealed = SEALED in (body.get("include") or ())
        if sealed and not thinks:
            why = "Encrypted content is not supported with this model."
            raise ApiError(400, why, param="include")
        messages, tools = _messages(body), _tools(body)
        asked: dict[str, Any] = {"messages": messages, "tools": tools}
        asked |= {name: body[name] for name in ROUTING if name in body}
        form = (body.get("text") or {}).get("format") or {}
        if form.get("type") == "json_schema":
            schema = {"name": form.get("name"), "schema": form.get("schema", {})}
            asked["response_format"] = {"type": "json_schema", "json_schema": schema}
        choice = body.get("tool_choice", "auto")
        if isinstance(choice, dict):
            choice = {"type": "function", "function": {"name": choice.get("name")}}
        asked["tool_choice"] = choice
        asked["parallel_tool_calls"] = body.get("parallel_tool_calls", True)
        return ChatRequest(
            body=asked,
            model=model,
            messages=messages,
            max_output=_limit(body),
            choices=1,
            stream=body.get("stream") is True,
            include_usage=True,
            service_tier=str(body.get("service_tier") or "auto"),
            tools=tools,
            elsewhere=_elsewhere(body),
            thinks=("sealed" if sealed else "kept") if thinks else None,
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
        """A `response` object; without `usage` the field is null."""
        (choice,) = answer.choices
        why = INCOMPLETE.get(choice.finish_reason)
        status = "incomplete" if why else STATUSES.get(choice.finish_reason, "completed")
        return {
            **_frame(reply_id, created, model, tier),
            "status": status,
            "incomplete_details": {"reason": why} if why else None,
            "output": [
                *_searches(reply_id, 0 if usage is None else usage.searches),
                *_thoughts(reply_id, answer.thoughts),
                *_items(reply_id, choice, "incomplete" if why else "completed"),
            ],
            "usage": None if usage is None else usage_json(usage),
        }

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
        """As OpenAI does: the response as it began, its items piece by piece, the response as it
        ended, which alone has the usage."""
        end = self.whole(
            answer, reply_id=reply_id, created=created, model=model, tier=tier, usage=usage
        )
        start = {**end, "status": "in_progress", "incomplete_details": None, "output": []}
        start["usage"] = None
        told: list[tuple[str, dict[str, Any]]] = [
            ("response.created", {"response": start}),
            ("response.in_progress", {"response": start}),
        ]
        for index, item in enumerate(end["output"]):
            told += _told(index, item, chunk_tokens)
        told.append((f"response.{end['status']}", {"response": end}))
        return [
            f"event: {kind}\ndata: ".encode()
            + orjson.dumps({"type": kind, "sequence_number": at, **fields})
            + b"\n\n"
            for at, (kind, fields) in enumerate(told)
        ]


def _frame(reply_id: str, created: int, model: str, tier: str) -> dict[str, Any]:
    return {
        "id": reply_id.replace("chatcmpl-", "resp_"),
        "object": "response",
        "created_at": created,
        "model": model,
        "error": None,
        "instructions": None,
        "metadata": {},
        "parallel_tool_calls": True,
        "service_tier": tier,
        "temperature": 1.0,
        "text": {"format": {"type": "text"}},
        "tool_choice": "auto",
        "tools": [],
        "top_p": 1.0,
    }


def _thoughts(reply_id: str, how: str | None) -> Iterator[dict[str, Any]]:
    """What was thought: kept here under its name, or given away sealed."""
    if how is not None:
        name = f"rs_{reply_id.rpartition('-')[2]}"
        item = {"id": name, "type": "reasoning", "summary": []}
        seal = "gAAAAAB" + f"{name}-" * 40
        yield {**item, "encrypted_content": seal} if how == "sealed" else item


def _searches(reply_id: str, count: int) -> Iterator[dict[str, Any]]:
    for at in range(count):
        yield {
            "id": f"ws_{reply_id.rpartition('-')[2]}_{at}",
            "type": "web_search_call",
            "status": "completed",
            "action": {"type": "search", "query": "what there is"},
        }


def _items(reply_id: str, choice: Choice, status: str) -> Iterator[dict[str, Any]]:
    number = reply_id.rpartition("-")[2]
    for at, call in enumerate(choice.calls):
        yield {
            "id": f"fc_{number}_{at}",
            "type": "function_call",
            "status": status,
            "call_id": call.id,
            "name": call.name,
            "arguments": call.arguments,
        }
    if choice.text is not None or choice.refusal is not None:
        text: dict[str, Any] = {"type": "refusal", "refusal": choice.refusal}
        if choice.refusal is None:
            text = {"type": "output_text", "text": choice.text, "annotations": [], "logprobs": []}
        yield {
            "id": f"msg_{number}",
            "type": "message",
            "role": "assistant",
            "status": status,
            "content": [text],
        }


def _told(index: int, item: dict[str, Any], chunk_tokens: int) -> list[tuple[str, dict[str, Any]]]:
    """The events that tell of one item."""
    place: dict[str, Any] = {"item_id": item["id"], "output_index": index}
    begun = {**item, "status": "in_progress"}
    if item["type"] == "reasoning":
        return [
            ("response.output_item.added", {"output_index": index, "item": item}),
            ("response.output_item.done", {"output_index": index, "item": item}),
        ]
    if item["type"] == "web_search_call":
        return [
            ("response.output_item.added", {"output_index": index, "item": begun}),
            ("response.web_search_call.completed", place),
            ("response.output_item.done", {"output_index": index, "item": item}),
        ]
    if item["type"] == "function_call":
        made = item["arguments"]
        middle = [
            ("response.function_call_arguments.delta", {**place, "delta": made}),
            (
                "response.function_call_arguments.done",
                {**place, "name": item["name"], "arguments": made},
            ),
        ]
        begun["arguments"] = ""
    else:
        (part,) = item["content"]
        place["content_index"] = 0
        if part["type"] == "refusal":
            return [
                ("response.output_item.added", {"output_index": index, "item": begun}),
                ("response.refusal.delta", {**place, "delta": part["refusal"]}),
                ("response.refusal.done", {**place, "refusal": part["refusal"]}),
                ("response.output_item.done", {"output_index": index, "item": item}),
            ]
        pieces = re.findall(r"\s*\S+|\s+$", part["text"])
        middle = [("response.content_part.added", {**place, "part": {**part, "text": ""}})]
        for start in range(0, len(pieces), chunk_tokens):
            delta = "".join(pieces[start : start + chunk_tokens])
            middle.append(("response.output_text.delta", {**place, "delta": delta, "logprobs": []}))
        done = {**place, "text": part["text"], "logprobs": []}
        middle.append(("response.output_text.done", done))
        middle.append(("response.content_part.done", {**place, "part": part}))
        begun["content"] = []
    return [
        ("response.output_item.added", {"output_index": index, "item": begun}),
        *middle,
        ("response.output_item.done", {"output_index": index, "item": item}),
    ]


RESPONSES = Responses()

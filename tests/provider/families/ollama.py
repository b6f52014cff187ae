"""Ollama's own API: `/api/chat` and `/api/generate`, whole or as lines of JSON."""

from __future__ import annotations

import re
from typing import Any

import orjson

from tests.provider.answers.replies import Answer, Choice
from tests.provider.books.bill import Usage
from tests.provider.config import Config
from tests.provider.families.chat import ApiError, ChatRequest, read_json

_INSTANT = "2024-01-01T00:00:00Z"


class Ollama:
    """One of the two paths. A stream unless `stream` is false."""

    content_type = "application/x-ndjson"
    done = ()

    def __init__(self, *, chat: bool) -> None:
        self._chat = chat

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        body = read_json(raw)
        limit = (body.get("options") or {}).get("num_predict")
        if self._chat:
            messages = body.get("messages") or []
        else:
            system = [{"role": "system", "content": body["system"]}] if body.get("system") else []
            messages = [*system, {"role": "user", "content": body.get("prompt") or ""}]
        if not messages:
            raise ApiError(400, "no messages")
        return ChatRequest(
            body={"messages": messages, "tools": body.get("tools") or []},
            model=str(body.get("model")),
            messages=messages,
            max_output=limit if isinstance(limit, int) and limit > 0 else None,
            choices=1,
            stream=body.get("stream", True) is not False,
            include_usage=True,
            service_tier="default",
            tools=body.get("tools") or [],
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
        return {**self._said(choice, choice.text or "", model), **_end(choice, usage)}

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
        """A line a few words; the counts are in the last line, which is `done`."""
        (choice,) = answer.choices
        pieces = re.findall(r"\s*\S+|\s+$", choice.text or "")
        lines = [
            {
                **self._said(choice, "".join(pieces[start : start + chunk_tokens]), model),
                "done": False,
            }
            for start in range(0, len(pieces), chunk_tokens)
        ]
        lines.append({**self._said(choice, "", model), **_end(choice, usage)})
        return [orjson.dumps(line) + b"\n" for line in lines]

    def _said(self, choice: Choice, text: str, model: str) -> dict[str, Any]:
        said: dict[str, Any] = {"model": model, "created_at": _INSTANT}
        if not self._chat:
            return {**said, "response": text}
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if choice.calls:
            message["tool_calls"] = [
                {"function": {"name": call.name, "arguments": orjson.loads(call.arguments)}}
                for call in choice.calls
            ]
        return {**said, "message": message}


def _end(choice: Choice, usage: Usage | None) -> dict[str, Any]:
    reason = "stop" if choice.finish_reason == "tool_calls" else choice.finish_reason
    end: dict[str, Any] = {"done": True, "done_reason": reason, "total_duration": 1}
    if usage is None:
        return end
    return {**end, "prompt_eval_count": usage.input, "eval_count": usage.output}


OLLAMA_CHAT = Ollama(chat=True)
OLLAMA_GENERATE = Ollama(chat=False)

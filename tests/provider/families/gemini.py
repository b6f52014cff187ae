"""Gemini's `generateContent`: its requests, replies, streams and usage."""

from __future__ import annotations

import re
from typing import Any

import orjson

from tests.provider.answers.replies import Answer, Choice
from tests.provider.books.bill import Usage
from tests.provider.books.used import amended
from tests.provider.config import Config
from tests.provider.families.anthropic import openai_tools
from tests.provider.families.chat import ApiError, ChatRequest, read_json

FINISH_REASONS = {"stop": "STOP", "length": "MAX_TOKENS", "tool_calls": "STOP"}
_MODEL = re.compile(r"/models/([^/:]+):(generateContent|streamGenerateContent)")


IMAGE_TOKENS = 1290


def usage_json(usage: Usage) -> dict[str, Any]:
    """Thoughts stand beside the candidates, what was heard and drawn by its modality."""
    candidates = max(0, usage.output - usage.reasoning)
    drawn = [{"modality": "IMAGE", "tokenCount": usage.images}] if usage.images else []
    whole: dict[str, Any] = {
        "candidatesTokensDetails": drawn or [{"modality": "TEXT", "tokenCount": candidates}],
        "promptTokenCount": usage.input,
        "cachedContentTokenCount": usage.cached,
        "candidatesTokenCount": candidates,
        "totalTokenCount": usage.input + usage.output,
    }
    if usage.reasoning:
        whole["thoughtsTokenCount"] = usage.reasoning
    if usage.audio:
        heard = {"modality": "AUDIO", "tokenCount": usage.audio}
        seen = {"modality": "TEXT", "tokenCount": usage.input - usage.audio}
        whole["promptTokensDetails"] = [seen, heard]
    return amended(whole, usage)


class GenerateContent:
    """`…/models/{model}:generateContent`, and its stream as server-sent events (`alt=sse`)."""

    content_type = "text/event-stream"
    done = ()

    def parse(self, raw: bytes, path: str) -> ChatRequest:
        found = _MODEL.search(path)
        if found is None:
            raise ApiError(404, f"no model in {path}")
        stream = found[2] == "streamGenerateContent"
        if stream and "alt=sse" not in path:
            raise ApiError(400, "this provider streams as alt=sse only")
        body = read_json(raw)
        config = body.get("generationConfig") or {}
        system = body.get("systemInstruction") or body.get("system_instruction") or {}
        tools = [
            function
            for tool in body.get("tools") or []
            for function in tool.get("functionDeclarations") or tool.get("function_declarations")
        ]
        messages = [
            {"role": {"model": "assistant"}.get(str(role), role), "content": _text(content)}
            for role, content in (
                ("system", system),
                *((each.get("role") or "user", each) for each in body["contents"]),
            )
            if content
        ]
        tier = str(body.get("serviceTier") or "standard").lower()
        return ChatRequest(
            body={"messages": messages, "tools": openai_tools(tools, "parameters")},
            model=found[1],
            messages=messages,
            max_output=config.get("maxOutputTokens", config.get("max_output_tokens")),
            choices=config.get("candidateCount", 1),
            stream=stream,
            include_usage=True,
            service_tier={"standard": "default"}.get(tier, tier),
            tools=openai_tools(tools, "parameters"),
            draws=_modalities(config) != {"TEXT"},
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
        candidates = [
            _candidate(index, _parts(choice) + _pictures(usage), _reason(choice))
            for index, choice in enumerate(answer.choices)
        ]
        reply: dict[str, Any] = {"modelVersion": model, "responseId": reply_id}
        if blocked := answer.choices[0].blocked:
            reply["promptFeedback"] = {"blockReason": blocked}
        else:
            reply["candidates"] = candidates
        return reply if usage is None else {**reply, "usageMetadata": usage_json(usage)}

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
        """As Gemini does: each chunk has a usage so far, the last one the reason too."""
        base = {"modelVersion": model, "responseId": reply_id}
        found: list[bytes] = []
        for index, choice in enumerate(answer.choices):
            pieces = re.findall(r"\s*\S+|\s+$", choice.text or "")
            texts = [
                "".join(pieces[start : start + chunk_tokens])
                for start in range(0, len(pieces), chunk_tokens)
            ]
            parts = [[{"text": text}] for text in texts] or [_parts(choice)]
            for at, each in enumerate(parts):
                last = at == len(parts) - 1
                reason = _reason(choice) if last else None
                each = each + _pictures(usage) if last else each
                chunk: dict[str, Any] = {"candidates": [_candidate(index, each, reason)], **base}
                if usage is not None:
                    whole = last and index == len(answer.choices) - 1
                    chunk["usageMetadata"] = usage_json(
                        usage if whole else usage._replace(output=at + 1, reasoning=0, images=0)
                    )
                found.append(b"data: " + orjson.dumps(chunk) + b"\r\n\r\n")
        return found


def _reason(choice: Choice) -> str:
    return FINISH_REASONS.get(choice.finish_reason, choice.finish_reason)


def _candidate(index: int, parts: list[dict[str, Any]], reason: str | None) -> dict[str, Any]:
    candidate: dict[str, Any] = {"content": {"role": "model", "parts": parts}, "index": index}
    if parts == [{"text": ""}]:
        # What a filter holds back has no content at all.
        del candidate["content"]
    return candidate if reason is None else {**candidate, "finishReason": reason}


def _parts(choice: Choice) -> list[dict[str, Any]]:
    if choice.calls:
        return [
            {"functionCall": {"name": call.name, "args": orjson.loads(call.arguments)}}
            for call in choice.calls
        ]
    return [{"text": choice.text}]


def _pictures(usage: Usage | None) -> list[dict[str, Any]]:
    count = 0 if usage is None else usage.images // IMAGE_TOKENS
    return [{"inlineData": {"mimeType": "image/png", "data": "iVBORw0KGgo="}}] * count


def _modalities(config: dict[str, Any]) -> set[str]:
    asked = config.get("responseModalities") or config.get("response_modalities") or []
    return {str(each).upper() for each in asked}


def _text(content: dict[str, Any]) -> str:
    parts = content.get("parts") or []
    parts = parts if isinstance(parts, list) else [parts]
    return "".join(part.get("text") or orjson.dumps(part).decode() for part in parts)


GEMINI = GenerateContent()

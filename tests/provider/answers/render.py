"""An answer as OpenAI's JSON: one object, or the events of a stream."""

from __future__ import annotations

import re
from typing import Any

import orjson

from tests.provider.answers.replies import Answer, Call, Choice
from tests.provider.books.bill import Usage
from tests.provider.books.used import amended
from tests.provider.families.chat import MISTRAL

DONE = b"data: [DONE]\n\n"


def usage_json(usage: Usage) -> dict[str, Any]:
    """The usage object: what was billed, and nothing else."""
    stated = {} if usage.cost is None else {"cost": float(usage.cost), "is_byok": False}
    read = {"cached_tokens": usage.cached, "audio_tokens": usage.audio}
    if usage.written:
        read["cache_write_tokens"] = usage.written
    whole = {
        **stated,
        "prompt_tokens": usage.input,
        "completion_tokens": usage.output,
        "total_tokens": usage.input + usage.output,
        "prompt_tokens_details": read,
        "completion_tokens_details": {"reasoning_tokens": usage.reasoning, "audio_tokens": 0},
    }
    return amended(whole, usage)


def _tier(model: str, tier: str) -> dict[str, str]:
    """Anthropic says nothing of tiers here (platform.claude.com/docs/en/api/openai-sdk)."""
    return {} if model.startswith("claude-") else {"service_tier": tier}


def _call_json(call: Call) -> dict[str, Any]:
    return {
        "id": call.id,
        "type": "function",
        "function": {"name": call.name, "arguments": call.arguments},
    }


def completion(
    answer: Answer, *, reply_id: str, created: int, model: str, tier: str, usage: Usage | None
) -> dict[str, Any]:
    """A `chat.completion` object; without `usage` the field is left out."""
    choices: list[dict[str, Any]] = []
    for index, choice in enumerate(answer.choices):
        message: dict[str, Any] = {"role": "assistant", "content": choice.text}
        message["refusal"] = choice.refusal
        if choice.calls:
            message["tool_calls"] = [_call_json(call) for call in choice.calls]
        choices.append(
            {
                "index": index,
                "message": message,
                "logprobs": None,
                "finish_reason": choice.finish_reason,
            }
        )
    body = {
        "id": reply_id,
        "object": "chat.completion",
        "created": created,
        "model": model,
        "choices": choices,
        **_tier(model, tier),
        "system_fingerprint": "fp_provider",
    }
    return body if usage is None else {**body, "usage": usage_json(usage)}


def _deltas(choice: Choice, chunk_tokens: int) -> list[dict[str, Any]]:
    """The deltas of one choice, the role first."""
    deltas: list[dict[str, Any]] = [{"role": "assistant", "content": "", "refusal": None}]
    if choice.calls:
        deltas[0]["content"] = None
    for index, call in enumerate(choice.calls):
        head = {**_call_json(call), "index": index}
        head["function"] = {"name": call.name, "arguments": ""}
        deltas.append({"tool_calls": [head]})
        part = {"index": index, "function": {"arguments": call.arguments}}
        deltas.append({"tool_calls": [part]})
    if choice.refusal is not None:
        deltas.append({"refusal": choice.refusal})
    pieces = re.findall(r"\s*\S+|\s+$", choice.text or "")
    for start in range(0, len(pieces), chunk_tokens):
        deltas.append({"content": "".join(pieces[start : start + chunk_tokens])})
    return deltas


def events(
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
    """The server-sent events of a stream, up to but without the final `[DONE]`.

    As OpenAI does: with `include_usage` every chunk has `"usage": null` and a last one has the
    usage and no choices; without it, no chunk speaks of usage. With `include_usage` and no `usage`,
    that last chunk is left out. Mistral has the usage in the chunk with the last reason.
    """
    base: dict[str, Any] = {
        "id": reply_id,
        "object": "chat.completion.chunk",
        "created": created,
        "model": model,
        **_tier(model, tier),
        "system_fingerprint": "fp_provider",
    }
    if include_usage:
        base["usage"] = None

    def event(index: int, delta: dict[str, Any], finish_reason: str | None) -> bytes:
        choice = {"index": index, "delta": delta, "logprobs": None, "finish_reason": finish_reason}
        return _sse({**base, "choices": [choice]})

    found: list[bytes] = []
    for index, choice in enumerate(answer.choices):
        found += [event(index, delta, None) for delta in _deltas(choice, chunk_tokens)]
        found.append(event(index, {}, choice.finish_reason))
    if model.startswith(MISTRAL) and usage is not None:
        last = orjson.loads(found.pop().removeprefix(b"data: "))
        found.append(_sse({**last, "usage": usage_json(usage)}))
    elif include_usage and usage is not None:
        found.append(_sse({**base, "choices": [], "usage": usage_json(usage)}))
    return found


def _sse(data: dict[str, Any]) -> bytes:
    return b"data: " + orjson.dumps(data) + b"\n\n"

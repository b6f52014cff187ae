"""What a chat completion's reply says was billed, whole or streamed."""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

from prefect_governor.blocks.wire.dialects.openai.usage import usage_parts
from prefect_governor.blocks.wire.replies.endings import Ending, ending, has_words, is_cut
from prefect_governor.blocks.wire.replies.sse import Event, EventSplitter
from prefect_governor.blocks.wire.requests.bodies import model_of
from prefect_governor.blocks.wire.requests.plans import Billed, StreamReader


class ChatStream(StreamReader):
    """A streamed reply. Complete once `[DONE]` and a usage were both seen, or once the connection
    has ended in order, each of the answers has said why it ended, and a usage came with or after
    that: not everybody writes `[DONE]`."""

    def __init__(self, *, hide_usage: bool, answers: int = 1) -> None:
        self._hide_usage = hide_usage
        self._answers = answers
        # By the answer's place, why it ended.
        self._reasons: dict[str, Any] = {}
        self._ended = False
        self._events = EventSplitter()
        self._billed: Billed | None = None
        self._tier: str | None = None
        self._model: str | None = None
        self._cut = False
        self._counted = False
        self._done = False

    def feed(self, data: bytes) -> bytes:
        return b"".join(self._shown(event) for event in self._events.feed(data))

    def flush(self) -> bytes:
        rest = b"".join(self._shown(event) for event in self._events.flush())
        self._ended = True
        return rest

    def finished(self) -> Billed | None:
        if self._billed is None or not (self._done or (self._ended and self._counted)):
            return None
        return replace(self._billed, service_tier=self._tier, cut=self._cut, model=self._model)

    def all_said(self) -> bool:
        return len(self._reasons) >= self._answers and all(self._reasons.values())

    def _shown(self, event: Event) -> bytes:
        if event.data is None:
            return event.raw
        if event.data.strip() == b"[DONE]":
            self._done = True
            return event.raw
        try:
            chunk = json.loads(event.data)
        except (ValueError, RecursionError):
            return event.raw
        if not isinstance(chunk, dict):
            return event.raw
        if isinstance(chunk.get("service_tier"), str):
            self._tier = chunk["service_tier"]
        # Azure's chunks about its filters name no model.
        self._model = model_of(chunk) or self._model
        self._cut = self._cut or _was_cut(chunk)
        self._hear(chunk)
        if chunk.get("usage") is None:
            return event.raw
        # A usage that cannot be read makes the earlier ones (running counts) untrue too.
        self._billed = billed(chunk)
        only_usage = not chunk.get("choices")
        return b"" if self._hide_usage and only_usage else event.raw

    def _hear(self, chunk: Mapping[str, Any]) -> None:
        """Which answers have ended, and whether the usage is theirs to the end."""
        choices = chunk.get("choices")
        for choice in choices if isinstance(choices, list) else ():
            if isinstance(choice, dict) and not _is_annotation(choice):
                # A chunk after the one with the reason says that there was more.
                self._reasons[str(choice.get("index", 0))] = choice.get("finish_reason")
                self._counted = False
        if "error" in chunk:
            self._counted = False
        elif isinstance(chunk.get("usage"), dict):
            self._counted = self.all_said()


def _is_annotation(choice: Mapping[str, Any]) -> bool:
    """Whether it says what Azure's asynchronous filter found, which comes when it comes, after the
    last word too (learn.microsoft.com/azure/ai-foundry/openai/concepts/content-streaming)."""
    return "content_filter_offsets" in choice and not choice.get("delta")


def billed(reply: Mapping[str, Any]) -> Billed | None:
    """The usage of a reply. None where it is missing or cannot be: no request has no input."""
    usage = reply.get("usage")
    parts = usage_parts(usage, input="prompt", output="completion")
    if parts is None:
        return None
    tier = reply.get("service_tier")
    return Billed(
        parts,
        tier if isinstance(tier, str) else None,
        _was_cut(reply),
        {"usage": usage, "cost": reply.get("cost")},
        model_of(reply),
    )


def _was_cut(reply: Mapping[str, Any]) -> bool:
    """Whether any of the answers stopped at a limit."""
    choices = reply.get("choices")
    return isinstance(choices, list) and any(
        isinstance(each, dict) and is_cut("chat", each.get("finish_reason")) for each in choices
    )


def ending_of(reply: Mapping[str, Any]) -> Ending | None:
    """How the first answer of a reply ended; None where there is none."""
    choices = reply.get("choices")
    choice = choices[0] if isinstance(choices, list) and choices else None
    message = choice.get("message") if isinstance(choice, dict) else None
    if not isinstance(choice, dict) or not isinstance(message, dict):
        return None
    calls = message.get("tool_calls") or message.get("function_call")
    return ending(
        "chat",
        choice.get("finish_reason"),
        says=bool(calls) or has_words(message.get("content")),
        refusal=has_words(message.get("refusal")),
    )

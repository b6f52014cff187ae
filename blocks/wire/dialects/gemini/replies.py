"""What a reply of Gemini's `generateContent` says was billed, whole or streamed."""

import json
from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.replies.endings import Ending, blocked, ending, has_words, is_cut
from prefect_governor.blocks.wire.replies.sse import Event, EventSplitter
from prefect_governor.blocks.wire.requests.bodies import count_of
from prefect_governor.blocks.wire.requests.plans import Billed, StreamReader

# `usageMetadata.trafficType`, which Vertex AI alone states, and the tariff that it is billed at
# (docs.cloud.google.com/vertex-ai/generative-ai/docs/priority-paygo); of one that is not here the
# request's own tier is taken.
TRAFFIC = {
    "ON_DEMAND": "standard",
    "ON_DEMAND_PRIORITY": "priority",
    "ON_DEMAND_FLEX": "flex",
}


class GenerateStream(StreamReader):
    """A streamed reply. There is no terminator: it is complete once the connection has ended in
    order, each of its candidates has said why it ended, and the last usage can be read."""

    def __init__(self) -> None:
        self._events = EventSplitter()
        self._ended = False
        self._chunks = Chunks()

    def feed(self, data: bytes) -> bytes:
        for event in self._events.feed(data):
            self._read(event)
        return data

    def flush(self) -> bytes:
        for event in self._events.flush():
            self._read(event)
        self._ended = True
        return b""

    def finished(self) -> Billed | None:
        return self._chunks.billed() if self._ended else None

    def all_said(self) -> bool:
        return self._chunks.billed() is not None

    def _read(self, event: Event) -> None:
        if event.data is None:
            return
        try:
            chunk = json.loads(event.data)
        except (ValueError, RecursionError):
            chunk = None
        self._chunks.take(chunk)


class Chunks:
    """The parts of one reply, in order; a whole reply is one of them."""

    def __init__(self) -> None:
        self._usage: Any = None
        self._reasons: dict[Any, str | None] = {}
        self._blocked = False
        self._broken = False

    def take(self, chunk: Any) -> None:
        if not isinstance(chunk, dict) or "error" in chunk:
            self._broken = True
            return
        # Each chunk's usage is the count so far.
        self._usage = chunk.get("usageMetadata", self._usage)
        feedback = chunk.get("promptFeedback")
        self._blocked |= isinstance(feedback, dict) and bool(feedback.get("blockReason"))
        for candidate in chunk.get("candidates") or ():
            if isinstance(candidate, dict):
                # A chunk after the one with the reason says that there was more.
                self._reasons[candidate.get("index", 0)] = candidate.get("finishReason")

    def billed(self) -> Billed | None:
        """None where the reply is not whole, or its usage is missing or cannot be."""
        reasons = self._reasons.values()
        whole = all(reasons) if reasons else self._blocked
        if self._broken or not whole or not isinstance(self._usage, dict):
            return None
        return _billed(self._usage, cut=any(is_cut("gemini", each) for each in reasons))


def ending_of(reply: Mapping[str, Any]) -> Ending | None:
    """How the first answer of a whole reply ended; None where there is none."""
    feedback = reply.get("promptFeedback")
    reason = feedback.get("blockReason") if isinstance(feedback, dict) else None
    candidates = reply.get("candidates")
    candidate = candidates[0] if isinstance(candidates, list) and candidates else None
    if not isinstance(candidate, dict):
        return blocked(reason) if isinstance(reason, str) else None
    content = candidate.get("content")
    parts = content.get("parts") if isinstance(content, dict) else None
    parts = parts if isinstance(parts, list) else []
    calls = any(isinstance(part, dict) and "functionCall" in part for part in parts)
    return ending("gemini", candidate.get("finishReason"), says=calls or has_words(parts))


def _billed(usage: Mapping[str, Any], *, cut: bool) -> Billed | None:
    inputs = count_of(usage, "promptTokenCount")
    if not inputs:
        return None
    inputs += count_of(usage, "toolUsePromptTokenCount") or 0
    thought = count_of(usage, "thoughtsTokenCount") or 0
    outputs = (count_of(usage, "candidatesTokenCount") or 0) + thought
    # Some models leave their thoughts out of the parts and have them in the total alone.
    outputs = max(outputs, (count_of(usage, "totalTokenCount") or 0) - inputs)
    cached = min(count_of(usage, "cachedContentTokenCount") or 0, inputs)
    heard = min(_heard(usage.get("promptTokensDetails")), inputs)
    drawn = _drawn(usage.get("candidatesTokensDetails"), outputs - thought)
    parts = UsageParts(
        inputs, outputs, cached, reasoning_tokens=thought, audio_tokens=heard, image_tokens=drawn
    )
    return Billed(parts, TRAFFIC.get(str(usage.get("trafficType"))), cut)


def _drawn(details: Any, written: int) -> int:
    """The output tokens that are images: of a reply that does not tell them apart, all."""
    if not isinstance(details, list) or not details:
        return written
    return min(_of(details, ("IMAGE",)), written)


def _heard(details: Any) -> int:
    """The input tokens that are audio or video."""
    return _of(details if isinstance(details, list) else [], ("AUDIO", "VIDEO"))


def _of(details: list[Any], modalities: tuple[str, ...]) -> int:
    return sum(
        count_of(each, "tokenCount") or 0
        for each in details
        if isinstance(each, dict) and each.get("modality") in modalities
    )

"""What a reply of Anthropic's messages says was billed, whole or streamed."""

import json
from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.replies.endings import Ending, ending, has_words, is_cut
from prefect_governor.blocks.wire.replies.sse import Event, EventSplitter
from prefect_governor.blocks.wire.requests.bodies import count_of
from prefect_governor.blocks.wire.requests.plans import Billed, StreamReader

# Regions that are billed at the standard rate: "not_available" is said of models without regions.
# Uses of hosted tools that the price knows: searches by the piece, pages by their tokens alone.
BY_THE_TOKEN = frozenset({"web_search_requests", "web_fetch_requests"})
STANDARD_REGIONS = frozenset({"global", "not_available"})


class MessageStream(StreamReader):
    """A streamed reply. Complete once `message_stop` came after a usage with its output.

    The event that says why the answer ended is held back until then, or until the connection's end
    where there is no usage: LiteLLM reads no further than that, and would otherwise leave a call
    whose end nobody saw.
    """

    def __init__(self) -> None:
        self._events = EventSplitter()
        self._held = b""
        self._usage: dict[str, Any] = {}
        self._counted = False
        self._stop_reason: Any = None
        self._done = False

    def feed(self, data: bytes) -> bytes:
        return b"".join(self._shown(event) for event in self._events.feed(data))

    def flush(self) -> bytes:
        rest = b"".join(self._shown(event) for event in self._events.flush())
        rest, self._held = self._held + rest, b""
        return rest

    def _shown(self, event: Event) -> bytes:
        self._read(event)
        if self._stop_reason is not None and self.finished() is None:
            self._held += event.raw
            return b""
        held, self._held = self._held, b""
        return held + event.raw

    def finished(self) -> Billed | None:
        if not (self._done and self._counted):
            return None
        return _billed(self._usage, self._stop_reason)

    def _read(self, event: Event) -> None:
        try:
            data = json.loads(event.data or b"null")
        except (ValueError, RecursionError):
            return
        kind = data.get("type") if isinstance(data, dict) else None
        if kind == "message_start":
            message = data.get("message")
            self._take(message.get("usage") if isinstance(message, dict) else None)
        elif kind == "message_delta":
            # Counts are cumulative, and what is left out or null is as it was.
            self._take(data.get("usage"))
            self._counted = count_of(data.get("usage"), "output_tokens") is not None
            delta = data.get("delta")
            if isinstance(delta, dict) and delta.get("stop_reason") is not None:
                self._stop_reason = delta["stop_reason"]
        elif kind == "message_stop":
            self._done = True

    def _take(self, usage: Any) -> None:
        if isinstance(usage, dict):
            self._usage |= {name: value for name, value in usage.items() if value is not None}


def billed(reply: Mapping[str, Any]) -> Billed | None:
    """The usage of a whole reply. None where it is missing or cannot be."""
    usage = reply.get("usage")
    return _billed(usage, reply.get("stop_reason")) if isinstance(usage, dict) else None


def ending_of(reply: Mapping[str, Any]) -> Ending | None:
    """How an answer ended; None where the reply is none."""
    content = reply.get("content")
    if not isinstance(content, list):
        return None
    calls = any(isinstance(block, dict) and block.get("type") == "tool_use" for block in content)
    return ending("messages", reply.get("stop_reason"), says=calls or has_words(content))


def _billed(usage: Mapping[str, Any], stop_reason: Any) -> Billed | None:
    """`input_tokens` leave out what was read from a cache or written to one: the sum is the input.

    A usage that was billed beside its tokens (hosted tools, a fast lane), none of which a governed
    call can ask for, is not trusted.
    """
    fresh, outputs = count_of(usage, "input_tokens"), count_of(usage, "output_tokens")
    if fresh is None or outputs is None:
        return None
    hosted = usage.get("server_tool_use")
    hosted = hosted if isinstance(hosted, dict) else {}
    searches = count_of(hosted, "web_search_requests") or 0
    other = {name: uses for name, uses in hosted.items() if name not in BY_THE_TOKEN}
    if usage.get("speed") not in (None, "standard") or any(other.values()):
        return None
    read = count_of(usage, "cache_read_input_tokens") or 0
    written = count_of(usage, "cache_creation_input_tokens") or 0
    lives = usage.get("cache_creation")
    short = count_of(lives, "ephemeral_5m_input_tokens") or 0
    long = count_of(lives, "ephemeral_1h_input_tokens") or 0
    # Where the breakdown does not add up, all of it is billed as written for an hour.
    short = short if short + long == written else 0
    inputs = fresh + read + written
    if not inputs:
        return None
    region = usage.get("inference_geo")
    if region in STANDARD_REGIONS:
        region = "standard"
    thought = count_of(usage.get("output_tokens_details"), "thinking_tokens") or 0
    return Billed(
        UsageParts(inputs, outputs, read, written, min(thought, outputs), short, searches=searches),
        region if isinstance(region, str) else None,
        is_cut("messages", stop_reason),
        {"usage": usage},
    )

"""What a reply of Bedrock's Converse says was billed, whole or streamed."""

from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.replies.endings import Ending, ending, has_words, is_cut
from prefect_governor.blocks.wire.replies.event_stream import Message, MessageSplitter
from prefect_governor.blocks.wire.requests.bodies import count_of, read_reply
from prefect_governor.blocks.wire.requests.plans import Billed, StreamReader


class ConverseStream(StreamReader):
    """A streamed reply. Complete once `metadata` came with its usage after `messageStop`.

    The message that says why the answer ended is held back until then, or until the connection's
    end where there is no usage: who reads no further than that would otherwise leave a call whose
    bill nobody saw.
    """

    def __init__(self) -> None:
        self._messages = MessageSplitter()
        self._held = b""
        self._stopped = False
        self._stop_reason: Any = None
        self._failed = False
        self._billed: Billed | None = None

    def feed(self, data: bytes) -> bytes:
        shown = b"".join(self._shown(message) for message in self._messages.feed(data))
        return shown + self.flush() if self._messages.broken else shown

    def flush(self) -> bytes:
        rest, self._held = self._held + self._messages.rest(), b""
        return rest

    def finished(self) -> Billed | None:
        return self._billed

    def _shown(self, message: Message) -> bytes:
        self._read(message)
        if self._stopped and self._billed is None and not self._failed:
            self._held += message.raw
            return b""
        held, self._held = self._held, b""
        return held + message.raw

    def _read(self, message: Message) -> None:
        if not message.kind:
            self._failed = True
        data = read_reply(message.payload) or {}
        if message.kind == "messageStop":
            self._stopped, self._stop_reason = True, data.get("stopReason")
        elif message.kind == "metadata" and self._stopped and not self._failed:
            self._billed = _billed(data, self._stop_reason)


def billed(reply: Mapping[str, Any]) -> Billed | None:
    """The usage of a whole reply. None where it is missing or cannot be."""
    return _billed(reply, reply.get("stopReason"))


def ending_of(reply: Mapping[str, Any]) -> Ending | None:
    """How an answer ended; None where the reply is none."""
    output = reply.get("output")
    message = output.get("message") if isinstance(output, dict) else None
    content = message.get("content") if isinstance(message, dict) else None
    if not isinstance(content, list):
        return None
    calls = any(isinstance(block, dict) and "toolUse" in block for block in content)
    return ending("converse", reply.get("stopReason"), says=calls or has_words(content))


def _billed(said: Mapping[str, Any], stop_reason: Any) -> Billed | None:
    """`inputTokens` leave out what was read from a cache or written to one: the sum is the input
    (docs.aws.amazon.com/bedrock/latest/userguide/prompt-caching.html).

    A usage of a lane that has a price of its own, which no governed call asks for, is not trusted.
    """
    usage = said.get("usage")
    fresh, outputs = count_of(usage, "inputTokens"), count_of(usage, "outputTokens")
    if not isinstance(usage, dict) or fresh is None or outputs is None:
        return None
    lane = said.get("performanceConfig")
    if isinstance(lane, dict) and lane.get("latency") not in (None, "standard"):
        return None
    read = count_of(usage, "cacheReadInputTokens") or 0
    written = count_of(usage, "cacheWriteInputTokens") or 0
    short, long = (_written(usage, life) for life in ("5m", "1h"))
    # Where the breakdown does not add up, all of it is billed as written for an hour.
    short = short if short + long == written else 0
    inputs = fresh + read + written
    if not inputs:
        return None
    tier = said.get("serviceTier")
    tier = tier.get("type") if isinstance(tier, dict) else None
    return Billed(
        UsageParts(inputs, outputs, read, written, cache_write_short_tokens=short),
        tier if isinstance(tier, str) else None,
        is_cut("converse", stop_reason),
        {"usage": usage},
    )


def _written(usage: Mapping[str, Any], life: str) -> int:
    details = usage.get("cacheDetails")
    return sum(
        count_of(each, "inputTokens") or 0
        for each in (details if isinstance(details, list) else ())
        if isinstance(each, dict) and each.get("ttl") == life
    )

"""What a reply of Cohere's says was billed, whole or streamed.

`billed_units` are what is charged, `tokens` what the model saw and wrote, with what Cohere adds by
itself and charges nobody for (docs.cohere.com/docs/how-does-cohere-pricing-work).
"""

from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.prices.tariffs import UsageParts
from prefect_governor.blocks.wire.replies.endings import Ending, ending, has_words, is_cut
from prefect_governor.blocks.wire.replies.sse import Event, EventSplitter
from prefect_governor.blocks.wire.requests.bodies import read_reply
from prefect_governor.blocks.wire.requests.plans import Billed, StreamReader

LAST_EVENT = "message-end"


class ChatStream(StreamReader):
    """A streamed answer. Complete once the event that ends it was seen with its usage."""

    def __init__(self) -> None:
        self._events = EventSplitter()
        self._billed: Billed | None = None

    def feed(self, data: bytes) -> bytes:
        return b"".join(self._shown(event) for event in self._events.feed(data))

    def flush(self) -> bytes:
        return b"".join(self._shown(event) for event in self._events.flush())

    def finished(self) -> Billed | None:
        return self._billed

    def _shown(self, event: Event) -> bytes:
        # Only the last of many is parsed.
        if event.data is not None and self._billed is None and LAST_EVENT.encode() in event.data:
            said = read_reply(event.data)
            if said is not None and said.get("type") == LAST_EVENT:
                delta = said.get("delta")
                self._billed = billed(delta) if isinstance(delta, dict) else None
        return event.raw


def billed(reply: Mapping[str, Any]) -> Billed | None:
    """The usage of an answer, whole or the last event's. None where there is none that can be
    trusted: no request has no input, and what else than tokens was billed has no price here."""
    usage = reply.get("usage")
    units = usage.get("billed_units") if isinstance(usage, dict) else None
    inputs, outputs = units_of(units, "input_tokens"), units_of(units, "output_tokens")
    if not inputs or outputs is None or beside(units, {"input_tokens", "output_tokens"}):
        return None
    cut = is_cut("cohere", reply.get("finish_reason"))
    return Billed(UsageParts(inputs, outputs), "standard", cut)


def units_of(units: Any, name: str) -> int | None:
    """A whole number of `billed_units`, which its schema calls a float; None where it is none."""
    value = units.get(name) if isinstance(units, dict) else None
    if isinstance(value, float) and value.is_integer():
        value = int(value)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value


def beside(units: Any, counted: set[str]) -> bool:
    """Whether anything was billed beside what is counted."""
    return any(value for name, value in units.items() if name not in counted)


def ending_of(reply: Mapping[str, Any]) -> Ending | None:
    """How the answer of a whole reply ended; None where it is none."""
    message = reply.get("message")
    if not isinstance(message, dict):
        return None
    return ending(
        "cohere",
        reply.get("finish_reason"),
        says=bool(message.get("tool_calls")) or has_words(message.get("content")),
    )

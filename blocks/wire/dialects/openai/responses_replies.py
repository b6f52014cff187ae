"""What a response of OpenAI's Responses API says was billed, whole or streamed."""

from collections.abc import Mapping
from typing import Any

from prefect_governor.blocks.wire.dialects.openai.usage import usage_parts
from prefect_governor.blocks.wire.replies.endings import Ending, ending, has_words, is_cut
from prefect_governor.blocks.wire.replies.sse import Event, EventSplitter
from prefect_governor.blocks.wire.requests.bodies import model_of, read_reply
from prefect_governor.blocks.wire.requests.plans import Billed, StreamReader

# The events that end a response. Each holds the response, with its usage where anything was billed.
TERMINAL_EVENTS = frozenset({"response.completed", "response.incomplete", "response.failed"})
TERMINAL_STATES = frozenset({"completed", "incomplete", "failed", "cancelled"})


class ResponseStream(StreamReader):
    """A streamed response. Complete once an event that ends it was seen with a usage."""

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
        # Only the last events of many can end it; the others are not parsed.
        if event.data is not None and b'"response.' in event.data and self._billed is None:
            self._read(event.data)
        return event.raw

    def _read(self, data: bytes) -> None:
        if not any(name.encode() in data for name in TERMINAL_EVENTS):
            return
        event = read_reply(data)
        if event is None or event.get("type") not in TERMINAL_EVENTS:
            return
        response = event.get("response")
        self._billed = billed(response) if isinstance(response, dict) else None


def billed(response: Mapping[str, Any]) -> Billed | None:
    """The usage of a response that has ended. None where there is none that can be trusted: no
    request has no input, and a response that still runs has not been billed to its end."""
    if response.get("status", "completed") not in TERMINAL_STATES:
        return None
    usage = response.get("usage")
    parts = usage_parts(usage, input="input", output="output", searches=_searches(response))
    if parts is None:
        return None
    tier = response.get("service_tier")
    return Billed(
        parts,
        tier if isinstance(tier, str) else None,
        _was_cut(response),
        {"usage": usage, "cost": response.get("cost")},
        model_of(response),
    )


def _searches(response: Mapping[str, Any]) -> int:
    """How many searches the provider made; to open a page that was found is none."""
    output = response.get("output")
    made = 0
    for item in output if isinstance(output, list) else ():
        if isinstance(item, dict) and item.get("type") == "web_search_call":
            action = item.get("action")
            kind = action.get("type") if isinstance(action, dict) else None
            made += kind in (None, "search")
    return made


def _was_cut(response: Mapping[str, Any]) -> bool:
    return is_cut("responses", _reason(response))


def _reason(response: Mapping[str, Any]) -> Any:
    """Why it is incomplete, else its status."""
    details = response.get("incomplete_details")
    reason = details.get("reason") if isinstance(details, dict) else None
    return reason or response.get("status", "completed")


def ending_of(response: Mapping[str, Any]) -> Ending | None:
    """How a response ended; None where it is none."""
    output = response.get("output")
    if not isinstance(output, list):
        return None
    items = [item for item in output if isinstance(item, dict)]
    contents = [item["content"] for item in items if isinstance(item.get("content"), list)]
    words = any(has_words(content) for content in contents if content)
    return ending(
        "responses",
        _reason(response),
        says=words or any(str(item.get("type")).endswith("_call") for item in items),
        refusal=any(
            isinstance(part, dict) and part.get("type") == "refusal"
            for content in contents
            for part in content
        ),
    )

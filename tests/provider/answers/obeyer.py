"""A model that does whatever it is told, by anybody: it stands for one that was talked into it.

Wherever a message or a tool's description holds `OBEY {"call": NAME, "arguments": {…}}` it makes
that call, and where it holds `OBEY {"say": TEXT}` that is its answer. `"when"` is a regex that must
be found in what tools have said so far. Each is obeyed once, in the order in which it was read.
"""

from __future__ import annotations

import json
import re
from typing import Any

from tests.provider.families.chat import ChatRequest

_ORDER = re.compile(r"OBEY (?=\{)")
_NOTHING = "Nobody told me anything."


def reply(request: ChatRequest) -> tuple[str | None, list[tuple[str, str]]]:
    """Text, or tool calls (name, arguments as JSON), of a chat request."""
    orders = [order for text in _read(request) for order in _orders(text)]
    said = "\n".join(_texts(request, "tool"))
    wanted = [each for each in orders if re.search(each.get("when", ""), said)]
    made = sum(
        len(message.get("tool_calls") or ())
        for message in request.messages
        if message["role"] == "assistant"
    )
    calls = [
        (str(each["call"]), json.dumps(each.get("arguments", {})))
        for each in wanted
        if "call" in each
    ][made:]
    if calls and request.tools and request.body.get("tool_choice") != "none":
        return None, calls
    # Whoever came last is heard.
    says = [str(each["say"]) for each in wanted if "say" in each]
    return says[-1] if says else _NOTHING, []


def _read(request: ChatRequest) -> list[str]:
    tools = [str(tool["function"].get("description", "")) for tool in request.tools or ()]
    return [*tools, *_texts(request, "system", "user", "tool")]


def _texts(request: ChatRequest, *roles: str) -> list[str]:
    return [
        message["content"]
        for message in request.messages
        if message["role"] in roles and isinstance(message.get("content"), str)
    ]


def _orders(text: str) -> list[dict[str, Any]]:
    """Those that stand in a text, not those that stand in others' arguments."""
    found = []
    at = 0
    while match := _ORDER.search(text, at):
        at = match.end()
        try:
            order, at = json.JSONDecoder().raw_decode(text, at)
        except ValueError:
            try:
                # In a name that is quoted it stands as JSON has it.
                order, _ = json.JSONDecoder().raw_decode(_unquoted(text[at:]))
            except ValueError:
                continue
        found.append(order)
    return found


def _unquoted(text: str) -> str:
    return re.sub(r"\\(.)", r"\1", text)

"""OpenAI's chat completions, which most gateways speak too: any path that ends so.

What a request may hold is in `chat_rules`; here is what it may cost.
"""

import json
import math
from collections.abc import Iterable, Mapping
from fractions import Fraction
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.model.tariffs import STANDARD_TIERS, Price
from prefect_governor.blocks.model.tokens import count_tokens
from prefect_governor.blocks.wire.dialects.chat_replies import ChatStream, billed
from prefect_governor.blocks.wire.dialects.chat_rules import (
    COUNTED_FIELDS,
    LOCAL_TOOLS,
    MAX_TOKENS_FIELDS,
    PLAIN_FIELDS,
    REFUSED_FIELDS,
    REFUSED_PARTS,
    TEXT_PARTS,
)
from prefect_governor.blocks.wire.plans import Billed, CallPlan, CallRequest

# The premise of promise P1: a provider counts at most 1.5 times the local tokenizer's tokens, and
# no more than the body's bytes plus a fixed overhead a message and a tool.
TOKENIZER_FACTOR = Fraction(3, 2)
MESSAGE_OVERHEAD_TOKENS = 16
TOOL_OVERHEAD_TOKENS = 16
REQUEST_OVERHEAD_TOKENS = 16


class OpenAIChat:
    """`POST …/chat/completions`."""

    name = "OpenAI chat completions"

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/chat/completions")

    def open(self, body: bytes) -> CallRequest:
        """Raises NotBounded where the body is not a JSON object that names a model."""
        try:
            fields = json.loads(body)
        except (ValueError, RecursionError):
            raise NotBounded(
                "the request's body is not JSON, so its cost has no bound; it was not sent"
            ) from None
        model = fields.get("model") if isinstance(fields, dict) else None
        if not isinstance(model, str) or not model:
            raise NotBounded("the request names no model, so its cost has no bound; set `model`")
        return CallRequest(model, fields)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send: read here and written again, so that what is sent is
        what was measured (a key that stands twice in a body is read differently elsewhere).

        Amended: a stream is asked for its usage, which is then kept from a caller who did not ask.
        A request that names no service tier, for a model that has dearer ones, asks for "default":
        the account's own setting could otherwise make it a dear one. "auto" stays what it is, at
        the dearest tier that the price names.
        """
        fields = dict(request.fields)
        _refuse(fields)
        messages, tools = _messages(fields), _tools(fields)
        output = _output_tokens(fields)
        tier = _service_tier(fields, price, request.model)
        streamed, hide = _ask_for_usage(fields)
        body = _write(fields)
        overhead = (
            REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * len(messages)
            + TOOL_OVERHEAD_TOKENS * len(tools)
        )
        tokens = len(body)
        if encoding is not None:
            local = sum(count_tokens(text, encoding) for text in _texts(fields, messages))
            tokens = min(tokens, math.ceil(TOKENIZER_FACTOR * local))
        return CallPlan(
            body=body,
            input_tokens=tokens + overhead,
            output_tokens=output,
            streamed=streamed,
            service_tier=tier,
            # OpenAI writes its caches unasked; elsewhere a part has to ask for it.
            cache_writes=price.provider in (None, "openai", "azure") or b"cache_" in body,
            hide_usage=hide,
        )

    def read(self, body: bytes) -> Billed | None:
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            return None
        return billed(reply) if isinstance(reply, dict) else None

    def stream(self, plan: CallPlan) -> ChatStream:
        return ChatStream(hide_usage=plan.hide_usage)


def _refuse(fields: Mapping[str, Any]) -> None:
    for name, value in fields.items():
        if value is None:
            continue
        if name in REFUSED_FIELDS:
            raise NotBounded(
                f"`{name}` has no bound: {REFUSED_FIELDS[name]}. Leave it out of the request"
            )
        if name == "modalities" and value != ["text"]:
            raise NotBounded("`modalities` other than text have no bound. Ask for text alone")
        if name not in PLAIN_FIELDS | COUNTED_FIELDS and name != "modalities":
            raise NotBounded(
                f"`{name}` is no field whose cost is known here, so the call has no bound. "
                "Leave it out of the request"
            )


def _messages(fields: Mapping[str, Any]) -> list[dict[str, Any]]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise NotBounded("`messages` is not a list of messages, so the call has no bound")
    for message in messages:
        if message.get("audio") is not None:
            raise NotBounded("`audio` in a message refers to an earlier reply of unknown length")
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise NotBounded("a message's `content` is neither text nor a list of parts")
        for part in content:
            _check_part(part)
    return messages


def _check_part(part: Any) -> None:
    kind = part.get("type") if isinstance(part, dict) else None
    if kind in TEXT_PARTS:
        return
    why = REFUSED_PARTS.get(str(kind), "parts of this type have no rule here")
    raise NotBounded(f"a part of type {kind!r} has no bound: {why}. Send its content as text")


def _tools(fields: Mapping[str, Any]) -> list[Any]:
    found: list[Any] = []
    for name in ("tools", "functions"):
        tools = fields.get(name) or []
        if not isinstance(tools, list) or not all(isinstance(each, dict) for each in tools):
            raise NotBounded(f"`{name}` is not a list of tools, so the call has no bound")
        for tool in tools:
            kind = tool.get("type", "function")
            if name == "tools" and kind not in LOCAL_TOOLS:
                raise NotBounded(
                    f"the hosted tool {kind!r} has no bound: the provider runs it and bills what "
                    "it reads. Use function tools that run on your side"
                )
        found += tools
    return found


def _output_tokens(fields: Mapping[str, Any]) -> int:
    """The most output tokens: `max_completion_tokens` or `max_tokens`, for each of `n`.

    Where both are given, the larger: a provider may know only one of them.
    """
    limits = [fields[name] for name in MAX_TOKENS_FIELDS if fields.get(name) is not None]
    if not limits:
        raise NotBounded(
            "the output has no bound: set max_tokens (or max_completion_tokens) in the request, "
            "or the Model block's `max_output_tokens`"
        )
    for limit in limits:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise NotBounded("max_tokens must be a whole number of at least 1")
    return int(max(limits)) * max(_times(fields, "n"), _times(fields, "best_of"))


def _times(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise NotBounded(f"`{name}` must be a whole number of at least 1")
    return value


def _service_tier(fields: dict[str, Any], price: Price, model: str) -> str | None:
    """The service tier asked for. Amends `fields` where it is left to the account."""
    tier = fields.get("service_tier")
    if tier is None:
        if price.service:
            fields["service_tier"] = "default"
        return "default"
    if not isinstance(tier, str):
        raise NotBounded("`service_tier` must be a name")
    if tier == "auto" or tier in STANDARD_TIERS or tier in price.service:
        return tier
    known = ", ".join(["default", *sorted(price.service)])
    raise NotBounded(
        f"the service tier {tier!r} of {model!r} has no known price (known: {known}). "
        "Ask for one of those"
    )


def _ask_for_usage(fields: dict[str, Any]) -> tuple[bool, bool]:
    """Whether the reply is streamed, and whether its usage is our own wish only."""
    if not fields.get("stream"):
        return False, False
    options = fields.get("stream_options")
    if options is not None and not isinstance(options, dict):
        raise NotBounded("`stream_options` must be an object")
    if options and options.get("include_usage") is True:
        return True, False
    fields["stream_options"] = {**(options or {}), "include_usage": True}
    return True, True


def _texts(fields: Mapping[str, Any], messages: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    """Every text of a request that may be counted as input."""
    for message in messages:
        content = message.get("content")
        rest = {key: value for key, value in message.items() if key not in ("role", "content")}
        if isinstance(content, str):
            yield content
        elif content is not None:
            for part in content:
                # Apart from the text, whose escapes in JSON would count as tokens that are none.
                field = TEXT_PARTS[part["type"]]
                if isinstance(part.get(field), str):
                    yield part[field]
                    part = {key: value for key, value in part.items() if key != field}
                if len(part) > 1:
                    yield _compact(part)
        if rest:
            yield _compact(rest)
    for name in COUNTED_FIELDS:
        if fields.get(name):
            yield _compact(fields[name])


def _compact(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def _write(fields: Mapping[str, Any]) -> bytes:
    try:
        return _compact(fields).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8; as an escape it is sent as it came.
        return json.dumps(fields, separators=(",", ":")).encode()

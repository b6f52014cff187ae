"""OpenAI's chat completions, which most gateways speak too: any path that ends so.

What a request may hold is in `chat_rules`; here is what it may cost.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects.openai.beyond import QWEN, beyond_tokens
from prefect_governor.blocks.wire.dialects.openai.chat_replies import ChatStream, billed, ending_of
from prefect_governor.blocks.wire.dialects.openai.chat_rules import (
    AUDIO_PARTS,
    COMPLETION_LIMITS,
    COUNTED_FIELDS,
    GOOGLE_FIELDS,
    IMAGE_DETAILS,
    IMAGE_PART,
    LOCAL_TOOLS,
    MAX_TOKENS_FIELDS,
    PLAIN_FIELDS,
    READ_FIELDS,
    REFUSED_FIELDS,
    REFUSED_PARTS,
    TEXT_PARTS,
    THOUGHT_FIELDS,
    UNSEEN_FIELDS,
    UNSEEN_PARTS,
    USAGE_UNASKED,
)
from prefect_governor.blocks.wire.dialects.openai.usage import keeps_for_hours
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOL_OVERHEAD_TOKENS,
    compact,
    most_counted,
    read_reply,
    read_request,
    service_tier,
    unrouted,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.images import openai_image_tokens
from prefect_governor.blocks.wire.requests.own_limits import BYTES_A_TOKEN, own_limit
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, CallRequest, Dialect
from prefect_governor.blocks.wire.requests.unseen import Unseen

_KNOWN = PLAIN_FIELDS | COUNTED_FIELDS | READ_FIELDS | UNSEEN_FIELDS.keys()

WRITES_UNASKED = (None, "openai", "azure", "openrouter")


class OpenAIChat(Dialect):
    """`POST …/chat/completions`."""

    name = "OpenAI chat completions"
    routes = True
    output_fields = tuple((name,) for name in MAX_TOKENS_FIELDS)
    thought_fields = THOUGHT_FIELDS

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/chat/completions")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where neither the path nor the body, a JSON object, names a model."""
        return read_request(body, path=path)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send: read here and written again, so that what is sent is
        what was measured.

        Amended: a stream is asked for its usage, which is then kept from a caller who did not ask,
        and the service tier is made plain (`service_tier`). Raises NotBounded, naming the field,
        part or tool.
        """
        fields = dict(request.fields)
        unseen = Unseen(request.accepted)
        _check(unrouted(request), request.accepted, unseen)
        if price.image_output is not None:
            raise NotBounded(
                f"what {request.model!r} writes by this path has no bound: it may be images, which "
                "are priced by Gemini's own generateContent alone. Use that"
            )
        messages, tools = _messages(fields, unseen), _tools(fields)
        if "a part of type 'file'" in unseen.parts and request.provider == "openrouter":
            raise NotBounded(
                "a part of type 'file' has no bound at OpenRouter: what reads it there is billed "
                "beside the tokens. Send its content as text"
            )
        whose = request.provider or price.provider
        tier = service_tier(fields, price, request)
        streamed, hide = _ask_for_usage(fields, whose)
        overhead = (
            REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * len(messages)
            + TOOL_OVERHEAD_TOKENS * len(tools)
        )
        image_tokens, image_bytes = _images(messages, request.model, price, unseen)
        local = None
        if encoding is not None:
            texts = _texts(fields, messages, request.accepted)
            local = sum(count_tokens(text, encoding) for text in texts)
        unlimited = _is_unlimited(fields)
        if unlimited:
            size = len(write(fields)) - image_bytes
            seen = size // BYTES_A_TOKEN if local is None else most_counted(local)
            _set_limit(fields, request, price, input_tokens=seen + image_tokens + overhead)
        beyond = beyond_tokens(fields, price, request.model, provider=whose, encoding=encoding)
        output = _output_tokens(fields)
        body = write(fields)
        _check_cache(body, price, request.model, whose)
        tokens = len(body) - image_bytes
        if local is not None:
            tokens = min(tokens, most_counted(local))
        answers = _answers(fields)
        inputs = unseen.input_tokens(tokens + image_tokens + overhead, price, request.model)
        alone = answers == 1 and not beyond
        return CallPlan(
            body=body,
            input_tokens=inputs,
            output_tokens=output + beyond * answers,
            streamed=streamed,
            service_tier=tier,
            # OpenAI writes its caches unasked; elsewhere a part has to ask for it.
            cache_writes=price.provider in WRITES_UNASKED or b"cache_" in body,
            long_writes=keeps_for_hours(fields, body, whose),
            hide_usage=hide,
            # What nobody sees says nothing of how the rest is counted.
            local_input_tokens=None if unseen.parts else local,
            output_limit=output if alone else None,
            least_output_tokens=_least_output_tokens(fields) if alone else None,
            own_limit=unlimited or request.accepted.no_limit,
            answers=answers,
            audio=unseen.audio,
        )

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        fields = json.loads(plan.body)
        for name in MAX_TOKENS_FIELDS:
            if fields.get(name) is not None:
                fields[name] = min(fields[name], output_tokens)
        return replace(
            plan, body=write(fields), output_tokens=output_tokens, output_limit=output_tokens
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else billed(reply)

    def ending(self, body: bytes) -> Ending | None:
        reply = read_reply(body)
        return None if reply is None else ending_of(reply)

    def stream(self, plan: CallPlan) -> ChatStream:
        return ChatStream(hide_usage=plan.hide_usage, answers=plan.answers)


def _check(fields: Mapping[str, Any], accepted: Accepted, unseen: Unseen) -> None:
    check_fields(fields, _KNOWN, REFUSED_FIELDS, accepted)
    if fields.get("modalities") not in (None, ["text"]):
        raise NotBounded("`modalities` other than text have no bound. Ask for text alone")
    for name, (why, instead) in UNSEEN_FIELDS.items():
        if fields.get(name) is not None:
            unseen.met(f"`{name}`", why, instead)
    if fields.get("chat_template") is not None:
        unseen.code("`chat_template`")
    extra = fields.get("extra_body") or {}
    google = extra.get("google") if isinstance(extra, dict) else extra
    if extra and (not isinstance(google, dict) or extra.keys() - {"google"}):
        raise NotBounded(
            "`extra_body` has no bound but for what Gemini reads of it (`extra_body.google`). "
            "Leave it out of the request: with OpenAI's SDK what stands in `extra_body` is a field "
            "by itself"
        )
    check_fields(google or {}, GOOGLE_FIELDS, {}, accepted, within="extra_body.google.")
    if google and google.get("cached_content") is not None:
        why = "a cached content by name has a length that nobody sees here"
        unseen.met("`extra_body.google.cached_content`", why, "Send its text")
        unseen.audio = True


def _check_cache(body: bytes, price: Price, model: str, whose: str | None) -> None:
    """Qwen bills what a request asks it to cache at more than fresh input
    (alibabacloud.com/help/en/model-studio/context-cache), which the list does not price of most."""
    unpriced = price.standard.rates.cache_write is None
    if whose in QWEN and unpriced and b'"cache_control"' in body:
        raise NotBounded(
            f"`cache_control` has no bound: what a write to a cache costs with {model!r} is not "
            "known here. Leave it out: what was seen before is cached by itself"
        )


def _messages(fields: Mapping[str, Any], unseen: Unseen) -> list[dict[str, Any]]:
    messages = fields.get("messages")
    if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
        raise NotBounded("`messages` is not a list of messages, so the call has no bound")
    for message in messages:
        if message.get("audio") is not None:
            why = "it refers to an earlier reply of unknown length"
            unseen.met("`audio` in a message", why, "Send its transcript as text")
            unseen.audio = True
        content = message.get("content")
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise NotBounded("a message's `content` is neither text nor a list of parts")
        for part in content:
            _check_part(part, unseen)
    return messages


def _check_part(part: Any, unseen: Unseen) -> None:
    kind = str(part.get("type")) if isinstance(part, dict) else "None"
    if kind in TEXT_PARTS or kind == IMAGE_PART:
        return
    if kind in UNSEEN_PARTS:
        unseen.met(f"a part of type {kind!r}", UNSEEN_PARTS[kind], "Send its content as text")
        unseen.audio |= kind in AUDIO_PARTS
        return
    why = REFUSED_PARTS.get(kind, "parts of this type have no rule here")
    raise NotBounded(f"a part of type {kind!r} has no bound: {why}. Send its content as text")


def _images(
    messages: Iterable[Mapping[str, Any]], model: str, price: Price, unseen: Unseen
) -> tuple[int, int]:
    """The most tokens of all images, and the bytes of those in the request, which are no text."""
    tokens = size = 0
    for message in messages:
        content = message.get("content")
        for part in content if isinstance(content, list) else ():
            if part["type"] != IMAGE_PART:
                continue
            image = part.get("image_url")
            # Some gateways take the address alone.
            image = {"url": image} if isinstance(image, str) else image
            url = image.get("url") if isinstance(image, dict) else None
            if not isinstance(url, str) or image.get("detail") not in IMAGE_DETAILS:
                raise NotBounded(
                    "an image has no bound: `image_url` must hold a `url` and a `detail` that is "
                    "low, high or auto"
                )
            tokens += unseen.image(
                lambda detail: openai_image_tokens(model, price.provider, detail),
                image.get("detail"),
            )
            size += len(url)
    return tokens, size


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


def _is_unlimited(fields: Mapping[str, Any]) -> bool:
    return all(fields.get(name) is None for name in MAX_TOKENS_FIELDS)


def _set_limit(
    fields: dict[str, Any], request: CallRequest, price: Price, *, input_tokens: int
) -> None:
    """Writes the model's own limit into a request that has none, by the name that its provider
    holds reasoning models to as well."""
    for name in MAX_TOKENS_FIELDS:
        fields.pop(name, None)
    whose = request.provider or price.provider
    name = "max_completion_tokens" if whose in COMPLETION_LIMITS else "max_tokens"
    fields[name] = own_limit(price, request.model, name, input_tokens=input_tokens)


def _output_tokens(fields: Mapping[str, Any]) -> int:
    """The most output tokens: `max_completion_tokens` or `max_tokens`, for each of `n`.

    Where both are given, the larger: a provider may know only one of them.
    """
    limits = [fields[name] for name in MAX_TOKENS_FIELDS if fields.get(name) is not None]
    for limit in limits:
        if isinstance(limit, bool) or not isinstance(limit, int) or limit < 1:
            raise NotBounded("max_tokens must be a whole number of at least 1")
    return int(max(limits)) * _answers(fields)


def _answers(fields: Mapping[str, Any]) -> int:
    return max(_times(fields, "n"), _times(fields, "best_of"))


def _least_output_tokens(fields: Mapping[str, Any]) -> int | None:
    """What `max_tokens` may be fitted down to, None where it is not fitted: several answers, and
    one that was told never to end by itself."""
    if _answers(fields) > 1 or fields.get("ignore_eos"):
        return None
    least = 1
    # What must be written, and what is thought before a word of the answer is.
    for name, budget in (("thinking", "budget_tokens"), ("reasoning", "max_tokens")):
        thought = fields.get(name)
        if isinstance(thought, dict) and thought.get(budget) is not None:
            if not isinstance(thought[budget], int):
                return None
            least = max(least, thought[budget] + 1)
    written = fields.get("min_tokens")
    if written is not None:
        if not isinstance(written, int):
            return None
        least = max(least, written)
    return least


def _times(fields: Mapping[str, Any], name: str) -> int:
    value = fields.get(name)
    if value is None:
        return 1
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise NotBounded(f"`{name}` must be a whole number of at least 1")
    return value


def _ask_for_usage(fields: dict[str, Any], whose: str | None) -> tuple[bool, bool]:
    """Whether the reply is streamed, and whether its usage is our own wish only."""
    if not fields.get("stream"):
        return False, False
    options = fields.get("stream_options")
    if whose in USAGE_UNASKED:
        return True, False
    if options is not None and not isinstance(options, dict):
        raise NotBounded("`stream_options` must be an object")
    if options and options.get("include_usage") is True:
        return True, False
    fields["stream_options"] = {**(options or {}), "include_usage": True}
    return True, True


def _texts(
    fields: Mapping[str, Any], messages: Iterable[Mapping[str, Any]], accepted: Accepted
) -> Iterable[str]:
    """Every text of a request that may be counted as input."""
    for message in messages:
        content = message.get("content")
        rest = {key: value for key, value in message.items() if key not in ("role", "content")}
        if isinstance(content, str):
            yield content
        elif content is not None:
            for part in content:
                if part["type"] not in TEXT_PARTS:
                    continue
                # Apart from the text, whose escapes in JSON would count as tokens that are none.
                field = TEXT_PARTS[part["type"]]
                if isinstance(part.get(field), str):
                    yield part[field]
                    part = {key: value for key, value in part.items() if key != field}
                if len(part) > 1:
                    yield compact(part)
        if rest:
            yield compact(rest)
    for name in COUNTED_FIELDS | accepted.fields:
        if fields.get(name):
            yield compact(fields[name])

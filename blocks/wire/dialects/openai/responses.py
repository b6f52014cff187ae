"""OpenAI's Responses API, which some gateways speak too: any path that ends so.

What a request may hold is in `responses_rules`; here is what it may cost.
"""

import json
from collections.abc import Iterable, Mapping
from dataclasses import replace
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.prices.tokens import count_tokens
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects.openai.beyond import beyond_tokens
from prefect_governor.blocks.wire.dialects.openai.chat_rules import IMAGE_DETAILS
from prefect_governor.blocks.wire.dialects.openai.responses_replies import (
    ResponseStream,
    billed,
    ending_of,
)
from prefect_governor.blocks.wire.dialects.openai.responses_rules import (
    COUNTED_FIELDS,
    FIXED_SEARCHES,
    IMAGE_PART,
    INCLUDE,
    LOCAL_TOOLS,
    MAX_TOKENS_FIELD,
    PART_ITEMS,
    PLAIN_FIELDS,
    REFUSED_FIELDS,
    REFUSED_ITEMS,
    SEALED_REASONING,
    SEALS,
    SEALS_AT,
    SEARCH_TOOLS,
    TEXT_ITEMS,
    TEXT_PARTS,
    UNSEEN_FIELDS,
    UNSEEN_ITEMS,
    UNSEEN_PARTS,
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
    whole_number,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.images import openai_image_tokens
from prefect_governor.blocks.wire.requests.own_limits import BYTES_A_TOKEN, own_limit
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, CallRequest, Dialect
from prefect_governor.blocks.wire.requests.unseen import Unseen

Item = Mapping[str, Any]

# OpenAI takes no smaller `max_output_tokens`.
LEAST_OUTPUT_TOKENS = 16


class OpenAIResponses(Dialect):
    """`POST …/responses`."""

    name = "OpenAI responses"

    routes = True
    output_fields = ((MAX_TOKENS_FIELD,),)

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and path.rstrip("/").endswith("/responses")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where neither the path nor the body, a JSON object, names a model."""
        return read_request(body, path=path)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send, with its service tier made plain (`service_tier`) and
        its thoughts asked for, so that they are bounded where they are sent back.

        Raises NotBounded, naming the field, item, part or tool.
        """
        fields = dict(request.fields)
        unseen = Unseen(request.accepted)
        _check(unrouted(request), request.accepted, unseen)
        items, tools = _items(fields, unseen), _tools(fields, unseen, request.model)
        tier = service_tier(fields, price, request)
        overhead = (
            REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * (len(items) + 1)
            + TOOL_OVERHEAD_TOKENS * len(tools)
        )
        image_tokens, image_bytes = _images(items, request.model, price, unseen)
        sealed, counted, local = _sealed_bytes(items), None, None
        if encoding is not None:
            texts = _texts(fields, items, request.accepted)
            local = sum(count_tokens(text, encoding) for text in texts)
            counted = most_counted(local) + sealed
        unlimited = fields.get(MAX_TOKENS_FIELD) is None
        if unlimited:
            size = len(write(fields)) - image_bytes
            seen = size // BYTES_A_TOKEN if counted is None else counted
            fields[MAX_TOKENS_FIELD] = own_limit(
                price, request.model, MAX_TOKENS_FIELD, input_tokens=seen + image_tokens + overhead
            )
        output = whole_number(fields[MAX_TOKENS_FIELD], MAX_TOKENS_FIELD)
        whose = request.provider or price.provider
        if whose in SEALS_AT and SEALS.search(request.model):
            fields[INCLUDE] = _with_thoughts(fields.get(INCLUDE))
        beyond = beyond_tokens(fields, price, request.model, provider=whose)
        body = write(fields)
        tokens = len(body) - image_bytes
        if counted is not None:
            tokens = min(tokens, counted)
        streamed = bool(fields.get("stream"))
        inputs = unseen.input_tokens(tokens + image_tokens + overhead, price, request.model)
        return CallPlan(
            body=body,
            input_tokens=inputs,
            output_tokens=output + beyond,
            streamed=streamed,
            service_tier=tier,
            cache_writes=True,
            long_writes=keeps_for_hours(fields, body, whose),
            # What only the provider can read says nothing of how it counts.
            local_input_tokens=None if sealed or unseen.parts else local,
            output_limit=None if beyond else output,
            least_output_tokens=None if beyond else LEAST_OUTPUT_TOKENS,
            own_limit=unlimited or request.accepted.no_limit,
            audio=unseen.audio,
            searches=unseen.searches(price, request.model),
        )

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        fields = {**json.loads(plan.body), MAX_TOKENS_FIELD: output_tokens}
        return replace(
            plan, body=write(fields), output_tokens=output_tokens, output_limit=output_tokens
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else billed(reply)

    def ending(self, body: bytes) -> Ending | None:
        reply = read_reply(body)
        return None if reply is None else ending_of(reply)

    def stream(self, plan: CallPlan) -> ResponseStream:
        return ResponseStream()


def _check(fields: Mapping[str, Any], accepted: Accepted, unseen: Unseen) -> None:
    known = PLAIN_FIELDS | COUNTED_FIELDS | UNSEEN_FIELDS.keys()
    check_fields(fields, known, REFUSED_FIELDS, accepted)
    for name, (why, instead) in UNSEEN_FIELDS.items():
        if fields.get(name) is not None:
            unseen.met(f"`{name}`", why, instead)


def _with_thoughts(include: Any) -> list[Any]:
    if not isinstance(include, list | None):
        raise NotBounded(f"`{INCLUDE}` is not a list, so the call has no bound")
    asked = include or []
    return asked if SEALED_REASONING in asked else [*asked, SEALED_REASONING]


def _items(fields: Mapping[str, Any], unseen: Unseen) -> list[Item]:
    """The input as items; a text is one message."""
    given = fields.get("input")
    if given is None and unseen.parts:
        return []
    if isinstance(given, str):
        return [{"type": "message", "content": given}]
    if not isinstance(given, list) or not all(isinstance(each, dict) for each in given):
        raise NotBounded("`input` is neither text nor a list of items, so the call has no bound")
    for item in given:
        _check_item(item, unseen)
    return given


def _kind(item: Item) -> str:
    # A message need not say that it is one.
    return str(item.get("type") or ("message" if "role" in item else None))


def _check_item(item: Item, unseen: Unseen) -> None:
    kind = _kind(item)
    if kind in TEXT_ITEMS:
        return
    if kind in UNSEEN_ITEMS:
        unseen.met(f"an input item of type {kind!r}", UNSEEN_ITEMS[kind], "Send its text")
        return
    if kind not in PART_ITEMS:
        why = REFUSED_ITEMS.get(kind, "items of this type have no rule here")
        raise NotBounded(f"an input item of type {kind!r} has no bound: {why}")
    if kind == "reasoning" and item.get("encrypted_content") is None:
        # Its text stands at the provider; what is here is a name for it.
        unseen.met(
            "an input item of type 'reasoning' without `encrypted_content`",
            "it refers to earlier thoughts of unknown length",
            "Ask for include=['reasoning.encrypted_content'] with store=False, or leave it out",
        )
    for name in PART_ITEMS[kind]:
        content = item.get(name)
        if content is None or isinstance(content, str):
            continue
        if not isinstance(content, list):
            raise NotBounded(f"an item's `{name}` is neither text nor a list of parts")
        for part in content:
            _check_part(part, unseen)


def _check_part(part: Any, unseen: Unseen) -> None:
    kind = str(part.get("type")) if isinstance(part, dict) else "None"
    if kind in TEXT_PARTS or kind == IMAGE_PART:
        return
    if kind in UNSEEN_PARTS:
        unseen.met(f"a part of type {kind!r}", UNSEEN_PARTS[kind], "Send its content as text")
        unseen.audio |= kind == "input_audio"
        return
    why = "parts of this type have no rule here"
    raise NotBounded(f"a part of type {kind!r} has no bound: {why}. Send its content as text")


def _images(items: Iterable[Item], model: str, price: Price, unseen: Unseen) -> tuple[int, int]:
    """The most tokens of all images, and the bytes of those in the request, which are no text."""
    tokens = size = 0
    for item in items:
        for name in PART_ITEMS.get(_kind(item), ()):
            content = item.get(name)
            for part in content if isinstance(content, list) else ():
                if part["type"] != IMAGE_PART:
                    continue
                url, detail = part.get("image_url"), part.get("detail")
                if url is None and part.get("file_id") is not None:
                    # Its model's rule bounds it whatever it is.
                    url = ""
                if not isinstance(url, str) or detail not in IMAGE_DETAILS:
                    raise NotBounded(
                        "an image has no bound: `input_image` must hold an `image_url` and a "
                        "`detail` that is low, high or auto"
                    )
                tokens += unseen.image(
                    lambda detail: openai_image_tokens(model, price.provider, detail), detail
                )
                size += len(url)
    return tokens, size


def _tools(fields: Mapping[str, Any], unseen: Unseen, model: str) -> list[Any]:
    tools = fields.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(each, dict) for each in tools):
        raise NotBounded("`tools` is not a list of tools, so the call has no bound")
    for tool in tools:
        kind = str(tool.get("type", "function"))
        if kind.startswith(SEARCH_TOOLS):
            if FIXED_SEARCHES.search(model):
                raise NotBounded(
                    f"the hosted tool {kind!r} has no bound with this model: a fixed block of "
                    "tokens is billed for each use. Use function tools that run on your side"
                )
            uses = fields.get("max_tool_calls")
            unseen.search(f"the hosted tool {kind!r}", uses, "`max_tool_calls`")
        elif kind not in LOCAL_TOOLS:
            raise NotBounded(
                f"the hosted tool {kind!r} has no bound: the provider runs it and bills what it "
                "does and reads. Use function tools that run on your side"
            )
    return tools


def _texts(fields: Mapping[str, Any], items: Iterable[Item], accepted: Accepted) -> Iterable[str]:
    """Every text of a request that may be counted as input, but for sealed thoughts."""
    for item in items:
        names = PART_ITEMS.get(_kind(item)) or TEXT_ITEMS.get(_kind(item), ())
        for name in names:
            content = item.get(name)
            if isinstance(content, str):
                yield content
            elif isinstance(content, list):
                yield from _texts_of_parts(content)
            elif content is not None:
                yield compact(content)
        left_out = {*names, "role", "type", "encrypted_content"}
        rest = {key: value for key, value in item.items() if key not in left_out}
        if rest:
            yield compact(rest)
    for name in COUNTED_FIELDS | accepted.fields:
        value = fields.get(name)
        if value:
            # Apart from JSON, whose escapes would count as tokens that are none.
            yield value if isinstance(value, str) else compact(value)


def _texts_of_parts(parts: Iterable[Mapping[str, Any]]) -> Iterable[str]:
    for part in parts:
        if part["type"] not in TEXT_PARTS:
            continue
        field = TEXT_PARTS[part["type"]]
        if isinstance(part.get(field), str):
            yield part[field]
            part = {key: value for key, value in part.items() if key != field}
        if len(part) > 1:
            yield compact(part)


def _sealed_bytes(items: Iterable[Item]) -> int:
    """Of thoughts that only the provider can read, a byte is taken for a token."""
    return sum(len(compact(item["encrypted_content"]).encode()) for item in items
               if item.get("encrypted_content") is not None)  # fmt: skip

"""Anthropic's messages, which some gateways speak too: any path that ends in `/v1/messages`, and
those of Vertex AI, where the model stands in the path
(docs.claude.com/en/api/claude-on-vertex-ai).

What a request may hold is in `anthropic_rules`; here is what it may cost. There is no local
tokenizer for these models: a token has at least a byte, which is the bound.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import prefect_governor.blocks.wire.dialects.anthropic.rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.entries import US
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.records.accepted import Accepted
from prefect_governor.blocks.wire.dialects.anthropic.replies import MessageStream, billed, ending_of
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOL_OVERHEAD_TOKENS,
    read_fields,
    read_reply,
    read_request,
    whole_number,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.images import claude_image_tokens
from prefect_governor.blocks.wire.requests.own_limits import BYTES_A_TOKEN, own_limit
from prefect_governor.blocks.wire.requests.plans import (
    Billed,
    CallPlan,
    CallRequest,
    Dialect,
    StreamReader,
)
from prefect_governor.blocks.wire.requests.unseen import Unseen, widened_by

_VERTEX = re.compile(
    r"/publishers/anthropic/models/(?P<model>[^/:]+):(?P<verb>rawPredict|streamRawPredict)/?$"
)


class AnthropicMessages(Dialect):
    """`POST …/v1/messages`, `POST …/publishers/anthropic/models/{model}:rawPredict` and
    `:streamRawPredict`."""

    name = "Anthropic messages"
    output_fields = ((rules.MAX_TOKENS_FIELD,),)
    thought_fields = (("thinking", "budget_tokens"),)

    def matches(self, method: str, path: str) -> bool:
        if method != "POST":
            return False
        return path.rstrip("/").endswith("/v1/messages") or _VERTEX.search(path) is not None

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where neither the path nor the body, a JSON object, names a model."""
        found = _VERTEX.search(path)
        if found is None:
            return read_request(body)
        return CallRequest(found["model"], read_fields(body), found["verb"] == "streamRawPredict")

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send. Raises NotBounded, naming the field, part or tool.

        Where a part asks for a cache, all of the input is bounded at the dearest write. A request
        that names no region, for a model with a dearer one, is bounded at that: the workspace's
        own setting may send it there.
        """
        fields = dict(request.fields)
        unseen = Unseen(request.accepted)
        _check(fields, request.accepted, unseen)
        # At Vertex AI what a header says elsewhere stands in the body.
        betas = ",".join(map(str, fields.get("anthropic_beta") or ()))
        price = widened_by({"anthropic-beta": betas}, price)
        seen = _Seen(request.model, unseen)
        messages = seen.messages(fields)
        tools, prompts = _tools(fields, unseen)
        overhead = (
            REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * (messages + seen.parts)
            + TOOL_OVERHEAD_TOKENS * tools
            + prompts
            + _format_tokens(fields)
        )
        unlimited = fields.get(rules.MAX_TOKENS_FIELD) is None
        if unlimited:
            size = (len(write(fields)) - seen.image_bytes) // BYTES_A_TOKEN
            inputs = size + seen.image_tokens + overhead
            fields[rules.MAX_TOKENS_FIELD] = own_limit(
                price, request.model, rules.MAX_TOKENS_FIELD, input_tokens=inputs
            )
        output, thought = _output_tokens(fields), _thinking_tokens(fields)
        interleaved = thought >= output
        streamed = request.streamed or bool(fields.get("stream"))
        body = write(fields)
        inputs = len(body) - seen.image_bytes + seen.image_tokens + overhead
        return CallPlan(
            body=body,
            input_tokens=unseen.input_tokens(inputs, price, request.model),
            # Thoughts between calls of tools may be more than `max_tokens`, which then holds the
            # answer alone (Anthropic, "Extended thinking", interleaved thinking).
            output_tokens=output + thought if interleaved else output,
            streamed=streamed,
            service_tier=_region(fields, price, request.model),
            cache_writes=b'"cache_control"' in body,
            output_limit=None if interleaved else output,
            least_output_tokens=None if interleaved else thought + 1,
            own_limit=unlimited or request.accepted.no_limit,
            searches=unseen.searches(price, request.model),
        )

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        """docs.claude.com/en/api/errors"""
        inner = {"type": "prefect_governor_refusal", "kind": kind, "message": message}
        return {"type": "error", "error": inner}

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        fields = json.loads(plan.body)
        fields[rules.MAX_TOKENS_FIELD] = output_tokens
        return replace(
            plan, body=write(fields), output_tokens=output_tokens, output_limit=output_tokens
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else billed(reply)

    def ending(self, body: bytes) -> Ending | None:
        reply = read_reply(body)
        return None if reply is None else ending_of(reply)

    def stream(self, plan: CallPlan) -> StreamReader:
        return MessageStream()


@dataclass
class _Seen:
    """What the parts of a request add up to: `image_bytes` are no text, `image_tokens` their
    bound, `parts` those that the provider may wrap in words of its own."""

    model: str
    unseen: Unseen
    image_bytes: int = 0
    image_tokens: int = 0
    parts: int = 0

    def messages(self, fields: Mapping[str, Any]) -> int:
        """Checks every part; returns how many messages there are, the system prompt among them."""
        messages = fields.get("messages")
        if not isinstance(messages, list) or not all(isinstance(each, dict) for each in messages):
            raise NotBounded("`messages` is not a list of messages, so the call has no bound")
        for message in messages:
            self._content(message.get("content"))
        self._content(fields.get("system"))
        return len(messages) + 1

    def _content(self, content: Any) -> None:
        if content is None or isinstance(content, str):
            return
        if not isinstance(content, list):
            raise NotBounded("a message's `content` is neither text nor a list of parts")
        for part in content:
            self._part(part)

    def _part(self, part: Any) -> None:
        kind = str(part.get("type")) if isinstance(part, dict) else "None"
        self.parts += 1
        if kind == "image":
            self._image(part)
        elif kind == "document":
            self._document(part)
        elif kind in rules.HOLDERS:
            _known(part, rules.HOLDERS[kind])
            _not_cited(part)
            self._content(part.get("content"))
        elif kind in rules.BYTE_PARTS:
            _known(part, rules.BYTE_PARTS[kind])
        elif kind in rules.UNSEEN_PARTS:
            what = f"a part of type {kind!r}"
            self.unseen.met(what, rules.UNSEEN_PARTS[kind], "Send it as text")
        else:
            why = rules.REFUSED_PARTS.get(kind, "parts of this type have no rule here")
            raise NotBounded(f"a part of type {kind!r} has no bound: {why}. Send it as text")

    def _image(self, part: Mapping[str, Any]) -> None:
        _known(part, rules.IMAGE_FIELDS)
        source = _source(part)
        if source.get("type") not in rules.IMAGE_SOURCES:
            raise NotBounded(f"an image from {source.get('type')!r} has no rule here")
        self.image_tokens += claude_image_tokens(self.model)
        if source["type"] == "base64" and isinstance(source.get("data"), str):
            self.image_bytes += len(source["data"])

    def _document(self, part: Mapping[str, Any]) -> None:
        _known(part, rules.DOCUMENT_FIELDS)
        _not_cited(part)
        source = _source(part)
        kind = str(source.get("type"))
        if kind in rules.UNSEEN_DOCUMENTS:
            what = f"a document from {kind!r}"
            self.unseen.met(what, rules.UNSEEN_DOCUMENTS[kind], "Send its text")
        elif kind not in rules.DOCUMENT_SOURCES:
            why = "documents of this source have no rule here"
            raise NotBounded(f"a document from {kind!r} has no bound: {why}. Send its text")
        if kind == "content":
            self._content(source.get("content"))


def _check(fields: Mapping[str, Any], accepted: Accepted, unseen: Unseen) -> None:
    check_fields(fields, rules.FIELDS, rules.REFUSED_FIELDS, accepted)
    for name, allowed in rules.VALUES.items():
        if fields.get(name) is not None and fields[name] not in allowed:
            raise NotBounded(
                f"`{name}` {fields[name]!r} has no known price (known: "
                f"{', '.join(sorted(allowed))})"
            )
    thread = fields.get("thread")
    if isinstance(thread, dict) and thread.get("type") != "create":
        why = "an earlier message by id has a length that nobody sees here"
        unseen.met("`thread`", why, "Send the conversation in `messages`")


def _known(part: Mapping[str, Any], fields: frozenset[str]) -> None:
    for name in part:
        if name not in fields and name not in ("type", "cache_control"):
            raise NotBounded(
                f"`{name}` in a part of type {part['type']!r} has no rule here, so the call has no "
                "bound. Leave it out"
            )


def _not_cited(part: Mapping[str, Any]) -> None:
    cited = part.get("citations")
    if isinstance(cited, dict) and cited.get("enabled"):
        raise NotBounded(
            "`citations` have no bound: the provider adds instructions and marks of unknown length"
        )


def _source(part: Mapping[str, Any]) -> Mapping[str, Any]:
    source = part.get("source")
    if not isinstance(source, dict):
        raise NotBounded(f"a part of type {part['type']!r} has no `source`")
    return source


def _output_tokens(fields: Mapping[str, Any]) -> int:
    return whole_number(fields.get(rules.MAX_TOKENS_FIELD), rules.MAX_TOKENS_FIELD)


def _thinking_tokens(fields: Mapping[str, Any]) -> int:
    """The tokens that the request sets aside for thoughts, 0 where it sets none aside."""
    thinking = fields.get("thinking")
    if thinking is None:
        return 0
    if not isinstance(thinking, dict):
        raise NotBounded("`thinking` must be an object")
    budget = thinking.get("budget_tokens")
    return 0 if budget is None else whole_number(budget, "thinking.budget_tokens")


def _tools(fields: Mapping[str, Any], unseen: Unseen) -> tuple[int, int]:
    """How many tools there are, and the tokens of what the provider writes about them."""
    tools = fields.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(each, dict) for each in tools):
        raise NotBounded("`tools` is not a list of tools, so the call has no bound")
    prompts = rules.TOOLS_PROMPT_TOKENS if tools else 0
    for tool in tools:
        kind = str(tool.get("type") or "custom")
        if kind in rules.CUSTOM_TOOLS:
            continue
        if kind in rules.SEARCH_TOOLS | rules.FETCH_TOOLS:
            unseen.search(f"the tool {kind!r}", tool.get("max_uses"), "its `max_uses`")
            continue
        written = _by_prefix(kind, rules.WRITTEN_TOOLS)
        if written is None:
            why = _by_prefix(kind, rules.REFUSED_TOOLS) or "tools of this type have no rule here"
            raise NotBounded(
                f"the tool {kind!r} has no bound: {why}. Use custom tools that run on your side"
            )
        prompts += written
    return len(tools), prompts


def _by_prefix(kind: str, table: Mapping[str, Any]) -> Any:
    return next((value for prefix, value in table.items() if kind.startswith(prefix)), None)


def _format_tokens(fields: Mapping[str, Any]) -> int:
    config = fields.get("output_config")
    formatted = fields.get("output_format") or (isinstance(config, dict) and config.get("format"))
    return rules.FORMAT_PROMPT_TOKENS if formatted else 0


def _region(fields: Mapping[str, Any], price: Price, model: str) -> str:
    """The tariff of the region, by its name in the price."""
    region = fields.get("inference_geo")
    if region == US and US not in price.service:
        raise NotBounded(f"the region {US!r} of {model!r} has no known price. Leave it out")
    return US if region != "global" and US in price.service else "default"

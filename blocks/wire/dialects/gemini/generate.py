"""Gemini's own API: `POST …/models/{model}:generateContent` and `:streamGenerateContent`.

What a request may hold is in `gemini_rules`; here is what it may cost. The model stands in the
path. There is no local tokenizer: a token has at least a byte, which is the bound.
"""

import json
import re
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import prefect_governor.blocks.wire.dialects.gemini.rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import STANDARD_TIERS, Price
from prefect_governor.blocks.wire.dialects.gemini.errors import gemini_error
from prefect_governor.blocks.wire.dialects.gemini.names import camel, camel_name
from prefect_governor.blocks.wire.dialects.gemini.replies import Chunks, GenerateStream, ending_of
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOL_OVERHEAD_TOKENS,
    read_fields,
    read_reply,
    whole_number,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.own_limits import BYTES_A_TOKEN, own_limit
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, CallRequest, Dialect
from prefect_governor.blocks.wire.requests.unseen import Unseen

_PATH = re.compile(r"/models/(?P<model>[^/:]+):(?P<verb>generateContent|streamGenerateContent)/?$")


class Gemini(Dialect):
    """`POST …/models/{model}:generateContent`, plain, as server-sent events or as a JSON array."""

    name = "Gemini generateContent"
    operation = "generate_content"
    provider = "gemini"
    output_fields = tuple(
        ("generationConfig", name) for name in ("maxOutputTokens", "max_output_tokens")
    )
    thought_fields = tuple(
        ("generationConfig", *names)
        for names in (
            ("thinkingConfig", "thinkingBudget"), ("thinking_config", "thinking_budget"),
            ("thinkingConfig", "thinking_budget"), ("thinking_config", "thinkingBudget"),
        )
    )  # fmt: skip

    def matches(self, method: str, path: str) -> bool:
        return method == "POST" and _PATH.search(path) is not None

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the path names no model or the body is no JSON object."""
        found = _PATH.search(path)
        if found is None:
            raise NotBounded("the request's path names no model, so its cost has no bound")
        streamed = found["verb"] == "streamGenerateContent"
        return CallRequest(found["model"], camel(read_fields(body)), streamed)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send. Raises NotBounded, naming the field, part or tool."""
        fields = dict(request.fields)
        unseen = Unseen(request.accepted)
        names = frozenset(map(camel_name, request.accepted.fields))
        accepted = replace(request.accepted, fields=names)
        known = rules.FIELDS | rules.UNSEEN_FIELDS.keys()
        check_fields(fields, known, rules.REFUSED_FIELDS, accepted)
        for name, why in rules.UNSEEN_FIELDS.items():
            if fields.get(name) is not None:
                unseen.met(f"`{name}`", why, "Send what it holds as text")
                unseen.audio = True
        config = fields["generationConfig"] = camel(_object(fields, "generationConfig"))
        check_fields(config, rules.CONFIG_FIELDS, rules.REFUSED_CONFIG, accepted)
        image_tokens = _image_tokens(config, price, request)
        answers = whole_number(config.get("candidateCount") or 1, "candidateCount")
        contents, tools = _contents(fields, unseen), _tools(fields)
        overhead = (
            REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * contents
            + TOOL_OVERHEAD_TOKENS * tools
        )
        unlimited = config.get("maxOutputTokens") is None
        if unlimited:
            config["maxOutputTokens"] = own_limit(
                price,
                request.model,
                "generationConfig.maxOutputTokens",
                input_tokens=len(write(fields)) // BYTES_A_TOKEN + overhead,
            )
        output = whole_number(config["maxOutputTokens"], "maxOutputTokens")
        body = write(fields)
        fitted = answers == 1
        tier = _service_tier(fields, price, request.model)
        if image_tokens and tier not in STANDARD_TIERS:
            raise NotBounded(
                f"`serviceTier` {tier!r} has no known price of an image that {request.model!r} "
                'writes. Leave it out, or ask for text alone: responseModalities ["TEXT"]'
            )
        return CallPlan(
            body=body,
            input_tokens=unseen.input_tokens(len(body) + overhead, price, request.model),
            output_tokens=output * answers,
            streamed=request.streamed,
            service_tier=tier,
            output_limit=output if answers == 1 else None,
            least_output_tokens=(
                _thinking_tokens(config) + max(1, image_tokens) if fitted else None
            ),
            own_limit=unlimited or request.accepted.no_limit,
            answers=answers,
            audio=unseen.audio,
            image_tokens=image_tokens,
        )

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return gemini_error(status, kind, message)

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        fields = json.loads(plan.body)
        fields["generationConfig"]["maxOutputTokens"] = output_tokens
        return replace(
            plan, body=write(fields), output_tokens=output_tokens, output_limit=output_tokens
        )

    def read(self, body: bytes) -> Billed | None:
        """Of a stream that was not asked for as events, the parts come as one JSON array."""
        try:
            reply = json.loads(body)
        except (ValueError, RecursionError):
            return None
        chunks = Chunks()
        for chunk in reply if isinstance(reply, list) else [reply]:
            chunks.take(chunk)
        return chunks.billed()

    def ending(self, body: bytes) -> Ending | None:
        reply = read_reply(body)
        return None if reply is None else ending_of(reply)

    def stream(self, plan: CallPlan) -> GenerateStream:
        return GenerateStream()


def _image_tokens(config: Mapping[str, Any], price: Price, request: CallRequest) -> int:
    """The tokens of one image that the answer may hold, 0 where it is text alone. A model that
    writes images does so unasked. Raises NotBounded for what else it should be, and for images of a
    model whose price of them is not known."""
    asked = config.get("responseModalities")
    if asked is not None and not isinstance(asked, list):
        raise NotBounded("`responseModalities` must be a list of names")
    found = {str(each).upper() for each in asked or ()}
    if other := found - {"TEXT", "IMAGE"}:
        raise NotBounded(
            f"`responseModalities` {', '.join(sorted(other))} have no bound. Ask for text, or for "
            "text and images"
        )
    wanted = "IMAGE" in found if found else price.image_output is not None
    pictures = config.get("imageConfig")
    if wanted and price.image_output is None:
        raise NotBounded(
            "`responseModalities` IMAGE has no bound: no `output_cost_per_image_token` of "
            f"{request.model!r} is known. Ask for text alone"
        )
    if pictures is not None:
        known = rules.IMAGE_FIELDS if wanted else ()
        pictures = camel(_object(config, "imageConfig"))
        check_fields(pictures, known, {}, request.accepted, within="imageConfig.")
    return rules.MOST_IMAGE_TOKENS if wanted else 0


def _service_tier(fields: Mapping[str, Any], price: Price, model: str) -> str:
    """Raises NotBounded for a tier without a known price (ai.google.dev/gemini-api/docs/pricing,
    cloud.google.com/vertex-ai/generative-ai/pricing)."""
    tier = str(fields.get("serviceTier") or "standard").lower()
    if tier in STANDARD_TIERS or tier in price.service:
        return tier
    known = ", ".join(["standard", *sorted(price.service)])
    raise NotBounded(
        f"`serviceTier` {tier!r} of {model!r} has no known price (known: {known}). Leave it out"
    )


def _object(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise NotBounded(f"`{name}` must be an object")
    return value


def _contents(fields: Mapping[str, Any], unseen: Unseen) -> int:
    """Checks every part; returns how many contents there are, the instruction among them."""
    contents = fields.get("contents")
    if isinstance(contents, dict):
        contents = [contents]
    if not isinstance(contents, list) or not all(isinstance(each, dict) for each in contents):
        raise NotBounded("`contents` is not a list of contents, so the call has no bound")
    for content in (*contents, _object(fields, "systemInstruction")):
        parts = content.get("parts") or []
        for part in parts if isinstance(parts, list) else [parts]:
            if not isinstance(part, dict):
                raise NotBounded("a content's `parts` are not a list of parts")
            _check_part(camel(part), unseen)
    return len(contents) + 1


def _check_part(part: Mapping[str, Any], unseen: Unseen) -> None:
    for name, value in part.items():
        if name in rules.UNSEEN_PARTS:
            what = f"a part with {name!r}"
            unseen.met(what, rules.UNSEEN_PARTS[name], "Send its content as text")
            unseen.audio = True
        elif name not in rules.BYTE_PARTS | rules.PART_FIELDS:
            why = rules.REFUSED_PARTS.get(name, "parts of this kind have no rule here")
            raise NotBounded(f"a part with {name!r} has no bound: {why}. Send its content as text")
        if name == "functionResponse" and isinstance(value, dict) and value.get("parts"):
            why = "they may be images or files"
            unseen.met("`parts` of a functionResponse", why, "Send the response as JSON")
            unseen.audio = True


def _tools(fields: Mapping[str, Any]) -> int:
    """How many functions are declared."""
    tools = fields.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(each, dict) for each in tools):
        raise NotBounded("`tools` is not a list of tools, so the call has no bound")
    count = 0
    for tool in map(camel, tools):
        for name, value in tool.items():
            if name != rules.LOCAL_TOOL:
                why = rules.REFUSED_TOOLS.get(name, "tools of this kind have no rule here")
                raise NotBounded(
                    f"the tool {name!r} has no bound: {why}. Use functions that run on your side"
                )
            count += len(value) if isinstance(value, list) else 1
    return count


def _thinking_tokens(config: Mapping[str, Any]) -> int:
    """The tokens set aside for thoughts; -1 leaves them to the model."""
    budget = camel(_object(config, "thinkingConfig")).get("thinkingBudget")
    return budget if isinstance(budget, int) and budget > 0 else 0

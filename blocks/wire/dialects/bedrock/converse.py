"""Bedrock's Converse: `POST …/model/{modelId}/converse` and `…/converse-stream`.

What a request may hold is in `rules`; here is what it may cost. There is no local tokenizer for
these models: a token has at least a byte, which is the bound.
"""

import json
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import prefect_governor.blocks.wire.dialects.bedrock.rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.dialects.bedrock.blocks import Blocks
from prefect_governor.blocks.wire.dialects.bedrock.converse_replies import (
    ConverseStream,
    billed,
    ending_of,
)
from prefect_governor.blocks.wire.dialects.bedrock.requests import (
    check_lane,
    error,
    object_of,
    read_asked,
    tier_of,
    verb_of,
)
from prefect_governor.blocks.wire.replies.endings import Ending
from prefect_governor.blocks.wire.replies.event_stream import check_installed
from prefect_governor.blocks.wire.requests.bodies import (
    MESSAGE_OVERHEAD_TOKENS,
    REQUEST_OVERHEAD_TOKENS,
    TOOL_OVERHEAD_TOKENS,
    read_reply,
    whole_number,
    write,
)
from prefect_governor.blocks.wire.requests.fields import check_fields
from prefect_governor.blocks.wire.requests.own_limits import BYTES_A_TOKEN, own_limit
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan, CallRequest, Dialect
from prefect_governor.blocks.wire.requests.unseen import Unseen, widened_by


class Converse(Dialect):
    """`POST …/model/{modelId}/converse`, and its stream as AWS's messages."""

    name = "Bedrock Converse"
    provider = "bedrock"
    output_fields = (("inferenceConfig", rules.LIMIT),)
    thought_fields = tuple(
        ("additionalModelRequestFields", name, "budget_tokens")
        for name in ("thinking", "reasoning_config")
    )

    def matches(self, method: str, path: str) -> bool:
        return verb_of(method, path) in ("converse", "converse-stream")

    def open(self, body: bytes, *, path: str = "") -> CallRequest:
        """Raises NotBounded where the path names no model or the body is no JSON object."""
        return read_asked(body, path)

    def plan(self, request: CallRequest, *, price: Price, encoding: str | None) -> CallPlan:
        """The bound, and the body to send. Raises NotBounded, naming the field, block or tool;
        ConfigurationError for a stream where nothing is installed that reads it.

        Where a block asks for a cache, all of the input is bounded at the dearest write.
        """
        if request.streamed:
            check_installed()
        fields = dict(request.fields)
        unseen = Unseen(request.accepted)
        check_fields(fields, rules.FIELDS, rules.REFUSED_FIELDS, request.accepted)
        config = fields["inferenceConfig"] = dict(object_of(fields, "inferenceConfig"))
        check_fields(
            config, rules.INFERENCE_FIELDS, {}, request.accepted, within="inferenceConfig."
        )
        more = _additional(fields, request)
        output_config = object_of(fields, "outputConfig")
        check_fields(
            output_config, rules.OUTPUT_FIELDS, {}, request.accepted, within="outputConfig."
        )
        check_lane(
            object_of(fields, "performanceConfig").get("latency"), "performanceConfig.latency"
        )
        tier = tier_of(
            object_of(fields, "serviceTier").get("type"), price, request.model, "serviceTier.type"
        )
        price = widened_by({"anthropic-beta": str(more.get("anthropic_beta"))}, price)
        blocks = Blocks(request.model, unseen)
        messages = blocks.messages(fields)
        tools = _tools(fields)
        overhead = (
            REQUEST_OVERHEAD_TOKENS
            + MESSAGE_OVERHEAD_TOKENS * (messages + blocks.count)
            + TOOL_OVERHEAD_TOKENS * tools
            + (rules.TOOLS_PROMPT_TOKENS if tools else 0)
            + (rules.FORMAT_PROMPT_TOKENS if output_config else 0)
        )
        unlimited = config.get(rules.LIMIT) is None
        if unlimited:
            size = (len(write(fields)) - blocks.image_bytes) // BYTES_A_TOKEN
            config[rules.LIMIT] = own_limit(
                price,
                request.model,
                f"inferenceConfig.{rules.LIMIT}",
                input_tokens=size + blocks.image_tokens + overhead,
            )
        output = whole_number(config[rules.LIMIT], f"inferenceConfig.{rules.LIMIT}")
        thought = _thinking_tokens(more)
        interleaved = thought >= output
        body = write(fields)
        inputs = len(body) - blocks.image_bytes + blocks.image_tokens + overhead
        return CallPlan(
            body=body,
            input_tokens=unseen.input_tokens(inputs, price, request.model),
            # Thoughts between calls of tools may be more than the limit, which then holds the
            # answer alone (Anthropic, "Extended thinking", interleaved thinking).
            output_tokens=output + thought if interleaved else output,
            streamed=request.streamed,
            service_tier=tier,
            cache_writes=f'"{rules.CACHE_POINT}"'.encode() in body,
            output_limit=None if interleaved else output,
            least_output_tokens=None if interleaved else thought + 1,
            own_limit=unlimited or request.accepted.no_limit,
            audio=unseen.audio,
        )

    def error(self, status: int, kind: str, message: str) -> dict[str, Any]:
        return error(kind, message)

    def refit(self, plan: CallPlan, output_tokens: int) -> CallPlan:
        fields = json.loads(plan.body)
        fields["inferenceConfig"][rules.LIMIT] = output_tokens
        return replace(
            plan, body=write(fields), output_tokens=output_tokens, output_limit=output_tokens
        )

    def read(self, body: bytes) -> Billed | None:
        reply = read_reply(body)
        return None if reply is None else billed(reply)

    def ending(self, body: bytes) -> Ending | None:
        reply = read_reply(body)
        return None if reply is None else ending_of(reply)

    def stream(self, plan: CallPlan) -> ConverseStream:
        return ConverseStream()


def _additional(fields: Mapping[str, Any], request: CallRequest) -> Mapping[str, Any]:
    """A vendor's own parameters, none of which goes around the limit."""
    within = "additionalModelRequestFields"
    more = object_of(fields, within)
    check_fields(
        more,
        rules.ADDITIONAL_FIELDS,
        rules.REFUSED_ADDITIONAL,
        request.accepted,
        within=f"{within}.",
    )
    check_fields(
        object_of(more, "inferenceConfig"),
        rules.ADDITIONAL_INFERENCE_FIELDS,
        rules.REFUSED_ADDITIONAL,
        request.accepted,
        within=f"{within}.inferenceConfig.",
    )
    return more


def _thinking_tokens(more: Mapping[str, Any]) -> int:
    """The tokens that the request sets aside for thoughts, 0 where it sets none aside."""
    asked = [object_of(more, name) for name in ("thinking", "reasoning_config")]
    budgets = [each["budget_tokens"] for each in asked if each.get("budget_tokens") is not None]
    return max((whole_number(each, "thinking.budget_tokens") for each in budgets), default=0)


def _tools(fields: Mapping[str, Any]) -> int:
    """How many tools there are. Raises NotBounded, naming one that the provider runs."""
    config = object_of(fields, "toolConfig")
    for name in config:
        if name not in ("tools", "toolChoice"):
            raise NotBounded(f"`toolConfig.{name}` has no rule here, so the call has no bound")
    tools = config.get("tools") or []
    if not isinstance(tools, list) or not all(isinstance(each, dict) for each in tools):
        raise NotBounded("`toolConfig.tools` is not a list of tools, so the call has no bound")
    for tool in tools:
        for name in tool:
            if name not in (rules.TOOL, rules.CACHE_POINT):
                why = rules.REFUSED_TOOLS.get(name, "tools of this kind have no rule here")
                raise NotBounded(
                    f"the tool {name!r} has no bound: {why}. Use tools that run on your side"
                )
    return len(tools)

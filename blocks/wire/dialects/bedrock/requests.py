"""What the APIs of Bedrock have in common: the model in the path, the tier, the lane."""

import re
from collections.abc import Mapping
from typing import Any

import prefect_governor.blocks.wire.dialects.bedrock.rules as rules
from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import Price
from prefect_governor.blocks.wire.requests.bodies import read_fields
from prefect_governor.blocks.wire.requests.plans import CallRequest

_PATH = re.compile(
    r"/model/(?P<model>.+)/"
    r"(?P<verb>converse|converse-stream|invoke|invoke-with-response-stream)/?$"
)
# A model's id holds a bare name of Anthropic's between who sells it and its version:
# us.anthropic.claude-sonnet-4-5-20250929-v1:0.
_CLAUDE = re.compile(r"(?:^|[./])anthropic\.(claude-[a-z0-9-]+?)(?:-v\d+)?(?::\d+)*$")
_PROMPT = re.compile(r"^arn:[^/]*:prompt/")


def verb_of(method: str, path: str) -> str | None:
    """Which API a request is for, by the last word of its path; None where it is none of them."""
    found = _PATH.search(path) if method == "POST" else None
    return None if found is None else found["verb"]


def read_asked(body: bytes, path: str) -> CallRequest:
    """The model that the path names, and the body. Raises NotBounded where there is none, and for
    a prompt that stands at the provider."""
    found = _PATH.search(path)
    if found is None:
        raise NotBounded("the request's path names no model, so its cost has no bound")
    model = found["model"]
    if _PROMPT.match(model):
        raise NotBounded(
            f"{model!r} has no bound: the prompt stands at the provider, of a length that nobody "
            "sees here. Send the messages, and name the model"
        )
    return CallRequest(model, read_fields(body), found["verb"].endswith("stream"))


def claude_of(model: str) -> str | None:
    """Anthropic's own name of a model; None for one that is none of theirs."""
    found = _CLAUDE.search(model)
    return None if found is None else found[1]


def check_headers(headers: Mapping[str, str]) -> None:
    """Raises NotBounded where a request's headers, looked up by lower-case names, ask Bedrock for
    what is billed beside its tokens or at another price: of InvokeModel and of OpenAI's chat."""
    if headers.get(rules.GUARDRAIL_HEADER):
        raise NotBounded(
            f"`{rules.GUARDRAIL_HEADER}` has no bound: {rules.GUARDED}. Leave it out of the request"
        )
    check_lane(headers.get(rules.LATENCY_HEADER), rules.LATENCY_HEADER)
    tier = headers.get(rules.TIER_HEADER)
    if tier not in (None, rules.STANDARD_TIER):
        raise NotBounded(
            f"`{rules.TIER_HEADER}` {tier!r} has a price of its own. Leave it out of the request, "
            "or ask for it in the body of Converse (serviceTier)"
        )


def check_lane(latency: Any, where: str) -> None:
    """Raises NotBounded for a lane that is not the standard one, whose price is not known here."""
    if latency not in (None, rules.STANDARD_LATENCY):
        raise NotBounded(
            f"`{where}` {latency!r} has a price of its own, which is not known here. Leave it out "
            f"of the request, or ask for {rules.STANDARD_LATENCY!r}"
        )


def tier_of(tier: Any, price: Price, model: str, where: str) -> str:
    """The service tier asked for. Raises NotBounded for one without a known price: a reserved one
    is billed by the month."""
    if tier is None or tier == rules.STANDARD_TIER:
        return rules.STANDARD_TIER
    if isinstance(tier, str) and tier in price.service:
        return tier
    known = ", ".join([rules.STANDARD_TIER, *sorted(price.service)])
    raise NotBounded(
        f"`{where}` {tier!r} of {model!r} has no known price (known: {known}). Ask for one of those"
    )


def error(kind: str, message: str) -> dict[str, Any]:
    """docs.aws.amazon.com/awsjson: an error's body."""
    return {"__type": kind, "message": message}


def object_of(fields: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    """A part of a request that is an object, empty where it is not given."""
    value = fields.get(name) or {}
    if not isinstance(value, dict):
        raise NotBounded(f"`{name}` must be an object, so the call has no bound")
    return value

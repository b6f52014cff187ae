"""A request's JSON body, read once and written again, and what all of OpenAI's APIs have in common
in it."""

import json
import re
from collections.abc import Mapping
from fractions import Fraction
from typing import Any

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.entries import US
from prefect_governor.blocks.prices.tariffs import STANDARD_TIERS, Price
from prefect_governor.blocks.wire.requests.plans import CallRequest
from prefect_governor.blocks.wire.requests.routing import FIELDS as ROUTING_FIELDS

# The premise of promise P1: a provider counts at most 1.5 times the local tokenizer's tokens, and
# no more than the body's bytes plus a fixed overhead a message and a tool.
TOKENIZER_FACTOR = Fraction(3, 2)
MESSAGE_OVERHEAD_TOKENS = 16
TOOL_OVERHEAD_TOKENS = 16
REQUEST_OVERHEAD_TOKENS = 16
# Where a project's setting chooses the service tier of a request that names none
# (platform.openai.com/docs/api-reference/chat/create,
# learn.microsoft.com/azure/ai-foundry/openai/reference: "default", "auto", "priority").
TIER_BY_ACCOUNT = frozenset({"openai", "azure", "azure_ai"})
# Tiers that cost what the standard one does there (console.groq.com/docs/flex-processing).
STANDARD_AT = {"groq": frozenset({"flex"})}
# Whose "auto" may be a lane of their contracts, which no list prices
# (docs.mistral.ai/inference/priority-tier, console.groq.com/docs/service-tiers).
UNPRICED_AUTO = frozenset({"groq", "mistral", "codestral"})
# Where a workspace's setting chooses the region, which no request of OpenAI's APIs names, and whose
# `service_tier` is not read (platform.claude.com/docs/en/build-with-claude/data-residency,
# platform.claude.com/docs/en/api/openai-sdk).
REGION_BY_ACCOUNT = "anthropic"
# Azure answers by the deployment that the path names, whatever the body says
# (learn.microsoft.com/azure/ai-foundry/openai/reference).
_DEPLOYMENT = re.compile(r"/openai/deployments/([^/]+)/")
# The first of Azure's dated APIs that has service tiers, by its prerequisites
# (learn.microsoft.com/azure/ai-foundry/openai/concepts/priority-processing); those before refuse a
# field that they do not know.
_TIERS_SINCE = "2025-10-01"


def most_counted(tokens: int) -> int:
    """The most that a provider counts of what the local tokenizer counts so many tokens of."""
    # In whole numbers, as this is done for every call.
    return -(-tokens * TOKENIZER_FACTOR.numerator // TOKENIZER_FACTOR.denominator)


def read_fields(body: bytes) -> dict[str, Any]:
    """Raises NotBounded where the body is not a JSON object."""
    try:
        fields = json.loads(body)
    except (ValueError, RecursionError):
        raise NotBounded(
            "the request's body is not JSON, so its cost has no bound; it was not sent"
        ) from None
    if not isinstance(fields, dict):
        raise NotBounded("the request's body is no JSON object, so its cost has no bound")
    return fields


def read_request(body: bytes, *, path: str = "") -> CallRequest:
    """Raises NotBounded where neither the path nor the body, a JSON object, names a model."""
    fields = read_fields(body)
    deployment = deployment_of(path)
    model = fields.get("model") if deployment is None else deployment
    if model is None and isinstance(fields.get("models"), list):
        # OpenRouter takes the first of these.
        model = next(iter(fields["models"]), None)
    if not isinstance(model, str) or not model:
        raise NotBounded("the request names no model, so its cost has no bound; set `model`")
    return CallRequest(model, fields)


def deployment_of(path: str) -> str | None:
    """The deployment that a path of Azure's names; None where it is none."""
    found = _DEPLOYMENT.search(path)
    return None if found is None else found[1]


def unrouted(request: CallRequest) -> Mapping[str, Any]:
    """A request's fields without those that say who may answer it, where these were read."""
    if not request.routed:
        return request.fields
    return {name: value for name, value in request.fields.items() if name not in ROUTING_FIELDS}


def read_reply(body: bytes) -> dict[str, Any] | None:
    """A reply's JSON object; None where it is none."""
    try:
        reply = json.loads(body)
    except (ValueError, RecursionError):
        return None
    return reply if isinstance(reply, dict) else None


def compact(value: Any) -> str:
    """A part of a request as it is sent."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


def write(fields: Mapping[str, Any]) -> bytes:
    """A body to send. What is sent is thus what was measured: a key that stands twice in a body is
    read differently elsewhere."""
    try:
        return compact(fields).encode()
    except UnicodeEncodeError:
        # Half of a surrogate pair has no UTF-8; as an escape it is sent as it came.
        return json.dumps(fields, separators=(",", ":")).encode()


def service_tier(fields: dict[str, Any], price: Price, request: CallRequest) -> str:
    """The service tier asked for, written into `fields` where it must be.

    A request that names none, for a model that has dearer ones, is amended to ask for "default"
    where the account's own setting could otherwise make it a dear one. Elsewhere only a request
    makes it one, and the field may not be known: it is left as it is. "auto" stays what it is, at
    the dearest tier that the price names. Raises NotBounded for a tier without a known price.

    With Anthropic the region stands for it: neither a request nor a reply of these APIs says which
    it is, and a workspace's own setting may be the dear one.
    """
    provider = request.provider or price.provider
    if provider == REGION_BY_ACCOUNT and US in price.service:
        return US
    tier = fields.get("service_tier")
    if tier is None:
        by_account = provider in TIER_BY_ACCOUNT
        has_tiers = request.api_version is None or request.api_version >= _TIERS_SINCE
        if price.service and by_account and has_tiers:
            fields["service_tier"] = "default"
        return "default"
    if not isinstance(tier, str):
        raise NotBounded("`service_tier` must be a name")
    known_auto = tier == "auto" and (price.service or provider not in UNPRICED_AUTO)
    if known_auto or tier in STANDARD_TIERS or tier in price.service:
        return tier
    if tier in STANDARD_AT.get(provider or "", ()):
        return "default"
    known = ", ".join(["default", *sorted(price.service)])
    raise NotBounded(
        f"the service tier {tier!r} of {request.model!r} has no known price (known: {known}). "
        "Ask for one of those"
    )


def model_of(reply: Mapping[str, Any]) -> str | None:
    """The model that a reply names; None where it names none."""
    model = reply.get("model")
    return model if isinstance(model, str) and model else None


def count_of(values: Any, name: str) -> int | None:
    """A whole number of a reply's usage; None where it is missing, negative or none."""
    value = values.get(name) if isinstance(values, dict) else None
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        return None
    return value


def whole_number(value: Any, name: str) -> int:
    """A number of at least 1. Raises NotBounded, naming the field."""
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise NotBounded(f"`{name}` must be a whole number of at least 1, so the call has no bound")
    return value

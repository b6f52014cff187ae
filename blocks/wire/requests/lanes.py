"""Lanes that a request's headers choose, each with a price of its own. Pure.

Vertex AI takes one for traffic that goes before the rest's, or after it
(docs.cloud.google.com/vertex-ai/generative-ai/docs/priority-paygo and /flex-paygo). The other
header there, `X-Vertex-AI-LLM-Request-Type`, says whether throughput that is paid for already may
be used: what is not costs what it costs without the header.
"""

from collections.abc import Mapping
from dataclasses import replace

from prefect_governor.blocks.errors import NotBounded
from prefect_governor.blocks.prices.tariffs import STANDARD_TIERS, Price
from prefect_governor.blocks.wire.requests.plans import CallPlan

LANE_HEADER = "x-vertex-ai-llm-shared-request-type"


def in_its_lane(plan: CallPlan, headers: Mapping[str, str], price: Price, model: str) -> CallPlan:
    """The plan at the tariff of the lane that the headers, looked up by lower-case names, ask for.
    Raises NotBounded for a lane whose
    price is not known."""
    lane = headers.get(LANE_HEADER)
    if lane is None or lane.lower() in STANDARD_TIERS:
        return plan
    if lane.lower() not in price.service:
        known = ", ".join(["standard", *sorted(price.service)])
        raise NotBounded(
            f"the lane {lane!r} that the header {LANE_HEADER} asks for has no known price for "
            f"{model!r} (known: {known}). Leave the header out"
        )
    if plan.image_tokens:
        raise NotBounded(
            f"the lane {lane!r} has no known price of an image that {model!r} writes. Leave the "
            f"header {LANE_HEADER} out"
        )
    return replace(plan, service_tier=lane.lower())

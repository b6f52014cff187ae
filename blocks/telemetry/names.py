"""The names that are emitted: OpenTelemetry's for generative AI where it has one, else our own.

https://opentelemetry.io/docs/specs/semconv/gen-ai/gen-ai-spans and …/gen-ai-metrics; the well-known
values and the boundaries of the histograms are those of the latter.
"""

from dataclasses import dataclass
from typing import Literal

SCOPE = "prefect_governor"

OPERATION = "gen_ai.operation.name"
PROVIDER = "gen_ai.provider.name"
REQUEST_MODEL = "gen_ai.request.model"
MAX_TOKENS = "gen_ai.request.max_tokens"
RESPONSE_MODEL = "gen_ai.response.model"
INPUT_TOKENS = "gen_ai.usage.input_tokens"
OUTPUT_TOKENS = "gen_ai.usage.output_tokens"
TOKEN_TYPE = "gen_ai.token.type"
ERROR = "error.type"
STATUS = "http.response.status_code"
ADDRESS = "server.address"
PORT = "server.port"

GOVERNOR = "prefect_governor.governor"
BUDGET = "prefect_governor.budget"
WINDOW = "prefect_governor.window"
LIMIT = "prefect_governor.limit"
OUTCOME = "prefect_governor.outcome"
BOUND_USD = "prefect_governor.bound_usd"
COST_USD = "prefect_governor.cost_usd"
WAITED_SECONDS = "prefect_governor.waited_seconds"
HOLD_SECONDS = "prefect_governor.hold_seconds"
THROTTLED = "prefect_governor.throttled"
STREAMED = "prefect_governor.streamed"

WAIT_SPAN = "wait"
SETTLE_SPAN = "settle"
THROTTLED_EVENT = "throttled"

Kind = Literal["histogram", "counter", "gauge"]


@dataclass(frozen=True, slots=True)
class Metric:
    """An instrument. `unit` is UCUM's; what stands in braces is no unit of it."""

    name: str
    kind: Kind
    unit: str
    description: str
    boundaries: tuple[float, ...] = ()


DURATION = Metric(
    "gen_ai.client.operation.duration",
    "histogram",
    "s",
    "Duration of a call, without what it waited in the governor's queue",
    tuple(0.01 * 2**power for power in range(14)),
)
TOKENS = Metric(
    "gen_ai.client.token.usage",
    "histogram",
    "{token}",
    "Tokens that a call was billed",
    tuple(float(4**power) for power in range(14)),
)
WAIT = Metric(
    "prefect_governor.call.wait",
    "histogram",
    "s",
    "What a call waited for money, slots and rates, all its tries together",
    (0.0, 0.01, 0.1, 0.5, 1.0, 2.0, 5.0, 10.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1800.0, 3600.0),
)
COST = Metric("prefect_governor.call.cost", "counter", "{USD}", "What calls were billed")
THROTTLES = Metric(
    "prefect_governor.call.throttled", "counter", "{reply}", "Replies of 429, each held and retried"
)
REFUSALS = Metric(
    "prefect_governor.call.refused", "counter", "{call}", "Calls that were refused, never sent"
)
CEILING = Metric(
    "prefect_governor.budget.ceiling", "gauge", "{USD}", "A budget's ceiling in its current window"
)
SPENT = Metric(
    "prefect_governor.budget.spent", "gauge", "{USD}", "Spent in the budget's current window"
)
UNCONFIRMED = Metric(
    "prefect_governor.budget.unconfirmed", "gauge", "{USD}", "Bounds of calls nobody knows of"
)
RESERVED = Metric(
    "prefect_governor.budget.reserved", "gauge", "{USD}", "Bounds of calls that are in flight"
)
IN_FLIGHT = Metric(
    "prefect_governor.limit.in_flight", "gauge", "{call}", "In flight, in all processes together"
)
CAP = Metric("prefect_governor.limit.cap", "gauge", "{call}", "How many may be in flight now")
WAITING = Metric(
    "prefect_governor.limit.waiting", "gauge", "{call}", "Calls that wait in this process"
)
METRICS = (
    DURATION, TOKENS, WAIT, COST, THROTTLES, REFUSALS,
    CEILING, SPENT, UNCONFIRMED, RESERVED, IN_FLIGHT, CAP, WAITING,
)  # fmt: skip

# LiteLLM's names of providers, and OpenTelemetry's where it has others.
_PROVIDERS = {
    "azure": "azure.ai.openai",
    "azure_ai": "azure.ai.inference",
    "bedrock": "aws.bedrock",
    "gemini": "gcp.gemini",
    "mistral": "mistral_ai",
    "vertex_ai": "gcp.vertex_ai",
    "watsonx": "ibm.watsonx.ai",
    "xai": "x_ai",
}
UNKNOWN = "unknown"


def provider_named(name: str | None) -> str:
    """OpenTelemetry's name of a provider that LiteLLM names so; "unknown" where nobody knows it."""
    return UNKNOWN if name is None else _PROVIDERS.get(name, name)

"""What a provider states that it billed settles the call, at that provider alone."""

import json
from decimal import Decimal
from typing import Any

import pytest

from prefect_governor.blocks.prices.prices import UsageParts, cost
from prefect_governor.blocks.wire.dialects import dialect_of
from prefect_governor.blocks.wire.replies.stated import STATEMENTS, stated_usd
from prefect_governor.blocks.wire.requests.plans import Billed, CallPlan
from tests.unit.fakes import chat_reply
from tests.unit.prices import PRICE

PLAN = CallPlan(b"", 10, 5)
UPSTREAM = {"upstream_inference_cost": 0.5}

# provider, what its reply says, what that is in USD
NO_MONEY: list[Any] = [None, True, -1, float("nan"), float("inf"), "free", [], {}, 1e30]
CASES: list[tuple[str | None, dict[str, Any], str | None]] = [
    ("openrouter", {"usage": {"cost": 0.0009056, "is_byok": False}}, "0.0009056"),
    ("openrouter", {"usage": {"cost": 0.0009056}}, "0.0009056"),
    ("openrouter", {"usage": {"cost": 0}}, "0"),
    ("openrouter", {"usage": {"cost": "0.25"}}, "0.25"),
    # What upstream asks is paid by OpenRouter, unless the key there is the caller's own.
    ("openrouter", {"usage": {"cost": 0.5, "is_byok": False, "cost_details": UPSTREAM}}, "0.5"),
    ("openrouter", {"usage": {"cost": 0.025, "is_byok": True, "cost_details": UPSTREAM}}, "0.525"),
    ("openrouter", {"usage": {"cost": 0, "is_byok": True, "cost_details": UPSTREAM}}, "0.5"),
    ("openrouter", {"usage": {"cost": 0.95, "cost_details": UPSTREAM}}, "1.45"),
    ("openrouter", {"usage": {"cost": 0.95, "cost_details": None}}, "0.95"),
    ("openrouter", {"usage": {"cost": 0, "is_byok": True}}, None),
    ("xai", {"usage": {"cost_in_usd_ticks": 37756000}}, "0.0037756"),
    ("xai", {"usage": {"cost_in_usd_ticks": 1}}, "1E-10"),
    ("xai", {"usage": {"cost": 3}}, None),
    ("edenai", {"usage": {"cost": 9}, "cost": 0.0001}, "0.0001"),
    ("perplexity", {"usage": {"cost": {"input_tokens_cost": 1, "total_cost": 5.008}}}, "5.008"),
    # No amount of money.
    *(("openrouter", {"usage": {"cost": wrong}}, None) for wrong in NO_MONEY),
    ("openrouter", {"usage": None}, None),
    ("openrouter", {"usage": 7}, None),
    ("openrouter", {}, None),
    # Anybody else's word of that name is no bill.
    ("openai", {"usage": {"cost": 0}}, None),
    ("hosted_vllm", {"usage": {"cost": 0.1, "cost_in_usd_ticks": 1}}, None),
    (None, {"usage": {"cost": 0.1}}, None),
]


@pytest.mark.parametrize(("provider", "said", "usd"), CASES)
def test_what_is_stated_is_read_as_its_page_has_it(
    provider: str | None, said: dict[str, Any], usd: str | None
) -> None:
    assert stated_usd(provider, said) == (None if usd is None else Decimal(usd))


def test_every_statement_has_its_page() -> None:
    assert all("." in each.page and "/" in each.page for each in STATEMENTS.values())


@pytest.mark.parametrize(
    ("provider", "usd", "nano"), [("openrouter", 1e-10, 1), ("openrouter", 0.0000015, 1500)]
)
def test_a_stated_bill_is_rounded_up_once(provider: str, usd: float, nano: int) -> None:
    billed = Billed(UsageParts(1000, 1000), said={"usage": {"cost": usd}})
    usage = billed.usage(PRICE, PLAN, provider=provider)
    assert (usage.nano, usage.input_tokens, usage.output_tokens) == (nano, 1000, 1000)


@pytest.mark.parametrize("stated", [0.000001, 3, 0])
@pytest.mark.parametrize("provider", ["openrouter", "openai", None])
def test_the_providers_word_wins_over_the_list_in_a_whole_reply(
    provider: str | None, stated: float
) -> None:
    reply = chat_reply()
    reply["usage"]["cost"] = stated
    billed = dialect_of("POST", "/v1/chat/completions").read(json.dumps(reply).encode())
    assert billed is not None
    expected = int(Decimal(str(stated)) * 10**9)
    listed = cost(PRICE, UsageParts(10, 5))
    nano = billed.usage(PRICE, PLAN, provider=provider).nano
    assert nano == (expected if provider == "openrouter" else listed)

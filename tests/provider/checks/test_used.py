"""Replies whose usage a script says: billed part by part, and never more than a request bounds."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.provider.books.bill import Price, Usage, bill_nano
from tests.provider.books.used import bill_of, usage_of
from tests.provider.config import Used
from tests.provider.fixtures import MakeProvider

PARTS = Price.model_validate(
    {
        "input": "0.000001",
        "output": "0.000002",
        "audio": "0.000005",
        "reasoning": "0.000003",
        "search": "0.01",
        "request": "0.001",
    }
)
COUNTED = Usage(100, 0, 20)


def test_audio_thoughts_searches_and_the_request_are_billed_by_rates_of_their_own() -> None:
    usage = Usage(100, 0, 20, audio=40, reasoning=5, searches=2)
    tokens = 60 * 1000 + 40 * 5000 + 15 * 2000 + 5 * 3000
    assert bill_nano(PARTS, usage) == tokens + 2 * 10_000_000 + 1_000_000


def test_bill_that_a_script_names_stands_before_the_prices() -> None:
    assert bill_of(Used(usd=Decimal("0.0000000001")), PARTS, COUNTED, tier="default") == 1
    assert bill_of(Used(), PARTS, COUNTED, tier="default") == bill_nano(PARTS, COUNTED)


@pytest.mark.parametrize(
    "used",
    [
        {"input": 151},
        {"input": 160, "unseen": 9},
        {"output": 31},
        {"input": 100, "cached": 60, "audio": 41},
        {"output": 10, "reasoning": 11},
    ],
)
def test_usage_that_no_request_bounds_is_refused_by_the_judge(used: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match=r"an input of|an output of|more than the whole"):
        usage_of(Used(**used), COUNTED, most_input=1000, most_output=30)


def test_price_is_that_of_the_host_and_a_billed_refusal_is_on_the_bill(
    make_provider: MakeProvider,
) -> None:
    dear = {"input": "0.000001", "output": "0.000001"}
    provider = make_provider(
        hosts={"eu.example.com": {"gpt-4o-mini": dear}},
        script=[{"match": "filtered", "reply": {"status": 400, "billed": True, "text": "no"}}],
    )
    url = f"{provider.api_base}/chat/completions"

    def ask(text: str, host: str) -> int:
        message = {"role": "user", "content": text}
        body = {"model": "gpt-4o-mini", "messages": [message], "max_tokens": 20}
        status = httpx.post(url, json=body, headers={"host": host}).status_code
        assert provider.settled_stats()["internal_errors"] == 0
        return status

    assert ask("hi", "eu.example.com") == 200
    (first,) = provider.log()
    assert first["billed_nano"] == (first["input"] + first["output"]) * 1000
    assert ask("filtered", "api.example.com") == 400
    assert provider.log()[1]["billed_nano"] > 0

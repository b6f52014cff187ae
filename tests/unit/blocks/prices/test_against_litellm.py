"""No price costs less than LiteLLM's own calculator makes of a usage, over its whole list."""

import random
from collections import Counter
from typing import Any

import pytest

from prefect_governor.blocks.prices.entries import Unpriced, parse
from prefect_governor.blocks.prices.prices import (
    Price,
    UsageParts,
    _entries,
    cost_usd,
    load_price,
    why_unpriced,
)

INPUTS = (10, 5000, 150_000, 300_000, 1_100_000)
MODES = ("chat", "responses", "embedding")


def usage_of(price: Price, draw: random.Random) -> UsageParts:
    """A usage at random, at the edges of its price's tiers as often as anywhere."""
    edges = [threshold + beside for threshold, _ in price.tiers for beside in (0, 1)]
    inputs = draw.choice([*INPUTS, *edges])
    if price.mode == "embedding":
        return UsageParts(inputs, 0)
    # Perplexity's calculator knows nothing of cached reads, which the list has a price for.
    cached = 0 if price.provider == "perplexity" else draw.randint(0, inputs // 2)
    written = draw.randint(0, inputs // 3) if price.standard.rates.cache_write else 0
    outputs = draw.randint(1, 5000)
    return UsageParts(inputs, outputs, cached, written, draw.randint(0, outputs))


def litellm_usd(name: str, price: Price, usage: UsageParts, tier: str | None) -> float:
    import litellm
    from litellm.types.utils import (
        CompletionTokensDetailsWrapper,
        PromptTokensDetailsWrapper,
        Usage,
    )

    told: Any = Usage(
        prompt_tokens=usage.input_tokens,
        completion_tokens=usage.output_tokens,
        total_tokens=usage.input_tokens + usage.output_tokens,
        prompt_tokens_details=PromptTokensDetailsWrapper(
            cached_tokens=usage.cached_input_tokens, cache_creation_tokens=usage.cache_write_tokens
        ),
        completion_tokens_details=CompletionTokensDetailsWrapper(
            reasoning_tokens=usage.reasoning_tokens
        ),
        cache_read_input_tokens=usage.cached_input_tokens,
        cache_creation_input_tokens=usage.cache_write_tokens,
    )
    read, written = litellm.cost_per_token(
        model=name,
        custom_llm_provider=price.provider,
        usage_object=told,
        call_type="embedding" if price.mode == "embedding" else "completion",
        service_tier=tier,
    )
    return float(read + written)


@pytest.mark.parametrize("usages", [1, pytest.param(20, marks=pytest.mark.scale)])
def test_every_entry_of_the_list_costs_no_less_than_litellm_makes_it_or_is_refused_by_its_key(
    usages: int, capsys: pytest.CaptureFixture[str]
) -> None:
    draw, compared, less = random.Random(14), 0, []
    priced: Counter[str] = Counter()
    refused: Counter[str] = Counter()
    for name, entry in _entries().items():
        if entry.get("mode") not in MODES:
            continue
        price = load_price(name)
        if price is None:
            found = parse(name, entry)
            # Of what no key charges for, the key that is missing is named.
            assert isinstance(found, Unpriced) and found.key in why_unpriced(name), name
            refused[found.key] += 1
            continue
        priced[str(price.mode)] += 1
        tiers = [None, *(tier for tier in price.service if tier in ("flex", "priority"))]
        for _ in range(usages):
            usage, tier = usage_of(price, draw), draw.choice(tiers)
            ours = float(cost_usd(price, usage, service_tier=tier or "default"))
            theirs = litellm_usd(name, price, usage, tier)
            compared += 1
            if ours < theirs * (1 - 1e-9):
                less.append((name, tier, usage, ours, theirs))
    with capsys.disabled():
        print(f"\n{compared} usages of {priced.total()} models that have a price {dict(priced)};")
        print(f"{refused.total()} refused by their key: {dict(refused.most_common())}")
    assert not less, (len(less), less[:5])
    assert priced.total() > 3000
    assert refused.total() > 100

"""A price is the list's or a person's, and no bound costs less than a usage within it."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor import ConfigurationError
from prefect_governor.blocks.prices.prices import (
    Price,
    Rates,
    Tariff,
    UsageParts,
    bound_cost,
    cost,
    cost_usd,
    load_price,
    read_entries,
)
from prefect_governor.blocks.terms.price import PriceOverride
from tests.unit.imports import imported
from tests.unit.prices import priced

NANO = 10**9


@pytest.mark.parametrize("name", ["gpt-4o-mini", "openai/gpt-4o-mini"])
def test_price_is_found_bare_and_with_its_provider(name: str) -> None:
    price = priced(name)
    assert (price.input, price.output) == (Decimal("0.00000015"), Decimal("0.0000006"))
    assert price.cached_input == Decimal("0.000000075")
    assert (price.context_tokens, price.max_output_tokens, price.mode) == (128_000, 16_384, "chat")


@pytest.mark.parametrize(
    "name", ["groq/gpt-4o-mini", "nobody/knows", "sample_spec", "", "ft:nothing:org::id"]
)
def test_name_of_another_provider_has_no_price(name: str) -> None:
    assert load_price(name) is None


def test_fine_tuned_model_costs_what_its_kind_does() -> None:
    tuned = priced("ft:gpt-4o-mini-2024-07-18:my-org::abc")
    assert tuned == priced("ft:gpt-4o-mini-2024-07-18")
    assert tuned.input > priced("gpt-4o-mini").input


@pytest.mark.parametrize(
    "name",
    [
        "perplexity/sonar",
        "perplexity/perplexity/sonar",
        "perplexity/sonar-deep-research",
        "gpt-4o-search-preview",
        "openai/whisper-1",
        "bedrock/*/1-month-commitment/cohere.command-text-v14",
    ],
)
def test_model_whose_cost_tokens_do_not_bound_is_not_priced(name: str) -> None:
    assert load_price(name) is None


def test_prices_are_read_without_importing_litellm() -> None:
    program = (
        "from prefect_governor.blocks.prices.prices import load_price\n"
        "assert load_price('gpt-4o-mini')"
    )
    assert imported(program, "litellm") == []


def test_fraction_of_a_nano_dollar_is_summed_exactly_and_rounded_up_once() -> None:
    # 5.5 nano-dollars a token: rounded each, three tokens would come to 18.
    odd = Price(Tariff(Rates(Decimal("0.0000000055"), Decimal("0.00000004998"))))
    assert cost(odd, UsageParts(3, 0)) == 17
    assert cost(odd, UsageParts(2, 0)) == 11
    assert cost(odd, UsageParts(3, 1)) == 67
    assert cost_usd(odd, UsageParts(3, 1)) == Decimal("0.00000006648")


def test_cached_tokens_cost_what_the_price_says_they_cost() -> None:
    price = priced("gpt-4o-mini")
    assert cost(price, UsageParts(1000, 0, cached_input_tokens=400)) == 600 * 150 + 400 * 75


def test_cached_tokens_without_a_price_of_their_own_are_not_free() -> None:
    price = Price(Tariff(Rates(Decimal(1), Decimal(1))))
    assert cost(price, UsageParts(10, 0, cached_input_tokens=10)) == 10 * NANO


def test_billed_input_decides_the_context_tier_of_the_whole_request() -> None:
    price = priced("gpt-5.4")
    assert price.tiers[0][0] == 272_000
    below, above = UsageParts(272_000, 100), UsageParts(272_001, 100)
    assert cost(price, below) == 272_000 * 2500 + 100 * 15_000
    assert cost(price, above) == 272_001 * 5000 + 100 * 22_500


def test_service_tier_of_the_reply_decides_the_tariff() -> None:
    price, usage = priced("gpt-5"), UsageParts(1000, 100)
    standard = cost(price, usage, service_tier="default")
    assert cost(price, usage, service_tier="flex") * 2 == standard
    assert cost(price, usage, service_tier="priority") == standard * 2


@pytest.mark.parametrize("tier", [None, "auto", "never-heard-of"])
def test_service_tier_that_nobody_named_costs_the_dearest(tier: str | None) -> None:
    price, usage = priced("gpt-5"), UsageParts(1000, 100)
    dearest = cost(price, usage, service_tier="priority")
    assert cost(price, usage, service_tier=tier) == dearest
    assert bound_cost(price, 1000, 100, service_tier=tier) == dearest


def test_priority_above_the_threshold_is_never_cheaper_than_standard_there() -> None:
    price = priced("gpt-5.5")
    usage = UsageParts(300_000, 10)
    assert cost(price, usage, service_tier="priority") >= cost(price, usage)


def test_ranges_of_input_tokens_are_tiers() -> None:
    price = priced("dashscope/qwen-flash")
    assert price.tiers[0][0] == 256_000
    assert price.tiers[0][1].input == Decimal("0.00000025")


@pytest.mark.parametrize("name", ["text-embedding-3-small", "openai/text-embedding-3-small"])
def test_embeddings_cost_their_input_alone(name: str) -> None:
    price = priced(name)
    assert price.mode == "embedding"
    assert (price.input, price.output) == (Decimal("0.00000002"), Decimal(0))
    assert price.max_output_tokens is None
    assert cost(price, UsageParts(1000, 0)) == bound_cost(price, 1000, 0) == 20_000


def test_embedding_model_that_names_no_output_price_is_priced_all_the_same(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    from prefect_governor.blocks.prices import prices as module

    fields = {"input_cost_per_token": Decimal("0.00000013"), "litellm_provider": "openai"}
    entries = {
        "embeds": {**fields, "mode": "embedding"},
        "chats": {**fields, "mode": "chat"},
        "free input": {"mode": "embedding", "litellm_provider": "openai"},
    }
    monkeypatch.setattr(module, "_entries", lambda: entries)
    module._load.cache_clear()
    try:
        assert priced("embeds").output == 0
        # What writes and names no price of it has none.
        assert load_price("chats") is None
        assert load_price("free input") is None
    finally:
        module._load.cache_clear()


def test_most_shipped_embeddings_and_responses_are_priced() -> None:
    from prefect_governor.blocks.prices.prices import _entries

    # Those that are not are 0 in the list, or charged by the query or by the character.
    for mode, least in (("embedding", 120), ("responses", 150)):
        names = [name for name, entry in _entries().items() if entry.get("mode") == mode]
        found = [name for name in names if load_price(name) is not None]
        assert len(found) >= least, (mode, set(names) - set(found))


@pytest.mark.parametrize("name", ["o3-pro", "gpt-5-codex", "openai/gpt-5-pro"])
def test_responses_model_is_priced_by_the_token(name: str) -> None:
    price = priced(name)
    assert price.mode == "responses"
    assert price.output > price.input > 0


@pytest.mark.parametrize(
    "name", ["o3-deep-research", "openai/o4-mini-deep-research", "perplexity/preset/pro-search"]
)
def test_responses_model_that_always_searches_is_not_priced(name: str) -> None:
    assert load_price(name) is None


def test_tiers_by_context_and_service_hold_for_responses_models_too() -> None:
    from prefect_governor.blocks.prices.prices import _entries

    checked = 0
    for name, entry in _entries().items():
        price = load_price(name) if entry.get("mode") == "responses" else None
        if price is None:
            continue
        for thousands in (200, 272):
            dearer = entry.get(f"input_cost_per_token_above_{thousands}k_tokens")
            if dearer is not None:
                checked += 1
                above = price.standard.at(thousands * 1000 + 1).input
                # A deployment of Azure's may be billed by a dearer zone's price.
                assert above == dearer or (name.startswith("azure/") and above > dearer), name
                assert bound_cost(price, thousands * 1000 + 1, 0) >= cost(
                    price, UsageParts(thousands * 1000 + 1, 0)
                )
    assert checked > 30


def test_price_by_a_person_is_per_million_tokens() -> None:
    override = PriceOverride(
        input_usd_per_million_tokens=Decimal("0.15"),
        output_usd_per_million_tokens=Decimal("0.6"),
        cached_input_usd_per_million_tokens=Decimal("0.075"),
    )
    price = override.price(priced("gpt-4o-mini"))
    assert (price.input, price.output) == (Decimal("0.00000015"), Decimal("0.0000006"))
    assert price.cached_input == Decimal("0.000000075")
    assert price.context_tokens == 128_000
    listed = priced("gpt-4o-mini").service["priority"].rates
    rates = price.service["priority"].rates
    assert (rates.input, rates.output) == (listed.input, listed.output)


@pytest.mark.parametrize("amount", ["-1", "NaN", "Infinity", "0", "lots"])
def test_price_that_is_none_is_refused(amount: str) -> None:
    with pytest.raises(ValueError):
        PriceOverride.model_validate(
            {"input_usd_per_million_tokens": amount, "output_usd_per_million_tokens": "1"}
        )


amounts = st.decimals(0, "0.001", places=12, allow_nan=False)
rates = st.builds(
    Rates,
    input=amounts,
    output=amounts,
    cached_input=st.none() | amounts,
    cache_write=st.none() | amounts,
    reasoning_output=st.none() | amounts,
)
tariffs = st.builds(
    lambda base, above: Tariff(base, tuple(sorted(above.items(), key=lambda each: each[0]))),
    rates,
    st.dictionaries(st.integers(1, 2000), rates, max_size=3),
)
prices = st.builds(
    Price,
    standard=tariffs,
    service=st.dictionaries(st.sampled_from(["flex", "priority"]), tariffs),
    request_fee=amounts,
)


@given(
    price=prices,
    inputs=st.integers(1, 3000),
    outputs=st.integers(0, 3000),
    tier=st.sampled_from([None, "auto", "default", "flex", "priority"]),
    data=st.data(),
)
def test_no_usage_within_the_bound_costs_more_than_the_bound(
    price: Price, inputs: int, outputs: int, tier: str | None, data: st.DataObject
) -> None:
    bound = bound_cost(price, inputs, outputs, service_tier=tier)
    billed = data.draw(st.integers(0, inputs))
    cached = data.draw(st.integers(0, billed))
    written = data.draw(st.integers(0, billed - cached))
    completion = data.draw(st.integers(0, outputs))
    usage = UsageParts(billed, completion, cached, written, data.draw(st.integers(0, completion)))
    replied = tier
    if tier in (None, "auto"):
        replied = data.draw(st.sampled_from(["default", *price.service, None, "unheard-of"]))
    assert cost(price, usage, service_tier=replied) <= bound


def test_every_shipped_price_bounds_what_it_bills() -> None:
    from prefect_governor.blocks.prices.prices import _entries

    checked = 0
    for name, entry in _entries().items():
        price = load_price(name)
        if price is None or entry.get("mode") not in ("chat", "responses"):
            continue
        checked += 1
        for tier in ("default", *price.service):
            for billed in (1, 99_999, 130_000, 200_001, 272_001, 600_000):
                usage = UsageParts(billed, 1000, billed // 3, billed // 3, 500)
                assert cost(price, usage, service_tier=tier) <= bound_cost(
                    price, 600_000, 1000, service_tier=tier
                ), name
    assert checked > 2000


def test_cache_that_lives_for_an_hour_has_a_price_of_its_own() -> None:
    price = priced("claude-sonnet-4-5")
    short = UsageParts(100, 0, cache_write_tokens=100, cache_write_short_tokens=100)
    assert cost(price, short) == 100 * 3750
    # Where nobody says for how long, it is the dearer.
    assert cost(price, UsageParts(100, 0, cache_write_tokens=100)) == 100 * 6000
    assert bound_cost(price, 100, 0, cache_writes=True) == 100 * 6000
    assert bound_cost(price, 100, 0, cache_writes=False) == 100 * 3000


def test_region_that_costs_more_is_a_tariff_of_its_own() -> None:
    price = priced("claude-sonnet-4-6")
    usage = UsageParts(100, 10, cached_input_tokens=20)
    assert cost(price, usage, service_tier="us") * 10 == cost(price, usage) * 11
    assert cost(price, usage, service_tier=None) == cost(price, usage, service_tier="us")
    assert "us" not in priced("gpt-4o-mini").service


@pytest.mark.parametrize("name", ["ollama/nobody-knows", "ollama_chat/nobody-knows"])
def test_model_of_ones_own_machine_costs_nothing(name: str) -> None:
    assert cost(priced(name), UsageParts(1000, 1000)) == 0
    assert load_price(name.replace("ollama", "nobody")) is None


@pytest.mark.parametrize(
    "text", ["", "{", "[]", '{"gpt-4o": 3}', "[" * 100_000, None], ids=lambda text: str(text)[:9]
)
def test_price_file_that_is_none_is_a_clear_line(tmp_path: Path, text: str | None) -> None:
    path = tmp_path / "prices.json"
    if text is not None:
        path.write_text(text)
    with pytest.raises(ConfigurationError, match=r"prices\.json.*install litellm anew"):
        read_entries(path)

"""What the list adds to a price where a call is served."""

from decimal import Decimal

import httpx
import pytest

from prefect_governor.blocks.prices.places import billed_at, factor_at, places_of, provider_at
from prefect_governor.blocks.prices.prices import UsageParts, bound_cost, cost
from tests.unit.blocks.work.test_runtime import runtime
from tests.unit.prices import PRICE, priced

PLACES = places_of(
    {
        "regional_processing_uplift_multiplier_eu": Decimal("1.1"),
        "regional_processing_uplift_multiplier_us": Decimal("1.2"),
        "regional_endpoint_uplift_multiplier": Decimal("1.3"),
    }
)


@pytest.mark.parametrize(
    ("host", "factor"),
    [
        ("api.openai.com", "1"),
        ("eu.api.openai.com", "1.1"),
        ("us.api.openai.com", "1.2"),
        # The list knows two regions; what it does not know costs what the dearer does.
        ("jp.api.openai.com", "1.2"),
        ("aiplatform.googleapis.com", "1"),
        ("europe-west4-aiplatform.googleapis.com", "1.3"),
        ("aiplatform.eu.rep.googleapis.com", "1.3"),
        ("eu.api.openai.com.example.org", "1"),
        ("localhost", "1"),
    ],
)
def test_host_says_what_is_added(host: str, factor: str) -> None:
    assert factor_at(PLACES, host) == Decimal(factor)
    assert factor_at({}, host) == 1


def test_every_tariff_of_a_price_costs_more_there() -> None:
    price = priced("gpt-5.6")
    there = price.at(factor_at(price.places, "eu.api.openai.com"))
    usage = UsageParts(300_000, 100, cached_input_tokens=1000, cache_write_tokens=1000)
    for tier in ("default", *price.service):
        assert (
            cost(there, usage, service_tier=tier) * 10 == cost(price, usage, service_tier=tier) * 11
        )
    assert bound_cost(there, 1000, 10) * 10 == bound_cost(price, 1000, 10) * 11


def test_what_costs_more_for_the_government_costs_what_it_does_elsewhere() -> None:
    price = priced("gpt-4o-mini")
    assert factor_at(price.places, "gov.api.openai.com") == Decimal("1.1")
    assert factor_at(price.places, "eu.api.openai.com") == 1
    assert factor_at(price.places, "api.openai.com") == 1


@pytest.mark.parametrize(
    ("host", "provider"),
    [
        ("api.openai.com", "openai"),
        ("eu.api.openai.com", "openai"),
        ("ours.openai.azure.com", "azure"),
        ("ours.cognitiveservices.azure.com", "azure"),
        ("ours.services.ai.azure.com", "azure"),
        ("ours.openai.azure.us", "azure"),
        ("ours.openai.azure.com.example.org", None),
        ("api.x.ai", "xai"),
        ("generativelanguage.googleapis.com", "gemini"),
        ("aiplatform.googleapis.com", "vertex_ai"),
        ("europe-west4-aiplatform.googleapis.com", "vertex_ai"),
        ("aiplatform.eu.rep.googleapis.com", "vertex_ai"),
        ("localhost", None),
        ("api.openai.com.example.org", None),
    ],
)
def test_host_says_whose_prices_are_billed(host: str, provider: str | None) -> None:
    assert provider_at(host) == provider


@pytest.mark.parametrize(
    ("host", "location", "factor"),
    [
        ("aiplatform.googleapis.com", "global", "1"),
        ("europe-west4-aiplatform.googleapis.com", "europe-west4", "1.1"),
        ("aiplatform.eu.rep.googleapis.com", "eu", "1.1"),
        # A gateway of one's own before it: the path alone says where it is served.
        ("localhost", "global", "1"),
        ("localhost", "europe-west4", "1.1"),
        ("gateway.example.org", "us", "1.1"),
    ],
)
def test_location_in_vertexs_path_says_whose_prices_and_what_is_added(
    host: str, location: str, factor: str
) -> None:
    path = f"/v1/projects/p/locations/{location}/publishers/google/models/m:generateContent"
    place = billed_at(host, path)
    assert provider_at(place) == "vertex_ai"
    assert factor_at(priced("vertex_ai/gemini-3.8-flash").places, place) == Decimal(factor)
    assert billed_at(host, "/v1/chat/completions") == host


def test_vertexs_prices_are_found_whatever_the_list_calls_its_publishers() -> None:
    for name in ("gemini-2.5-flash-lite", "gemini-3.8-flash", "claude-haiku-4-5"):
        assert priced(f"vertex_ai/{name}").provider == "vertex_ai"
    # Of its own there are two entries: the one with the prefix knows what a location adds.
    assert priced("vertex_ai/gemini-3.8-flash").places


def test_hosts_that_litellm_knows_are_known_by_its_names() -> None:
    import litellm
    from litellm.constants import openai_compatible_endpoints
    from litellm.exceptions import BadRequestError

    unlike: dict[str, str] = {}
    for endpoint in openai_compatible_endpoints:
        address = endpoint if endpoint.startswith("http") else f"https://{endpoint}"
        host = httpx.URL(address).host
        try:
            theirs = litellm.get_llm_provider(model="some-model", api_base=address)[1]
        except BadRequestError:
            continue
        # Another name of the same host, by path; and what is free only on one's own machine.
        if theirs not in ("text-completion-codestral", "ollama") and theirs:
            unlike |= {} if provider_at(host) == theirs else {host: theirs}
    assert not unlike


def test_call_at_a_regional_host_is_bounded_and_billed_by_its_price() -> None:
    made, _, _ = runtime()
    usual = made.price_of("openai/gpt-5.6", host="api.openai.com")
    there = made.price_of("openai/gpt-5.6", host="eu.api.openai.com")
    assert usual is not None and there is not None
    assert there.output * 10 == usual.output * 11


def test_price_of_a_persons_own_is_meant_for_the_place_that_they_call() -> None:
    made, _, _ = runtime(prices={"openai/gpt-5.6": PRICE})
    assert made.price_of("openai/gpt-5.6", host="eu.api.openai.com") is PRICE

"""What a deployment of Azure's may cost, and does once its reply names the model that answered."""

from decimal import Decimal

import pytest

from prefect_governor.blocks.errors import ConfigurationError, NotPriced
from prefect_governor.blocks.prices.given import Given, price_by
from prefect_governor.blocks.prices.own import own_price
from prefect_governor.blocks.prices.prices import load_price, price_of_answer
from prefect_governor.blocks.terms.price import parse_prices
from prefect_governor.blocks.wire.answers import price_answered
from tests.unit.blocks.work.test_runtime import runtime
from tests.unit.prices import priced


def rates(model: str) -> tuple[str, str]:
    price = priced(model)
    million = 10**6
    return f"{(price.input * million).normalize():f}", f"{(price.output * million).normalize():f}"


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        # A data zone's, as nobody sees which it is.
        ("azure/gpt-4o-mini", ("0.165", "0.66")),
        ("azure/eu/gpt-4o-mini", ("0.165", "0.66")),
        ("azure/global/gpt-4o-mini", ("0.15", "0.6")),
        ("azure/gpt-4o-mini-2024-07-18", ("0.165", "0.66")),
        # The dearest of its versions.
        ("azure/gpt-4o", ("5.5", "16.5")),
        ("azure/gpt-4o-2024-08-06", ("2.75", "11")),
        ("azure/global/gpt-4o-2024-08-06", ("2.5", "10")),
        # Of this version the zones' prices are listed without its date.
        ("azure/gpt-5.1-2025-11-13", ("1.375", "11")),
        ("azure/us/gpt-5.1-2025-11-13", ("1.375", "11")),
        ("azure/us-gov/gpt-5.1", ("1.71875", "13.75")),
        # What it may be any of.
        ("azure/gpt-4o*", ("5.5", "16.5")),
        ("azure/gpt-4.1*", ("2.2", "8.8")),
    ],
)
def test_a_deployment_is_bounded_by_the_dearest_that_it_may_be(
    model: str, expected: tuple[str, str]
) -> None:
    assert rates(model) == expected
    assert priced(model).base_model == model


def test_every_model_of_azures_bounds_its_versions_in_every_zone() -> None:
    from prefect_governor.blocks.prices.prices import _entries

    checked = 0
    for name, entry in _entries().items():
        *place, model = name.split("/")
        zone = place[1:]
        if place[:1] != ["azure"] or zone == ["us-gov"] or len(zone) > 1:
            continue
        whole, one = load_price(f"azure/{model}"), load_price(name)
        if whole is None or one is None:
            continue
        checked += 1
        assert whole.input >= one.input >= Decimal(str(entry["input_cost_per_token"])), name
        assert whole.output >= one.output, name
    assert checked > 200


@pytest.mark.parametrize(
    ("base_model", "answered", "expected"),
    [
        ("azure/gpt-4o", "gpt-4o-2024-08-06", ("2.75", "11")),
        ("azure/global/gpt-4o", "gpt-4o-2024-08-06", ("2.5", "10")),
        ("azure/gpt-4o", "gpt-4o-2024-05-13", ("5.5", "16.5")),
        ("azure/gpt-4*", "gpt-4.1-nano-2025-04-14", ("0.11", "0.44")),
        # Another model, which costs less or more: never below what either does.
        ("azure/gpt-4o", "gpt-4o-mini-2024-07-18", ("5.5", "16.5")),
        ("azure/gpt-4o-mini", "gpt-4o-2024-08-06", ("2.75", "11")),
        ("azure/global/gpt-4o-mini", "o1", ("15", "60")),
        # What says nothing: no date, no model that the list knows.
        ("azure/gpt-4o-2024-08-06", "gpt-4o", ("2.75", "11")),
        ("azure/gpt-4o-mini", "our-chat", ("0.165", "0.66")),
    ],
)
def test_the_model_that_a_reply_names_is_what_its_call_costs(
    base_model: str, answered: str, expected: tuple[str, str]
) -> None:
    found = price_of_answer(priced(base_model), answered)
    million = 10**6
    assert (found.input * million, found.output * million) == (
        Decimal(expected[0]), Decimal(expected[1])
    )  # fmt: skip


def test_a_reply_that_names_another_model_is_told_once_and_loudly(
    caplog: pytest.LogCaptureFixture,
) -> None:
    cheap = priced("azure/gpt-4o-mini")
    for _ in range(3):
        found = price_answered(cheap, "azure/told-once", "gpt-4o-2024-08-06")
        assert found.output > cheap.output
    (record,) = caplog.records
    said = record.getMessage()
    assert record.levelname == "WARNING"
    assert "'azure/told-once' was priced as 'azure/gpt-4o-mini'" in said
    assert 'prices={\'azure/told-once\': {"base_model": "azure/gpt-4o-2024-08-06"}}' in said


def test_what_a_person_says_that_it_costs_is_what_it_costs_whatever_answers(
    caplog: pytest.LogCaptureFixture,
) -> None:
    given = parse_prices(
        {
            "azure/ours": {
                "base_model": "azure/gpt-4o-mini",
                "input_usd_per_million_tokens": "0.1",
                "output_usd_per_million_tokens": "0.4",
            }
        }
    )
    price = own_price(given, "azure/ours", host="ours.openai.azure.com")
    assert price is not None
    assert (price.input * 10**6, price.max_output_tokens) == (Decimal("0.1"), 16_384)
    assert price.base_model == "azure/gpt-4o-mini"
    assert price_answered(price, "azure/ours", "gpt-4o-2024-08-06") is price
    # An echo of its own name is no model's, though there is one of that name.
    by_list = price_by(Given(base_model="gpt-4o-mini"), "azure/gpt-4o")
    assert price_answered(by_list, "azure/gpt-4o", "gpt-4o") is by_list
    assert not caplog.records


@pytest.mark.parametrize("base_model", ["gpt-4o-mini", "azure/gpt-4o-mini"])
@pytest.mark.parametrize("name", ["azure/our-chat", "our-chat", "azure/our-*", "azure/*"])
def test_base_model_is_named_with_its_provider_or_without(name: str, base_model: str) -> None:
    given = parse_prices({name: {"base_model": base_model}})
    price = own_price(given, "azure/our-chat", host="ours.openai.azure.com")
    assert price is not None
    assert (price.output, price.base_model) == (Decimal("0.00000066"), "azure/gpt-4o-mini")


def test_base_model_without_tiers_has_none() -> None:
    tiers: dict[str, list[str]] = {"service_tiers": [], "context_tiers": []}
    given = parse_prices({"azure/ours": {"base_model": "azure/gpt-5.4", **tiers}})
    price = own_price(given, "azure/ours", host="")
    assert price is not None
    assert (dict(price.service), price.tiers) == ({}, ())
    assert priced("azure/gpt-5.4").service
    assert priced("azure/gpt-5.4").tiers


@pytest.mark.parametrize(
    ("price", "said"),
    [
        ({"base_model": "azure/nobody-knows"}, "no price is known for 'azure/nobody-knows'"),
        ({"base_model": "azure/o3-deep-research"}, "search_context_cost_per_query"),
        ({"base_model": "gpt-4o", "output_usd_per_million_tokens": 1}, "input_usd_per_million"),
        ({"base_model": "gpt-4o", "free": True, "usd_per_request": 1}, "costs something"),
    ],
)
def test_base_model_that_says_nothing_is_refused_where_it_is_given(
    price: object, said: str
) -> None:
    with pytest.raises(ConfigurationError, match=said):
        parse_prices({"azure/ours": price})  # type: ignore[dict-item]


def test_a_call_may_name_the_model_behind_its_deployment() -> None:
    made, _, _ = runtime(prices=parse_prices({"azure/own": {"base_model": "gpt-4o"}}))
    host = "ours.openai.azure.com"
    assert made.price_of("azure/ours", host=host) is None
    found = made.price_of("azure/ours", host=host, base_model="gpt-4o-mini")
    assert found == priced("azure/gpt-4o-mini")
    # A person's price comes first, and a name that is a listed model's last.
    own = made.price_of("azure/own", host=host, base_model="gpt-4o-mini")
    assert own == priced("azure/gpt-4o")
    named = made.price_of("azure/gpt-4o", host=host, base_model="gpt-4o-mini")
    assert named == priced("azure/gpt-4o-mini")
    with pytest.raises(NotPriced, match=r"'azure/nobody'.*base_model of 'azure/ours'"):
        made.price_of("azure/ours", host=host, base_model="nobody")


def test_azure_government_has_prices_of_its_own() -> None:
    made, _, _ = runtime()
    there = made.price_of("azure/gpt-5.1", host="ours.openai.azure.us")
    assert there == priced("azure/us-gov/gpt-5.1")
    assert made.price_of("azure/gpt-4o", host="ours.openai.azure.us") is None

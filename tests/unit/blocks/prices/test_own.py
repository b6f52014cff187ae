"""Which of the prices that people give is a call's, and where what is free is believed to be."""

import pytest

from prefect_governor.blocks.prices.own import free_elsewhere, own_price
from prefect_governor.blocks.prices.places import is_private
from prefect_governor.blocks.terms.price import parse_prices

PUBLIC = "api.example.com"


def at(dollars: str) -> dict[str, str]:
    return {"input_usd_per_million_tokens": dollars, "output_usd_per_million_tokens": dollars}


@pytest.mark.parametrize(
    ("model", "dollars"),
    [
        ("openai/mine", 1),
        ("groq/mine", 2),
        ("mine", 2),
        ("openai/mine-2", 4),
        ("xai/mine-2", 3),
        ("xai/other", 5),
        ("groq/nothing", None),
    ],
)
def test_a_name_comes_before_a_pattern_and_the_longer_pattern_before_the_shorter(
    model: str, dollars: int | None
) -> None:
    prices = parse_prices(
        {"openai/mine": at("1"), "mine": at("2"), "mine-*": at("3"), "openai/mine-*": at("4"),
         "xai/*": at("5")}
    )  # fmt: skip
    price = own_price(prices, model, host=PUBLIC)
    assert (price and price.input * 10**6) == dollars


@pytest.mark.parametrize(
    ("host", "own"),
    [
        ("127.0.0.1", True),
        ("127.8.8.8", True),
        ("::1", True),
        ("[::1]", True),
        ("localhost", True),
        ("ollama.localhost", True),
        ("10.1.2.3", True),
        ("172.16.0.9", True),
        ("192.168.1.7", True),
        ("169.254.1.1", True),
        ("fd00::1", True),
        ("fe80::1", True),
        ("gpu-box", True),
        ("gpu-box.local", True),
        ("host.docker.internal", True),
        ("api.openai.com", False),
        ("8.8.8.8", False),
        ("0.0.0.0", False),
        ("2606:4700::1111", False),
        ("localhost.example.com", False),
        ("mylocal", True),
        ("notlocalhost.com", False),
        ("", False),
    ],
)
def test_one_word_makes_free_what_ones_own_machine_and_network_serve(host: str, own: bool) -> None:
    assert is_private(host) is own
    prices = parse_prices("free")
    price = own_price(prices, "anything", host=host)
    assert (price is not None and price.input == price.output == 0) is own
    assert free_elsewhere(prices, "anything") == "*"


def test_a_model_that_is_free_by_its_name_is_free_wherever_it_is() -> None:
    prices = parse_prices({"x/y:free": "free"})
    price = own_price(prices, "openrouter/x/y:free", host="openrouter.ai")
    assert price is not None
    assert price.output == 0
    assert own_price(prices, "openrouter/x/y", host="openrouter.ai") is None


def test_what_is_free_elsewhere_leaves_the_next_pattern_its_turn() -> None:
    prices = parse_prices({"lm_studio/*": "free", "*": at("9")})
    for host, dollars in ((PUBLIC, 9), ("localhost", 0)):
        price = own_price(prices, "lm_studio/x", host=host)
        assert price is not None
        assert price.input * 10**6 == dollars

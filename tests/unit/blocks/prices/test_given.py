"""What a person's price leaves out is taken at the dearest that is known, never at less."""

import random
import re
from collections.abc import Iterator
from decimal import Decimal
from fractions import Fraction

import pytest

from prefect_governor.blocks.prices import given
from prefect_governor.blocks.prices.given import Given, Step, price_by
from prefect_governor.blocks.prices.prices import _entries, load_price
from prefect_governor.blocks.prices.tariffs import Price, UsageParts, bound_cost, cost
from tests.unit.prices import priced

# Deep discounts of fresh input, and a price of `priority` that is 25 times OpenAI's own: no
# multiples to expect of a model that nobody knows.
OUTLIERS = re.compile(r"^coralbricks/|^gpt-5-nano(-|$)")
MILLIONTH = Decimal("0.000001")


def listed() -> Iterator[tuple[str, Price]]:
    for name in _entries():
        price = load_price(name)
        if price is not None and price.input and not OUTLIERS.search(name):
            yield name, price


def usage_of(draw: random.Random) -> UsageParts:
    inputs, outputs = draw.randrange(1, 400_000), draw.randrange(0, 9000)
    cached = draw.randrange(0, inputs)
    written = draw.randrange(0, inputs - cached)
    return UsageParts(
        inputs,
        outputs,
        cached,
        written,
        draw.randrange(0, outputs + 1),
        draw.randrange(written + 1),
    )


@pytest.mark.parametrize("known", [True, False])
def test_what_a_price_leaves_out_costs_no_less_than_it_does_for_any_model_of_the_list(
    known: bool,
) -> None:
    """Input and output are named as the list has them, and nothing else is."""
    draw, checked = random.Random(15), 0
    for name, price in listed():
        own = Given(price.input, price.output).price(price if known else None)
        for tier in ("default", *price.service):
            usage = usage_of(draw)
            if not known and price.standard.rates.reasoning_output is not None:
                # That it thinks at another price is known of the model or not at all.
                usage = UsageParts(usage.input_tokens, usage.output_tokens)
            said = cost(own, usage, service_tier=tier)
            assert said >= cost(price, usage, service_tier=tier), (name, tier, usage)
            checked += 1
    print(f"\n{checked} usages")
    assert checked > 3000


def test_no_model_charges_more_for_a_cache_than_is_taken_where_nobody_knows() -> None:
    for name, price in listed():
        for tariff in (price.standard, *price.service.values()):
            for rates in (tariff.rates, *(each for _, each in tariff.above)):
                # What a longer context or another tier adds to the input has a factor of its own.
                assert rates.written <= given.CACHE_WRITE * Fraction(rates.input), name
                assert rates.written_long <= given.CACHE_WRITE_LONG * Fraction(rates.input), name


def test_no_model_charges_more_for_a_long_context_than_is_taken_where_nobody_knows() -> None:
    own = Given(MILLIONTH, MILLIONTH).price().standard
    for name, price in listed():
        for above, _ in price.standard.above:
            for tokens in (above, above + 1):
                rates, said = price.standard.at(tokens), own.at(tokens)
                assert Fraction(rates.input) <= Fraction(price.input * said.input) / Fraction(
                    MILLIONTH
                ), (name, tokens)
                assert Fraction(rates.output) <= Fraction(price.output * said.output) / Fraction(
                    MILLIONTH
                ), (name, tokens)


def test_what_is_left_out_is_the_models_own_multiple_where_the_list_has_one() -> None:
    own = Given(2 * MILLIONTH, 8 * MILLIONTH).price(priced("claude-sonnet-4-5"))
    assert own.standard.rates.cache_write == Decimal("0.0000025")
    assert own.standard.rates.cache_write_long == 4 * MILLIONTH
    assert own.tiers == ()
    own = Given(2 * MILLIONTH, 8 * MILLIONTH).price(priced("gemini/gemini-2.5-pro"))
    (above,) = own.tiers
    assert above[0] == 200_000
    assert (above[1].input, above[1].output) == (4 * MILLIONTH, 12 * MILLIONTH)
    assert own.context_tokens == priced("gemini/gemini-2.5-pro").context_tokens


def test_a_cache_write_of_a_model_that_nobody_knows_is_never_billed_at_the_inputs_price() -> None:
    own = Given(MILLIONTH, MILLIONTH).price()
    assert cost(own, UsageParts(1000, 0, cache_write_tokens=1000)) == 2_500_000
    minutes = UsageParts(1000, 0, cache_write_tokens=1000, cache_write_short_tokens=1000)
    assert cost(own, minutes) == 1_600_000
    assert bound_cost(own, 1000, 0) == 2_500_000
    assert cost(own, UsageParts(100_001, 0)) == 5 * 100_001_000
    assert cost(own, UsageParts(1000, 0), service_tier="priority") == 2_500_000


def test_what_a_price_names_is_taken_as_it_stands() -> None:
    own = Given(
        input=MILLIONTH,
        output=4 * MILLIONTH,
        cached_input=MILLIONTH / 10,
        cache_write=MILLIONTH,
        cache_write_long=MILLIONTH,
        request_fee=Decimal("0.01"),
        context=((1000, Step(3 * MILLIONTH, 5 * MILLIONTH)),),
        service=(("priority", Step(2 * MILLIONTH, 8 * MILLIONTH)),),
    ).price(priced("claude-sonnet-4-5"))
    assert cost(own, UsageParts(1000, 10, cached_input_tokens=500)) == 10_000_000 + 590_000
    assert cost(own, UsageParts(1000, 0, cache_write_tokens=1000)) == 11_000_000
    assert cost(own, UsageParts(1001, 10)) == 10_000_000 + 3_053_000
    assert cost(own, UsageParts(1000, 10), service_tier="priority") == 10_000_000 + 2_080_000
    assert own.service.keys() == {"priority"}


def test_a_price_that_says_there_are_no_tiers_has_none() -> None:
    own = Given(MILLIONTH, MILLIONTH, context=(), service=()).price(priced("claude-sonnet-4-5"))
    assert (own.tiers, own.service) == ((), {})


def test_a_multiple_that_is_exact_in_the_list_is_exact_of_a_persons_price() -> None:
    """1.5 to 2.5 is no decimal: the factor is none either."""
    base = priced("gpt-4o-mini")
    own = Given(base.input, base.output).price(base)
    usage = UsageParts(1_000_000, 1_000_000)
    assert cost(own, usage, service_tier="priority") == cost(base, usage, service_tier="priority")


def test_free_is_free_in_every_part() -> None:
    own = Given(free=True).price(priced("gpt-5"))
    assert bound_cost(own, 10**6, 10**6, service_tier="auto") == 0
    assert own.mode == "chat"


def test_price_of_a_model_is_made_once() -> None:
    one = Given(MILLIONTH, MILLIONTH)
    assert price_by(one, "gpt-5") is price_by(Given(MILLIONTH, MILLIONTH), "gpt-5")


def test_factors_are_at_least_1() -> None:
    assert min(given.SERVICE.values()) >= 1
    assert min(given.CACHE_WRITE, given.CACHE_WRITE_LONG) >= 1

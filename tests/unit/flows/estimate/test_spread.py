"""Cost at two levels: whatever comes, in the order and the distance that people may rely on."""

import math
from collections import Counter
from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.learned import Learned
from prefect_governor.blocks.prices.prices import Price
from prefect_governor.blocks.prices.tariffs import Rates, Tariff
from prefect_governor.flows.estimate.answers import AnswerLengths, answer_lengths
from prefect_governor.flows.estimate.history import History
from prefect_governor.flows.estimate.planned import Calls, PlannedCall
from prefect_governor.flows.estimate.spread import (
    Expected,
    Spread,
    bound_of,
    cost_of,
    spread,
    tokens_of,
)
from tests.unit.prices import flat, priced

PRICE = flat("1", "4").price()
TIERED = Price(
    Tariff(
        Rates(Decimal("0.000001"), Decimal("0.000004")),
        ((1000, Rates(Decimal("0.000002"), Decimal("0.000008"))),),
    )
)


def planned(tokens: int, answers: int = 0) -> PlannedCall:
    return PlannedCall(tokens, tokens * 2 + answers * 4000, answers)


CALLS = st.lists(st.builds(planned, st.integers(1, 50_000)), max_size=30).map(Counter)
LIMITS = st.integers(1, 8_000)
HISTORY = st.none() | st.builds(
    History,
    runs=st.integers(1, 20),
    calls=st.integers(1, 5_000),
    same=st.booleans(),
    output_mean=st.floats(1, 10_000),
    output_deviation=st.floats(0, 5_000),
    output_between=st.floats(0, 5_000),
    input_share=st.floats(0.05, 1),
    cached_share=st.floats(0, 1),
    seconds_mean=st.floats(0, 100),
    seconds_high=st.floats(0, 100),
)


def lengths(limit: int) -> AnswerLengths:
    return answer_lengths(None, limit=limit)


def history(**fields: float) -> History:
    base = {
        "runs": 1, "calls": 100, "same": True, "output_mean": 50.0, "output_deviation": 0.0,
        "output_between": 0.0, "input_share": 0.5, "cached_share": 0.0, "seconds_mean": 1.0,
        "seconds_high": 2.0,
    }  # fmt: skip
    return History(**{**base, **fields})  # type: ignore[arg-type]


@given(calls=CALLS, limit=LIMITS, past=HISTORY, price=st.sampled_from([PRICE, TIERED]))
def test_p95_is_never_below_p50_nor_twice_above_it(
    calls: Calls, limit: int, past: History | None, price: Price
) -> None:
    found = spread(calls, price, lengths(limit), history=past)
    assert 0 <= found.p50_usd <= found.p95_usd <= 2 * found.p50_usd + Decimal("1e-15")


@given(calls=CALLS, more=st.integers(1, 50_000), limit=LIMITS, past=HISTORY)
def test_one_more_item_never_costs_less(
    calls: Calls, more: int, limit: int, past: History | None
) -> None:
    # What a provider counts of the bounds' bytes is taken over all calls together.
    few = spread(calls, PRICE, lengths(limit), history=past)
    many = spread(calls + Counter([planned(more)]), PRICE, lengths(limit), history=past)
    assert many.p50_usd >= few.p50_usd - Decimal("1e-15")
    assert many.p95_usd >= few.p95_usd - Decimal("1e-15")


@given(
    calls=st.lists(st.builds(planned, st.integers(20, 50_000)), min_size=1).map(Counter),
    limit=LIMITS,
    ratio=st.floats(1, 1.5),
    data=st.data(),
)
def test_whatever_answers_come_a_forecast_that_is_not_wide_holds(
    calls: Calls, limit: int, ratio: float, data: st.DataObject
) -> None:
    known = lengths(limit)
    found = spread(calls, PRICE, known)
    output = data.draw(st.floats(known.least, known.most))
    bill = cost_of(calls, PRICE, Expected(ratio, output))
    if not found.wide:
        assert found.p95_usd >= bill - Decimal("1e-15")
        assert bill / 2 <= found.p50_usd + Decimal("1e-15")
        assert found.p50_usd <= bill * 2 + Decimal("1e-15")


def test_forecast_whose_answers_outweigh_its_input_says_that_it_is_a_guess() -> None:
    assert spread(Counter([planned(100)]), PRICE, lengths(1024)).wide
    assert not spread(Counter([planned(2000)]), PRICE, lengths(1024)).wide


@pytest.mark.parametrize("mean", [5.0, 60.0, 700.0, 1024.0])
def test_past_run_of_the_same_makes_the_widest_guess_narrow(mean: float) -> None:
    calls = Counter({planned(100): 40})
    found = spread(calls, PRICE, lengths(1024), history=history(output_mean=mean))
    bill = cost_of(calls, PRICE, Expected(1.0, mean))
    assert not found.wide
    assert found.p50_usd == pytest.approx(bill, rel=Decimal("0.001"))
    assert bill <= found.p95_usd <= bill * Decimal("1.4")


def test_runs_that_differ_from_each_other_widen_p95() -> None:
    calls = Counter({planned(100): 40})
    steady, unsteady = (
        spread(calls, PRICE, lengths(1024), history=history(output_between=between))
        for between in (0.0, 20.0)
    )
    assert unsteady.p50_usd == steady.p50_usd
    assert unsteady.p95_usd > steady.p95_usd


def test_past_runs_that_asked_otherwise_move_the_guess_and_do_not_narrow_it() -> None:
    calls = Counter({planned(100): 40})
    known = lengths(8000)
    none, short, long = (
        spread(calls, PRICE, known, history=each)
        for each in (None, history(same=False, output_mean=40.0),
                     history(same=False, output_mean=900.0))
    )  # fmt: skip
    assert short.p50_usd < none.p50_usd < long.p50_usd
    assert short.wide and long.wide


def test_schema_says_more_of_its_answers_than_other_questions_do() -> None:
    shaped = AnswerLengths(20, 600, 1024, shaped=True)
    for past in (None, history(same=False, output_mean=5.0)):
        found = spread(Counter([planned(100)]), PRICE, shaped, history=past)
        assert found.p50.output_tokens > 400


def test_provider_that_counts_more_is_learned_from() -> None:
    calls = Counter([planned(1000)])
    learned = Learned("m", calls=10, local_input_tokens=1000, billed_input_tokens=1510)
    found = spread(calls, PRICE, lengths(10), learned=learned)
    assert found.p50.ratio == pytest.approx(1.4)
    # An unknown tokenizer's own counts were never compared.
    other = spread(calls, PRICE, lengths(10), learned=learned, known_tokenizer=False)
    assert other.p50.ratio == 1.0


def test_input_that_the_cache_will_serve_is_cheaper_and_p95_does_not_count_on_it() -> None:
    price = priced("openai/gpt-4o-mini")
    cold, warm = (
        spread(Counter([planned(5000)]), price, lengths(10), history=history(cached_share=share))
        for share in (0.0, 0.5)
    )
    assert warm.p50_usd < cold.p50_usd
    assert warm.p95_usd == cold.p95_usd


def test_dearer_tier_counts_for_the_calls_that_reach_it_alone() -> None:
    low, high = (
        cost_of(Counter([planned(tokens)]), TIERED, Expected(1.0, 0.0)) for tokens in (1000, 1001)
    )
    assert low == Decimal("0.001")
    assert high == Decimal("0.002002")


def test_answers_about_parts_are_input_of_the_call_that_combines_them() -> None:
    calls = Counter([planned(100), planned(100), planned(30, answers=2)])
    found = tokens_of(calls, Expected(1.0, 50.0))
    assert (found.input, found.output) == (330, 150)


def test_most_is_every_bound_at_once() -> None:
    assert bound_of(Counter({planned(100): 2}), PRICE, output_tokens=10) == 2 * (
        200 * 1000 + 10 * 4000
    )


@given(calls=CALLS, output=st.integers(1, 5_000), price=st.sampled_from([PRICE, TIERED]))
def test_calls_that_are_alike_cost_what_each_costs(calls: Calls, output: int, price: Price) -> None:
    level = Expected(1.25, output)
    each = [Counter([call]) for call in calls.elements()]
    assert cost_of(calls, price, level) == sum(cost_of(one, price, level) for one in each)
    assert bound_of(calls, price, output_tokens=output) == sum(
        bound_of(one, price, output_tokens=output) for one in each
    )


def test_no_calls_cost_nothing() -> None:
    found = spread(Counter(), PRICE, lengths(100))
    assert isinstance(found, Spread)
    assert found.p50_usd == found.p95_usd == 0


# How long answers are


def test_free_text_is_as_long_as_people_are_answered_and_no_longer_than_it_may_be() -> None:
    assert answer_lengths(None, limit=1024).usual == 160
    assert answer_lengths(None, limit=100) == AnswerLengths(8, 50, 100)
    assert answer_lengths(None, limit=1) == AnswerLengths(1, 1, 1)


def test_answer_that_must_validate_is_as_long_as_its_schema() -> None:
    small = {"type": "object", "properties": {"ok": {"type": "boolean"}}, "required": ["ok"]}
    rows = {"type": "array", "minItems": 20, "items": small}
    for schema in (small, rows):
        found = answer_lengths(schema, limit=1024)
        assert found.least <= found.usual < 1024
    assert answer_lengths(small, limit=1024).usual < 20
    assert answer_lengths(rows, limit=1024).least > 100


def test_schema_that_holds_itself_ends() -> None:
    tree = {
        "$ref": "#/$defs/node",
        "$defs": {
            "node": {
                "type": "object",
                "properties": {"child": {"$ref": "#/$defs/node"}, "name": {"type": "string"}},
                "required": ["child"],
            }
        },
    }
    found = answer_lengths(tree, limit=500)
    assert 1 <= found.least <= found.usual <= 500


SCHEMAS = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text() | st.sampled_from(["object", "array"]),
    lambda inner: st.lists(inner, max_size=3)
    | st.dictionaries(
        st.sampled_from(["type", "properties", "items", "enum", "anyOf", "required", "minItems",
                         "$ref", "const"]),
        inner,
        max_size=4,
    ),
    max_leaves=12,
)  # fmt: skip


@given(schema=st.dictionaries(st.sampled_from(["type", "properties", "items"]), SCHEMAS),
       limit=LIMITS)  # fmt: skip
def test_no_schema_however_odd_breaks_an_estimate(schema: dict[str, object], limit: int) -> None:
    found = answer_lengths(schema, limit=limit)
    assert found.shaped
    assert 1 <= found.least <= found.usual <= found.most == limit
    assert not math.isnan(found.usual)

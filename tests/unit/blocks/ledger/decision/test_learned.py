"""What calls teach of a model: never shorter answers than they were, the same in any order."""

import math
import random
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.learned import EDGES, FEWEST_SAMPLES, Learned, edge_of
from prefect_governor.blocks.records.calls import Facts, Usage

MODEL = "openai/gpt-4o-mini"
tokens = st.integers(0, 200_000)
calls = st.lists(
    st.tuples(
        st.builds(
            Facts,
            model=st.just(MODEL),
            local_input_tokens=st.none() | st.integers(0, 100_000),
            output_limit=st.none() | st.just(64_000),
            cut=st.booleans(),
        ),
        st.builds(Usage, st.just(1), tokens, tokens),
    ),
    max_size=60,
)


def taught(observed: list[tuple[Facts, Usage]]) -> Learned:
    learned = Learned(MODEL)
    for facts, usage in observed:
        learned = learned.observe(facts, usage)
    return learned


def lengths(*outputs: int, cut: bool = False, base: Learned | None = None) -> Learned:
    learned = base or Learned(MODEL)
    for output in outputs:
        facts = Facts(MODEL, output_limit=64_000, cut=cut)
        learned = learned.observe(facts, Usage(1, 10, output))
    return learned


def test_buckets_are_at_most_twelve_percent_wide_and_leave_no_gap() -> None:
    assert EDGES[:4] == (0, 1, 2, 3)
    assert EDGES[-1] >= 2**53
    for low, high in pairwise(EDGES):
        assert low < high <= max(low + 1, low * 1.12)


@given(tokens)
def test_edge_is_never_below_the_length(length: int) -> None:
    assert length <= edge_of(length) <= max(length + 1, math.ceil(length * 1.12))


@given(calls, st.integers(0, 60), st.randoms())
def test_merging_what_two_have_seen_is_exact_and_the_order_does_not_matter(
    observed: list[tuple[Facts, Usage]], at: int, draw: random.Random
) -> None:
    apart = taught(observed[:at]).merged(taught(observed[at:]))
    assert apart == taught(observed)
    draw.shuffle(observed)
    assert taught(observed) == apart


@given(calls)
def test_ledger_reads_what_it_wrote(observed: list[tuple[Facts, Usage]]) -> None:
    learned = taught(observed)
    assert Learned.from_text(MODEL, learned.to_text()) == learned


@given(st.lists(st.integers(0, 50_000), min_size=20, max_size=200), st.floats(0.5, 1.0))
def test_quantile_is_exceeded_by_no_more_than_its_share(outputs: list[int], share: float) -> None:
    found = lengths(*outputs).output_quantile(share)
    assert found is not None
    assert sum(each > found for each in outputs) <= (1 - share) * len(outputs) + 1e-6
    # Nor is it longer than the rounding up of the one it stands for.
    rank = max(0, math.ceil(share * len(outputs) - 1e-6) - 1)
    assert found <= edge_of(sorted(outputs)[rank])


@given(
    st.lists(st.integers(1, 5_000), min_size=20, max_size=100),
    st.lists(st.integers(1, 5_000), max_size=100),
)
def test_answers_that_were_cut_never_make_answers_look_shorter(
    ended: list[int], cut: list[int]
) -> None:
    without = lengths(*ended).output_quantile()
    found = lengths(*cut, cut=True, base=lengths(*ended)).output_quantile()
    assert without is not None
    assert found is None or found >= without


def test_few_samples_say_nothing() -> None:
    assert lengths(*[97] * (FEWEST_SAMPLES - 1)).output_quantile() is None
    assert lengths(*[97] * FEWEST_SAMPLES).output_quantile() == edge_of(97)


def test_answers_that_were_all_cut_say_nothing_of_where_they_end() -> None:
    assert lengths(*[200] * 1000, cut=True).output_quantile() is None
    mostly = lengths(*[200] * 1000, cut=True, base=lengths(*[97] * 20))
    assert mostly.output_quantile() is None


def test_longer_answers_after_many_short_ones_move_the_quantile() -> None:
    short = lengths(*[97] * 1000)
    assert short.output_quantile() == edge_of(97)
    assert lengths(*[5000] * 30, base=short).output_quantile() == edge_of(5000)


def test_what_the_facts_leave_out_teaches_nothing() -> None:
    learned = Learned(MODEL)
    assert learned.observe(Facts(MODEL), Usage(1, 10, 10)) == learned
    assert learned.observe(Facts("another", 10, 10), Usage(1, 10, 10)) == learned
    assert learned.input_ratio() is None


def test_input_ratio_is_of_all_calls_and_its_highest_of_one() -> None:
    learned = taught(
        [
            (Facts(MODEL, local_input_tokens=100), Usage(1, 150, 1)),
            (Facts(MODEL, local_input_tokens=300), Usage(1, 300, 1)),
        ]
    )
    assert learned.input_ratio() == pytest.approx(450 / 400)
    assert learned.highest_ratio == 1.5
    assert learned.calls == 2

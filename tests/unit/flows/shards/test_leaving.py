"""A process of a run is gone once the ledger knew it and knows it no more, and no sooner."""

from prefect_governor.flows.shards.leaving import UNKNOWN_SECONDS, Leaving


def test_one_that_has_told_before_the_ledger_knows_it_is_there() -> None:
    leaving = Leaving()
    assert leaving.gone({"one"}, set(), 0.0) == set()
    assert leaving.gone({"one"}, {"one"}, 1.0) == set()
    assert leaving.gone({"one", "two"}, {"two"}, 2.0) == {"one"}


def test_one_that_never_comes_to_be_is_gone_after_a_while() -> None:
    leaving = Leaving()
    assert leaving.gone({"one"}, {"another"}, 5.0) == set()
    assert leaving.gone({"one"}, {"another"}, 4.9 + UNKNOWN_SECONDS) == set()
    assert leaving.gone({"one"}, {"another"}, 5.0 + UNKNOWN_SECONDS) == {"one"}

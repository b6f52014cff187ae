"""Limits: the smallest of slots, leases, holds and rates lets a call in, and a wait names it."""

from dataclasses import replace

import pytest

from prefect_governor.blocks.ledger.decision.admission import Admitted, Gate, Reservation, Wait
from prefect_governor.blocks.records.limits import Meter, Rate
from tests.unit.blocks.ledger.decision.book import BOUND, NOW, ask, book, gate


def wait_for(of: Gate) -> Wait | None:
    verdict = book([], [of]).decide(BOUND, [], [of])
    assert isinstance(verdict, Wait | Admitted)
    return verdict if isinstance(verdict, Wait) else None


@pytest.mark.parametrize(
    ("change", "bottleneck"),
    [
        ({"in_flight": 1}, None),
        ({"in_flight": 2}, "max_concurrent"),
        ({"in_flight": 1, "server_limit": 1}, "max_concurrent"),
        ({"in_flight": 1, "server_limit": 9}, None),
        ({"in_flight": 1, "leased": 1}, "prefect_limit"),
        ({"in_flight": 0, "leased": 0}, "prefect_limit"),
        ({"in_flight": 9, "max_concurrent": None}, None),
        ({"hold_until": NOW}, None),
        ({"hold_until": NOW + 1}, "throttled"),
    ],
)
def test_the_smallest_of_what_people_configured_and_what_is_leased_holds(
    change: dict[str, int], bottleneck: str | None
) -> None:
    verdict = wait_for(replace(gate(), **change))  # type: ignore[arg-type]
    assert (verdict and verdict.bottleneck) == bottleneck


def test_a_hold_ends_by_itself_and_a_taken_slot_does_not() -> None:
    held, full = (
        wait_for(replace(gate(), hold_until=NOW + 5)),
        wait_for(replace(gate(), in_flight=2)),
    )
    assert held is not None and held.until == NOW + 5
    assert full is not None and full.until is None


def test_of_several_waits_the_one_that_lasts_longest_is_told() -> None:
    soon, late = replace(gate("a"), hold_until=NOW + 5), replace(gate("b"), hold_until=NOW + 9)
    full = replace(gate("c"), in_flight=2)
    of = book([], [soon, late])
    verdict = ask(of)
    assert isinstance(verdict, Wait) and verdict.resource == "gate:b"
    verdict = ask(book([], [soon, full, late]))
    assert isinstance(verdict, Wait) and verdict.resource == "gate:c"


@pytest.mark.parametrize(
    ("meter", "amount", "goes"),
    [("requests", 1, 1), ("tokens", 99, 1), ("input_tokens", 60, 2), ("output_tokens", 60, 3)],
)
def test_each_rate_counts_its_own_meter(meter: Meter, amount: int, goes: int) -> None:
    of = book([], [gate("llm", None, Rate(meter, amount))])
    verdicts = [ask(of, call_id=str(number)) for number in range(4)]
    assert sum(isinstance(each, Reservation) for each in verdicts) == goes
    waiting = verdicts[-1]
    assert isinstance(waiting, Wait) and waiting.bottleneck == f"{meter}_per_minute"

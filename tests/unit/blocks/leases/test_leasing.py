"""Leases on Prefect's limits: never more than the cap, never given back from under a call."""

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.leases.leasing import (
    LEASE_SECONDS,
    LEASES_PER_CAP,
    MARGIN_SECONDS,
    plan,
    usable_until,
)
from prefect_governor.blocks.ledger.decision.store import Lease

SECOND = 10**9
NOW = 10**15


def lease(at: int, slots: int, *, left_seconds: float = 45) -> Lease:
    return Lease(f"lease-{at}", "limit", "server", slots, NOW + int(left_seconds * SECOND))


@given(
    cap=st.integers(1, 500),
    demand=st.integers(0, 1000),
    flying=st.integers(0, 500),
    held=st.lists(st.integers(1, 40), max_size=12),
)
def test_leases_stay_within_the_cap_and_under_what_is_in_flight(
    cap: int, demand: int, flying: int, held: list[int]
) -> None:
    leases = [lease(at, slots) for at, slots in enumerate(held)]
    total = sum(held)
    in_flight = min(flying, total)
    demand = max(demand, in_flight)
    todo = plan(cap=cap, demand=demand, in_flight=in_flight, leases=leases, now=NOW)
    kept = total - sum(each.slots for each in todo.release)
    after = kept + sum(todo.acquire)
    assert after <= max(cap, total)
    assert kept >= in_flight
    assert all(slots >= 1 for slots in todo.acquire)
    assert not (todo.acquire and after > cap)
    # What was given back from above the cap may be one slot too many until the next look.
    left = [each for each in leases if each not in todo.release]
    left += [lease(100 + at, slots) for at, slots in enumerate(todo.acquire)]
    again = plan(cap=cap, demand=demand, in_flight=in_flight, leases=left, now=NOW)
    assert after + sum(again.acquire) >= min(cap, demand)
    assert sum(again.acquire) <= max(0, cap - after)


def test_nothing_is_leased_before_anybody_asks_and_all_goes_back_when_nobody_does() -> None:
    assert plan(cap=40, demand=0, in_flight=0, leases=[], now=NOW).acquire == ()
    leases = [lease(at, 5) for at in range(4)]
    assert set(plan(cap=40, demand=0, in_flight=0, leases=leases, now=NOW).release) == set(leases)


def test_leases_are_small_so_that_a_few_idle_slots_can_go_back() -> None:
    todo = plan(cap=80, demand=80, in_flight=0, leases=[], now=NOW)
    assert len(todo.acquire) == LEASES_PER_CAP
    assert sum(todo.acquire) == 80


def test_cap_that_was_lowered_takes_back_what_is_free_and_no_more() -> None:
    leases = [lease(at, 5) for at in range(8)]
    todo = plan(cap=10, demand=60, in_flight=22, leases=leases, now=NOW)
    assert sum(each.slots for each in todo.release) == 15
    assert todo.acquire == ()


def test_a_call_that_comes_next_need_not_wait_for_the_server() -> None:
    todo = plan(cap=100, demand=30, in_flight=30, leases=[lease(1, 30)], now=NOW)
    assert sum(todo.acquire) >= 10


def test_renewed_with_two_thirds_of_its_life_left_and_not_at_every_look() -> None:
    fresh, old = lease(1, 5, left_seconds=45), lease(2, 5, left_seconds=29)
    todo = plan(cap=10, demand=10, in_flight=10, leases=[fresh, old], now=NOW)
    assert todo.renew == (old,)


def test_given_back_is_not_renewed() -> None:
    old = lease(1, 5, left_seconds=5)
    todo = plan(cap=10, demand=0, in_flight=0, leases=[old], now=NOW)
    assert todo.release == (old,)
    assert todo.renew == ()


def test_not_used_in_the_last_seconds_before_the_server_takes_it_back() -> None:
    assert usable_until(NOW) == NOW + (LEASE_SECONDS - MARGIN_SECONDS) * SECOND

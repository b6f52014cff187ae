"""A book small enough to be read: a purse or two, a limit or two, and one call."""

from dataclasses import replace

from prefect_governor.blocks.ledger.decision.admission import Book, Gate, Purse, Reservation
from prefect_governor.blocks.limits.rates import RateMeter
from prefect_governor.blocks.records.calls import Bound, Demand
from prefect_governor.blocks.records.limits import Rate

NOW = 10**15
BOUND = Bound(100, 30, 20)


def purse(name: str = "team", ceiling: int | None = 1000, **figures: int) -> Purse:
    made = Purse(name, "total", name, ceiling_nano=ceiling)
    return replace(made, **figures)  # type: ignore[arg-type]


def gate(key: str = "llm", cap: int | None = 2, *rates: Rate) -> Gate:
    return Gate(key, key, max_concurrent=cap, meters=[RateMeter(rate) for rate in rates])


def book(purses: list[Purse], gates: list[Gate]) -> Book:
    return Book(NOW, {each.key: each for each in purses}, {each.key: each for each in gates})


def ask(of: Book, bound: Bound = BOUND, call_id: str = "call") -> object:
    demand = Demand(call_id, (), (), bound)
    return of.admit(demand, list(of.purses.values()), list(of.gates.values()))


def admitted(of: Book, bound: Bound = BOUND, call_id: str = "call") -> Reservation:
    reservation = ask(of, bound, call_id)
    assert isinstance(reservation, Reservation), reservation
    return reservation

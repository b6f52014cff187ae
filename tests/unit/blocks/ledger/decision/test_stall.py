"""Which waits can never end: all that are stalled are found, and nobody who may go on is."""

from collections.abc import Hashable

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.stall import Waiting, stalled

ONE = {"gate:llm": 1}


def test_who_asks_for_what_he_holds_waits_for_himself() -> None:
    waits = {"a": Waiting(ONE)}
    assert stalled(waits, {}, [("a", ONE)], ONE) == {"a"}
    assert stalled(waits, {}, [("a", ONE)], {"gate:llm": 2}) == set()


def test_two_that_hold_what_the_other_asks_for_wait_for_ever() -> None:
    x, y = {"x": 1}, {"y": 1}
    waits = {"a": Waiting(y), "b": Waiting(x), "c": Waiting(x)}
    holds = [("a", x), ("b", y)]
    assert stalled(waits, {}, holds, {"x": 1, "y": 1}) == {"a", "b", "c"}
    # One more of either, and they go on one after the other.
    assert stalled(waits, {}, holds, {"x": 1, "y": 2}) == set()


def test_who_blocks_the_loop_of_whoever_holds_what_he_asks_for() -> None:
    waits = {"blocker": Waiting(ONE)}
    assert stalled(waits, {"holder": "blocker"}, [("holder", ONE)], ONE) == {"blocker", "holder"}
    assert stalled(waits, {}, [("holder", ONE)], ONE) == set()


def test_who_waits_for_work_that_asks_for_what_those_hold_whose_loop_he_blocks() -> None:
    waits = {"blocker": Waiting(after=("child",)), "child": Waiting(ONE)}
    held_up_by = {"holder": "blocker"}
    assert stalled(waits, held_up_by, [("holder", ONE)], ONE) == {"blocker", "child", "holder"}


def test_what_others_hold_or_nobody_has_is_no_reason_to_wait_for_ever() -> None:
    """A limit that is set to 0 by hand, a budget that is empty: they are raised again."""
    assert stalled({"a": Waiting(ONE)}, {}, [("a", ONE)], {"gate:llm": 0}) == set()
    assert stalled({"a": Waiting(ONE)}, {}, [], ONE) == set()
    assert stalled({"a": Waiting(ONE)}, {}, [("a", ONE)], {}) == set()


NAMES = st.sampled_from("abcdef")
RESOURCES = st.sampled_from(["x", "y", "z"])
AMOUNTS = st.dictionaries(RESOURCES, st.integers(1, 3), max_size=2)
WAITING = st.builds(Waiting, AMOUNTS, st.lists(NAMES, max_size=2).map(lambda found: tuple(found)))


@given(
    waits=st.dictionaries(NAMES, WAITING, max_size=6),
    held_up_by=st.dictionaries(NAMES, NAMES, max_size=3),
    holds=st.lists(st.tuples(NAMES, AMOUNTS), max_size=6),
    capacity=st.dictionaries(RESOURCES, st.integers(0, 6), max_size=3),
)
def test_nobody_who_may_go_on_is_found_and_nobody_else_is_left_out(
    waits: dict[Hashable, Waiting],
    held_up_by: dict[Hashable, Hashable],
    holds: list[tuple[Hashable, dict[str, int]]],
    capacity: dict[str, int],
) -> None:
    """Against a run of the whole: whoever may go on does and gives back what it holds, until nobody
    may any more."""
    found = stalled(waits, held_up_by, holds, capacity)
    left = {*waits, *held_up_by}
    while True:
        taken: dict[str, int] = dict.fromkeys(capacity, 0)
        for who, amounts in holds:
            if who in left:
                for resource, amount in amounts.items():
                    taken[resource] = taken.get(resource, 0) + amount

        def may(who: Hashable, taken: dict[str, int] = taken) -> bool:
            waiting = waits.get(who, Waiting())
            short = [
                resource
                for resource, amount in waiting.needs.items()
                if resource in capacity
                and capacity[resource] - taken[resource] < amount <= capacity[resource]
            ]
            return (
                not short
                and not any(other in left for other in waiting.after)
                and held_up_by.get(who) not in left
            )

        goes = next((who for who in sorted(left, key=str) if may(who)), None)
        if goes is None:
            break
        left.discard(goes)
    assert found == left

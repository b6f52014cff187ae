"""First come, first served in a lane; a lane that needs other things is not held up."""

from concurrent.futures import Future

from hypothesis import given
from hypothesis import strategies as st

from prefect_governor.blocks.ledger.decision.queue import Queue, Waiter
from prefect_governor.blocks.records.calls import Bound, Demand

LANES = [(("team",), ("llm",)), (("team",), ("llm", "gpu")), (("team",), ()), ((), ("gpu",))]


def waiter(call_id: str, lane: int = 0, since: int = 1) -> Waiter:
    accounts, limits = LANES[lane]
    return Waiter(Demand(call_id, accounts, limits, Bound(1, 1, 1)), Future(), since)


def ids(waiters: list[Waiter]) -> list[str]:
    return [each.demand.call_id for each in waiters]


def test_heads_are_the_first_of_each_lane_the_one_that_waited_longest_first() -> None:
    queue = Queue()
    for call_id, lane, since in [("a", 0, 5), ("b", 0, 6), ("c", 1, 3), ("d", 2, 4), ("e", 1, 9)]:
        queue.add(waiter(call_id, lane, since))
    assert ids(queue.heads()) == ["c", "d", "a"]


def test_a_place_is_counted_in_the_lane_and_moves_up() -> None:
    queue = Queue()
    for call_id in "abc":
        queue.add(waiter(call_id))
    queue.add(waiter("other", lane=1))
    assert [queue.place(each) for each in ("a", "c", "other", "unknown")] == [1, 3, 1, None]
    queue.remove("a")
    assert queue.place("c") == 2


def test_waiters_are_counted_under_every_limit_they_need() -> None:
    queue = Queue()
    for number, lane in enumerate([0, 0, 1, 2, 3]):
        queue.add(waiter(str(number), lane))
    assert queue.by_limit() == {"llm": 3, "gpu": 2}


def test_what_is_not_there_is_not_removed() -> None:
    queue = Queue()
    assert queue.remove("a") is None
    assert (len(queue), queue.heads(), queue.by_limit()) == (0, [], {})


@given(
    st.lists(st.tuples(st.sampled_from(["add", "remove", "serve"]), st.integers(0, 3)), max_size=60)
)
def test_no_one_is_lost_and_lanes_keep_their_order(moves: list[tuple[str, int]]) -> None:
    queue, model = Queue(), list[tuple[int, str]]()
    for number, (move, lane) in enumerate(moves):
        mine = [call_id for at, call_id in model if at == lane]
        if move == "add":
            queue.add(waiter(str(number), lane, number))
            model.append((lane, str(number)))
        elif mine:
            # The last leaves by itself, the first is served.
            gone = mine[-1] if move == "remove" else mine[0]
            removed = queue.remove(gone)
            assert removed is not None and removed.demand.call_id == gone
            model.remove((lane, gone))
        assert len(queue) == len(model)
        assert sorted(ids(list(queue.waiters()))) == sorted(call_id for _, call_id in model)
        first = {at: call_id for at, call_id in reversed(model)}
        assert ids(queue.heads()) == sorted(first.values(), key=int)

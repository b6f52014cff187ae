"""What may start when, on a virtual clock: every plan, every order of ending."""

import heapq
from collections.abc import Iterable, Mapping
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from prefect_governor.flows.deep_research.plan.plan import PlanTask, critical_path
from prefect_governor.flows.deep_research.plan.scheduler import Schedule


def task(task_id: str, *depends_on: str, **more: Any) -> PlanTask:
    return PlanTask(id=task_id, objective=f"find {task_id}", depends_on=depends_on, **more)


class Clockwork:
    """Runs a plan as fast as its schedule lets it, at most `cap` at once."""

    def __init__(
        self,
        tasks: Iterable[PlanTask],
        seconds: Mapping[str, float],
        *,
        cap: int | None = None,
        failing: Iterable[str] = (),
    ) -> None:
        self.schedule = Schedule.of(tasks)
        self.seconds, self.cap, self.failing = seconds, cap, set(failing)
        self.began: dict[str, float] = {}
        self.ended: dict[str, float] = {}
        self.now = 0.0

    def run(self) -> "Clockwork":
        under_way: list[tuple[float, str]] = []
        while True:
            for task_id in self.schedule.ready():
                if self.cap is not None and len(under_way) >= self.cap:
                    break
                self.schedule.start(task_id)
                self.began[task_id] = self.now
                heapq.heappush(under_way, (self.now + self.seconds[task_id], task_id))
            if not under_way:
                return self
            self.now, task_id = heapq.heappop(under_way)
            self.ended[task_id] = self.now
            self.schedule.finish(task_id, "failed" if task_id in self.failing else "succeeded")

    def states(self) -> dict[str, str]:
        return {task_id: each.state for task_id, each in self.schedule.ended.items()}


DIAMOND = [task("a"), task("b", "a"), task("c", "a"), task("d", "b", "c")]


def test_a_diamond_runs_its_sides_together() -> None:
    run = Clockwork(DIAMOND, {"a": 1, "b": 5, "c": 2, "d": 1}).run()
    assert run.began == {"a": 0, "b": 1, "c": 1, "d": 6}


def test_there_are_no_waves() -> None:
    tasks = [task("slow"), task("quick"), task("next", "quick"), task("last", "slow")]
    run = Clockwork(tasks, {"slow": 10, "quick": 1, "next": 1, "last": 1}).run()
    assert run.began["next"] == 1


def test_two_writers_of_one_key_take_turns_and_others_do_not_wait() -> None:
    tasks = [task("a", writes=("x",)), task("b", writes=("x",)), task("c", writes=("y",))]
    run = Clockwork(tasks, {"a": 3, "b": 2, "c": 1}).run()
    assert run.began == {"a": 0, "c": 0, "b": 3}


def test_a_failing_branch_skips_what_depends_on_it_by_name_and_nothing_else() -> None:
    tasks = [task("a"), task("b", "a"), task("c", "b"), task("d"), task("e", "c", "d")]
    run = Clockwork(tasks, {each.id: 1.0 for each in tasks}, failing=["a"]).run()
    ended = run.schedule.ended
    assert run.states() == {
        "a": "failed", "b": "skipped", "c": "skipped", "d": "succeeded", "e": "skipped",
    }  # fmt: skip
    assert ended["b"].reason == "it depends on 'a', which failed"
    assert ended["c"].reason == "it depends on 'b', which was skipped"


def test_a_dependency_that_may_be_partial_is_waited_for_and_done_without() -> None:
    tasks = [task("a"), task("b"), task("c", "a", "b", allow_partial=("a",))]
    run = Clockwork(tasks, {"a": 1, "b": 3, "c": 1}, failing=["a"]).run()
    assert run.states()["c"] == "succeeded" and run.began["c"] == 3
    assert run.schedule.inputs("c") == ("b",)


def test_tasks_are_added_while_others_run() -> None:
    schedule = Schedule.of([task("a")])
    schedule.start("a")
    schedule.add([task("b", "a"), task("c")])
    assert schedule.ready() == ["c"]
    schedule.finish("a", "succeeded")
    schedule.add([task("d", "a")])
    assert schedule.ready() == ["b", "c", "d"]
    schedule.start("b")
    schedule.finish("b", "failed")
    schedule.add([task("e", "b")])
    assert schedule.ended["e"].state == "skipped"


def test_what_was_cancelled_never_starts_and_what_runs_cannot_be() -> None:
    schedule = Schedule.of(DIAMOND)
    schedule.start("a")
    with pytest.raises(ValueError, match="has started"):
        schedule.cancel("a", "no longer wanted")
    assert schedule.cancel("b", "no longer wanted") == ["d"]
    schedule.finish("a", "succeeded")
    assert schedule.ready() == ["c"]


def test_a_stop_ends_what_has_not_started_and_lets_the_rest_finish() -> None:
    schedule = Schedule.of(DIAMOND)
    schedule.start("a")
    schedule.stop("stopped by hand")
    assert not schedule.over
    schedule.finish("a", "succeeded")
    assert schedule.over and schedule.ready() == []
    assert schedule.ended["d"].state == "not_started"


@pytest.mark.parametrize("wrong", ["b", "d"])
def test_nothing_starts_before_its_turn(wrong: str) -> None:
    with pytest.raises(ValueError, match="may not start"):
        Schedule.of(DIAMOND).start(wrong)


@st.composite
def plans(draw: st.DrawFn, *, writing: bool = True) -> tuple[list[PlanTask], dict[str, float]]:
    """Up to 200 tasks with random dependencies, in any order of the plan."""
    size = draw(st.integers(1, 200))
    random = draw(st.randoms(use_true_random=False))
    names = [f"t{at}" for at in range(size)]
    tasks = []
    for at, name in enumerate(names):
        needs = random.sample(names[:at], min(at, random.choice([0, 0, 1, 1, 2, 5])))
        writes = [f"k{random.randrange(6)}"] if writing and random.random() < 0.2 else []
        tasks.append(task(name, *needs, writes=tuple(writes)))
    random.shuffle(tasks)
    return tasks, {name: random.choice([0.5, 1.0, 2.0, 7.0]) for name in names}


@settings(deadline=None, max_examples=60)
@given(plan=plans(), cap=st.one_of(st.none(), st.integers(1, 20)), seed=st.integers(0, 999))
def test_no_task_before_its_dependencies_no_two_writers_together_every_outcome_right(
    plan: tuple[list[PlanTask], dict[str, float]], cap: int | None, seed: int
) -> None:
    tasks, seconds = plan
    failing = {each.id for at, each in enumerate(tasks) if (at * 7919 + seed) % 13 == 0}
    run = Clockwork(tasks, seconds, cap=cap, failing=failing).run()
    assert run.schedule.over
    states = run.states()
    spans: dict[str, list[tuple[float, float]]] = {}
    for each in tasks:
        lost = [need for need in each.depends_on if states[need] != "succeeded"]
        if lost:
            assert states[each.id] == "skipped" and each.id not in run.began
            continue
        assert states[each.id] == ("failed" if each.id in failing else "succeeded")
        assert all(run.ended[need] <= run.began[each.id] for need in each.depends_on)
        for key in each.writes:
            spans.setdefault(key, []).append((run.began[each.id], run.ended[each.id]))
    for turns in spans.values():
        turns.sort()
        assert all(one[1] <= other[0] for one, other in pairwise(turns))
    if cap is not None:
        moments = sorted(run.began.values())
        for moment in moments:
            assert sum(run.began[t] <= moment < run.ended[t] for t in run.began) <= cap


@settings(deadline=None, max_examples=60)
@given(plan=plans(writing=False), cap=st.integers(1, 20))
def test_the_makespan_is_the_critical_path_and_within_grahams_bound_at_a_cap(
    plan: tuple[list[PlanTask], dict[str, float]], cap: int
) -> None:
    tasks, seconds = plan
    longest = critical_path(tasks, seconds)
    assert Clockwork(tasks, seconds).run().now == pytest.approx(longest)
    # R. L. Graham, "Bounds on Multiprocessing Timing Anomalies", 1969: any list schedule.
    bound = sum(seconds.values()) / cap + (1 - 1 / cap) * longest
    assert Clockwork(tasks, seconds, cap=cap).run().now <= bound + 1e-9


@pytest.mark.parametrize(
    ("more", "why"),
    [
        ([task("b", "nobody")], "nothing has the id 'nobody'"),
        ([task("b", "c"), task("c", "b")], "b -> c -> b"),
        ([task("b", "b")], "b -> b"),
        ([task("a")], "an id stands twice"),
        ([task("b"), task("b")], "an id stands twice"),
    ],
)
def test_tasks_that_could_never_all_end_are_refused_and_nothing_is_added(
    more: list[PlanTask], why: str
) -> None:
    schedule = Schedule.of([task("a")])
    with pytest.raises(ValueError, match=why):
        schedule.add(more)
    assert [each.id for each in schedule.tasks] == ["a"] and schedule.ready() == ["a"]

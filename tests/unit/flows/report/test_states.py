"""From states, futures, exceptions and values to outcomes; no server."""

import asyncio
import concurrent.futures
from types import MappingProxyType, SimpleNamespace
from typing import Any
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from prefect.client.schemas.objects import State, StateDetails, StateType
from prefect.exceptions import UpstreamTaskError
from prefect.futures import PrefectConcurrentFuture
from prefect.states import (
    AwaitingRetry,
    Cancelled,
    Completed,
    Crashed,
    Failed,
    Paused,
    Pending,
    Running,
    Scheduled,
)

from prefect_governor.blocks.errors import ConfigurationError, ItemFailed, OverBudget, RunStopped
from prefect_governor.flows.report.keys import item_keys
from prefect_governor.flows.report.model import Report
from prefect_governor.flows.report.publish import UNGOVERNED, make_report, publish_report
from prefect_governor.flows.report.states import (
    NOT_KEPT,
    flatten,
    name_upstream,
    named_leaves,
    read_endings,
)

RUN = UUID("0199f2b4-7c1e-7e2f-9b1d-0123456789ab")


def wrapped(cause: BaseException) -> Exception:
    error = RuntimeError("Connection error.")
    error.__cause__ = cause
    return error


UPSTREAM = f"Upstream task run '{RUN}' did not reach a 'COMPLETED' state."

DEPENDS = "something it depends on did not succeed"

TABLE: list[tuple[Any, str, str | None]] = [
    (Completed(data={"a": 1}), "succeeded", None),
    (Completed(), "succeeded", None),
    (Completed(state_details=StateDetails(task_run_id=RUN)), "succeeded", NOT_KEPT),
    ({"a": 1}, "succeeded", None),
    (None, "succeeded", None),
    (Failed(data=ValueError("boom")), "failed", "ValueError: boom"),
    (Failed(data=OverBudget("no money")), "over_budget", "no money"),
    (Failed(data=wrapped(OverBudget("no money"))), "over_budget", "no money"),
    (Failed(data=RunStopped("stopped")), "not_started", "stopped"),
    (Failed(data=wrapped(ItemFailed("not text"))), "failed", "not text"),
    (Failed(message="Task run encountered an exception OverBudget: no"), "over_budget", "no"),
    (Failed(message="told nobody"), "failed", "told nobody"),
    (Failed(data={"not": "an exception"}, message="odd"), "failed", "odd"),
    (Failed(), "failed", "its state is Failed, without a reason"),
    (Crashed(data=MemoryError()), "failed", "crashed: MemoryError"),
    (Crashed(data=wrapped(OverBudget("no money"))), "over_budget", "no money"),
    (Crashed(message="Execution was aborted"), "failed", "Execution was aborted"),
    (Cancelled(), "not_started", "cancelled before it finished"),
    (Pending(name="NotReady", message=UPSTREAM), "skipped", DEPENDS),
    (UpstreamTaskError(UPSTREAM), "skipped", DEPENDS),
    (Pending(), "not_started", "it never started: its state is Pending"),
    (Scheduled(), "not_started", "it never started: its state is Scheduled"),
    (AwaitingRetry(), "not_started", "it never started: its state is AwaitingRetry"),
    (Running(), "failed", "it had not finished when the report was made: Running"),
    (Paused(timeout_seconds=1), "failed", "it had not finished when the report was made: Paused"),
    (OverBudget("no money"), "over_budget", "no money"),
    (asyncio.CancelledError(), "not_started", "cancelled before it finished"),
    (concurrent.futures.CancelledError(), "not_started", "cancelled before it finished"),
    (KeyError("a"), "failed", "KeyError: 'a'"),
    (Completed(data=[[Failed(data=ValueError("x"))], [Completed(data=1)]]), "failed",
     "1 of 2 inside it: ValueError: x"),
]  # fmt: skip


@pytest.mark.parametrize(("leaf", "state", "reason"), TABLE, ids=lambda v: str(v)[:40])
async def test_every_way_to_end_has_one_outcome_and_a_reason(
    leaf: Any, state: str, reason: str | None
) -> None:
    (ending,) = await read_endings([leaf])
    assert (ending.state, ending.reason) == (state, reason)


LEAVES = st.one_of(st.integers(), st.text(), st.dictionaries(st.text(), st.integers()))
NESTED = st.recursive(LEAVES, lambda inner: st.lists(inner) | st.tuples(inner, inner))


@given(NESTED)
def test_nested_lists_keep_their_order(values: Any) -> None:
    def walk(value: Any) -> list[Any]:
        if isinstance(value, list | tuple):
            return [leaf for each in value for leaf in walk(each)]
        return [value]

    assert list(flatten(values)) == walk(values)
    assert list(flatten(iter([values]))) == walk(values)


@pytest.mark.parametrize("kept_in", ["list", "dict", "nested", "mapping", "set"])
async def test_states_futures_and_exceptions_are_read_out_of_whatever_holds_them(
    kept_in: str,
) -> None:
    inner: concurrent.futures.Future[State[Any]] = concurrent.futures.Future()
    inner.set_result(Failed(data=ValueError("x")))
    future: PrefectConcurrentFuture[Any] = PrefectConcurrentFuture(uuid4(), inner)
    good: State[str] = Completed(data="good")
    bad = TimeoutError("slow")
    held: Any = {
        "list": [good, future, bad],
        "dict": {"a": good, "b": future, "c": bad},
        "nested": [{"a": good, "b": [{"c": (future,)}, {"d": {bad}}]}],
        "mapping": MappingProxyType({"a": good, "b": future, "c": bad}),
        "set": {future, bad},
    }[kept_in]
    endings = await read_endings(held)
    wanted = [("succeeded", "good"), ("failed", "ValueError: x"), ("failed", "timed out: slow")]
    found = [(each.state, each.result or each.reason) for each in endings]
    assert sorted(found) == sorted(wanted[kept_in == "set" :])


async def test_states_inside_a_completed_ones_dictionary_are_looked_at_too() -> None:
    (ending,) = await read_endings(
        [Completed(data={"a": Completed(data=1), "b": [Failed(data=ValueError("x"))]})]
    )
    assert (ending.state, ending.reason) == ("failed", "1 of 2 inside it: ValueError: x")


def test_what_was_submitted_first_comes_first_out_of_a_set() -> None:
    states: list[State[int]] = [Completed(data=at) for at in range(20)]
    for at, state in enumerate(states):
        state.state_details.task_run_id = UUID(int=at)
    assert list(flatten(set(states))) == states


def test_a_mapping_and_a_set_of_values_are_values_even_such_as_hold_themselves() -> None:
    looped: dict[str, Any] = {"a": [1, {"b": {2}}]}
    looped["self"] = looped
    values: list[Any] = [looped, {1, 2}, frozenset(), {}]
    assert list(flatten(values)) == values
    assert list(flatten({"a": 1})) == [{"a": 1}]


def test_leaves_are_named_by_the_outermost_mapping() -> None:
    state: State[int] = Completed(data=1)
    named = list(named_leaves({"a.md": state, "b.md": [{"c": state}, 7], 3: "text"}))
    assert [name for name, _ in named] == ["a.md", "b.md", "b.md", "3"]
    assert list(named_leaves([{"a": state}])) == [(None, state)]


async def test_futures_that_finish_out_of_order_are_reported_in_order() -> None:
    inner: list[concurrent.futures.Future[State[Any]]] = [
        concurrent.futures.Future() for _ in "123"
    ]
    futures = [PrefectConcurrentFuture(uuid4(), each) for each in inner]
    reading = asyncio.create_task(read_endings([futures[:1], [futures[1:]]]))
    await asyncio.sleep(0)
    inner[2].set_result(Completed(data="third"))
    inner[1].set_exception(RuntimeError("the runner died"))
    assert not reading.done()
    inner[0].set_result(Completed(data="first"))
    endings = await reading
    assert [(each.state, each.result or each.reason) for each in endings] == [
        ("succeeded", "first"),
        ("failed", "RuntimeError: the runner died"),
        ("succeeded", "third"),
    ]
    assert [each.task_run_id for each in endings] == [str(each.task_run_id) for each in futures]


async def test_a_cancelled_future_is_not_started_and_does_not_cancel_the_report() -> None:
    inner: concurrent.futures.Future[State[Any]] = concurrent.futures.Future()
    inner.cancel()
    inner.set_running_or_notify_cancel()
    (ending,) = await read_endings([PrefectConcurrentFuture(uuid4(), inner)])
    assert ending.state == "not_started"


async def test_a_skipped_item_names_what_it_depends_on() -> None:
    endings = await read_endings([Pending(name="NotReady", message=UPSTREAM)])
    (named,) = name_upstream(endings, {str(RUN): "fetch-0001"})
    assert named.reason == "it depends on fetch-0001, which did not succeed"
    (unknown,) = name_upstream(endings, {})
    assert str(RUN) in str(unknown.reason)


def test_keys_that_do_not_fit_are_said_and_lose_no_paid_work() -> None:
    keys, notes = item_keys(2, ["a"])
    assert keys == ["item-0001", "item-0002"]
    assert notes == ["1 keys were given for 2 items, so the keys are made up"]
    keys, notes = item_keys(4, ["a", "a", "a (2)", "a"])
    assert keys == ["a", "a (3)", "a (2)", "a (4)"]
    assert notes == ["some keys were given twice and are numbered"]


@given(st.lists(st.sampled_from(["a", "a (2)", "a (3)", "b"])))
def test_every_key_stands_once(given_keys: list[str]) -> None:
    keys, _ = item_keys(len(given_keys), given_keys)
    assert len(set(keys)) == len(given_keys)


def report_in(state: "State[Any]") -> Report:
    assert isinstance(state.data, Report)
    return state.data


def test_without_a_flow_run_the_state_is_all() -> None:
    state = publish_report([Completed(data=1), Failed(data=ValueError("x"))], keys=["a", "b"])
    assert (state.type, state.name) == (StateType.COMPLETED, "Partial")
    assert [(i.key, i.state, i.result, i.attempts) for i in report_in(state).items] == [
        ("a", "succeeded", 1, 1),
        ("b", "failed", None, 1),
    ]
    assert report_in(state).notes == [UNGOVERNED]
    assert "\n" not in str(state.message)


def test_a_wrong_min_success_is_told_before_anything_is_waited_for() -> None:
    never = PrefectConcurrentFuture[Any](uuid4(), concurrent.futures.Future())
    with pytest.raises(ConfigurationError):
        publish_report([never], min_success=90)


def test_a_run_over_nothing_is_complete() -> None:
    state = publish_report([])
    assert state.type is StateType.COMPLETED and state.name == "Completed"
    assert report_in(state).outcome == "complete"


def test_the_ledger_s_figures_stand_in_the_report() -> None:
    figures = SimpleNamespace(
        items={},
        budget=SimpleNamespace(
            ceiling_usd=None, spent_usd=0, unconfirmed_usd=0, reserved_usd=0, name="t", window="day"
        ),
        limits=SimpleNamespace(bottleneck="money", cap=3, max_in_flight=2, throttled=1),
        notes=["enforcement is off"],
    )
    report = make_report([], run_id="r", figures=figures, notes=["more"])
    assert (report.budget.name, report.limits.bottleneck, report.limits.throttled) == (
        "t",
        "money",
        1,
    )
    assert report.notes == ["enforcement is off", "more"]

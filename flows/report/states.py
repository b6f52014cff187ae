"""From whatever a `.map(...)` gave to one flat, ordered list of what became of each element.

Lists, mappings and sets nested to any depth hold Prefect states, futures, exceptions or plain
values, in the order in which they were submitted; that order is the report's.
"""

import asyncio
import concurrent.futures
from collections.abc import Iterator, Mapping, Sequence, Set
from dataclasses import dataclass, replace
from typing import Any

from prefect.client.schemas.objects import State, StateType
from prefect.exceptions import UpstreamTaskError
from prefect.futures import PrefectFuture
from prefect.states import aget_state_exception

from prefect_governor.blocks.errors import OverBudget, RunStopped
from prefect_governor.blocks.prefect_internals.states import (
    is_not_ready,
    kept_result,
    named_error,
    upstream_of,
)
from prefect_governor.flows.report.model import ItemState
from prefect_governor.flows.report.reasons import leading, one_line, reason_of, redact

NOT_KEPT = "the result was not kept: set persist_result=True on the task to have it here"

_NAMED: dict[str, ItemState] = {
    "OverBudget": "over_budget",
    "RunStopped": "not_started",
    "UpstreamTaskError": "skipped",
}


_RUNS = (State, PrefectFuture, BaseException)


@dataclass(frozen=True, slots=True)
class Ending:
    """What became of one element. `upstream` is the task run it depended on, for `skipped`."""

    state: ItemState
    reason: str | None = None
    result: Any = None
    task_run_id: str | None = None
    upstream: str | None = None
    started: bool = True


def flatten(values: Any) -> Iterator[Any]:
    """The leaves of nested lists, tuples and iterators, in order; and those of mappings and sets
    that hold states, futures or exceptions, however deep. Of a mapping its values count, of a set
    (which has no order) the first submitted comes first. A mapping or a set that holds none of
    these is a value, as a string is."""
    for _, leaf in named_leaves(values):
        yield leaf


def named_leaves(values: Any) -> Iterator[tuple[str | None, Any]]:
    """`flatten`, each leaf with the key that the outermost mapping has it under; None where that is
    no mapping."""
    if isinstance(values, Mapping) and _holds_runs(values):
        for key, each in values.items():
            for leaf in _leaves(each):
                yield str(key), leaf
    else:
        for leaf in _leaves(values):
            yield None, leaf


def _leaves(values: Any) -> Iterator[Any]:
    if isinstance(values, list | tuple) or (
        hasattr(values, "__next__") and not isinstance(values, _RUNS)
    ):
        for each in values:
            yield from _leaves(each)
    elif isinstance(values, Mapping) and _holds_runs(values):
        for each in values.values():
            yield from _leaves(each)
    elif isinstance(values, Set) and _holds_runs(values):
        for each in sorted(values, key=_submitted):
            yield from _leaves(each)
    else:
        yield values


def _holds_runs(values: Any) -> bool:
    """Whether states, futures or exceptions are among these, or in what is among these."""
    seen: set[int] = set()
    left = [values]
    while left:
        each = left.pop()
        if isinstance(each, _RUNS):
            return True
        if isinstance(each, Mapping | Set | list | tuple) and id(each) not in seen:
            # What holds itself is looked at once.
            seen.add(id(each))
            left.extend(each.values() if isinstance(each, Mapping) else each)
    return False


def _submitted(leaf: Any) -> tuple[str, str]:
    """Places a member of a set: the ids of task runs ascend in the order of their submission."""
    run_id = getattr(leaf, "task_run_id", None)
    if isinstance(leaf, State):
        run_id = leaf.state_details.task_run_id
    return str(run_id or ""), repr(leaf)


async def read_endings(values: Any) -> list[Ending]:
    """What became of every leaf of `values`, in order; futures are waited for without blocking
    the loop. Raises nothing for what a leaf holds."""
    return [await _ending(leaf) for leaf in flatten(values)]


async def _ending(leaf: Any) -> Ending:
    if isinstance(leaf, PrefectFuture):
        return await _of_future(leaf)
    if isinstance(leaf, State):
        return await _of_state(leaf)
    if isinstance(leaf, BaseException):
        return _of_error(leaf)
    return Ending("succeeded", result=leaf)


async def _of_future(future: "PrefectFuture[Any]") -> Ending:
    # Prefect's bridge is a callback: `wait()` would block the loop that the task may need.
    loop = asyncio.get_running_loop()
    done = asyncio.Event()

    def wake(_: object) -> None:
        loop.call_soon_threadsafe(done.set)

    future.add_done_callback(wake)
    await done.wait()
    final = await asyncio.to_thread(_final, future)
    ending = _of_error(final) if isinstance(final, BaseException) else await _of_state(final)
    return replace(ending, task_run_id=ending.task_run_id or str(future.task_run_id))


def _final(future: "PrefectFuture[Any]") -> "State[Any] | BaseException":
    """The final state of a future that is done, or what its runner died of."""
    try:
        # Returns at once, and takes over the state that `.state` would else ask the API for.
        future.wait()
        return future.state
    except (Exception, asyncio.CancelledError) as error:
        return error


async def _of_state(state: "State[Any]") -> Ending:
    ending = await _by_type(state)
    run_id = state.state_details.task_run_id
    return replace(ending, task_run_id=str(run_id)) if run_id else ending


async def _by_type(state: "State[Any]") -> Ending:
    message = one_line(redact(state.message or ""))
    if state.type is StateType.COMPLETED:
        return await _of_completed(state)
    if state.type in (StateType.FAILED, StateType.CRASHED):
        return await _of_failed(state, message)
    if state.type in (StateType.CANCELLED, StateType.CANCELLING):
        return Ending("not_started", message or "cancelled before it finished", started=False)
    if is_not_ready(state):
        return _skipped(state.message or "")
    if state.type in (StateType.PENDING, StateType.SCHEDULED):
        return Ending("not_started", f"it never started: its state is {state.name}", started=False)
    return Ending("failed", f"it had not finished when the report was made: {state.name}")


async def _of_completed(state: "State[Any]") -> Ending:
    if state.data is None:
        # A state made by hand has no run whose result could be missing.
        kept = state.state_details.task_run_id is None
        return Ending("succeeded", None if kept else NOT_KEPT)
    try:
        result = await kept_result(state)
    except Exception as error:
        return Ending("succeeded", one_line(f"its result cannot be read: {reason_of(error)}"))
    unfinished = [leaf for leaf in flatten(result) if _is_bad(leaf)]
    if unfinished:
        # Prefect calls a run Completed that returns lists of lists of failed states.
        first = (await _ending(unfinished[0])).reason
        total = sum(1 for _ in flatten(result))
        return Ending("failed", one_line(f"{len(unfinished)} of {total} inside it: {first}"))
    return Ending("succeeded", result=result)


def _is_bad(leaf: Any) -> bool:
    return isinstance(leaf, State) and leaf.type is not StateType.COMPLETED


async def _of_failed(state: "State[Any]", message: str) -> Ending:
    error: BaseException | None = None
    if state.data is not None:
        try:
            error = await aget_state_exception(state)
        except Exception:
            # The record is gone or holds no exception; the message still says what happened.
            error = None
    if error is not None:
        ending = _of_error(error)
        if state.type is StateType.CRASHED and ending.state == "failed":
            return replace(ending, reason=one_line(f"crashed: {ending.reason}"))
        return ending
    named = named_error(message, _NAMED)
    if named and named[0] == "UpstreamTaskError":
        return _skipped(named[1])
    if named:
        return Ending(_NAMED[named[0]], named[1])
    return Ending("failed", message or f"its state is {state.name}, without a reason")


def _of_error(error: BaseException) -> Ending:
    told = leading(error)
    if isinstance(told, UpstreamTaskError):
        return _skipped(str(told))
    reason = reason_of(error)
    if isinstance(told, OverBudget):
        return Ending("over_budget", reason)
    if isinstance(told, RunStopped):
        return Ending("not_started", reason)
    if isinstance(told, asyncio.CancelledError | concurrent.futures.CancelledError):
        return Ending("not_started", reason, started=False)
    return Ending("failed", reason)


def _skipped(message: str) -> Ending:
    reason = "something it depends on did not succeed"
    return Ending("skipped", reason, upstream=upstream_of(message), started=False)


def name_upstream(endings: Sequence[Ending], keys: dict[str, str]) -> list[Ending]:
    """The endings, each skipped one naming what it depends on: by its key in `keys` (by task run
    id), else by the task run's id."""
    return [
        each if each.upstream is None else replace(each, reason=_depends_on(each.upstream, keys))
        for each in endings
    ]


def _depends_on(upstream: str, keys: dict[str, str]) -> str:
    return f"it depends on {keys.get(upstream, f'task run {upstream}')}, which did not succeed"

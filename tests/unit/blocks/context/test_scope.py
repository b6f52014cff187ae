"""Who a call is for follows the code that makes it, into threads and tasks, and out again."""

import asyncio
import contextvars
import random
import threading
from concurrent.futures import ThreadPoolExecutor
from typing import Any, cast

import pytest

from prefect_governor.blocks.context.scope import (
    Scope,
    attribution,
    current_scope,
    kept_only,
    one_answer,
    only_kept,
    scope,
)
from prefect_governor.blocks.records.calls import ReplyKey
from tests.unit.imports import imported

GOVERNOR = cast(Any, object())


def test_outside_any_scope_a_call_is_for_nobody() -> None:
    who = attribution(model="m", tags=("b", "a"))
    assert (who.model, who.run_id, who.item, who.user, who.flow) == ("m", None, None, None, None)
    assert set(who.tags) == {"a", "b"}


def test_scope_says_who_a_call_is_for() -> None:
    with scope(Scope(GOVERNOR, tags=("llm",), user="ann", run_id="r", item="i")):
        who = attribution(model="m", tags=("web", "llm"))
    assert (who.run_id, who.item, who.user) == ("r", "i", "ann")
    assert who.tags == ("llm", "web")


def test_scope_ends_where_it_began_whatever_is_raised() -> None:
    outer = Scope(GOVERNOR)
    with scope(outer):
        with pytest.raises(ValueError, match="x"), scope(Scope(GOVERNOR)):
            raise ValueError("x")
        assert current_scope.get() is outer
    assert current_scope.get() is None


async def test_tasks_at_once_do_not_see_each_others_scope() -> None:
    async def one(item: str) -> list[str | None]:
        with scope(Scope(GOVERNOR, item=item)):
            seen = []
            for _ in range(5):
                await asyncio.sleep(0)
                seen.append(attribution(model="m").item)
            return seen

    found = await asyncio.gather(*(one(f"item-{at}") for at in range(20)))
    assert found == [[f"item-{at}"] * 5 for at in range(20)]


def test_copied_context_takes_the_scope_into_a_thread() -> None:
    with scope(Scope(GOVERNOR, item="i")), ThreadPoolExecutor() as pool:
        context = contextvars.copy_context()
        assert pool.submit(context.run, lambda: attribution(model="m").item).result() == "i"


def keys(here: Scope, *requests: str) -> list[ReplyKey]:
    found = [here.next_reply_key(each) for each in requests]
    assert None not in found
    return cast(list[ReplyKey], found)


def test_the_same_request_twice_in_an_item_has_two_places() -> None:
    first, second, other = keys(Scope(GOVERNOR, run_id="r", item="i"), "hash", "hash", "other")
    assert first == ReplyKey("r", "i", 0, "hash")
    assert second == ReplyKey("r", "i", 1, "hash")
    assert other == ReplyKey("r", "i", 0, "other")


@pytest.mark.parametrize("seed", range(5))
def test_calls_made_at_once_are_found_again_in_whatever_order_they_come(seed: int) -> None:
    requests = [f"hash-{at % 7}" for at in range(20)]
    kept = keys(Scope(GOVERNOR, run_id="r", item="i"), *requests)
    assert len(set(kept)) == 20
    random.Random(seed).shuffle(requests)
    assert set(keys(Scope(GOVERNOR, run_id="r", item="i"), *requests)) == set(kept)


def test_threads_that_make_the_same_request_at_once_have_a_place_each() -> None:
    here = Scope(GOVERNOR, run_id="r", item="i")
    start = threading.Barrier(8)

    def many() -> list[ReplyKey]:
        start.wait()
        return keys(here, *["hash"] * 200)

    with ThreadPoolExecutor(8) as pool:
        found = [key for part in [pool.submit(many) for _ in range(8)] for key in part.result()]
    assert {key.call_index for key in found} == set(range(1600))


def test_tries_for_one_answer_share_its_place_and_the_next_answer_has_the_next() -> None:
    here = Scope(GOVERNOR, run_id="r", item="i")
    found = []
    for _ in range(2):
        with one_answer():
            # Looked for, then asked: the same request is the same try.
            found += keys(here, "first", "fallback", "first", "fallback")
    assert [key.call_index for key in found] == [0, 0, 0, 0, 1, 1, 1, 1]
    assert found[:2] == found[2:4] and len(set(found)) == 4
    assert keys(here, "first")[0].call_index == 2


def test_a_fallbacks_answer_is_found_whichever_model_answered_before_it() -> None:
    """Of two answers to one prompt the first was given by the first model, the second by its
    fallback; a resumed run finds the first at once and never asks the fallback for it."""
    here, resumed = (Scope(GOVERNOR, run_id="r", item="i") for _ in range(2))
    with one_answer():
        keys(here, "first", "fallback")
    with one_answer():
        kept = keys(here, "first", "fallback")[1]
    with one_answer():
        keys(resumed, "first")
    with one_answer():
        assert keys(resumed, "first", "fallback")[1] == kept


def test_a_fallbacks_answer_is_not_taken_for_one_that_was_asked_of_that_model_alone() -> None:
    here = Scope(GOVERNOR, run_id="r", item="i")
    with one_answer():
        tried = keys(here, "first", "fallback")
    with one_answer():
        other = keys(here, "another", "fallback")
    assert len({*tried, *other, *keys(here, "fallback")}) == 5


def test_only_kept_replies_are_asked_for_inside_and_any_after() -> None:
    with pytest.raises(ValueError, match="x"), kept_only():
        assert only_kept()
        raise ValueError("x")
    assert not only_kept()


@pytest.mark.parametrize("fields", [{}, {"run_id": "r"}, {"item": "i"}])
def test_reply_outside_an_item_of_a_run_is_not_kept(fields: dict[str, str]) -> None:
    assert Scope(GOVERNOR, **fields).next_reply_key("hash") is None  # type: ignore[arg-type]


def test_script_that_knows_nothing_of_prefect_need_not_import_it() -> None:
    program = (
        "from prefect_governor.blocks.context.scope import attribution\n"
        "assert attribution(model='m').flow is None"
    )
    assert imported(program, "prefect") == []


def test_flow_and_task_of_prefect_are_read_off_its_contexts() -> None:
    from types import SimpleNamespace
    from uuid import UUID

    from prefect_governor.blocks.context.scope import _in_prefect
    from prefect_governor.blocks.records.calls import Attribution

    run, task_run, deployment = (UUID(int=at) for at in range(3))
    flow = SimpleNamespace(
        flow=SimpleNamespace(name="review"),
        flow_run=SimpleNamespace(id=run, deployment_id=deployment, tags=["team-a"]),
    )
    task = SimpleNamespace(
        task=SimpleNamespace(name="ask"),
        task_run=SimpleNamespace(id=task_run, flow_run_id=run, tags={"llm"}),
    )

    def contexts(flow_context: object, task_context: object) -> object:
        return SimpleNamespace(
            FlowRunContext=SimpleNamespace(get=lambda: flow_context),
            TaskRunContext=SimpleNamespace(get=lambda: task_context),
        )

    base = Attribution(model="m", tags=("own",))
    who = _in_prefect(base, contexts(flow, task))
    assert (who.flow, who.task, who.deployment) == ("review", "ask", str(deployment))
    assert (who.flow_run_id, who.task_run_id) == (str(run), str(task_run))
    assert who.tags == ("llm", "own", "team-a")
    # In a worker of another machine there is a task and no flow.
    alone = _in_prefect(base, contexts(None, task))
    assert (alone.flow_run_id, alone.task, alone.flow) == (str(run), "ask", None)

"""Documents that are edited while at work: their ceilings, their limits, those in Prefect."""

import time

import pytest
from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.calls import Usage
from tests.integration.governing import NANO, ask, document_of, edit, loaded_as
from tests.waiting import A_LOOK_AT_THE_SERVER, until

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


def test_raised_ceiling_lets_a_waiting_call_go_on_where_it_was(
    name: str, client: SyncPrefectClient
) -> None:
    Budget(max_usd=1).save(f"{name}-budget")
    Governor(budget=loaded_as(Budget, f"{name}-budget")).save(name)
    runtime = loaded_as(Governor, name).runtime
    first, admitted = ask(runtime, 0.7)
    admitted.result(30)
    second, waiting = ask(runtime, 0.7)
    with pytest.raises(TimeoutError):
        waiting.result(0.3)
    edit(document_of(loaded_as(Budget, f"{name}-budget")), max_usd=2)
    waiting.result(30)
    for call_id in (first, second):
        runtime.desk.void(call_id, "the test is over").result(30)


def test_lowered_ceiling_holds_for_the_next_call(name: str, client: SyncPrefectClient) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    edit(document_of(governor), budget={"max_usd": 0.1})
    until(lambda: governor.budget.state().ceiling_nano == NANO // 10)
    from prefect_governor import OverBudget

    with pytest.raises(OverBudget, match=r"\$0\.10"):
        ask(runtime, 0.5)[1].result(30)


def test_document_that_became_invalid_keeps_the_last_good_ceiling(
    name: str, client: SyncPrefectClient, caplog: pytest.LogCaptureFixture
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    edit(document_of(governor), budget={"max_usd": -3})
    until(lambda: "max_usd" in caplog.text)
    assert runtime.accounts_[0].ceiling_nano == NANO
    call_id, admitted = ask(runtime, 0.5)
    admitted.result(30)
    runtime.desk.void(call_id, "the test is over").result(30)


def in_flight(desk: LedgerDesk, key: str) -> int:
    gate = desk.store.read_gate(key)
    return 0 if gate is None else gate.in_flight


def test_prefects_limit_is_obeyed_when_an_ops_person_lowers_it(
    name: str, client: SyncPrefectClient
) -> None:
    Governor(budget=Budget(max_usd=9), limits=[Limit(tag="llm", max_concurrent=6)]).save(name)
    runtime = loaded_as(Governor, name).runtime
    key = runtime.limits_[0].key
    asked = [ask(runtime, 0.01) for _ in range(12)]
    until(lambda: in_flight(runtime.desk, key) == 6)
    limit = f"governor:{name}:llm"
    client.update_global_concurrency_limit(limit, GlobalConcurrencyLimitUpdate(limit=2))

    def cap() -> int | None:
        gate = runtime.desk.store.read_gate(key)
        return None if gate is None else gate.cap

    until(lambda: cap() == 2)
    done: set[str] = set()
    most = 0
    while len(done) < 12:
        flying = [each for each, future in asked if future.done() and each not in done]
        if done.issuperset(each for each, _ in asked[:6]):
            most = max(most, len(flying))
            assert in_flight(runtime.desk, key) <= 2
        for call_id in flying[:1]:
            runtime.desk.settle(call_id, Usage(1, 1, 1)).result(30)
            done.add(call_id)
        time.sleep(0.01)
    assert 1 <= most <= 2
    until(
        lambda: client.read_global_concurrency_limit_by_name(limit).active_slots == 0,
        every=A_LOOK_AT_THE_SERVER,
    )


def test_limit_that_is_added_while_at_work_gets_its_slots(
    name: str, client: SyncPrefectClient
) -> None:
    Governor(budget=Budget(max_usd=9)).save(name)
    governor = loaded_as(Governor, name)
    runtime = governor.runtime
    edit(document_of(governor), limits=[{"tag": "llm", "max_concurrent": 2}])
    until(lambda: len(runtime.limits_) == 1)
    call_id, admitted = ask(runtime, 0.01)
    # Without a lease it would wait for ever.
    admitted.result(30)
    runtime.desk.settle(call_id, Usage(1, 1, 1)).result(30)
    assert client.read_global_concurrency_limit_by_name(f"governor:{name}:llm").limit == 2


def test_limit_of_a_model_pattern_has_a_name_that_prefect_takes(
    name: str, client: SyncPrefectClient
) -> None:
    limit = Limit(model="openai/*", max_concurrent=3)
    Governor(budget=Budget(max_usd=9), limits=[limit]).save(name)
    runtime = loaded_as(Governor, name).runtime
    call_id, admitted = ask(runtime, 0.01)
    admitted.result(30)
    runtime.desk.settle(call_id, Usage(1, 1, 1)).result(30)
    assert client.read_global_concurrency_limit_by_name(f"governor:{name}:openai-*").limit == 3

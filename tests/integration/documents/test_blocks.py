"""The blocks as ops people use them: saved, edited while at work, wrong in every way."""

import ast
import os
import subprocess
import sys
import textwrap
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.blocks.core import Block
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitUpdate
from prefect.task_runners import ThreadPoolTaskRunner
from pydantic import SecretStr

from prefect_governor import (
    Budget,
    ConfigurationError,
    Governor,
    Limit,
    Model,
    acompletion,
    completion,
    fan_out,
    governed,
)
from prefect_governor.blocks.context.scope import current_scope
from prefect_governor.blocks.documents.documents import accounts_of, load_block
from prefect_governor.blocks.governor import load_governor
from prefect_governor.blocks.ledger.desk import LedgerDesk
from prefect_governor.blocks.records.calls import Usage
from prefect_governor.blocks.terms.price import PriceOverride
from prefect_governor.blocks.work.registry import stop_all
from prefect_governor.blocks.work.runtime import Runtime
from tests.integration.governing import HELLO, MODEL, NANO, ask, document_of, edit, loaded_as
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def name() -> str:
    return f"blocks-{uuid4().hex[:8]}"


@pytest.fixture
def client() -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as client:
        yield client


@pytest.fixture(autouse=True)
def put_out_of_work() -> Iterator[None]:
    """Nothing of one test keeps asking the server in the next."""
    yield
    stop_all()


BLOCKS: list[type[Block]] = [Budget, Governor, Model]


# As Prefect's own suite has it


@pytest.mark.parametrize("kind", BLOCKS)
def test_block_describes_itself(kind: type[Block]) -> None:
    assert kind.get_description()
    assert len(kind.get_description() or "") <= 200
    assert kind._documentation_url is not None
    assert str(kind._documentation_url).startswith("https://")
    example = kind.get_code_example()
    assert example is not None
    ast.parse(textwrap.dedent(example.strip().removeprefix("```python").removesuffix("```")))
    assert f"{kind.__name__}" in example


def test_types_are_told_apart_by_name_and_slug() -> None:
    assert {kind.get_block_type_name(): kind.get_block_type_slug() for kind in BLOCKS} == {
        "Governor Budget": "governor-budget",
        "Governor": "governor",
        "Governor Model": "governor-model",
    }


@pytest.mark.parametrize("kind", BLOCKS)
def test_every_field_says_what_it_is_in_the_form(kind: type[Block]) -> None:
    for field, info in kind.model_fields.items():
        assert info.title, field
        assert info.description, field


# Saved, loaded, edited


def test_budget_is_loaded_as_it_was_saved_and_edited(name: str, client: SyncPrefectClient) -> None:
    Budget(max_usd="0.123456789", window="day", time_zone="Europe/Berlin").save(name)
    loaded = loaded_as(Budget, name)
    assert (loaded.max_usd, loaded.window) == (Decimal("0.123456789"), "day")
    Budget(max_usd=7, max_total_tokens=9).save(name, overwrite=True)
    assert loaded_as(Budget, name).max_usd == 7
    edit(document_of(loaded_as(Budget, name)), max_usd=8)
    assert loaded_as(Budget, name).max_usd == 8


async def test_blocks_are_loaded_in_async_code(name: str) -> None:
    await Budget(max_usd=3).asave(f"{name}-budget")
    governor = Governor(
        budget=Budget(max_usd=2), limits=[Limit(tag="llm", max_concurrent=4, tokens_per_day=9)]
    )
    await governor.asave(name)
    budget: Any = await Budget.aload(f"{name}-budget")
    assert budget.max_usd == 3
    loaded: Any = await Governor.aload(name)
    assert loaded.budget.max_usd == 2
    assert loaded.limits == [Limit(tag="llm", max_concurrent=4, tokens_per_day=9)]


def test_governor_follows_an_edit_of_the_budget_in_it(name: str, client: SyncPrefectClient) -> None:
    Budget(max_usd=1).save(f"{name}-shared")
    Governor(budget=loaded_as(Budget, f"{name}-shared")).save(name)
    edit(document_of(loaded_as(Budget, f"{name}-shared")), max_usd=2)
    assert loaded_as(Governor, name).budget.parent == f"{name}-shared"
    _, (account,) = accounts_of(name)
    assert account.ceiling_nano == 2 * NANO
    assert account.name == f"{name}-shared"


def test_two_governors_on_one_budget_draw_on_one_account(name: str) -> None:
    Budget(max_usd=1).save(f"{name}-shared")
    for each in ("a", "b"):
        Governor(budget=loaded_as(Budget, f"{name}-shared")).save(f"{name}-{each}")
    first, second = (load_governor(f"{name}-{each}").runtime for each in ("a", "b"))
    assert [each.key for each in first.accounts_] == [each.key for each in second.accounts_]
    call_id, admitted = ask(first, 0.5)
    admitted.result(30)
    first.desk.settle(call_id, Usage(NANO // 2, 1, 1)).result(30)
    assert loaded_as(Budget, f"{name}-shared").state().spent_nano == NANO // 2


def test_budget_inside_a_governor_is_its_own(name: str) -> None:
    for each in ("a", "b"):
        Governor(budget=Budget(max_usd=1)).save(f"{name}-{each}")
    keys = {accounts_of(f"{name}-{each}")[1][0].key for each in ("a", "b")}
    assert len(keys) == 2


def test_secret_of_a_model_is_shown_nowhere(name: str) -> None:
    secret = "sk-very-secret-0123456789"
    made = Model(name=MODEL, api_key=SecretStr(secret))
    made.save(name)
    loaded = loaded_as(Model, name)
    assert loaded.api_key is not None
    assert loaded.api_key.get_secret_value() == secret
    for block in (made, loaded):
        for shown in (repr(block), str(block), block.model_dump_json(), str(block.model_dump())):
            assert secret not in shown
    with get_client(sync_client=True) as client:
        document = client.read_block_document(document_of(loaded), include_secrets=False)
    assert secret not in document.model_dump_json()


def test_model_block_brings_its_key_its_address_and_its_price(
    name: str, upstream: ProviderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("OPENAI_API_KEY")
    monkeypatch.delenv("OPENAI_API_BASE")
    upstream.renew(
        prices={"house-model": {"input": "0.000003", "output": "0.000005"}}, keys=["sk-house-key"]
    )
    Model(
        name="openai/house-model",
        api_base=upstream.api_base,
        api_key=SecretStr("sk-house-key"),
        price=PriceOverride(input_usd_per_million_tokens=3, output_usd_per_million_tokens=5),
        max_output_tokens=30,
    ).save(name)
    path = tmp_path / "a.txt"
    path.write_text("a text")
    report = fan_out([path], ask="What?", model=f"block:{name}")
    assert report.outcome == "complete"
    assert int(report.budget.spent_usd * NANO) == upstream.settled_stats()["billed_nano"] > 0


# Wrong in every way


@pytest.mark.parametrize(
    ("field", "value"), [("max_usd", -3), ("max_usd", "lots"), ("window", "fortnight")]
)
def test_document_that_the_form_let_through_is_refused_with_its_field(
    name: str, client: SyncPrefectClient, field: str, value: Any
) -> None:
    Budget(max_usd=1).save(name)
    edit(document_of(loaded_as(Budget, name)), **{field: value})
    with pytest.raises(ConfigurationError, match=field) as refused:
        load_block(Budget, name)
    assert name in str(refused.value)


def test_governor_whose_budget_is_not_valid_is_refused_with_the_field(
    name: str, client: SyncPrefectClient
) -> None:
    Governor(budget=Budget(max_usd=1)).save(name)
    edit(document_of(loaded_as(Governor, name)), budget={"max_usd": -3})
    with pytest.raises(ConfigurationError, match="max_usd"):
        load_governor(name)


@pytest.mark.parametrize("kind", [Budget, Governor, Model])
def test_block_that_is_not_there_is_named_with_how_to_make_it(kind: type[Block]) -> None:
    with pytest.raises(ConfigurationError, match=rf"'nobody'.*{kind.__name__}\(…\)\.save"):
        load_block(kind, "nobody")


def test_governor_that_was_never_saved_is_refused_with_the_fix() -> None:
    with pytest.raises(ConfigurationError, match=r"never saved.*Governor\.local"):
        _ = Governor(budget=Budget(max_usd=1)).runtime


def test_two_limits_of_one_name_are_refused(name: str) -> None:
    limits = [Limit(tag="llm", max_concurrent=2), Limit(tag="llm", requests_per_minute=2)]
    Governor(budget=Budget(max_usd=1), limits=limits).save(name)
    with pytest.raises(ConfigurationError, match=r"more than one limit for .*llm"):
        _ = load_governor(name).runtime


def test_spend_draws_on_every_budget_up_the_chain(name: str) -> None:
    Budget(max_usd=3, window="month").save(f"{name}-top")
    Budget(max_usd=2, parent=f"{name}-top").save(f"{name}-middle")
    Governor(budget=Budget(max_usd=1, parent=f"{name}-middle")).save(name)
    runtime = load_governor(name).runtime
    assert [each.name for each in runtime.accounts_] == [name, f"{name}-middle", f"{name}-top"]
    call_id, admitted = ask(runtime, 0.5)
    admitted.result(30)
    runtime.desk.settle(call_id, Usage(NANO // 4, 1, 1)).result(30)
    for each in (f"{name}-middle", f"{name}-top"):
        assert loaded_as(Budget, each).state().spent_nano == NANO // 4


def test_budget_that_is_its_own_ancestor_is_refused(name: str) -> None:
    Budget(max_usd=3, parent=f"{name}-b").save(f"{name}-a")
    Budget(max_usd=3, parent=f"{name}-a").save(f"{name}-b")
    Governor(budget=Budget(max_usd=1, parent=f"{name}-a")).save(name)
    with pytest.raises(ConfigurationError, match="its own parent"):
        _ = load_governor(name).runtime
    with pytest.raises(ConfigurationError, match="its own parent"):
        accounts_of(f"{name}-b")


def test_parent_that_has_the_governors_own_name_is_no_cycle(name: str) -> None:
    Budget(max_usd=3).save(name)
    Governor(budget=Budget(max_usd=1, parent=name)).save(name)
    kind, accounts = accounts_of(name)
    assert kind == "Governor"
    assert [each.ceiling_nano for each in accounts] == [NANO, 3 * NANO]


def test_parent_that_is_not_there_is_named(name: str) -> None:
    Governor(budget=Budget(max_usd=1, parent="nobody")).save(name)
    with pytest.raises(ConfigurationError, match="'nobody'"):
        _ = load_governor(name).runtime


# Edited while at work


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
    until(lambda: runtime.accounts_[0].ceiling_nano == NANO // 10)
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
    until(lambda: client.read_global_concurrency_limit_by_name(limit).active_slots == 0)


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


# In code


def test_script_with_a_local_governor_needs_no_server(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    program = f"""
        from prefect_governor import Governor, Limit, completion
        governor = Governor.local("scratch", max_usd=1, limits=[Limit(max_concurrent=2)])
        with governor:
            reply = completion({MODEL!r}, {HELLO!r}, max_tokens=9)
        assert reply.choices[0].message.content
        print(governor.runtime.desk.store.read_purse("local/scratch")[1].spent_nano)
    """
    environment = {**os.environ, "PREFECT_HOME": str(tmp_path / "home")}
    environment.pop("PREFECT_API_URL", None)
    done = subprocess.run(
        [sys.executable, "-c", textwrap.dedent(program)],
        env=environment,
        capture_output=True,
        text=True,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) == upstream.settled_stats()["billed_nano"] > 0
    # Neither a server of ours nor one that Prefect starts for whoever asks its API.
    assert not (tmp_path / "home" / "governor" / "server.json").exists()
    assert not (tmp_path / "home" / "prefect.db").exists()


def test_governors_nest_and_the_outer_one_comes_back(name: str) -> None:
    outer = Governor.local(f"{name}-outer", max_usd=1)
    inner = Governor.local(f"{name}-inner", max_usd=1)

    def at_work() -> str | None:
        here = current_scope.get()
        return None if here is None else cast(Runtime, here.governor).name

    with outer:
        assert at_work() == f"{name}-outer"
        with inner:
            assert at_work() == f"{name}-inner"
            with outer:
                assert at_work() == f"{name}-outer"
            assert at_work() == f"{name}-inner"
        with pytest.raises(ValueError, match="x"), inner:
            raise ValueError("x")
        assert at_work() == f"{name}-outer"
    assert at_work() is None


async def test_async_with_governs_the_calls_in_it(name: str, upstream: ProviderProcess) -> None:
    governor = Governor.local(name, max_usd=1)
    async with governor:
        await acompletion(MODEL, HELLO, max_tokens=9)
    assert current_scope.get() is None
    known = governor.runtime.desk.store.read_purse(f"local/{name}")
    assert known is not None
    assert known[1].spent_nano == upstream.settled_stats()["billed_nano"] > 0


def test_governed_tasks_under_prefects_own_runner(name: str, upstream: ProviderProcess) -> None:
    Governor(budget=Budget(max_usd=1), limits=[Limit(tag="llm", max_concurrent=3)]).save(name)
    upstream.configure(latency_seconds=0.1)

    @task(tags=["llm"])
    @governed(name, user="ann")
    def in_a_thread(at: int) -> str:
        reply = completion(MODEL, HELLO, max_tokens=9)
        return str(reply.choices[0].message.content)

    @task(tags=["llm"])
    @governed(name, user="bob")
    async def on_a_loop(at: int) -> str:
        reply = await acompletion(MODEL, HELLO, max_tokens=9)
        return str(reply.choices[0].message.content)

    runner: Any = ThreadPoolTaskRunner(max_workers=8)

    @flow(name="governed-tasks", task_runner=runner)
    def work() -> list[Any]:
        threads, loops = in_a_thread.map(range(8)), on_a_loop.map(range(8))
        return [*threads.result(), *loops.result()]

    assert len(work()) == 16
    stats = upstream.settled_stats()
    assert stats["requests"] == 16
    assert stats["max_open"] <= 3
    _, (account,) = accounts_of(name)
    spent = load_governor(name).runtime.desk.store.read_spend("user", {}, account=account.key)
    assert {user: each.calls for user, each in spent.items()} == {"ann": 8, "bob": 8}
    assert sum(each.spent_nano for each in spent.values()) == stats["billed_nano"]
    tasks = load_governor(name).runtime.desk.store.read_spend("task", {}, account=account.key)
    assert set(tasks) == {"in_a_thread", "on_a_loop"}
    by_flow = load_governor(name).runtime.desk.store.read_spend("flow", {}, account=account.key)
    assert by_flow["governed-tasks"].calls == 16

"""The offline model spends no team's money: its calls are recorded and held to limits all the same,
on an account of their own."""

import asyncio
from pathlib import Path

import httpx
import pytest

from prefect_governor.blocks.context.scope import Scope, attribution, scope
from prefect_governor.blocks.errors import OverBudget
from prefect_governor.blocks.figures.figures import nominal_notes
from prefect_governor.blocks.models.completion import acompletion
from prefect_governor.blocks.prices.prices import OFFLINE
from prefect_governor.blocks.records.budgets import NOMINAL, Account
from prefect_governor.blocks.terms.limit import GovernedLimit, Limit
from prefect_governor.blocks.wire.transport import GovernedTransport
from prefect_governor.blocks.work.ledgers import desk
from prefect_governor.blocks.work.runtime import Runtime

TEAM = "0b0b0b0b-0000-4000-8000-000000000000"
ASKED = [{"role": "user", "content": "Who pays?\n\nThe tenant pays the rent."}]


def governed(*accounts: Account) -> Runtime:
    limit = GovernedLimit(Limit(tag="llm", max_concurrent=1), f"{TEAM}/llm", False)
    made = Runtime("team", desk(), accounts, (limit,))
    made.apply()
    return made


def ask(runtime: Runtime, times: int = 1, run: str = "a-run") -> None:
    async def calls() -> None:
        with scope(Scope(runtime, tags=("llm",), run_id=run, item="a")):
            await asyncio.gather(
                *(acompletion(OFFLINE, ASKED, max_tokens=50 + at) for at in range(times))
            )

    asyncio.run(calls())


def spent(runtime: Runtime, key: str) -> int:
    known = runtime.desk.store.read_purse(key)
    return 0 if known is None else known[1].spent_nano


def test_a_team_whose_money_is_gone_pays_nothing_for_the_offline_model(home: Path) -> None:
    team = Account(TEAM, "team", 0, None)
    runtime = governed(team)
    ask(runtime, times=3)
    assert spent(runtime, TEAM) == 0
    by_model = runtime.desk.store.read_spend("model", {}, account=NOMINAL.key)
    assert sum(each.calls for each in by_model.values()) == 3
    assert spent(runtime, NOMINAL.key) > 0
    (note,) = nominal_notes(runtime, "a-run")
    assert note.startswith("3 calls of the offline model were drawn on no saved budget")
    assert nominal_notes(runtime, "another") == ()


def test_its_calls_take_slots_as_any_others_do(home: Path) -> None:
    runtime = governed(Account(TEAM, "team", 10**9, None))
    ask(runtime, times=3)
    gate = runtime.desk.store.read_gate(f"{TEAM}/llm")
    assert gate is not None and gate.in_flight == 0
    assert runtime.desk.stats("a-run").max_in_flight == 1


def test_a_runs_own_ceiling_and_a_scripts_are_drawn_on(home: Path) -> None:
    own = Account("run/1", "this run", 10**9, None)
    both = governed(own, Account(TEAM, "team", 10**9, None))
    ask(both)
    assert spent(both, "run/1") == spent(both, NOMINAL.key) > 0 == spent(both, TEAM)
    script = governed(Account("local/script", "script", 0, None))
    with pytest.raises(OverBudget):
        ask(script, run="another")


def test_a_model_that_is_billed_is_drawn_on_the_team_whatever_it_is_called(home: Path) -> None:
    runtime = governed(Account(TEAM, "team", 0, None))
    who = attribution(model=OFFLINE, tags=())
    assert runtime.accounts(who) == (TEAM,)
    assert runtime.accounts(who, nominal=True) == (NOMINAL.key,)


def test_a_proxy_behind_the_offline_models_address_is_paid_by_the_team(home: Path) -> None:
    """`HTTP_PROXY` and a hosts file have the last word on where a name leads."""
    usage = {"prompt_tokens": 1_000, "completion_tokens": 7, "total_tokens": 1_007}
    choice = {
        "index": 0,
        "message": {"role": "assistant", "content": "Me."},
        "finish_reason": "stop",
    }
    reply = {"id": "1", "object": "chat.completion", "created": 0, "model": "gpt-4o-mini",
             "choices": [choice], "usage": usage}  # fmt: skip
    proxy = httpx.MockTransport(lambda _: httpx.Response(200, json=reply))
    runtime = governed(Account(TEAM, "team", 10**9, None))
    asked = {"model": "gpt-4o-mini", "max_tokens": 9, "messages": ASKED}
    with httpx.Client(transport=GovernedTransport(proxy, runtime, provider="openai")) as client:
        client.post("http://offline.invalid/v1/chat/completions", json=asked).raise_for_status()
    assert spent(runtime, TEAM) == 154_200
    assert spent(runtime, NOMINAL.key) == 0

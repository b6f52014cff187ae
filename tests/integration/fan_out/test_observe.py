"""Observe mode (P10) and the break-glass variable: everything recorded, nothing held back, said."""

import asyncio
import os
from typing import Any
from uuid import uuid4

import pytest

from prefect_governor import Budget, Governor, Limit, OverBudget, acompletion, fan_out
from prefect_governor.blocks.context.enforcement import BREAK_GLASS
from prefect_governor.blocks.figures.figures import current_figures
from prefect_governor.blocks.figures.observing import Observed, observed_of
from prefect_governor.blocks.governor import load_governor
from prefect_governor.flows.cli.doctor import examine
from tests.integration.conftest import Corpus
from tests.integration.governing import HELLO, MODEL, document_of, edit, loaded_as
from tests.provider.process import ProviderProcess
from tests.waiting import until

pytestmark = pytest.mark.usefixtures("put_out_of_work")

CALLS = 120
# Of the calls, so many can be paid for: what a call is billed is known below.
AFFORDABLE = 75


async def work(governor: Governor) -> int:
    """The same calls each time; returns how many were over budget."""

    async def one() -> bool:
        try:
            await acompletion(MODEL, HELLO, max_tokens=30)
        except OverBudget:
            return True
        return False

    with governor:
        return sum(await asyncio.gather(*(one() for _ in range(CALLS))))


async def test_observed_run_says_what_the_enforced_one_does(upstream: ProviderProcess) -> None:
    upstream.configure(latency_seconds=0.2)
    name = f"observe-{uuid4().hex[:8]}"
    probe = Governor.local(f"{name}-probe", max_usd=1)
    with probe:
        await acompletion(MODEL, HELLO, max_tokens=30)
    billed = probe.budget.state().spent_nano
    ceiling = f"{billed * AFFORDABLE / 1e9:.9f}"
    limits = [Limit(max_concurrent=8)]

    def governor(mode: Any) -> Governor:
        return Governor.local(f"{name}-{mode}", max_usd=ceiling, limits=limits, mode=mode)

    upstream.settled_stats()
    enforced = governor("enforce")
    over = await work(enforced)
    observing = governor("observe")
    before = upstream.settled_stats()
    assert await work(observing) == 0, "an observed call was held back"
    after = upstream.settled_stats()
    assert after["requests"] - before["requests"] == CALLS
    assert before["max_open"] <= 8 < after["max_open"], "the cap held an observed call"
    said = observed_of(observing.runtime, None)
    print(f"enforced: {over} of {CALLS} over budget; observed: {said}")
    assert said.calls == CALLS
    assert over > CALLS // 10
    assert abs(said.would_be_over_budget - over) <= CALLS * 0.05
    assert said.would_wait + said.would_be_over_budget > CALLS // 2
    assert observing.budget.state().spent_nano == after["billed_nano"] - before["billed_nano"]


def test_what_is_observed_is_said_in_words() -> None:
    assert str(Observed(1200, 35, 12)) == (
        "of 1,200 calls, 35 would have waited and 12 would have been over budget"
    )


async def test_break_glass_lets_everything_through_and_says_why(
    monkeypatch: pytest.MonkeyPatch, upstream: ProviderProcess, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setenv(BREAK_GLASS, "INC-7, the launch")
    governor = Governor.local(f"observe-{uuid4().hex[:8]}", max_usd=0)
    assert await work(governor) == 0
    assert upstream.settled_stats()["requests"] == CALLS
    assert "INC-7, the launch" in caplog.text
    with governor:
        figures = current_figures()
    assert figures is not None
    off, observed = figures.notes[-2:]
    assert "INC-7, the launch" in off
    assert f"{CALLS} would have been over budget" in observed
    findings = await asyncio.to_thread(lambda: [str(each) for each in examine()])
    said = [each for each in findings if "INC-7" in each]
    assert len(said) == 1
    assert f"unset {BREAK_GLASS}" in said[0]


@pytest.mark.parametrize("value", ["", " ", "0", "false", "No", "off"])
def test_break_glass_that_says_no_is_no_break(monkeypatch: pytest.MonkeyPatch, value: str) -> None:
    monkeypatch.setenv(BREAK_GLASS, value)
    governor = Governor.local(f"observe-{uuid4().hex[:8]}", max_usd=0)
    assert not governor.runtime.observe
    with pytest.raises(OverBudget), governor.reserve(max_usd="0.1"):
        pytest.fail("nothing held it back")


@pytest.mark.usefixtures("server")
def test_report_of_a_run_says_that_nothing_was_enforced(
    corpus: Corpus, upstream: ProviderProcess, monkeypatch: pytest.MonkeyPatch
) -> None:
    name = f"observe-{uuid4().hex[:8]}"
    Governor(budget=Budget(max_usd=0), mode="observe").save(name)
    report = fan_out(corpus(4), ask="What?", model=MODEL, governor=name, max_output_tokens=200)
    assert report.outcome == "complete"
    assert any(f"governor '{name}' only observes" in each for each in report.notes)
    assert any("of 4 calls" in each and "4 would have been" in each for each in report.notes)
    monkeypatch.setenv(BREAK_GLASS, "a test")
    alone = fan_out(["one text", "another text"], ask="What?", model=MODEL, max_usd="0.000000001")
    assert alone.outcome == "complete"
    assert any(f"{BREAK_GLASS} is set (a test)" in each for each in alone.notes)


@pytest.mark.usefixtures("server")
def test_mode_that_is_edited_holds_for_running_calls() -> None:
    name = f"observe-{uuid4().hex[:8]}"
    Governor(budget=Budget(max_usd=0)).save(name)
    governor = loaded_as(Governor, name)
    with pytest.raises(OverBudget), governor.reserve(max_usd="0.1"):
        pytest.fail("nothing held it back")
    edit(document_of(governor), mode="observe")
    until(lambda: governor.runtime.observe)
    with governor.reserve(max_usd="0.1") as spend:
        spend.settle("0.1")
    edit(document_of(governor), mode="enforce")
    until(lambda: not governor.runtime.observe)
    with pytest.raises(OverBudget), load_governor(name).reserve(max_usd="0.1"):
        pytest.fail("nothing held it back")
    assert BREAK_GLASS not in os.environ

"""The money of a research run: what is set aside for its tasks and its synthesis, and no more."""

from pathlib import Path

import pytest

from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.research.asking import ask, plan
from tests.provider.answers.riddles import World
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


def test_no_money_for_the_synthesis_is_said_before_anything_is_spent(
    upstream: ProviderProcess, notes: Path
) -> None:
    upstream.renew(reads=True)
    tasks = plan(("a", "What is x of y?", []), ("b", "What is x of z?", []))
    with pytest.raises(RunFailed, match="synthesis"):
        ask("Both?", notes, plan=tasks, max_usd="0.0001", max_rounds=0)
    assert upstream.settled_stats()["requests"] == 0


def test_a_task_spends_what_is_set_aside_for_it_and_no_more_and_its_rest_goes_back(
    upstream: ProviderProcess, world: World, notes: Path
) -> None:
    upstream.renew(reads=True)
    riddle = next(each for each in world.riddles if len(each.hops) == 1)
    tasks = plan(("poor", riddle.question, []), ("rich", riddle.question, []))
    poor, rich = tasks["tasks"]
    poor["max_usd"], rich["max_usd"] = "0.00000001", "0.4"
    report = ask(riddle.question, notes, plan=tasks, max_usd=1)
    states = {item.key: item.state for item in report.items}
    assert states == {"poor": "over_budget", "rich": "succeeded"}
    reasons = {item.key: item.reason for item in report.items}
    assert "'poor'" in (reasons["poor"] or "")
    assert report.items[0].calls == 0
    # Going on gives the poor one no second; with more money it is the same task, and is done. The
    # other is: what it had is not needed again.
    poor["max_usd"] = rich["max_usd"] = "0.6"
    requests = upstream.settled_stats()["requests"]
    token = current_control.set(Control(kept_as=report.run_id))
    try:
        again = ask(riddle.question, notes, plan=tasks, max_usd=1)
    finally:
        current_control.reset(token)
    assert {item.state for item in again.items} == {"succeeded"}
    assert upstream.settled_stats()["requests"] > requests
    assert again.items[1].calls == report.items[1].calls


def test_no_money_to_set_aside_for_a_task_is_said_before_anything_is_spent(
    upstream: ProviderProcess, notes: Path
) -> None:
    tasks = plan(("a", "Which word?", []), ("b", "Which other?", []))
    tasks["tasks"][0]["max_usd"] = 0.6
    tasks["tasks"][1]["max_usd"] = "0.5"
    with pytest.raises(RunFailed, match="no money for task 'b'"):
        ask("Which words?", notes, plan=tasks, max_usd=1)
    assert upstream.settled_stats()["requests"] == 0


def test_a_synthesis_that_is_tried_again_is_paid_from_what_the_run_has_left(
    upstream: ProviderProcess, notes: Path
) -> None:
    """What was set aside for it is one bound, which the attempt that failed keeps."""
    failing = {"status": 500, "text": "busy"}
    upstream.renew(script=[{"match": "^Question", "reply": [failing, failing, "all of it"]},
                           {"match": "Your task", "reply": "found"}])  # fmt: skip
    tasks = plan(("a", "first", []), ("b", "second", []))
    report = ask("Both?", notes, plan=tasks, max_rounds=0, max_usd="0.05")
    assert report.answer == "all of it" and report.outcome == "complete"
    assert report.budget.unconfirmed_usd > 0


def test_max_cost_multiple_refuses_a_plan_before_a_sub_agent_spends(
    upstream: ProviderProcess, notes: Path
) -> None:
    tasks = plan(*[(f"t{at}", "What is x of y?", []) for at in range(8)])
    with pytest.raises(ConfigurationError, match="max_cost_multiple"):
        ask("All?", notes, plan=tasks, max_cost_multiple=1.5)
    assert upstream.settled_stats()["requests"] == 0

"""Blocks made by hand, a run that waits for money, and the ceiling raised in the form; a question
answered with Resume."""

import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor import Governor
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.flows.automations.automations import ask
from tests.provider.process import ProviderProcess
from tests.ui.browser import missing
from tests.ui.drive.person import Chosen, Json, Person, Value
from tests.ui.drive.waiting import ended, named, so, waits_for_money

pytestmark = [
    pytest.mark.ui,
    pytest.mark.slow,
    pytest.mark.usefixtures("worker"),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

KEYS = ("north", "south", "east")
# Of three calls it takes the bound of the first.
CEILING, MORE = "0.00005", "0.01"


@pytest.fixture
def team() -> str:
    return f"team-{uuid.uuid4().hex[:8]}"


@pytest.fixture
def items(tmp_path: Path) -> Mapping[str, Value]:
    """What is filled in for a run over three files, one after the other."""
    for key in KEYS:
        (tmp_path / f"{key}.txt").write_text(f"the text of {key}: nothing much")
    return {
        "Ask": "What is this?",
        "Sources": ["*.txt"],
        "Folder": str(tmp_path),
        "Max concurrent": "1",
        "Max output tokens": "24",
    }


async def test_what_waits_for_money_goes_on_within_seconds_of_a_raise_in_the_form(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    team: str,
    items: Mapping[str, Value],
) -> None:
    provider.configure(output_tokens="max")
    budget = await person.make_block("governor-budget", team, {"Max USD": CEILING})
    await person.make_block(
        "governor",
        f"{team}-governor",
        {"Parent budget": team, "When spent": Chosen("pause"), "All calls: max concurrent": "2"},
    )
    await person.make_block("governor-model", f"{team}-model", {"Model name": "openai/gpt-4o-mini"})
    run_id = await person.start(
        deployed["fan-out"],
        {**items, "Governor": f"{team}-governor", "Model": f"block:{team}-model"},
    )
    await waits_for_money(client, run_id)
    before = provider.settled_stats()
    assert before["requests"] == 1
    assert before["billed_nano"] <= Decimal(CEILING) * 10**9

    await person.edit_block(budget, {"Max USD": MORE})
    took = await so(lambda: provider.stats()["requests"] > 1, seconds=60)
    print(f"went on {took:.1f} s after the raise")
    assert took < 15
    state = await ended(client, run_id)

    assert state.name == "Completed", state.message
    assert provider.settled_stats()["requests"] == len(KEYS)
    governor: Any = await Governor.aload(f"{team}-governor")
    figures = budget_figures(governor.runtime, None)
    assert int(figures.spent_usd * 10**9) == provider.settled_stats()["billed_nano"]
    await person.reads(run_id, "fan-out-summary", "Complete: 3 of 3 items succeeded", team)


async def test_a_raise_that_is_answered_on_a_page_with_resume_lets_a_run_go_on(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    team: str,
    items: Mapping[str, Value],
) -> None:
    provider.configure(output_tokens="max")
    await person.make_block("governor", team, {"Max USD": CEILING, "When spent": Chosen("pause")})
    # As `prefect-governor automate ask` makes it; its Automation would start it by itself.
    ask(team, pool="governed", at_most_usd=None)
    question = client.read_deployment_by_name(f"ask-to-raise/{team}").id
    run_id = await person.start(
        deployed["fan-out"], {**items, "Governor": team, "Model": "openai/gpt-4o-mini"}
    )
    await waits_for_money(client, run_id)
    asking = await person.start(question, {})
    await named(client, asking, "Suspended")
    assert provider.settled_stats()["requests"] == 1

    await person.press(
        asking, "Resume", {"New ceiling in USD": "+0.01", "Reason": "it is worth it"}
    )
    state = await ended(client, run_id)

    assert state.name == "Completed", state.message
    assert provider.settled_stats()["requests"] == len(KEYS)
    answered = await ended(client, asking)
    assert answered.name == "Raised"
    assert answered.message == f"{team} from $0.0000500 to $0.0100"


async def test_governor_made_by_hand_is_what_python_loads(
    person: Person, deployed: dict[str, UUID], team: str
) -> None:
    limits = '[{"tag": "llm", "max_concurrent": 4}]'
    typed: Mapping[str, Value] = {"Max USD": "2.5", "Window": Chosen("day")}
    if person.prefix == "":
        # A form for each item stands in the newer one; tests/ui/test_ui.py fills it in.
        typed = {**typed, "Limits by tag or model": Json(limits)}
    await person.make_block("governor", team, typed)

    governor: Any = await Governor.aload(team)
    assert (governor.budget.max_usd, governor.budget.window) == (Decimal("2.5"), "day")
    assert len(governor.limits) == ("Limits by tag or model" in typed)

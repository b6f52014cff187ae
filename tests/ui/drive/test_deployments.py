"""Each deployment of prefect.yaml, run from its own form, ends as it should."""

import json
import uuid
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor import Governor
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.flows.report.shown.amounts import usd
from tests.provider.process import ProviderProcess
from tests.ui.browser import missing
from tests.ui.drive.person import Chosen, Json, Person
from tests.ui.drive.waiting import ended

pytestmark = [
    pytest.mark.ui,
    pytest.mark.slow,
    pytest.mark.usefixtures("worker"),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

MODEL = "openai/gpt-4o-mini"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    for key in ("north", "south"):
        (tmp_path / f"{key}.txt").write_text(f"the text of {key}: a budget is a ceiling")
    return tmp_path


async def test_fan_out(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    folder: Path,
) -> None:
    run_id = await person.start(
        deployed["fan-out"],
        {
            "Ask": "What is a budget?",
            "Sources": ["north.txt", "south.txt"],
            "Folder": str(folder),
            "Model": MODEL,
            "Max USD": "0.5",
            "Items per task": Chosen("auto", tab="auto"),
        },
    )
    state = await ended(client, run_id)

    assert state.name == "Completed", state.message
    parameters = client.read_flow_run(run_id).parameters
    assert (parameters["max_usd"], parameters["items_per_task"]) == (0.5, "auto")
    stats = provider.settled_stats()
    assert stats["requests"] == 2
    billed = f"This run: ${stats['billed_nano'] / 10**9:.7f}"
    await person.reads(run_id, "fan-out-summary", "Complete: 2 of 2 items succeeded", billed)
    await person.reads(run_id, "fan-out-items", "north")


async def test_research(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    folder: Path,
) -> None:
    plan = {"tasks": [{"id": key, "objective": f"What says {key}?"} for key in ("north", "south")]}
    run_id = await person.start(
        deployed["research"],
        {
            "Question": "What is a budget?",
            "Corpus": ["*.txt"],
            "Folder": str(folder),
            "Model": MODEL,
            "Max rounds": "0",
            "Plan": Json(json.dumps(plan)),
        },
    )
    state = await ended(client, run_id)

    assert state.is_completed(), state.message
    stats = provider.settled_stats()
    # An agent for each task of the plan, and the synthesis.
    assert stats["requests"] == 3
    billed = f"This run: {usd(Decimal(stats['billed_nano']) / 10**9)}"
    await person.reads(run_id, "research-summary", "Complete: 2 of 2 items succeeded", billed)


async def test_digest_twice_pays_only_for_what_changed(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    folder: Path,
) -> None:
    name = f"changes-{uuid.uuid4().hex[:8]}"
    asked = {
        "Sources": ["*.txt"], "Folder": str(folder), "Model": MODEL, "Name": name,
        "File": "digest.md",
    }  # fmt: skip
    first = await ended(client, await person.start(deployed["digest"], asked))
    assert first.name == "Completed", first.message
    assert provider.settled_stats()["requests"] == 2

    (folder / "north.txt").write_text("another text: a budget is hard")
    run_id = await person.start(deployed["digest"], asked)
    second = await ended(client, run_id)

    assert second.name == "Completed", second.message
    assert provider.settled_stats()["requests"] == 3
    assert second.message is not None
    assert second.message.startswith("0 new, 1 changed, 1 as before, 0 removed")
    await person.reads(run_id, f"digest-{name}", "north.txt")
    assert "north.txt" in (folder / "digest.md").read_text()


async def test_reconcile_settles_what_an_export_says_of_a_call_that_nobody_confirmed(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    folder: Path,
) -> None:
    team = f"team-{uuid.uuid4().hex[:8]}"
    await person.make_block("governor", team, {"Max USD": "1"})
    provider.configure(faults={"at": {"1": "no_usage"}})
    run_id = await person.start(
        deployed["fan-out"],
        {"Sources": ["north.txt"], "Folder": str(folder), "Governor": team, "Model": MODEL},
    )
    await ended(client, run_id)
    governor: Any = await Governor.aload(team)
    assert budget_figures(governor.runtime, None).unconfirmed_usd > 0
    (folder / "openai.csv").write_text(provider.usage_export("csv"))

    run_id = await person.start(
        deployed["reconcile"], {"Usage exports": ["*.csv"], "Folder": str(folder)}
    )
    state = await ended(client, run_id)

    assert state.is_completed(), state.message
    assert state.message is not None
    assert "1 settled by the provider's exports" in state.message
    figures = budget_figures(governor.runtime, None)
    assert figures.unconfirmed_usd == 0
    assert int(figures.spent_usd * 10**9) == provider.settled_stats()["billed_nano"]
    await person.reads(run_id, "unconfirmed", "1 settled by the provider's exports")

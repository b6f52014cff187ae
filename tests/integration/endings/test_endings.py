"""Each state that a run can be in: what its page says, in Prefect's state and in its artifacts."""

import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor.blocks.claims import flow_stops
from prefect_governor.flows.estimate import approval
from tests.integration.endings.bringing import (
    ENDINGS,
    KEYS,
    Stage,
    artifacts,
    research_terminated,
    terminated_unheard,
)
from tests.provider.process import ProviderProcess
from tests.warm import WarmParent

pytestmark = pytest.mark.usefixtures("server", "put_out_of_work")


@dataclass(frozen=True)
class Page:
    """What a run's page has: the state's type and name, words of its message and of the summary,
    how many items the table has in each state; and which artifacts."""

    state: tuple[str, str]
    message: str = ""
    summary: tuple[str, ...] = ()
    items: Mapping[str, int] = field(default_factory=dict)
    keys: frozenset[str] = frozenset({"items", "over-time", "progress", "summary"})


# The artifacts of a run that did not end in its own process.
TOLD_LATER = frozenset({"items", "progress", "summary"})
PAGES = {
    "complete": Page(
        ("COMPLETED", "Completed"), "3 of 3 items succeeded", ("Complete",), {"succeeded": 3}
    ),
    "partial": Page(
        ("COMPLETED", "Partial"),
        "2 of 3 items succeeded, 1 failed",
        ("Partial", "--resume"),
        {"succeeded": 2, "failed": 1},
    ),
    "failed": Page(("FAILED", "Failed"), "0 of 2 items succeeded", ("Failed",), {"failed": 2}),
    "over budget": Page(
        ("COMPLETED", "Partial"),
        "over budget",
        ("Partial", "--resume"),
        {"succeeded": 1, "over budget": 2},
    ),
    "paused for money": Page(("RUNNING", "Running"), keys=frozenset({"progress"})),
    "paused for approval": Page(("PAUSED", "Paused"), keys=frozenset()),
    "cancelled": Page(
        ("CANCELLED", "Cancelled"),
        "",
        ("the flow run was cancelled before this began", "--resume"),
        {"succeeded": 2, "not started": 1},
    ),
    "terminated": Page(
        ("CRASHED", "Crashed"),
        "",
        ("the flow run was told to end before this began", "--resume"),
        {"succeeded": 2, "not started": 1},
    ),
    "crashed": Page(
        ("CRASHED", "Crashed"),
        "the process died: 1 of 3 items succeeded",
        ("the process died before this began", "--resume"),
        {"succeeded": 1, "failed": 1, "not started": 1},
        TOLD_LATER,
    ),
    "server lost": Page(
        ("COMPLETED", "Completed"),
        "3 of 3 items succeeded",
        ("Complete",),
        {"succeeded": 3},
    ),
}


@pytest.fixture
def stage(
    client: SyncPrefectClient,
    upstream: ProviderProcess,
    warm: WarmParent,
    monkeypatch: pytest.MonkeyPatch,
) -> Iterator[Stage]:
    monkeypatch.setattr(flow_stops, "LOOK_SECONDS", 0.2)
    monkeypatch.setattr(approval, "LOOK_SECONDS", 0.2)
    with Stage(client, upstream, warm.command) as opened:
        yield opened


def seen(client: SyncPrefectClient, run_id: UUID) -> tuple[frozenset[str], str, Mapping[str, int]]:
    found = artifacts(client, run_id)
    keys = [str(each.key).removeprefix("fan-out-") for each in found]
    # One set of them.
    assert len(keys) == len({*keys}), keys
    by_key = dict(zip(keys, found, strict=True))
    summary = str(by_key["summary"].data) if "summary" in by_key else ""
    rows = json.loads(str(by_key["items"].data)) if "items" in by_key else []
    states = Counter(row["state"].replace("_", " ") for row in rows if row["key"] in KEYS)
    return frozenset(keys), summary, states


@pytest.mark.parametrize("ending", ENDINGS)
def test_its_page_tells_the_whole_story(ending: str, stage: Stage) -> None:
    expected = PAGES[ending]
    run_id = ENDINGS[ending](stage)
    state = stage.client.read_flow_run(run_id).state
    assert state is not None
    assert (state.type.value, state.name) == expected.state, state
    assert expected.message in str(state.message)
    keys, summary, rows = seen(stage.client, run_id)
    assert keys == expected.keys
    for words in expected.summary:
        assert words in summary.replace("\\", ""), summary
    assert rows == expected.items
    if ending == "crashed":
        # What nobody settled is this run's too: all that its own ceiling was drawn on.
        cost = re.search(r"This run: \*\*(\$[0-9.]+)\*\*", summary)
        assert cost is not None
        assert f" {cost[1]} of $" in summary
    if "progress" in keys and not state.is_running():
        # The whole page says the same.
        (progress,) = (each for each in artifacts(stage.client, run_id) if each.type == "progress")
        done = sum(count for state, count in rows.items() if state != "not started")
        assert f"{done} of {sum(rows.values())} done" in str(progress.description)


def test_an_end_by_a_signal_that_no_server_heard_of_is_told_later(stage: Stage) -> None:
    run_id = terminated_unheard(stage)
    state = stage.client.read_flow_run(run_id).state
    assert state is not None and state.is_crashed(), state
    assert "before Prefect was told how: stopped early: 2 of 3 items" in str(state.message)
    keys, summary, rows = seen(stage.client, run_id)
    assert keys == {"items", "over-time", "progress", "summary"}
    assert "the flow run was told to end before this began" in summary
    assert rows == {"succeeded": 2, "not started": 1}


@pytest.mark.chaos
def test_a_research_that_is_told_to_end_has_its_report_too(stage: Stage) -> None:
    run_id = research_terminated(stage)
    state = stage.client.read_flow_run(run_id).state
    assert state is not None and state.is_crashed()
    found = {
        str(each.key).removeprefix("research-"): str(each.data)
        for each in artifacts(stage.client, run_id)
    }
    assert {*found} == {"plan", "graph", "progress", "answer", "items", "over-time", "summary"}
    assert "the flow run was told to end before this began" in found["summary"]
    states = Counter(row["state"].replace("_", " ") for row in json.loads(found["items"]))
    assert (states["succeeded"], states["not started"]) == (2, 1)

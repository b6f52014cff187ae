"""Retry, Cancel and Resume, pressed on a run's page in each UI."""

from pathlib import Path
from uuid import UUID

import pytest
from prefect.client.orchestration import SyncPrefectClient

from tests.integration.endings.bringing import artifacts
from tests.provider.process import ProviderProcess
from tests.ui.browser import missing
from tests.ui.drive.person import Person, Value
from tests.ui.drive.waiting import ended, named, so

pytestmark = [
    pytest.mark.ui,
    pytest.mark.slow,
    pytest.mark.usefixtures("worker"),
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

KEYS = ("north", "south", "east")


@pytest.fixture
def asked(tmp_path: Path) -> dict[str, Value]:
    for key in KEYS:
        (tmp_path / f"{key}.txt").write_text(f"the text of {key}: nothing much")
    return {
        "Sources": ["*.txt"],
        "Folder": str(tmp_path),
        "Model": "openai/gpt-4o-mini",
        "Max output tokens": "24",
    }


def heading(client: SyncPrefectClient, run_id: UUID) -> list[str]:
    found = [each for each in artifacts(client, run_id) if each.key == "fan-out-summary"]
    return [str(each.description) for each in found]


async def test_retry_of_a_partial_run_pays_only_for_what_is_missing(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    asked: dict[str, Value],
) -> None:
    provider.configure(script=[{"match": "of south:", "reply": {"status": 400, "text": "no"}}])
    run_id = await person.start(deployed["fan-out"], asked)
    state = await ended(client, run_id)
    assert state.name == "Partial", state.message
    before = provider.settled_stats()
    await person.reads(run_id, "fan-out-summary", "Partial: 2 of 3 items succeeded, 1 failed")
    assert await person.offered(run_id) == {"Retry"}

    provider.configure(script=[])
    await person.press(run_id, "Retry")
    await so(lambda: client.read_flow_run(run_id).run_count == 2)
    state = await ended(client, run_id)

    assert state.name == "Completed", state.message
    after = provider.settled_stats()
    assert after["requests"] == before["requests"] + 1
    assert after["billed_nano"] > before["billed_nano"]
    billed = f"This run: ${after['billed_nano'] / 10**9:.7f}"
    await person.reads(run_id, "fan-out-summary", "Complete: 3 of 3 items succeeded", billed)
    assert any("Attempt 2" in each for each in heading(client, run_id))


async def test_cancel_ends_a_run_with_its_report(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    asked: dict[str, Value],
) -> None:
    late = {"text": "late", "latency_seconds": 60}
    provider.configure(script=[{"match": ".", "reply": ["at once", late]}])
    run_id = await person.start(deployed["fan-out"], {**asked, "Max concurrent": "1"})
    await so(lambda: provider.stats()["requests"] == 2)
    assert await person.offered(run_id) == {"Cancel"}

    await person.press(run_id, "Cancel")
    state = await ended(client, run_id)

    assert state.name == "Cancelled", state.message
    await so(lambda: bool(heading(client, run_id)))
    assert provider.stats()["requests"] == 2
    await person.reads(run_id, "fan-out-summary", "1 of 3 items succeeded", "not started")


async def test_resume_starts_what_waited_for_a_person(
    person: Person,
    deployed: dict[str, UUID],
    provider: ProviderProcess,
    client: SyncPrefectClient,
    asked: dict[str, Value],
) -> None:
    run_id = await person.start(deployed["fan-out"], {**asked, "Ask above USD": "0.000001"})
    await named(client, run_id, "Paused")
    assert provider.settled_stats()["requests"] == 0
    assert await person.offered(run_id) == {"Cancel", "Resume"}

    await person.press(run_id, "Resume", {})
    state = await ended(client, run_id)

    assert state.name == "Completed", state.message
    assert provider.settled_stats()["requests"] == len(KEYS)
    await person.reads(run_id, "fan-out-summary", "Complete: 3 of 3 items succeeded")

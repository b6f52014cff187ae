"""The pictures of a run's page in each state that a run can be in.

`REVIEW_SHOTS` names a folder that gets more than the docs have: the summaries, whole, and the page
in the UI that opens by default.
"""

import asyncio
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from tests.ui.browser import browser
from tests.ui.shots import new_page, save

if TYPE_CHECKING:
    from playwright.async_api import Page

# Whose summary is pictured too: a run that did not end as it was asked to.
SUMMARIES = ("partial", "failed", "over budget", "cancelled", "crashed", "server lost")


async def take_endings(ui_url: str) -> None:
    """A picture of each."""
    from prefect.client.orchestration import get_client

    from prefect_governor.blocks.claims import flow_stops
    from tests.integration.endings.bringing import ENDINGS, Stage
    from tests.provider.process import ProviderProcess

    # A run that is cancelled has something left to do then.
    flow_stops.LOOK_SECONDS = 0.2
    with ProviderProcess() as provider:
        os.environ.update(
            OPENAI_API_BASE=provider.api_base,
            OPENAI_BASE_URL=provider.api_base,
            OPENAI_API_KEY="sk-test-of-the-pictures",
        )
        async with browser(width=1500, height=1000) as context:
            page = await new_page(context)
            for name, bring in ENDINGS.items():
                with get_client(sync_client=True) as client:
                    stage = Stage(client, provider, _command)
                    try:
                        run_id = await asyncio.to_thread(bring, stage)
                        await _take(page, ui_url, name, run_id)
                    finally:
                        await asyncio.to_thread(stage.closing.close)


def _command(*words: str) -> list[str]:
    return [sys.executable, *words]


async def _take(page: "Page", ui_url: str, name: str, run_id: UUID) -> None:
    from tests.ui.pages import RunPage

    run, file = RunPage(page, ui_url, str(run_id)), name.replace(" ", "-")
    first = {"paused for money": "fan-out-progress", "paused for approval": None}
    key = first.get(name, "fan-out-summary")
    await run.open("Artifacts" if key is not None else "Logs")
    if key is not None:
        await page.get_by_role("link", name=key).wait_for()
    await save(page, f"endings/{file}")
    folder = os.environ.get("REVIEW_SHOTS")
    if folder is not None:
        await run.open("Logs" if "paused" in name else "Details")
        await _keep(page, folder, f"{file}-tab")
        await page.goto(f"{ui_url}/runs/flow-run/{run_id}?tab=Artifacts")
        await _keep(page, folder, f"{file}-default")
    if key is not None:
        await (await run.open()).artifact(key)
        if name in SUMMARIES:
            await save(page, f"endings/{file}-summary")
        if folder is not None:
            await _keep(page, folder, f"{file}-{key}")
    if folder is not None and name in SUMMARIES:
        await (await run.open()).artifact("fan-out-items")
        await _keep(page, folder, f"{file}-items")


async def _keep(page: "Page", folder: str, name: str) -> None:
    await page.wait_for_timeout(1_000)
    path = Path(folder) / f"{name}.png"
    await page.screenshot(path=str(path), full_page=True)

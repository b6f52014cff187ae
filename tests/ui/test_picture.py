"""The picture of a run in Prefect's UI: a person comes to it from the summary, and sees it."""

import os
from pathlib import Path
from typing import Literal

import pytest
from playwright.async_api import Page, expect

from prefect_governor import afan_out
from prefect_governor.flows.server.background import ServerInfo
from tests.ui.browser import missing
from tests.ui.pages import RunPage

pytestmark = [
    pytest.mark.ui,
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]

# Where a person who wants to look has them kept.
SHOTS = os.environ.get("UI_SHOTS")
TEXTS = [f"Parcel {at} of the ledger is a row of a file. It is never lost." for at in range(60)]


async def test_summary_leads_to_the_picture_of_the_run(server: ServerInfo, page: Page) -> None:
    report = await afan_out(
        TEXTS, ask="What is a parcel?", model="offline/extract", max_usd=1, max_concurrent=4
    )
    run = await RunPage(page, server.ui_url, report.run_id).open()
    await _keep(page, "run")
    await run.artifact("fan-out-summary")
    await page.get_by_role("link", name="In flight, queue, rate and spend over time").click()
    picture = page.locator("img[src^='data:image/svg+xml']").first
    await expect(picture).to_be_visible(timeout=30_000)
    # An SVG that is not well-formed has no size.
    assert await picture.evaluate("image => image.naturalWidth") == 720
    # The text of its address is nowhere.
    assert "base64" not in await page.locator("body").inner_text()
    box = await picture.bounding_box()
    assert box is not None
    assert box["width"] >= 300
    schemes: tuple[Literal["light", "dark"], ...] = ("light", "dark")
    for scheme in schemes:
        await page.emulate_media(color_scheme=scheme)
        await _keep(page, scheme)


async def _keep(page: Page, name: str) -> None:
    if SHOTS:
        await page.wait_for_timeout(500)
        await page.screenshot(path=str(Path(SHOTS) / f"picture-{name}.png"), full_page=True)

"""`python -m tests.ui.screenshots`: takes the docs' pictures of a fan-out in Prefect's UI.

On a server of its own, with the offline model, so that it costs nothing and needs no key.
"""

import asyncio
import io
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING
from uuid import UUID

from tests.ui.browser import browser, missing

if TYPE_CHECKING:
    from playwright.async_api import BrowserContext, Page

ROOT = Path(__file__).parents[2]
FOLDER = ROOT / "docs" / "images"
MAX_BYTES = 120_000
COLOURS = 64
SIZE = (1200, 800)


def main() -> int:
    if reason := missing():
        print(reason, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        # Before anything imports Prefect or LiteLLM: both read their settings once.
        os.environ.update(
            PREFECT_HOME=home,
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            PREFECT_LOGGING_LEVEL="WARNING",
            DO_NOT_TRACK="1",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        os.environ.pop("PREFECT_API_URL", None)
        from prefect_governor.flows.server import ensure_server, stop_server, use_server

        info = ensure_server()
        use_server(info)
        try:
            asyncio.run(_take(info.ui_url))
        finally:
            stop_server()
    return 0


async def _take(ui_url: str) -> None:
    from prefect_governor import Budget, Governor, Limit, afan_out
    from tests.ui.pages import GovernorForm, RunPage

    subprocess.run(
        [sys.executable, "-m", "prefect", "block", "register", "-m", "prefect_governor.blocks"],
        check=True,
        capture_output=True,
    )
    saved = await Governor(
        budget=Budget(max_usd=5, window="day"),
        limits=[Limit(tag="llm", max_concurrent=10, requests_per_minute=500)],
    ).asave("llm-team")
    assert isinstance(saved, UUID)
    with tempfile.TemporaryDirectory() as folder:
        ledger = Path(folder) / "ledger"
        shutil.copytree(ROOT / "blocks" / "ledger", ledger, ignore=shutil.ignore_patterns("_*"))
        (ledger / "scan.pdf").write_bytes(b"%PDF-1.4 cut off")
        report = await afan_out(
            sources=["ledger/*.py", "ledger/scan.pdf"],
            folder=folder,
            ask="What does this module do?",
            model="offline/extract",
            governor="llm-team",
        )
    async with browser(width=1500, height=1000) as context:
        page = await _page(context)
        run = await RunPage(page, ui_url, report.run_id).open()
        await page.get_by_text(f"{len(report.items)} items in input order").wait_for()
        await _save(page, "run")
        await run.artifact("fan-out-summary")
        await _save(page, "summary")
        await (await run.open()).artifact("fan-out-items")
        await _save(page, "items")
        await GovernorForm(page, ui_url).edit(saved)
        await _save(page, "governor-form")


async def _page(context: "BrowserContext") -> "Page":
    page = await context.new_page()
    # A picture that is half drawn is none.
    await page.emulate_media(reduced_motion="reduce")
    return page


async def _save(page: "Page", name: str) -> None:
    """Writes `<name>.png`, reduced, in few colours."""
    from PIL import Image

    # The timeline is a canvas, which nothing can be asked of.
    await page.wait_for_timeout(2_000)
    shot = Image.open(io.BytesIO(await page.screenshot(animations="disabled")))
    path = FOLDER / f"{name}.png"
    path.parent.mkdir(parents=True, exist_ok=True)
    shot.convert("RGB").resize(SIZE, Image.Resampling.LANCZOS).quantize(COLOURS).save(
        path, optimize=True
    )
    size = path.stat().st_size
    print(f"{path.relative_to(ROOT)}: {size:,} bytes")
    assert size <= MAX_BYTES, f"{path} is too large"


if __name__ == "__main__":
    sys.exit(main())

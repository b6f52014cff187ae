"""`python -m tests.ui.screenshots`: takes the docs' pictures of runs in Prefect's UI.

`fan-out`, `research` or `endings` after it takes those alone. On a server of its own, with the
offline model or the tests' provider, so that it costs nothing and needs no key.
"""

import asyncio
import os
import re
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from tests import ROOT
from tests.ui.browser import browser, missing
from tests.ui.endings import take_endings
from tests.ui.shots import new_page, save

PAGE = ROOT / "docs" / "how-to" / "research.md"
QUESTION = "What is known of a call's money?"


def main() -> int:
    if reason := missing():
        print(reason, file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as home:
        # Before anything imports Prefect or LiteLLM: both read their settings once.
        os.environ.update(
            PREFECT_HOME=home,
            PREFECT_SERVER_ANALYTICS_ENABLED="false",
            # Of a run's log the page has what is logged.
            PREFECT_LOGGING_LEVEL="INFO",
            DO_NOT_TRACK="1",
            LITELLM_LOCAL_MODEL_COST_MAP="True",
        )
        os.environ.pop("PREFECT_API_URL", None)
        from prefect_governor.flows.server.server import ensure_server, stop_server, use_server

        info = ensure_server()
        use_server(info)
        try:
            asyncio.run(_take(info.ui_url))
        finally:
            stop_server()
    return 0


async def _take(ui_url: str) -> None:
    takes = {"fan-out": _take_fan_out, "research": _take_research, "endings": take_endings}
    for name in sys.argv[1:] or takes:
        await takes[name](ui_url)


async def _take_fan_out(ui_url: str) -> None:
    from prefect_governor import Budget, Governor, Limit, afan_out
    from tests.ui.pages import GovernorForm, RunPage

    subprocess.run(
        [sys.executable, "-m", "prefect", "block", "register", "-m", "prefect_governor.blocks"],
        check=True,
        capture_output=True,
    )
    saved = await Governor(
        budget=Budget(max_usd=5, window="day"),
        max_concurrent=40,
        requests_per_minute=500,
        limits=[Limit(tag="llm", max_concurrent=10)],
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
        page = await new_page(context)
        run = await RunPage(page, ui_url, report.run_id).open()
        await run.artifact("fan-out-summary")
        await save(page, "summary")
        await GovernorForm(page, ui_url).edit(saved)
        await save(page, "governor-form")


async def _take_research(ui_url: str) -> None:
    """By the plan of the docs' page, over the docs. For the picture of its progress a run is held
    back by a rate, and told to stop once it was taken."""
    from prefect_governor import aresearch
    from prefect_governor.flows.report.progress import Progress
    from prefect_governor.flows.run.control import Control, current_control
    from tests.ui.pages import RunPage

    plan = _plan()
    options: dict[str, Any] = {
        "corpus": ["docs"], "folder": str(ROOT), "plan": plan, "model": "offline/extract"
    }  # fmt: skip
    held_back = len(plan["tasks"]) // 2
    started: asyncio.Queue[str] = asyncio.Queue()
    is_held_back = asyncio.Event()
    loop = asyncio.get_running_loop()

    def tell(run_id: str) -> None:
        loop.call_soon_threadsafe(started.put_nowait, run_id)

    def look(now: Progress) -> None:
        if now.done and now.bottleneck and not now.in_flight:
            loop.call_soon_threadsafe(is_held_back.set)

    control = Control(started=tell, watch=look)
    token = current_control.set(control)
    waiting = asyncio.create_task(
        aresearch(QUESTION, requests_per_minute=held_back, max_concurrent=2, **options)
    )
    current_control.reset(token)
    async with browser(width=1500, height=1000) as context:
        page = await new_page(context)
        run_id = await started.get()
        await asyncio.wait_for(is_held_back.wait(), timeout=60)
        # The artifact is written every two seconds.
        await asyncio.sleep(5)
        run = await RunPage(page, ui_url, run_id).open()
        await run.artifact("research-progress")
        await save(page, "research-progress")
        control.stop.set()
        await waiting
        report = await aresearch(QUESTION, **options)
        run = await RunPage(page, ui_url, report.run_id).open()
        await page.get_by_text(f"{len(report.items)} items in input order").wait_for()
        await save(page, "research-run")
        await run.artifact("research-graph")
        await save(page, "research-graph")
        await (await run.open()).artifact("research-answer")
        await save(page, "research-answer")


def _plan() -> dict[str, Any]:
    """The plan that the docs' page shows."""
    import yaml

    text = PAGE.read_text(encoding="utf-8")
    (code,) = re.findall(r"^```yaml\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    plan: dict[str, Any] = yaml.safe_load(code)
    return plan


if __name__ == "__main__":
    sys.exit(main())

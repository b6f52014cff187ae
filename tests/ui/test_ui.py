"""What people do with a governed fan-out in Prefect's own UI, done in a browser."""

import asyncio
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest
from playwright.async_api import Page, expect
from prefect.client.orchestration import SyncPrefectClient, get_client
from prefect.client.schemas.actions import WorkPoolCreate
from prefect.client.schemas.filters import FlowRunFilter, FlowRunFilterDeploymentId

from prefect_governor import Budget, Governor, Limit, Model, afan_out
from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.figures.figures import budget_figures
from prefect_governor.blocks.governor import resolve
from prefect_governor.flows.server.background import ServerInfo
from tests import ROOT
from tests.provider.process import ProviderProcess
from tests.ui.browser import missing
from tests.ui.pages import DefaultForm, GovernorForm, RunForm, RunPage

MODEL = "offline/extract"
TEXTS = [
    {"key": "one", "text": "The ledger is a file. Every call is a row of it."},
    {"key": "two", "text": "A budget is a ceiling. It is never exceeded."},
]

pytestmark = [
    pytest.mark.ui,
    pytest.mark.slow,
    pytest.mark.skipif(missing() is not None, reason=str(missing())),
]


@pytest.fixture(scope="module")
def blocks(server: ServerInfo) -> None:
    """The block types, registered as the README says."""
    _prefect("block", "register", "-m", "prefect_governor.blocks")


@pytest.fixture
def client(server: ServerInfo) -> Iterator[SyncPrefectClient]:
    with get_client(sync_client=True) as opened:
        yield opened


@pytest.fixture
def worker(server: ServerInfo, client: SyncPrefectClient, tmp_path: Path) -> Iterator[None]:
    if not any(pool.name == "governed" for pool in client.read_work_pools()):
        client.create_work_pool(WorkPoolCreate(name="governed", type="process"))
    with (tmp_path / "worker.log").open("w") as log:
        process = subprocess.Popen(
            [sys.executable, "-m", "prefect", "worker", "start", "--pool", "governed",
             "--type", "process"],
            stdout=log, stderr=log, env={**os.environ, "PREFECT_WORKER_QUERY_SECONDS": "1"},
        )  # fmt: skip
    yield
    process.send_signal(signal.SIGINT)
    process.wait(timeout=120)
    print((tmp_path / "worker.log").read_text()[-4000:])


@pytest.fixture
def deployment(server: ServerInfo, client: SyncPrefectClient) -> UUID:
    _prefect("--no-prompt", "deploy", "--name", "fan-out")
    return client.read_deployment_by_name("fan-out/fan-out").id


async def test_governor_made_in_the_form_is_the_one_that_python_loads(
    blocks: None, server: ServerInfo, page: "Page"
) -> None:
    form = await GovernorForm(page, server.ui_url).create("made-in-the-ui")
    await form.input("Max USD").fill("2.5")
    await form.choose("Window", "day")
    await form.add_limit()
    await form.input("Tag").fill("llm")
    await form.input("Max concurrent").fill("4")
    await form.save()

    governor = await _load("made-in-the-ui")

    assert governor.budget.max_usd == Decimal("2.5")
    assert (governor.budget.window, governor.budget.parent) == ("day", None)
    assert governor.limits == [Limit(tag="llm", max_concurrent=4)]
    assert governor.queue_timeout_seconds is None
    assert governor.runtime.accounts_[0].ceiling_nano == 2_500_000_000


async def test_governor_saved_by_python_shows_its_budget_in_the_form_and_keeps_it(
    blocks: None, server: ServerInfo, page: "Page"
) -> None:
    saved = await Governor(
        budget=Budget(max_usd="0.35", window="day"),
        limits=[Limit(tag="llm", max_concurrent=10, requests_per_minute=500)],
        queue_timeout_seconds=60,
    ).asave("made-in-python", overwrite=True)
    assert isinstance(saved, UUID)
    form = await GovernorForm(page, server.ui_url).edit(saved)
    assert await form.input("Max USD").input_value() == "0.35"
    assert await form.input("Max concurrent").input_value() == "10"

    await form.input("Max USD").fill("0.7")
    await form.input("Max concurrent").fill("3")
    await form.input("Requests per minute").fill("")
    await form.save()

    governor = await _load("made-in-python")
    assert governor.budget.model_dump(exclude={"block_type_slug"}) == {
        "max_usd": 0.7, "max_total_tokens": None, "window": "day", "time_zone": "UTC",
        "parent": None,
    }  # fmt: skip
    assert governor.limits == [Limit(tag="llm", max_concurrent=3)]
    assert governor.queue_timeout_seconds == 60


async def test_form_without_a_ceiling_makes_a_governor_that_lets_nothing_through(
    blocks: None, server: ServerInfo, page: "Page"
) -> None:
    form = await GovernorForm(page, server.ui_url).create("no-ceiling")
    await form.save()

    # The form enforces no required field: what it saves is refused where it is loaded.
    with pytest.raises(ConfigurationError, match="a budget needs a ceiling"):
        await asyncio.to_thread(resolve, "no-ceiling")


async def test_forms_of_the_default_ui_make_blocks_that_load(
    blocks: None, server: ServerInfo, page: "Page"
) -> None:
    form = await DefaultForm(page, server.ui_url).create("governor-model", "one-click")
    await form.save()
    # The snippet that the page offers is this block's.
    await expect(page.get_by_text('Model.load("one-click")')).to_be_visible()
    model: Any = await Model.aload("one-click")
    assert (model.name, model.price) == ("openai/gpt-4o-mini", None)

    form = await DefaultForm(page, server.ui_url).create("governor", "typed")
    await form.fill("Max USD", "2.5")
    await form.fill("All calls: max concurrent", "7")
    await form.paste("Limits by tag or model", '[{"tag": "llm", "max_concurrent": 4}]')
    await form.save()
    governor = await _load("typed")
    assert governor.budget.max_usd == Decimal("2.5")
    assert governor.every_limit == (Limit(max_concurrent=7), Limit(tag="llm", max_concurrent=4))


async def test_run_page_tells_every_item_and_what_became_of_the_run(
    server: ServerInfo, page: "Page", tmp_path: Path
) -> None:
    (tmp_path / "broken.pdf").write_bytes(b"%PDF-1.4 broken")
    init = {"key": "pkg/__init__.py", "text": "The ledger is a file."}
    report = await afan_out(
        [*TEXTS, init, tmp_path / "broken.pdf"], ask="What is this about?", model=MODEL, max_usd=1
    )
    run = await RunPage(page, server.ui_url, report.run_id).open()
    await expect(page.get_by_text("Partial", exact=True)).to_be_visible()

    await run.artifact("fan-out-summary")
    heading = page.get_by_role("heading", name="Partial: 3 of 4 items succeeded, 1 failed")
    await expect(heading).to_be_visible()
    await expect(
        page.get_by_role("cell", name=re.compile("the PDF cannot be read"))
    ).to_be_visible()

    await (await run.open()).artifact("fan-out-items")
    table = page.get_by_role("table")
    for key, state in (("one", "succeeded"), ("two", "succeeded"), ("broken.pdf", "failed")):
        row = table.get_by_role("row").filter(has=page.get_by_role("cell", name=key))
        await expect(row.get_by_role("cell", name=state, exact=True)).to_be_attached()
    # One UI makes Markdown of a cell, the other does not: what is read is the same.
    for ui in ("/v2/artifacts", "/artifacts"):
        await page.goto(re.sub("(/v2)?/artifacts", ui, page.url))
        total = page.get_by_role("table").get_by_text("total of 4 items")
        await expect(total).to_be_visible(timeout=30_000)
        cells = await page.get_by_role("cell").all_inner_texts()
        assert "pkg/__init__.py" in [cell.replace("\u200b", "") for cell in cells]
        assert not [cell for cell in cells if "\\" in cell]

    await (await run.open()).artifact("fan-out-progress")
    await expect(page.get_by_text("Progress: 100%")).to_be_visible()
    await expect(page.get_by_text("4 of 4 done · 1 failed")).to_be_visible()
    await expect(page.get_by_text(re.compile("Money .*this run .* of \\$1.00"))).to_be_visible()


async def test_run_from_the_form_draws_on_what_the_one_before_left_of_the_day(
    upstream: ProviderProcess,
    worker: None,
    deployment: UUID,
    blocks: None,
    client: SyncPrefectClient,
    server: ServerInfo,
    page: "Page",
    tmp_path: Path,
) -> None:
    for each in TEXTS:
        (tmp_path / f"{each['key']}.txt").write_text(each["text"])
    await Governor(
        budget=Budget(max_usd=1, window="day"), limits=[Limit(tag="llm", max_concurrent=4)]
    ).asave("from-the-form", overwrite=True)
    # The offline model spends no team's money.
    model = "openai/gpt-4o-mini"
    first = await afan_out(TEXTS, ask="What is this about?", model=model, governor="from-the-form")
    spent = budget_figures((await _load("from-the-form")).runtime, None).spent_usd
    assert spent == sum(item.usd for item in first.items) > 0

    form = await RunForm(page, server.ui_url).open(deployment)
    await form.fill("Ask", "What is never exceeded?")
    await form.fill("Governor", "from-the-form")
    await form.fill("Folder", str(tmp_path))
    await form.fill("Sources", "*.txt")
    await form.fill("Model", model)
    await form.submit()

    run = await asyncio.to_thread(_ended_run, client, deployment)
    assert run.parameters["governor"] == "from-the-form"
    assert run.state.name == "Completed", run.state.message
    figures = budget_figures((await _load("from-the-form")).runtime, None)
    print(f"${spent} before, ${figures.spent_usd} after, of ${figures.ceiling_usd}")
    assert figures.spent_usd > spent
    assert upstream.settled_stats()["requests"] == 2 * len(TEXTS)
    # The run's own summary counts what the one before spent.
    run_page = await RunPage(page, server.ui_url, str(run.id)).open()
    await run_page.artifact("fan-out-summary")
    await expect(
        page.get_by_role("paragraph").filter(has_text="of $1.00 (0%) in from-the-form")
    ).to_be_visible()


async def _load(name: str) -> Governor:
    loaded = await Governor.aload(name)
    assert isinstance(loaded, Governor)
    return loaded


def _ended_run(client: SyncPrefectClient, deployment: UUID, *, seconds: float = 90) -> Any:
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        runs = client.read_flow_runs(
            flow_run_filter=FlowRunFilter(
                deployment_id=FlowRunFilterDeploymentId(any_=[deployment])
            )
        )
        for run in runs:
            if run.state is not None and run.state.is_final():
                return run
        time.sleep(0.3)
    raise AssertionError(f"no run of the deployment ended within {seconds} s")


def _prefect(*arguments: str) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "prefect", *arguments], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stdout + done.stderr

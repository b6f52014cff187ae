"""What items leave in their workspaces is kept beside the results, and is not lost by going on."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Report, fan_out
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.workspaces.held import HeldWorkspace
from prefect_governor.flows.report.model import ItemFile
from prefect_governor.flows.report.table import rows
from prefect_governor.flows.run.control import Control, current_control
from prefect_governor.flows.run.job import Job
from prefect_governor.flows.subagent import subagent
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"
KEYS = ["README", "readme", "a/b.txt"]

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture(autouse=True)
def _with_a_workspace(monkeypatch: pytest.MonkeyPatch) -> None:
    """Sub-agents that write a file of the same name each, but for one."""
    answer = subagent._answer

    async def work(job: Job, key: str, text: str) -> Any:
        async with (held := HeldWorkspace(key, whose=lambda: (job.kept_as, None))) as folder:
            held.workspace.put_file("input", text.encode())
            if text != "none":
                (folder / "out").mkdir()
                (folder / "out" / "report_1.md").write_text(f"of {key}")
            await job.files.keep(key, held.workspace)
            return await answer(job, key, text)

    monkeypatch.setattr(subagent, "_answer", work)


def run(control: Control | None = None, **options: Any) -> Report:
    token = current_control.set(control or Control())
    try:
        items = [{"key": each, "text": f"text {each}"} for each in KEYS]
        report = fan_out(
            [*items, {"key": "none", "text": "none"}],
            ask="What is this?", model=MODEL, max_output_tokens=24, **options,
        )  # fmt: skip
    finally:
        current_control.reset(token)
    assert isinstance(report, Report)
    return report


def check(report: Report, results: Path) -> None:
    """Every file that is listed is there, with what it should hold."""
    assert report.outcome == "complete"
    by_key = {each.key: each for each in report.items}
    assert by_key["none"].files == () and "files" not in by_key["none"].to_json()
    names = set()
    for key in KEYS:
        (file,) = by_key[key].files
        data = (results.parent / file.name).read_bytes()
        assert data == f"of {key}".encode()
        assert file == ItemFile(
            name=file.name, bytes=len(data), sha256=hashlib.sha256(data).hexdigest()
        )
        names.add(file.name.casefold())
    assert len(names) == len(KEYS)
    lines = {each["key"]: each for each in map(json.loads, results.read_text().splitlines())}
    assert lines == {each.key: each.to_json() for each in report.items}


def test_files_of_items_stand_beside_the_results_and_go_with_a_run_that_goes_on(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    upstream.configure()
    first = run(max_usd="0.5")
    results = state_folder() / "runs" / first.run_id / "results.jsonl"
    check(first, results)
    assert str(results.parent / "files") in first.files
    table = {each["key"]: each["files"] for each in rows(first)}
    assert table["none"] == ""
    assert table["README"].startswith(f"[out/report&#95;1.md](file://{results.parent}/files/")
    paid = upstream.settled_stats()["requests"]

    out = tmp_path / "answers.jsonl"
    again = run(Control(kept_as=first.run_id, out=out), max_usd="0.5")
    assert upstream.settled_stats()["requests"] == paid == len(KEYS) + 1
    check(again, out)
    assert str(tmp_path / "answers.files") in again.files
    assert all(each.files[0].name.startswith("answers.files/") for each in again.items[:3])

    (results.parent / first.items[0].files[0].name).unlink()
    third = run(Control(kept_as=first.run_id), max_usd="0.5")
    assert third.outcome == "complete" and third.items[0].files == ()
    assert "are gone: out/report_1.md" in str(third.items[0].reason)
    assert third.items[1].files and third.items[1].reason is None
    assert upstream.settled_stats()["requests"] == paid

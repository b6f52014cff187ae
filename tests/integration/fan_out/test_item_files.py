"""What items leave in their workspaces is kept beside the results, and is not lost by going on."""

import hashlib
import json
from pathlib import Path

import pytest

from prefect_governor import Report, fan_out
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.workspaces.places import workspaces_folder
from prefect_governor.flows.report.model import ItemFile
from prefect_governor.flows.report.table import rows
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.fan_out.repositories import make_repository
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess

KEYS = ["repos/README", "repos/readme", "repos/a b"]
# All write one name, each what is in its own folder; one writes nothing.
CODE = """
import os
name = open("name.txt").read()
if name != "repos/none":
    os.mkdir("out")
    open("out/report_1.md", "w").write(f"of {name}")
    os.symlink("/etc/passwd", "out/link")
"""
ASK = " ".join(
    f"OBEY {json.dumps(each)}"
    for each in ({"call": "python", "arguments": {"code": CODE}}, {"say": "done"})
)

pytestmark = pytest.mark.usefixtures("server", "sandboxes")


def run(folder: Path, control: Control | None = None) -> Report:
    token = current_control.set(control or Control())
    try:
        report = fan_out(
            sources=["repos/*"], folder=str(folder), ask=ASK, tools=["python"], model=MODEL,
            max_output_tokens=200,
        )  # fmt: skip
    finally:
        current_control.reset(token)
    assert isinstance(report, Report)
    return report


def check(report: Report, results: Path) -> None:
    """Every file that is listed is there, with what it should hold."""
    assert report.outcome == "complete"
    by_key = {each.key: each for each in report.items}
    none = by_key["repos/none"]
    assert none.files == () and "files" not in none.to_json()
    names = set()
    for key in KEYS:
        (file,) = by_key[key].files
        data = (results.parent / file.name).read_bytes()
        assert data == f"of {key}".encode()
        digest = hashlib.sha256(data).hexdigest()
        assert file == ItemFile(name=file.name, bytes=len(data), sha256=digest)
        names.add(file.name.casefold())
    assert len(names) == len(KEYS)
    lines = {each["key"]: each for each in map(json.loads, results.read_text().splitlines())}
    assert lines == {each.key: each.to_json() for each in report.items}
    assert not workspaces_folder().exists() or not [*workspaces_folder().iterdir()]


def test_files_of_items_stand_beside_the_results_and_go_with_a_run_that_goes_on(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    for key in (*KEYS, "repos/none"):
        make_repository(tmp_path / key, {"name.txt": key})
    upstream.renew(obeys=True)
    first = run(tmp_path)
    results = state_folder() / "runs" / first.run_id / "results.jsonl"
    check(first, results)
    assert str(results.parent / "files") in first.files
    table = {each["key"]: each["files"] for each in rows(first)}
    assert table["repos/none"] == ""
    assert table["repos/README"].startswith("out/report_1.md")
    paid = upstream.settled_stats()["requests"]

    out = tmp_path / "answers.jsonl"
    again = run(tmp_path, Control(kept_as=first.run_id, out=out))
    check(again, out)
    assert str(tmp_path / "answers.files") in again.files
    lost = next(each for each in first.items if each.key == "repos/a b")
    assert lost.files[0].name.startswith("files/")
    (results.parent / lost.files[0].name).unlink()
    third = run(tmp_path, Control(kept_as=first.run_id))
    found = {each.key: each for each in third.items}
    assert third.outcome == "complete" and found["repos/a b"].files == ()
    assert "are gone: out/report_1.md" in str(found["repos/a b"].reason)
    assert found["repos/README"].files and found["repos/README"].reason is None
    assert upstream.settled_stats()["requests"] == paid == 2 * (len(KEYS) + 1)


def test_what_an_item_wrote_before_it_failed_is_kept_and_refused_as_that_of_one_that_finished(
    upstream: ProviderProcess, tmp_path: Path
) -> None:
    for key in ("repos/fine", "repos/failed"):
        make_repository(tmp_path / key, {"name.txt": key})
    program = {"tool_calls": [{"name": "python", "arguments": {"code": CODE}}]}
    upstream.renew(
        script=[
            {"match": "repos/failed", "by": "turn", "reply": [program, {"status": 400}]},
            {"match": ".", "by": "turn", "reply": [program, "done"]},
        ]
    )
    report = run(tmp_path)
    results = state_folder() / "runs" / report.run_id / "results.jsonl"
    states = {each.key: (each.state, each.files[0].name) for each in report.items}
    assert [state for state, _ in states.values()] == ["failed", "succeeded"]
    for key, (_, name) in states.items():
        assert (results.parent / name).read_text() == f"of {key}"
        assert sorted(path.name for path in (results.parent / name).parent.iterdir()) == [
            "report_1.md"
        ]

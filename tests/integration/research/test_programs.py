"""Research agents that run programs: each in a workspace of its own, with copies of the corpus,
whose files are kept beside the report."""

import hashlib
import json
from pathlib import Path
from typing import Any

import pytest

from prefect_governor import Sandbox, research
from prefect_governor.blocks.errors import ConfigurationError, RunFailed
from prefect_governor.flows.deep_research import study
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.run.control import Control, current_control
from tests.integration.governing import MODEL
from tests.integration.research.asking import plan
from tests.integration.research.web import call, calls
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")
NEEDS_SANDBOXES = pytest.mark.usefixtures("sandboxes")
TWO = plan(("a", "the sum", []), ("b", "the list", []))
# What it finds there, and what it leaves; another text each time.
SUM = (
    "import csv, uuid\n"
    "rows = list(csv.DictReader(open('corpus/sales.csv')))\n"
    "open('sum.txt', 'a').write(f\"{sum(int(each['n']) for each in rows)}\\n\")\n"
    "open('corpus/notes.md', 'w').write('forged')\n"
    "print(uuid.uuid4())"
)
LIST = "ls; cat corpus/notes.md; echo secret > own.txt"


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    (tmp_path / "sales.csv").write_text("key,n\nx,40\ny,2\n")
    (tmp_path / "notes.md").write_text("kept as it is\n")
    return tmp_path


def ask(folder: Path, **options: Any) -> Any:
    settings: dict[str, Any] = {
        "corpus": ["sales.csv", "notes.md"], "folder": str(folder), "model": MODEL, "plan": TWO,
        "max_output_tokens": 200, "max_rounds": 0,
        "tools": ["python", "shell", "read", "search"], **options,
    }  # fmt: skip
    return research("How many?", **settings)


def script(*, a: list[Any], b: list[Any]) -> list[dict[str, Any]]:
    return [
        {"match": "Your task: the sum", "by": "turn", "reply": a},
        {"match": "Your task: the list", "by": "turn", "reply": b},
        {"match": ".", "reply": "42"},
    ]


FIRST = calls(call("python", code=SUM))
READS = calls(
    call("read", source="corpus/notes.md"),
    call("read", source="sum.txt"),
    call("search", query="42 kept"),
)
FOUND = "42 [notes.md:1] [sum.txt:1] [corpus/notes.md:1]"


@NEEDS_SANDBOXES
def test_agents_see_copies_of_the_corpus_and_nothing_of_each_other_and_their_files_are_kept(
    upstream: ProviderProcess, folder: Path, told: list[str]
) -> None:
    upstream.renew(
        script=script(a=[FIRST, READS, FOUND], b=[calls(call("shell", command=LIST)), "listed"])
    )
    report = ask(folder)
    assert [item.state for item in report.items] == ["succeeded"] * 2
    # A forged copy of a source is no source, nor is what a program wrote.
    assert report.items[0].result["answer"].split() == ["42", "[notes.md:1]"]
    [listed] = [text for text in told if "own.txt" in text]
    assert "corpus\n" in listed and "sum.txt" not in listed and "kept as it is" in listed
    [searched] = [text for text in told if '"search"' in text.partition("\n")[0]]
    assert "[sum.txt:1-2]" in searched and "forged" not in searched
    names = [[file.name for file in item.files] for item in report.items]
    assert names == [["files/a/corpus/notes.md", "files/a/sum.txt"], ["files/b/own.txt"]]
    beside = Path(report.files[0]).parent
    for file in report.items[0].files:
        assert hashlib.sha256((beside / file.name).read_bytes()).hexdigest() == file.sha256
    assert (beside / "files/a/sum.txt").read_text() == "42\n"
    assert str(beside / "files") in report.files
    assert (folder / "notes.md").read_text() == "kept as it is\n"


@NEEDS_SANDBOXES
@pytest.mark.parametrize("killed", ["as it kept its finding", "after it"])
def test_a_run_that_goes_on_runs_no_program_again_and_has_the_files(
    upstream: ProviderProcess,
    folder: Path,
    told: list[str],
    monkeypatch: pytest.MonkeyPatch,
    killed: str,
) -> None:
    upstream.renew(script=script(a=[FIRST, "42"], b=["none"]))
    if killed == "after it":
        run_id = ask(folder).run_id
    else:
        with monkeypatch.context() as patch:
            patch.setattr(study.Study, "keep", lambda *given: 1 / 0)
            with pytest.raises(RunFailed) as failed:
                ask(folder)
        run_id = failed.value.report.run_id
        # A failure leaves its files too.
        assert [each.name for each in failed.value.report.items[0].files][-1] == "files/a/sum.txt"
    paid = upstream.settled_stats()["requests"]
    token = current_control.set(Control(kept_as=run_id, out=folder / "again.md"))
    try:
        report = ask(folder)
    finally:
        current_control.reset(token)
    assert [item.state for item in report.items] == ["succeeded"] * 2
    [file] = [each for each in report.items[0].files if each.name.endswith("sum.txt")]
    assert file.name == "again.files/a/sum.txt"
    assert (folder / file.name).read_text() == "42\n"
    assert len(told) == (1 if killed == "after it" else 2) and len({*told}) == 1
    more = 0 if killed == "after it" else 1
    # The synthesis, which had nothing to stand on.
    assert upstream.settled_stats()["requests"] == paid + more


@NEEDS_SANDBOXES
def test_an_agent_of_the_users_own_has_the_programs_too(
    upstream: ProviderProcess, folder: Path
) -> None:
    async def agent(task: Any, inputs: dict[str, str], governor: Any) -> str:
        by_name = {each.__name__: each for each in governor.tools}
        await by_name["python"](code=SUM)
        said = await by_name["read"](source="sum.txt")
        return f"{said} [notes.md:1]"

    upstream.renew(script=script(a=[], b=[]))
    report = ask(folder, agent=agent)
    assert all("42" in item.result["answer"] for item in report.items)
    assert report.items[1].files[-1].name == "files/b/sum.txt" and not report.citations


def test_what_cannot_be_had_is_said_before_anything_is_spent(
    upstream: ProviderProcess, folder: Path, name: str
) -> None:
    def read(name: str) -> str:
        """Reads."""
        return name

    Sandbox(runtime="docker", host="unix:///nowhere.sock", image="none").save(name)
    for given, why in (
        ({"sandbox": name}, "the tools python and shell cannot be given: no sandbox"),
        ({"tools": ["bash"]}, "there is no tool 'bash'"),
        ({"tools": ["read"], "corpus": None}, "there are no files to read"),
        ({"tools": ["read"], "sandbox": name}, "is for programs"),
        ({"tools": [read]}, "two tools are named 'read'"),
    ):
        with pytest.raises(ConfigurationError, match=why):
            ask(folder, **given)
    with pytest.raises(ConfigurationError, match="calls no tools"):
        ask(folder, tools=["read"], model="offline/extract")
    assert upstream.settled_stats()["requests"] == 0


@NEEDS_SANDBOXES
def test_a_corpus_that_fits_no_workspace_is_refused_before_anything_is_spent(
    upstream: ProviderProcess, folder: Path
) -> None:
    with (folder / "huge.md").open("wb") as file:
        file.truncate(70 * 2**20)
    with pytest.raises(ConfigurationError, match=r"of at most 64 MiB.*workspace_mib"):
        ask(folder, corpus=["notes.md", "huge.md"])
    assert upstream.settled_stats()["requests"] == 0


def test_a_finding_without_files_is_kept_as_it_was() -> None:
    finding = Finding("a", "x", {})
    assert "files" not in json.loads(finding.to_record())

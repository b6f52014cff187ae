"""Tables through the command line: what the provider is really sent of each, and what is said."""

import json
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.commands import AS_SENT, run
from tests.integration.cli.inputs.tables import FOUND, REFUSED, SILENT, TOLD, Case
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "in").mkdir()
    return tmp_path / "in"


def asked(upstream: ProviderProcess, *arguments: str, status: int = 0) -> dict[str, Any]:
    upstream.configure(script=AS_SENT)
    result = run("fan-out", *arguments, "--ask", "What?", "--model", MODEL, "--json", "--yes")
    assert result.exit_code == status, result.output
    found: dict[str, Any] = json.loads(result.stdout)
    return found


def check(cases: list[Case], report: dict[str, Any]) -> None:
    """All differences at once, by file."""
    got = [(item["key"], (item["result"] or "").strip()) for item in report["items"]]
    wanted = [
        (f"in/{case.name}:{key}" if isinstance(key, int) else key, text.strip())
        for case in cases
        for key, text in case.sent
    ]
    assert got == wanted
    skipped = {each["key"]: each["reason"] for each in report.get("skipped", ())}
    said = "\n".join(report.get("notes", ()))
    for case in cases:
        for words in case.said:
            assert f"in/{case.name}" in said and words in said, (case.name, words, said)
        for place, reason in case.skipped.items():
            assert reason in skipped.pop(f"in/{case.name}{place}"), case.name
    assert skipped == {}


def test_a_folder_of_tables_is_sent_row_by_row_as_it_is_written(
    upstream: ProviderProcess, folder: Path
) -> None:
    cases = sorted(FOUND, key=lambda case: case.name)
    assert len({case.name for case in cases}) == len(cases) >= 50
    for case in cases:
        (folder / case.name).write_bytes(case.data)
    check(cases, asked(upstream, "in"))
    calls = sum(len(case.sent) for case in cases)
    assert upstream.settled_stats()["requests"] == calls


@pytest.mark.parametrize(("options", "cases"), TOLD, ids=[" ".join(each[0]) for each in TOLD])
def test_what_is_said_of_tables_decides(
    upstream: ProviderProcess, folder: Path, options: list[str], cases: list[Case]
) -> None:
    for case in cases:
        (folder / case.name).write_bytes(case.data)
    check(cases, asked(upstream, *[f"in/{case.name}" for case in cases], *options))


@pytest.mark.parametrize(
    ("name", "raw", "options", "words"), REFUSED, ids=[str(at) for at in range(len(REFUSED))]
)
def test_a_table_that_cannot_be_read_is_refused_by_line_and_free(
    upstream: ProviderProcess,
    folder: Path,
    name: str,
    raw: str | bytes,
    options: list[str],
    words: str,
) -> None:
    (folder / name).write_bytes(raw.encode() if isinstance(raw, str) else raw)
    result = run("fan-out", f"in/{name}", "--ask", "What?", "--model", MODEL, *options)
    assert result.exit_code == 2, result.output
    (line,) = [each for each in result.stderr.splitlines() if each]
    assert words in line
    assert upstream.settled_stats()["requests"] == 0


def test_rows_without_a_text_fail_by_name_and_are_not_paid_for(
    upstream: ProviderProcess, folder: Path
) -> None:
    (folder / "r.jsonl").write_text(SILENT)
    report = asked(upstream, "in/r.jsonl", status=1)
    assert {item["key"]: item["state"] for item in report["items"]} == {
        "n1": "failed",
        "n2": "failed",
    }
    assert upstream.settled_stats()["requests"] == 0


def test_an_estimate_says_how_tables_are_read(upstream: ProviderProcess, folder: Path) -> None:
    (folder / "s.csv").write_text("a;b\n1;2\n;\n")
    result = run("estimate", "in", "--ask", "What?", "--model", MODEL)
    assert result.exit_code == 0, result.output
    assert "in/s.csv: of each row these columns are asked about: a, b" in result.stdout
    assert "in/s.csv: 1 blank row is no item" in result.stdout
    assert upstream.settled_stats()["requests"] == 0


def test_rows_too_many_to_be_held_are_estimated_asked_and_gone_on_with(
    upstream: ProviderProcess, folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("prefect_governor.flows.items.stream.MOST_HELD_CHARACTERS", 10)
    (folder / "r.csv").write_text("key,text\n" + "".join(f"k{n},row {n}\n" for n in range(6)))
    given = ["in/r.csv", "--ask", "What?", "--model", MODEL, "--json"]
    assert json.loads(run("estimate", *given).stdout)["items"] == 6
    report = asked(upstream, "in/r.csv")
    assert [(item["key"], item["result"]) for item in report["items"]] == [
        (f"k{n}", f"row {n}") for n in range(6)
    ]
    again = json.loads(run("fan-out", "--resume", report["run_id"], "--json").stdout)
    assert [item["key"] for item in again["items"]] == [f"k{n}" for n in range(6)]
    assert upstream.settled_stats()["requests"] == 6

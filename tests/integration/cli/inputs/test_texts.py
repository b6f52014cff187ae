"""A folder of files of text through the command line: what is sent of each, and what is said."""

import json
import os
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.commands import AS_SENT, run
from tests.integration.cli.inputs.texts import CASES, DE, RU, Case
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess

pytestmark = pytest.mark.usefixtures("server")

_ASKED = ("--ask", "What?", "--model", MODEL, "--json", "--yes")


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    for case in CASES:
        path = tmp_path / "in" / case.name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(case.raw)
    os.mkfifo(tmp_path / "in" / "pipe")
    (tmp_path / "in" / "self").symlink_to(tmp_path / "in" / "self")
    return tmp_path / "in"


def _key(case: Case) -> str:
    return os.fsencode(f"in/{case.name}").decode(errors="backslashreplace")


def test_each_file_of_a_folder_is_sent_as_it_was_meant_or_named(
    upstream: ProviderProcess, folder: Path
) -> None:
    upstream.configure(script=AS_SENT)
    result = run("fan-out", "in", *_ASKED)
    assert result.exit_code == 3, result.output
    report: dict[str, Any] = json.loads(result.stdout)
    items = {item["key"]: item for item in report["items"]}
    skipped = {each["key"]: each["reason"] for each in report["skipped"]}
    wrong = [problem for case in CASES if (problem := _problem(case, items, skipped))]
    assert wrong == []
    # Nothing is left out without a word, and nothing is sent twice or of another.
    held = [name for _, _, names in os.walk(folder) for name in names]
    assert len(report["items"]) + len(report["skipped"]) == len(held) == len(CASES) + 2
    sent = sum(case.sent is not None for case in CASES)
    assert upstream.settled_stats()["requests"] == sent
    assert "skipped" in result.stderr
    estimate = json.loads(run("estimate", "in", *_ASKED).stdout)
    assert estimate["items"] == sent
    assert estimate["skipped"] == report["skipped"]
    assert {each["key"] for each in estimate["unreadable"]} == {
        _key(case) for case in CASES if case.failed
    }


def _problem(
    case: Case, items: dict[str, dict[str, Any]], skipped: dict[str, str]
) -> tuple[Any, ...] | None:
    """What is not as the case has it."""
    key = _key(case)
    if case.sent is None and not case.failed:
        said = skipped.get(key, "")
        return None if str(case.said) in said and key not in items else (key, said)
    item = items.get(key)
    if item is None:
        return key, "is no item", skipped.get(key)
    if case.failed:
        fine = item["state"] == "failed" and str(case.said) in item["reason"] and not item["calls"]
        return None if fine else (key, item)
    notes = "; ".join(item.get("notes", ()))
    right = (item["result"] or "").strip() == (case.sent or "").strip()
    told = notes == "" if case.said is None else case.said in notes
    return None if right and told else (key, item["result"], notes, item["reason"])


TOLD = [
    (["a.txt", "--encoding", "cp1252"], RU.encode(), RU.encode().decode("cp1252", "replace")),
    (["a.txt", "--encoding", "koi8-r"], DE.encode("cp1252"), DE.encode("cp1252").decode("koi8-r")),
    (["-", "--encoding", "cp1252"], DE.encode("cp1252"), DE),
    (["-"], "\ufefffirst\x0c\x1c\u2028 line".encode(), "first\x0c\x1c\u2028 line"),
]


@pytest.mark.parametrize(("given", "raw", "sent"), TOLD, ids=[" ".join(each[0]) for each in TOLD])
def test_what_a_person_says_decides_and_a_line_ends_at_a_line_end(
    upstream: ProviderProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: list[str],
    raw: bytes,
    sent: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_bytes(raw)
    upstream.configure(script=AS_SENT)
    result = run("fan-out", *given, *_ASKED, stdin=raw)
    assert result.exit_code == 0, result.output
    (item,) = json.loads(result.stdout)["items"]
    assert item["result"] == sent


REFUSED = [
    (["a.txt", "--encoding", "cp12522"], "did you mean cp1252"),
    (["a.txt", "--encoding", "base64"], "no encoding 'base64'"),
    (["-"], "stdin ('-') is not UTF-8 text at line 1: say what it is with --encoding"),
]


@pytest.mark.parametrize(("given", "words"), REFUSED, ids=[words for _, words in REFUSED])
def test_what_cannot_be_read_as_told_is_refused_in_a_line_and_free(
    upstream: ProviderProcess,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    given: list[str],
    words: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    Path("a.txt").write_text("text")
    result = run("fan-out", *given, *_ASKED, stdin=b"caf\xe9")
    assert result.exit_code == 2, result.output
    (line,) = result.stderr.splitlines()
    assert words in line
    assert upstream.settled_stats()["requests"] == 0

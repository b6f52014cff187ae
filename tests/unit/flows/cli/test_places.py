"""Folders and links that lead nowhere: one line that says what to do."""

import os
from pathlib import Path

import pytest
from click.testing import CliRunner

from prefect_governor.flows.cli.main import main

ASK = ("--ask", "What?", "--model", "offline/extract", "--dry-run")


@pytest.mark.parametrize("command", [("fan-out", "."), ("research",)])
def test_a_working_directory_that_was_removed_is_said(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: tuple[str, ...]
) -> None:
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    asked = ("What?", "--dry-run") if command == ("research",) else ASK
    result = CliRunner().invoke(main, [*command, *asked])
    os.chdir(tmp_path)
    assert result.exit_code == 2
    assert "cd to another one" in result.output and len(result.output.splitlines()) == 1


def test_a_link_to_itself_is_no_place_for_results(
    home: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "loop").symlink_to("loop")
    (tmp_path / "a.txt").write_text("It is a text.")
    result = CliRunner().invoke(main, ["fan-out", "a.txt", *ASK[:-1], "--out", "loop"])
    assert result.exit_code == 2, result.output
    assert "cannot write loop" in result.output

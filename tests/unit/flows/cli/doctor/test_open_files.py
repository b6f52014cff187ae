"""The doctor says which files of our state others can get at, and what mends it."""

import shlex
import subprocess
from pathlib import Path

import pytest

from prefect_governor.flows.cli.doctor.machine import home


def test_doctor_names_files_that_others_can_get_at_and_the_command_that_mends_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PREFECT_HOME", str(tmp_path / "a home"))
    assert [each.mark for each in home()] == ["ok"]
    runs = tmp_path / "a home" / "governor" / "runs"
    runs.mkdir(parents=True)
    (runs / "results.jsonl").write_text("{}")
    for each in (runs.parent, runs):
        each.chmod(0o755)
    (runs / "results.jsonl").chmod(0o644)
    _, warned = home()
    assert warned.mark == "warn" and warned.command is not None
    assert "get at 3 of its files" in warned.text and "results.jsonl" in warned.text
    subprocess.run(shlex.split(warned.command), check=True)
    assert [each.mark for each in home()] == ["ok"]
    # Behind a folder that is shut nobody gets at what is in it.
    (runs / "results.jsonl").chmod(0o644)
    assert [each.mark for each in home()] == ["ok"]

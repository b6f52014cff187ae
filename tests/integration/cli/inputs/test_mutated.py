"""Broken files through the command line: all are accounted for, and no call is made for what was
refused.

A folder of some; PREFECT_GOVERNOR_TEST_FOLDERS=50 tries as many of them.
"""

import json
import os
import random
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from tests.integration.cli.commands import AS_SENT, run
from tests.integration.cli.inputs.tables import FOUND
from tests.integration.cli.inputs.texts import DECLARED, LEGACY, PLAIN
from tests.integration.governing import MODEL
from tests.provider.process import ProviderProcess
from tests.samples.documents import samples
from tests.samples.mutating import mutated

pytestmark = pytest.mark.usefixtures("server")

_LARGEST = 200_000
_ASKED = ("--ask", "What?", "--model", MODEL, "--json", "--yes", "--accept", "cut")


def _inputs() -> dict[str, bytes]:
    documents = {name: each.data for name, each in samples().items()}
    tables = {each.name: each.data for each in FOUND}
    texts = {each.name: each.raw for each in (*LEGACY, *DECLARED, *PLAIN)}
    return {
        name: data
        for name, data in {**documents, **tables, **texts}.items()
        if len(data) < _LARGEST and "/" not in name
    }


@pytest.mark.parametrize("seed", range(int(os.environ.get("PREFECT_GOVERNOR_TEST_FOLDERS", "1"))))
def test_of_broken_files_each_is_told_of_and_only_what_is_read_is_asked_about(
    upstream: ProviderProcess, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: int
) -> None:
    monkeypatch.chdir(tmp_path)
    chance = random.Random(seed)
    folder = tmp_path / "in"
    folder.mkdir()
    table = _inputs()
    for name in chance.sample(sorted(table), 40):
        (folder / name).write_bytes(mutated(table[name], chance))
    upstream.configure(script=AS_SENT)
    result = run("fan-out", "in", *_ASKED)
    assert "Traceback" not in result.output
    assert result.exception is None or isinstance(result.exception, SystemExit), result.output
    assert result.exit_code in (0, 1, 2, 3), result.output
    if result.exit_code == 2:
        # A row that has no place beside the others stops the run, before anything is asked.
        (line,) = result.stderr.splitlines()
        assert line.startswith("prefect-governor: "), line
        assert upstream.settled_stats()["requests"] == 0
        return
    report: dict[str, Any] = json.loads(result.stdout)
    states = Counter(item["state"] for item in report["items"])
    print(f"{seed}: {dict(states)}, {len(report.get('skipped', ()))} skipped")
    assert set(states) <= {"succeeded", "failed"}
    assert all(item["reason"] for item in report["items"] if item["state"] == "failed")
    # Each file is an item, rows that are items, or named as skipped.
    told = [each["key"] for each in (*report["items"], *report.get("skipped", ()))]
    keyed = [path for path in folder.iterdir() if f"in/{path.name}" in told]
    rowed = [
        path
        for path in folder.iterdir()
        if path not in keyed
        and (
            any(key.startswith(f"in/{path.name}:") for key in told)
            or any(f"in/{path.name}" in note for note in report.get("notes", ()))
            or path.name in {each.name for each in FOUND}
        )
    ]
    assert len(keyed) + len(rowed) == len(list(folder.iterdir())), sorted(
        path.name for path in folder.iterdir() if path not in keyed and path not in rowed
    )
    # What failed before it was asked about cost nothing; what succeeded was one call or more.
    calls = sum(item["calls"] for item in report["items"])
    assert upstream.settled_stats()["requests"] == calls
    assert not [item for item in report["items"] if item["state"] == "failed" and item["calls"]]

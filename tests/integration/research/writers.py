"""`python -m tests.integration.research.writers FOLDER NAME GOVERNOR`: a research of which some
tasks write one key, and others write nothing, as one of two processes that run it at once."""

import json
import os
import sys
import time
from contextlib import suppress
from pathlib import Path
from typing import Any

from prefect_governor import research

KEY = "report.md"
WRITERS = 6
# Processes, this package's test among them, that are at it together.
PARTIES = ("first", "second", "here")
FOLDER = "PREFECT_GOVERNOR_TESTS_FOLDER"
# Only what may never come is waited for so long.
PATIENCE_SECONDS = 60


def write(folder: Path, name: str) -> None:
    """The critical section: two that are in it at once are noticed by both."""
    with suppress(FileExistsError):
        # Left behind by nobody: whoever finds it there is not alone.
        (folder / "writing").touch(exist_ok=False)
        time.sleep(0.02)
        (folder / "writing").unlink()
        note(folder, "alone", name)
        return
    note(folder, "overlap", name)


def meet(folder: Path, name: str) -> None:
    """Wait until every party is there."""
    note(folder, "here", name)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while {who for kind, who in notes(folder) if kind == "here"} != {*PARTIES}:
        assert time.monotonic() < deadline, notes(folder)
        time.sleep(0.01)


def note(folder: Path, kind: str, name: str) -> None:
    with (folder / "notes.jsonl").open("a") as file:
        file.write(json.dumps([kind, name]) + "\n")


def notes(folder: Path) -> list[tuple[str, str]]:
    file = folder / "notes.jsonl"
    lines = file.read_text().splitlines() if file.exists() else []
    return [(kind, name) for kind, name in map(json.loads, lines)]


def agent(task: Any, inputs: dict[str, str], governor: Any) -> str:
    """In place of ours: it calls no model."""
    folder, name = Path(os.environ[FOLDER]), os.environ["WRITER"]
    if task.id == "meet":
        meet(folder, name)
    elif task.writes:
        write(folder, name)
    else:
        # The control: what writes nothing is under way in both processes at once.
        note(folder, "free", name)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while len({who for kind, who in notes(folder) if kind == "free"}) < 2:
            assert time.monotonic() < deadline, notes(folder)
            time.sleep(0.01)
    return "done"


def main(folder: str, name: str, governor: str) -> None:
    os.environ.update({FOLDER: folder, "WRITER": name})
    tasks: list[dict[str, Any]] = [{"id": "meet", "objective": "wait for the others"}]
    tasks += [
        {"id": f"write-{at}", "objective": "write", "depends_on": ["meet"], "writes": [KEY]}
        for at in range(WRITERS)
    ]
    tasks.append({"id": "free", "objective": "look on", "depends_on": ["meet"]})
    report = research(
        "What is written?", plan={"tasks": tasks}, agent=agent, governor=governor,
        model="openai/gpt-4o-mini", max_output_tokens=40, max_rounds=0,
    )  # fmt: skip
    assert report.outcome == "complete", report


if __name__ == "__main__":
    main(*sys.argv[1:])

"""What shards told of tasks is answered, whatever befalls the ledger meanwhile."""

from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, ClassVar

import pytest

from prefect_governor.blocks.errors import LedgerUnavailable
from prefect_governor.flows.deep_research.finding import Finding
from prefect_governor.flows.deep_research.plan.plan import PlanTask
from prefect_governor.flows.deep_research.shared import handing
from prefect_governor.flows.report.model import ItemReport
from prefect_governor.flows.run.control import Control

NAMES = ("one", "two", "three")


class Told:
    """A crew whose shards have told of all tasks, once."""

    running = True
    left: ClassVar[list[bool]] = []

    def __init__(self, *_: Any, **__: Any) -> None:
        self._left = [
            (at, ItemReport(key=name, state="succeeded", seconds=1.0))
            for at, name in enumerate(NAMES)
        ]

    def __enter__(self) -> "Told":
        return self

    def __exit__(self, *_: object) -> None:
        self.left.append(True)

    def look_after(self) -> None: ...

    def came(self) -> None: ...

    def wait_for_all(self) -> None: ...

    def reports(self) -> Iterator[tuple[int, ItemReport]]:
        while self._left:
            yield self._left.pop(0)


def test_what_was_told_while_the_ledger_was_away_is_answered_when_it_is_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "Crew", Told)
    monkeypatch.setattr(handing, "LOOK_SECONDS", 0.01)
    asked: list[str] = []

    def read_items(kept_as: str, keys: list[str]) -> dict[tuple[str, str], str]:
        asked.extend(keys)
        if len(asked) == 2:
            raise LedgerUnavailable("the ledger is away")
        return {(key, f"name-{key}"): Finding(key, "it is").to_record() for key in keys}

    study: Any = SimpleNamespace(
        control=Control(),
        tasks={name: PlanTask(id=name, objective="What?") for name in NAMES},
        allocations={},
        attempts={},
        took={},
        kept_as="a-run",
        folder=tmp_path,
        runtime=SimpleNamespace(desk=SimpleNamespace(store=SimpleNamespace(read_items=read_items))),
        take_over=lambda finding: None,
    )
    plan: Any = SimpleNamespace(folder=tmp_path)
    shards = handing.Shards(study, plan, SimpleNamespace())
    answers = [shards.begin(task, f"name-{name}", {}, {}) for name, task in study.tasks.items()]
    with shards:
        assert [answer.result(timeout=60).state for answer in answers] == ["succeeded"] * 3
    assert asked.count("two") == 2


def test_shards_are_ended_where_a_full_disk_keeps_a_task_from_them(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(handing, "Crew", Told)
    monkeypatch.setattr(Told, "left", [])
    task = PlanTask(id="one", objective="What?")
    study: Any = SimpleNamespace(control=Control(), tasks={"one": task}, allocations={})
    (tmp_path / "tasks.jsonl").symlink_to("/dev/full")
    plan: Any = SimpleNamespace(folder=tmp_path)
    launcher: Any = SimpleNamespace()
    with (
        pytest.raises(OSError, match="No space left"),
        handing.Shards(study, plan, launcher) as shards,
    ):
        monkeypatch.setattr(shards, "_listen", lambda: None)
        shards.begin(task, "name-one", {}, {})
    assert Told.left == [True]
    assert (tmp_path / "over").exists()

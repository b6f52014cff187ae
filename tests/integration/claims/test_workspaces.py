"""`governor.workspace`: a folder an item, in tasks, in flows and outside of them."""

import os
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from prefect import flow, task
from prefect.task_runners import ThreadPoolTaskRunner

from prefect_governor import ConfigurationError, GovernedTaskRunner, Governor, ItemFailed
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.workspaces.places import workspaces_folder


@pytest.fixture
def governor() -> Governor:
    return Governor.local(f"workspaces-{uuid4().hex[:8]}", max_usd=1)


def test_outside_of_any_run_and_inside_an_item(governor: Governor) -> None:
    with governor.workspace("notes") as folder, governor.workspace("notes") as other:
        assert folder != other
        assert folder.parent.parent.name.startswith("process-")
    here = Scope(governor.runtime, run_id="run-1", item="item-1")
    with scope(here), governor.workspace("item-1") as folder, governor.workspace("x") as other:
        assert folder == workspaces_folder() / "run-1" / "item-1" / "files"
        assert other.parent.name.startswith("item-1-x~")
    assert os.listdir(workspaces_folder()) == []


def test_bounds_are_checked_and_hold(governor: Governor) -> None:
    with pytest.raises(ConfigurationError, match=r"max_files of a workspace: .*, not 0"):
        governor.workspace("a", max_files=0)
    with (
        pytest.raises(ItemFailed, match="more than 1 files"),
        governor.workspace("a", max_files=1) as folder,
    ):
        (folder / "1").touch()
        (folder / "2").touch()


@pytest.mark.usefixtures("server")
@pytest.mark.parametrize(
    "runner", [ThreadPoolTaskRunner(), GovernedTaskRunner()], ids=["Prefect's", "ours"]
)
def test_mapped_tasks_that_use_one_key_have_a_folder_each_also_when_they_are_retried(
    governor: Governor, runner: Any
) -> None:
    tried: set[int] = set()

    @task(retries=1)
    def sync_work(number: int) -> Path:
        with governor.workspace("scratch") as folder:
            assert os.listdir(folder) == []
            (folder / "out.txt").write_text(str(number))
            if number % 4 == 0 and number not in tried:
                tried.add(number)
                raise ValueError("the first attempt")
            assert (folder / "out.txt").read_text() == str(number)
            return folder

    @task
    async def async_work(number: int) -> Path:
        async with governor.workspace("scratch") as folder:
            (folder / "out.txt").write_text(str(number))
            assert (folder / "out.txt").read_text() == str(number)
            return folder

    @flow(task_runner=runner)
    def work() -> list[Path]:
        futures: list[Any] = [*sync_work.map(range(8)), *async_work.map(range(8))]
        return [each.result() for each in futures]

    with governor:
        folders = work()
    assert len(folders) == 16 and tried == {0, 4}
    (run,) = {each.parent.parent for each in folders}
    assert run.parent == workspaces_folder() and len(run.name) == 36
    assert os.listdir(workspaces_folder()) == []

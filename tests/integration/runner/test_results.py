"""Results of governed tasks: kept where Prefect keeps them, at fewer looks at the file system."""

import os
from pathlib import Path
from typing import Any

import pytest
from prefect import flow, task
from prefect.cache_policies import INPUTS

from prefect_governor import GovernedTaskRunner

pytestmark = pytest.mark.usefixtures("server")


@pytest.mark.parametrize("is_async", [True, False])
def test_results_folder_is_looked_at_once_a_flow_not_for_every_task(
    is_async: bool, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    looks: list[str] = []
    lstat = os.lstat

    def counted(path: Any, **options: Any) -> os.stat_result:
        if str(path) == str(tmp_path):
            looks.append(str(path))
        return lstat(path, **options)

    @task(result_storage=tmp_path, persist_result=False)
    async def double(number: int) -> int:
        return 2 * number

    @task(result_storage=tmp_path, persist_result=False)
    def double_sync(number: int) -> int:
        return 2 * number

    @flow(task_runner=GovernedTaskRunner())
    def run(count: int) -> list[int]:
        mapped: Any = double if is_async else double_sync
        return [future.result() for future in mapped.map(range(count))]

    monkeypatch.setattr(os, "lstat", counted)
    assert run(40) == [2 * number for number in range(40)]
    # Threads that ask for the first time together each look.
    assert 1 <= len(looks) < 10


def test_kept_results_are_shared_with_prefects_runner(tmp_path: Path) -> None:
    calls: list[int] = []

    @task(cache_policy=INPUTS, persist_result=True, result_storage=tmp_path)
    def counted(number: int) -> int:
        calls.append(number)
        return number

    @flow(task_runner=GovernedTaskRunner())
    def governed() -> list[int]:
        return [future.result() for future in counted.map([1, 2])]

    @flow
    def plain() -> list[int]:
        return [future.result() for future in counted.map([1, 2, 3])]

    assert governed() == [1, 2]
    assert plain() == [1, 2, 3]
    assert governed() == [1, 2]
    assert sorted(calls) == [1, 2, 3]

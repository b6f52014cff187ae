"""The runner as an object: what Prefect copies, compares and sends to another process."""

from __future__ import annotations

from contextlib import nullcontext

import cloudpickle  # type: ignore[import-untyped]
import pytest
from prefect import task

from prefect_governor.flows.runner import GovernedTaskRunner
from tests.unit.imports import imported


@pytest.fixture
def no_governor(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(
        "prefect_governor.flows.runner.task_runner.governor_scope", lambda governor: nullcontext()
    )


@pytest.mark.usefixtures("no_governor")
def test_a_duplicate_is_equal_and_not_started() -> None:
    runner = GovernedTaskRunner("llm-team", max_threads=3, isolate=True)
    with runner.duplicate() as copy:
        assert copy == runner
        assert copy is not runner
    assert runner != GovernedTaskRunner("other", max_threads=3, isolate=True)
    assert runner != GovernedTaskRunner("llm-team", max_threads=4, isolate=True)
    assert runner != GovernedTaskRunner("llm-team", max_threads=3)
    assert runner != "llm-team"


def test_a_started_runner_is_pickled_as_its_configuration() -> None:
    with GovernedTaskRunner(max_threads=3) as runner:
        copy = cloudpickle.loads(cloudpickle.dumps(runner))
    assert copy == runner
    with copy:
        pass


def test_work_is_refused_before_start_and_after_the_end() -> None:
    @task
    def nothing() -> None: ...

    runner = GovernedTaskRunner()
    with pytest.raises(RuntimeError, match="started"):
        runner.submit(nothing, {})
    with runner, pytest.raises(RuntimeError, match="already started"):
        runner.__enter__()
    with pytest.raises(RuntimeError, match="started"):
        runner.submit(nothing, {})


@pytest.mark.parametrize("threads", [0, -1])
def test_no_threads_is_refused_at_once(threads: int) -> None:
    with pytest.raises(ValueError, match="max_threads"):
        GovernedTaskRunner(max_threads=threads)


def test_neither_import_nor_construction_loads_a_governor_or_a_model_library() -> None:
    program = (
        "from prefect_governor.flows.runner import GovernedTaskRunner\n"
        "GovernedTaskRunner('a-block-that-does-not-exist').duplicate()"
    )
    assert imported(program, "litellm", "prefect_governor.blocks.governor") == []

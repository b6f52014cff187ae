# mypy: ignore-errors
"""The runner as a context manager of its own, and what it refuses."""

from __future__ import annotations

from typing import Any

from prefect import task
from prefect.settings import PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW, temporary_settings

from tests.integration.runner.rows import MakeRunner, outcome, row
from tests.integration.runner.rows.data import add, double, fail


def _quiet() -> Any:
    """Without a flow there is no run to send the logs to."""
    return temporary_settings({PREFECT_LOGGING_TO_API_WHEN_MISSING_FLOW: "ignore"})


@row(expect=(2, [4, 6], "raised ValueError: x"))
def a_runner_without_a_flow(make: MakeRunner) -> Any:
    with _quiet(), make() as runner:
        return (
            runner.submit(double, {"x": 1}).result(),
            runner.map(double, {"x": [2, 3]}).result(),
            outcome(runner.submit(fail, {"message": "x"}).result),
        )


@row()
def a_runner_that_is_not_started(make: MakeRunner) -> Any:
    runner = make()
    refused = outcome(lambda: runner.submit(double, {"x": 1})).split(":")[0]
    refused_map = outcome(lambda: runner.map(double, {"x": [1]})).split(":")[0]
    with runner:
        twice = outcome(runner.__enter__)
    after = outcome(lambda: runner.submit(double, {"x": 1})).split(":")[0]
    return refused, refused_map, twice, after


@row(expect=(True, False, 3))
def a_duplicate_is_equal_and_of_its_own(make: MakeRunner) -> Any:
    runner = make()
    copy = runner.duplicate()
    with _quiet(), runner, copy:
        return runner == copy, runner is copy, copy.submit(add, {"x": 1, "y": 2}).result()


@row(expect="raised TypeError")
def a_parameter_that_is_missing(make: MakeRunner) -> Any:
    @task
    def needs(x: int) -> int:
        return x

    with _quiet(), make() as runner:
        return outcome(lambda: runner.submit(needs, {}).result()).split(":")[0]

"""Limits that count task runs, where the run's governor has them: each item takes its slot."""

from typing import Any

import pytest
from prefect import flow, task

from prefect_governor import Budget, GovernedTaskRunner, Governor, Limit, Report, fan_out
from tests.provider.process import ProviderProcess

MODEL = "openai/gpt-4o-mini"

pytestmark = pytest.mark.usefixtures("server")


def ask(governor: str, **options: Any) -> Report:
    items = [{"key": f"{at:02d}", "text": f"It is parcel {at:02d}."} for at in range(12)]
    report = fan_out(
        items, ask="What is this?", model=MODEL, max_output_tokens=24, governor=governor, **options
    )
    assert isinstance(report, Report)
    return report


@pytest.mark.parametrize("nested", [False, True])
def test_no_more_items_are_at_work_than_the_runs_governor_has_slots_for_task_runs(
    upstream: ProviderProcess, name: str, nested: bool
) -> None:
    cap = 1 if nested else 2
    limit = Limit(tag="llm", counts="tasks", max_concurrent=cap)
    Governor(budget=Budget(max_usd=1, window="day"), limits=[limit]).save(name)
    upstream.configure(latency_seconds=0.1, output_tokens=5)

    @task(tags=["llm"])
    def inner() -> Report:
        return ask(name, max_concurrent=8)

    @flow(task_runner=GovernedTaskRunner(name))
    def outer() -> Report:
        report = inner.submit().result()
        assert isinstance(report, Report)
        return report

    # A task that only waits for the run that it started has no slot of it meanwhile.
    report = outer() if nested else ask(name, max_concurrent=8)
    stats = upstream.settled_stats()
    assert (report.outcome, stats["requests"]) == ("complete", 12)
    assert stats["max_open"] == cap

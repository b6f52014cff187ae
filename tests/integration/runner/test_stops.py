"""A stop stops: nothing begins after it, what waits is refused, what is in flight ends."""

import os
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from prefect.client.orchestration import SyncPrefectClient

from prefect_governor.flows.server.background import ServerInfo
from tests.integration.runner.stopped import Found, Stop, stopped
from tests.integration.runner.stops import FLOWS
from tests.provider.process import ProviderProcess
from tests.talk import Talk
from tests.warm import WarmParent

STATES: dict[Stop, str] = {
    "interrupt": "CRASHED/Crashed",
    "twice": "CRASHED/Crashed",
    "terminate": "CRASHED/Crashed",
    "cancel": "CANCELLED/Cancelled",
    "worker": "CANCELLED/Cancelled",
    "timeout": "FAILED/TimedOut",
}


@pytest.fixture(scope="module")
def programs(
    server: ServerInfo, provider_process: ProviderProcess, warm: WarmParent
) -> Iterator[Talk]:
    base = provider_process.api_base
    environment = {**os.environ, "OPENAI_API_BASE": base, "OPENAI_API_KEY": "sk-test-stops"}
    command = warm.command("-m", "tests.integration.runner.stops")
    with Talk(command, env=environment) as talk:
        assert talk.hear(90) == "ready"
        yield talk


# As long as a supervisor gives a process before it kills it.
GRACE_SECONDS = 30
MANY = [name for name in FLOWS if name.startswith("many")]
FEW = [name for name in FLOWS if name not in MANY]


@pytest.fixture
def cell(
    programs: Talk, provider_process: ProviderProcess, client: SyncPrefectClient, tmp_path: Path
) -> Callable[..., Found]:
    def stop_one(stop: Stop, name: str, **more: Any) -> Found:
        found = stopped(
            stop,
            name,
            programs=programs,
            provider=provider_process,
            client=client,
            folder=tmp_path,
            **more,
        )
        print(f"\n{found.row(stop, name)}")
        return found

    return stop_one


def check(found: Found, stop: Stop, *, cut: bool) -> None:
    """Nothing began after it, nothing counts as done, and all that it held is given back."""
    assert found.in_flight and found.requests == found.in_flight
    assert not found.late_calls and not found.late_begun
    assert found.succeeded == found.completed == found.reserved == 0
    if stop == "timeout" and found.unconfirmed:
        # Those that began late in the flow's time.
        cut = True
    assert found.unconfirmed == (found.in_flight if cut else 0)
    assert found.seconds < GRACE_SECONDS
    assert found.state == STATES[stop]


@pytest.mark.parametrize(
    ("stop", "name"),
    [
        ("interrupt", "governed_sync"),
        ("terminate", "sync_tasks"),
        ("cancel", "counted_async"),
        ("timeout", "async_tasks"),
    ],
)
def test_stop_lets_nothing_begin(stop: Stop, name: str, cell: Callable[..., Found]) -> None:
    check(cell(stop, name), stop, cut=False)


@pytest.mark.chaos
@pytest.mark.parametrize("name", FEW)
@pytest.mark.parametrize("stop", STATES)
def test_every_stop_of_every_kind_of_task(
    stop: Stop, name: str, cell: Callable[..., Found]
) -> None:
    check(cell(stop, name), stop, cut=stop == "twice")


@pytest.mark.chaos
@pytest.mark.parametrize("name", ["sync_tasks", "async_tasks", "counted_sync", "governed_async"])
def test_what_does_not_end_in_its_time_is_cut(name: str, cell: Callable[..., Found]) -> None:
    check(cell("terminate", name, latency_seconds=120), "terminate", cut=True)


@pytest.mark.chaos
@pytest.mark.parametrize("name", MANY)
def test_grace_of_a_supervisor_is_enough_for_256_threads(
    name: str, cell: Callable[..., Found]
) -> None:
    found = cell("terminate", name, latency_seconds=120, expected=128)
    check(found, "terminate", cut=True)

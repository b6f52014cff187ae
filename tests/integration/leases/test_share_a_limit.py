"""One of Prefect's limits, shared with a flow that knows nothing of any governor."""

import time
from collections.abc import Callable, Iterator
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect import flow
from prefect.client.orchestration import get_client
from prefect.client.schemas.actions import GlobalConcurrencyLimitCreate
from prefect.concurrency.sync import concurrency

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.work.registry import stop_all
from tests.integration.leases.load import CAP, Load
from tests.waiting import until

pytestmark = [pytest.mark.usefixtures("server", "home"), pytest.mark.slow]

THEIRS = 2


@pytest.fixture
def shared() -> Iterator[tuple[str, Callable[[], int]]]:
    """A limit that somebody made, and how many of its slots are taken."""
    name = f"warehouse-{uuid4().hex[:8]}"
    with get_client(sync_client=True) as client:
        client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=name, limit=CAP))

        def taken() -> int:
            found = client.read_global_concurrency_limit_by_name(name)
            assert found.limit == CAP
            return found.active_slots or 0

        yield name, taken
        client.delete_global_concurrency_limit_by_name(name)


@pytest.fixture
def loaded(shared: tuple[str, Callable[[], int]]) -> Iterator[Callable[[int], Load]]:
    loads: list[Load] = []

    def make(reserve: int) -> Load:
        limit = Limit(
            tag="llm", max_concurrent=CAP, share_with=shared[0], reserve_for_others=reserve
        )
        name = f"sharing-{uuid4().hex[:8]}"
        Governor(budget=Budget(max_usd=9), limits=[limit]).save(name)
        loads.append(Load(cast(Governor, Governor.load(name)).runtime))
        return loads[-1]

    yield make
    for each in loads:
        each.end()
    stop_all()


@flow
def outsider(limit: str, hold_seconds: float, timeout_seconds: float, seen: Any) -> float:
    """Returns how long it waited for its slots."""
    began = time.monotonic()
    with concurrency(limit, occupy=THEIRS, timeout_seconds=timeout_seconds, strict=True):
        waited = time.monotonic() - began
        end = time.monotonic() + hold_seconds
        while time.monotonic() < end:
            seen()
            time.sleep(0.1)
    return waited


def test_reserved_slots_are_had_at_the_first_asking_though_our_queue_could_use_them(
    shared: tuple[str, Callable[[], int]], loaded: Callable[[int], Load]
) -> None:
    name, taken = shared
    load = loaded(THEIRS)
    until(lambda: load.now == CAP - THEIRS)
    assert load.most_in(2.0) == CAP - THEIRS
    counts: list[int] = []
    for _ in range(3):
        # It asks once: a second time would be later than this.
        outsider(name, 1.0, 0.9, lambda: counts.append(taken() if load.now else -1))
    assert max(counts) == CAP, "our queue left nothing else unused"
    assert load.most == CAP - THEIRS
    load.end()
    until(lambda: taken() == 0)


def test_without_a_reserve_it_waits_until_our_queue_is_empty(
    shared: tuple[str, Callable[[], int]], loaded: Callable[[int], Load]
) -> None:
    name, taken = shared
    load = loaded(0)
    until(lambda: load.now == CAP)
    with pytest.raises(TimeoutError):
        outsider(name, 0.1, 2.0, lambda: None)
    load.end()
    # Surplus is back within two seconds; then it depends on when Prefect's client asks again.
    until(lambda: taken() == 0, seconds=5)
    outsider(name, 0.1, 5.0, lambda: None)

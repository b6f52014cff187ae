"""One of Prefect's limits is edited, switched off, deleted and made again under calls in flight:
the cap holds, or nobody is let in and it is said why."""

from collections.abc import Callable, Iterator
from typing import Any, cast
from uuid import uuid4

import pytest
from prefect.client.schemas.actions import (
    GlobalConcurrencyLimitCreate,
    GlobalConcurrencyLimitUpdate,
)

from prefect_governor import Budget, Governor, Limit
from prefect_governor.blocks.work.registry import stop_all
from tests.integration.leases.load import CAP, Load
from tests.waiting import A_LOOK_AT_THE_SERVER, until

pytestmark = [pytest.mark.usefixtures("server", "home"), pytest.mark.slow]


@pytest.fixture
def loaded() -> Iterator[Callable[..., tuple[Load, str]]]:
    """`loaded(**fields)`: calls under a saved governor with such a limit, and its name in
    Prefect."""
    loads: list[Load] = []

    def make(**fields: Any) -> tuple[Load, str]:
        name = f"edited-{uuid4().hex[:8]}"
        limit = Limit(tag="llm", max_concurrent=CAP, **fields)
        Governor(budget=Budget(max_usd=9), limits=[limit]).save(name)
        loads.append(Load(cast(Governor, Governor.load(name)).runtime))
        return loads[-1], fields.get("share_with") or f"governor:{name}:llm"

    yield make
    for each in loads:
        each.end()
    stop_all()


def update(client: Any, name: str, **fields: Any) -> None:
    client.update_global_concurrency_limit(name, GlobalConcurrencyLimitUpdate(**fields))


def test_limit_that_is_edited_switched_off_deleted_and_made_again_is_never_passed(
    client: Any, loaded: Callable[..., tuple[Load, str]]
) -> None:
    load, name = loaded()
    until(lambda: load.now == CAP)

    update(client, name, limit=2)
    until(lambda: load.most_in(0.5) == 2)
    assert load.most_in(2.0) == 2

    update(client, name, limit=0)
    until(lambda: load.most_in(0.5) == 0)
    assert load.most_in(1.0) == 0
    assert "Prefect's limit for 'llm' lets nobody in" in load.why()

    update(client, name, limit=CAP)
    until(lambda: load.now == CAP)

    # No limit of Prefect's any more; the governor's own holds.
    update(client, name, active=False)
    before = load.done
    assert load.most_in(4.0) == CAP
    assert load.done > before + CAP
    update(client, name, active=True)
    assert load.most_in(3.0) == CAP

    client.delete_global_concurrency_limit_by_name(name)
    assert load.most_in(4.0) <= CAP
    until(lambda: load.now == CAP)
    again = client.read_global_concurrency_limit_by_name(name)
    assert (again.limit, again.active_slots) == (CAP, CAP)

    load.end()
    until(
        lambda: client.read_global_concurrency_limit_by_name(name).active_slots == 0,
        every=A_LOOK_AT_THE_SERVER,
    )


def test_nobody_is_let_in_while_a_shared_limit_is_gone_and_it_is_said_why(
    client: Any, loaded: Callable[..., tuple[Load, str]], caplog: pytest.LogCaptureFixture
) -> None:
    shared = f"shared-{uuid4().hex[:8]}"
    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=shared, limit=4))
    load, _ = loaded(share_with=shared)
    until(lambda: load.now == 4)
    assert load.most_in(2.0) == 4

    client.delete_global_concurrency_limit_by_name(shared)
    stopped = until(lambda: load.most_in(0.5) == 0)
    assert stopped < 10
    assert load.most_in(1.0) == 0
    assert "no slot is leased from Prefect's limit for 'llm'" in load.why()
    assert f"prefect gcl create {shared}" in caplog.text

    client.create_global_concurrency_limit(GlobalConcurrencyLimitCreate(name=shared, limit=3))
    until(lambda: load.now == 3)
    assert load.most_in(2.0) == 3
    load.end()
    until(
        lambda: client.read_global_concurrency_limit_by_name(shared).active_slots == 0,
        every=A_LOOK_AT_THE_SERVER,
    )

"""Waiting beside a browser, whose loop goes on meanwhile, for what a run comes to."""

import asyncio
from collections.abc import Callable
from typing import Any
from uuid import UUID

from prefect.client.orchestration import SyncPrefectClient
from prefect.client.schemas.objects import State

from tests.integration.endings.bringing import artifacts
from tests.waiting import A_LOOK_AT_THE_SERVER, until


async def so(what: Callable[[], bool], *, seconds: float = 600) -> float:
    """Until it is so; the seconds that it took."""
    return await asyncio.to_thread(until, what, seconds=seconds, every=A_LOOK_AT_THE_SERVER)


async def ended(client: SyncPrefectClient, run_id: UUID, *, seconds: float = 900) -> "State[Any]":
    """How a run ended."""
    last: list[State[Any]] = []

    def final() -> bool:
        state = client.read_flow_run(run_id).state
        last[:] = [] if state is None else [state]
        return state is not None and state.is_final()

    await so(final, seconds=seconds)
    return last[0]


async def named(client: SyncPrefectClient, run_id: UUID, *names: str) -> None:
    """Until the state of a run has one of these names."""

    def has() -> bool:
        state = client.read_flow_run(run_id).state
        return state is not None and state.name in names

    await so(has)


async def waits_for_money(client: SyncPrefectClient, run_id: UUID) -> None:
    """Until a run's progress says that it is paused."""

    def says() -> bool:
        found = [each for each in artifacts(client, run_id) if each.type == "progress"]
        return any("paused" in (each.description or "") for each in found)

    await so(says)

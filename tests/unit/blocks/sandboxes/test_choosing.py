"""Which runtime works here is found out once, however many ask."""

import asyncio
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass
from typing import Any

import pytest

from prefect_governor.blocks import sandbox
from prefect_governor.blocks.errors import ConfigurationError


@dataclass(eq=False)
class Asked:
    """What is wanted, and the one runtime that would do: it counts how often it was tried."""

    why: str | None = None
    name: str = "counted"
    tried: int = 0

    def candidates(self) -> tuple[Any, ...]:
        return (self,)

    async def refusal(self) -> str | None:
        self.tried += 1
        await asyncio.sleep(0.02)
        return self.why

    async def sweep(self) -> int:
        return 0


@pytest.fixture(autouse=True)
def nothing_proved(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    monkeypatch.setattr(sandbox, "_proved", {})
    yield
    assert sandbox._proving == {}


def choose(asked: Any) -> Any:
    return sandbox.choose(asked)


def test_many_that_ask_at_once_on_several_loops_have_it_tried_once() -> None:
    asked = Asked()

    async def several() -> list[Any]:
        return await asyncio.gather(*(choose(asked) for _ in range(8)))

    with ThreadPoolExecutor(4) as threads:
        found = [*threads.map(lambda _: asyncio.run(several()), range(4))]
    assert asked.tried == 1 and {id(each) for some in found for each in some} == {id(asked)}


async def test_all_that_wait_are_told_why_there_is_none_and_the_next_tries_again() -> None:
    asked = Asked(why="not installed")
    told = await asyncio.gather(*(choose(asked) for _ in range(4)), return_exceptions=True)
    assert asked.tried == 1 and all("not installed" in str(each) for each in told)
    with pytest.raises(ConfigurationError):
        await choose(asked)
    assert asked.tried == 2


async def test_one_that_is_cancelled_leaves_the_finding_out_to_the_others() -> None:
    asked = Asked()
    first, second = (asyncio.ensure_future(choose(asked)) for _ in range(2))
    await asyncio.sleep(0)
    first.cancel()
    with suppress(asyncio.CancelledError):
        await first
    assert await second is asked and asked.tried == 2

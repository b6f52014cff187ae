"""How many sandboxes are at once where no governor says it."""

import asyncio
import contextlib
import threading

from prefect_governor.blocks.limits.derived import Memory
from prefect_governor.blocks.sandboxes.bounds import MIB, SandboxBounds
from prefect_governor.blocks.sandboxes.places import Places, most_at_once

SMALL = SandboxBounds(memory_mib=64, workspace_mib=16)
LARGE = SandboxBounds(memory_mib=512, workspace_mib=128)


def test_as_many_as_memory_and_cores_hold_and_never_none() -> None:
    memory = Memory(10_000 * MIB, 0, "machine")
    assert most_at_once(SMALL, memory, 4) == 4
    assert most_at_once(LARGE, memory, 64) == int(memory.room_bytes() / (640 * MIB)) == 13
    assert most_at_once(LARGE, Memory(100 * MIB, 90 * MIB, "machine"), 64) == 1
    assert most_at_once(SandboxBounds(cpus=0.5), None, 4) == 8
    assert most_at_once(SandboxBounds(cpus=8), None, 4) == 1


def test_no_more_are_in_than_fit_and_all_get_in_by_turns() -> None:
    async def work() -> list[int]:
        places, inside, seen = Places(lambda bounds: 3), 0, []

        async def one() -> None:
            nonlocal inside
            async with places.place(SMALL):
                inside += 1
                seen.append(inside)
                await asyncio.sleep(0)
                inside -= 1

        await asyncio.gather(*(one() for _ in range(20)))
        return seen

    seen = asyncio.run(work())
    assert len(seen) == 20 and max(seen) == 3


def test_a_large_one_takes_more_of_the_machine_and_is_not_passed_for_ever() -> None:
    async def work() -> list[str]:
        places, order = Places(lambda bounds: 1 if bounds is LARGE else 2), list[str]()

        async def one(name: str, bounds: SandboxBounds) -> None:
            async with places.place(bounds):
                order.append(name)
                await asyncio.sleep(0)

        await asyncio.gather(one("a", SMALL), one("large", LARGE), one("b", SMALL))
        return order

    assert asyncio.run(work()) == ["a", "large", "b"]


def test_who_is_cancelled_while_he_waits_leaves_his_turn_to_the_next() -> None:
    async def work() -> None:
        places, free = Places(lambda bounds: 1), asyncio.Event()

        async def hold() -> None:
            async with places.place(SMALL):
                await free.wait()

        first, second, third = (asyncio.ensure_future(hold()) for _ in range(3))
        await asyncio.sleep(0)
        second.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await second
        free.set()
        await asyncio.wait_for(asyncio.gather(first, third), 10)

    asyncio.run(work())


def test_loops_of_other_threads_wait_in_the_same_queue() -> None:
    places, inside, most = Places(lambda bounds: 2), 0, 0
    lock = threading.Lock()

    async def one() -> None:
        nonlocal inside, most
        async with places.place(SMALL):
            with lock:
                inside += 1
                most = max(most, inside)
            await asyncio.sleep(0.001)
            with lock:
                inside -= 1

    async def several() -> None:
        await asyncio.gather(*(one() for _ in range(5)))

    threads = [threading.Thread(target=asyncio.run, args=(several(),)) for _ in range(4)]
    for each in threads:
        each.start()
    for each in threads:
        each.join(20)
    assert not any(each.is_alive() for each in threads)
    assert most == 2

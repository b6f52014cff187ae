"""Small programs of tasks, threads, slots and money, that wait for each other in any way."""

import asyncio
import threading
from collections import Counter
from dataclasses import dataclass, field
from typing import Any

from hypothesis import strategies as st

from prefect_governor.blocks.errors import CallRefused, ConfigurationError
from prefect_governor.blocks.governor import Governor
from prefect_governor.blocks.terms.limit import Limit

MAX_USD = 1
SLOTS = ("one", "two")
LIMITS = [Limit(tag="one", max_concurrent=1), Limit(tag="two", max_concurrent=2)]
# What is asked for, and whether code on a loop blocks it meanwhile.
_THINGS = st.sampled_from(
    [("slot", "one"), ("slot", "two"), ("key", "k"), ("usd", "0.6"), ("usd", "0.3")]
)
_HELD = st.tuples(_THINGS, st.booleans())
_LEAF = st.just(("sleep",))


def _around(inside: st.SearchStrategy[Any]) -> st.SearchStrategy[Any]:
    body = st.lists(inside, min_size=1, max_size=2)
    bodies = st.lists(body, min_size=1, max_size=3)
    return st.one_of(
        st.tuples(st.just("hold"), _HELD, body),
        st.tuples(st.just("gather"), bodies),
        st.tuples(st.just("task"), body),
        st.tuples(st.just("thread"), body),
    )


NODES = st.recursive(_LEAF, _around, max_leaves=6)
# What begins at once: on one loop, and each in a thread of its own.
PROGRAMS = st.tuples(
    st.lists(st.lists(NODES, min_size=1, max_size=2), min_size=1, max_size=3),
    st.lists(st.lists(NODES, min_size=1, max_size=2), max_size=2),
)


@dataclass
class Runner:
    """Runs one program under a governor. `ended` counts how its parts did."""

    governor: Governor
    ended: "Counter[str]" = field(default_factory=Counter)

    def run(self, program: Any) -> None:
        on_loop, in_threads = program
        threads = [
            threading.Thread(target=self._part, args=(body,), daemon=True) for body in in_threads
        ]
        for thread in threads:
            thread.start()
        asyncio.run(self._loop(on_loop))
        for thread in threads:
            thread.join()

    async def _loop(self, bodies: Any) -> None:
        await asyncio.gather(*(self._apart(body) for body in bodies))

    async def _apart(self, body: Any) -> None:
        try:
            await self._all(body)
        except (CallRefused, ConfigurationError):
            self.ended["refused"] += 1
        else:
            self.ended["done"] += 1

    def _part(self, body: Any) -> None:
        try:
            self._all_blocking(body)
        except (CallRefused, ConfigurationError):
            self.ended["refused"] += 1
        else:
            self.ended["done"] += 1

    async def _all(self, body: Any) -> None:
        started = []
        try:
            for node in body:
                if node[0] == "task":
                    started.append(asyncio.create_task(self._apart(node[1])))
                    await asyncio.sleep(0)
                else:
                    await self._do(node)
        finally:
            for each in started:
                await each

    async def _do(self, node: Any) -> None:
        kind = node[0]
        if kind == "sleep":
            await asyncio.sleep(0.001)
        elif kind == "gather":
            await asyncio.gather(*(self._apart(body) for body in node[1]))
        elif kind == "thread":
            await asyncio.to_thread(self._part, node[1])
        else:
            (thing, blocks), body = node[1], node[2]
            held = self._held(thing)
            if blocks:
                with held as entered:
                    await self._all(body)
                    _settle(entered)
            else:
                async with held as entered:
                    await self._all(body)
                    _settle(entered)

    def _all_blocking(self, body: Any) -> None:
        for node in body:
            if node[0] == "hold":
                with self._held(node[1][0]) as entered:
                    self._all_blocking(node[2])
                    _settle(entered)
            elif node[0] == "gather":
                for each in node[1]:
                    self._all_blocking(each)
            elif node[0] != "sleep":
                self._all_blocking(node[1])

    def _held(self, thing: tuple[str, str]) -> Any:
        kind, name = thing
        if kind == "slot":
            return self.governor.slot(name)
        if kind == "key":
            return self.governor.exclusive(name)
        return self.governor.reserve(name)


def _settle(entered: Any) -> None:
    """What was reserved is not spent: the next program has all of it again."""
    if hasattr(entered, "settle"):
        entered.settle(0)

"""Whatever can be called runs under its governor, and is seen as what it is."""

import asyncio
import functools
import inspect
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

import pytest

from prefect_governor.blocks.claims.callables import governed_callable
from prefect_governor.blocks.context.scope import Scope, current_scope


class Nobody:
    """A governor that is only asked who it is."""


HERE: Any = Nobody()


def wrap(function: Any) -> Any:
    return governed_callable(function, lambda: Scope(HERE))


def inside() -> Any:
    """The governor of the code that asks."""
    here = current_scope.get()
    return None if here is None else here.governor


def plain(more: int = 1) -> Any:
    return inside(), more


async def coroutine(more: int = 1) -> Any:
    await asyncio.sleep(0)
    return inside(), more


def generator(more: int = 1) -> Iterator[Any]:
    yield inside(), more
    yield inside(), more


async def async_generator(more: int = 1) -> AsyncIterator[Any]:
    yield inside(), more
    await asyncio.sleep(0)
    yield inside(), more


class Plain:
    def __call__(self, more: int = 1) -> Any:
        return inside(), more


class Coroutine:
    async def __call__(self, more: int = 1) -> Any:
        return inside(), more


class Generator:
    def __call__(self, more: int = 1) -> Iterator[Any]:
        yield inside(), more


class AsyncGenerator:
    async def __call__(self, more: int = 1) -> AsyncIterator[Any]:
        yield inside(), more


class Methods:
    @wrap
    def method(self, more: int = 1) -> Any:
        return inside(), more

    @classmethod
    @wrap
    def beneath(cls, more: int = 1) -> Any:
        return inside(), more, cls

    @wrap
    @classmethod
    def around(cls, more: int = 1) -> Any:
        return inside(), more, cls

    @wrap
    @staticmethod
    def static(more: int = 1) -> Any:
        return inside(), more

    @wrap
    async def later(self, more: int = 1) -> Any:
        return inside(), more


KINDS: dict[str, Callable[..., Any]] = {
    "function": plain,
    "coroutine": coroutine,
    "generator": generator,
    "async generator": async_generator,
    "object": Plain(),
    "object, coroutine": Coroutine(),
    "object, generator": Generator(),
    "object, async generator": AsyncGenerator(),
    "partial": functools.partial(plain, more=2),
    "partial, coroutine": functools.partial(coroutine, more=2),
    "partial, generator": functools.partial(generator, more=2),
    "partial of a partial": functools.partial(functools.partial(async_generator), more=2),
}
TESTS = (inspect.iscoroutinefunction, inspect.isgeneratorfunction, inspect.isasyncgenfunction)


def run(function: Callable[..., Any]) -> list[Any]:
    """What it gives, whatever kind it is of; and that whoever takes it is under no governor."""
    given = function()
    found: list[Any] = []
    if inspect.iscoroutine(given):
        found.append(asyncio.run(given))
    elif inspect.isgenerator(given):
        for item in given:
            assert inside() is None
            found.append(item)
    elif inspect.isasyncgen(given):

        async def take() -> None:
            async for item in given:
                assert inside() is None
                found.append(item)

        asyncio.run(take())
    else:
        found.append(given)
    assert inside() is None
    return found


def as_seen(test: Callable[[Any], bool], function: Any) -> bool:
    """Of an object, what its `__call__` is: `inspect` looks no further than the object."""
    inner = function
    while isinstance(inner, functools.partial):
        inner = inner.func
    return test(inner if inspect.isroutine(inner) else type(inner).__call__)


@pytest.mark.parametrize("kind", KINDS)
def test_code_of_every_kind_runs_under_the_governor_and_is_seen_as_what_it_is(kind: str) -> None:
    function = KINDS[kind]
    governed = wrap(function)
    more = 2 if kind.startswith("partial") else 1
    found = run(governed)
    assert found and found == [(HERE, more)] * len(found)
    assert len(found) == len(run(function))
    for test in TESTS:
        assert test(governed) == as_seen(test, function)
    assert inspect.signature(governed) == inspect.signature(function)
    assert governed.__name__.isidentifier()


def test_methods_of_every_kind_run_under_the_governor() -> None:
    methods = Methods()
    assert methods.method(3) == (HERE, 3)
    assert Methods.beneath(3) == methods.beneath(3) == (HERE, 3, Methods)
    assert Methods.around(3) == methods.around(3) == (HERE, 3, Methods)
    assert Methods.static(3) == methods.static(3) == (HERE, 3)
    assert asyncio.run(methods.later(3)) == (HERE, 3)


def test_a_generator_is_sent_to_thrown_at_and_closed_as_if_nothing_were_around_it() -> None:
    seen: list[Any] = []

    @wrap
    def talk() -> Any:
        try:
            seen.append((yield "first"))
            try:
                yield "second"
            except ValueError as error:
                seen.append((str(error), inside()))
            yield "third"
        finally:
            seen.append(("closed", inside()))
        return "done"

    talking = talk()
    assert next(talking) == "first"
    assert talking.send("sent") == "second"
    assert talking.throw(ValueError("thrown")) == "third"
    talking.close()
    assert seen == ["sent", ("thrown", HERE), ("closed", HERE)]

    def outer() -> Any:
        return (yield from talk())

    ended = outer()
    for _ in range(3):
        ended.send(None)
    with pytest.raises(StopIteration) as stop:
        ended.send(None)
    assert stop.value.value == "done"


async def test_an_async_generator_too() -> None:
    seen: list[Any] = []

    @wrap
    async def talk() -> Any:
        try:
            seen.append((yield "first"))
            try:
                yield "second"
            except ValueError as error:
                seen.append((str(error), inside()))
            yield "third"
        finally:
            seen.append(("closed", inside()))

    talking = talk()
    assert await talking.asend(None) == "first"
    assert await talking.asend("sent") == "second"
    assert await talking.athrow(ValueError("thrown")) == "third"
    await talking.aclose()
    assert seen == ["sent", ("thrown", HERE), ("closed", HERE)]


def test_two_generators_that_are_read_by_turns_have_their_own_governors() -> None:
    other: Any = Nobody()
    first, second = wrap(generator)(), governed_callable(generator, lambda: Scope(other))()
    found = [next(first)[0], next(second)[0], next(first)[0], next(second)[0]]
    assert found == [HERE, other, HERE, other]


def test_what_cannot_be_called_is_refused_where_it_stands() -> None:
    with pytest.raises(TypeError, match="what can be called, not 'llm-team'"):
        wrap("llm-team")

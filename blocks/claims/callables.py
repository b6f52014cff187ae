"""Whatever can be called, run under a governor: functions of every kind, objects, partials.

What is wrapped is seen by `inspect` as what it is, so that Prefect runs it as what it is.
"""

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from typing import Any

from prefect_governor.blocks.claims.flow_stops import NotTriedAgain, once_stopped
from prefect_governor.blocks.claims.task_slots import TaskSlot
from prefect_governor.blocks.context.scope import Scope, scope
from prefect_governor.blocks.secrets.exits import scrubbed_error

MakeScope = Callable[[], Scope]


def governed_callable(function: Any, make_scope: MakeScope) -> Any:
    """`function` with its code under the scope that `make_scope` makes for each call of it.

    A generator runs under it from one `yield` to the next: whoever iterates over it does not, nor
    does a suspended generator hold a slot of a limit that counts tasks.

    Raises TypeError for what cannot be called.
    """
    if isinstance(function, classmethod | staticmethod):
        return type(function)(governed_callable(function.__func__, make_scope))
    if not callable(function):
        raise TypeError(f"@governed goes around what can be called, not {function!r}")
    if _is(inspect.isasyncgenfunction, function):
        return _named(function, _async_generator(function, make_scope))
    if _is(inspect.isgeneratorfunction, function):
        return _named(function, _generator(function, make_scope))
    if _is(inspect.iscoroutinefunction, function):
        return _named(function, _coroutine(function, make_scope))
    return _named(function, _plain(function, make_scope))


def _is(test: Callable[[Any], bool], function: Any) -> bool:
    """Of the function, or of the `__call__` of an object; through partials, as `inspect` does."""
    while isinstance(function, functools.partial):
        function = function.func
    return test(function) or (not inspect.isroutine(function) and test(type(function).__call__))


def _named(function: Any, wrapper: Any) -> Any:
    functools.update_wrapper(wrapper, function)
    if not hasattr(function, "__name__"):
        # An object or a partial: Prefect calls a task by what it calls.
        inner = function
        while isinstance(inner, functools.partial):
            inner = inner.func
        kind = type(inner)
        wrapper.__name__ = getattr(inner, "__name__", kind.__name__)
        wrapper.__qualname__ = getattr(inner, "__qualname__", kind.__qualname__)
    return wrapper


def _plain(function: Callable[..., Any], make_scope: MakeScope) -> Callable[..., Any]:
    def governed_sync(*args: Any, **kwargs: Any) -> Any:
        try:
            with once_stopped(governed_sync), scope(make_scope()), TaskSlot.of_function():
                return function(*args, **kwargs)
        except NotTriedAgain as over:
            return over.state
        except Exception as error:
            # Under whichever runner: it is a state's message and data.
            scrubbed_error(error)
            raise

    return governed_sync


def _coroutine(function: Callable[..., Any], make_scope: MakeScope) -> Callable[..., Any]:
    async def governed_async(*args: Any, **kwargs: Any) -> Any:
        try:
            with once_stopped(governed_async), scope(make_scope()):
                async with TaskSlot.of_function():
                    return await function(*args, **kwargs)
        except NotTriedAgain as over:
            return over.state
        except Exception as error:
            scrubbed_error(error)
            raise

    return governed_async


def _generator(function: Callable[..., Any], make_scope: MakeScope) -> Callable[..., Any]:
    def governed_generator(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        here = make_scope()
        with scope(here):
            inner = function(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(next, inner)
        while True:
            with once_stopped(), scope(here), TaskSlot.of_function():
                try:
                    item = step()
                except StopIteration as end:
                    return end.value
            try:
                sent = yield item
            except GeneratorExit:
                with scope(here):
                    inner.close()
                raise
            except BaseException as error:
                step = functools.partial(inner.throw, error)
            else:
                step = functools.partial(inner.send, sent)

    return governed_generator


def _async_generator(function: Callable[..., Any], make_scope: MakeScope) -> Callable[..., Any]:
    async def governed_async_generator(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        here = make_scope()
        with scope(here):
            inner = function(*args, **kwargs)
        step: Callable[[], Any] = inner.__anext__
        while True:
            with once_stopped(), scope(here):
                async with TaskSlot.of_function():
                    try:
                        item = await step()
                    except StopAsyncIteration:
                        return
            try:
                sent = yield item
            except GeneratorExit:
                with scope(here):
                    await inner.aclose()
                raise
            except BaseException as error:
                step = functools.partial(inner.athrow, error)
            else:
                step = functools.partial(inner.asend, sent)

    return governed_async_generator

"""Prefect's futures: who waits for one by way of Prefect, and which ones stand in a parameter."""

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from prefect.futures import PrefectConcurrentFuture, PrefectFuture

from prefect_governor.blocks.prefect_internals.names import find

R = TypeVar("R")

_PLAIN_WALK = "futures are looked for in lists, tuples, sets and mappings alone"
_visit: Any = find("prefect.utilities.collections", "visit_collection", instead=_PLAIN_WALK)
_stop: Any = find("prefect.utilities.collections", "StopVisiting", instead=_PLAIN_WALK)
_quote: Any = find("prefect.utilities.annotations", "quote", instead=_PLAIN_WALK)

find(
    "prefect.futures",
    "PrefectConcurrentFuture._add_prefect_done_callback",
    instead="a wait() or as_completed() that could never end is not found out",
)


class WatchedFuture(PrefectConcurrentFuture[R]):
    """A future that is told before Prefect's `wait` or `as_completed` waits for it."""

    def _before_waited_for(self) -> None:
        """Called in the thread that is about to block. What it raises is raised there."""

    def _add_prefect_done_callback(self, fn: Callable[[PrefectFuture[R]], None]) -> None:
        self._before_waited_for()
        super()._add_prefect_done_callback(fn)


# What most mapped parameters are: walking them costs more than looking at their type.
_SCALARS = frozenset({str, bytes, int, float, bool, type(None)})


def each_future(expression: Any, tell: Callable[[PrefectFuture[Any]], None]) -> None:
    """Tell of every future at any depth of `expression`. What is quoted is left alone, as the
    engine does. Raises what a value raises that cannot be walked."""
    if type(expression) in _SCALARS:
        return
    if _visit is None or _stop is None or _quote is None:
        _walk(expression, tell)
        return

    def collect(expr: Any, context: dict[str, Any]) -> Any:
        if isinstance(context.get("annotation"), _quote):
            raise _stop
        if isinstance(expr, PrefectFuture):
            tell(expr)
        return expr

    _visit(expression, visit_fn=collect, return_data=False, context={})


def _walk(expression: Any, tell: Callable[[PrefectFuture[Any]], None]) -> None:
    ahead, seen = [expression], set()
    while ahead:
        each = ahead.pop()
        if id(each) in seen:
            continue
        seen.add(id(each))
        if isinstance(each, PrefectFuture):
            tell(each)
        elif isinstance(each, Mapping):
            ahead += [*each.keys(), *each.values()]
        elif isinstance(each, list | tuple | set | frozenset) and not _is_quoted(each):
            ahead += each


def _is_quoted(expression: Any) -> bool:
    return _quote is not None and isinstance(expression, _quote)

"""Rows of the table of behaviours: what a flow does under a task runner, as a value to compare.

A row is a function of a runner's maker; what it returns must be equal under Prefect's runner and
under ours. Where it matters what that is, `expect` says it; else Prefect's runner alone does.
"""

from __future__ import annotations

import asyncio
import importlib
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from prefect.task_runners import TaskRunner

MakeRunner = Callable[[], TaskRunner[Any]]
PATIENCE_SECONDS = 90.0
_ANYTHING = object()
_MODULES = ("data", "waiting", "attempts", "keeping", "nesting", "seeing", "flows", "ends")


@dataclass(frozen=True)
class Row:
    """One behaviour."""

    name: str
    observe: Callable[[MakeRunner], Any]
    expect: Any = _ANYTHING

    def checks(self, observed: Any) -> bool:
        """Whether it is what must be seen under any runner."""
        return self.expect is _ANYTHING or bool(observed == self.expect)


_rows: list[Row] = []


def row(expect: Any = _ANYTHING) -> Callable[[Callable[[MakeRunner], Any]], Any]:
    """Adds a function to the table. An asynchronous one is run on a loop of its own."""

    def add(observe: Callable[[MakeRunner], Any]) -> Callable[[MakeRunner], Any]:
        def observed(make: MakeRunner) -> Any:
            seen = observe(make)
            return asyncio.run(seen) if asyncio.iscoroutine(seen) else seen

        _rows.append(Row(observe.__name__, observed, expect))
        return observe

    return add


def table() -> list[Row]:
    """Every row."""
    if not _rows:
        for name in _MODULES:
            importlib.import_module(f"{__name__}.{name}")
    return _rows


def outcome(call: Callable[[], Any]) -> str:
    """What a call gives or raises, as text."""
    try:
        return repr(call())
    except BaseException as error:
        return f"raised {type(error).__name__}: {str(error)[:60]}"

"""LiteLLM is imported once, and nobody's loop stands still for it."""

from __future__ import annotations

import asyncio
import importlib
import threading
from collections.abc import Iterator
from types import ModuleType

import pytest

from prefect_governor.blocks.errors import NotGoverned
from prefect_governor.blocks.models.completion import acompletion
from prefect_governor.blocks.models.library import module as library

PATIENCE_SECONDS = 30.0


class _Imports:
    """An import that takes as long as the test wants, and may fail."""

    def __init__(self) -> None:
        self.begun, self.may_end = threading.Event(), threading.Event()
        self.module = ModuleType("litellm")
        self.count = 0
        self.errors: list[Exception] = []

    def __call__(self, name: str) -> ModuleType:
        assert name == "litellm"
        self.count += 1
        self.begun.set()
        assert self.may_end.wait(PATIENCE_SECONDS)
        if self.errors:
            raise self.errors.pop()
        return self.module


@pytest.fixture
def imports(monkeypatch: pytest.MonkeyPatch) -> Iterator[_Imports]:
    made = _Imports()
    monkeypatch.setattr(library, "_library", None)
    monkeypatch.setattr(library, "_warming", None)
    monkeypatch.setattr(importlib, "import_module", made)
    yield made
    made.may_end.set()


def test_a_loop_goes_on_while_it_is_imported(imports: _Imports) -> None:
    async def run() -> None:
        first, second = (asyncio.ensure_future(library.litellm_off_loop()) for _ in range(2))
        while not imports.begun.is_set():
            await asyncio.sleep(0)
        # Here the loop would stand still.
        await asyncio.sleep(0)
        assert not first.done()
        imports.may_end.set()
        assert await first is await second is imports.module
        assert await library.litellm_off_loop() is imports.module

    asyncio.run(run())
    assert imports.count == 1


def test_one_who_leaves_while_it_is_imported_leaves_it_to_the_others(imports: _Imports) -> None:
    async def run() -> None:
        first, second = (asyncio.ensure_future(library.litellm_off_loop()) for _ in range(2))
        while not imports.begun.is_set():
            await asyncio.sleep(0)
        first.cancel()
        await asyncio.wait([first])
        imports.may_end.set()
        assert await second is imports.module

    asyncio.run(run())
    assert imports.count == 1


def test_an_import_that_failed_is_tried_again(imports: _Imports) -> None:
    imports.errors.append(ImportError("no"))
    imports.may_end.set()
    with pytest.raises(ImportError):
        library.warm_up().result(PATIENCE_SECONDS)
    assert library.warm_up().result(PATIENCE_SECONDS) is imports.module
    assert library.warm_up() is library.warm_up()


def test_what_is_refused_anyway_waits_for_no_import(imports: _Imports) -> None:
    with pytest.raises(NotGoverned):
        asyncio.run(acompletion("openai/gpt-4o-mini", []))
    assert imports.count == 0

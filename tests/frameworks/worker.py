"""Runs a framework's program in its environment, as it is told by lines of JSON on stdin.

    python -m tests.frameworks.worker NAME PROGRAM PORT

Each line is an `Order`'s fields; the answer is one line, an `Outcome`'s, on what was stdout: what
the program prints is caught.
"""

from __future__ import annotations

import contextlib
import importlib
import io
import itertools
import json
import os
import signal
import sys
import threading
import time
import traceback
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

from tests.frameworks.framework import Program, frameworks
from tests.frameworks.one_loop import share_one_loop
from tests.frameworks.redirect import redirect

# How long what a cancelled program held may take to come back.
GIVING_BACK_SECONDS = 10.0


@dataclass(frozen=True)
class Order:
    """`times` runs of the program, `at_once` of them; in the governed form under a budget of that
    name and ceiling."""

    budget: str
    max_usd: str
    governed: bool = True
    times: int = 1
    at_once: int = 1


@dataclass(frozen=True)
class Outcome:
    """What came of it.

    failed: how many of the runs ended in an error. error: the first one's text, `kind` its class.
    said: what was printed and logged. asked: how often a governor was asked for a call. spent_nano,
    reserved_nano, unconfirmed_nano: the budget's, once nothing is under way.
    """

    failed: int
    kind: str
    error: str
    said: str
    asked: int
    spent_nano: int
    reserved_nano: int
    unconfirmed_nano: int


def main() -> None:
    name, program_name, port = sys.argv[1:]
    framework = frameworks()[name]
    (program,) = [each for each in framework.programs if each.name == program_name]
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    redirect(frozenset(program.hosts), int(port))
    # A shell has what it runs in the background ignore it.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if program.one_loop:
        share_one_loop()
    runner = _Runner(program)
    print(json.dumps({"ready": True}), file=answers, flush=True)
    for line in sys.stdin:
        outcome = runner.obey(Order(**json.loads(line)))
        print(json.dumps(asdict(outcome)), file=answers, flush=True)
    # Threads of a framework may never end.
    os._exit(0)


class _Runner:
    def __init__(self, program: Program) -> None:
        self._program = program
        self._numbers = itertools.count(1)
        self._asked = _counted()

    def obey(self, order: Order) -> Outcome:
        from prefect_governor import Governor

        governor = Governor.local(
            order.budget, max_usd=order.max_usd, **dict(self._program.governor)
        )
        code = self._program.form(governed=order.governed)
        before = len(self._asked)
        with _caught() as said:
            if order.at_once == 1:
                errors = [self._run(code, governor) for _ in range(order.times)]
            else:
                with ThreadPoolExecutor(order.at_once) as pool:
                    futures = [pool.submit(self._run, code, governor) for _ in range(order.times)]
                    errors = [each.result() for each in futures]
        failed = [each for each in errors if each is not None]
        state = _settled(governor)
        return Outcome(
            len(failed),
            type(failed[0]).__name__ if failed else "",
            str(failed[0]) if failed else "",
            said.getvalue()[-20_000:],
            len(self._asked) - before,
            state.spent_nano,
            state.reserved_nano,
            state.unconfirmed_nano,
        )

    def _run(self, code: str, governor: Any) -> BaseException | None:
        """The error that it ended in. As a module of its own in a file of its own: frameworks look
        for the source of a function, and for the module of a class."""
        number = next(self._numbers)
        if self._program.varies is not None:
            code = code.replace(self._program.varies, f"{self._program.varies} ({number})", 1)
        path = Path(f"program_{number}.py").absolute()
        path.write_text(code)
        module = ModuleType("__main__" if "__main__" in code else path.stem)
        module.__file__ = str(path)
        vars(module)["governor"] = governor
        sys.modules[path.stem] = module
        try:
            exec(compile(code, str(path), "exec"), vars(module))
        except BaseException as error:
            if os.environ.get("FRAMEWORKS_TRACE"):
                traceback.print_exc(file=sys.__stderr__)
            return error
        finally:
            del sys.modules[path.stem]
        return None


def _counted() -> list[str]:
    """The threads in which a governor is asked for a call from here on, one each time."""
    exchange: Any = importlib.import_module("prefect_governor.blocks.wire.exchange")
    asked: list[str] = []
    planned = exchange.planned

    def counted(*arguments: Any, **more: Any) -> Any:
        asked.append(threading.current_thread().name)
        return planned(*arguments, **more)

    exchange.planned = counted
    return asked


def _settled(governor: Any) -> Any:
    """The budget's figures once nothing is reserved, or after a while all the same."""
    deadline = time.monotonic() + GIVING_BACK_SECONDS
    while (state := governor.budget.state()).reserved_nano and time.monotonic() < deadline:
        time.sleep(0.05)
    return state


@contextlib.contextmanager
def _caught() -> Iterator[io.StringIO]:
    """What is printed inside; a copy goes to stderr where the whole is traced."""
    said = io.StringIO()
    with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
        yield said
    if os.environ.get("FRAMEWORKS_TRACE"):
        print(said.getvalue(), file=sys.stderr)


if __name__ == "__main__":
    main()

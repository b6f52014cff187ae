"""Ctrl-C at the terminal."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from prefect_governor.flows.cli.terminal.terminal import say

if TYPE_CHECKING:
    from prefect_governor.flows.run.control import Control


@contextmanager
def interruptible(control: "Control") -> Iterator[None]:
    """Ctrl-C once stops starting, twice cancels what is in flight, a third time is Python's.

    The handler of the signal only passes it on: what it interrupts may be half way through a line
    to the person, or hold the very lock that a stop takes. A thread says and does the rest.
    """
    # Of all queues, the one that a signal's handler may put into.
    presses: SimpleQueue[bool] = SimpleQueue()

    def press(_signal: int, _frame: FrameType | None) -> None:
        if control.abort.is_set():
            raise KeyboardInterrupt
        presses.put(True)

    def obey() -> None:
        while presses.get():
            if not control.stop.is_set():
                control.interrupted = True
                control.stop.set()
                say("starting nothing more; finishing what is in flight (Ctrl-C again cancels it)")
            elif not control.abort.is_set():
                control.abort.set()
                say("cancelling what is in flight; it stays charged as unconfirmed")

    before: Callable[..., Any] | int | None = signal.signal(signal.SIGINT, press)
    obeying = threading.Thread(target=obey, name="ctrl-c", daemon=True)
    obeying.start()
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)
        presses.put(False)
        obeying.join()

"""Ctrl-C at the terminal, and what whoever watches over the process sends in its place."""

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from queue import SimpleQueue
from types import FrameType
from typing import TYPE_CHECKING, Any

from prefect_governor.blocks.machine.stops import Now
from prefect_governor.flows.cli.terminal.terminal import say

if TYPE_CHECKING:
    from prefect_governor.flows.run.control import Control

# From an orchestrator, `timeout` and `systemctl stop`; from a terminal that is gone.
ENDED_BY = (signal.SIGTERM, signal.SIGHUP)


@contextmanager
def interruptible(control: "Control") -> Iterator[Callable[[], None]]:
    """Ctrl-C once stops starting, twice cancels what is in flight, a third time waits for nothing.
    SIGTERM and SIGHUP are the first; where one is ignored, as under nohup, it is still.

    Prefect's engine takes SIGTERM for itself when a flow begins: what is given is to be called once
    it has, in the main thread.

    The handler of the signal only passes it on: what it interrupts may be half way through a line
    to the person, or hold the very lock that a stop takes. A thread says and does the rest.
    """
    # Of all queues, the one that a signal's handler may put into.
    presses: SimpleQueue[int] = SimpleQueue()

    def press(number: int, _frame: FrameType | None) -> None:
        if number == signal.SIGINT and control.abort.is_set():
            raise Now
        presses.put(number)

    def obey() -> None:
        while number := presses.get():
            if not control.stop.is_set():
                control.interrupted = True
                control.stop.set()
                again = "Ctrl-C" if number != signal.SIGINT else "Ctrl-C again"
                say(f"starting nothing more; finishing what is in flight ({again} cancels it)")
            elif number == signal.SIGINT and not control.abort.is_set():
                control.abort.set()
                say("cancelling what is in flight; it stays charged as unconfirmed")

    def take(number: signal.Signals) -> Any:
        if signal.getsignal(number) is signal.SIG_IGN:
            return signal.SIG_IGN
        return signal.signal(number, press)

    def take_again() -> None:
        for number in ENDED_BY:
            take(number)

    before = {number: take(number) for number in ENDED_BY}
    before[signal.SIGINT] = signal.signal(signal.SIGINT, press)
    obeying = threading.Thread(target=obey, name="ctrl-c", daemon=True)
    obeying.start()
    try:
        yield take_again
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)
        presses.put(0)
        obeying.join()

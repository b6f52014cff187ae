"""Ctrl-C at the terminal, wherever it finds the program."""

import io
import os
import signal
import sys
from collections.abc import Iterator
from contextlib import suppress
from typing import Any

import pytest

from prefect_governor.flows.cli.terminal.interrupts import interruptible
from prefect_governor.flows.run.control import Control


@pytest.fixture(autouse=True)
def hangs_up() -> Iterator[None]:
    """SIGHUP as a terminal has it: under nohup it is ignored, and would be here."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


class _PressedWhileWriting(io.RawIOBase):
    """A terminal at which somebody presses Ctrl-C while the first line is half way out."""

    def __init__(self) -> None:
        self.shown = b""

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        first = not self.shown
        self.shown += bytes(data)
        if first:
            os.kill(os.getpid(), signal.SIGINT)
        return len(data)


def test_a_press_half_way_through_a_line_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    terminal, control = _PressedWhileWriting(), Control()
    monkeypatch.setattr(sys, "stderr", io.TextIOWrapper(io.BufferedWriter(terminal)))
    with interruptible(control):
        print("3 of 40", file=sys.stderr, flush=True)
        assert control.stop.wait(30)
    assert control.interrupted
    assert not control.abort.is_set()
    assert terminal.shown.startswith(b"3 of 40\nstarting nothing more; finishing")


def test_a_second_press_cancels_and_a_third_is_pythons() -> None:
    control = Control()
    with interruptible(control):
        os.kill(os.getpid(), signal.SIGINT)
        assert control.stop.wait(30)
        os.kill(os.getpid(), signal.SIGINT)
        assert control.abort.wait(30)
        with pytest.raises(KeyboardInterrupt):
            os.kill(os.getpid(), signal.SIGINT)


def test_a_press_where_the_run_stopped_itself_cancels() -> None:
    control = Control()
    control.stop.set("the provider refused the key")
    with interruptible(control):
        os.kill(os.getpid(), signal.SIGINT)
        assert control.abort.wait(30)
    assert not control.interrupted
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_asked_to_end_a_run_stops_and_finishes_what_is_in_flight(number: signal.Signals) -> None:
    control, before = Control(), signal.getsignal(number)
    with interruptible(control) as take_again:
        # As Prefect's engine does when a flow begins.
        signal.signal(signal.SIGTERM, signal.SIG_DFL)
        take_again()
        os.kill(os.getpid(), number)
        assert control.stop.wait(30)
        # A terminal that is closed sends both: nothing in flight is cancelled for it.
        os.kill(os.getpid(), signal.SIGTERM)
        os.kill(os.getpid(), signal.SIGINT)
        assert control.abort.wait(30)
    assert control.interrupted
    assert signal.getsignal(number) is before


def test_what_is_ignored_is_ignored_still() -> None:
    control, before = Control(), signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        with interruptible(control) as take_again:
            take_again()
            os.kill(os.getpid(), signal.SIGHUP)
            assert not control.stop.wait(0.1)
    finally:
        signal.signal(signal.SIGHUP, before)


def test_a_terminal_that_is_gone_holds_nothing_up(monkeypatch: pytest.MonkeyPatch) -> None:
    control = Control()
    # What it could not take fails once more as it is closed.
    with suppress(OSError), open("/dev/full", "w") as terminal:
        monkeypatch.setattr(sys, "stderr", terminal)
        with interruptible(control):
            os.kill(os.getpid(), signal.SIGHUP)
            assert control.stop.wait(30)
            os.kill(os.getpid(), signal.SIGINT)
            assert control.abort.wait(30)
        monkeypatch.undo()

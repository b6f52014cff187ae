"""Children of a test: forked, ended, killed, by their ids."""

import os
import signal
import time
import traceback
from collections.abc import Callable

import pytest

# Forking is the hazard here; newer Pythons warn of it wherever there are threads.
FORKS = pytest.mark.filterwarnings("ignore:This process .* is multi-threaded")


def fork(work: Callable[[], None]) -> int:
    """A child that does `work` and exits 0, or 1 with a traceback; it never outlives its test."""
    pid = os.fork()
    if pid == 0:
        signal.alarm(120)
        try:
            work()
        except BaseException:
            traceback.print_exc()
            os._exit(1)
        os._exit(0)
    return pid


def ended_well(pid: int, seconds: float = 180.0) -> bool:
    """Whether a child exits 0 in time; it is killed where it does not exit at all."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        done, status = os.waitpid(pid, os.WNOHANG)
        if done:
            return os.waitstatus_to_exitcode(status) == 0
        time.sleep(0.01)
    kill(pid)
    return False


def kill(pid: int) -> int:
    """SIGKILL and wait. Returns an instant before the death."""
    before = time.monotonic_ns()
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    return before

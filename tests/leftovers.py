"""What tests have started ends with them, however they end: Ctrl-C, SIGTERM, SIGKILL.

A Prefect server of the tests is a process of its own, as a user's is, and outlives whoever started
it; a fixture's teardown ends it, which a killed process never comes to. So the first process of a
run marks its environment, which all others inherit, and starts a program that waits for its end
and then ends what still bears the mark.
"""

import os
import subprocess
import sys
import time
import uuid

import psutil

# The variable that is the mark.
MARK = "PREFECT_GOVERNOR_TESTS_RUN"
# Servers write what they have to; then SIGKILL.
_SECONDS = 10.0
# Its input is closed where it is forgotten.
_waiting: list["subprocess.Popen[bytes]"] = []


def end_with_this_process() -> None:
    """To be called before others are started. In one that bears a mark already it does nothing."""
    if MARK in os.environ:
        return
    mark = uuid.uuid4().hex
    waiting = subprocess.Popen(
        [sys.executable, __file__, mark],
        # The end of this pipe is the end of this process: nobody else has it.
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        # Ctrl-C is not meant for it.
        start_new_session=True,
    )
    _waiting.append(waiting)
    os.environ[MARK] = mark


def marked(mark: str) -> list[psutil.Process]:
    """Those that bear it from their start."""
    found = []
    for process in psutil.process_iter():
        try:
            if process.environ().get(MARK) == mark:
                found.append(process)
        except (psutil.Error, OSError):
            # Another user's, or it has just ended.
            continue
    return found


def _end(mark: str) -> None:
    deadline = time.monotonic() + _SECONDS
    told: set[psutil.Process] = set()
    while processes := marked(mark):
        late = time.monotonic() > deadline
        for process in processes:
            if late or process not in told:
                try:
                    process.kill() if late else process.terminate()
                except psutil.Error:
                    continue
                told.add(process)
        time.sleep(0.1)


if __name__ == "__main__":
    sys.stdin.read()
    _end(sys.argv[1])

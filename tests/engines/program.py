"""The program of heavy tasks from outside: what it told, its processes, the death of one."""

import json
import os
import signal
import subprocess
import sys
import time
from dataclasses import asdict
from pathlib import Path
from types import TracebackType
from typing import Any

import psutil

from tests import ROOT
from tests.engines.heavy import Order
from tests.provider.process import ProviderProcess

# A call that came so short a time ago is open for a while.
JUST_SECONDS = 0.15


class Program:
    """Runs until its `with` block is left; then nothing of it is left."""

    def __init__(self, order: Order, log: Path) -> None:
        self._log = log
        with log.open("w") as file:
            self._process = subprocess.Popen(
                [sys.executable, "-m", "tests.engines.heavy", json.dumps(asdict(order))],
                cwd=ROOT,
                stdout=subprocess.PIPE,
                stderr=file,
                text=True,
                env={**os.environ, "PYTHONPATH": str(ROOT)},
            )
        self.known: set[psutil.Process] = set()

    def __enter__(self) -> "Program":
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.look()
        if self._process.poll() is None:
            self._process.send_signal(signal.SIGINT)
            try:
                self._process.wait(timeout=20)
            except subprocess.TimeoutExpired:
                self._process.kill()
        for each in self.left(seconds=0):
            each.kill()
        if kind is not None:
            print(self._log.read_text()[-6000:])

    def look(self) -> None:
        """Takes note of the processes that it has now."""
        if self._process.poll() is None:
            self.known |= set(psutil.Process(self._process.pid).children(recursive=True))

    def left(self, *, seconds: float = 20) -> list[psutil.Process]:
        """Those that still run so long after."""
        _, alive = psutil.wait_procs(list(self.known), timeout=seconds)
        return [each for each in alive if each.status() != psutil.STATUS_ZOMBIE]

    def told(self, *, seconds: float) -> dict[str, Any]:
        """What it printed, once it has ended well."""
        deadline = time.monotonic() + seconds
        while self._process.poll() is None:
            assert time.monotonic() < deadline, f"it still runs after {seconds:.0f} s"
            self.look()
            time.sleep(0.2)
        assert self._process.stdout is not None
        printed = self._process.stdout.read()
        assert self._process.returncode == 0, self._log.read_text()[-6000:]
        told: dict[str, Any] = json.loads(printed.splitlines()[-1])
        return told

    def kill_a_caller(self, provider: ProviderProcess, *, after: int) -> tuple[float, int]:
        """Once so many calls were made, kill (SIGKILL) a process that has just sent one. When that
        was, and its id."""
        deadline = time.monotonic() + 600
        while provider.stats()["requests"] < after or not (tag := _just_sent(provider)):
            assert time.monotonic() < deadline, "so many calls were never made"
            assert self._process.poll() is None, "it ended before"
            time.sleep(0.02)
        at, pid = time.monotonic(), int(tag.partition("/")[0])
        os.kill(pid, signal.SIGKILL)
        return at, pid


def _just_sent(provider: ProviderProcess) -> str | None:
    """The tag of the latest call, where it is open and came a moment ago."""
    last: dict[str, Any] = provider.log()[-1]
    just = last["end"] is None and time.monotonic() - last["arrival"] < JUST_SECONDS
    return last["tag"] if just else None

"""Python commands whose imports are done already: `command(...)` gives the words that start one.

`[sys.executable, *words]` takes up to eight seconds of a core before it begins, where it imports
Prefect and LiteLLM. `WarmParent` has imported everything and opened nothing, and forks a child for
each. What a test starts is a small program in between, which hands the child its environment, its
folder and its files (a `Talk`'s pipe too), passes signals on and ends as the child does. Killed, it
takes the child with it.

What a command does while it starts is for tests that start it with `sys.executable`.
"""

import gc
import json
import os
import runpy
import select
import signal
import socket
import subprocess
import sys
import tempfile
import threading
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any

from typing_extensions import Self

from tests import ROOT
from tests.talk import PIPE
from tests.waiting import readable

# Without the site's packages it starts in no time.
_BETWEEN = """
import json, os, signal, socket, sys
parent = socket.socket(socket.AF_UNIX)
parent.connect(sys.argv[1])
signals = (signal.SIGINT, signal.SIGTERM, signal.SIGUSR1, signal.SIGHUP)
signal.pthread_sigmask(signal.SIG_BLOCK, signals)
order = {"words": sys.argv[2:], "environment": dict(os.environ), "folder": os.getcwd()}
text = json.dumps(order).encode()
files = [0, 1, 2]
if (pipe := os.environ.get("PREFECT_GOVERNOR_TESTS_PIPE")) is not None:
    files.append(int(pipe))
socket.send_fds(parent, [len(text).to_bytes(4, "big")], files)
parent.sendall(text)
for file in files:
    os.close(file)
answers = parent.makefile("r")
child = int(answers.readline())
def pass_on(number, frame):
    try:
        os.kill(child, number)
    except ProcessLookupError:
        pass  # It has just ended, and says how.
for each in signals:
    signal.signal(each, pass_on)
signal.pthread_sigmask(signal.SIG_UNBLOCK, signals)
status = int(answers.readline() or 70)
if status < 0:
    signal.signal(-status, signal.SIG_DFL) if status != -9 else None
    os.kill(os.getpid(), -status)
os._exit(status)
"""


class WarmParent:
    """The process that forks, from the test. It ends with the `with`, or with the test."""

    def __init__(self) -> None:
        self._folder = tempfile.TemporaryDirectory(prefix="warm-")
        self._place = str(Path(self._folder.name, "parent"))
        self._process = subprocess.Popen(
            [sys.executable, "-m", "tests.warm", self._place],
            cwd=ROOT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
        )
        assert self._process.stdout is not None
        assert readable(self._process.stdout, 240) and self._process.stdout.readline()

    def command(self, *words: str) -> list[str]:
        """For `[sys.executable, *words]`, which is `-m MODULE …` or `-c PROGRAM …`."""
        return [sys.executable, "-I", "-S", "-c", _BETWEEN, self._place, *words]

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._process.communicate(timeout=30)
        self._folder.cleanup()


class _Forking:
    """The parent's loop, which in a child returns what the child is to do."""

    def __init__(self, place: str) -> None:
        self.place = place
        self.asking: dict[int, socket.socket] = {}

    def orders(self) -> dict[str, Any] | None:
        """None at the end of the input, in the parent."""
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(self.place)
        listener.listen()
        os.write(1, b"ready\n")
        while True:
            self._reap()
            heard: list[Any] = [0, listener, *self.asking.values()]
            found, _, _ = select.select(heard, [], [], 0.02)
            for pid, asks in self.asking.items():
                if asks in found and _is_gone(asks):
                    # The program in between was killed.
                    os.kill(pid, signal.SIGKILL)
            if 0 in found:
                for pid in self.asking:
                    os.kill(pid, signal.SIGKILL)
                return None
            if listener in found:
                asks, _ = listener.accept()
                try:
                    order, files = _received(asks)
                except (OSError, ValueError):
                    # The program in between was killed before it had said all.
                    asks.close()
                    continue
                pid = os.fork()
                if pid == 0:
                    listener.close()
                    for each in (asks, *self.asking.values()):
                        each.close()
                    for at, file in enumerate(files[:3]):
                        os.dup2(file, at)
                        os.close(file)
                    for pipe in files[3:]:
                        order["environment"][PIPE] = str(pipe)
                    return order
                for file in files:
                    os.close(file)
                self.asking[pid] = asks
                with suppress(BrokenPipeError):
                    asks.sendall(f"{pid}\n".encode())

    def _reap(self) -> None:
        while self.asking:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                return
            with self.asking.pop(pid) as asks, suppress(BrokenPipeError):
                asks.sendall(f"{os.waitstatus_to_exitcode(status)}\n".encode())


def _is_gone(asks: socket.socket) -> bool:
    try:
        return not asks.recv(1)
    except ConnectionResetError:
        # Killed before it had read what it was told.
        return True


def _received(asks: socket.socket) -> tuple[dict[str, Any], list[int]]:
    size, files, _, _ = socket.recv_fds(asks, 4, 4)
    with asks.makefile("rb") as told:
        order: dict[str, Any] = json.loads(told.read(int.from_bytes(size, "big")))
    return order, files


def _begin(order: dict[str, Any]) -> None:
    """In a child: as `python` would with these words, environment, folder and files."""
    import prefect.context

    os.environ.clear()
    os.environ.update(order["environment"])
    os.chdir(order["folder"])
    for name, mode, at in (("stdin", "r", 0), ("stdout", "w", 1), ("stderr", "w", 2)):
        errors = "backslashreplace" if name == "stderr" else "strict"
        stream = os.fdopen(at, mode, encoding="utf-8", errors=errors, closefd=False)
        if name == "stderr":
            stream.reconfigure(line_buffering=True)  # type: ignore[attr-defined]
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)
    # Read once by Prefect, at its import.
    vars(prefect.context)["GLOBAL_SETTINGS_CONTEXT"] = prefect.context.root_settings_context()
    how, what, *arguments = order["words"]
    sys.argv = [how, *arguments]
    sys.path[0] = order["folder"]
    if how == "-m":
        runpy.run_module(what, run_name="__main__", alter_sys=True)
    else:
        exec(compile(what, "<string>", "exec"), {"__name__": "__main__"})


def _warm() -> None:
    gc.disable()

    from prefect_governor.blocks.models.library.module import litellm
    from prefect_governor.flows import fan_out_flow, research_flow
    from prefect_governor.flows.cli.main import main
    from prefect_governor.flows.cli.terminal import session

    litellm()
    assert all((fan_out_flow, research_flow, main, session))
    assert threading.active_count() == 1, threading.enumerate()
    gc.freeze()
    gc.enable()


if __name__ == "__main__":
    _warm()
    _order = _Forking(sys.argv[1]).orders()
    if _order is not None:
        _begin(_order)

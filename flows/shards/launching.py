"""Starts the shards of a run: here, as processes of this machine."""

import os
import signal
import subprocess
import sys
from contextlib import suppress
from pathlib import Path
from typing import Protocol

from prefect.settings import get_current_settings

from prefect_governor.blocks.limits.resources import cores
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder, open_file
from prefect_governor.flows.shards.plan import Plan

# `flows.cli.shard`, which stands above this room.
PROGRAM = "prefect_governor.flows.cli.shard"
_LONGEST_WORDS = 300


class Launched(Protocol):
    """A shard that was started."""

    def ended(self) -> str | None:
        """How it ended, in a person's words; "" for well, None while it goes on."""

    def end(self, *, gone: bool = False) -> None:
        """End it at once; `gone` says that its process is known to have died."""


class Launcher(Protocol):
    """Starts shards. `at_once` is how many may be on their way to begin, None for any number."""

    at_once: int | None

    def launch(self, number: int) -> Launched:
        """Start one, by a number that no other of this attempt has. Raises ConfigurationError."""


class LocalProcess:
    """A process of this machine, of its own program and session: a Ctrl-C of the terminal goes to
    the run alone, which tells its shards. While the run's process lives it holds the other end of
    the shard's standard input."""

    def __init__(self, plan: Plan, number: int) -> None:
        self._log = state_folder() / "runs" / plan.kept_as / f"shard-{number:04d}.log"
        make_folder(self._log.parent)
        with open_file(self._log) as log:
            self._process = subprocess.Popen(
                command("-m", PROGRAM, str(plan.folder), str(number)),
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=subprocess.STDOUT,
                env=_environment(),
                start_new_session=True,
            )

    @property
    def pid(self) -> int:
        return self._process.pid

    def ended(self) -> str | None:
        status = self._process.poll()
        if status is None:
            return None
        self._hang_up()
        if status == 0:
            self._log.unlink(missing_ok=True)
            return ""
        return f"{_status(status)}{_last_words(self._log)}"

    def end(self, *, gone: bool = False) -> None:
        with suppress(OSError):
            self._process.kill()
        self._process.wait()
        self._hang_up()

    def _hang_up(self) -> None:
        if self._process.stdin is not None:
            self._process.stdin.close()


class LocalProcesses:
    """See `Launcher`. Where more import than there are cores, none of them begins for long."""

    def __init__(self, plan: Plan) -> None:
        self._plan = plan
        self.at_once: int | None = cores()

    def launch(self, number: int) -> LocalProcess:
        return LocalProcess(self._plan, number)


def command(*words: str) -> list[str]:
    """What starts this Python with these words."""
    return [sys.executable, *words]


def _environment() -> dict[str, str]:
    """Ours, with the settings of Prefect that stand in a profile or in a context."""
    settings = get_current_settings().to_environment_variables(exclude_unset=True)
    # What is imported by name ("package.module:name") is found where it was found here.
    path = os.pathsep.join(each for each in sys.path if each)
    return {**os.environ, **settings, "PYTHONPATH": path}


def _status(status: int) -> str:
    if status < 0:
        with suppress(ValueError):
            return f"ended by {signal.Signals(-status).name}"
    return f"ended with status {status}"


def _last_words(log: Path) -> str:
    """What a process wrote last, and where the rest is."""
    with suppress(OSError):
        lines = log.read_text(encoding="utf-8", errors="replace").split("\n")
        said = [line.strip() for line in lines if line.strip()]
        if said:
            return f": {said[-1][:_LONGEST_WORDS]} (all that it wrote is in {log})"
    return ""

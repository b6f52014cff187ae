"""A run that is gone on with: what it was asked, where it is kept, and that only one does."""

import fcntl
import json
import os
from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import UUID

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.secrets.exits import scrubbed_value

LAST = "last"
_FILE = "run.json"
# Parameters that shape answers: of whom they are asked, and what.
_OF_WHOM = frozenset({"model", "max_output_tokens"})
_SHAPING = _OF_WHOM | {
    "ask", "schema", "sources", "folder", "question", "corpus", "plan", "max_tasks", "max_rounds",
    "web", "allow_hosts", "deny_hosts", "search", "mcp", "tools",
    "reading",
}  # fmt: skip


@dataclass(frozen=True)
class PastRun:
    """A run of a ready flow.

    `kept_as` names it in the ledger, with all runs that went on with it; `command` is "fan-out" or
    "research", `parameters` the flow's. `ended` says that its report was made.
    """

    run_id: str
    kept_as: str
    command: str
    parameters: Mapping[str, Any]
    ended: bool = False

    def save(self) -> None:
        """Beside the run's results."""
        folder = _folder() / self.run_id
        make_folder(folder)
        data = {
            "run_id": self.run_id,
            "kept_as": self.kept_as,
            "command": self.command,
            "parameters": scrubbed_value(dict(self.parameters)),
            "ended": self.ended,
        }
        write_whole(folder / _FILE, json.dumps(data, default=str))

    def gone_on_with(
        self,
        parameters: Mapping[str, Any],
        given: Collection[str],
        *,
        say: Callable[[str], None],
        retry_failed: bool = False,
    ) -> dict[str, Any]:
        """The parameters of a run that goes on with this one: what was given anew, else what it
        was. What changed is said, and whether answers are asked, and paid for, again for it: with
        `retry_failed` those that succeeded stand, whichever model is asked now."""
        merged = {**self.parameters, **{name: parameters[name] for name in given}}
        if "reading" in given:
            merged["reading"] = {**(self.parameters.get("reading") or {}), **merged["reading"]}
        plain = json.loads(json.dumps(merged, default=str))
        changed = [name for name in given if plain.get(name) != self.parameters.get(name)]
        say(f"going on with run {self.run_id}")
        if changed:
            shaping = _SHAPING - _OF_WHOM if retry_failed else _SHAPING
            anew = "; what depends on it is paid for anew" if shaping & set(changed) else ""
            say(f"changed since: {', '.join(sorted(changed))}{anew}")
        return merged


def find_run(
    run: str,
    *,
    command: str,
    say: Callable[[str], None] | None = None,
    elsewhere: Callable[[UUID], PastRun | None] = lambda run_id: None,
) -> PastRun:
    """A run of the command line by its id, the beginning of it, or "last"; another one by its whole
    id, where `elsewhere` knows it. One whose record cannot be read is passed over; `say` is told of
    each.

    Raises ConfigurationError where there is none, several, or one of another command.
    """
    files = sorted(_folder().glob(f"*/{_FILE}"), key=lambda path: path.stat().st_mtime_ns)
    found: list[PastRun] = []
    for path in files:
        try:
            found.append(_read(path))
        except (OSError, ValueError, KeyError, TypeError, RecursionError) as error:
            if say is not None:
                say(f"passed over a run that cannot be read: {path} ({type(error).__name__})")
    if run == LAST:
        of_command = [each for each in found if each.command == command]
        if not of_command:
            raise ConfigurationError(f"there is no earlier run of `{command}` to resume here")
        return of_command[-1]
    matching = [each for each in found if each.run_id.startswith(run)]
    if not matching and (run_id := _whole_id(run)) and (other := elsewhere(run_id)):
        matching = [other]
    if len(matching) != 1 or not run:
        what = "no run" if not matching else f"{len(matching)} runs"
        raise ConfigurationError(
            f"--resume {run}: {what} of that id under {_folder()}; the id is printed as a run"
            f" starts, and '{LAST}' is the latest; of a deployed run it is the flow run's whole id"
        )
    if matching[0].command != command:
        raise ConfigurationError(
            f"--resume {run}: it is a run of `{matching[0].command}`, not of `{command}`"
        )
    return matching[0]


@contextmanager
def held(kept_as: str) -> Iterator[None]:
    """This process alone goes on with a run: two at once would both pay for what is missing.

    Raises ConfigurationError where another one is at it.
    """
    folder = _folder() / kept_as
    make_folder(folder)
    lock = os.open(folder / "resume.lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
    try:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            pid = os.pread(lock, 32, 0).decode(errors="replace").strip()
            raise ConfigurationError(
                f"run {kept_as} is under way in another process (pid {pid or 'unknown'}): wait for"
                " it, or stop it first"
            ) from None
        os.ftruncate(lock, 0)
        os.pwrite(lock, str(os.getpid()).encode(), 0)
        yield
    finally:
        os.close(lock)


def _whole_id(run: str) -> UUID | None:
    try:
        return UUID(run)
    except ValueError:
        return None


def _folder() -> Path:
    return state_folder() / "runs"


def _read(path: Path) -> PastRun:
    data = json.loads(path.read_text(encoding="utf-8"))
    if not isinstance(data["parameters"], dict):
        raise TypeError("its parameters are no object")
    return PastRun(
        str(data["run_id"]),
        str(data["kept_as"]),
        str(data["command"]),
        data["parameters"],
        # What earlier releases wrote does not say.
        data.get("ended") is not False,
    )

"""Tasks that are ready, in a file that grows as they become so: what a shard is told of each."""

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any

from prefect_governor.blocks.machine.files import ERRORS
from prefect_governor.blocks.machine.private import open_file

_FILE = "tasks.jsonl"


@dataclass(frozen=True)
class Handed:
    """A task that may start. `number` is its place in the plan, `task` the plan's, `inputs` the
    names under which the ledger keeps the findings that it depends on, `answer` the name of its
    own; `allocation` holds what is set aside for it."""

    number: int
    task: Mapping[str, Any]
    inputs: Mapping[str, str]
    answer: str
    allocation: str | None = None


class Handing:
    """The run's side. Raises OSError."""

    def __init__(self, folder: Path) -> None:
        self._file = open_file(folder / _FILE, errors=ERRORS)

    def add(self, handed: Handed) -> None:
        """One more. It is read as soon as it is whole."""
        self._file.write(json.dumps(asdict(handed)) + "\n")
        self._file.flush()

    def close(self) -> None:
        self._file.close()


class Reading:
    """A shard's side: all that were handed out until now, by their numbers."""

    def __init__(self, folder: Path) -> None:
        self._path = folder / _FILE
        self._at = 0
        self.tasks: dict[int, Handed] = {}

    def look(self) -> None:
        """Read what came. Raises OSError where the run has ended."""
        with self._path.open("rb") as file:
            file.seek(self._at)
            for line in file:
                if not line.endswith(b"\n"):
                    # The rest of it is being written.
                    break
                self._at += len(line)
                handed = Handed(**json.loads(line))
                self.tasks[handed.number] = handed

"""Items that are too many to be a flow run's parameters, as a file of rows that a worker can read
again."""

import hashlib
import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from prefect_governor.blocks.machine.files import write_whole
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.secrets.exits import scrubbed_value


def spool(rows: Iterable[Mapping[str, str]]) -> Path:
    """Write rows of `key` and `text` to a JSON Lines file named by its content."""
    text = "".join(json.dumps(scrubbed_value(dict(row))) + "\n" for row in rows)
    digest = hashlib.sha256(text.encode()).hexdigest()[:16]
    path = _folder() / f"{digest}.jsonl"
    make_folder(path.parent)
    write_whole(path, text)
    return path


def is_spooled(path: Path) -> bool:
    """Whether it is such a file: what is said of how a run's sources are read is not said of it."""
    return path.parent == _folder()


def _folder() -> Path:
    return state_folder() / "inputs"

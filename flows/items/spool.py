"""Items that cannot be a flow run's parameters as they are, as a file that a worker can read
again."""

import hashlib
import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import whole_file
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.secrets.exits import scrubbed_value
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.skipped import Skipped


def spool(
    items: Sequence[Item], *, skipped: Sequence[Skipped] = (), said: Sequence[str] = ()
) -> Path:
    """Write items to a JSON Lines file named by its content, a line each, with what was left out
    of their sources and what was said of these. Of a row its text is kept, not its fields."""
    digest = hashlib.sha256()
    for line in _lines(items, skipped, said):
        digest.update(line.encode())
    path = _folder() / f"{digest.hexdigest()[:16]}.jsonl"
    make_folder(path.parent)
    with whole_file(path) as file:
        file.writelines(_lines(items, skipped, said))
    return path


def is_spooled(path: Path) -> bool:
    """Whether it is such a file: what is said of how a run's sources are read is not said of it."""
    return path.parent == _folder()


def spooled_items(path: Path, skipped: list[Skipped], said: list[str]) -> Iterator[Item]:
    """The items that were written to such a file, as they were; `skipped` and `said` are told what
    was. Raises ConfigurationError where it is gone."""
    try:
        with path.open(encoding="utf-8") as file:
            for line in file:
                row: dict[str, Any] = json.loads(line)
                if "key" in row:
                    yield Item.model_validate(row)
                else:
                    skipped.extend(map(Skipped.model_validate, row["skipped"]))
                    said.extend(row["said"])
    except (OSError, ValueError) as error:
        raise ConfigurationError(
            f"the items of this run were kept in {path}, which cannot be read any more"
            f" ({getattr(error, 'strerror', None) or error}): start it anew from its sources"
        ) from None


def _lines(items: Sequence[Item], skipped: Sequence[Skipped], said: Sequence[str]) -> Iterator[str]:
    if skipped or said:
        yield _line({"skipped": [each.model_dump() for each in skipped], "said": [*said]})
    for item in items:
        yield _line(item.model_dump(mode="json", exclude={"data"}, exclude_defaults=True))


def _line(row: dict[str, Any]) -> str:
    return json.dumps(scrubbed_value(row)) + "\n"


def _folder() -> Path:
    return state_folder() / "inputs"

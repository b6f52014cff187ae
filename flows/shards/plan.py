"""What the processes of a run share in a folder: its items, its parameters, the order to stop.

Inputs travel by reference: a shard is told the folder, and reads the items of a chunk when it has
claimed it. Nothing of them is a parameter of Prefect's.
"""

import hashlib
import json
import os
import shutil
from array import array
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import whole_file, write_whole
from prefect_governor.blocks.machine.home import state_folder
from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.run.job import NO_ITEMS

# A folder that all machines of a run reach under this path; by default the state folder, which
# those of one machine share.
SHARED_FOLDER = "PREFECT_GOVERNOR_SHARED_FOLDER"

# Flows that may be shared, by their names.
FAN_OUT, RESEARCH = "fan-out", "research"

_PLAN, _ITEMS, _STOP, _ABORT, _OVER = "plan.json", "items.jsonl", "stop", "abort", "over"


@dataclass(frozen=True, kw_only=True)
class Plan:
    """A run as its shards read it.

    `kept_as` names the run in the ledger, `attempt` this going through its items, `work` what they
    claim chunks of: the same items are the same work in every attempt. `ledger` is the id of the
    run's ledger, `purse` whose purse a budget a run is. `flow` is the flow's name, `parameters` are
    its own, `results` the
    file beside which items leave theirs. Of `total` items each chunk has `size`, but the last;
    `offsets` says where in the file of items it begins, in bytes.
    """

    folder: Path
    kept_as: str
    attempt: str
    work: str
    ledger: str
    purse: str | None
    shards: int
    results: str
    total: int = 0
    size: int = 1
    offsets: tuple[int, ...] = ()
    retry_failed: bool = False
    name: str = ""
    flow: str = FAN_OUT
    parameters: Mapping[str, Any] = field(default_factory=dict)

    def positions(self, number: int) -> range:
        """The items of a chunk, by their places in the run."""
        first = number * self.size
        return range(first, min(first + self.size, self.total))

    def items(self, number: int) -> list[Item]:
        """The items of a chunk. Raises ConfigurationError where the run has ended."""
        try:
            with (self.folder / _ITEMS).open("rb") as file:
                file.seek(self.offsets[number])
                lines = list(islice(file, len(self.positions(number))))
        except OSError as error:
            raise _gone(self.folder, error) from None
        return [Item.model_validate_json(line) for line in lines]

    def save(self) -> None:
        """For the shards to read."""
        data = {**asdict(self), "folder": str(self.folder)}
        write_whole(self.folder / _PLAN, json.dumps(data, default=str))

    def told_to_stop(self) -> str | None:
        """Why nothing more is to begin; None while it is."""
        try:
            return (self.folder / _STOP).read_text(encoding="utf-8")
        except OSError:
            # Of a run that has ended nothing is left.
            return None if self.folder.is_dir() else "the run has ended"

    def is_over(self) -> bool:
        """Whether there will be nothing more to do."""
        return (self.folder / _OVER).exists()

    def told_to_abort(self) -> bool:
        """Whether what is in flight is to be cut."""
        return (self.folder / _ABORT).exists()

    def remove(self) -> None:
        """All of it, and what earlier attempts have left: the run has ended."""
        shutil.rmtree(self.folder.parent, ignore_errors=True)


@dataclass(frozen=True)
class Written:
    """The items of a run in a file: a name for all of them, where each begins, in bytes, and what
    the run's own process keeps of each: its key and its notes."""

    digest: str
    starts: Sequence[int]
    names: list[Item]


def folder_of(kept_as: str) -> Path:
    """Where the shards of a run have theirs, a folder for each attempt."""
    shared = os.environ.get(SHARED_FOLDER)
    above = Path(shared).expanduser() if shared else state_folder() / "runs"
    return above.absolute() / kept_as / "shards"


def order(
    folder: Path, *, stop: str | None = None, abort: bool = False, over: bool = False
) -> None:
    """Tell the shards of a folder to begin nothing more, to cut what is in flight, and that there
    will be nothing more to do."""
    with suppress(OSError):
        if over:
            write_whole(folder / _OVER, "")
        if stop is not None and not (folder / _STOP).exists():
            write_whole(folder / _STOP, stop)
        if abort:
            write_whole(folder / _ABORT, "")


def write_items(folder: Path, items: Iterable[Item]) -> Written:
    """Write the items of a run, one at a time.

    Raises ConfigurationError for two items of one key, for none, and where the folder cannot be
    written.
    """
    digest, at = hashlib.sha256(), 0
    starts, names, seen = array("q"), list[Item](), set[str]()
    try:
        make_folder(folder)
        with whole_file(folder / _ITEMS) as file:
            for item in items:
                if item.key in seen:
                    raise ConfigurationError(
                        f"two items have the key {item.key!r}: keys must be unique"
                    )
                seen.add(item.key)
                names.append(Item(key=item.key, notes=item.notes))
                starts.append(at)
                line = item.model_dump_json(exclude={"data"}, exclude_defaults=True) + "\n"
                file.write(line)
                encoded = line.encode()
                digest.update(encoded)
                at += len(encoded)
    except OSError as error:
        raise ConfigurationError(
            f"cannot write {folder} ({error.strerror}): its shards read the items of a run there;"
            f" set {SHARED_FOLDER} to a folder that all of them reach"
        ) from None
    if not names:
        raise ConfigurationError(NO_ITEMS)
    return Written(digest.hexdigest()[:16], starts, names)


def read_plan(folder: Path) -> Plan:
    """The plan in a folder. Raises ConfigurationError where there is none, or none any more."""
    try:
        data = json.loads((folder / _PLAN).read_text(encoding="utf-8"))
    except OSError as error:
        raise _gone(folder, error) from None
    offsets = tuple(data.pop("offsets"))
    return Plan(**{**data, "folder": Path(data["folder"]), "offsets": offsets})


def _gone(folder: Path, error: OSError) -> ConfigurationError:
    return ConfigurationError(
        f"{folder} cannot be read ({error.strerror}): the run that this is a shard of has ended, or"
        f" is on another machine whose folder is not this one's. Retry that run, not its shard; for"
        f" several machines set {SHARED_FOLDER} to a folder that all of them reach by one path"
    )

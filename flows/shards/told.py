"""What a shard tells the run that it is of: each item's report, safe on disk, and its figures."""

import json
import os
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from prefect_governor.blocks.machine.files import ERRORS, write_whole
from prefect_governor.blocks.machine.private import make_folder, open_file
from prefect_governor.flows.report.model import ItemReport

_REPORTS, _FIGURES = ".jsonl", ".json"


@dataclass(frozen=True)
class Told:
    """A shard's figures, as it last told them: what its process alone knows.

    `held_seconds` is by bottleneck: how long its first waiting call was held by it. `fell_back`
    counts calls that a cheaper model answered, `upstreams` are keys of the providers' own limits
    that its calls were under. `notes` are lines for the report. Since its first calls it made
    `paced_calls` in `paced_seconds`, with an event loop that was so late on average.
    `owner` is its process, as the ledger knows it; `over` says that it has told all.
    """

    in_flight: int = 0
    max_in_flight: int = 0
    throttled: int = 0
    calls: int = 0
    waiting_for: str | None = None
    held_seconds: Mapping[str, float] = field(default_factory=dict)
    fell_back: int = 0
    upstreams: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    paced_calls: int = 0
    paced_seconds: float = 0.0
    late_seconds: float = 0.0
    owner: str = ""
    over: bool = False


class Teller:
    """A shard's side.

    Args:
        folder: of the run's attempt.
        name: of the shard, which no other has.

    Raises OSError.
    """

    def __init__(self, folder: Path, name: str) -> None:
        make_folder(folder)
        self._figures = folder / f"{name}{_FIGURES}"
        self._file = open_file(folder / f"{name}{_REPORTS}", errors=ERRORS)

    def reports(self, ended: Mapping[int, ItemReport]) -> None:
        """Items that have their outcome, by their places in the run: no crash can lose them.
        Raises OSError."""
        self._file.writelines(_line(at, report) for at, report in ended.items())
        self._file.flush()
        os.fsync(self._file.fileno())

    def figures(self, told: Told) -> None:
        """Raises OSError."""
        write_whole(self._figures, json.dumps(asdict(told)))

    def close(self) -> None:
        self._file.close()


class Listening:
    """The run's side: what its shards have told since it last asked.

    Args:
        folder: of the run's attempt.
    """

    def __init__(self, folder: Path) -> None:
        self._folder = folder
        self._read: dict[Path, int] = {}

    def reports(self) -> Iterator[tuple[int, ItemReport]]:
        """Reports that came, each with its item's place. One item may come twice: where a shard
        died between the file and the ledger, and another went through its chunk again."""
        for path in sorted(self._folder.glob(f"shard-*{_REPORTS}")):
            with path.open("rb") as file:
                file.seek(self._read.get(path, 0))
                for line in file:
                    if not line.endswith(b"\n"):
                        # The rest of it is being written.
                        break
                    self._read[path] = self._read.get(path, 0) + len(line)
                    data = json.loads(line)
                    yield int(data["at"]), ItemReport.model_validate(data["item"])

    def figures(self) -> dict[int, Told]:
        """The latest of each shard, by its number."""
        found = {}
        for path in sorted(self._folder.glob(f"shard-*{_FIGURES}")):
            try:
                data = json.loads(path.read_text(encoding="utf-8"))
            except (OSError, ValueError):
                continue
            lists = {name: tuple(data[name]) for name in ("upstreams", "notes")}
            found[int(path.name.split("-")[1])] = Told(**{**data, **lists})
        return found


def _line(at: int, report: ItemReport) -> str:
    item: dict[str, Any] = report.model_dump(mode="json")
    # Money stays what it is to the last digit.
    item["usd"] = str(report.usd)
    return json.dumps({"at": at, "item": item}, ensure_ascii=False) + "\n"

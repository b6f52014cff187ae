"""`--out`: an item a line as each finishes, safe on disk, in input order at the end."""

import hashlib
import json
import os
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Any, Protocol

from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import ERRORS, whole_file
from prefect_governor.blocks.machine.private import make_folder, open_file
from prefect_governor.flows.report.model import ItemReport


class Sink(Protocol):
    """Where a run's items go as they end. `notes` are lines for the report."""

    notes: list[str]

    @property
    def files(self) -> list[str]:
        """Where they are kept."""

    def put(self, ended: Mapping[int, ItemReport]) -> None:
        """Items that ended, by their positions."""

    def finish(self, items: Sequence[ItemReport]) -> None:
        """All of them, in input order."""


class OutFile:
    """A results file in JSON Lines.

    Where the file cannot be written any more (a full disk), the rest goes to `spare`, and `finish`
    puts all of it there. Where nothing can be, `full` is told why and what to do, once; what ends
    after that is in the run's report alone, but `finish` tries again.

    Args:
        path: where the results go.
        spare: another file, of the state folder.
        told: is given each item too, as it is written, or as it ended where nothing can be.
        full: called where nothing can be written any more; answers that nobody keeps are not to be
            paid for.
        goes_on: what stands there is of an earlier attempt of the same run: answers stay, and
            are not written again when they are told again, so that a crash loses none.

    Raises:
        ConfigurationError: it cannot be written. Raised before a run starts.
    """

    def __init__(
        self,
        path: Path,
        *,
        spare: Path | None = None,
        told: Callable[[ItemReport], None] = lambda item: None,
        full: Callable[[str], None] = lambda why: None,
        goes_on: bool = False,
    ) -> None:
        self.path = path
        self._spare = spare
        self._told = told
        self._full = full
        self._lost = False
        self.notes: list[str] = []
        if path.exists() and not path.is_dir() and not path.is_file():
            # It is put in its place at the end, which would replace a device.
            raise ConfigurationError(f"{path} is no plain file: choose another one with --out")
        try:
            make_folder(path.parent)
            self._there = _told_before(path) if goes_on and path.exists() else {}
            if self._there:
                self._file = path.open("a", encoding="utf-8", errors=ERRORS)
            else:
                self._file = open_file(path, errors=ERRORS)
        except OSError as error:
            raise ConfigurationError(
                f"cannot write {path}: {error.strerror}; choose another file with --out"
            ) from None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        with suppress(OSError):
            self._file.close()

    @property
    def files(self) -> list[str]:
        """The file."""
        return [str(self.path)]

    def put(self, ended: Mapping[int, ItemReport]) -> None:
        """Items that ended, by their positions."""
        self.add(*ended.values())

    def add(self, *items: ItemReport) -> None:
        """Write items so that no crash can lose them."""
        if not self._lost:
            new = (each for each in items if self._there.get(each.key) != _said(each.to_json()))
            text = "".join(map(_line, new if self._there else items))
            if text:
                self._written(lambda: self._append(text))
        for item in items:
            self._told(item)

    def finish(self, items: Sequence[ItemReport]) -> None:
        """All items, in input order, in one step: a reader sees the old file or the new one."""

        def write() -> None:
            with whole_file(self.path) as file:
                file.writelines(map(_line, items))

        self._written(write)

    def _append(self, text: str) -> None:
        self._file.write(text)
        self._file.flush()
        os.fsync(self._file.fileno())

    def _written(self, write: Callable[[], None]) -> None:
        try:
            write()
            return
        except OSError as error:
            why = error.strerror or str(error)
        if self._spare is not None and self._spare != self.path:
            there, self.path = self.path, self._spare
            self._there = {}
            try:
                # What it holds in its buffer is tried once more, in vain.
                with suppress(OSError):
                    self._file.close()
                make_folder(self.path.parent)
                self._file = open_file(self.path, errors=ERRORS)
                write()
            except OSError as error:
                why = error.strerror or str(error)
            else:
                self.notes.append(
                    f"{there} could not be written ({why}): the answers are in {self.path}"
                )
                return
        if not self._lost:
            self._lost = True
            told = (
                f"{self.path.parent} cannot be written ({why}), so nothing more is asked: make"
                " room there, or set PREFECT_HOME to a folder with room, and go on with the run"
            )
            self.notes.append(told)
            self._full(told)


def _told_before(path: Path) -> dict[str, bytes]:
    """What items have answered in a results file, by their keys. The file keeps their lines alone:
    the other items are asked again. Raises OSError."""
    found, lines = dict[str, bytes](), list[str]()
    with path.open(encoding="utf-8", errors="replace", newline="\n") as file:
        for line in file:
            # One that was being written when its process died is no JSON.
            with suppress(ValueError, LookupError, TypeError, RecursionError):
                item = json.loads(line)
                if item["state"] == "succeeded" and line.endswith("\n"):
                    found[str(item["key"])] = _said(item)
                    lines.append(line)
    with whole_file(path) as whole:
        whole.writelines(lines)
    return found


def _said(item: Mapping[str, Any]) -> bytes:
    text = json.dumps([item["state"], item["result"]], sort_keys=True)
    return hashlib.sha256(text.encode()).digest()


def _line(item: ItemReport) -> str:
    return json.dumps(item.to_json(), ensure_ascii=False) + "\n"

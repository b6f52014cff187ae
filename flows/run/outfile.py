"""`--out`: an item a line as each finishes, safe on disk, in input order at the end."""

import json
import os
from collections.abc import Sequence
from pathlib import Path
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.blocks.machine.files import ERRORS, whole_file
from prefect_governor.blocks.machine.private import make_folder, open_file
from prefect_governor.flows.report.model import ItemReport


class OutFile:
    """A results file in JSON Lines.

    Raises:
        ConfigurationError: it cannot be written. Raised before a run starts.
    """

    def __init__(self, path: Path) -> None:
        self.path = path
        if path.exists() and not path.is_dir() and not path.is_file():
            # It is put in its place at the end, which would replace a device.
            raise ConfigurationError(f"{path} is no plain file: choose another one with --out")
        try:
            make_folder(path.parent)
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
        self._file.close()

    def add(self, *items: ItemReport) -> None:
        """Write items so that no crash can lose them."""
        self._file.writelines(_line(item) for item in items)
        self._file.flush()
        os.fsync(self._file.fileno())

    def finish(self, items: Sequence[ItemReport]) -> None:
        """All items, in input order, in one step: a reader sees the old file or the new one."""
        with whole_file(self.path) as file:
            file.writelines(_line(item) for item in items)


def _line(item: ItemReport) -> str:
    return json.dumps(item.to_json(), ensure_ascii=False) + "\n"

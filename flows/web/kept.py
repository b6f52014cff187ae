"""What a run retrieved from outside, kept in its folder: the lines that are cited stay what they
were, for all its agents and when it is gone on with, and no search is paid for twice."""

import hashlib
import json
import os
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from prefect_governor.blocks.machine.private import make_folder
from prefect_governor.blocks.secrets.exits import scrubbed_value

# All that one run keeps, in bytes. What comes after is shown all the same, and fetched anew by
# whoever asks for it again.
MOST_BYTES = 512 * 2**20


class Kept:
    """JSON objects by what was asked, a file each. Safe for many threads and processes."""

    def __init__(self, folder: Path, *, most: int = MOST_BYTES) -> None:
        self._folder, self._most = folder, most
        self._size: int | None = None

    def get(self, kind: str, asked: str) -> dict[str, Any] | None:
        """What is kept; None where nothing is, or what cannot be read."""
        try:
            found = json.loads(self._path(kind, asked).read_text(encoding="utf-8"))
        except (OSError, ValueError):
            return None
        # Of two that were asked alike there is one; a name of another is none.
        return found if isinstance(found, dict) and found.get("asked") == asked else None

    def put(self, kind: str, asked: str, value: Mapping[str, Any]) -> dict[str, Any]:
        """Keep a value, unless another was kept before: that one is given back, and counts."""
        data = json.dumps({**scrubbed_value(dict(value)), "asked": asked}).encode()
        if self._room() >= len(data):
            path = self._path(kind, asked)
            make_folder(path.parent)
            self._link(path, data)
            self._size = self._used() + len(data)
        return self.get(kind, asked) or dict(value)

    def _link(self, path: Path, data: bytes) -> None:
        """Put a file in its place whole, where there is none."""
        descriptor, name = tempfile.mkstemp(prefix=".", dir=path.parent)
        try:
            with os.fdopen(descriptor, "wb") as file:
                file.write(data)
                file.flush()
                os.fsync(file.fileno())
            os.link(name, path)
        except FileExistsError:
            pass
        finally:
            os.unlink(name)

    def _room(self) -> int:
        return self._most - self._used()

    def _used(self) -> int:
        if self._size is None:
            files = self._folder.rglob("*.json") if self._folder.is_dir() else ()
            self._size = sum(path.stat().st_size for path in files)
        return self._size

    def _path(self, kind: str, asked: str) -> Path:
        return self._folder / kind / f"{hashlib.sha256(asked.encode()).hexdigest()}.json"

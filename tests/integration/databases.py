"""A Prefect database as a server leaves it that has just started for the first time: its migrations
and its blocks are nine seconds of a core, which one server of a run of the tests takes for all."""

import fcntl
import shutil
import sqlite3
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

import pytest

_NAME = "prefect.db"
_REGISTER = "PREFECT_SERVER_REGISTER_BLOCKS_ON_START"


@dataclass(frozen=True)
class Databases:
    """`folder` is one for all workers of a run."""

    folder: Path

    @contextmanager
    def begin(self, home: Path) -> Iterator[None]:
        """Around the start of a server of the `PREFECT_HOME` `home`: of the first that is new, the
        database is kept, and others that are new wait for it and begin with a copy."""
        if (home / _NAME).exists():
            yield
            return
        with (self.folder / f"{_NAME}.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            if not self._kept.exists():
                yield
                self._keep(home)
                return
        with self.copied(home):
            yield

    @contextmanager
    def copied(self, home: Path) -> Iterator[None]:
        """Around the start of a new server that starts later than one that has begun."""
        home.mkdir(parents=True, exist_ok=True)
        shutil.copy(self._kept, home / _NAME)
        with pytest.MonkeyPatch.context() as patch:
            patch.setenv(_REGISTER, "false")
            yield

    @property
    def _kept(self) -> Path:
        return self.folder / _NAME

    def _keep(self, home: Path) -> None:
        making = self.folder / f"{_NAME}.new"
        with (
            closing(sqlite3.connect(home / _NAME)) as source,
            closing(sqlite3.connect(making)) as copy,
        ):
            source.backup(copy)
            # A copy is one file.
            copy.execute("PRAGMA journal_mode=DELETE")
        making.rename(self._kept)

"""Which place gave each key of a run's items, however many there are."""

import sqlite3
from collections.abc import Iterable
from types import TracebackType

from typing_extensions import Self

from prefect_governor.blocks.errors import ConfigurationError

# Keys that are held in memory; of more, all are kept in a file.
MOST_HELD_KEYS = 10_000


class Keys:
    """Keys, each with the place that gave it. More than `most` are kept in a temporary file that
    has no name and is gone with the process; reading a key costs some microseconds then.

    Raises ConfigurationError where that file cannot be written.
    """

    def __init__(self, *, most: int = MOST_HELD_KEYS) -> None:
        self._most = most
        self._held: dict[str, str] = {}
        self._file: sqlite3.Connection | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.close()

    def close(self) -> None:
        """Forget all of them."""
        self._held.clear()
        if self._file is not None:
            self._file.close()
            self._file = None

    def place_of(self, key: str) -> str | None:
        """The place that gave a key; None where none did."""
        if self._file is None:
            return self._held.get(key)
        try:
            found = self._file.execute("SELECT place FROM keys WHERE key = ?", (key,)).fetchone()
        except sqlite3.Error as error:
            raise _unwritable(error) from None
        return None if found is None else str(found[0])

    def claim(self, key: str, place: str) -> str | None:
        """Keep a key that nobody gave yet; of another, the place that did."""
        taken = self.place_of(key)
        if taken is not None:
            return taken
        try:
            if self._file is None and len(self._held) >= self._most:
                self._file = _file_of(self._held)
                self._held = {}
            if self._file is None:
                self._held[key] = place
            else:
                self._file.execute("INSERT INTO keys VALUES (?, ?)", (key, place))
        except sqlite3.Error as error:
            raise _unwritable(error) from None
        return None


def check_keys(keys: Iterable[str]) -> None:
    """Raises ConfigurationError for a key that comes twice."""
    with Keys() as seen:
        for key in keys:
            if seen.claim(key, "") is not None:
                raise ConfigurationError(f"two items have the key {key!r}: keys must be unique")


def _file_of(held: dict[str, str]) -> sqlite3.Connection:
    # Without a name it is a file that SQLite deletes by itself, and begins to write only when its
    # cache of 2 MB is full. Whoever reads items may go on in another thread, one after the other.
    file = sqlite3.connect("", isolation_level=None, check_same_thread=False)
    # Nothing of it is to outlive this process.
    file.execute("PRAGMA journal_mode = OFF")
    file.execute("PRAGMA synchronous = OFF")
    file.execute("CREATE TABLE keys (key TEXT PRIMARY KEY, place TEXT) WITHOUT ROWID")
    file.execute("BEGIN")
    file.executemany("INSERT INTO keys VALUES (?, ?)", held.items())
    return file


def _unwritable(error: sqlite3.Error) -> ConfigurationError:
    return ConfigurationError(
        f"the keys of so many items are kept in a temporary file, which cannot be written"
        f" ({error}): set SQLITE_TMPDIR to a folder with room"
    )

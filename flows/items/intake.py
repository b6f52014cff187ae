"""Items that come one by one: read from an iterator as the run gets to them, a few ahead."""

import queue
import threading
from collections.abc import Iterable, Iterator
from contextvars import copy_context
from typing import Any, Protocol

from prefect_governor.blocks.errors import ConfigurationError
from prefect_governor.flows.items.item import Item
from prefect_governor.flows.items.keys import Keys
from prefect_governor.flows.items.reading import AS_IT_IS, Reading
from prefect_governor.flows.items.skipped import Skipped
from prefect_governor.flows.items.sources import items_of_value

# How often a reader that is ahead looks whether the run has ended, in seconds.
_LOOK_SECONDS = 0.2


class Feed(Protocol):
    """Items that come one by one."""

    skipped: list[Skipped]
    said: list[str]

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to take, now or later."""

    @property
    def exhausted(self) -> bool:
        """Whether it ended because there are no more."""

    @property
    def problem(self) -> str | None:
        """Why it ended before that, in a person's words."""

    def take(self, most: int) -> list[Item]:
        """Up to so many, those that are there now."""

    def number_of(self, position: int) -> int:
        """The place in the run of an item, by the order in which it came here."""

    def close(self) -> None:
        """Take no more in."""


class Intake:
    """Reads an iterator in a thread of its own, so that one that takes its time holds nobody up.

    Args:
        values: as in a list of items. What has no key gets `item-0001` and so on, by its place.
        known: keys that are taken.
        most: read at most so many that nobody has taken yet.
        whole_folders: a folder is one item.
        reading: how files are read.
    """

    def __init__(
        self,
        values: Iterator[Any],
        *,
        known: Iterable[str] = (),
        most: int,
        whole_folders: bool = False,
        reading: Reading = AS_IT_IS,
    ) -> None:
        self._values = values
        self._whole_folders = whole_folders
        self._reading = reading
        self.skipped: list[Skipped] = []
        self.said: list[str] = []
        self._read: queue.Queue[Item] = queue.Queue(maxsize=max(1, most))
        self._known = known
        self._exhausted = False
        self._closed = threading.Event()
        self._over = threading.Event()
        self._error: BaseException | None = None
        self._thread = threading.Thread(
            target=copy_context().run,
            args=(self._read_on,),
            name="prefect-governor-intake",
            # An iterator may hang for ever; the run does not.
            daemon=True,
        )
        self._thread.start()

    @property
    def ended(self) -> bool:
        """Whether there is nothing more to take, now or later."""
        return self._over.is_set() and self._read.empty()

    @property
    def exhausted(self) -> bool:
        """Whether the iterator was read to its end and all of it was taken."""
        return self._exhausted and self.ended

    @property
    def problem(self) -> str | None:
        """Why it ended before the iterator did, in a person's words."""
        if self._error is None:
            return None
        if isinstance(self._error, ConfigurationError):
            return str(self._error)
        return f"their iterator failed: {type(self._error).__name__}: {self._error}"

    def take(self, most: int) -> list[Item]:
        """Up to so many, those that are there now."""
        taken: list[Item] = []
        while len(taken) < most:
            try:
                taken.append(self._read.get_nowait())
            except queue.Empty:
                break
        return taken

    def number_of(self, position: int) -> int:
        """All items of the run come here."""
        return position

    def close(self) -> None:
        """Read no further."""
        self._closed.set()

    def _read_on(self) -> None:
        try:
            with Keys() as keys:
                for key in self._known:
                    keys.claim(key, "the items before")
                self._exhausted = self._went_through(keys)
        except BaseException as error:
            self._error = error
        finally:
            self._over.set()

    def _went_through(self, keys: Keys) -> bool:
        """Whether all that there is was put where it is taken from."""
        for at, value in enumerate(self._values, 1):
            for item in items_of_value(
                value,
                f"item-{at:04d}",
                at,
                keys=keys,
                whole_folders=self._whole_folders,
                skipped=self.skipped,
                reading=self._reading,
                said=self.said,
            ):
                if not self._put(item):
                    return False
        return True

    def _put(self, item: Item) -> bool:
        while not self._closed.is_set():
            try:
                self._read.put(item, timeout=_LOOK_SECONDS)
                return True
            except queue.Full:
                continue
        return False

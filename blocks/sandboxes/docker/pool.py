"""Containers that were made ahead. Each is given out once."""

import logging
import threading
from collections import deque
from collections.abc import Callable
from concurrent.futures import Executor

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.container import Container

logger = logging.getLogger(__name__)


class Pool:
    """As many ahead as were asked for before, up to `most`: what is asked for once costs one.

    Args:
        make: makes one; blocks.
        most: how many are made ahead.
        threads: where they are made.

    Attributes:
        given_ahead: how many of those that were given out had been made ahead.
    """

    def __init__(
        self, make: Callable[[SandboxBounds], Container], *, most: int, threads: Executor
    ) -> None:
        self._make, self._most, self._threads = make, most, threads
        self._lock = threading.Lock()
        self._ready: deque[tuple[SandboxBounds, Container]] = deque()
        self._taken = 0
        self.given_ahead = 0
        self._coming = 0
        self._closed = False

    @property
    def ready(self) -> int:
        """How many wait to be taken."""
        with self._lock:
            return len(self._ready)

    def take(self, bounds: SandboxBounds) -> Container:
        """One with these bounds, which nobody else has had. Blocks where none is ready.

        Raises ConfigurationError, SandboxLost.
        """
        found = self._ready_one(bounds)
        container = self._make(bounds) if found is None else found
        self._refill(bounds)
        return container

    def keep(self, bounds: SandboxBounds, container: Container) -> None:
        """Have one that was made, and in which nothing has run, for whoever asks next."""
        with self._lock:
            over = self._add(bounds, container)
        for each in over:
            each.remove()

    def close(self) -> None:
        """Remove what nobody has taken; nothing is made ahead any more."""
        with self._lock:
            self._closed = True
            left = list(self._ready)
            self._ready.clear()
        for _, each in left:
            each.remove()

    def _ready_one(self, bounds: SandboxBounds) -> Container | None:
        while True:
            with self._lock:
                found = next((each for each in self._ready if each[0] == bounds), None)
                if found is None:
                    return None
                self._ready.remove(found)
            if found[1].alive():
                self.given_ahead += 1
                return found[1]
            found[1].remove()

    def _refill(self, bounds: SandboxBounds) -> None:
        with self._lock:
            if self._closed:
                return
            self._taken += 1
            wanted = min(self._most, self._taken - 1)
            missing = wanted - self._coming - sum(each[0] == bounds for each in self._ready)
            self._coming += max(0, missing)
        for _ in range(missing):
            self._threads.submit(self._make_ahead, bounds)

    def _make_ahead(self, bounds: SandboxBounds) -> None:
        container = None
        try:
            container = self._make(bounds)
        except GovernorError as error:
            # Whoever asks for one meets it too, and is told.
            logger.debug("no container could be made ahead: %s", error)
        with self._lock:
            self._coming -= 1
            over = [] if container is None else self._add(bounds, container)
        for each in over:
            each.remove()

    def _add(self, bounds: SandboxBounds, container: Container) -> list[Container]:
        """Under the lock; those that are too many."""
        if self._closed:
            return [container]
        self._ready.append((bounds, container))
        over = max(0, len(self._ready) - self._most)
        return [self._ready.popleft()[1] for _ in range(over)]

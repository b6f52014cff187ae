"""The runtime: cells in containers, what is made ahead for them, what dead owners left."""

import asyncio
import atexit
import logging
import os
import threading
import weakref
from collections.abc import AsyncIterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager
from pathlib import Path

from prefect_governor.blocks.errors import GovernorError
from prefect_governor.blocks.sandboxes.bounds import SandboxBounds
from prefect_governor.blocks.sandboxes.docker.cell import DockerCell
from prefect_governor.blocks.sandboxes.docker.container import Container, make
from prefect_governor.blocks.sandboxes.docker.engine import Engine
from prefect_governor.blocks.sandboxes.docker.ownership import LEDGER, OWNER, Ownership
from prefect_governor.blocks.sandboxes.docker.pool import Pool

logger = logging.getLogger(__name__)

# How many containers are made ahead, of some 10 MiB each.
WARM = 4
# Each cell that runs a program has one; they wait for it.
_THREADS = 64
# How often the containers of the dead are looked for while this process has cells, in seconds.
SWEEP_SECONDS = 30.0


class DockerRuntime:
    """Sandboxes in containers.

    Args:
        image: of the containers; it must be there, nothing is pulled.
        host: the engine's address, that of Podman's socket too; None for DOCKER_HOST, else
            Docker's usual socket.
        container_runtime: what runs the containers, by the name that the engine has for it
            (`runsc` for gVisor, `kata`); None for its default.
        owner: whose the containers are; by default this process, as its ledger knows it.
        warm: how many containers are made ahead at most.
    """

    name = "docker"

    def __init__(
        self,
        image: str,
        host: str | None = None,
        container_runtime: str | None = None,
        owner: Ownership | None = None,
        *,
        warm: int = WARM,
    ) -> None:
        self.image, self.engine = image, Engine(host)
        self._container_runtime = container_runtime
        self._owner = owner
        self._lock = threading.Lock()
        self._pid = os.getpid()
        self._threads = ThreadPoolExecutor(_THREADS, thread_name_prefix="prefect-governor-docker")
        self.pool = Pool(self._make, most=warm, threads=self._threads)
        self._proving, self._proved = threading.Lock(), False
        self._checked = False
        self._closed = threading.Event()
        self._sweeping: threading.Thread | None = None
        _runtimes.add(self)

    async def refusal(self) -> str | None:
        """See `SandboxRuntime.refusal`: it starts a container, once, which the first cell with such
        bounds is given."""
        try:
            await asyncio.to_thread(self._prove)
        except GovernorError as error:
            return str(error)
        return None

    @asynccontextmanager
    async def cell(self, folder: Path, bounds: SandboxBounds) -> AsyncIterator[DockerCell]:
        """See `SandboxRuntime.cell`. Raises ConfigurationError, SandboxLost."""
        self._keep_sweeping()
        cell = DockerCell(folder, bounds, take=self.pool.take, threads=self._threads)
        try:
            await cell.open()
            yield cell
        finally:
            await cell.close()

    async def sweep(self) -> int:
        """See `SandboxRuntime.sweep`. Raises ConfigurationError, SandboxLost."""
        return await asyncio.to_thread(self._sweep)

    def close(self) -> None:
        """Remove whatever of this process is left at the engine; no cell can be had any more."""
        self._closed.set()
        if self._pid != os.getpid():
            return
        self.pool.close()
        if self._owner is not None:
            # Before their threads are waited for: what these wait for ends with its container.
            self._remove({OWNER: self._owner.process.id})
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.engine.close()

    def _prove(self) -> None:
        bounds = SandboxBounds()
        with self._proving:
            if not self._proved:
                self.pool.keep(bounds, self._make(bounds))
                self._proved = True

    def _make(self, bounds: SandboxBounds) -> Container:
        if not self._checked:
            self.engine.check(self.image)
            self._checked = True
        return make(
            self.engine,
            self.image,
            bounds,
            labels=self._owned().labels(),
            container_runtime=self._container_runtime,
        )

    def _owned(self) -> Ownership:
        with self._lock:
            if self._owner is None:
                self._owner = Ownership.here()
            return self._owner

    def _keep_sweeping(self) -> None:
        with self._lock:
            if self._sweeping is None:
                self._sweeping = threading.Thread(
                    target=self._sweep_on, name="prefect-governor-sweep", daemon=True
                )
                self._sweeping.start()

    def _sweep_on(self) -> None:
        while True:
            try:
                self._sweep()
            except GovernorError as error:
                logger.debug("the containers of the dead were not looked for: %s", error)
            if self._closed.wait(SWEEP_SECONDS):
                return

    def _sweep(self) -> int:
        owner = self._owned()
        found = self.engine.containers({LEDGER: owner.ledger_id})
        orphans = [container for container, labels in found if owner.orphaned(labels)]
        for container in orphans:
            self.engine.remove(container)
        return len(orphans)

    def _remove(self, labels: dict[str, str]) -> None:
        try:
            for container, _ in self.engine.containers(labels):
                self.engine.remove(container)
        except GovernorError as error:
            logger.debug("containers are left to the engine: %s", error)


_shared: dict[tuple[int, str, str | None, str | None], DockerRuntime] = {}
_sharing = threading.Lock()


def shared(image: str, host: str | None, container_runtime: str | None) -> DockerRuntime:
    """This process's own, so that what is made ahead is made once."""
    key = (os.getpid(), image, host, container_runtime)
    with _sharing:
        if key not in _shared:
            _shared[key] = DockerRuntime(image, host, container_runtime)
        return _shared[key]


def _after_fork() -> None:
    global _sharing
    _sharing = threading.Lock()


os.register_at_fork(after_in_child=_after_fork)
_runtimes: "weakref.WeakSet[DockerRuntime]" = weakref.WeakSet()


def _close_all() -> None:
    for each in list(_runtimes):
        each.close()


atexit.register(_close_all)
